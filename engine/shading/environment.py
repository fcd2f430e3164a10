"""The light from far away as something to learn: positive radiance, its frame, and priors by name.

Base colour and light share a scale per colour channel: twice the light over half the colour looks the same. The anchor
used here is on the light: prior `neutral` pulls its hue to grey (Munkberg et al. 2022, section 4) and prior `scale` its
mean brightness to a set value, the initial one unless said. With neither, only base colour <= 1 bounds the scale.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.scene import Environment
from engine.scene.environment import LightFrame, texel_solid_angle
from engine.shading.equirectangular import sample
from engine.shading.prefilter import ROUGHNESS_LEVELS, PrefilteredLight, prefilter

FLOOR = 1e-4  # the least radiance that an imported map keeps, so that its logarithm can be learned


class EnvironmentLight(torch.nn.Module):
    """A learnable equirectangular light, laid out as engine/scene/environment.py says; stores log radiance [H,W,3].

    The logarithm keeps radiance positive and makes an Adam step a relative one, which suits the range of sun and sky.
    """

    def __init__(
        self,
        height: int = 32,  # the map is height x 2 height
        radiance: float | np.ndarray | Tensor = 0.5,  # initial: grey, or [H,W,3] linear (then `height` does not matter)
        world_from_environment: np.ndarray | None = None,  # [3,3]; camera_from_environment where frame is `camera`
        frame: LightFrame = "world",
    ):
        super().__init__()
        if isinstance(radiance, (int, float)):
            radiance = torch.full((height, 2 * height, 3), float(radiance))
        initial = torch.as_tensor(radiance, dtype=torch.float32).clamp_min(FLOOR)
        rotation = np.eye(3) if world_from_environment is None else world_from_environment
        self.frame = frame
        self.log_radiance = torch.nn.Parameter(initial.log())
        self.register_buffer("rotation", torch.as_tensor(np.asarray(rotation), dtype=torch.float32).clone())
        angles = torch.tensor(texel_solid_angle(*initial.shape[:2]) / (4 * np.pi), dtype=torch.float32)
        self.register_buffer("share", angles, persistent=False)  # [H,W] of the sphere, sums to 1
        self.register_buffer("initial_mean", (initial * angles[..., None]).sum())

    @classmethod
    def from_environment(cls, environment: Environment, height: int = 32) -> EnvironmentLight:
        """The light of `environment`, averaged to height x 2 height."""
        image = torch.tensor(environment.radiance).permute(2, 0, 1)[None]
        small = torch.nn.functional.interpolate(image, size=(height, 2 * height), mode="area")[0].permute(1, 2, 0)
        return cls(radiance=small, world_from_environment=environment.world_from_environment, frame=environment.frame)

    def radiance(self) -> Tensor:
        """[H,W,3] linear, positive."""
        return self.log_radiance.exp()

    def prefiltered(self, levels: int = ROUGHNESS_LEVELS) -> PrefilteredLight:
        """The light ready for `shade`; make it once per step and use it for all views."""
        return prefilter(self.radiance(), levels)

    def environment_from_world(self, world_from_camera: np.ndarray | Tensor | None = None) -> Tensor:
        """[3,3] the rotation that `shade` takes; a light in the camera's frame needs the camera's pose [4,4] or [3,3].

        Raises ValueError where the pose is needed and missing.
        """
        if self.frame == "world":
            return self.rotation.T
        if world_from_camera is None:
            raise ValueError("this light turns with the camera: pass world_from_camera")
        pose = torch.as_tensor(np.asarray(world_from_camera), dtype=torch.float32)[:3, :3].to(self.rotation.device)
        return (pose @ self.rotation).T

    def background(self, directions: Tensor, world_from_camera: np.ndarray | Tensor | None = None) -> Tensor:
        """Radiance [...,3] seen along world `directions` [...,3], bilinear; the sharp light, for display."""
        local = directions.reshape(-1, 3) @ self.environment_from_world(world_from_camera).T
        return sample(self.radiance(), None, local).reshape(directions.shape)

    def environment(self) -> Environment:
        """The light as the scene's noun, copied."""
        with torch.no_grad():
            radiance = self.radiance().cpu().numpy().copy()
        return Environment(radiance, self.rotation.cpu().numpy().astype(float), self.frame)

    def neutral(self) -> Tensor:
        """Scalar mean distance of texels' channels from their mean, relative to the light's mean: 0 for grey light."""
        radiance = self.radiance()
        deviation = (radiance - radiance.mean(-1, keepdim=True)).abs().mean(-1)
        return (deviation * self.share).sum() / self._mean(radiance).detach()

    def smoothness(self) -> Tensor:
        """Scalar mean absolute difference of neighbouring texels' log radiance, around the seam too."""
        across = (self.log_radiance - self.log_radiance.roll(1, 1)).abs() * self.share[..., None]
        down = self.log_radiance.diff(dim=0).abs() * self.share[1:, :, None]
        return (across.sum() + down.sum()) / 6

    def scale(self, mean: float | None = None) -> Tensor:
        """Scalar squared log of the light's mean radiance over `mean`, the initial light's where None."""
        target = self.initial_mean / 3 if mean is None else torch.tensor(mean)
        return (self._mean(self.radiance()) / target).log() ** 2

    def rescale(self, mean: float) -> float:
        """Set the light's mean radiance to `mean`; returns the factor, by which base colours are to be divided."""
        with torch.no_grad():
            factor = mean / float(self._mean(self.radiance()))
            self.log_radiance += float(np.log(factor))
        return factor

    def _mean(self, radiance: Tensor) -> Tensor:
        return (radiance * self.share[..., None]).sum() / 3


PRIORS: dict[str, Callable[[EnvironmentLight], Tensor]] = {
    "neutral": EnvironmentLight.neutral,
    "smoothness": EnvironmentLight.smoothness,
    "scale": EnvironmentLight.scale,
}
