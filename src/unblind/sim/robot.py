"""The WidowX-250S of the study: geometry, gains and controller (released ``base_env.py``)."""

import unblind.sim.engine  # noqa: F401

# isort: split
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sapien
import torch
from mani_skill.agents.controllers.pd_ee_pose import PDEEPoseController, PDEEPoseControllerConfig
from mani_skill.agents.controllers.pd_joint_pos import PDJointPosMimicControllerConfig
from mani_skill.agents.registration import register_agent
from mani_skill.agents.robots.widowx.widowx import WidowX250S
from mani_skill.sensors.camera import CameraConfig

from unblind.sim import camera
from unblind.sim.studio import CAMERA_POSE, INTRINSIC

URDF = Path(__file__).parent / "assets" / "wx250s.urdf"
SRDF = URDF.with_suffix(".srdf")

#: Pose of the base in the world: m, quaternion wxyz; the arm faces world -x.
BASE_POSE = sapien.Pose(camera.BASE_POSITION, camera.BASE_QUATERNION)
#: Where the robot is parked while the objects settle, 1 m above its place.
PARKED_POSE = sapien.Pose(BASE_POSE.p + [0, 0, 1], BASE_POSE.q)
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


class TargetPoseController(PDEEPoseController):
    """ManiSkill's controller for this one use: deltas on the previous target, CPU kinematics.

    It computes the same joint targets; what it leaves out are poses that only other modes read.
    """

    def set_action(self, action: torch.Tensor) -> None:
        """Move the target by ``action`` (1, 6) and drive the joints to it."""
        self._target_pose = self.compute_target_pose(self._target_pose, action)
        start = self.articulation.get_qpos()
        joints = self.kinematics.compute_ik(pose=self._target_pose, q0=start)
        self._target_qpos = self.qpos if joints is None else joints
        self.set_drive_targets(self._target_qpos)


@dataclass
class TargetPoseControllerConfig(PDEEPoseControllerConfig):
    """Settings of `TargetPoseController`."""

    controller_cls = TargetPoseController


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
        arm = TargetPoseControllerConfig(
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
