"""Draw a small red box and tell which device drew it: the proof that a Vulkan driver is usable.

Run as ``python -m unblind.machine.probe [FOLDER]``, always in its own process: a driver that SAPIEN
cannot use shows itself as anything from a warning to a crash, and ``import sapien`` itself fails
where libX11 is missing. With FOLDER the private driver of that folder is loaded first.
The last line on stdout is one JSON object: device, backend, middle, library.
"""

import json
import sys
from pathlib import Path

from unblind.machine import lavapipe

SIDE = 64  # pixels
EDGE = 0.2  # m, the box; seen from 1 m with 1 rad of view it covers the middle fifth


def draw_box() -> dict:
    """Render the box and return what a verdict needs.

    Returns:
        ``device`` (the driver's own name of it), ``backend`` (ManiSkill's ``render_backend`` for
        it: "cuda", or "cpu" for everything else), ``middle`` and ``corner`` (RGB of the middle
        pixel and of a background one, 0 to 255).

    Raises:
        RuntimeError: SAPIEN finds no device that it can render with.
    """
    import numpy as np
    import sapien

    system = sapien.render.RenderSystem()
    scene = sapien.Scene([sapien.physx.PhysxCpuSystem(), system])
    scene.set_ambient_light([0.5, 0.5, 0.5])
    box = scene.create_actor_builder()
    box.add_box_visual(half_size=[EDGE / 2] * 3, material=[1.0, 0.0, 0.0])
    box.build_static(name="box")
    camera = scene.add_camera("camera", SIDE, SIDE, fovy=1.0, near=0.01, far=10.0)
    camera.set_entity_pose(sapien.Pose([-1.0, 0.0, 0.0]))
    scene.update_render()
    camera.take_picture()
    picture = np.clip(camera.get_picture("Color") * 255, 0, 255).astype(int)
    middle = picture[SIDE // 2, SIDE // 2, :3]
    return {
        "device": system.device.name,
        "backend": "cuda" if system.device.is_cuda() else "cpu",
        "middle": middle.tolist(),
        "corner": picture[1, 1, :3].tolist(),
    }


def mapped_driver() -> str:
    """Return the path of the lavapipe library in this process's memory map, or ""."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(lavapipe.DRIVER):
            return line.split(maxsplit=5)[-1]
    return ""


def main() -> int:
    """Print the verdict; exit code 1 when the box is not red where it must be."""
    if len(sys.argv) > 1:
        lavapipe.load(Path(sys.argv[1]))
    verdict = draw_box() | {"library": mapped_driver()}
    print(json.dumps(verdict))
    red, green, blue = verdict["middle"]
    return 0 if red > 60 and red > 3 * max(green, blue) else 1


if __name__ == "__main__":
    sys.exit(main())
