"""The passes of splatting on one device, forward and backward; see shaders/splat_*.wgsl."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine.errors import DeviceError
from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import ShaderSource, compose
from engine.scene.camera import Camera
from engine.scene.gaussians import Kind
from engine.splats import constants
from engine.splats.webgpu_buffers import Buffers, Encoding
from engine.splats.webgpu_sort import RUNS, SortPass, encode_sort, encode_sums, sort_passes

GEOMETRY = 12  # floats of a splat, as shaders/splat_footprint.wgsl reads them
ROW = 20  # floats of a splat's gradient, as shaders/splat_project_backward.wgsl lists them
RECORD = {"gaussian": 32, "exponential": 32, "surface": 80}  # bytes of what compositing reads of a splat
SUMS = {"gaussian": 32, "exponential": 32, "surface": 64}  # bytes of what it sums for a splat in a tile
TILES = -3  # where the uniform says how many there are
LEAST_PLACES = 1 << 14  # there is room for at first
WIDEST = 65535 * constants.TILE  # pixels; a tile's column and row have 16 bits


@dataclass(frozen=True)
class SplatArrays:
    """One view's inputs on the host."""

    geometry: np.ndarray  # [N,12] float32
    harmonics: np.ndarray  # [N,K,3] float32
    groups: list[np.ndarray]  # further channels: the first [N], then [N,4] each
    camera: Camera
    degree: int
    antialiased: bool
    kind: Kind
    deep: bool  # with median depth and, of discs, what else is known of depth

    @property
    def layers(self) -> int:
        """Images of four channels, the first with the colour."""
        return max(len(self.groups), 1)


@lru_cache(maxsize=64)
def splat_source(name: str, kind: Kind, deep: bool = False) -> ShaderSource:
    """The shader `name` with the numbers of constants.py."""
    names = ("LOW_PASS", "ALPHA_MAX", "ALPHA_MIN", "STOP", "NEAR")
    numbers = {"EXPONENTIAL": kind == "exponential", "DEEP": deep} | {key: getattr(constants, key) for key in names}
    bounds = "splat_disc_bounds" if kind == "surface" else "splat_bounds"
    chosen = {"bounds": f"// Provides: the chosen bounds.\n#include {bounds}\n"}
    return compose(name, sources=chosen, constants=numbers)


def stage_source(stage: str, kind: Kind, deep: bool = False) -> tuple[ShaderSource, str]:
    """(shader, its entry) of a stage, `project` or `composite`, with or without `_backward`."""
    what, primitives = ("splat_disc", "discs") if kind == "surface" else ("splat", "splats")
    first, backward, _ = stage.partition("_backward")
    return splat_source(f"{what}_{stage}", kind, deep), f"{first}_{primitives}{backward}"


def view_record(arrays: SplatArrays, capacity: int) -> np.ndarray:
    """The uniform of shaders/splat_view.wgsl."""
    camera, count = arrays.camera, len(arrays.geometry)
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    half = constants.JACOBIAN_LIMIT * 0.5
    columns, rows = -(-camera.width // constants.TILE), -(-camera.height // constants.TILE)
    lens = (fx, fy, half * camera.width / fx, half * camera.height / fy, cx, cy)
    floats = np.concatenate([camera.camera_from_world[:3].reshape(-1), camera.position, [0.0], lens])
    terms, extra = arrays.harmonics.shape[1], int(bool(arrays.groups))
    numbers = (camera.width, camera.height, count, terms, arrays.degree, int(arrays.antialiased), extra)
    integers = np.array([*numbers, columns, columns * rows, capacity, 0], np.uint32)
    return np.concatenate([floats.astype(np.float32).view(np.uint32), integers])


class SplatPasses:
    """What a device needs to draw splats; the buffers hold the last view drawn until the next."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.buffers = gpu, Buffers(gpu)
        self.capacity = 0  # places there is room for
        self.wanted = 0  # places that the last view had
        self.drawn: SplatArrays | None = None  # what the buffers hold
        self._sent: dict[str, np.ndarray] = {}  # what they hold of inputs

    def forward(self, arrays: SplatArrays) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray | None]:
        """(images [H,W,4], transmittance [H,W], shown [N,3]: centre and radius in pixels, depths), as read back.

        depths [H,W,4], None unless `deep`: of discs the sum of weights, mean depth, and the sum of weight times squared
        distance from it; median depth.
        Drawn once more where the splats reach more tiles than there was room for.
        """
        while True:
            work = self._encode(arrays)
            encoder = work.end_pass()
            size, count = arrays.camera.size, len(arrays.geometry)
            get, read = self.buffers.get, self.gpu.readback
            pixels = size[0] * size[1]
            images = [
                read(encoder, get(f"image {k}", 16 * pixels), np.float32, (*size, 4)) for k in range(arrays.layers)
            ]
            clear = read(encoder, get("transmittance", 4 * pixels), np.float32, size)
            shown = read(encoder, get("shown", 12 * count), np.float32, (count, 3))
            depths = read(encoder, get("image of depths", 16 * pixels), np.float32, (*size, 4)) if arrays.deep else None
            amounts = read(encoder, get("amounts", 16), np.uint32, 4)
            self.gpu.submit(encoder)
            wanted = self.wanted = int(amounts.array()[2])
            if wanted <= self.capacity:
                self.drawn = arrays
                deep = None if depths is None else depths.array()
                return [image.array() for image in images], clear.array(), shown.array(), deep
            for unused in (*images, clear, shown, *([] if depths is None else [depths])):
                unused.use(lambda _: None)
            self.capacity = wanted + wanted // 4

    def _encode(self, arrays: SplatArrays) -> Encoding:
        """Everything from parameters to images."""
        self.drawn = None
        camera, count = arrays.camera, len(arrays.geometry)
        if max(camera.size) > WIDEST:
            raise DeviceError(f"an image of {camera.width}x{camera.height} pixels is too large; make it smaller")
        self.capacity = max(self.capacity, 4 * count, LEAST_PLACES)
        get, filled = self.buffers.get, self.buffers.filled
        view = view_record(arrays, self.capacity)
        tiles, pixels = int(view[TILES]), camera.width * camera.height
        by_depth = sort_passes(count, 32, 0)
        by_tile = sort_passes(self.capacity, tiles.bit_length(), 1)
        sums = SortPass(length=count)
        uniform, of_sums, *rest = self.buffers.uniforms([view, *(p.record() for p in (sums, *by_depth, *by_tile))])
        geometry, harmonics = self._input("geometry", arrays.geometry), self._input("harmonics", arrays.harmonics)
        extra = filled("extra", arrays.groups[0]) if arrays.groups else get("extra", 16)
        features = [get("features 0", 16 * count)]
        features += [filled(f"features {k}", group) for k, group in enumerate(arrays.groups[1:], 1)]
        amounts = filled("amounts", np.array([count, 0, 0, 0], np.uint32))
        records = get("records", RECORD[arrays.kind] * count)
        boxes, depths = get("boxes", 16 * count), get("depths", 4 * count)
        shown, order, slots = get("shown", 12 * count), get("order", 4 * count), get("slots", 8 * count)
        spare = get("spare keys", 4 * max(count, self.capacity)), get("spare values", 4 * max(count, self.capacity))
        longest = max(4 * count, *(4 * each.length for each in (*by_depth, *by_tile)))
        table, runs = get("table", longest), get("runs", 4 * RUNS)
        tile_of, splat_of = get("tiles", 4 * self.capacity), get("slots' splats", 4 * self.capacity)
        slot_of, splats = get("places' slots", 4 * self.capacity), get("places", 8 * self.capacity)
        starts, transmittance = get("starts", 4 * (tiles + 1)), get("transmittance", 4 * pixels)
        image_of_depths = get("image of depths", 16 * (pixels if arrays.deep else 1))
        work, kind = Encoding(self.buffers), arrays.kind
        each = -(-count // 64)
        bound = uniform, geometry, harmonics, extra, records, features[0], boxes, depths, shown
        work.dispatch(*stage_source("project", kind), bound, each)
        encode_sort(work, by_depth, rest[: len(by_depth)], amounts, (depths, spare[0]), (order, spare[1]), table, runs)
        places = splat_source("splat_places", kind)
        work.dispatch(places, "count_places", {0: uniform, 1: boxes, 2: order, 3: table}, each)
        encode_sums(work, of_sums, table, runs)
        bound = uniform, boxes, order, table, records, slots, tile_of, splat_of, amounts
        work.dispatch(places, "fill_places", bound, each)
        encode_sort(
            work, by_tile, rest[len(by_depth) :], amounts, (tile_of, spare[0]), (slot_of, spare[1]), table, runs
        )
        bound = uniform, amounts, tile_of, slot_of, splat_of, splats, starts
        work.dispatch(splat_source("splat_starts", kind), "find_tiles", bound, self.capacity // 64 + 1)
        for k, feature in enumerate(features):
            bound = uniform, starts, splats, records, feature, get(f"image {k}", 16 * pixels), transmittance
            if kind == "surface":
                bound = *bound, image_of_depths
            work.dispatch(*stage_source("composite", kind, arrays.deep and k == 0), bound, tiles)
        if arrays.deep and kind != "surface":
            bound = uniform, starts, splats, records, geometry, image_of_depths
            work.dispatch(splat_source("splat_median", kind), "find_median_depths", bound, tiles)
        return work

    def _input(self, name: str, data: np.ndarray) -> Any:
        """The buffer `name`, filled anew but where it holds this very array."""
        if self._sent.get(name) is data:
            return self.buffers.get(name, data.nbytes)
        self._sent.pop(name, None)
        buffer = self.buffers.filled(name, data)
        self._sent[name] = data
        return buffer

    def backward(
        self, arrays: SplatArrays, slopes: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Gradients [N,20] (see ROW), of harmonics [N,K,3], and of further channels [N,4] each.

        `slopes` [H,W,2,4] of each image of four channels: the gradient, then how much the pixel times it is, thrice 0.
        Of discs [H,W,3,4], with what splat_disc_composite_backward.wgsl takes of depth.
        """
        if self.drawn is not arrays:  # another view was drawn meanwhile
            self.forward(arrays)
        count, get, filled = len(arrays.geometry), self.buffers.get, self.buffers.filled
        view = view_record(arrays, self.capacity)
        tiles, width = int(view[TILES]), max(self.wanted, 1)
        (uniform,) = self.buffers.uniforms([view])
        kind, room = arrays.kind, SUMS[arrays.kind] * width
        sums, gradients = get("sums", room), get("gradients", 4 * ROW * count)
        d_harmonics = get("gradients of harmonics", arrays.harmonics.nbytes)
        records, slots = get("records", RECORD[kind] * count), get("slots", 8 * count)
        starts, splats = get("starts", 4 * (tiles + 1)), get("places", 8 * self.capacity)
        of_channels = [get(f"sums of channels {k}", 16 * width) for k in range(arrays.layers)]
        work = Encoding(self.buffers)
        for buffer, size in ((sums, room), (gradients, 4 * ROW * count), (d_harmonics, arrays.harmonics.nbytes)):
            work.clear(buffer, size)
        for k, (slope, sums_here) in enumerate(zip(slopes, of_channels, strict=True)):
            work.clear(sums_here, 16 * width)
            pixels, features = filled(f"slopes {k}", slope), get(f"features {k}", 16 * count)
            bound = uniform, starts, splats, records, features, pixels, sums, sums_here
            work.dispatch(*stage_source("composite_backward", kind, arrays.deep and k == 0), bound, tiles)
        bound = uniform, get("geometry", 0), get("harmonics", 0), records, slots, sums, of_channels[0]
        each = -(-count // 64)
        work.dispatch(*stage_source("project_backward", kind), (*bound, gradients, d_harmonics), each)
        gathered = [get(f"gradients of channels {k}", 16 * count) for k in range(1, arrays.layers)]
        for sums_here, total in zip(of_channels[1:], gathered, strict=True):
            work.dispatch(
                splat_source("splat_gather", kind), "gather_features", (uniform, slots, sums_here, total), each
            )
        encoder, read = work.end_pass(), self.gpu.readback
        rows = read(encoder, gradients, np.float32, (count, ROW))
        of_harmonics = read(encoder, d_harmonics, np.float32, arrays.harmonics.shape)
        channels = [read(encoder, buffer, np.float32, (count, 4)) for buffer in gathered]
        self.gpu.submit(encoder)
        return rows.array(), of_harmonics.array(), [channel.array() for channel in channels]
