"""Generated pictures as the tower's and the VLM's stage see them: stored low features, and scenes.

The tower's first blocks are never trained, so what they make of a picture is computed once. A
picture costs 20 KB, and a step of training half of what it would cost from pictures.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unblind import files, png
from unblind.pictures import shards
from unblind.pictures.questions import Stocks
from unblind.pictures.scenes import Scene
from unblind.progress import Progress
from unblind.study.stages import STAGES
from unblind.training import cache
from unblind.training.team import Team
from unblind.vla.pixels import Squeezed
from unblind.vla.prismatic import Prismatic

_BATCH = 50


def write_low(model: Prismatic, pictures: Path, split: str, out: Path, team: Team) -> None:
    """Write ``out/SHARD.npy`` for every shard of a split, float16 (N, channels, rows, columns).

    Shards of an interrupted call are kept.

    Args:
        model: its vision backbone's frozen part is what counts.
        pictures: folder of `shards.write`.
        split: of the pictures.
        out: folder.
        team: the processes, which share the shards.
    """
    files_ = shards.paths(pictures, split)
    mine = [path for k, path in enumerate(files_) if k % team.n_parts in team.parts]
    todo = [path for path in mine if not _file(out, path).exists()]
    unit = STAGES["features_low"].unit_cpu_s * shards.SHARD_IMAGES
    progress = Progress("shards of frozen features", len(todo), unit, 15.0)
    for shard in todo:
        rows = shards.rows(shard, ["image"])
        with files.atomic_path(_file(out, shard)) as temporary, open(temporary, "wb") as file:
            np.save(file, low_features(model, [png.decode(row["image"]) for row in rows]))
        progress.advance()


def low_features(model: Prismatic, images: Sequence[np.ndarray]) -> np.ndarray:
    """Return what the tower's frozen part makes of pictures (H, W, 3) uint8, as float16."""
    pixels = Squeezed(model.config.image_size)
    parts = [
        model.vision_backbone.low(pixels.training(np.stack(images[start : start + _BATCH])))
        for start in range(0, len(images), _BATCH)
    ]
    return torch.cat(parts).half().contiguous().numpy()


def _file(folder: Path, shard: Path) -> Path:
    return Path(folder) / f"{shard.stem}.npy"


class Album:
    """The pictures of a split, by number.

    Attributes:
        scenes: what each shows.
        names: what pictures of this set can show (`questions.Stocks`).

    Args:
        pictures: folder of `shards.write`.
        split: of the pictures.
        low: folder of `write_low`.

    Raises:
        UnblindError: features are missing or of other pictures.
    """

    def __init__(self, pictures: Path, split: str, low: Path) -> None:
        files_ = shards.paths(pictures, split)
        scenes = [[row["scene"] for row in shards.rows(path, ["scene"])] for path in files_]
        self._low = cache.Rows([_file(low, path) for path in files_], list(map(len, scenes)))
        self.scenes = [Scene.from_json(text) for texts in scenes for text in texts]
        self.names: Stocks = shards.names(pictures)

    def __len__(self) -> int:
        return len(self.scenes)

    def low(self, numbers: Sequence[int]) -> Tensor:
        """Return the features of pictures, (N, channels, rows, columns) float32."""
        return torch.from_numpy(self._low[numbers].astype(np.float32))
