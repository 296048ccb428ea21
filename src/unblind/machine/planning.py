"""Plan one straight lift of the gripper with MPLib: the proof that the planner works here.

Run as ``python -m unblind.machine.planning URDF SRDF``, always in its own process: with NumPy 2
this release of MPLib ends its process with a segmentation fault instead of raising.
The last line on stdout is one JSON object: steps, error_mm.
"""

import json
import sys

import numpy as np

START = np.array([-0.018, 0.040, 0.222, -0.005, 1.365, 0.002, 0.037, 0.037])
"""Arm joints (rad) and fingers (m) near those at the start of a released episode."""
LIFT = 0.03  # m
TOLERANCE = 0.002  # m, between the end of the plan and the wanted place; MPLib stops within 1 mm


def plan_lift(urdf: str, srdf: str) -> tuple[int, float]:
    """Plan a lift and return the number of waypoints and the error of the last one (m).

    Raises:
        RuntimeError: MPLib finds no plan.
    """
    from mplib import Planner

    planner = Planner(urdf=urdf, srdf=srdf, move_group="ee_gripper_link")
    link = planner.link_name_2_idx["ee_gripper_link"]
    model = planner.pinocchio_model
    model.compute_forward_kinematics(START)
    target = np.array(model.get_link_pose(link), dtype=float)
    target[2] += LIFT
    plan = planner.plan_screw(target, START, time_step=0.2)
    if plan["status"] != "Success":
        raise RuntimeError(f"no screw motion for a lift of {LIFT} m: {plan['status']}")
    end = np.concatenate([plan["position"][-1], START[len(plan["position"][-1]) :]])
    model.compute_forward_kinematics(end)
    error = np.linalg.norm(np.array(model.get_link_pose(link))[:3] - target[:3])
    return len(plan["position"]), float(error)


def main() -> int:
    """Print the result; exit code 1 when the plan ends in the wrong place."""
    steps, error = plan_lift(sys.argv[1], sys.argv[2])
    print(json.dumps({"steps": steps, "error_mm": round(1000 * error, 3)}))
    return 0 if error <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
