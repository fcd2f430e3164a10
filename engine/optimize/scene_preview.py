"""What there is to see in a scene between stages: the best surface so far, coloured as far as anything is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import GeometryError
from engine.optimize.grids import surface_of
from engine.optimize.snapshot import SplatLook
from engine.scene import Backdrop, Environment, Gaussians, Material, Mesh

if TYPE_CHECKING:
    from engine.optimize.stage import StageContext
    from engine.shading.field import MaterialField

JUDGES = 8  # photos at most whose mean colours a bare surface wears
PLAIN = (0.5, 0.5, 0.5, 0.6, 0.05)  # base colour, roughness and metallic of a surface that no photo has coloured


def copied_mesh(mesh: Mesh) -> Mesh:
    """A mesh of its own arrays."""
    parts = (mesh.vertices, mesh.triangles, mesh.uvs, mesh.uv_triangles)
    return Mesh(*(None if part is None else part.copy() for part in parts))


def copied_material(material: Material) -> Material:
    """A material of its own arrays."""
    normal = None if material.normal is None else material.normal.copy()
    return Material(material.base_color.copy(), material.occlusion_roughness_metallic.copy(), normal)


def copied_environment(environment: Environment | None) -> Environment | None:
    """A light of its own arrays."""
    if environment is None:
        return None
    rotation = np.array(environment.world_from_environment)
    return Environment(environment.radiance.copy(), rotation, environment.frame)


def splat_fields(
    context: StageContext, splats: Gaussians, scores: Tensor | None = None, backdrop: Backdrop | None = None
) -> dict[str, Any]:
    """The fields of a SceneSnapshot that show splats before a learned backdrop; neither may be written to.

    `scores` [N] of density control.
    """
    known = scores is not None and len(scores) == len(splats)
    return {
        "gaussians": splats,
        "splat_look": SplatLook.trained(context.recipe.splats, context.capture, backdrop),
        "splat_scores": scores.detach().cpu().numpy().astype(np.float32) if known else None,
    }


@torch.no_grad()
def field_colors(field: MaterialField, vertices: np.ndarray) -> np.ndarray:
    """[V,5] float32 base colour, roughness and metallic of a material field at points [V,3]."""
    color, roughness, metallic = field.forward(torch.from_numpy(np.ascontiguousarray(vertices, np.float32)))
    return torch.cat([color, roughness[:, None], metallic[:, None]], 1).cpu().numpy()


def scene_preview(context: StageContext) -> dict[str, Any]:
    """The fields of a SceneSnapshot for what finished stages left in `context.scene`.

    Copies and colours are made once and kept while the scene's own arrays are the same.
    """
    scene, kept = context.scene, context.kept
    source = (scene.mesh, scene.field if scene.mesh is None else None, scene.material, scene.gaussians)
    if "scene" not in kept or any(a is not b for a, b in zip(kept["scene"][0], source, strict=True)):
        kept["scene"] = (source, _surface(context))
    content = {
        "environment": copied_environment(scene.environment),
        "box": None if scene.box is None else np.array(scene.box),
    }
    return content | kept["scene"][1]


def _surface(context: StageContext) -> dict[str, Any]:
    scene = context.scene
    if scene.mesh is not None and scene.mesh.uvs is not None:
        return {"mesh": copied_mesh(scene.mesh), "material": copied_material(scene.material or Material())}
    if scene.mesh is not None:
        mesh = copied_mesh(scene.mesh)
        return {"mesh": mesh, "vertex_colors": _field_or_plain(context, mesh)}
    if scene.gaussians is not None:
        return splat_fields(context, scene.gaussians, backdrop=scene.backdrop)  # nobody writes to the scene's own
    mesh = _found(context)
    return {} if mesh is None else {"mesh": mesh, "vertex_colors": _photo_colors(context, mesh)}


def _found(context: StageContext) -> Mesh | None:
    """The surface of the distance field, which is the hull's until a stage has dug."""
    scene = context.scene
    carved = scene.tensors.get("hull_field")
    if scene.field is None or (carved is not None and np.array_equal(carved.numpy(), scene.field)):
        return None if scene.hull is None else copied_mesh(scene.hull)
    try:
        return surface_of(scene.field, scene.box)
    except GeometryError:  # an empty field; the stage that takes it says so
        return None


def _photo_colors(context: StageContext, mesh: Mesh) -> np.ndarray:
    """[V,5] the mean colours of a few photos, as if they were base colour."""
    from engine.optimize.hull_baseline import mean_vertex_colors

    frames = context.views.train
    chosen = frames[:: -(-len(frames) // JUDGES) or 1]
    colors = np.tile(np.float32(PLAIN), (len(mesh.vertices), 1))
    if chosen:
        device = context.device.torch_device
        colors[:, :3] = np.clip(mean_vertex_colors(mesh, context.capture, context.rasterizer, chosen, device), 0, 1)
    return colors


def _field_or_plain(context: StageContext, mesh: Mesh) -> np.ndarray:
    from engine.shading.field import MaterialField

    prefix = "materials."
    scene = context.scene
    state = {name[len(prefix) :]: value for name, value in scene.tensors.items() if name.startswith(prefix)}
    if not state or scene.box is None:
        return np.tile(np.float32(PLAIN), (len(mesh.vertices), 1))
    field = MaterialField(np.asarray(scene.box), seed=context.recipe.run.seed)
    field.load_state_dict(state)
    return field_colors(field, mesh.vertices)
