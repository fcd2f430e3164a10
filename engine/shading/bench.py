"""What shading costs: the material step of the project's figures, and its parts. Fastest of many runs, in ms."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.shading.environment import EnvironmentLight
from engine.shading.field import MaterialField
from engine.shading.split_sum import shade

VIEWS, SIZE, COVERED = 8, 256, 0.4  # views of SIZE x SIZE pixels, share of pixels on the object
TEXTURE = 512


def _smallest(function: Callable[[], object], seconds: float = 1.5) -> float:
    """Milliseconds of the fastest of as many runs as fit into `seconds`, after one to compile."""
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def sphere_views() -> list[dict[str, Tensor]]:
    """Per view the covered pixels' normal [P,3], view [P,3], texture coordinate [P,2] and mip level [P] of a sphere."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = 2 * (COVERED / np.pi) ** 0.5
    inside = x * x + y * y < radius * radius
    x, y = x[inside] / radius, y[inside] / radius
    local = torch.stack([x, -y, (1 - x * x - y * y).sqrt()], -1)
    views = []
    for turn in torch.linspace(0, 2 * np.pi, VIEWS + 1)[:-1].tolist():
        c, s = np.cos(turn), np.sin(turn)
        world_from_view = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float32)
        normal = local @ world_from_view.T
        u = torch.atan2(normal[:, 0], normal[:, 2]) / (2 * np.pi) + 0.5
        uv = torch.stack([u, normal[:, 1].clamp(-1, 1).acos() / np.pi], -1)
        toward = world_from_view[:, 2].expand_as(normal).contiguous()
        level = torch.log2(TEXTURE / (np.pi * radius * SIZE / 2) / local[:, 2].clamp_min(0.05)).clamp_min(0)
        views.append({"normal": normal, "view": toward, "uv": uv, "level": level})
    return views


def material_step(learn_light: bool = False, height: int = 32) -> Callable[[], Tensor]:
    """One step on base colour and roughness textures (512x512) seen in 8 views: look-up, shade, L1, backward, Adam."""
    from engine.raster.texture import build_pyramid, texture_numba

    generator = torch.Generator().manual_seed(0)
    views = sphere_views()
    light = EnvironmentLight(radiance=torch.rand(height, 2 * height, 3, generator=generator) * 2)
    light.requires_grad_(learn_light)
    texture = torch.nn.Parameter(torch.rand(TEXTURE, TEXTURE, 4, generator=generator))  # colour, roughness
    targets = [torch.rand(len(view["uv"]), 3, generator=generator) for view in views]
    metallic = torch.zeros(len(views[0]["uv"]))
    rotation = light.environment_from_world()
    fixed = light.prefiltered()
    parameters = [texture, *light.parameters()] if learn_light else [texture]
    optimizer = torch.optim.Adam(parameters, lr=0.01, fused=True)

    def step() -> Tensor:
        optimizer.zero_grad()
        pyramid = build_pyramid(texture)
        ready = light.prefiltered() if learn_light else fixed
        loss = torch.zeros(())
        for view, target in zip(views, targets, strict=True):
            values = texture_numba(pyramid, view["uv"], view["level"])
            color = shade(
                "numba", ready, rotation, view["normal"], view["view"], values[:, :3], values[:, 3], metallic
            ).color
            loss = loss + (color - target).abs().mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            texture.clamp_(0, 1)
        return loss.detach()

    return step


def shade_passes(count: int, height: int = 32) -> tuple[Callable[[], object], Callable[[], object]]:
    """(forward, forward and backward with every gradient) of `shade` at about `count` points."""
    view = sphere_views()[0]
    repeat = max(count // len(view["uv"]), 1)
    normal, toward = view["normal"].repeat(repeat, 1).requires_grad_(), view["view"].repeat(repeat, 1)
    generator = torch.Generator().manual_seed(0)
    light = EnvironmentLight(radiance=torch.rand(height, 2 * height, 3, generator=generator) * 2)
    points = len(normal)
    base = torch.rand(points, 3, generator=generator).requires_grad_()
    rough, metal, occlusion = (torch.rand(points, generator=generator).requires_grad_() for _ in range(3))

    def forward():
        return shade("numba", light.prefiltered(), torch.eye(3), normal, toward, base, rough, metal, occlusion)

    def both():
        result = forward()
        inputs = (light.log_radiance, normal, base, rough, metal, occlusion)
        return torch.autograd.grad((result.diffuse, result.specular), inputs, (result.diffuse, result.specular))

    return forward, both


def field_pass(count: int = 26_000) -> Callable[[], object]:
    """Forward and backward of the material field at `count` points."""
    field = MaterialField(np.array([[0.0, 0, 0], [1, 1, 1]]))
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))

    def both():
        base, rough, metal = field(points)
        return torch.autograd.grad(base.sum() + rough.sum() + metal.sum(), list(field.parameters()))

    return both


def _part(name: str, make: Callable[[], Callable[[], object]], limit: float | None) -> dict[tuple[str, ...], Callable]:
    return {(name,): lambda: {name: {"value": _smallest(make()), "unit": "ms", "limit": limit}}}


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = (
    _part("shading.material_step_8x256", material_step, 120.0)
    | _part("shading.material_and_light_step_8x256", lambda: material_step(learn_light=True), 120.0)
    | _part("shading.shade_forward_26k", lambda: shade_passes(26_000)[0], None)
    | _part("shading.shade_forward_backward_26k", lambda: shade_passes(26_000)[1], None)
    | _part("shading.field_forward_backward_26k", field_pass, 15.0)
    | _part("shading.prefilter_64x128", lambda: EnvironmentLight(64).prefiltered, None)
)
