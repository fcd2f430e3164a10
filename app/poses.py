"""Camera poses for photos that come without, before a command opens them as a capture."""

from __future__ import annotations

import signal
from pathlib import Path

from app.progress import progress


def posed(capture: Path, with_masks: bool) -> Path:
    """`capture` itself, or the capture made from the bare photos or video there, now or before; says what was found.

    Raises UnrenderError. `with_masks`: masks are given that were drawn on the photos, which therefore stay as they are.
    """
    from engine.capture.photos import photo_source
    from engine.capture.reconstruction import find_poses

    if photo_source(capture) is None:
        return capture
    print(f"{capture} holds no camera poses: finding them", flush=True)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is half done is removed
    try:
        with progress() as show:
            found = find_poses(capture, show.posing, keep_pixels=with_masks)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{'found before, in' if found.was_there else 'wrote'} {found.folder}")
    print("\n".join(found.report.lines()), flush=True)
    return found.folder
