"""The closed loop: worker processes step their scenes while the parent decides for the others."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np

from unblind import workers
from unblind.errors import UnblindError
from unblind.rollout.policies import Observation, Policy
from unblind.rollout.worker import Reply, Scenes, Setup, serve
from unblind.sim.episodes import Episode
from unblind.sim.success import Milestones


@dataclass
class Outcome:
    """How an episode went.

    Attributes:
        success_any: the object stood on the plate after some step.
        success_final: it stood there after the last one.
        milestones: those that held after some step.
        steps: control steps.
    """

    episode: Episode
    success_any: bool = False
    success_final: bool = False
    milestones: Milestones = field(default_factory=Milestones)
    steps: int = 0

    def begin(self, reply: Reply) -> None:
        """Take note of the state in which the policy begins."""

    def add(self, reply: Reply) -> None:
        """Count one step."""
        self.steps += 1
        self.success_final = reply.success
        self.success_any |= reply.success
        self.milestones |= reply.milestones

    def columns(self) -> dict[str, bool | int]:
        """Return how it went, by column of a record."""
        successes = {"success_any": self.success_any, "success_final": self.success_final}
        return successes | vars(self.milestones) | {"steps": self.steps}


@dataclass
class _Worker:
    """A worker process as the parent sees it."""

    process: Any
    pipe: Connection
    idle: list[int]
    running: dict[int, Outcome] = field(default_factory=dict)
    asked: list[tuple[str, int, Any]] = field(default_factory=list)

    def ask(self, requests: list[tuple[str, int, Any]]) -> None:
        """Send requests (method of ``Scenes``, scene, argument)."""
        self.asked = requests
        try:
            self.pipe.send(requests)
        except OSError:
            raise _died() from None

    def answers(self) -> list[tuple[str, int, Reply]]:
        """Wait for the replies to what was asked."""
        try:
            replies = self.pipe.recv()
        except (EOFError, OSError):
            raise _died() from None
        if isinstance(replies, Exception):
            raise replies
        return [(kind, scene, r) for (kind, scene, _), r in zip(self.asked, replies, strict=True)]


def _died() -> UnblindError:
    return UnblindError("a rollout worker died", "run the same command again: it continues")


class Crew:
    """Worker processes that keep their scenes and their renderer from one call to the next.

    Args:
        setup: what each worker builds.
        n_workers: processes.
        policy: acts for the scenes; None if the workers' own actors do.
        scenes: what a worker keeps its scenes in.
        outcome: what is noted of an episode.
    """

    def __init__(
        self,
        setup: Setup,
        n_workers: int,
        policy: Policy | None,
        scenes: type[Scenes] = Scenes,
        outcome: type[Outcome] = Outcome,
    ) -> None:
        self._setup, self._n_workers, self._policy = setup, n_workers, policy
        self._scenes, self._outcome = scenes, outcome
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        """Start the workers."""
        context = workers.context()
        for _ in range(self._n_workers):
            pipe, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(theirs, self._setup, self._scenes), daemon=True
            )
            process.start()
            theirs.close()
            scenes = list(range(self._setup.config.rollout.scenes))
            self._workers.append(_Worker(process, pipe, scenes))
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, whatever happened."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(timeout=10)
            worker.process.kill()

    def run(self, episodes: Sequence[Episode]) -> Iterator[Outcome]:
        """Run episodes and yield their outcomes as they end.

        Every episode takes ``rollout.max_steps`` steps; its outcome depends neither on the other
        episodes nor on the number of workers and scenes.

        Raises:
            UnblindError: a worker died.
        """
        waiting = deque(episodes)
        for worker in self._workers:
            if requests := self._starts(worker, waiting):
                worker.ask(requests)
        while any(worker.running for worker in self._workers):
            for worker in self._workers:
                if worker.running:
                    yield from self._advance(worker, waiting)

    def _advance(self, worker: _Worker, waiting: deque[Episode]) -> Iterator[Outcome]:
        """Take a worker's answers and send it on; the other workers step in the meantime."""
        seen, ended = {}, []
        for kind, scene, reply in worker.answers():
            outcome = worker.running[scene]
            if kind == "step":
                outcome.add(reply)
            else:
                outcome.begin(reply)
            if outcome.steps == self._setup.config.rollout.max_steps:
                ended.append(worker.running.pop(scene))
                worker.idle.append(scene)
            else:
                seen[scene] = Observation(outcome.episode, outcome.steps, reply.image, reply.target)
        steps = [("step", scene, action) for scene, action in self._decide(seen)]
        requests = steps + self._starts(worker, waiting)
        if requests:
            worker.ask(requests)
        yield from ended

    def _decide(self, seen: dict[int, Observation]) -> list[tuple[int, np.ndarray | None]]:
        if self._policy is None or not seen:
            return [(scene, None) for scene in seen]
        return list(zip(seen, self._policy.act(list(seen.values())), strict=True))

    def _starts(self, worker: _Worker, waiting: deque[Episode]) -> list[tuple[str, int, Any]]:
        """Give the worker's idle scenes their next episodes."""
        requests = []
        while worker.idle and waiting:
            scene, episode = worker.idle.pop(), waiting.popleft()
            worker.running[scene] = self._outcome(episode)
            requests.append(("reset", scene, episode))
        return requests
