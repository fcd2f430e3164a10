"""Splats as one HTML file that shows them: WebGL 2, no network, nothing to install.

The page is put together from the sources in splat_viewer/. It draws all kinds of splats as our splatters do, with
all spherical harmonics, but blends on behind what is already opaque to the eye.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import write_file
from engine.exchange.film import turntable
from engine.exchange.splats import FLAT, check_writable
from engine.exchange.textures import bytes_from_unit
from engine.scene.backdrop import Backdrop
from engine.scene.camera import Camera
from engine.scene.gaussians import Gaussians
from engine.splats import constants

LARGEST = 380_000_000  # bytes of records; a browser's longest string has to hold them in base64
PLACE = re.compile(r"\{\{([\w.-]+)\}\}")


def write_splat_html(
    path: Path | str,
    splats: Gaussians,
    cameras: Sequence[Camera] = (),
    up: Sequence[float] = (0.0, 1.0, 0.0),
    title: str = "",
    background: Sequence[float] | Backdrop = (0.0, 0.0, 0.0),
) -> None:
    """Write the page; it begins at the first of `cameras`, or where most splats are in view with `up` upward.

    `up` [3] in the capture's frame, around which the viewer orbits; `background` is sRGB-encoded, a Backdrop takes 4
    bytes a texel. A splat takes 43 bytes with harmonics of degree 0 and 107 with degree 3. Raises ExchangeError for no,
    non-finite or too many splats.
    """
    check_writable(path, splats)
    records, value_range = splat_records(splats)
    if records.nbytes > LARGEST:
        most = LARGEST // records[0].nbytes
        raise ExchangeError(
            f"{path}: {len(splats):,} splats are too many for one page, which holds {most:,}; lower the budget"
        )
    low, high = np.quantile(splats.means, [0.05, 0.95], axis=0)
    box = np.stack([low, high])
    extent = max(float(np.linalg.norm(high - low)), 1e-6)
    upward = np.asarray(up, float) / np.linalg.norm(up)
    shown = list(cameras) or turntable(box, upward, 1, (720, 1280), view_angle=45)
    scene = {
        "title": title,
        "count": len(splats),
        "texels": records.shape[1] // 4,
        "degree": splats.degree,
        "kind": splats.kind,
        "antialiased": splats.antialiased,
        "range": value_range,
        "near": constants.NEAR,
        "up": upward.tolist(),
        "centre": np.median(splats.means, 0).astype(float).tolist(),
        "extent": extent,
        **_described_background(background),
        "cameras": [_described(camera) for camera in shown],
    }
    parts = {
        "title": html.escape(title or "Splats"),
        "scene": json.dumps(scene).replace("<", "\\u003c"),  # no text may end the script element
        "splats": base64.b64encode(records).decode(),
    }
    write_file(path, _page(parts).encode())


def splat_records(splats: Gaussians) -> tuple[np.ndarray, float]:
    """([N,4T] uint32 as the vertex shader unpacks them, the largest harmonic of degree 1 and more that they hold).

    Texel 0: mean as float32, quaternion (smallest three parts, 10 bits each). Texel 1: log scales, logit, constant
    harmonics and shape as float16. The rest: the other harmonics, three channels together, a byte each.
    """
    count, terms = splats.harmonics.shape[:2]
    sides = splats.log_scales.copy()
    if splats.kind == "surface":
        sides[:, 2] = FLAT
    shapes = np.full(count, 2, np.float32) if splats.shapes is None else splats.shapes
    halves = np.concatenate([sides, splats.logits[:, None], splats.harmonics[:, 0], shapes[:, None]], 1)
    columns = [
        np.ascontiguousarray(splats.means, np.float32).view(np.uint32),
        packed_rotations(splats.rotations)[:, None],
        np.clip(halves, -6e4, 6e4).astype(np.float16).view(np.uint32),
    ]
    value_range = 1.0
    if terms > 1:
        rest = splats.harmonics[:, 1:].reshape(count, -1)
        value_range = max(float(np.quantile(np.abs(rest), 0.9999)), 1e-6)  # a few outliers must not coarsen the others
        steps = np.clip(np.rint(rest / value_range * 127), -127, 127) + 128
        padded = np.full((count, -(-rest.shape[1] // 16) * 16), 128, np.uint8)
        padded[:, : rest.shape[1]] = steps
        columns.append(padded.view(np.uint32))
    return np.concatenate(columns, 1).astype("<u4", copy=False), value_range


def packed_rotations(rotations: np.ndarray) -> np.ndarray:
    """[N] uint32: which of w, x, y, z is largest in the highest two bits, the others from the lowest in ten each."""
    units = rotations / np.linalg.norm(rotations, axis=1, keepdims=True)
    largest = np.abs(units).argmax(1)
    rows = np.arange(len(units))
    units = units * np.where(units[rows, largest] < 0, -1, 1)[:, None]
    others = units[np.arange(4) != largest[:, None]].reshape(-1, 3)
    steps = np.clip(np.rint((others * np.sqrt(2) + 1) / 2 * 1023), 0, 1023).astype(np.uint32)
    return steps[:, 0] | steps[:, 1] << 10 | steps[:, 2] << 20 | largest.astype(np.uint32) << 30


def _described(camera: Camera) -> dict:
    return {
        "pose": np.asarray(camera.world_from_camera, float)[:3].ravel().tolist(),
        "focal": [float(value) for value in camera.focal],
        "centre": [float(value) for value in camera.centre],
        "size": [camera.width, camera.height],
    }


def _described_background(background: Sequence[float] | Backdrop) -> dict:
    if not isinstance(background, Backdrop):
        return {"background": [float(value) for value in background]}
    rows, columns = background.colors.shape[:2]
    backdrop = {
        "rows": rows,
        "columns": columns,
        "texels": base64.b64encode(bytes_from_unit(background.colors)).decode(),  # RGB
        "turn": np.asarray(background.world_from_environment, float).T.ravel().tolist(),  # environment from world
    }
    return {"background": [0.0, 0.0, 0.0], "backdrop": backdrop}


def _page(parts: dict[str, str]) -> str:
    """page.html with every {{name}} replaced: by a part, a constant of the splatters, or the file of that name."""
    folder = files("engine.exchange") / "splat_viewer"

    def filled(match: re.Match) -> str:
        name = match[1]
        if name in parts:
            return parts[name]
        if name.isupper():
            return f"{getattr(constants, name):.9g}"
        return PLACE.sub(filled, (folder / name).read_text(encoding="utf-8").strip())

    return PLACE.sub(filled, (folder / "page.html").read_text(encoding="utf-8"))
