"""Operations of a training step by formula, and what share of a GPU's peak they reach.

A matrix of ``P`` weights that is applied at ``n`` positions costs ``2 P n`` operations, attention
over ``n`` positions of width ``d`` costs ``4 n^2 d`` in each block (causal masks are not
subtracted). Training adds, for a frozen matrix, as much again for the gradient of its input; for
an adapter also as much for its weights' gradient, so three times; for attention, which has two
inputs in each of its products, three times. What is computed twice to save memory does not count
(model FLOPs utilisation, Chowdhery et al. 2022, appendix B).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from unblind.align.objective import Objective
from unblind.vla.prismatic import Prismatic
from unblind.vla.towers import VisionBackbone

if TYPE_CHECKING:
    from unblind.teachers.teacher import Teacher

_TOWER = "vision_backbone."


@dataclass(frozen=True)
class Shape:
    """Sequence of one picture with its text.

    Attributes:
        visual: visual tokens.
        text: tokens of prompt and answer that are fed, padding included.
        answers: positions at which the output head is applied.
    """

    visual: int
    text: int
    answers: int

    @property
    def tokens(self) -> int:
        """Length of the sequence, BOS included."""
        return 1 + self.visual + self.text


def forward(model: Prismatic, shape: Shape) -> int:
    """Return the operations of one picture's forward pass, without adapters."""
    matrices = sum(2 * size * n for _, size, n in _matrices(model, shape))
    return matrices + sum(width * 4 * n * n for _, width, n in _attention(model, shape))


def training(model: Prismatic, shape: Shape, rank: int, vision: bool) -> int:
    """Return the operations of one picture in a training step with adapters.

    Args:
        model: without adapters; memory for its weights is not needed.
        shape: of the sequence.
        rank: of the adapters, which sit on all linear layers and patch embeddings.
        vision: whether the towers have adapters too (not in Freeze).
    """
    total = 0
    for name, size, n in _matrices(model, shape):
        tower = name.startswith(_TOWER)
        if tower and not vision:
            total += 2 * size * n
            continue
        outputs, *inputs = model.get_submodule(name).weight.shape
        inner = 1
        for one in inputs:
            inner *= one
        # The first matrix that has an adapter needs no gradient of its input.
        first = name.endswith("patch_embed.proj") if vision else name == "projector.fc1"
        total += 2 * size * n * (1 if first else 2)
        total += 2 * rank * n * (inner * (2 if first else 3) + outputs * 3)
    for name, width, n in _attention(model, shape):
        once = name.startswith(_TOWER) and not vision
        total += 4 * n * n * width * (1 if once else 3)
    return total


def alignment(objective: Objective, teacher: "Teacher", visual: int) -> int:
    """Return what Align adds for one picture: the teacher's forward pass and the projectors.

    Args:
        objective: the projectors; frozen ones have no gradient of their weights.
        teacher: a vision transformer.
        visual: tokens of the student and of the teacher.
    """
    per_projector = [
        sum(m.weight.numel() for m in projector.modules() if isinstance(m, nn.Linear))
        for projector in objective.projectors.values()
    ]
    factor = 2 if objective.align.frozen else 3
    return watching(teacher, visual) + factor * 2 * visual * sum(per_projector)


def watching(teacher: "Teacher", visual: int) -> int:
    """Return the operations of a teacher's forward pass over one picture of ``visual`` patches."""
    net = teacher.net
    blocks, first = (
        (net.blocks, net.num_prefix_tokens)
        if hasattr(net, "blocks")
        else (net.encoder.layer, net.config.num_summary_tokens)
    )
    n, total = visual + first, 0
    inside = {module for block in blocks for module in block.modules()}
    for module in net.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):  # outside of blocks: patches alone
            total += 2 * module.weight.numel() * (n if module in inside else visual)
    return total + len(blocks) * 4 * n * n * teacher.width


def _matrices(model: Prismatic, shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Yield name, weights and positions of every matrix that the loss depends on."""
    towers = dict(_towers(model.vision_backbone, shape.visual))
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        n = shape.tokens
        if name.startswith(_TOWER):
            tower, _, place = name.removeprefix(_TOWER).partition(".")
            depth, positions = towers[tower]
            part, _, rest = place.partition(".")
            if part == "blocks" and int(rest.partition(".")[0]) < depth:
                n = positions
            elif part == "patch_embed":
                n = shape.visual
            else:
                continue  # the last block, the pooling: no token comes from them
        elif name.startswith("projector."):
            n = shape.visual
        elif name.endswith("lm_head"):
            n = shape.answers
        yield name, module.weight.numel(), n


def _attention(model: Prismatic, shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Yield name, width and positions of every block's attention."""
    for tower, (depth, positions) in _towers(model.vision_backbone, shape.visual):
        net = getattr(model.vision_backbone, tower)
        yield from ((f"{_TOWER}{tower}", net.embed_dim, positions) for _ in range(depth))
    for _ in range(model.config.layers):
        yield "language_model", model.config.hidden_size, shape.tokens


def _towers(backbone: VisionBackbone, visual: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each tower's name with the number of its blocks in use and their positions."""
    for name, net in backbone.named_children():
        yield name, (len(net.blocks) - 1, visual + net.num_prefix_tokens)
