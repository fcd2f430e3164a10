"""Shading on any GPU through WGSL: the light, its prefilter, textures' pyramids, and the shading of listed points.

The shaders are shaders/{pbr,environment,prefilter,texture,texture_mips,shade_points}.wgsl; the mathematics is that of
engine/shading. Nothing here is differentiable: the stochastic gradient needs values only.
"""

from engine.shading.points import SurfacePoints
from engine.shading.webgpu.light import GpuLight, LightPrefilter
from engine.shading.webgpu.mips import MipChain
from engine.shading.webgpu.points import shade_points

__all__ = ["GpuLight", "LightPrefilter", "MipChain", "SurfacePoints", "shade_points"]
