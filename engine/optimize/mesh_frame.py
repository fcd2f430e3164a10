"""Which way up a mesh of another program is: glTF says +Y, the capture may say otherwise; what fits is taken.

Only a glTF that Unrender has not written is turned. Any other file is taken as read; that it would fit better turned,
or fits in no way, is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ExchangeError
from engine.exchange import is_foreign_gltf, read_mesh
from engine.scene import Mesh
from engine.scene.conventions import gltf_from_capture

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.session import Session
    from engine.scene import Camera

SAMPLES = 20_000  # points of a surface that stand for it
VIEWS = 12  # training views, at most, whose masks are looked at
CELLS = 48  # along the longer side of a mask as it is compared
CLEARLY = 0.05  # share by which masks must be met better to turn a mesh
LEAST = 0.3  # share of masks below which a mesh fits in no way
NEARER = 0.7  # of the distance as read: what is left when a reference is turned rightly
FAR = 0.1  # of a reference's diagonal: mean distance beyond which it fits in no way


def turned_up(mesh: Mesh, up: np.ndarray) -> Mesh:
    """`mesh`, whose up is +Y, with its up in direction `up` [3]."""
    return replace(mesh, vertices=(mesh.vertices @ gltf_from_capture(up)).astype(np.float32))


def ways_to_read(path: Path, mesh: Mesh, up: np.ndarray) -> list[Mesh]:
    """The mesh as read, followed by it turned from +Y to `up` where its file leaves open which is meant."""
    turned = turned_up(mesh, up)
    return [mesh, turned] if is_foreign_gltf(path) and not np.array_equal(turned.vertices, mesh.vertices) else [mesh]


def is_seen(mesh: Mesh, capture: Capture) -> bool:
    """Whether a corner or middle of a triangle is in front of a training photo's camera and inside its image."""
    points = np.concatenate([mesh.vertices, mesh.vertices[mesh.triangles].mean(1)]).astype(np.float64)
    for index in capture.train:
        camera = capture.frames[index].camera
        pixels, depth = camera.project(points)
        if ((depth > 0) & (pixels >= 0).all(1) & (pixels < camera.size[::-1]).all(1)).any():
            return True
    return False


def fitting_masks(path: Path, mesh: Mesh, capture: Capture, notice: Callable[[str, str], None]) -> Mesh:
    """The mesh of `path` as read or turned, whichever fits the training photos' masks; `notice` is told (text, level)
    where it was turned, where it would better be, where nothing fits and where there is nothing to tell it by."""
    foreign, turned = len(ways_to_read(path, mesh, capture.up)) > 1, turned_up(mesh, capture.up)
    if not capture.has_masks:
        if foreign and not is_seen(mesh, capture):
            notice(f"{path}: turned from +Y, glTF's up, to the capture's up: as read no training photo sees it", "info")
            return turned
        if foreign:
            notice(
                f"{path}: without masks nothing tells whether it is +Y up, as glTF has it; it is taken as read", "info"
            )
        return mesh
    read_share, turned_share = (_share_of_masks(one, capture) for one in (mesh, turned))
    if turned_share < max(LEAST, read_share + CLEARLY):
        if read_share < LEAST:
            notice(
                f"{path}: mesh and masks share only {read_share:.0%} of what either covers; it may be in another frame "
                "or scale than the capture",
                "warning",
            )
        return mesh
    compared = f"{turned_share:.0%} of what mesh or masks cover are then shared, as read {read_share:.0%}"
    if foreign:
        notice(f"{path}: turned from +Y, glTF's up, to the capture's up: {compared}", "info")
        return turned
    notice(f"{path}: seems to have +Y up; turn it to the capture's up: {compared}", "warning")
    return mesh


def _share_of_masks(mesh: Mesh, capture: Capture) -> float:
    """Intersection over union of the mesh's silhouette and the mask, mean over training views."""
    from engine.optimize.metrics_shape import surface_samples

    points = surface_samples(mesh, SAMPLES)[0]
    shares = []
    for index in capture.train[:: -(-len(capture.train) // VIEWS)]:
        mask = capture.pixels(index).mask
        if mask is None or not (mask > 0.5).any():
            continue
        shown = _silhouette(points, capture.frames[index].camera)
        masked = _shrunk(mask, shown.shape)
        shares.append((shown & masked).sum() / (shown | masked).sum())
    return float(np.mean(shares)) if shares else 0.0


def _silhouette(points: np.ndarray, camera: Camera) -> np.ndarray:
    """[H,W] boolean, CELLS along the longer side: the cells of the image that hold one of `points` [N,3]."""
    size = np.array(camera.size)  # height, width
    cells = np.maximum(np.rint(size * min(1.0, CELLS / size.max())), 1).astype(int)
    pixels, depth = camera.project(points)
    where = np.floor(pixels[depth > 0, ::-1] * (cells / size))
    where = where[((where >= 0) & (where < cells)).all(1)].astype(int)
    shown = np.zeros(cells, bool)
    shown[where[:, 0], where[:, 1]] = True
    return shown


def _shrunk(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    return cv2.resize(np.ascontiguousarray(mask, np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.1


def reference_for(session: Session, path: Path, mesh: Mesh, given: bool = True) -> Mesh:
    """The true mesh in the file, which is to be compared with `mesh`; turned where that fits better, with a notice.

    Raises ExchangeError when it has no surface, and when it was `given` and lies elsewhere; of the capture's own truth
    that is only said.
    """
    from engine.optimize.messages import Notice
    from engine.optimize.metrics_shape import surface_samples
    from engine.optimize.nearest_surface import NearestSurface

    reference, up = read_mesh(path), session.capture.up
    if not reference.face_normals().any():
        raise ExchangeError(f"{path}: its triangles have no area to compare with; give a mesh with a surface")
    surface = NearestSurface(mesh.vertices, mesh.triangles)

    def distance(which: Mesh) -> float:
        return float(surface.nearest(surface_samples(which, SAMPLES // 4)[0])[0].mean() / which.diagonal)

    turned = turned_up(reference, up)
    read_distance, turned_distance = distance(reference), distance(turned)
    if turned_distance < min(FAR, NEARER * read_distance):
        away = f"on average {turned_distance:.2%} of its diagonal are then between it and the mesh"
        if len(ways_to_read(path, reference, up)) > 1:
            text = f"{path}: turned from +Y, glTF's up, to the capture's up: {away}, as read {read_distance:.2%}"
            session.notify(Notice(text))
            return turned
        text = f"{path}: seems to have +Y up; turn it to the capture's up: {away}, as read {read_distance:.2%}"
        session.notify(Notice(text, "warning"))
        return reference
    apart = (reference.box[0] > mesh.box[1]).any() or (reference.box[1] < mesh.box[0]).any()
    if apart and given:
        raise ExchangeError(
            f"{path}: is elsewhere, in the box {_corners(reference)}, while the mesh to compare it with is in "
            f"{_corners(mesh)}; give a mesh in the capture's frame and scale"
        )
    if read_distance > FAR:
        text = (
            f"{path}: lies {read_distance:.0%} of its diagonal away from the mesh, on average; it may be in another "
            "frame or scale than the capture"
        )
        session.notify(Notice(text, "warning"))
    return reference


def _corners(mesh: Mesh) -> str:
    low, high = (", ".join(f"{value:.4g}" for value in corner) for corner in mesh.box)
    return f"({low}) to ({high})"
