"""The judge: central differences of a supersampled render with hard edges, which knows nothing of derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from engine.geometry.normals import vertex_normals
from engine.optimize.lens.parameters import LightParameter, Parameter, TexelParameter, VertexParameter
from engine.optimize.lens.scene import LensView, Window
from engine.raster.stochastic.perturbation import vertex_eps
from engine.raster.texture import build_pyramid
from engine.shading.split_sum import prefilter

VERTEX_STEP = 0.25  # pixels across the screen, to either side
VALUE_STEP = 0.02  # of texels, and of the logarithm of the light
MOST_SUBPIXELS = 16  # along each axis
MOST_SAMPLES = 1_200_000  # of one render


def subpixels(window: Window) -> int:
    """Samples along each axis of a pixel that a render of a window can afford."""
    area = max((window[2] - window[0]) * (window[3] - window[1]), 1)
    return int(min(max(math.sqrt(MOST_SAMPLES / area), 3), MOST_SUBPIXELS))


def vertex_step(view: LensView, index: int, pixels: float) -> float:
    """Capture units that move a vertex by so many pixels across the screen; 0 behind the camera."""
    matrix = view.camera.clip_from_world(1.0, 2.0)  # near and far do not count
    return float(vertex_eps(view.scene.vertices[index : index + 1], matrix, view.camera.size, pixels))


def rendered(
    view: LensView,
    window: Window,
    magnify: int,
    *,
    vertices: Tensor | None = None,  # [V,3]; normals follow
    texture: Tensor | None = None,  # [S,S,8]
    log_radiance: Tensor | None = None,  # [h,w,3]
) -> Tensor:
    """[h,w] slopes times pixels of a supersampled render, with some of the scene replaced."""
    scene, look = view.scene, view.look(window, magnify)
    places = scene.vertices if vertices is None else vertices
    points = view.seen(look, places)
    normals = scene.normals if vertices is None else vertex_normals(places, scene.triangles)
    materials = points.materials
    if texture is not None:
        materials = scene.raster.texture(build_pyramid(texture), points.uv, points.level)
    light = scene.light if log_radiance is None else prefilter(log_radiance.exp())
    return look.contracted(view.shaded(points, normals, materials, light), points.buffer.pixel)


def difference_map(view: LensView, parameter: Parameter, window: Window, magnify: int | None = None) -> Tensor:
    """[h,w] d(pixel loss)/d(parameter) in a window."""
    scene, count = view.scene, magnify or subpixels(window)
    if isinstance(parameter, VertexParameter):
        step = vertex_step(view, parameter.index, VERTEX_STEP)
        if not step > 0:
            return torch.zeros(window[3] - window[1], window[2] - window[0])
        moved = parameter.tangent(scene)
        return central(lambda s: rendered(view, window, count, vertices=scene.vertices + s * moved), step)
    if isinstance(parameter, TexelParameter):
        moved = torch.zeros_like(scene.texture)
        moved[parameter.y, parameter.x] = parameter.weights(scene)
        return central(lambda s: rendered(view, window, count, texture=scene.texture + s * moved), VALUE_STEP)
    assert isinstance(parameter, LightParameter)
    moved = parameter.tangent(scene)
    return central(lambda s: rendered(view, window, count, log_radiance=scene.log_radiance + s * moved), VALUE_STEP)


def central(function: Callable[[float], Tensor], step: float) -> Tensor:
    """(function(step) - function(-step)) / (2 step)."""
    return (function(step) - function(-step)) / (2 * step)
