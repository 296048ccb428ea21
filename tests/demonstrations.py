"""Made-up demonstrations: a set's files in a moment, without a simulator."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unblind import files
from unblind.config import Config
from unblind.demos import manifests, shards
from unblind.sim import camera
from unblind.study import jobs

#: Steps of an episode, the one that closes the gripper and the one that opens it again.
STEPS, CLOSING, OPENING = 16, 7, 14


def picture(rng: np.random.Generator) -> bytes:
    """Return a PNG of coloured squares, 64 x 48."""
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    whole = coarse.repeat(8, axis=0).repeat(8, axis=1)
    return cv2.imencode(".png", whole)[1].tobytes()


def actions(rng: np.random.Generator) -> np.ndarray:
    """Return (STEPS, 7) motions of 1 to 2 cm; the gripper closes and opens without motion."""
    values = rng.choice([-1, 1], (STEPS, 7)) * rng.uniform(0.01, 0.02, (STEPS, 7))
    values[3] /= 10  # too small a step for the released rule
    values[[CLOSING, OPENING]] = 0
    values[:, 6] = 1
    values[CLOSING:OPENING, 6] = -1
    return values.astype(np.float32)


def episode(number: int, instruction: str = "put carrot on plate") -> list[dict]:
    """Return an episode's rows in the schema of the shards; its number decides everything."""
    rng = np.random.default_rng(number)
    moves = actions(rng)
    ground = np.array([*camera.GRID_CENTER, camera.TABLE_Z])
    return [
        {
            "episode_id": number,
            "step": step,
            "image": picture(rng),
            "action": action,
            "executed": action,
            "instruction": instruction,
            "stage": "reach" if step < CLOSING else "lift",
            "object_xyz": ground + [*rng.uniform(-0.07, 0.07, 2), 0.01],
            "plate_xyz": ground + [*rng.uniform(-0.07, 0.07, 2), 0.0],
            "gripper_xyz": ground + [*rng.uniform(-0.07, 0.07, 2), rng.uniform(0.02, 0.2)],
            "held": CLOSING < step < OPENING,
        }
        for step, action in enumerate(moves)
    ]


def write(
    folder: Path, config: Config, train: int, held_out: int = 0, instruction: str | None = None
) -> Path:
    """Write a set of made-up episodes with its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for split, numbers in (("train", range(train)), ("held_out", range(100, 100 + held_out))):
        if numbers:
            words = [instruction] if instruction else []
            rows = [row for number in numbers for row in episode(number, *words)]
            log = [[{"episode_id": n, "object": "carrot", "success": True}] for n in numbers]
            table = pa.Table.from_pylist(rows, schema=shards.SCHEMA)
            table = table.replace_schema_metadata({"attempts": json.dumps(log)})
            names[split] = f"{split}-00000.parquet"
            pq.write_table(table, folder / names[split])
    part = jobs.settings(config, "demos")
    manifest = manifests.describe(config, part, folder, list(names.values()))
    files.write_json(folder / "manifest.json", manifest)
    return folder
