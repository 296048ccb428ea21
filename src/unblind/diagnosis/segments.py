"""The environment with an answer to "what does each pixel show?", from the simulator itself."""

import unblind.sim.engine  # noqa: F401

# isort: split
import numpy as np

from unblind.diagnosis.frames import PARTS
from unblind.sim.env import PutOnPlateEnv


class SegmentedEnv(PutOnPlateEnv):
    """The study's environment; its pictures are the same."""

    def segments(self) -> np.ndarray:
        """Return what the last picture shows, (H, W) uint8: numbers of `PARTS`.

        What is in front counts; the table photo, which replaces all else, is the background.
        """
        minimal = self._camera.get_picture("Color").dtype == np.uint8
        name, channel = ("PositionSegmentation", 3) if minimal else ("Segmentation", 1)
        ids = self._camera.get_picture(name)[..., channel]
        part_of = np.zeros(len(self._shown_ids), np.uint8)
        for link in self._articulation.links:
            part_of[link.entity.per_scene_id] = PARTS.index("robot")
        for role, (entity, _) in self._actors.items():
            part_of[entity.per_scene_id] = PARTS.index(role)
        return part_of[ids]
