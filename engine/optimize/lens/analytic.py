"""The analytic engine: how every pixel's loss changes with one parameter, and whole gradients as the stages take them.

Backward passes give sums over pixels. A map of pixels is a forward derivative, taken here by two backward passes
through the plain torch twins of the kernels: y(t) per pixel, g(u) = d(u . y)/dt, and dg/du = dy/dt.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.geometry.normals import vertex_normals, vertex_normals_reference
from engine.optimize.lens.parameters import LightParameter, Parameter, TexelParameter, VertexParameter, one_texel
from engine.optimize.lens.scene import LensScene, LensView, Points, Window
from engine.optimize.textures import channels
from engine.raster.contract import VisibilityBuffer
from engine.raster.texture import build_pyramid
from engine.shading.normal_map import bent_normal
from engine.shading.split_sum import prefilter, shade


def forward_derivative(function: Callable[[Tensor], Tensor]) -> Tensor:
    """d function(t) / dt at t = 0, of the shape that `function` returns; it must be twice differentiable."""
    t = torch.zeros((), requires_grad=True)
    values = function(t)
    if not values.requires_grad:
        return torch.zeros_like(values)
    weights = torch.ones_like(values, requires_grad=True)
    (slope,) = torch.autograd.grad(values, t, weights, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros_like(values)
    (found,) = torch.autograd.grad(slope, weights)
    return found.detach()


def normals_tangent(scene: LensScene, moved: Tensor) -> Tensor:
    """[V,3] how the unit vertex normals turn when the vertices move by `moved` [V,3]."""
    return forward_derivative(lambda t: vertex_normals_reference(scene.vertices + t * moved, scene.triangles))


def analytic_map(view: LensView, parameter: Parameter, window: Window) -> Tensor:
    """[h,w] d(pixel loss)/d(parameter) in a window of the photo, coverage at silhouettes included."""
    scene, look = view.scene, view.look(window)
    if isinstance(parameter, VertexParameter):
        moved = parameter.tangent(scene)

        def values(t: Tensor) -> Tensor:
            vertices = scene.vertices + t * moved
            points = view.seen(look, vertices)
            normals = vertex_normals_reference(vertices, scene.triangles)
            color = view.shaded(points, normals, points.materials, scene.light)
            return (view.antialiased(points, color) * look.slope).sum(-1)

        return forward_derivative(values)
    points = view.seen(look, scene.vertices)
    if isinstance(parameter, TexelParameter):
        weights = parameter.weights(scene)
        share = scene.raster.texture(build_pyramid(one_texel(scene, parameter)), points.uv, points.level)

        def values(t: Tensor) -> Tensor:
            color = view.shaded(points, scene.normals, points.materials + t * share * weights, scene.light)
            return (view.antialiased(points, color) * look.slope).sum(-1)

        return forward_derivative(values)
    assert isinstance(parameter, LightParameter)
    brighter = parameter.tangent(scene) * scene.log_radiance.exp()
    # radiance is linear in the light: shading under the change alone is the change of shading
    color = view.shaded(points, scene.normals, points.materials, prefilter(brighter))
    ones = torch.cat([color, torch.zeros_like(color[:, :1])], 1)
    image = scene.raster.compose(ones, points.buffer, torch.zeros(4))
    image = scene.raster.coverage(image, points.clip, scene.triangles, points.buffer, scene.edges)
    return (image * look.slope).sum(-1)


def analytic_gradients(view: LensView) -> dict[str, Tensor]:
    """The gradients of the sum of all pixel losses by the stages' own kernels: `vertices` [V,3], `light` [h,w,3], and
    where there is one `texture` [S,S,8]."""
    scene, look = view.scene, view.look(view.whole)
    leaves = {"vertices": scene.vertices.clone().requires_grad_(), "light": scene.log_radiance.clone().requires_grad_()}
    if scene.texture is not None:
        leaves["texture"] = scene.texture.clone().requires_grad_()
    vertices = leaves["vertices"]
    points = view.seen(look, scene.vertices)
    matrix = torch.from_numpy(look.camera.clip_from_world(*look.camera.depth_range(scene.box))).float()
    clip = vertices @ matrix[:, :3].T + matrix[:, 3]
    buffer = scene.raster.visibility(clip, scene.triangles, look.camera.size)
    materials = _materials(view, points, buffer, leaves.get("texture"))
    color, roughness, metallic, slope, occlusion = channels(materials)
    normal = scene.raster.interpolate(vertex_normals(vertices, scene.triangles), scene.triangles, buffer)
    if scene.texture is not None:
        tangent = scene.raster.interpolate(scene.tangents, scene.tangent_triangles, points.buffer)
        normal = bent_normal(normal, tangent, slope)
    else:
        normal = torch.nn.functional.normalize(normal, dim=1)
    light = prefilter(leaves["light"].exp())
    shaded = shade("numba", light, points.rotation, normal, points.toward, color, roughness, metallic, occlusion).color
    image = scene.raster.compose(torch.cat([shaded, torch.ones_like(shaded[:, :1])], 1), buffer, torch.zeros(4))
    image = scene.raster.coverage(image, clip, scene.triangles, buffer, scene.edges)
    found = torch.autograd.grad((image * look.slope).sum(), list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if slope is None else slope
        for (name, leaf), slope in zip(leaves.items(), found, strict=True)
    }


def _materials(view: LensView, points: Points, buffer: VisibilityBuffer, texture: Tensor | None) -> Tensor:
    """[P,8], differentiable wrt the texture and, where it moves along, where it is looked up."""
    scene = view.scene
    seen = buffer if view.moving_texture else points.buffer
    if texture is None:
        return scene.raster.interpolate(scene.materials, scene.triangles, seen)
    uv = scene.raster.interpolate(scene.uvs, scene.uv_triangles, seen)
    return scene.raster.texture(build_pyramid(texture), uv, points.level)
