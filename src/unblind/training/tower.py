"""The tower's own pretraining: regions of pictures against words, before any decoder is trained.

OpenVLA's towers came from contrastive training with text (CLIP, Radford et al. 2021; SigLIP, Zhai
et al. 2023). Here the text side is the decoder's own word embeddings - a name is the sum of its
words - and the picture side what the projector makes of a token, so that visual tokens and words
lie in one space before the decoder learns to read them. Places are words too: a location token
starts as the sines of its place, of which the visual tokens' position table is made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unblind.config import Config, Encoder, Tower, digest
from unblind.machine import torchvision
from unblind.pictures.scenes import COLORS, Scene
from unblind.study import jobs
from unblind.study.stages import STAGES
from unblind.training import loop, pretrain
from unblind.training.album import Album, write_low
from unblind.training.meter import Meter
from unblind.training.team import Team
from unblind.vla import checkpoint
from unblind.vla.prismatic import Prismatic
from unblind.vla.text import LOCATIONS, Vocabulary
from unblind.vla.text import location as location_token

NOTHING, GRIPPER = "nothing", "gripper"
_CLEAR = 0.2
"""Least distance of an empty region from all things, as share of the picture."""
_JITTER = 0.8
"""Of a cell's side, by which a region is moved off its thing's middle."""
_PLACE_WIDTH = 1.5
"""Standard deviation of soft places, in location bins."""
_VISUAL_NORM, _NORM_WEIGHT = 4.0, 0.01
"""Length that visual tokens are kept near to: that of their position table."""
_WORD_NORM, _HEAD_NORM = 1.0, 0.25
"""Length of word embeddings and of the output head's rows after this stage."""


class Regions(dict[str, Tensor]):
    """What stands at some cells of a batch's pictures: picture, cell and label of each field.

    ``picture`` and ``cell`` (R,); ``name``, ``color``, ``kind`` (R,), -1 where there is none;
    ``place`` (R, 2) location bins of the thing's middle, -1 where there is none; ``table`` (B,).
    """


@dataclass(frozen=True)
class Names:
    """The texts that regions are told apart by: name, colour, kind, and the picture's table."""

    name: tuple[str, ...]
    color: tuple[str, ...]
    kind: tuple[str, ...]
    table: tuple[str, ...]

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "Names":
        """Return all texts that occur in ``scenes``."""
        things = {(t.name, t.kind) for scene in scenes for t in scene.things}
        return cls(
            tuple(sorted({name for name, _ in things} | {NOTHING, GRIPPER})),
            COLORS,
            tuple(sorted({kind for _, kind in things})),
            tuple(sorted({scene.table for scene in scenes if scene.table})),
        )


def regions(
    scenes: Sequence[Scene], names: Names, grid: int, rng: np.random.Generator | None
) -> Regions:
    """Return the regions of pictures: each thing's, the gripper's, and one that is empty.

    Args:
        scenes: what the pictures show.
        names: the texts.
        grid: cells along a side.
        rng: moves regions off the middle and draws the empty ones; without it the middles alone.
    """
    number = {field: {t: k for k, t in enumerate(getattr(names, field))} for field in FIELDS}
    rows: list[tuple] = []
    for picture, scene in enumerate(scenes):
        marks = [(t.place, t.name, t.color, t.kind) for t in scene.things]
        if scene.gripper and scene.gripper.holds is None:
            marks.append((scene.gripper.place, GRIPPER, None, None))
        for place, name, color, kind in marks:
            if name not in number["name"]:
                continue
            cell = _cell(place, grid, rng)
            labels = [number[f].get(v, -1) for f, v in (("name", name), ("color", color))]
            rows.append((picture, cell, *labels, number["kind"].get(kind, -1), *_bins(place)))
        if rng is not None and not scene.hidden:
            place = tuple(rng.random(2).tolist())
            if all(np.hypot(*np.subtract(place, m[0])) > _CLEAR for m in marks):
                cell = _cell(place, grid, None)
                rows.append((picture, cell, number["name"][NOTHING], -1, -1, -1, -1))
    columns = torch.tensor(rows).T
    return Regions(
        picture=columns[0],
        cell=columns[1],
        name=columns[2],
        color=columns[3],
        kind=columns[4],
        place=columns[5:7].T,
        table=torch.tensor([number["table"].get(scene.table, -1) for scene in scenes]),
    )


FIELDS = ("name", "color", "kind", "table")
_WEIGHTS = {"name": 1.0, "color": 0.3, "kind": 0.3, "table": 0.3, "place": 0.15}


def _cell(place: Sequence[float], grid: int, rng: np.random.Generator | None) -> int:
    shift = rng.uniform(-_JITTER / 2, _JITTER / 2, 2) if rng is not None else np.zeros(2)
    row, column = np.clip(np.array(place) * grid + shift, 0, grid - 1e-6).astype(int)
    return int(row * grid + column)


def _bins(place: Sequence[float]) -> tuple[int, int]:
    row, column = (min(max(int(share * LOCATIONS), 0), LOCATIONS - 1) for share in place)
    return row, column


class Contrast(nn.Module):
    """The similarity of visual tokens to texts, in the decoder's embedding space.

    Args:
        model: whose tower, projector and word embeddings are trained.
        vocabulary: of the words.
        names: the texts.
        loss: a key of `NAME_LOSSES`.

    Attributes:
        scale: logarithm of the similarities' factor, learned.
        bias: added to the similarities by the sigmoid loss.
        place_scale: the same for places.
    """

    def __init__(
        self, model: Prismatic, vocabulary: Vocabulary, names: Names, loss: str = "names"
    ) -> None:
        super().__init__()
        self._model = [model]  # not a submodule: its parameters are trained under its own names
        self._tokens = {field: _bags(vocabulary, getattr(names, field)) for field in FIELDS}
        self._locations = vocabulary.locations
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.bias = nn.Parameter(torch.tensor(-8.0))
        self.place_scale = nn.Parameter(torch.tensor(1.0))
        self._name_loss = NAME_LOSSES[loss](self)

    def texts(self, field: str) -> Tensor:
        """Return a field's texts (T, hidden), each the sum of its words, of length 1."""
        ids, weight = self._tokens[field]
        embed = self._model[0].language_model.get_input_embeddings()
        return functional.normalize((embed(ids) * weight[..., None]).sum(1), dim=-1)

    def visual(self, low: Tensor) -> Tensor:
        """Return the projected tokens (B, n, hidden), without their positions."""
        return self._model[0].projector(self._model[0].vision_backbone(low))

    def scores(self, tokens: Tensor, field: str) -> Tensor:
        """Return the similarity (..., T) of tokens (..., hidden) to a field's texts."""
        return self.scale.exp() * functional.normalize(tokens, dim=-1) @ self.texts(field).T

    def places(self, visual: Tensor, found: Regions) -> tuple[Tensor, Tensor]:
        """Return the similarity (R, 128) of regions' tokens to row and column bins."""
        table = self._model[0].visual_positions
        placed = visual if table is None else visual + table
        tokens = placed[found["picture"], found["cell"]]
        embed = self._model[0].language_model.get_input_embeddings().weight
        words = embed[self._locations.start : self._locations.stop]
        half = tokens.shape[-1] // 2
        scale = self.place_scale.exp()
        return tuple(
            scale * tokens[:, part] @ functional.normalize(words[:, part], dim=-1).T
            for part in (slice(None, half), slice(half, None))
        )

    def loss(self, low: Tensor, found: Regions) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted loss, and every term without its gradient."""
        visual = self.visual(low)
        tokens = visual[found["picture"], found["cell"]]
        terms = {"name": self._name_loss(tokens, found["name"])}
        for field in ("color", "kind", "table"):
            of = visual.mean(1) if field == "table" else tokens
            if (found[field] >= 0).any():
                terms[field] = functional.cross_entropy(
                    self.scores(of, field), found[field], ignore_index=-1
                )
        terms["place"] = self._place_loss(visual, found)
        length = (visual.norm(dim=-1) - _VISUAL_NORM).square().mean()
        total = sum(_WEIGHTS[key] * term for key, term in terms.items()) + _NORM_WEIGHT * length
        return total, {key: term.detach() for key, term in terms.items()}

    def _place_loss(self, visual: Tensor, found: Regions) -> Tensor:
        known = found["place"][:, 0] >= 0
        bins = torch.arange(LOCATIONS)
        total = torch.zeros(())
        for axis, scores in enumerate(self.places(visual, found)):
            off = (bins - found["place"][known, axis][:, None]) / _PLACE_WIDTH
            share = torch.softmax(-0.5 * off.square(), dim=-1)
            total = total + functional.cross_entropy(scores[known], share)
        return total / 2


NameLoss = Callable[[Tensor, Tensor], Tensor]


def _among_all(contrast: Contrast) -> NameLoss:
    """Cross-entropy of every region over all names: CLIP's loss with the whole text set at hand."""

    def loss(tokens: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(contrast.scores(tokens, "name"), labels)

    return loss


def _among_pairs(contrast: Contrast, class_name: str) -> NameLoss:
    """One of open_clip's losses, over one region of every name that a batch shows.

    Their off-diagonal pairs are taken for mismatches, so no name may occur twice.
    """
    torchvision.guard()
    import open_clip.loss

    pairs = getattr(open_clip.loss, class_name)()

    def loss(tokens: Tensor, labels: Tensor) -> Tensor:
        # Regions stand in an order drawn at random, so the first of a name is any of its regions.
        kept, first = np.unique(labels.numpy(), return_index=True)
        regions_ = functional.normalize(tokens[torch.from_numpy(first)], dim=-1)
        texts = contrast.texts("name")[torch.from_numpy(kept)]
        bias = contrast.bias if class_name == "SigLipLoss" else None
        return pairs(regions_, texts, contrast.scale.exp(), bias)

    return loss


#: How a batch's regions and names are contrasted, by the configuration's `base.tower.loss`.
NAME_LOSSES: dict[str, Callable[[Contrast], NameLoss]] = {
    "names": _among_all,
    "clip": lambda contrast: _among_pairs(contrast, "ClipLoss"),
    "siglip": lambda contrast: _among_pairs(contrast, "SigLipLoss"),
}


def _bags(vocabulary: Vocabulary, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the token ids (T, most words) of texts, and 1 where there is a word."""
    ids = [vocabulary.encode(text) for text in texts]
    most = max(map(len, ids), default=1)
    padded = torch.tensor([[*i, *[0] * (most - len(i))] for i in ids], dtype=torch.long)
    weights = torch.tensor([[1.0] * len(i) + [0.0] * (most - len(i)) for i in ids])
    return padded.view(-1, most), weights.view(-1, most)


def place_words(model: Prismatic, vocabulary: Vocabulary) -> None:
    """Let location tokens start as the sines of their places, in input and output alike."""
    center = (torch.arange(LOCATIONS) + 0.5) / LOCATIONS * 2 - 1
    width, grid = model.config.hidden_size, model.config.grid
    octaves = torch.arange(width // 4) / (width // 4) * np.log2(grid) - 1
    angle = center[:, None] * torch.pi * 2.0**octaves
    sines = torch.cat([angle.sin(), angle.cos()], dim=1).repeat(1, 2)
    span = slice(vocabulary.locations.start, vocabulary.locations.stop)
    assert vocabulary.encode(location_token(0))[0] == span.start
    with torch.no_grad():
        embed = model.language_model.get_input_embeddings().weight
        embed[span] = functional.normalize(sines, dim=-1) * _WORD_NORM
    align_head(model)


def align_head(model: Prismatic) -> None:
    """Give all word embeddings one length, and the output head the same directions."""
    with torch.no_grad():
        embed = model.language_model.get_input_embeddings().weight
        embed.copy_(functional.normalize(embed, dim=-1) * _WORD_NORM)
        model.language_model.lm_head.weight.copy_(embed / _WORD_NORM * _HEAD_NORM)


#: What is trained by the stages of this module: sizes and schedule.
_PLANS: Mapping[str, Callable[[Config], tuple[Encoder, Tower]]] = {
    "tower": lambda config: (config.base.model, config.base.tower),
    "contrastive": lambda config: (config.contrastive.model, config.contrastive.schedule),
}


def train_tower(team: Team, config: Config, stage: str, pictures: Path, out: Path) -> None:
    """Train a new model's tower, projector and words on pictures; write the checkpoint ``out``.

    The frozen features of the pictures stay in ``out/low``, for a stage that comes next.

    Args:
        team: the processes.
        config: the study.
        stage: the student's tower ('tower'), or the teacher that is trained here ('contrastive').
        pictures: folder of `unblind.pictures.shards.write`.
        out: folder of the checkpoint.

    Raises:
        UnblindError: the pictures are missing or damaged, or the disk is full.
    """
    (sizes, plan), seed = _PLANS[stage](config), jobs.Job(config, stage).seed
    vocabulary = pretrain.make_vocabulary()
    model = pretrain.make_model(sizes, vocabulary, seed)
    place_words(model, vocabulary)
    write_low(model, pictures, "train", out / "low", team)
    team.wait()
    album = Album(pictures, "train", out / "low")
    names = Names.of(album.scenes)
    contrast = Contrast(model, vocabulary, names, plan.loss)
    parameters = pretrain.trained(model)
    parameters = {n: p for n, p in parameters.items() if n.startswith(_TRAINED)}
    parameters |= dict(contrast.named_parameters())

    def loss(step: int, part: int) -> tuple[Tensor, dict[str, Tensor]]:
        rng = np.random.default_rng([seed, step, part])
        numbers = rng.integers(0, len(album), plan.batch // team.n_parts)
        scenes = [album.scenes[n] for n in numbers]
        found = regions(scenes, names, model.config.grid, rng)
        return contrast.loss(album.low(numbers), found)

    schedule = loop.Schedule(plan.steps, plan.rate, plan.warm_up, plan.weight_decay)
    identity, unit = digest(jobs.settings(config, stage)), STAGES[stage].unit_cpu_s
    job = loop.Job(schedule, out, identity, seed, _CHECKPOINT_STEPS, unit * plan.batch)
    slower = [name for name in parameters if name.startswith("vision_backbone.")]
    loop.fit(team, parameters, loss, job, Meter(team, plan.batch), slower)
    align_head(model)
    if team.leads:
        checkpoint.save(out, model, vocabulary, pretrain.NO_STATISTICS.to_json())


#: Steps between states to go on from.
_CHECKPOINT_STEPS = 100
_TRAINED = (
    "vision_backbone.",
    "projector.",
    "visual_positions",
    "language_model.model.embed_tokens.",
)


@torch.no_grad()
def accuracies(
    contrast: Contrast,
    low: Callable[[int, int], Tensor],
    scenes: Sequence[Scene],
    names: Names,
    grid: int,
    batch: int = 100,
) -> Mapping[str, Any]:
    """Return the share of regions whose name comes first, by kind, and the error of places.

    Args:
        contrast: what is measured.
        low: (start, stop) -> stored features of pictures.
        scenes: of the pictures.
        names: the texts.
        grid: cells along a side.
        batch: pictures at a time.
    """
    right: dict[str, list[bool]] = {}
    for start in range(0, len(scenes), batch):
        part = scenes[start : start + batch]
        found = regions(part, names, grid, None)
        visual = contrast.visual(low(start, start + len(part)))
        tokens = visual[found["picture"], found["cell"]]
        hits = (contrast.scores(tokens, "name").argmax(-1) == found["name"]).tolist()
        for hit, kind in zip(hits, found["kind"].tolist(), strict=True):
            right.setdefault(names.kind[kind] if kind >= 0 else GRIPPER, []).append(hit)
        near = [
            (scores.argmax(-1) - found["place"][:, axis]).abs() <= 6
            for axis, scores in enumerate(contrast.places(visual, found))
        ]
        right.setdefault("place", []).extend((near[0] & near[1]).tolist())
        for field, tokens_ in (("color", tokens), ("table", visual.mean(1))):
            known = found[field] >= 0
            if known.any():
                hit = contrast.scores(tokens_[known], field).argmax(-1) == found[field][known]
                right.setdefault(field, []).extend(hit.tolist())
    right["all"] = [hit for kind in names.kind for hit in right.get(kind, [])]
    return {kind: round(float(np.mean(hits)), 3) for kind, hits in sorted(right.items())}
