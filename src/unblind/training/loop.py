"""The training loop of every stage and scale: seeded steps, states to go on from, a log.

What happens at a step depends on the step, the seed and the weights alone, so on a CPU a run that
was killed ends with the same bytes as one that was not.
"""

import contextlib
import json
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unblind import files
from unblind.progress import Progress
from unblind.training import state
from unblind.training.meter import Meter
from unblind.training.team import Team

#: (step, part of the batch) -> the loss to differentiate and numbers for the log, all scalars.
StepLoss = Callable[[int, int], tuple[Tensor, Mapping[str, Tensor]]]

LOG = "training.jsonl"
#: Steps between lines of the log.
_LINE = 20
#: Names in ``slower`` get this share of the learning rate.
_SLOWER = 0.3


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is trained.

    Attributes:
        steps: optimiser steps.
        rate: highest learning rate.
        warm_up: steps of linear increase before the cosine decay.
        weight_decay: of AdamW.
        betas: of AdamW.
        clip: largest norm of the gradient; infinite: no clipping.
        last: share of the rate at the end; 1: a constant rate.

    The last three are as pretraining has them; fine-tuning says its own.
    """

    steps: int
    rate: float
    warm_up: int
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    last: float = 0.02

    def at(self, step: int) -> float:
        """Return the learning rate of a step."""
        decay = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1, (step + 1) / self.warm_up) * (decay * (1 - self.last) + self.last)


@dataclass(frozen=True)
class Job:
    """What a training is and where it is kept.

    Attributes:
        schedule: steps and rates.
        out: folder of state and log.
        identity: what the run depends on; the state of another identity is refused.
        seed: of dropout.
        every: steps between two states.
        unit_cpu_s: expected CPU-seconds a step; 0 where nothing is known.
    """

    schedule: Schedule
    out: Path
    identity: str
    seed: int
    every: int
    unit_cpu_s: float = 0.0


def fit(
    team: Team,
    parameters: Mapping[str, nn.Parameter],
    loss: StepLoss,
    job: Job,
    meter: Meter,
    slower: Container[str] = (),
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Train ``parameters`` in place and write ``training.jsonl`` to the job's folder.

    The last state is kept, so that a finished run that is called again has nothing to do.

    Args:
        team: the processes.
        parameters: what is trained, by name.
        loss: of a step and a part of its batch.
        job: what is trained, and where it is kept.
        meter: makes the lines of the log.
        slower: names that get 0.3 times the learning rate (a pretrained tower).
        after_step: called with the number of finished steps, by the leading process.

    Raises:
        UnblindError: the state is unreadable or belongs to other settings, the loss is no longer
            finite, or the disk is full.
    """
    schedule, stored, log = job.schedule, job.out / state.FILE, job.out / LOG
    optimizer = make_optimizer(parameters, schedule, slower)
    trained = list(parameters.values())
    done = state.restore(stored, job.identity, parameters, optimizer)
    lines = _kept_lines(log, done)
    if team.leads:
        progress = Progress("training steps", schedule.steps - done, job.unit_cpu_s, 15.0)
    for step in range(done, schedule.steps):
        do_step(team, trained, optimizer, loss, job, step, meter)
        finished = step + 1
        last = finished == schedule.steps
        saves = finished % job.every == 0 or last
        if saves or finished % _LINE == 0:
            meter.check()
        if finished % _LINE == 0 or last:
            lines.append(meter.line(finished, schedule.at(step)))
        if team.leads:
            if saves:
                state.save(stored, job.identity, parameters, optimizer, finished)
                files.write_text(log, "".join(json.dumps(line) + "\n" for line in lines))
            if after_step:
                after_step(finished)
            progress.advance()
    team.wait()


def make_optimizer(
    parameters: Mapping[str, nn.Parameter],
    schedule: Schedule,
    slower: Container[str] = (),
) -> torch.optim.AdamW:
    """Return AdamW in the precision of the parameters; it makes no copy of them.

    The fused kernel takes correctly rounded roots. The others take MKL's, which start from an
    estimate that each processor makes in its own way.
    """
    groups = [
        {"params": [p for n, p in parameters.items() if n not in slower], "factor": 1.0},
        {"params": [p for n, p in parameters.items() if n in slower], "factor": _SLOWER},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=schedule.betas,
        weight_decay=schedule.weight_decay,
        fused=True,
    )


def do_step(
    team: Team,
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    loss: StepLoss,
    job: Job,
    step: int,
    meter: Meter,
) -> None:
    """Change the weights once; arguments as for :func:`fit`."""
    optimizer.zero_grad(set_to_none=False)
    total = torch.zeros(1, device=team.device)
    for part in team.parts:
        with _repeatable(team.device, job.seed, step, part):
            value, numbers = loss(step, part)
            (value / team.n_parts).backward()
        total += value.detach() / team.n_parts
        meter.add(numbers)
    # Weights that no input reaches have no gradient in any process and are left as they are.
    learning = [p for p in parameters if p.grad is not None]
    # The loss travels with the gradients: all processes must stop at the same step.
    flat = team.add(torch.cat([*(p.grad.flatten() for p in learning), total]))
    flat, total = flat[:-1], flat[-1]
    norm = flat.norm()
    meter.step(step, total, norm)
    flat *= (job.schedule.clip / (norm.double() + 1e-6)).clamp(max=1.0).to(flat.dtype)
    for p, gradient in zip(learning, flat.split([p.numel() for p in learning]), strict=True):
        p.grad.copy_(gradient.view_as(p))
    for group in optimizer.param_groups:
        group["lr"] = job.schedule.at(step) * group["factor"]
    optimizer.step()


@contextlib.contextmanager
def _repeatable(device: torch.device, *numbers: int) -> Iterator[None]:
    """Seed torch's global generators, which dropout uses, and give them back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
        yield


def _kept_lines(log: Path, done: int) -> list[dict[str, Any]]:
    if not done or not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["step"] <= done]
