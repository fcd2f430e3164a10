"""`unrender export` on a file of splats: the other formats of it, with no project."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import ExchangeError

CHECK_SIDE = 512  # pixels of the views that check the files
VIEWS = 4


def convert(path: Path, out: Path | None, capture: Path | None = None) -> int:
    """Write a file's splats to the folder `out` in the formats of splats that it does not have, under its name."""
    from app.progress import progress
    from engine.exchange import holds_splats, read_splats, splats_up, turntable
    from engine.optimize.messages import Progress
    from engine.optimize.snapshot import SplatLook
    from engine.optimize.splat_files import FORMATS, SplatScene, write_splat_files

    if not holds_splats(path):
        raise ExchangeError(f"{path}: it holds no splats; give a project folder, or splats as PLY or SPZ")
    if capture is not None:
        raise ExchangeError(f"--capture {capture}: {path} is a file and has no photos; leave it out")
    if out is None:
        raise ExchangeError(f"{path}: --out is missing; give the folder to write the other formats to")

    def notice(text: str) -> None:
        print(text, file=sys.stderr)

    splats, up = read_splats(path, notice), splats_up(path)
    cameras = turntable(splats.most_box, up, VIEWS, (CHECK_SIDE, CHECK_SIDE))
    formats = [kind for kind in FORMATS if path.suffix.lower() != f".{kind}"]
    scene = SplatScene(splats, SplatLook((0.0, 0.0, 0.0)), up, tuple(cameras))
    with progress() as show:
        report = write_splat_files(
            out, path.stem, formats, scene, lambda done, text: show(Progress("export", done, text)), notice
        )
    for name, size in report.sizes.items():
        print(f"{name}: {size / 1e6:.2f} MB")
    print(f"wrote {report.folder}")
    return 0
