"""Passes that draw triangle numbers and recompute where pixels lie; buffers in, texture or buffer out.

They only encode, so that they can stand in one command encoder with whatever comes before and after.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import compose

REMEMBERED = 4  # bind groups kept per pass; loops use the same few buffers again and again
TRIANGLE = 12  # bytes


def _state(cull: bool) -> dict[str, Any]:
    return {
        "vertex": "vertex",
        "fragment": "fragment",
        "targets": ("r32uint",),
        "depth": {"format": "depth32float", "depth_write_enabled": True, "depth_compare": "greater"},
        "primitive": {"topology": "triangle-list", "front_face": "ccw", "cull_mode": "back" if cull else "none"},
    }


class VisibilityPass:
    """Draws the number of the nearest triangle into every pixel of one image size.

    `numbers` is the r32uint texture of that size (0 = background, i+1 = triangle i), `depth` the depth32float texture
    beside it (1 at the near plane, 0 at the far plane and where nothing is). Positions are snapped to what the
    hardware does, at least 1/256 pixel: pixels whose centre lies nearer to an edge than that may differ from the
    exact ones, and so may those where two surfaces are as near. Raises DeviceError for sizes beyond the device's.
    """

    def __init__(self, gpu: Gpu, size: tuple[int, int]) -> None:
        self.gpu, self.size = gpu, size
        usage = "RENDER_ATTACHMENT|TEXTURE_BINDING|COPY_SRC"
        self.numbers = gpu.texture(size, "r32uint", usage)
        self.depth = gpu.texture(size, "depth32float", usage)
        self._views = self.numbers.create_view(), self.depth.create_view()
        self._bound: list[tuple[tuple, list[tuple[int, int, Any]]]] = []
        self._source = compose("visibility")
        gpu.prepare_render(self._source, **_state(False))

    def encode(
        self,
        encoder: Any,
        clip: Any,
        triangles: Any,
        count: int,
        cull_backfaces: bool = False,
        *,
        first: int = 0,
        keep: bool = False,
    ) -> Any:
        """Encode drawing `count` triangles; returns the texture `numbers`.

        clip: storage buffer, vec4f [V], clip space as in `contract.Rasterizer`; triangles: storage buffer, u32 [3F].
        They may be filled by work encoded before. `first` is added to the triangles' numbers; with `keep` they join
        what the last call drew. Triangles beyond what a shader may see at once are drawn in several ranges; so many
        vertices (128 MiB hold 8.4 million) raise DeviceError.
        """
        views, load = self._views, "load" if keep else "clear"
        pipeline = self.gpu.render(self._source, **_state(cull_backfaces))
        ranges = self._ranges(pipeline, clip, triangles, count, first, cull_backfaces)
        with self.gpu.calls("encoding visibility"):
            drawing = encoder.begin_render_pass(
                color_attachments=[
                    {"view": views[0], "load_op": load, "store_op": "store", "clear_value": (0, 0, 0, 0)}
                ],
                depth_stencil_attachment={
                    "view": views[1],
                    "depth_load_op": load,
                    "depth_store_op": "store",
                    "depth_clear_value": 0.0,
                },
            )
            drawing.set_pipeline(pipeline)
            for group, number in ranges:
                drawing.set_bind_group(0, group)
                drawing.draw(3 * number)
            drawing.end()
        return self.numbers

    def _ranges(self, pipeline: Any, clip: Any, triangles: Any, count: int, first: int, cull: bool) -> list[tuple]:
        """(bind group, how many triangles) of each draw."""
        key = clip, triangles, count, first, cull
        for known, ranges in self._bound:
            if all(a is b or (type(a) is int and a == b) for a, b in zip(known, key, strict=True)):
                return ranges
        most = self.gpu.limits["max-storage-buffer-binding-size"] // TRIANGLE // 64 * 64  # offsets: multiples of 256
        ranges = []
        for start in range(0, count, most):
            number = min(most, count - start)
            before = self.gpu.buffer(np.array([first + start, 0, 0, 0], np.uint32), usage=UNIFORM)
            resources = [clip, (triangles, start * TRIANGLE, number * TRIANGLE), before]
            ranges.append((self.gpu.bind(pipeline, resources), number))
        self._bound = [(key, ranges), *self._bound[: REMEMBERED - 1]]
        return ranges


class LocatePass:
    """Recomputes where on its triangle every pixel of a `VisibilityPass` lies, analytically and in float32."""

    def __init__(self, visibility: VisibilityPass) -> None:
        self._visibility, self.gpu = visibility, visibility.gpu
        height, width = visibility.size
        self.located = self.gpu.buffer(16 * height * width, label="located pixels")
        self._source = compose("locate")
        self.gpu.prepare(self._source, "locate")

    def encode(self, encoder: Any, clip: Any, triangles: Any) -> Any:
        """Encode it; returns the storage buffer `located`, vec4f [H*W]: u, v, depth (clip w), triangle number as bits.

        clip and triangles as in `VisibilityPass.encode`; background is all zero. Each buffer must fit into one binding.
        """
        height, width = self._visibility.size
        pipeline = self.gpu.compute(self._source, "locate")
        resources = [clip, triangles, self._visibility.numbers.create_view(), self.located]
        self.gpu.dispatch(encoder, pipeline, resources, (-(-width // 16), -(-height // 8), 1))
        return self.located
