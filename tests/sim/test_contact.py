"""Entities and contact sheets, rendered by SAPIEN."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from unblind.errors import UnblindError
from unblind.sim import camera
from unblind.sim.builtin import BUILTIN
from unblind.sim.catalog import Surface

BANANA, CAN, CUP = BUILTIN.objects[12], BUILTIN.objects[4], BUILTIN.objects[24]


@pytest.fixture(scope="module")
def studio(renderer):
    from unblind.sim.contact import Studio

    return Studio(128, 96)


def test_camera_and_base_are_the_released_ones(renderer):
    from unblind.sim import robot, studio

    np.testing.assert_allclose(studio.CAMERA_POSE.p, [0.0, -0.16, 0.36], atol=1e-6)
    pose = [0.8992917, -0.09263245, 0.35892478, 0.23209205]
    np.testing.assert_allclose(studio.CAMERA_POSE.q, pose, atol=1e-6)
    np.testing.assert_allclose(robot.BASE_POSE.p, [0.147, 0.028, 0.870], atol=1e-6)
    np.testing.assert_allclose(robot.BASE_POSE.q, [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(robot.PARKED_POSE.p, [0.147, 0.028, 1.870], atol=1e-6)
    expected = [[623.588, 0, 319.501], [0, 623.588, 239.545], [0, 0, 1]]
    np.testing.assert_allclose(studio.INTRINSIC, expected)


def test_a_frame_shows_the_model_in_its_colour_where_the_camera_projects_it(studio):
    color, mask = studio.shoot(BANANA)
    assert color.shape == (96, 128, 3)
    assert 60 < mask.sum() < 400
    red, green, blue = np.median(color[mask], axis=0)
    assert red > 180
    assert green > 140
    assert blue < 90
    center = np.array([*camera.GRID_CENTER, camera.TABLE_Z - BANANA.bbox[0, 2]])
    expected = camera.project((center + BANANA.bbox.mean(0))[None])[0] / 5
    rows, columns = np.nonzero(mask)
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=2.5)


def test_pictures_do_not_depend_on_what_was_shown_before(studio):
    from unblind.sim.contact import Studio

    first, mask = studio.shoot(CUP, 45)
    studio.shoot(CAN)
    again, _ = studio.shoot(CUP, 45)
    elsewhere, _ = Studio(128, 96).shoot(CUP, 45)
    assert first.tobytes() == again.tobytes()
    assert first[mask].tobytes() == elsewhere[mask].tobytes()
    turned, _ = studio.shoot(CUP, 135)
    assert (turned != first).any()


def test_entities_of_a_model_share_their_meshes(studio):
    from unblind.sim import actors

    assert actors._render_body(CAN) is actors._render_body(CAN)
    assert actors._render_body(CAN) is not actors._render_body(CUP)


def test_entities_follow_the_arguments(renderer, monkeypatch):
    import sapien

    from unblind.sim import actors

    entity = actors.build_entity(CAN, "a can", visual=False, static=True)
    assert entity.name == "a can"
    assert entity.find_component_by_type(sapien.render.RenderBodyComponent) is None
    assert entity.find_component_by_type(sapien.physx.PhysxRigidStaticComponent) is not None
    body = actors.build_entity(CAN, "falls", visual=False).find_component_by_type(
        sapien.physx.PhysxRigidDynamicComponent
    )
    shape = body.collision_shapes[0]
    material = shape.physical_material
    assert (material.static_friction, material.dynamic_friction, material.restitution) == (1, 1, 0)
    assert shape.density == CAN.density

    def no_vulkan():
        raise UnblindError("no Vulkan device", "install one")

    monkeypatch.setattr(actors.renderer, "ensure", no_vulkan)
    assert actors.build_entity(CAN, "unseen", visual=False).name == "unseen"
    with pytest.raises(UnblindError, match="no Vulkan"):
        actors.build_entity(CAN, "seen")


def test_normals_are_flat_across_edges_and_smooth_elsewhere():
    from unblind.sim.actors import corner_normals

    # A roof: two faces that meet at 90 degrees, and the same one nearly flat.
    for height, joined in ((1.0, False), (0.1, True)):
        vertices = np.array([(-1, 0, 0), (0, 0, height), (0, 1, height), (1, 0, 0)], np.float32)
        roof = Surface(vertices, np.array([(0, 1, 2), (1, 3, 2)]), smooth=True)
        normals = corner_normals(roof)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
        assert np.allclose(normals[1], normals[3]) == joined


def test_sheets_hold_a_tile_for_every_item(renderer, tmp_path):
    from unblind.sim.contact import write_sheets

    few = SimpleNamespace(
        objects=(BANANA, CAN), plates=BUILTIN.plates[:1], tables=BUILTIN.tables[:6]
    )
    paths = write_sheets(tmp_path / "sheets", few)
    assert [p.name for p in paths] == ["objects.png", "plates.png", "tables.png", "textures.png"]
    sizes = [cv2.imread(str(p)).shape for p in paths]
    assert sizes == [(202, 1200, 3), (202, 1200, 3), (404, 1200, 3), (404, 1200, 3)]
    before = [p.read_bytes() for p in paths]
    assert [p.read_bytes() for p in write_sheets(tmp_path / "again", few)] == before
