"""The renderer of assets under a shading of the user's own, which need not be smooth: by plain supersampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.errors import ExchangeError
from engine.exchange.hdr import reduced
from engine.exchange.render import LIGHT_ROWS, AssetRenderer
from engine.raster import RasterizerName
from engine.scene import Camera, Environment, Material, Mesh
from engine.shading.blackbox import Shading
from engine.shading.points import SurfacePoints

SAMPLES = 3  # per pixel and axis


class ShadedRenderer(AssetRenderer):
    """Draws one asset as a `Shading` shows it; every pixel is the mean of a grid of samples, which antialiases bands,
    outlines and silhouettes alike."""

    def __init__(
        self,
        mesh: Mesh,
        material: Material,
        shading: Shading,
        environment: Environment | None = None,
        rasterizer_name: RasterizerName = "numba",
        samples: int = SAMPLES,
    ) -> None:
        """Raises ExchangeError for a shading that reads the light where there is none."""
        super().__init__(mesh, material, None, rasterizer_name)
        self.shading, self.samples = shading, samples
        self.not_finite = 0  # points for which the shading returned NaN or infinity so far; they are black
        self._map: Environment | None = environment
        self._device_light: Any = None
        if shading.reads_light and environment is None:
            raise ExchangeError(f"the shading {shading.name} reads the light, and there is none; give an environment")

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]) float32 on nothing. Raises what the shading raises."""
        height, width = camera.size
        fine = camera.resized(width * self.samples, height * self.samples)
        with torch.no_grad():
            surface = self.surface(fine)
            toward = torch.nn.functional.normalize(self._tensor(fine.position) - surface.points, dim=-1)
            uv = None
            if self._uvs is not None:
                uv = self._rasterizer.interpolate(self._uvs, self._uv_triangles, surface.buffer).cpu().numpy()
        pixel = surface.buffer.pixel.cpu().numpy()
        occlusion, roughness, metallic = surface.packed.cpu().numpy().T
        points = SurfacePoints(
            surface.normal.cpu().numpy(),
            toward.cpu().numpy(),
            surface.base_color.cpu().numpy(),
            roughness,
            metallic,
            occlusion,
            surface.points.cpu().numpy(),
            uv,
            (np.stack([pixel % fine.width, pixel // fine.width], 1) + 0.5).astype(np.float32) / self.samples,
        )
        image = np.zeros((fine.height * fine.width, 4), np.float32)
        if len(pixel):
            colors = self.shading.shade(points, self._light_of(camera))
            wrong = ~np.isfinite(colors).all(1)
            self.not_finite += int(wrong.sum())
            image[pixel, :3] = np.where(wrong[:, None], 0, colors)
            image[pixel, 3] = 1
        grid = image.reshape(height, self.samples, width, self.samples, 4)
        mean = grid.mean((1, 3), dtype=np.float32)
        return np.ascontiguousarray(mean[..., :3]), mean[..., 3]

    def _light_of(self, camera: Camera) -> Any:
        if not self.shading.reads_light:
            return None
        from engine.kernels.webgpu import gpu
        from engine.shading.prefilter import prefilter
        from engine.shading.webgpu import GpuLight

        if self._device_light is None:
            with torch.no_grad():
                self._device_light = GpuLight.of(
                    gpu(), prefilter(self._tensor(reduced(self._map.radiance, LIGHT_ROWS)))
                )
        rotation = self._map.world_from_environment
        if self._map.frame == "camera":
            rotation = camera.world_from_camera[:3, :3] @ rotation
        self._device_light.turn(rotation.T)
        return self._device_light
