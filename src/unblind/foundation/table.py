"""The teachers of the paper (section 8.3, tables 4 and 11): one table, and their loading."""

from dataclasses import dataclass
from pathlib import Path

import torch

from unblind import hub, weights
from unblind.errors import UnblindError
from unblind.foundation import reading
from unblind.foundation.frozen import GRID, FrozenTeacher
from unblind.foundation.layouts import Sizes
from unblind.foundation.networks import NETWORKS

#: What is fetched of a repository.
PATTERNS = (reading.CONFIG, *weights.PATTERNS)


@dataclass(frozen=True)
class Row:
    """One teacher.

    Attributes:
        family: key of `layouts.LAYOUTS` and `networks.NETWORKS`.
        repo: on the Hugging Face hub.
        revision: the commit that is fetched; empty where none has been checked.
        sizes: of the network; `sizes.patch` times `GRID` is the input side.
        licence: of the weights.
    """

    family: str
    repo: str
    revision: str
    sizes: Sizes
    licence: str

    @property
    def input_size(self) -> int:
        """Input side in pixels that meets the student's grid."""
        return self.sizes.patch * GRID


_RADIO, _APACHE = "NVIDIA Open Model License", "Apache-2.0"
_THEIA = "The AI Institute licence (research)"
_DEIT_BASE = Sizes(768, 12, 12, 3072, patch=16, positions=14)
ROWS: dict[str, Row] = {
    # The paper's own choice. Its text gives a width of 768, its released script and the
    # checkpoint 1024.
    "c-radiov3-l": Row(
        "radio",
        "nvidia/C-RADIOv3-L",
        "9d0413465e8a91e67bbf2c1ad342815478d1b906",
        Sizes(1024, 24, 16, 4096, patch=16, positions=128, scaled=True),
        _RADIO,
    ),
    "c-radiov3-h": Row(
        "radio",
        "nvidia/C-RADIOv3-H",
        "d7fd0e2b0a1761f1af150582e06c41e9a99b0bf8",
        Sizes(1280, 32, 16, 5120, patch=16, positions=128),
        _RADIO,
    ),
    "dinov2-large": Row(
        "dino",
        "facebook/dinov2-large",
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        Sizes(1024, 24, 16, 4096, patch=14, positions=37, scaled=True),
        _APACHE,
    ),
    "dinov2-giant": Row(
        "dino",
        "facebook/dinov2-giant",
        "611a9d42f2335e0f921f1e313ad3c1b7178d206d",
        Sizes(1536, 40, 24, 4096, patch=14, positions=37, gated=True, scaled=True),
        _APACHE,
    ),
    "siglip-so400m": Row(
        "siglip",
        "google/siglip-so400m-patch14-224",
        "d04cf29fca7b6374f74d8bea1969314492266b5e",
        Sizes(1152, 27, 16, 4304, patch=14, positions=16),
        _APACHE,
    ),
    # The two that the released script names.
    "theia-base-cddsv": Row(
        "theia", "theaiinstitute/theia-base-patch16-224-cddsv", "", _DEIT_BASE, _THEIA
    ),
    "theia-base-cdiv": Row(
        "theia", "theaiinstitute/theia-base-patch16-224-cdiv", "", _DEIT_BASE, _THEIA
    ),
}
"""Name (``training.align.teacher``) -> teacher."""


def row(name: str) -> Row:
    """Return the row of `ROWS` called ``name``.

    Raises:
        UnblindError: there is none.
    """
    if name not in ROWS:
        raise UnblindError(f"no teacher called {name!r}", f"use {', '.join(ROWS)}")
    return ROWS[name]


def load(
    name: str,
    source: str = "",
    *,
    interpolate: bool = False,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> FrozenTeacher:
    """Return a teacher with its published weights.

    Args:
        name: key of `ROWS`.
        source: a folder in the hub's layout, or ``owner/name@commit``; empty is the row's own.
        interpolate: meet a grid that the teacher cannot give by interpolating its tokens.
        device: where it runs.
        dtype: of its weights and its arithmetic (the release: bfloat16).

    Raises:
        UnblindError: there is no such teacher, its files cannot be had, are pickles or damaged,
            or belong to another model; the first three differing names are given.
    """
    wanted, folder = row(name), place(name, source)
    found = reading.read(wanted.family, wanted.sizes, wanted.repo, folder, dtype)
    origin = {
        "network": wanted.repo,
        "source": source or f"{wanted.repo}@{wanted.revision}",
        "twin": found.twin,
        "precision": str(dtype).removeprefix("torch."),
        "files": found.files,
    }
    teacher = FrozenTeacher(name, wanted.family, found.sizes, found.net, origin, interpolate)
    return teacher.to(device)


def place(name: str, source: str = "") -> Path:
    """Return the folder of a teacher's files, which are fetched where they are missing.

    Args:
        name: key of `ROWS`.
        source: see `load`.

    Raises:
        UnblindError: there is no such teacher, or its files cannot be had.
    """
    return hub.place(source or _published(name, row(name)), PATTERNS)


def random_teacher(name: str, device: str, dtype: torch.dtype, seed: int) -> FrozenTeacher:
    """Return a teacher of the published sizes with random weights, made on the device.

    For measuring speed and memory where the weights are not at hand; the features mean nothing.

    Args:
        name: key of `ROWS`.
        device: where it is made and runs.
        dtype: of its weights.
        seed: of the weights.

    Raises:
        UnblindError: there is no such teacher.
    """
    wanted = row(name)
    with torch.device("meta"):
        net = NETWORKS[wanted.family].build(wanted.sizes).to(dtype)
    net.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for tensor in net.parameters():
        tensor.data.normal_(0, 0.02, generator=generator)
    origin = {"network": wanted.repo, "random_seed": seed}
    return FrozenTeacher(name, wanted.family, wanted.sizes, net, origin)


def _published(name: str, wanted: Row) -> str:
    if not wanted.revision:
        raise UnblindError(
            f"no commit of {wanted.repo} is pinned for the teacher {name!r}",
            f"name a folder with its files, or {wanted.repo}@commit",
        )
    return f"{wanted.repo}@{wanted.revision}"
