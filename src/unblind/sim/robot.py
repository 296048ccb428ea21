"""The WidowX-250S of the study: geometry, gains and controller (released ``base_env.py``)."""

import unblind.sim.engine  # noqa: F401

# isort: split
from pathlib import Path

import numpy as np
import sapien
from mani_skill.agents.controllers.pd_ee_pose import PDEEPoseControllerConfig
from mani_skill.agents.controllers.pd_joint_pos import PDJointPosMimicControllerConfig
from mani_skill.agents.registration import register_agent
from mani_skill.agents.robots.widowx.widowx import WidowX250S
from mani_skill.sensors.camera import CameraConfig

from unblind.sim.studio import CAMERA_POSE, INTRINSIC

URDF = Path(__file__).parent / "assets" / "wx250s.urdf"
SRDF = URDF.with_suffix(".srdf")

#: Pose of the base in the world: m, quaternion wxyz; the arm faces world -x.
BASE_POSE = sapien.Pose([0.147, 0.028, 0.870], [0, 0, 0, 1])
#: Where the robot is parked while the objects settle, 1 m above its place.
PARKED_POSE = sapien.Pose([0.147, 0.028, 1.870], [0, 0, 0, 1])
#: Six arm joints (rad) and two fingers (m) at the start of an episode.
INITIAL_QPOS = np.array(
    [-0.01840777, 0.0398835, 0.22242722, -0.00460194, 1.36524296, 0.00153398, 0.037, 0.037]
)
CONTROL_MODE = "arm_pd_ee_target_delta_pose_align2_gripper_pd_joint_pos"
TCP_LINK = "ee_gripper_link"

_ARM_STIFFNESS = [1169.789, 730.0, 808.460, 1229.130, 1272.276, 1056.333]
_ARM_DAMPING = [330.0, 180.0, 152.120, 309.622, 201.050, 269.515]
_ARM_FORCE = [200, 200, 100, 100, 100, 100]
#: Finger joint range of the gripper action, m: the URDF's 0.015..0.037 and 1 mm beyond.
FINGER_CLOSED, FINGER_OPEN = 0.014, 0.038


@register_agent()
class StudyWidowX(WidowX250S):
    """The arm with the gains tuned to the real one and the camera of BridgeData V2.

    Actions: (7,) float32. Three translations (m, base frame) and three Euler angles "XYZ" (rad,
    about the base's axes through the gripper) relative to the *previous target* pose of
    ``ee_gripper_link``, not normalised; the gripper in [-1, 1], 1 is open.
    """

    uid = "unblind_widowx250s"
    urdf_path = str(URDF)
    #: Width and height of the camera's picture; set through ``sensor_configs``.
    disable_self_collisions = False

    @property
    def _sensor_configs(self) -> list[CameraConfig]:
        return [
            CameraConfig(
                uid="3rd_view_camera",
                pose=CAMERA_POSE,
                width=640,
                height=480,
                entity_uid="base_link",
                intrinsic=INTRINSIC,
            )
        ]

    @property
    def _controller_configs(self) -> dict:
        arm = PDEEPoseControllerConfig(
            joint_names=self.arm_joint_names,
            pos_lower=-1.0,  # not in force: actions are not normalised
            pos_upper=1.0,
            rot_lower=-np.pi / 2,
            rot_upper=np.pi / 2,
            stiffness=_ARM_STIFFNESS,
            damping=_ARM_DAMPING,
            force_limit=_ARM_FORCE,
            friction=0.0,
            ee_link=TCP_LINK,
            urdf_path=self.urdf_path,
            normalize_action=False,
            use_target=True,
        )
        gripper = PDJointPosMimicControllerConfig(
            joint_names=self.gripper_joint_names,
            lower=FINGER_CLOSED,
            upper=FINGER_OPEN,
            stiffness=1000,
            damping=200,
            force_limit=60,
            normalize_action=True,
            drive_mode="force",
            mimic={"right_finger": {"joint": "left_finger"}},
        )
        return {CONTROL_MODE: {"arm": arm, "gripper": gripper}}
