"""The environment light as a group of parameters: credited per texel of its blurs, pulled back through them, Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.kernels.webgpu import UNIFORM
from engine.kernels.wgsl import compose
from engine.optimize.stochastic.memory import LoopMemory
from engine.optimize.stochastic.options import GROUPS
from engine.scene import Environment
from engine.shading.environment import FLOOR
from engine.shading.prefilter import ROUGHNESS_LEVELS, fourier_operators
from engine.shading.webgpu import GpuLight, LightPrefilter

WORKGROUP = 64


def blur_texels(size: tuple[int, int]) -> int:
    """Texels of all blurs of a light of (height, width), with their borders."""
    return (ROUGHNESS_LEVELS + 1) * (size[0] + 2) * (size[1] + 2)


class LoopLight:
    """The light on the device: its radiance, its blurs as the shading reads them, and its frame in each view."""

    def __init__(self, memory: LoopMemory, environment: Environment) -> None:
        self.memory, self.environment = memory, environment
        gpu = memory.gpu
        self.size = environment.radiance.shape[:2]
        self.light = GpuLight(gpu, self.size)
        self._prefilter = LightPrefilter(gpu, self.size)
        self.radiance = gpu.buffer(12 * self.size[0] * self.size[1], label="the light")
        self._turned: bytes = b""
        self.write(np.maximum(environment.radiance, FLOOR))
        self.turn(np.eye(4))

    def write(self, radiance: np.ndarray) -> None:
        """Replace the radiance [H,W,3] and its blurs."""
        self.memory.gpu.write(self.radiance, np.ascontiguousarray(radiance, np.float32))
        encoder = self.memory.gpu.encoder()
        self.encode(encoder)
        self.memory.gpu.submit(encoder)

    def read(self) -> np.ndarray:
        """[H,W,3] radiance; waits for the device."""
        return self.memory.gpu.read(self.radiance, np.float32, (*self.size, 3))

    def encode(self, target: Any) -> None:
        """Encode the blurs of the radiance as it is."""
        self._prefilter.encode(target, self.radiance, self.light)

    def turn(self, world_from_camera: np.ndarray) -> None:
        """Set the frame for a view, whose pose [4,4] matters where the light turns with the camera."""
        rotation = np.asarray(self.environment.world_from_environment, float)
        if self.environment.frame == "camera":
            rotation = world_from_camera[:3, :3] @ rotation
        if rotation.tobytes() != self._turned:
            self._turned = rotation.tobytes()
            self.light.turn(rotation.T)


class LightGroup:
    """Moves the logarithm of the light's radiance; eps and rate are shares of a texel."""

    name = "environment"
    credit = "credit_light"
    moves_geometry = False

    def __init__(self, memory: LoopMemory, light: LoopLight) -> None:
        self.memory, self.light = memory, light
        gpu, (height, width) = memory.gpu, light.size
        blurs, modes = ROUGHNESS_LEVELS, width // 2 + 1
        buffer = gpu.buffer
        turn = 2 * np.pi * np.arange(width) / width
        operators = fourier_operators(height, width, blurs, torch.float32, torch.device("cpu")).numpy()
        sizes = buffer(np.array([height, width, blurs, 0], np.uint32), usage=UNIFORM)
        rows = buffer(np.array([blurs * height, width, 0, 0], np.uint32), usage=UNIFORM)
        folded = buffer(12 * (blurs + 1) * height * width)
        turns = buffer(np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32))
        spectra, pulled = buffer(8 * modes * 3 * blurs * height), buffer(8 * modes * 3 * height)
        self._moments = buffer(8 * 3 * height * width, label="the light's moments")
        table = buffer(operators, label="the light's blurs")
        source = memory.composed("light_gradient", GROUP=GROUPS[self.name])
        fold, unblur, adam = (gpu.compute(source, name) for name in ("fold", "unblur", "light_adam"))
        to_modes = gpu.compute(compose("prefilter"), "rows_to_modes")
        self._fold = fold
        self._fold_resources = {0: memory.step, 2: sizes, 3: light.light.texels, 4: folded, 8: memory.sums}
        across = -(-width // WORKGROUP)
        self._fold_groups = (across, height, blurs + 1)
        self._rest = [
            (to_modes, {0: rows, 1: folded, 2: turns, 4: spectra}, (-(-blurs * height // WORKGROUP), modes, 1)),
            (unblur, {2: sizes, 5: spectra, 6: table, 7: pulled}, (-(-height // WORKGROUP), modes, 1)),
            (
                adam,
                {0: memory.step, 2: sizes, 4: folded, 7: pulled, 9: turns, 10: light.radiance, 11: self._moments},
                (across, height, 1),
            ),
        ]
        self._rest = [(pipeline, gpu.bind(pipeline, bound), groups) for pipeline, bound, groups in self._rest]
        self._bound: dict[int, Any] = {}

    def clear(self, encoder: Any) -> None:
        """Encode what has to be zero before the step."""

    def encode(self, compute_pass: Any, view: int) -> None:
        """Encode the step from the credited sums to the moved light and its blurs."""
        memory, dispatch = self.memory, self.memory.gpu.dispatch
        if view not in self._bound:
            resources = self._fold_resources | {1: memory.view_uniform(view)}
            self._bound[view] = memory.gpu.bind(self._fold, resources)
        dispatch(compute_pass, self._fold, [self._bound[view]], self._fold_groups)
        for pipeline, bound, groups in self._rest:
            dispatch(compute_pass, pipeline, [bound], groups)
        self.light.encode(compute_pass)

    def rate(self, rate: float) -> float:
        """Rates are shares of a texel."""
        return rate

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of the light and Adam's moments."""
        height, width = self.light.size
        moments = self.memory.gpu.read(self._moments, np.float32, (height, width, 3, 2))
        return {"radiance": self.light.read(), "moments": moments}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to what `state` returned."""
        self.light.write(state["radiance"])
        self.memory.gpu.write(self._moments, state["moments"])
