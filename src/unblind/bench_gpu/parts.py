"""Marks in a training step, set from outside: hooks on modules and on gradients.

Gradients arrive in the order in which autograd works: that of a module's output arrives when its
backward pass begins. What autograd computes first is the alignment, as it was added last.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from unblind.bench_gpu.timeline import Timeline
from unblind.finetune.learner import Learner
from unblind.teachers.teacher import Teacher

#: Every part of a step, in order; Default lacks teacher and alignment.
PARTS = (
    "pictures",
    "teacher",
    "towers forward",
    "projector forward",
    "decoder forward",
    "head and loss forward",
    "alignment forward",
    "alignment backward",
    "head and loss backward",
    "decoder backward",
    "projector backward",
    "towers backward",
    "optimiser",
)


class MarkedTeacher:
    """A teacher whose work is marked."""

    def __init__(self, teacher: Teacher, timeline: Timeline) -> None:
        self._teacher, self._timeline = teacher, timeline

    def features(self, images: Tensor, grid: int) -> Tensor:
        """Return the teacher's tokens."""
        self._timeline.mark("teacher")
        return self._teacher.features(images, grid)


class MarkedTeam:
    """Processes whose backward pass ends with a mark: what follows is clipping and AdamW."""

    def __init__(self, team: Any, timeline: Timeline) -> None:
        self._team, self._timeline = team, timeline

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        self._team.backward(loss)
        self._timeline.mark("optimiser")


@contextlib.contextmanager
def marked(learner: Learner, timeline: Timeline) -> Iterator[None]:
    """Let the learner's forward and backward pass leave marks inside the block."""
    model, objective = learner.model, learner.objective
    decoder = model.language_model.model
    with contextlib.ExitStack() as stack:

        def begins(module: nn.Module, part: str) -> None:
            handle = module.register_forward_pre_hook(lambda *_: timeline.mark(part))
            stack.callback(handle.remove)

        def ends(module: nn.Module, then: Any) -> None:
            handle = module.register_forward_hook(lambda _, __, output: then(output))
            stack.callback(handle.remove)

        def on_gradient(tensor: Tensor, part: str) -> None:
            if tensor.requires_grad:
                tensor.register_hook(lambda _: timeline.mark(part))

        begins(model.vision_backbone, "towers forward")
        begins(model.projector, "projector forward")
        begins(decoder, "decoder forward")
        begins(model.language_model.lm_head, "head and loss forward")
        ends(decoder, lambda out: on_gradient(out.last_hidden_state, "decoder backward"))
        ends(model.projector, lambda out: on_gradient(out, "projector backward"))
        ends(model.vision_backbone, lambda out: on_gradient(out, "towers backward"))
        first = "head and loss backward"
        if objective is not None:
            begins(objective, "alignment forward")
            first = "alignment backward"
            for projector in objective.projectors.values():
                handle = projector.register_forward_pre_hook(
                    lambda _, given: on_gradient(given[0], "head and loss backward")
                )
                stack.callback(handle.remove)
        ends(learner, lambda _: timeline.mark(first))
        yield
