"""How well a snapshot of the scene agrees with single photographs, by the measure of metrics.json at a smaller size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.optimize.evaluate import on_white, rendered_on_white
from engine.optimize.loss_photo import loss_camera, loss_photo
from engine.optimize.metrics import psnr
from engine.optimize.preview import PreviewRenderer
from engine.optimize.refined_cameras import refined_cameras
from engine.scene.conventions import linear_to_srgb

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.snapshot import SceneSnapshot


class PhotoScores:
    """Scores many photos against one snapshot; what drawing it needs is made once. One thread at a time."""

    def __init__(self, snapshot: SceneSnapshot, capture: Capture, image_size: int = 0) -> None:
        """`image_size`: longest side in pixels, 0 the photos' own."""
        self.capture, self.image_size = capture, image_size
        self._renderer = PreviewRenderer(snapshot)
        self._ignoring = snapshot.shows_splats and snapshot.splat_look.ignoring
        self._cameras = refined_cameras(capture, snapshot.cameras)

    def psnr(self, frame: int) -> float:
        """dB over the whole image, sRGB-encoded, of the snapshot and the masked photo, both on white; of what masks do
        not tell to ignore where they do that.

        `frame` is an index into `capture.frames`; its camera is where the snapshot's run has moved it. Raises
        CaptureError when the photo cannot be read.
        """
        cameras = self._cameras or [each.camera for each in self.capture.frames]
        camera = loss_camera(cameras[frame], self.image_size)
        color, alpha = loss_photo(self.capture.pixels(frame), camera)
        straight, image = color / np.maximum(alpha, 1e-6)[..., None], rendered_on_white(self._renderer, camera)
        if self._ignoring:
            return psnr(image, linear_to_srgb(straight), alpha > 0.5)
        return psnr(image, on_white(straight, alpha))


def photo_psnr(snapshot: SceneSnapshot, capture: Capture, frame: int, image_size: int = 0) -> float:
    """dB of one photo; for several of one snapshot keep a PhotoScores."""
    return PhotoScores(snapshot, capture, image_size).psnr(frame)
