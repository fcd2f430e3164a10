"""The training photographs as tensors at a requested size, and the order in which steps take them."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import CaptureError
from engine.optimize.crop import Crop, object_crop, surface_crop
from engine.optimize.loss_photo import loss_camera, loss_photo
from engine.optimize.photo_loss import TargetStatistics
from engine.scene import Camera

if TYPE_CHECKING:
    from engine.capture import Capture


@dataclass(frozen=True)
class View:
    """One photograph at one size; premultiplied, so that area filtering mixes in nothing that the mask hides."""

    frame: int  # index into capture.frames
    camera: Camera  # of this size
    premultiplied: Tensor  # [H,W,3] float32 linear colour times alpha
    alpha: Tensor  # [H,W] float32 in [0,1], 1 = object; all ones where the capture has no masks
    part: Crop | None = None  # which part of the photo this is; None: all of it
    photo_size: tuple[int, int] | None = None  # (height, width) of the photo that this is a part of

    @property
    def whole(self) -> tuple[int, int]:
        """(height, width) of the whole photo."""
        return self.photo_size or self.camera.size

    @property
    def memory(self) -> int:
        """Bytes held; the statistics of the photo loss are counted for close-ups, of which steps ask them."""
        pixels = self.camera.width * self.camera.height
        return 4 * pixels * (4 if self.part is None else 13)

    @property
    def share(self) -> float:
        """The part of the whole photo's pixels that the view has."""
        return self.camera.width * self.camera.height / (self.whole[0] * self.whole[1])

    @functools.cached_property
    def statistics(self) -> TargetStatistics:
        """What the fused photo loss needs of the photo."""
        return TargetStatistics.of(self.premultiplied)

    def cropped(self, crop: Crop) -> View:
        """The part of a whole photo inside `crop`."""
        height, width = crop.y1 - crop.y0, crop.x1 - crop.x0
        camera = self.camera.cropped(crop.x0, crop.y0, width, height)
        tensors = (t[crop.y0 : crop.y1, crop.x0 : crop.x1].contiguous() for t in (self.premultiplied, self.alpha))
        return View(self.frame, camera, *tensors, crop, self.camera.size)

    def over(self, background: Tensor) -> Tensor:
        """[H,W,3] the photograph on `background` ([3] or [H,W,3], linear)."""
        return self.premultiplied + (1 - self.alpha)[..., None] * background


class ViewSet:
    """The training views of a capture: cached tensors, a seeded order that runs through every view once per epoch, and
    the views the user excluded."""

    def __init__(self, capture: Capture, device: str = "cpu", seed: int = 0, cache_megabytes: int = 2048) -> None:
        self.capture = capture
        self.device = device
        self._cache = _Cache(cache_megabytes * 2**20)
        self._objects: dict[tuple[int, int, int], Crop | None] = {}  # where alpha is not zero
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._left: list[int] = []  # what this epoch has not taken yet
        self._excluded: set[int] = set()

    @property
    def train(self) -> list[int]:
        """Frame indices that steps may take."""
        return [frame for frame in self.capture.train if frame not in self._excluded]

    @property
    def excluded(self) -> frozenset[int]:
        """Frame indices left out by the user."""
        return frozenset(self._excluded)

    def exclude(self, frame: int, excluded: bool = True) -> None:
        """Leave a training frame out, or take it in again from the next epoch on.

        Raises CaptureError for the last one.
        """
        if frame not in self.capture.train:
            raise CaptureError(f"photo {frame} is not a training photo of {self.capture.path}; nothing to exclude")
        if not excluded:
            self._excluded.discard(frame)
            return
        if self.train == [frame]:
            name = self.capture.frames[frame].name
            raise CaptureError(f"{name} is the last training photo; take another in before you exclude it")
        self._excluded.add(frame)
        self._left = [other for other in self._left if other != frame]

    def next(self, count: int = 1) -> list[int]:
        """The next `count` frame indices, each view once per epoch; a batch holds a view twice only when it must."""
        batch: list[int] = []
        for _ in range(count):
            if not self._left:
                train = self.train
                if not train:
                    raise CaptureError(f"{self.capture.path}: there is no training photo left")
                order = [train[i] for i in self._random.permutation(len(train))]
                recent = set(batch) if len(train) >= count else set()
                self._left = [f for f in order if f not in recent] + [f for f in order if f in recent]
            batch.append(self._left.pop(0))
        return batch

    def batch(self, count: int, image_size: int = 0) -> list[View]:
        """The next `count` views, scaled as `view` does."""
        return [self.view(frame, image_size) for frame in self.next(count)]

    def close_ups(self, count: int, image_size: int, points: np.ndarray) -> list[View]:
        """The next `count` views, scaled as `view` does and cut to what holds the object and a mesh of vertices
        `points` [N,3]; what is beyond is empty in the photo as in the mesh's image."""
        return [self.close_up(frame, image_size, points) for frame in self.next(count)]

    def close_up(self, frame: int, image_size: int, points: np.ndarray) -> View:
        """One view as `close_ups` cuts it."""
        camera = self._camera(frame, image_size)
        key = (frame, camera.width, camera.height)
        if key not in self._objects:
            self._objects[key] = object_crop(self.view(frame, image_size).alpha.cpu().numpy())
        parts = [part for part in (self._objects[key], surface_crop(points, camera)) if part is not None]
        if not parts:
            return self.view(frame, image_size)
        crop = functools.reduce(Crop.union, parts).widened(camera.size)
        name = (*key, "close-up")  # one per photo: a new crop takes the place of the last
        held = self._cache.get(name)
        if held is None or held.part != crop:
            held = self.view(frame, image_size).cropped(crop)
            self._cache.put(name, held)
        return held

    def _camera(self, frame: int, image_size: int) -> Camera:
        return loss_camera(self.capture.frames[frame].camera, image_size)

    def view(self, frame: int, image_size: int = 0) -> View:
        """A view whose longest side is at most `image_size` pixels (0: as the capture delivers it), area-filtered."""
        camera = self._camera(frame, image_size)
        key = (frame, camera.width, camera.height)
        view = self._cache.get(key)
        if view is None:
            view = self._load(frame, camera)
            self._cache.put(key, view)
        return view

    def forget(self) -> None:
        """Free the cached tensors; what is asked for again is made again."""
        self._cache.clear()

    def _load(self, frame: int, camera: Camera) -> View:
        arrays = loss_photo(self.capture.pixels(frame), camera)
        tensors = (torch.from_numpy(array).to(self.device) for array in arrays)
        return View(frame, camera, *tensors)

    def state(self) -> dict[str, Any]:
        """JSON-able: the order so far, its generator and what is excluded."""
        return {
            "left": list(self._left),
            "excluded": sorted(self._excluded),
            "generator": self._random.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._left = [int(frame) for frame in state["left"]]
        self._excluded = {int(frame) for frame in state["excluded"]}
        self._random.bit_generator.state = state["generator"]


class _Cache:
    """The views used last, as many as fit in `limit` bytes, but always one; each photo's in one size, the last."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._views: OrderedDict[tuple, View] = OrderedDict()

    def __len__(self) -> int:
        return len(self._views)

    def get(self, key: tuple) -> View | None:
        if key in self._views:
            self._views.move_to_end(key)
        return self._views.get(key)

    def clear(self) -> None:
        self._views.clear()
        self._held = 0

    def put(self, key: tuple, view: View) -> None:
        frame, size = key[0], key[1:3]
        for old in [other for other in self._views if other == key or (other[0] == frame and other[1:3] != size)]:
            self._held -= self._views.pop(old).memory
        self._views[key] = view
        self._held += view.memory
        while self._held > self._limit and len(self._views) > 1:
            self._held -= self._views.popitem(last=False)[1].memory
