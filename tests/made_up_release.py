"""A made-up release: as many objects, plates and tables as the authors', with their names."""

import json
from pathlib import Path

import cv2
import numpy as np
import trimesh

from unblind import files
from unblind.sim import conditions, released_files
from unblind.sim.builtin import BUILTIN


def write(root: Path) -> dict[str, released_files.Entry]:
    """Write it below ``root`` and return its manifest; every object and plate is a box."""
    for kind, models in (("more_carrot", BUILTIN.objects), ("more_plate", BUILTIN.plates)):
        rows = {}
        for number, model in enumerate(models, 1):
            key, box = f"{number:03d}_{model.name}_1", trimesh.creation.box(bounds=model.bbox)
            bounds = dict(zip(("min", "max"), model.bbox.tolist(), strict=True))
            rows[key] = {"name": model.name, "density": model.density, "bbox": bounds}
            _put(root, f"{kind}/{key}/collision.obj", box.export(file_type="obj").encode())
            _put(root, f"{kind}/{key}/textured.glb", box.export(file_type="glb"))
        _put(root, f"{kind}/model_db.json", json.dumps(rows).encode())
    rows = {}
    for number, name in enumerate(conditions.TABLES, 1):
        photo, texture = f"{number:03d}_{name}.png", f"{number:03d}.png"
        rows[photo] = {"name": name, "texture": texture, "mix": 1.0}
        picture = np.full((6, 8, 3), 10 * number, np.uint8)
        for place in (f"imgs/{photo}", f"textures/{texture}"):
            _put(root, f"more_table/{place}", cv2.imencode(".png", picture)[1].tobytes())
    _put(root, "more_table/model_db.json", json.dumps(rows).encode())
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): released_files.Entry(
            str(path.stat().st_size), files.sha256(path)
        )
        for path in found
    }


def folder_of(kind: str, name: str, number: int) -> str:
    """Return the manifest's path of an object's ("more_carrot") or a plate's folder."""
    return f"carrot/{kind}/{number:03d}_{name}_1"


def _put(root: Path, path: str, data: bytes) -> None:
    place = root / "carrot" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
