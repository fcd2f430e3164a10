"""One frame's pixels: decoded, masked, undistorted and scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.capture.entry import FrameProblem
from engine.capture.images import read_image, read_mask
from engine.capture.options import CaptureOptions
from engine.capture.views import View
from engine.scene.camera import Camera
from engine.scene.conventions import linear_to_srgb


@dataclass(frozen=True)
class Pixels:
    """A decoded frame, as its camera sees it."""

    color: np.ndarray  # [H,W,3] float32, linear, straight (not multiplied by the mask)
    mask: np.ndarray | None  # [H,W] float32 in [0,1], 1 = object

    @property
    def bytes(self) -> int:
        """Memory held."""
        return self.color.nbytes + (0 if self.mask is None else self.mask.nbytes)


@dataclass(frozen=True)
class MaskStatistics:
    """How a mask covers its image."""

    covered: float  # share of pixels that are object
    border: float  # share of the image's border that is object


def mask_statistics(mask: np.ndarray) -> MaskStatistics:
    """How `mask` [H,W] covers its image."""
    inside = mask > 0.5
    ring = np.concatenate([inside[0], inside[-1], inside[1:-1, 0], inside[1:-1, -1]])
    return MaskStatistics(float(inside.mean()), float(ring.mean()))


def polarity_problem(masks: list[MaskStatistics]) -> str:
    """A sentence if the masks look inverted (white around most images' borders and over most of them), else ''."""
    if not masks:
        return ""
    covered = float(np.median([mask.covered for mask in masks]))
    border = float(np.median([mask.border for mask in masks]))
    if covered <= 0.5 or border <= 0.75:
        return ""
    return (
        f"white covers {covered:.0%} of a typical image and {border:.0%} of its border: masks of an object look "
        "inverted, since white must be the object; masks of what to ignore are right, with splats.masks=ignore"
    )


def nothing_removed(masks: list[MaskStatistics], options: CaptureOptions) -> str:
    """A sentence if a colour key or region leaves (nearly) all photos of `masks` wholly covered, else ''."""
    full = sum(mask.covered > 0.999 for mask in masks)
    if not masks or full < 0.95 * len(masks):
        return ""
    if options.color_key is not None:
        key = ",".join(f"{value:g}" for value in options.color_key)
        return (
            f"the colour key {key} matches no background in {full} of {len(masks)} photos; "
            "correct capture.color_key (r,g,b from 0 to 255) or raise capture.color_tolerance"
        )
    if options.region is not None:
        return (
            f"capture.region covers {full} of {len(masks)} photos wholly and so cuts nothing out; "
            "give a box that just holds the object"
        )
    return ""


def load_pixels(view: View, options: CaptureOptions, uses_alpha: bool) -> Pixels:
    """Decode `view`; raises FrameProblem when its image or mask cannot be used."""
    color, alpha = read_image(view.frame.image_path)
    height, width = color.shape[:2]
    if (width, height) != (view.header.width, view.header.height):
        raise FrameProblem(f"image {view.frame.image_path.name} changed its size since then; open the capture again")
    if view.frame.mask_path is not None:
        mask = read_mask(view.frame.mask_path)
        if mask.shape != (height, width):
            raise FrameProblem(
                f"mask {view.frame.mask_path.name} has {mask.shape[1]} x {mask.shape[0]} pixels but its image "
                f"{width} x {height}; make them the same size"
            )
    else:
        mask = alpha if uses_alpha else None
    weight = alpha  # straight colour means nothing where alpha is 0, so it is averaged by alpha
    if options.color_key is not None:
        mask = _times(mask, _key_mask(color, options))
    if not view.lens.is_pinhole:
        color, mask, weight = _undistorted(view, color, mask, weight)
    camera = view.frame.camera
    if color.shape[:2] != camera.size:
        color, mask, weight = _scaled(camera, color, mask, weight)
    if options.region is not None:
        mask = _times(mask, region_silhouette(camera, np.array(options.region)))
    return Pixels(np.ascontiguousarray(color), None if mask is None else np.ascontiguousarray(mask))


def _times(first: np.ndarray | None, second: np.ndarray) -> np.ndarray:
    return second if first is None else first * second


def _key_mask(color: np.ndarray, options: CaptureOptions) -> np.ndarray:
    """[H,W] 0 within the tolerance of the key colour, 1 from one and a half tolerances on."""
    away = np.linalg.norm(linear_to_srgb(color) * np.float32(255) - np.array(options.color_key, np.float32), axis=-1)
    return np.clip((away / np.float32(options.color_tolerance) - 1) * 2, 0, 1).astype(np.float32)


def _undistorted(view: View, color, mask, weight):
    import cv2

    maps = view.lens.maps()

    def resample(image: np.ndarray) -> np.ndarray:
        return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    return _resampled(resample, color, mask, weight)


def _scaled(camera: Camera, color, mask, weight):
    import cv2

    def resample(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)

    return _resampled(resample, color, mask, weight)


def _resampled(resample, color, mask, weight):
    if weight is None:
        color = resample(color)
    else:
        summed, weight = resample(color * weight[..., None]), resample(weight)
        color = summed / np.maximum(weight, np.float32(1e-6))[..., None]
    return color, None if mask is None else np.clip(resample(mask), 0, 1), weight


def region_silhouette(camera: Camera, box: np.ndarray) -> np.ndarray:
    """[H,W] float32: 1 where the ray through the pixel's centre meets the box [2,3] in front of the camera, else 0."""
    origin, directions = camera.rays()
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (box[0] - origin) / directions, (box[1] - origin) / directions
    near = np.nanmax(np.minimum(first, second), -1)  # NaN: the ray runs within a face's plane
    far = np.nanmin(np.maximum(first, second), -1)
    return ((far >= near) & (far > 0)).astype(np.float32)
