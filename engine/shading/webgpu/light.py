"""A prefiltered light in device memory, and the prefilter itself on the device, for light that changes there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import compose
from engine.shading.albedo import TABLE_SIZE, specular_albedo
from engine.shading.prefilter import ROUGHNESS_LEVELS, PrefilteredLight, fourier_operators

WORKGROUP = 64
TEXEL_BYTES = 16


class GpuLight:
    """What bind group 1 of environment.wgsl holds: `levels` blurs, irradiance, the specular albedo and the frame.

    Its texels are written by `write` from a light that was prefiltered on the host, or by a `LightPrefilter`.
    """

    def __init__(self, gpu: Gpu, size: tuple[int, int], levels: int = ROUGHNESS_LEVELS) -> None:
        """For maps of `size` (height, width), in the world's frame until `turn`. Raises DeviceError if too large."""
        self.gpu, self.size, self.levels = gpu, size, levels
        height, width = size
        self.table = (levels + 1) * (height + 2) * (width + 2)  # index of the table's first node
        self.texels = gpu.buffer((self.table + TABLE_SIZE**2) * TEXEL_BYTES, label="the prefiltered light")
        nodes = np.zeros((TABLE_SIZE**2, 4), np.float32)
        nodes[:, :2] = specular_albedo().reshape(-1, 2)
        gpu.write(self.texels, nodes, self.table * TEXEL_BYTES)
        self.uniform = gpu.buffer(80, usage=UNIFORM, label="the light's frame")
        self.turn(np.eye(3))

    @classmethod
    def of(cls, gpu: Gpu, light: PrefilteredLight, environment_from_world: np.ndarray | None = None) -> GpuLight:
        """`light` on the device, in the frame that `environment_from_world` [3,3] says (None: the world's)."""
        levels, height, width = light.levels.shape[:3]
        made = cls(gpu, (height, width), levels - 1)
        made.write(light)
        if environment_from_world is not None:
            made.turn(environment_from_world)
        return made

    def write(self, light: PrefilteredLight) -> None:
        """Replace the texels by those of `light`, which must be of this size and number of levels (else ValueError)."""
        expected = (self.levels + 1, self.size[0] + 2, self.size[1] + 2, 4)
        if tuple(light.padded.shape) != expected:
            raise ValueError(f"the light's padded levels are {tuple(light.padded.shape)}, not {expected}")
        self.gpu.write(self.texels, light.padded.detach().to("cpu", torch.float32).contiguous().numpy())

    def turn(self, environment_from_world: np.ndarray) -> None:
        """Set the frame by a rotation [3,3]; a light that turns with the camera needs it for every view."""
        record = np.zeros(20, np.float32)
        record[:12].reshape(3, 4)[:, :3] = np.asarray(environment_from_world, np.float32).T  # columns, padded
        record[12:17].view(np.uint32)[:] = *self.size, self.levels, self.table, TABLE_SIZE
        self.gpu.write(self.uniform, record)

    @property
    def bindings(self) -> list[Any]:
        """Resources of bind group 1, for a pipeline whose shading includes environment.wgsl."""
        return [self.texels, self.uniform]


class LightPrefilter:
    """`engine.shading.prefilter.prefilter` on the device: three dispatches, no read-back.

    For light whose texels are optimized there. 32x64 is 6 million multiply-adds, 64x128 is 43 million.
    """

    def __init__(self, gpu: Gpu, size: tuple[int, int], levels: int = ROUGHNESS_LEVELS) -> None:
        """For maps of `size` (height, width). Raises ValueError if the width is odd, DeviceError if too large."""
        height, width = size
        if width % 2:
            raise ValueError(f"an environment map must have an even width, not {width}")
        self.gpu, self.size, self.levels = gpu, size, levels
        modes = width // 2 + 1
        operators = fourier_operators(height, width, levels, torch.float32, torch.device("cpu"))
        turn = 2 * np.pi * np.arange(width) / width
        self._sizes = gpu.buffer(np.array([height, width, levels, 0], np.uint32), usage=UNIFORM)
        self._turns = gpu.buffer(np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32))
        self._operators = gpu.buffer(operators.numpy(), label="the light's blurs")
        self._modes = gpu.buffer(modes * 3 * height * 8)
        self._blurred = gpu.buffer(modes * 3 * levels * height * 8)
        source = compose("prefilter")
        names = ("rows_to_modes", "blur_modes", "modes_to_texels")
        waiting = [gpu.prepare(source, name) for name in names]
        self._pipelines = [gpu.compute(source, name) for name, _ in zip(names, waiting, strict=True)]

    def encode(self, encoder: Any, radiance: Any, light: GpuLight) -> None:
        """Encode writing the texels of `light` from the buffer `radiance`, float32 [height,width,3] from its start."""
        if light.size != self.size or light.levels != self.levels:
            raise ValueError(f"a light of {light.size} with {light.levels} levels, not {self.size} with {self.levels}")
        height, width = self.size
        groups = [-(-height // WORKGROUP), -(-self.levels * height // WORKGROUP), -(-(width + 2) // WORKGROUP)]
        modes = width // 2 + 1
        steps = (
            ({0: self._sizes, 1: radiance, 2: self._turns, 4: self._modes}, (groups[0], modes, 1)),
            ({0: self._sizes, 3: self._operators, 4: self._modes, 5: self._blurred}, (groups[1], modes, 1)),
            (
                {0: self._sizes, 1: radiance, 2: self._turns, 5: self._blurred, 6: light.texels},
                (groups[2], height + 2, self.levels + 1),
            ),
        )
        for pipeline, (resources, counts) in zip(self._pipelines, steps, strict=True):
            self.gpu.dispatch(encoder, pipeline, [self.gpu.bind(pipeline, resources)], counts)
