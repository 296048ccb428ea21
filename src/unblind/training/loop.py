"""The training loop: seeded steps, a cosine schedule, checkpoints to go on from, a log.

What happens at a step depends on the step, the seed and the weights alone, so a run that was
killed goes on from its last checkpoint to the same final weights.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from unblind import files, weights
from unblind.errors import UnblindError
from unblind.progress import Progress
from unblind.training.parallel import PARTS, Team

#: (step, part of the batch) -> the loss to differentiate and plain numbers for the log.
StepLoss = Callable[[int, int], tuple[Tensor, Mapping[str, float]]]

_BETAS, _WARM_UP_LOSS = (0.9, 0.95), 20


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is trained.

    Attributes:
        steps: optimiser steps.
        rate: highest learning rate.
        warm_up: steps of linear increase before the cosine decay.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        last: share of the rate at the end.
    """

    steps: int
    rate: float
    warm_up: int
    weight_decay: float
    clip: float = 1.0
    last: float = 0.02

    def at(self, step: int) -> float:
        """Return the learning rate of a step."""
        decay = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1, (step + 1) / self.warm_up) * (decay * (1 - self.last) + self.last)


def fit(
    team: Team,
    parameters: Mapping[str, nn.Parameter],
    slower: Iterable[str],
    loss: StepLoss,
    schedule: Schedule,
    out: Path,
    identity: str,
    *,
    every: int = 100,
    unit_cpu_s: float = 0.0,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Train ``parameters`` in place and write ``training.jsonl`` to the folder ``out``.

    Every ``every`` steps a checkpoint is saved, from which the same call continues; it is kept at
    the end, so that a finished run that is called again has nothing to do.

    Args:
        team: the processes.
        parameters: what is trained, by name.
        slower: names that get 0.3 times the learning rate (a pretrained tower).
        loss: of a step and a part of its batch.
        schedule: steps and rates.
        out: folder of checkpoint and log.
        identity: what the run depends on; a checkpoint of another identity is refused.
        every: steps between checkpoints and log lines' end.
        unit_cpu_s: expected CPU-seconds a step.
        after_step: called with the number of finished steps, by the leading process.

    Raises:
        UnblindError: the checkpoint is unreadable or belongs to other settings, or the loss is
            no longer finite.
    """
    slow = set(slower)
    groups = [
        {"params": [p for n, p in parameters.items() if n not in slow], "factor": 1.0},
        {"params": [p for n, p in parameters.items() if n in slow], "factor": 0.3},
    ]
    optimizer = torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=0.0, betas=_BETAS, weight_decay=schedule.weight_decay
    )
    checkpoint, log = Path(out) / "checkpoint.safetensors", Path(out) / "training.jsonl"
    done = _restore(checkpoint, identity, parameters, optimizer)
    lines = _kept_lines(log, done)
    progress = (
        Progress("training steps", schedule.steps - done, unit_cpu_s, 15.0) if team.leads else None
    )
    meter = _Meter()
    for step in range(done, schedule.steps):
        numbers = _step(team, parameters, optimizer, loss, schedule, step)
        meter.add(numbers)
        if progress:
            progress.advance()
        finished = step + 1
        if finished % 20 == 0 or finished == schedule.steps:
            lines.append(meter.line(finished, schedule.at(step)))
        if team.leads and (finished % every == 0 or finished == schedule.steps):
            _save(checkpoint, identity, parameters, optimizer, finished)
            files.write_text(log, "".join(json.dumps(line) + "\n" for line in lines))
        if team.leads and after_step:
            after_step(finished)
    team.wait()


def _step(
    team: Team,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    loss: StepLoss,
    schedule: Schedule,
    step: int,
) -> dict[str, float]:
    """Do one optimiser step; return the log's numbers of this process's parts."""
    optimizer.zero_grad(set_to_none=False)
    sums: dict[str, float] = {}
    total = torch.zeros(1)
    for part in team.parts:
        value, numbers = loss(step, part)
        (value / PARTS).backward()
        total += value.detach() / PARTS
        for key, number in numbers.items():
            sums[key] = sums.get(key, 0.0) + number / len(team.parts)
    values = list(parameters.values())
    for p in values:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    # The loss travels with the gradients: all processes must stop at the same step.
    flat = team.add(torch.cat([*(p.grad.flatten() for p in values), total]))
    if not torch.isfinite(flat).all():
        raise UnblindError(
            f"the loss of step {step} is {float(flat[-1])} or has no finite gradient",
            "lower the rate",
        )
    flat = flat[:-1]
    norm = float(flat.norm())
    flat *= min(1.0, schedule.clip / (norm + 1e-6))
    start = 0
    for p in values:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
    for group in optimizer.param_groups:
        group["lr"] = schedule.at(step) * group["factor"]
    optimizer.step()
    return sums | {"gradient_norm": norm}


class _Meter:
    """Means of the numbers since the last line, and the CPU time."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count, self._start = 0, time.process_time()

    def add(self, numbers: Mapping[str, float]) -> None:
        self._count += 1
        for key, number in numbers.items():
            self._sums[key] = self._sums.get(key, 0.0) + number

    def line(self, step: int, rate: float) -> dict[str, float]:
        means = {key: round(total / self._count, 5) for key, total in self._sums.items()}
        cpu = round(time.process_time() - self._start, 1)
        self._sums, self._count = {}, 0
        return {"step": step, "rate": rate, **means, "cpu_s": cpu}


def _kept_lines(log: Path, done: int) -> list[dict]:
    if not done or not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["step"] <= done]


def _save(
    path: Path,
    identity: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    tensors = {}
    for name, p in parameters.items():
        state = optimizer.state[p]
        tensors[f"{name}|value"] = p
        tensors[f"{name}|mean"] = state["exp_avg"]
        tensors[f"{name}|square"] = state["exp_avg_sq"]
    weights.save(path, tensors, {"step": str(step), "identity": identity})


def _restore(
    path: Path,
    identity: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load a checkpoint if there is one; return the number of finished steps."""
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as stored:
            meta = stored.metadata()
            if meta["identity"] != identity:
                raise UnblindError(
                    f"{path} is the checkpoint of another training", f"delete {path.parent}"
                )
        tensors = dict(weights.tensors([path]))
        for name, p in parameters.items():
            p.data.copy_(tensors[f"{name}|value"])
            optimizer.state[p] = {
                "step": torch.tensor(float(meta["step"])),
                "exp_avg": tensors[f"{name}|mean"].clone(),
                "exp_avg_sq": tensors[f"{name}|square"].clone(),
            }
        return int(meta["step"])
    except (SafetensorError, KeyError, OSError) as error:
        raise UnblindError(
            f"the checkpoint {path} is unreadable ({error})", f"delete {path} and start again"
        ) from None
