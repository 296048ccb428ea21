"""Portraits: every object and plate alone, seen from many sides, cut out of its background.

Still lifes show the study's one camera; a portrait's camera stands anywhere around the thing. A
collage pastes portraits onto grounds of its own.
"""

import unblind.sim.engine  # noqa: F401

# isort: split
from collections.abc import Iterable
from functools import cache

import numpy as np
import sapien
from mani_skill.render.shaders import PREBUILT_SHADER_CONFIGS, set_shader_pack
from transforms3d.euler import euler2quat

from unblind.machine import renderer
from unblind.sim import studio
from unblind.sim.actors import build_entity
from unblind.sim.catalog import Model

SIDE = 96
"""Width and height of a portrait, px."""
_ELEVATION_DEG = (20.0, 75.0)
"""Lowest and highest view; the study's camera looks down at about 45 degrees."""
_FIELD_DEG = 20.0
"""Of view: nearly parallel rays, so that near parts are not blown up."""
_MARGIN = 1.08


class Portraits:
    """Draws models one at a time; every portrait depends on model and view alone.

    Attributes:
        views: portraits of a model.

    Args:
        models: what can be portrayed.

    Raises:
        UnblindError: no renderer can be set up.
    """

    views = 16

    def __init__(self, models: Iterable[Model]) -> None:
        set_shader_pack(PREBUILT_SHADER_CONFIGS["minimal"])
        device = sapien.Device(renderer.backend())  # one process can draw on one device alone
        self._scene = sapien.Scene(
            [sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem(device)]
        )
        studio.add_lights(self._scene)
        self._camera = self._scene.add_camera(
            "portrait", SIDE, SIDE, np.radians(_FIELD_DEG), 0.01, 20.0
        )
        self._models = {model.name: model for model in models}
        self._entities: dict[str, sapien.Entity] = {}

    @cache  # noqa: B019 - a worker keeps its renderer, and with it the portraits, to its end
    def draw(self, name: str, view: int) -> np.ndarray:
        """Return a portrait (SIDE, SIDE, 4) uint8: RGB multiplied by coverage, and coverage."""
        model = self._models[name]
        entity = self._entity(model)
        self._place_camera(model, np.random.default_rng([model.index, len(name), view]))
        body = entity.find_component_by_type(sapien.render.RenderBodyComponent)
        body.visibility = 1.0
        self._scene.update_render()
        self._camera.take_picture()
        body.visibility = 0.0
        color = self._camera.get_picture("Color")[..., :3]
        ids = self._camera.get_picture("PositionSegmentation")[..., 3]
        cover = np.where(ids == entity.per_scene_id, 255, 0).astype(np.uint8)[..., None]
        if color.dtype != np.uint8:
            color = (color * 255).round().clip(0, 255).astype(np.uint8)
        pad = np.concatenate([np.where(cover > 0, color, 0), cover], axis=-1)
        pad.flags.writeable = False
        return pad

    def _entity(self, model: Model) -> sapien.Entity:
        if model.name not in self._entities:
            entity = build_entity(model, model.name, static=True)
            self._scene.add_entity(entity)
            self._entities[model.name] = entity
        return self._entities[model.name]

    def _place_camera(self, model: Model, rng: np.random.Generator) -> None:
        """Look at the middle of a model from so far that all of it is in view."""
        yaw, pitch = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(*_ELEVATION_DEG))
        radius = float(np.linalg.norm(np.ptp(model.bbox, axis=0))) / 2
        distance = _MARGIN * radius / np.sin(np.radians(_FIELD_DEG) / 2)
        forward = [np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)]
        place = model.bbox.mean(0) - distance * np.array(forward)
        self._camera.entity.set_pose(sapien.Pose(place, euler2quat(0, pitch, yaw)))
