"""Shapes, facts and physics of the procedural objects and plates."""

import itertools

import cv2
import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from unblind.sim import conditions
from unblind.sim.builtin import BUILTIN, facts
from unblind.sim.builtin.objects import SHAPES
from unblind.sim.builtin.primitives import fit, loft, shell, slab
from unblind.sim.catalogs import load_catalog

MODELS = BUILTIN.objects + BUILTIN.plates
name = lambda model: model.name  # noqa: E731


def test_catalog_is_the_released_one_by_name_order_and_split():
    assert load_catalog("builtin") is BUILTIN
    assert tuple(m.name for m in BUILTIN.objects) == conditions.OBJECTS
    assert tuple(m.name for m in BUILTIN.plates) == conditions.PLATES
    for models, train in ((BUILTIN.objects, 16), (BUILTIN.plates, 1), (BUILTIN.tables, 16)):
        assert [m.index for m in models] == list(range(len(models)))
        assert [m.split for m in models] == ["train"] * train + ["test"] * (len(models) - train)
    assert (len(BUILTIN.objects), len(BUILTIN.plates), len(BUILTIN.tables)) == (25, 17, 21)


def test_densities_and_extents_are_in_the_published_ranges():
    densities = [m.density for m in BUILTIN.objects]
    assert (min(densities), max(densities)) == (500, 1916)
    for model, (_, _, bbox) in zip(MODELS, facts.OBJECTS + facts.PLATES, strict=True):
        np.testing.assert_allclose(model.bbox, bbox, atol=1e-6)
    sides = np.array([np.ptp(m.bbox, axis=0) for m in BUILTIN.objects])
    assert 0.03 < sides.max(1).min()
    assert sides.max() < 0.15
    thick = np.array([np.ptp(m.bbox, axis=0)[2] for m in BUILTIN.plates])
    assert 0.0025 < thick.min()
    assert thick.max() < 0.0125


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_pieces_are_convex_small_and_what_is_seen_fits_them(model):
    for piece in model.collision:
        assert piece.dtype == np.float32
        assert len(piece) <= 40
        assert len(ConvexHull(piece.astype(float)).vertices) == len(piece)
    seen = np.concatenate([s.vertices for s in model.visual])
    assert np.abs(np.stack([seen.min(0), seen.max(0)]) - model.bbox).max() < 0.003
    assert sum(len(s.triangles) for s in model.visual) < 3000


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_has_two_colours_that_cover_something(model):
    areas: dict[tuple, float] = {}
    for surface in model.visual:
        a, b, c = (surface.vertices[surface.triangles[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
        if surface.image is None:
            tints, shares = [surface.color], [1.0]
        else:
            coarse = surface.image.reshape(-1, 3) // 64
            tints, counts = np.unique(coarse, axis=0, return_counts=True)
            shares = counts / counts.sum()
        for tint, share in zip(map(tuple, tints), shares, strict=True):
            areas[tint] = areas.get(tint, 0) + area * share
    shares = np.array(list(areas.values())) / sum(areas.values())
    assert (shares > 0.02).sum() >= 2


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_faces_look_outward(model):
    """Signed volumes: closed surfaces wound counter-clockwise enclose a positive volume."""
    points = np.concatenate([s.vertices[s.triangles] for s in model.visual]).astype(float)
    points = points - points.reshape(-1, 3).mean(0)
    volume = np.einsum("ij,ij->i", points[:, 0], np.cross(points[:, 1], points[:, 2])).sum() / 6
    assert volume > 0.2 * np.prod(np.ptp(model.bbox, axis=0)) * 0.3


def _silhouette(model, axes) -> np.ndarray:
    """Rasterise a model along the third axis, 1 mm a pixel, centred."""
    canvas = np.zeros((170, 170), np.uint8)
    for surface in model.visual:
        flat = (surface.vertices - model.bbox.mean(0))[:, axes] * 1000 + 85
        for triangle in flat[surface.triangles]:
            cv2.fillConvexPoly(canvas, np.round(triangle).astype(np.int32), 1)
    return canvas.astype(bool)


def test_silhouettes_differ_pairwise():
    views = {
        m.name: [_silhouette(m, list(a)) for a in ((0, 1), (0, 2), (1, 2))] for m in BUILTIN.objects
    }
    for one, other in itertools.combinations(views, 2):
        overlap = sum((a & b).sum() for a, b in zip(views[one], views[other], strict=True))
        union = sum((a | b).sum() for a, b in zip(views[one], views[other], strict=True))
        assert overlap / union < 0.88, (one, other)


def _grasp(model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the released rule's grasp centre, closing axis (horizontal) and the box's axes."""
    points = np.concatenate(model.collision).astype(float)
    to_box, extents = trimesh.bounds.oriented_bounds(points)
    axes, center = np.linalg.inv(to_box)[:3, :3], np.linalg.inv(to_box)[:3, 3]
    upright = np.abs(axes[2]).argmax()
    closing = min((k for k in range(3) if k != upright), key=lambda k: extents[k])
    flat = axes[:, closing] * [1, 1, 0]
    return center, flat / np.linalg.norm(flat), axes[:, upright]


def _span(model, center: np.ndarray, axis: np.ndarray) -> tuple[float, float]:
    """Return from where to where the collision pieces reach on a line, m."""
    spans = []
    for piece in model.collision:
        planes = ConvexHull(piece.astype(float)).equations
        rate, rest = planes[:, :3] @ axis, -(planes[:, :3] @ center + planes[:, 3])
        flat = np.abs(rate) < 1e-9
        if (rest[flat] < 0).any():
            continue
        enter = (rest / np.where(flat, 1, rate))[(rate < 0) & ~flat].max()
        leave = (rest / np.where(flat, 1, rate))[(rate > 0) & ~flat].min()
        if enter < leave:
            spans.append((enter, leave))
    assert spans, "nothing between the fingers"
    return min(s[0] for s in spans), max(s[1] for s in spans)


@pytest.mark.parametrize("model", BUILTIN.objects, ids=name)
def test_can_be_grasped_by_the_released_rule(model):
    """The box stands upright, and between the open fingers lies something to close upon."""
    center, axis, upright = _grasp(model)
    assert abs(upright[2]) > np.cos(np.radians(8))
    low, high = _span(model, center, axis)
    assert 0.010 < high - low < 0.055
    assert -0.029 < low < -0.008  # each finger starts 0.038 m from the centre less its own width
    assert 0.003 < high < 0.029


@pytest.fixture
def floor_scene(renderer):
    """An empty scene above a floor at z = 0, with ManiSkill's physics settings."""
    import sapien
    from mani_skill.utils.structs.types import SceneConfig

    config = SceneConfig()
    sapien.physx.set_shape_config(
        contact_offset=config.contact_offset, rest_offset=config.rest_offset
    )
    sapien.physx.set_body_config(
        solver_position_iterations=config.solver_position_iterations,
        solver_velocity_iterations=config.solver_velocity_iterations,
        sleep_threshold=config.sleep_threshold,
    )
    scene = sapien.Scene([sapien.physx.PhysxCpuSystem()])
    scene.set_timestep(1 / 500)
    body = sapien.physx.PhysxRigidStaticComponent()
    material = sapien.physx.PhysxMaterial(0.3, 0.3, 0.0)
    body.attach(sapien.physx.PhysxCollisionShapeBox([2, 2, 0.05], material))
    floor = sapien.Entity()
    floor.add_component(body)
    floor.set_pose(sapien.Pose([0, 0, -0.05]))
    scene.add_entity(floor)
    return scene


@pytest.mark.parametrize("yaw", [0, 45, 90, 135, -22.5, -67.5])
def test_everything_comes_to_rest_upright_after_the_released_drop(floor_scene, yaw):
    """From z = 0.95, 650 substeps (half a control period and six more), friction 1 on 0.3."""
    import sapien

    from unblind.sim.actors import build_entity

    turn = [np.cos(np.radians(yaw) / 2), 0, 0, np.sin(np.radians(yaw) / 2)]
    places = [(0.25 * (k % 7 - 3), 0.25 * (k // 7 - 3)) for k in range(len(MODELS))]
    dropped = [build_entity(model, model.name, visual=False) for model in MODELS]
    for entity, place in zip(dropped, places, strict=True):
        entity.set_pose(sapien.Pose([*place, 0.95 - 0.8665], turn))
        floor_scene.add_entity(entity)
    for _ in range(650):
        floor_scene.step()
    for model, entity, place in zip(MODELS, dropped, places, strict=True):
        pose = entity.pose
        tilt = np.degrees(np.arccos(min(pose.to_transformation_matrix()[2, 2], 1.0)))
        assert tilt < 2, (model.name, tilt)
        np.testing.assert_allclose(pose.p[:2], place, atol=0.003, err_msg=model.name)
        assert abs(pose.p[2] + model.bbox[0, 2]) < 0.0015, model.name
        body = entity.find_component_by_type(sapien.physx.PhysxRigidDynamicComponent)
        assert np.linalg.norm(body.linear_velocity) < 1e-3, model.name
        volume = sum(ConvexHull(p.astype(float)).volume for p in model.collision)
        assert body.mass == pytest.approx(model.density * volume, rel=0.03), model.name


def test_building_twice_gives_the_same_bytes():
    for model, (_, _, bbox) in zip(BUILTIN.objects, facts.OBJECTS, strict=True):
        again = fit(SHAPES[model.name](), bbox)
        for one, other in zip(model.visual, again.visual, strict=True):
            assert one.vertices.tobytes() == other.vertices.tobytes()
            assert one.triangles.tobytes() == other.triangles.tobytes()
        for one, other in zip(model.collision, again.collision, strict=True):
            assert one.tobytes() == other.tobytes()


def test_a_loft_reaches_its_half_axes_and_rests_on_a_face():
    for sides, power in ((8, 2.0), (12, 2.0), (12, 4.0), (20, 3.0)):
        part = loft("x", [(-1, 3, 2), (1, 3, 2)], (1, 0, 0), sides=sides, power=power)
        points = np.concatenate([s.vertices for s in part.visual])
        np.testing.assert_allclose(
            [points.min(0), points.max(0)], [[-1, -3, -2], [1, 3, 2]], atol=1e-6
        )
        assert (
            np.abs(points[:, 2] + 2) < 1e-6
        ).sum() >= 4  # two corners at each end touch the floor


def test_a_slab_shows_its_picture_upright():
    image = np.zeros((2, 2, 3), np.uint8)
    outline = np.array([(0, 0), (4, 0), (4, 2), (0, 2)], float)
    top = slab(outline, 0, 1, (1, 0, 0), image).visual[-1]
    corner = top.vertices[:, :2].tolist().index([0, 2])
    assert top.uvs[corner].tolist() == [0, 0]  # the picture's upper left lies at -x, +y
    assert shell(slab(outline, 0, 1, (1, 0, 0))).collision[0].shape == (8, 3)
