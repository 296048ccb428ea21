"""The training loop at paper scale: accelerate for the processes, checkpoints to go on from.

What happens at a step depends on the step, the seed and the weights alone. On a CPU a run that was
killed ends with the same bytes as one that was not; several processes compute the same losses as
one with the whole batch, up to the order of sums.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from unblind import files
from unblind.errors import UnblindError
from unblind.finetune import state
from unblind.finetune import step as steps
from unblind.finetune.meter import Meter
from unblind.progress import Progress
from unblind.training.loop import Schedule

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG = "training.jsonl"
#: Steps between lines of the log.
_LINE = 20


@dataclass(frozen=True)
class Plan:
    """How a run is optimised.

    Attributes:
        schedule: steps and rates; an infinite clip means none.
        betas: of AdamW.
        every: steps between checkpoints.
        seed: of dropout in a trained projector.
        identity: what the run depends on; a checkpoint of another identity is refused.
    """

    schedule: Schedule
    betas: tuple[float, float]
    every: int
    seed: int
    identity: str


def assemble(device: str) -> "Accelerator":
    """Return the processes that train together: one, or those that `launch.run` has started.

    Raises:
        UnblindError: this machine lacks such a device, or there are fewer GPUs than processes.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    from unblind.vla.loading import check_device

    check_device(device)
    # Adapters of each tower's last block and of the unused pooling never get a gradient.
    options = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    return Accelerator(cpu=device == "cpu", kwargs_handlers=[options])


def fit(
    team: "Accelerator",
    learner: nn.Module,
    feed: Callable[[int], tuple],
    plan: Plan,
    meter: Meter,
    out: Path,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Train what has gradients, in place, and write ``training.jsonl`` to the folder ``out``.

    Args:
        team: the processes.
        learner: returns a loss and numbers for the log.
        feed: the learner's arguments at a step.
        plan: steps, rates, checkpoints.
        meter: makes the lines of the log.
        out: folder of checkpoint and log.
        after_step: called with the number of finished steps, by the leading process.

    Raises:
        UnblindError: the checkpoint is unreadable or belongs to other settings, the loss is no
            longer finite, or the disk is full.
    """
    schedule, out = plan.schedule, Path(out)
    parameters = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    optimizer = make_optimizer(parameters, plan, team.device)
    done = state.restore(out / state.FILE, plan.identity, parameters, optimizer)
    lines = _kept_lines(out / LOG, done)
    module = team.prepare(learner.train())
    progress = None
    if team.is_main_process:
        progress = Progress("training steps", schedule.steps - done, 0.0, 15.0)
    for step in range(done, schedule.steps):
        with _repeatable(team, plan.seed, step):
            rate = schedule.at(step)
            meter.add(steps.step(team, module, optimizer, feed(step), rate, schedule.clip))
        finished = step + 1
        last = finished == schedule.steps
        keeps = finished % plan.every == 0 or last
        if keeps or finished % _LINE == 0:
            _check(meter.means(), finished)
        if finished % _LINE == 0 or last:
            lines.append(meter.line(finished, schedule.at(step)))
        if team.is_main_process:
            if keeps:
                state.save(out / state.FILE, plan.identity, parameters, optimizer, finished)
                files.write_text(out / LOG, "".join(json.dumps(one) + "\n" for one in lines))
            if after_step:
                after_step(finished)
            progress.advance()
    team.wait_for_everyone()


def make_optimizer(
    parameters: Mapping[str, nn.Parameter], plan: Plan, device: torch.device
) -> torch.optim.AdamW:
    """Return a plan's optimiser (`steps.make_optimizer`)."""
    schedule = plan.schedule
    return steps.make_optimizer(
        parameters.values(),
        rate=schedule.rate,
        betas=plan.betas,
        weight_decay=schedule.weight_decay,
        device=device,
    )


@contextlib.contextmanager
def _repeatable(team: "Accelerator", *numbers: int) -> Iterator[None]:
    """Seed torch's global generators, which dropout uses, and give them back."""
    places = (*numbers, team.process_index)
    devices = [team.device] if team.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(np.random.SeedSequence(places).generate_state(1)[0]))
        yield


def _check(means: Mapping[str, float], step: int) -> None:
    wrong = [f"{name} is {value}" for name, value in means.items() if not math.isfinite(value)]
    if wrong:
        raise UnblindError(f"up to step {step} {', '.join(wrong)}", "lower the rate")


def _kept_lines(log: Path, done: int) -> list[dict[str, Any]]:
    if not done or not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["step"] <= done]
