"""The training loop: rates, checkpoints, what is refused, and a kill in the middle."""

import json
import math
import subprocess
import sys

import pytest
import torch
import toy_training
from toy_training import Toy, train

from unblind.errors import UnblindError
from unblind.training.loop import Schedule
from unblind.training.meter import Meter
from unblind.training.team import Team

ALONE = Team()
TIMED = ("cpu_s", "step_s", "pictures_per_s", "memory_gib")


def weights(model):
    return {name: weight.detach() for name, weight in model.named_parameters()}


def log(out):
    """Return the lines of a log without the times."""
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMED} for line in lines]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder and final weights of a training that was never interrupted."""
    out = tmp_path_factory.mktemp("toy")
    return out, weights(train(ALONE, out))


def test_the_rate_rises_linearly_and_falls_as_a_cosine():
    schedule = Schedule(steps=100, rate=2.0, warm_up=10, weight_decay=0)
    assert schedule.at(0) == pytest.approx(0.2)
    assert schedule.at(4) == pytest.approx(1.0 * (0.98 * (1 + math.cos(0.04 * math.pi)) / 2 + 0.02))
    assert schedule.at(50) == pytest.approx(2 * (0.98 * 0.5 + 0.02))
    assert schedule.at(100) == pytest.approx(2 * 0.02)
    rates = [schedule.at(step) for step in range(10, 100)]
    assert rates == sorted(rates, reverse=True)


def test_it_learns_and_says_so(reference):
    out, _ = reference
    lines = log(out)
    assert [line["step"] for line in lines] == [20, 40, 50]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[0]["rate"] == toy_training.SCHEDULE.at(19)
    assert all(line["gradient_norm"] > 0 for line in lines)


def test_killed_and_continued_gives_the_same_weights_bit_for_bit(reference, tmp_path):
    script = [sys.executable, toy_training.__file__, str(tmp_path)]
    killed = subprocess.run([*script, "33"], capture_output=True, timeout=300)
    assert killed.returncode == -9
    assert [line["step"] for line in log(tmp_path)] == [20]
    continued = subprocess.run(script, capture_output=True, timeout=300, text=True)
    assert continued.returncode == 0, continued.stderr
    assert "training steps: 30 to do" in continued.stderr
    out, _ = reference
    wanted, found = toy_training.state(out), toy_training.state(tmp_path)
    assert wanted.keys() == found.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name
    assert log(tmp_path) == log(out)


def test_a_finished_training_has_nothing_to_do(reference):
    out, final = reference

    def never(step, part):
        raise AssertionError("a step was done")

    model = Toy()
    again = weights(train(ALONE, out, loss=never))
    assert all(torch.equal(weight, final[name]) for name, weight in again.items())
    assert not torch.equal(model.head.weight, final["head.weight"])


def test_slower_weights_move_at_three_tenths(tmp_path):
    before, one = Toy(), Schedule(steps=1, rate=0.01, warm_up=1, weight_decay=0)
    after = weights(train(ALONE, tmp_path, schedule=one))
    moved = {n: (after[n] - w).abs().max().item() for n, w in before.named_parameters()}
    # AdamW's first step is the rate in the direction of the gradient's sign.
    assert moved["head.weight"] == pytest.approx(0.01, rel=1e-3)
    assert moved["tower.weight"] == pytest.approx(0.003, rel=1e-3)


def test_large_gradients_are_clipped(tmp_path):
    seen = []
    for size in (1.0, 1000.0):
        model = Toy()

        def loss(step, part, model=model, size=size):
            value, numbers = model.loss(step, part)
            return size * value, numbers

        few = Schedule(steps=3, rate=0.01, warm_up=1, weight_decay=0, clip=1e-3)
        trained = train(ALONE, tmp_path / str(size), model=model, loss=loss, schedule=few)
        seen.append(weights(trained))
    for name in seen[0]:
        torch.testing.assert_close(seen[0][name], seen[1][name], atol=1e-4, rtol=0)


def test_a_checkpoint_of_other_settings_is_refused(reference):
    out, _ = reference
    with pytest.raises(UnblindError, match=r"checkpoint of another training \(delete"):
        train(ALONE, out, identity="other")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    few = Schedule(steps=2, rate=0.01, warm_up=1, weight_decay=0)
    train(ALONE, tmp_path, schedule=few)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnblindError, match=r"checkpoint .* is unreadable"):
        train(ALONE, tmp_path, schedule=few)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training(value, tmp_path):
    model = Toy()

    def loss(step, part):
        good, numbers = model.loss(step, part)
        return good * (value if step == 30 else 1.0), numbers

    with pytest.raises(UnblindError, match=rf"loss of step 30 is {value}.*lower the rate"):
        train(ALONE, tmp_path, model=model, loss=loss)
    assert all(tensor.isfinite().all() for tensor in toy_training.state(tmp_path).values())


def test_steps_are_told_to_the_caller(tmp_path):
    told = []
    few = Schedule(steps=4, rate=0.01, warm_up=1, weight_decay=0)
    train(ALONE, tmp_path, schedule=few, after_step=told.append)
    assert told == [1, 2, 3, 4]


def test_a_training_without_clipping_at_a_constant_rate_moves_by_the_rate(tmp_path):
    plain = Schedule(2, 0.01, 1, 0, (0.9, 0.999), clip=math.inf, last=1.0)
    assert [plain.at(step) for step in (0, 1)] == [0.01, 0.01]
    before, few = Toy(), Schedule(1, 0.01, 1, 0, (0.9, 0.999), clip=math.inf, last=1.0)
    after = weights(train(ALONE, tmp_path, schedule=few))
    moved = (after["head.weight"] - before.head.weight).abs().max().item()
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_what_no_input_reaches_is_left_as_it_was(tmp_path):
    model = Toy()
    model.unused = torch.nn.Parameter(torch.ones(3))
    train(ALONE, tmp_path, model=model)
    assert torch.equal(model.unused, torch.ones(3)), "weight decay would shrink it"
    names = toy_training.state(tmp_path)
    assert "unused|value" in names and "unused|exp_avg" not in names


def test_numbers_that_a_part_lacks_do_not_count_in_the_means():
    meter = Meter(ALONE, 4)
    meter.add({"right": torch.tensor(1.0), "never": torch.tensor(math.nan)})
    meter.add({"right": torch.tensor(math.nan), "never": torch.tensor(math.nan)})
    meter.add({"right": torch.tensor(0.0), "never": torch.tensor(math.nan)})
    assert meter.means() == {"right": 0.5}
