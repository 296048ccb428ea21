"""SAPIEN entities from the catalog's models: convex collision pieces and coloured meshes."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unblind.errors import UnblindError
from unblind.machine import renderer
from unblind.sim.catalog import Model, Surface

if TYPE_CHECKING:
    import sapien

FRICTION, RESTITUTION = 1.0, 0.0
"""Static and dynamic friction, and restitution, of objects and plates (released environment)."""
CREASE_DEG = 40.0
"""A smooth surface keeps an edge where two faces meet at a larger angle than this."""


def build_entity(
    model: Model, name: str, visual: bool = True, static: bool = False
) -> "sapien.Entity":
    """Return a model as a new entity that belongs to no scene yet.

    The first call for a model uploads its meshes (some ms); later ones share them (below 5 ms).

    Args:
        model: object or plate.
        name: of the entity.
        visual: give it a render body; without it no Vulkan device is needed.
        static: never moves (a rigid static body) instead of dynamic.

    Raises:
        UnblindError: no renderer can be set up, or the model's visual file is unreadable.
    """
    _prepare(visual)
    import sapien

    entity = sapien.Entity()
    entity.name = name
    if visual:
        entity.add_component(_render_body(model).clone())
    body = (
        sapien.physx.PhysxRigidStaticComponent
        if static
        else sapien.physx.PhysxRigidDynamicComponent
    )
    entity.add_component(_attach_pieces(body(), model))
    return entity


def _prepare(visual: bool) -> None:
    """Set the renderer up; without one, SAPIEN's physics alone may still be usable."""
    try:
        renderer.ensure()
    except UnblindError:
        if visual:
            raise


def _attach_pieces(body: "sapien.physx.PhysxRigidBaseComponent", model: Model):
    """Give a body the model's collision pieces; PhysX derives mass and inertia from the density."""
    import sapien

    material = sapien.physx.PhysxMaterial(FRICTION, FRICTION, RESTITUTION)
    for piece in model.collision:
        shape = sapien.physx.PhysxCollisionShapeConvexMesh(
            vertices=np.ascontiguousarray(piece, np.float32), scale=[1, 1, 1], material=material
        )
        shape.density = model.density
        body.attach(shape)
    return body


@cache
def _render_body(model: Model) -> "sapien.render.RenderBodyComponent":
    """Return the model's render body, the pattern that entities' bodies are cloned from."""
    import sapien

    body = sapien.render.RenderBodyComponent()
    if isinstance(model.visual, Path):
        body.attach(sapien.render.RenderShapeTriangleMesh(str(model.visual)))
    else:
        for surface in model.visual:
            body.attach(_shape(surface))
    return body


def _shape(surface: Surface) -> "sapien.render.RenderShapeTriangleMesh":
    """Upload one surface."""
    import sapien

    material = sapien.render.RenderMaterial(
        base_color=[*_linear(surface.color), 1.0], roughness=surface.roughness, specular=0.2
    )
    if surface.image is not None:
        opaque = np.dstack([surface.image, np.full(surface.image.shape[:2], 255, np.uint8)])
        material.base_color_texture = sapien.render.RenderTexture2D(
            np.ascontiguousarray(opaque), "R8G8B8A8Unorm", mipmap_levels=6, srgb=True
        )
    corners = surface.vertices[surface.triangles].reshape(-1, 3)
    uvs = np.zeros((len(corners), 2)) if surface.uvs is None else surface.uvs[surface.triangles]
    return sapien.render.RenderShapeTriangleMesh(
        corners.astype(np.float32),
        np.arange(len(corners), dtype=np.uint32).reshape(-1, 3),
        corner_normals(surface).astype(np.float32),
        uvs.reshape(-1, 2).astype(np.float32),
        material,
    )


def _linear(color: tuple[float, float, float]) -> np.ndarray:
    """Convert sRGB in [0, 1] to the linear values that the renderer shades with."""
    c = np.asarray(color)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def corner_normals(surface: Surface) -> np.ndarray:
    """Return the unit normal of each triangle's corner, (3 M, 3).

    A flat surface has its face's normal at all three corners. A smooth one averages, by area, over
    the faces that meet in the corner's place at less than :data:`CREASE_DEG`.
    """
    points = surface.vertices[surface.triangles].astype(float)
    cross = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    own = np.repeat(cross, 3, axis=0)
    if not surface.smooth:
        return _unit(own)
    _, place = np.unique(points.reshape(-1, 3).round(7), axis=0, return_inverse=True)
    place = place.reshape(-1)
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place)
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # Every pair of corners that share a place: corner i beside each of its neighbours j.
    repeat = counts[place]
    i = np.repeat(np.arange(len(place)), repeat)
    within = np.arange(len(i)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    j = order[np.repeat(start[place], repeat) + within]
    unit = _unit(own)
    near = (unit[i] * unit[j]).sum(1) > np.cos(np.radians(CREASE_DEG))
    total = np.stack([np.bincount(i, own[j, k] * near, len(place)) for k in range(3)], 1)
    return _unit(total)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Return the rows scaled to length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
