"""The one environment: a WidowX-250S, an object, a plate, and what the episode adds."""

import unblind.sim.engine  # noqa: F401

# isort: split
from typing import Any

import numpy as np
import sapien
import torch
from mani_skill.envs.sapien_env import BaseEnv
from mani_skill.utils.registration import register_env
from mani_skill.utils.structs import Actor, Pose
from mani_skill.utils.structs.types import SimConfig
from transforms3d.euler import euler2quat
from transforms3d.quaternions import quat2mat

from unblind.machine import renderer
from unblind.sim import overlay, studio, success
from unblind.sim.actors import build_entity
from unblind.sim.catalogs import load_catalog
from unblind.sim.episodes import Episode, decode
from unblind.sim.robot import (
    BASE_POSE,
    CONTROL_MODE,
    INITIAL_QPOS,
    PARKED_POSE,
    TCP_LINK,
    StudyWidowX,
)

ENV_ID = "UnblindPutOnPlate-v1"
#: Physics steps a second, control steps a second (released ``base_env.py``).
SIM_HZ, CONTROL_HZ = 500, 5
MAX_STEPS = 80
_SUBSTEPS = SIM_HZ // CONTROL_HZ
#: Roles of a cast that have the episode's yaw; all others are plates.
_TURNED = ("object", "distractor")


@register_env(ENV_ID, max_episode_steps=MAX_STEPS)
class PutOnPlateEnv(BaseEnv):
    """Put an object on a plate, with the physics, control and camera of the release, on the CPU.

    Every reset builds a new scene that holds the episode's own objects and nothing else, so that
    an episode's course depends on the episode alone. Observations are ``{"image": (1, H, W, 3)
    uint8}`` with ``obs_mode="rgb"`` and empty with ``"none"``.

    Args:
        catalog: ``builtin`` or the folder of the authors' files.
        width, height: of the picture in pixels, 4:3.
        shader: ManiSkill's shader pack.
        episode: the first episode; ``reset(options={"episode": ...})`` takes the next one.
    """

    SUPPORTED_OBS_MODES = ("rgb", "none")
    SUPPORTED_REWARD_MODES = ("none",)

    def __init__(
        self,
        *,
        catalog: str = "builtin",
        width: int = 128,
        height: int = 96,
        shader: str = "minimal",
        episode: Episode | None = None,
        obs_mode: str = "rgb",
        **kwargs: Any,
    ) -> None:
        self.catalog = load_catalog(catalog)
        self.episode = episode or decode("in_distribution", 0)
        self._size = (width, height)
        camera = dict(
            width=width,
            height=height,
            shader_pack=shader,
            intrinsic=studio.intrinsic(width, height),
        )
        super().__init__(
            obs_mode=obs_mode,
            reward_mode="none",
            robot_uids=StudyWidowX.uid,
            control_mode=CONTROL_MODE,
            sim_backend="physx_cpu",
            render_backend=renderer.backend(),
            sensor_configs={"3rd_view_camera": camera},
            **kwargs,
        )

    @property
    def _default_sim_config(self) -> SimConfig:
        return SimConfig(sim_freq=SIM_HZ, control_freq=CONTROL_HZ, spacing=20)

    # ---- scene ------------------------------------------------------------------------------

    def reset(self, seed: Any = None, options: dict | None = None) -> tuple[dict, dict]:
        """Start ``options["episode"]`` (or the present episode again) in a new scene."""
        options = dict(options or {})
        self.episode = options.get("episode", self.episode)
        options["reconfigure"] = True
        return super().reset(seed=0, options=options)

    def _load_agent(self, options: dict) -> None:
        super()._load_agent(options, PARKED_POSE)

    def _load_lighting(self, options: dict) -> None:
        studio.add_lights(self.scene.sub_scenes[0])

    def _load_scene(self, options: dict) -> None:
        visual = self.obs_mode != "none"
        self._add(studio.build_table(visual), "table")
        self._actors = {}
        for role, model, xyz in self.episode.cast(self.catalog):
            entity = build_entity(model, role, visual=visual)
            entity.pose = sapien.Pose(xyz, self._quaternion(role))
            self._actors[role] = (self._add(entity, role), model)
        self._plate_roles = [role for role in self._actors if role not in _TURNED]

    def _quaternion(self, role: str) -> np.ndarray:
        """Return the spawn rotation: objects are turned by the episode's yaw, plates are not."""
        yaw = self.episode.yaw_deg if role in _TURNED else 0.0
        return euler2quat(0, 0, np.radians(yaw))

    def _add(self, entity: sapien.Entity, name: str) -> sapien.Entity:
        self.scene.sub_scenes[0].add_entity(entity)
        actor = Actor.create_from_entities([entity], self.scene, torch.tensor([0]), name)
        actor.initial_pose = Pose.create(entity.pose)
        self.scene.actors[name] = actor
        return entity

    def _after_reconfigure(self, options: dict) -> None:
        self._px = self.scene.px
        robot = self.agent.robot
        self._fingers = [
            robot.links_map[f"{side}_finger_link"]._objs[0] for side in ("left", "right")
        ]
        self._tcp = robot.links_map[TCP_LINK]._objs[0]
        self._articulation = robot._objs[0]
        if self.obs_mode == "rgb":
            self._prepare_backdrop()
            self._camera = self._sensors["3rd_view_camera"].camera._render_cameras[0]
            entities = self.scene.sub_scenes[0].entities
            self._shown_ids = np.zeros(1 + max(e.per_scene_id for e in entities), dtype=bool)
            shown = [link.entity for link in self._articulation.links]
            shown += [entity for entity, _ in self._actors.values()]
            self._shown_ids[[entity.per_scene_id for entity in shown]] = True

    # ---- episode ----------------------------------------------------------------------------

    def _initialize_episode(self, env_idx: torch.Tensor, options: dict) -> None:
        self._settle(0.5)
        if success.needs_more_settling(*self._speeds()):
            self._settle(6)
        self.agent.robot.set_pose(BASE_POSE)
        self.agent.reset(init_qpos=INITIAL_QPOS + np.array(self.episode.joint_offset))
        on = {role: self._half_size(role) for role in ("object", *self._plate_roles)}
        self._placements = {
            role: success.PlacementTest(on["object"], on[role]) for role in self._plate_roles
        }
        self._placed = self._placements["plate"]
        model, start = self.object_model, self._moment(touched=False, grasped=False)
        corners = np.concatenate(model.collision)
        self._milestones = success.MilestoneTest(self._placed, model.bbox, corners, start)
        self.steps = 0

    def _half_size(self, role: str) -> np.ndarray:
        entity, model = self._actors[role]
        return success.rotated_half_size(model.bbox, quat2mat(entity.pose.q))

    def _settle(self, control_periods: float) -> None:
        for _ in range(int(_SUBSTEPS * control_periods)):
            self._px.step()

    def _speeds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the actors' speeds, (1, actors, 3) m/s and rad/s, the object's first."""
        roles = [*self._actors]
        if self.episode.self_distractor:  # the release asks the one actor in both roles
            roles.append("object")
        bodies = [
            self._actors[role][0].find_component_by_type(sapien.physx.PhysxRigidDynamicComponent)
            for role in roles
        ]
        linear = np.array([[body.linear_velocity for body in bodies]])
        return linear, np.array([[body.angular_velocity for body in bodies]])

    def _step_action(self, action: Any) -> torch.Tensor:
        action = torch.as_tensor(np.asarray(action, dtype=np.float32)).reshape(1, 7)
        self.agent.set_action(action)
        # ManiSkill's loop calls five empty hooks a physics step; the step itself is all we need.
        for _ in range(_SUBSTEPS):
            self._px.step()
        self.steps += 1
        if self.steps == self.episode.teleport_step:
            self._teleport()
        return action

    def _teleport(self) -> None:
        """Drop the object at the third position (released ``PositionChangeTo``)."""
        self._milestones.jump()
        self.object.pose = sapien.Pose(self.episode.third_xyz, self._quaternion("object"))
        self._settle(0.5)

    # ---- state ------------------------------------------------------------------------------

    @property
    def object(self) -> sapien.Entity:
        """The object to be moved."""
        return self._actors["object"][0]

    @property
    def plate(self) -> sapien.Entity:
        """The plate it belongs on."""
        return self._actors["plate"][0]

    @property
    def object_model(self) -> Any:
        """The catalog's model of the object."""
        return self._actors["object"][1]

    @property
    def plate_model(self) -> Any:
        """The catalog's model of the plate."""
        return self._actors["plate"][1]

    def plate_at(self, index: int) -> tuple[sapien.Entity, Any]:
        """Return one of the plates and its model, counted as in ``stands_on``."""
        return self._actors[self._plate_roles[index]]

    @property
    def qpos(self) -> np.ndarray:
        """(8,) joint positions: six arm joints in rad, two fingers in m."""
        return self._articulation.qpos

    @property
    def tcp(self) -> sapien.Pose:
        """World pose of ``ee_gripper_link``."""
        return self._tcp.entity.pose

    def evaluate(self) -> dict[str, torch.Tensor]:
        """Return ``success``, the milestones that hold now, and where things are.

        Success and milestones are (1,) bool tensors, named as in `success.Milestones`, but
        ``is_src_obj_grasped`` as in the release. They hold after this step: the release reports
        grasps that were there after some step. ``object_xyz`` and ``gripper_xyz`` are (1, 3) m in
        the world. ``stands_on`` (1,) counts the plates, in the order of the episode's cast, and
        tells on which of them the object stands by the success rule; -1: on none.
        """
        left, right, *on_plates = self._contact_forces()
        grasped = self._grip(left, right)
        now = self._moment(touched=success.touches(left) or success.touches(right), grasped=grasped)
        stands = [
            self._placements[role](now.object_xyz, self._actors[role][0].pose.p, force)
            for role, force in zip(self._plate_roles, on_plates, strict=True)
        ]
        flags = {"success": stands[self._plate_roles.index("plate")]}
        flags |= self._milestones(self.steps, now).to_info()
        return {name: torch.tensor([flag]) for name, flag in flags.items()} | {
            "object_xyz": torch.tensor(now.object_xyz)[None],
            "gripper_xyz": torch.tensor(now.gripper_xyz)[None],
            "stands_on": torch.tensor([stands.index(True) if any(stands) else -1]),
        }

    @property
    def held(self) -> bool:
        """Whether both fingers hold the object."""
        return self._grip(*self._contact_forces()[:2])

    def _grip(self, left: np.ndarray, right: np.ndarray) -> bool:
        opens = [quat2mat(finger.entity.pose.q)[:, 1] for finger in self._fingers]
        return bool(success.pushes(left, opens[0]) and success.pushes(right, -opens[1]))

    def _moment(self, touched: bool, grasped: bool) -> success.Moment:
        pose, plate = self.object.pose, self.plate.pose
        rotation = quat2mat(pose.q)
        return success.Moment(pose.p, rotation, plate.p, self.tcp.p, touched, grasped)

    def _contact_forces(self) -> np.ndarray:
        """Return (2 + plates, 3) N from the object: on left and right finger, on each plate."""
        plates = [self._actors[role][0] for role in self._plate_roles]
        partners = {
            entity: row for row, entity in enumerate([*(f.entity for f in self._fingers), *plates])
        }
        impulses = np.zeros((len(partners), 3))
        for contact in self._px.get_contacts():
            first, second = (body.entity for body in contact.bodies)
            if first == self.object:
                row, sign = partners.get(second), -1.0
            elif second == self.object:
                row, sign = partners.get(first), 1.0
            else:
                continue
            if row is not None:
                impulses[row] += sign * np.sum([point.impulse for point in contact.points], axis=0)
        return impulses * SIM_HZ

    # ---- picture ----------------------------------------------------------------------------

    def get_obs(self, info: Any = None, unflattened: bool = False) -> dict[str, torch.Tensor]:
        """Return the observation (see the class)."""
        if self.obs_mode == "none":
            return {}
        return {"image": torch.from_numpy(self.frame())[None]}

    def _flatten_raw_obs(self, obs: dict) -> dict:
        return obs

    def frame(self) -> np.ndarray:
        """Return the picture that a policy sees, (H, W, 3) uint8: green screen and overlay done."""
        rgb, shown = self.render_raw()
        if self.episode.overlay_region == "robot_and_objects":
            return overlay.blend_mask(rgb, shown, self._photo, *self._overlay)
        if self.episode.overlay_region == "frame":
            return overlay.blend_frame(rgb, shown, self._photo, *self._overlay)
        return overlay.green_screen(rgb, shown, self._photo)

    def _prepare_backdrop(self) -> None:
        episode, tables = self.episode, self.catalog.tables
        self._photo = tables[episode.table_index].photo(*self._size)
        if episode.overlay_region != "none":
            source = tables[episode.texture_index]
            texture = overlay.prepare_texture(source.texture(), episode.overlay_region, *self._size)
            self._overlay = (texture, episode.overlay_alpha * source.mix)

    def render_raw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rendered picture (H, W, 3) uint8 and the robot-and-objects mask (H, W)."""
        self.scene.sub_scenes[0].update_render()
        self._camera.take_picture()
        color = self._camera.get_picture("Color")[..., :3]
        if color.dtype == np.uint8:  # the minimal shader
            ids = self._camera.get_picture("PositionSegmentation")[..., 3]
            return color, self._shown_ids[ids]
        ids = self._camera.get_picture("Segmentation")[..., 1]
        return (color * 255).astype(np.uint8), self._shown_ids[ids]
