"""What the numbers and pictures of two sides mean, declared by both and compared before a step."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from unblind.config import Config
from unblind.serving.messages import shown
from unblind.serving.msgpack import Malformed

#: What a policy may leave open with null: it takes any camera and any size of picture, looks at no
#: picture at all (``picture_format``), or reads no instruction.
OPEN = ("camera", "picture", "picture_format", "instruction")


@dataclass(frozen=True)
class Conventions:
    """How an action of seven numbers and an observation are to be read.

    Defaults are those of a policy that fits this benchmark (`unblind.sim.robot`), and takes any
    picture.

    Attributes:
        position: of the first three numbers: differences along x, y, z.
        position_unit: of these.
        position_range: least and greatest of these.
        rotation: of the next three numbers: differences as Euler angles about x, then the new y,
            then the new z (R = Rx Ry Rz; SciPy's "XYZ").
        rotation_unit: of these.
        rotation_range: least and greatest of these.
        frame: whose axes these are.
        reference: what differences are added to: the target before, not the measured pose.
        gripper: of the last number: -1 closes, 1 opens.
        gripper_range: least and greatest of it.
        control_hz: steps a second.
        camera: the view; its place is that of BridgeData V2.
        picture: [height, width], px.
        picture_format: of its array; None: the policy looks at nothing.
        instruction: how the policy is told what to do.
    """

    position: str = "delta_xyz"
    position_unit: str = "m"
    position_range: tuple[float, float] = (-1.0, 1.0)
    rotation: str = "euler_XYZ_intrinsic"
    rotation_unit: str = "rad"
    rotation_range: tuple[float, float] = (-math.pi / 2, math.pi / 2)
    frame: str = "base"
    reference: str = "previous_target"
    gripper: str = "binary_close_negative"
    gripper_range: tuple[float, float] = (-1.0, 1.0)
    control_hz: float = 5.0
    camera: str | None = None
    picture: tuple[int, int] | None = None
    picture_format: str | None = "rgb_hwc_uint8"
    instruction: str | None = "text"

    @classmethod
    def from_wire(cls, declared: Any) -> Self:
        """Return the conventions that the other side has declared.

        Raises:
            Malformed: a key is missing, unknown, or of another kind.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(declared, dict):
            raise Malformed("it declares no conventions")
        if missing := [name for name in names if name not in declared]:
            raise Malformed(f"its conventions lack {', '.join(missing)}")
        if unknown := [name for name in declared if name not in names]:
            raise Malformed(f"its conventions hold the unknown {shown(', '.join(unknown))}")
        values = {name: _value(name, declared[name]) for name in names}
        return cls(**values)

    def to_wire(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        """Return them in one line."""
        return ", ".join(f"{name} {_told(value)}" for name, value in asdict(self).items())

    def limits(self) -> list[tuple[float, float]]:
        """Return least and greatest of each of the seven numbers."""
        return [self.position_range] * 3 + [self.rotation_range] * 3 + [self.gripper_range]

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return what vla-eval's harness compares: ``action_spec`` and ``observation_spec``."""
        action = {
            part: {
                "name": part,
                "dims": dims,
                "format": getattr(self, part),
                "range": list(getattr(self, f"{part}_range")),
            }
            for part, dims in (("position", 3), ("rotation", 3), ("gripper", 1))
        }
        seen = {"image": self.picture_format, "language": self.instruction and "language"}
        observation = {
            part: {"name": part, "dims": 0, "format": kind} for part, kind in seen.items() if kind
        }
        return {"action_spec": action, "observation_spec": observation}


def of_benchmark(config: Config) -> Conventions:
    """Return what the conditions of a study ask of a policy, and show it."""
    from unblind.sim.env import CONTROL_HZ

    return Conventions(
        control_hz=float(CONTROL_HZ),
        camera="bridge_third_person",
        picture=(config.render.height, config.render.width),
    )


def differences(benchmark: Conventions, policy: Conventions) -> Iterator[str]:
    """Yield where a policy does not fit a benchmark, each with what either side says.

    A policy's ranges may be narrower, and what it leaves open (`OPEN`) fits anything.
    """
    for field in fields(Conventions):
        asked, given = getattr(benchmark, field.name), getattr(policy, field.name)
        if field.name.endswith("_range"):
            fits = asked[0] <= given[0] <= given[1] <= asked[1]
        else:
            fits = asked == given or (given is None and field.name in OPEN)
        if not fits:
            yield f"{field.name}: benchmark {_told(asked)}, policy {_told(given)}"


def contradictions(declared: Conventions, payload: Mapping[str, Any]) -> Iterator[str]:
    """Yield where vla-eval's ``action_spec`` of a server says otherwise than its conventions."""
    spec = payload.get("action_spec")
    if not isinstance(spec, dict):
        return
    for part in ("position", "rotation", "gripper"):
        entry = spec.get(part)
        if isinstance(entry, dict) and entry.get("format") != getattr(declared, part):
            own = _told(getattr(declared, part))
            yield f"{part}: conventions {own}, action_spec {_told(entry.get('format'))}"


def _value(name: str, value: Any) -> Any:
    """Return a declared value, lists as tuples.

    Raises:
        Malformed: it is of another kind than the key's.
    """
    if value is None and name in OPEN:
        return None
    if name == "picture" or name.endswith("_range"):
        kinds = (int,) if name == "picture" else (int, float)
        if isinstance(value, list) and len(value) == 2 and all(type(v) in kinds for v in value):
            return tuple(value) if name == "picture" else tuple(map(float, value))
    elif name == "control_hz":
        if type(value) in (int, float):
            return float(value)
    elif isinstance(value, str):
        return value
    raise Malformed(f"its conventions say {name} = {shown(value)}")


def _told(value: Any) -> str:
    if value is None:
        return "says nothing"
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{number:g}" for number in value) + "]"
    return f"{value:g}" if isinstance(value, float) else shown(value)
