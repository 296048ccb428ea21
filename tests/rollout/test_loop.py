"""The closed loop with made-up scenes: who gets which action, and what is counted."""

import os
import socket
from multiprocessing import Pipe

import numpy as np
import psutil
import pytest

from unblind.config import load
from unblind.errors import UnblindError
from unblind.rollout import loop, worker
from unblind.rollout.loop import Crew
from unblind.rollout.worker import Reply, Setup
from unblind.sim.episodes import decode
from unblind.sim.success import Milestones

STEPS = 6
NOWHERE = (np.zeros(3), np.zeros(3), -1)  # object, gripper, and the plate that the object is on
BROKEN, DEADLY = 666, 667  # ids of episodes that raise an error or kill their worker


class FakeScenes:
    """Scenes that show their episode and step, and want to be answered with just that."""

    def __init__(self):
        self.now = {}

    def reset(self, scene, episode):
        self.now[scene] = np.array([episode.episode_id, 0])
        return Reply(self.now[scene].copy(), False, Milestones(), *NOWHERE)

    def step(self, scene, action):
        number, step = self.now[scene]
        if number == BROKEN:
            raise UnblindError("scene broken", "mend it")
        if number == DEADLY:
            os._exit(1)
        assert action[:2].tolist() == [number, step], "the action of another scene"
        self.now[scene][1] = step = step + 1
        # Ids 0 mod 3 succeed in passing, 1 mod 3 from step 4 on, 2 mod 3 never.
        success = step == 3 if number % 3 == 0 else number % 3 == 1 and step >= 4
        # Odd ids are held in passing; all are reached before, and 0 mod 3 lifted later.
        milestones = Milestones(
            reached=step == 1, grasped=number % 2 == 1 and step == 2, lifted=not number % 3
        )
        return Reply(self.now[scene].copy(), bool(success), milestones, *NOWHERE)


def fake_serve(pipe, setup, scenes):
    scenes = FakeScenes()
    while True:
        try:
            requests = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send([getattr(scenes, name)(scene, value) for name, scene, value in requests])
        except UnblindError as error:
            pipe.send(error)


class Echo:
    """Answers with what it sees and remembers how many scenes it saw at once."""

    needs_images = True

    def __init__(self):
        self.batches = []

    def act(self, observations):
        self.batches.append(len(observations))
        for seen in observations:
            assert seen.image.tolist() == [seen.episode.episode_id, seen.step]
        return np.stack([[*seen.image, 0, 0, 0, 0, 1] for seen in observations])


@pytest.fixture
def crew(monkeypatch, request):
    """Return a function that makes a crew of (workers, scenes)."""
    monkeypatch.setattr(loop, "serve", fake_serve)
    path = request.config.rootpath / "workflow" / "config" / "smoke.yaml"

    def make(workers, scenes, policy):
        sizes = {"rollout.scenes": scenes, "rollout.max_steps": STEPS}
        return Crew(Setup(load(path, sizes), images=True, oracle=False), workers, policy)

    return make


def episodes(*numbers):
    return [decode("in_distribution", number) for number in numbers]


def outcomes(crew, numbers):
    return {o.episode.episode_id: o for o in crew.run(episodes(*numbers))}


@pytest.mark.parametrize(("workers", "scenes"), [(1, 1), (1, 4), (2, 1), (2, 3)])
def test_every_scene_gets_its_own_actions_and_every_episode_its_outcome(crew, workers, scenes):
    policy = Echo()
    with crew(workers, scenes, policy) as running:
        first, second = outcomes(running, range(10)), outcomes(running, range(10, 13))
    assert sorted(first) == list(range(10)) and sorted(second) == [10, 11, 12]
    for number, found in (first | second).items():
        assert found.steps == STEPS
        assert found.success_any == (number % 3 in (0, 1))
        assert found.success_final == (number % 3 == 1)
        kept = Milestones(reached=True, grasped=number % 2 == 1, lifted=number % 3 == 0)
        assert found.milestones == kept, "a stage stays reached"
    assert sum(policy.batches) == 13 * STEPS
    assert max(policy.batches) == min(scenes, 10 // workers)


def test_without_episodes_nothing_happens(crew):
    with crew(1, 2, Echo()) as running:
        assert outcomes(running, []) == {}


def test_an_error_in_a_scene_is_raised_here_and_ends_the_workers(crew):
    before = psutil.Process().children()
    with pytest.raises(UnblindError, match=r"scene broken .mend it"):
        with crew(2, 2, Echo()) as running:
            started = [p for p in psutil.Process().children() if p not in before]
            outcomes(running, [1, BROKEN, 2, 3])
    assert not [p for p in started if p.is_running() and "spawn_main" in str(p.cmdline())]


def test_a_worker_that_dies_is_one_error_and_finished_episodes_are_out(crew):
    found = []
    with (
        crew(1, 1, Echo()) as running,
        pytest.raises(UnblindError, match=r"a rollout worker died .run the same command again"),
    ):
        for outcome in running.run(episodes(1, 2, DEADLY, 3)):
            found.append(outcome.episode.episode_id)
    assert found == [1, 2]


@pytest.fixture
def served(monkeypatch):
    """Our end of a real worker's pipe and a function that lets it work, in this process."""
    monkeypatch.setattr(worker.workers, "follow_parent", lambda: None)
    ours, theirs = Pipe()
    return ours, lambda: worker.serve(theirs, None, lambda setup: FakeScenes())


def test_a_worker_answers_in_order_until_the_pipe_closes(served):
    ours, serve = served
    one, two = episodes(1, 2)
    ours.send([("reset", 0, one), ("reset", 1, two)])
    ours.send([("step", 1, np.array([2, 0]))])
    ours.send([("step", 7, None)])  # there is no such scene
    ours.send([("step", 0, np.array([1, 0]))])
    with socket.socket(fileno=os.dup(ours.fileno())) as end:
        end.shutdown(socket.SHUT_WR)  # no more requests, but answers are still read
    serve()
    first, second, third, fourth = (ours.recv() for _ in range(4))
    assert [reply.image.tolist() for reply in first] == [[1, 0], [2, 0]]
    assert second[0].image.tolist() == [2, 1]
    assert isinstance(third, KeyError)
    assert fourth[0].image.tolist() == [1, 1], "an error does not end the worker"


def test_a_worker_whose_parent_has_gone_ends_quietly(served):
    ours, serve = served
    ours.send([("reset", 0, episodes(1)[0])])
    ours.close()
    serve()  # its answer finds no reader
