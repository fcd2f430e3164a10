"""Texture coordinates for a mesh, by xatlas in a child process that can be cancelled."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import Cancelled, GeometryError
from engine.scene.mesh import Mesh

# Charts are packed on a grid of cells, so many of them to the padding: finer costs more and gains little. Padded by
# one cell, which xatlas rounds up, charts end three cells apart.
CELLS_PER_GAP = 2
CELLS_OF_PADDING = 1
MOST_CELLS = 768  # along a side; the charts of larger textures end further apart
POLL_SECONDS = 0.05
CHILD = Path(__file__).with_name("unwrap_child.py")


@dataclass(frozen=True)
class UnwrapOptions:
    """How to unwrap."""

    face_cap: int = 100_000  # more faces than this are refused
    texture_size: int = 1024  # texels along a side of the (square) texture
    padding: int = 3  # texels between charts, at least
    smoothing: int = 2  # rounds of smoothing before charts are cut; the mesh itself stays as it is
    iterations: int = 1  # of xatlas's chart growing; more make fewer charts and take longer
    timeout: float = 600.0  # seconds
    section: str = "mesh"  # of the recipe, whose options errors name


def _checked(mesh: Mesh, options: UnwrapOptions) -> None:
    faces = len(mesh.triangles)
    if faces == 0:
        raise GeometryError("unwrap: the mesh has no faces; there is nothing to unwrap")
    if faces > options.face_cap:
        raise GeometryError(
            f"unwrap: {faces} faces are more than the cap of {options.face_cap}; simplify the mesh to fewer faces, "
            f"or raise {options.section}.face_cap and expect it to take minutes"
        )
    if not np.isfinite(mesh.vertices).all():
        raise GeometryError("unwrap: the mesh has vertices that are not finite; repair it first")


def _run(
    folder: Path,
    arguments: dict,
    options: UnwrapOptions,
    progress: Callable[[int, int, str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> dict[str, np.ndarray]:
    """Let the child unwrap; returns what it wrote."""
    given, made = folder / "mesh.npz", folder / "atlas.npz"
    np.savez(given, **arguments)
    started = time.monotonic()
    command = [sys.executable, "-P", str(CHILD), str(given), str(made)]
    said = folder / "errors.txt"
    with said.open("wb") as errors:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        shown = -1
        try:
            while True:
                try:
                    child.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    pass
                elapsed = time.monotonic() - started
                if cancelled is not None and cancelled():
                    raise Cancelled("unwrapping was cancelled; the mesh is as it was")
                if elapsed > options.timeout:
                    raise GeometryError(
                        f"unwrap: not done after {options.timeout:g} s; simplify the mesh to fewer faces "
                        "or raise the unwrap option timeout"
                    )
                if progress is not None and int(elapsed) > shown:
                    shown = int(elapsed)
                    progress(0, 0, f"unwrapping {len(arguments['triangles'])} faces, {shown} s")
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if child.returncode != 0 or not made.exists():
        last = (said.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        if "do not fit" in last:
            of = options.section
            raise GeometryError(f"unwrap: {last}; raise {of}.texture_size or lower {of}.padding")
        raise GeometryError(
            f"unwrap: xatlas failed with exit code {child.returncode} ({last}); try fewer faces or a cleaned mesh"
        )
    with np.load(made) as found:
        return {name: found[name] for name in found.files}


def unwrap(
    mesh: Mesh,
    options: UnwrapOptions = UnwrapOptions(),  # noqa: B008 - frozen
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Mesh:
    """The mesh with `uvs` [T,2] in [0,1] (origin top-left) and `uv_triangles` [F,3]; vertices and triangles unchanged.

    Charts do not overlap and lie at least `padding` texels apart; their texels need not be square, since the packed
    rectangle is stretched to the whole texture. The same mesh and options give the same bits. `progress` is called
    as (0, 0, text) about once a second, since xatlas reports none of its own. Raises GeometryError for an empty mesh,
    one over the face cap, a timeout or a failing child, and Cancelled once `cancelled` returns true.
    """
    _checked(mesh, options)
    low, high = mesh.box
    scale = float((high - low).max()) or 1.0  # xatlas's tolerances are absolute
    vertices = np.ascontiguousarray((mesh.vertices - low) / scale, np.float32)
    arguments = {
        "vertices": vertices,
        "triangles": np.ascontiguousarray(mesh.triangles, np.uint32),
        "limit": min(CELLS_PER_GAP * options.texture_size / max(options.padding, 1), MOST_CELLS),
        "padding": CELLS_OF_PADDING,
        "smoothing": options.smoothing,
        "iterations": options.iterations,
    }
    with tempfile.TemporaryDirectory(prefix="unrender-unwrap-") as folder:
        found = _run(Path(folder), arguments, options, progress, cancelled)
    corners, source = found["corners"].astype(np.int32), found["source"].astype(np.int64)
    if corners.shape != mesh.triangles.shape or not np.array_equal(source[corners], mesh.triangles):
        raise GeometryError("unwrap: xatlas returned other faces than it was given; clean the mesh first")
    uvs = found["uv"].astype(np.float32)
    uvs[:, 1] = 1 - uvs[:, 1]
    return Mesh(mesh.vertices, mesh.triangles, np.clip(uvs, 0, 1), corners)
