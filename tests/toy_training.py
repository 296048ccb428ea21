"""A training of a second, also as a command that may be killed: OUT [STEP of the kill]."""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from unblind.training import loop
from unblind.training.meter import Meter
from unblind.training.team import Team

SCHEDULE = loop.Schedule(steps=50, rate=0.02, warm_up=5, weight_decay=0.01)
EVERY = 20


class Toy(nn.Module):
    """A convolution (channels last, as towers are) and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tower, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 1)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(0, 0.3, generator=generator)
        self.to(memory_format=torch.channels_last)

    def loss(self, step: int, part: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Tell how well the mean of a part's pictures is guessed."""
        generator = torch.Generator().manual_seed(2 * step + part)
        images = torch.randn(4, 3, 6, 6, generator=generator)
        found = self.head(self.tower(images).relu().mean((2, 3)))[:, 0]
        value = (found - images.mean((1, 2, 3))).square().mean()
        return value, {"loss": value.detach()}


def train(
    team: Team, out: str, model: Toy | None = None, loss=None, after_step=None, **changes
) -> Toy:
    """Train from the start or the last state; return the model."""
    model = model or Toy()
    settings = {"schedule": SCHEDULE, "identity": "toy", "seed": 0, "every": EVERY} | changes
    loop.fit(
        team,
        dict(model.named_parameters()),
        loss or model.loss,
        loop.Job(out=Path(out), **settings),
        Meter(team, 8),
        ["tower.weight"],
        after_step,
    )
    return model


def train_quietly(team: Team, out: str) -> None:
    """Train; the model stays in its process."""
    train(team, out)


def state(out: Path) -> dict[str, torch.Tensor]:
    """Return the last checkpoint's weights and the optimiser's numbers."""
    return load_file(Path(out) / "checkpoint.safetensors")


def train_until_one_part_diverges(team: Team, out: str) -> None:
    """The second part's loss, which the leader of two does not see, is no number at step 3."""
    model = Toy()

    def loss(step: int, part: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        value, numbers = model.loss(step, part)
        return value * (float("nan") if (step, part) == (3, 1) else 1.0), numbers

    train(team, out, model=model, loss=loss)


def main() -> None:
    """Train alone; with a second word die at that step as by `kill -9`."""
    out, *death = sys.argv[1:]
    model = Toy()

    def loss(step: int, part: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if death and step == int(death[0]):
            os.kill(os.getpid(), signal.SIGKILL)
        return model.loss(step, part)

    train(Team(), out, model=model, loss=loss)


if __name__ == "__main__":
    main()
