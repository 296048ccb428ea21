"""What surrounds the robot, as SAPIEN objects: camera, lights and table (``base_env.py``)."""

import unblind.sim.engine  # noqa: F401

# isort: split
import numpy as np
import sapien

from unblind.sim import camera

CAMERA_POSE = sapien.Pose(camera.MOUNT_POSITION, camera.MOUNT_QUATERNION)
#: Pinhole intrinsics at 640 x 480 pixels.
INTRINSIC = np.array(
    [[camera.FOCAL, 0, camera.CENTER[0]], [0, camera.FOCAL, camera.CENTER[1]], [0, 0, 1]]
)
FULL_WIDTH, FULL_HEIGHT = camera.FRAME
TABLE_HEIGHT = camera.TABLE_Z
#: The slab that stands for the released arena mesh: half sizes and centre, m. The arena's picture
#: is never seen (every background pixel is replaced by a table photo), only its surface matters.
TABLE_HALF_SIZE = (0.6, 0.6, 0.05)
TABLE_CENTRE = (-0.16, 0.0, TABLE_HEIGHT - TABLE_HALF_SIZE[2])


def intrinsic(width: int, height: int) -> np.ndarray:
    """Return the (3, 3) pinhole matrix for a frame of ``width`` x ``height`` pixels (4:3)."""
    return np.diag([width / FULL_WIDTH, height / FULL_HEIGHT, 1.0]) @ INTRINSIC


def add_lights(scene: sapien.Scene) -> None:
    """Add the released lights: ambient 0.3 and three directional ones, no shadows."""
    scene.set_ambient_light([0.3, 0.3, 0.3])
    scene.add_directional_light([0, 0, -1], [2.2, 2.2, 2.2])
    scene.add_directional_light([-1, -0.5, -1], [0.7, 0.7, 0.7])
    scene.add_directional_light([1, 1, -1], [0.7, 0.7, 0.7])


def build_table(visual: bool) -> sapien.Entity:
    """Return the static table slab, not yet in a scene (default physical material)."""
    half = np.array(TABLE_HALF_SIZE)
    body = sapien.physx.PhysxRigidStaticComponent()
    material = sapien.physx.get_default_material()
    body.attach(sapien.physx.PhysxCollisionShapeBox(half, material))
    entity = sapien.Entity()
    entity.name = "table"
    entity.add_component(body)
    if visual:
        render = sapien.render.RenderBodyComponent()
        render.attach(
            sapien.render.RenderShapeBox(
                half, sapien.render.RenderMaterial(base_color=[0.5, 0.4, 0.3, 1])
            )
        )
        entity.add_component(render)
    entity.pose = sapien.Pose(TABLE_CENTRE)
    return entity
