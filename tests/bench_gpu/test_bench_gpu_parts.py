"""The pieces: limits of time, marks, parts that fail, what must be installed."""

import json
import subprocess
import sys
import time

import pytest
import torch

from unblind.bench_gpu import needs
from unblind.bench_gpu.budget import Budget, OutOfTime
from unblind.bench_gpu.session import Session
from unblind.bench_gpu.timeline import Clock, Timeline
from unblind.errors import UnblindError


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def test_rounds_end_before_the_longest_would_not_fit():
    hand = Hand()
    budget = Budget(10, hand)
    lengths = [1, 4, 1, 3, 1]
    for number in budget.rounds(5):
        hand.seconds += lengths[number]
    assert number == 2 and budget.left == 4  # the longest round took 4 s


def test_the_first_round_always_takes_place_and_most_is_most():
    hand = Hand()
    assert len(list(Budget(100, hand).rounds(3))) == 3
    budget = Budget(0, hand)
    assert list(budget.rounds(3)) == [0]


def test_a_part_has_no_more_than_the_whole():
    hand = Hand()
    budget = Budget(10, hand)
    assert budget.part(3).left == 3
    hand.seconds = 8
    assert budget.part(3).left == 2
    hand.seconds = 20
    assert budget.left == 0 and budget.part(3).left == 0


def test_parts_of_a_step_add_up_to_it():
    hand = Hand()
    clock = Clock(torch.device("cpu"))
    clock.now = hand
    timeline = Timeline(clock)
    for part, seconds in (("input", 1), ("forward", 2), ("input", 3), ("backward", 4)):
        timeline.mark(part)
        hand.seconds += seconds / 1000
    timeline.end_step()
    hand.seconds += 5
    timeline.mark("input")
    hand.seconds += 0.001
    timeline.end_step()
    first, second = timeline.milliseconds()
    assert first == pytest.approx({"input": 4, "forward": 2, "backward": 4})
    assert second == pytest.approx({"input": 1})  # what lies between steps is no part of them


SECONDS = {"one": 10, "two": 10, "three": 10}


@pytest.fixture
def session(tmp_path):
    known = {"size": "twin", "device": {"name": "none"}, "versions": {"python": "3"}}
    return Session(tmp_path / "out.json", Budget(100), SECONDS, known)


def stored(session):
    return json.loads(session._out.read_text())


def test_a_part_that_fails_takes_nothing_with_it(session):
    def fails(_):
        session.results["found"] = 1
        raise torch.OutOfMemoryError

    session.do("one", fails)
    session.do("two", lambda _: pytest.fail("was done"), needs=("one",))
    session.do("three", lambda _: session.results.update(more=2))
    found = stored(session)
    assert [found["parts"][name]["state"] for name in SECONDS] == [
        "out of memory",
        "needs one",
        "done",
    ]
    assert (found["found"], found["more"], found["complete"]) == (1, 2, False)
    with pytest.raises(UnblindError, match="one out of memory, two needs one, three done"):
        session.finish()
    assert "**Incomplete**" in session._out.with_suffix(".md").read_text()


def test_what_was_measured_before_time_ran_out_stays(session):
    def slow(budget):
        session.results["found"] = budget.left
        raise OutOfTime

    session.do("one", slow)
    found = stored(session)
    assert 9 < found["found"] <= 10 and found["parts"]["one"]["state"] == "out of time"


def test_all_parts_done_is_complete(session):
    for name in SECONDS:
        assert not session.results["complete"]
        session.do(name, lambda _: None)
    assert stored(session)["complete"] and session.finish() is session.results


def test_without_time_nothing_is_begun(tmp_path):
    known = {"size": "twin", "device": {"name": "none"}, "versions": {}}
    session = Session(tmp_path / "out.json", Budget(0), SECONDS, known)
    session.do("one", lambda _: pytest.fail("was done"))
    assert stored(session)["parts"]["one"]["state"] == "out of time"


def test_missing_packages_are_named_in_one_line(monkeypatch):
    with pytest.raises(UnblindError, match=r"cannot import no_such, nor_this .*UNBLIND_PYTHON"):
        needs.check(("torch", "no_such", "nor_this"))
    monkeypatch.setattr(needs, "_RADIO", "transformers.models.no_such")
    with pytest.raises(UnblindError, match=r"no RadioModel.*transformers>=5\.17"):
        needs.check()


def test_the_command_ends_in_time_whatever_hangs(tmp_path):
    program = (
        "import time; from unblind.bench_gpu import command, needs;"
        "needs.check = lambda: time.sleep(100); command.main(['--minutes', '0.1'])"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1 and time.monotonic() - start < 60
    assert not list(tmp_path.iterdir())
