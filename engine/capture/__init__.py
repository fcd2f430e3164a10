"""Photos in: readers, masks, splits, the visual hull of the masks, and the doctor."""

from engine.capture.capture import Capture, open_capture
from engine.capture.options import CaptureOptions
from engine.capture.pixels import Pixels

__all__ = ["Capture", "CaptureOptions", "Pixels", "open_capture"]
