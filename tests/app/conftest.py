"""A ring under a lamp as a capture with known truth, and one finished run of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from engine.exchange.hdr import write_hdr
from engine.scene.environment import direction_of_texel
from tests.app.tiny import TINY, flags, unrender


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Path:
    """A folder with ring.obj and sky.hdr."""
    folder = tmp_path_factory.mktemp("inputs")
    ring = trimesh.creation.torus(1.0, 0.45, major_sections=24, minor_sections=12)
    ring.export(folder / "ring.obj", include_normals=False)
    lamp = np.exp((direction_of_texel(16, 32) @ np.array([0.6, 0.64, 0.48]) - 1) * 20)
    write_hdr(folder / "sky.hdr", (0.5 + 5 * lamp[..., None]).repeat(3, -1).astype(np.float32))
    return folder


@pytest.fixture(scope="session")
def capture(inputs, tmp_path_factory) -> Path:
    """16 views of 48 px of the ring, two of them for testing; made by `unrender synthesize`, never to be changed."""
    out = tmp_path_factory.mktemp("made") / "capture"
    told = unrender(
        *("synthesize", inputs / "ring.obj", "--environment", inputs / "sky.hdr", "--out", out),
        *("--views", 16, "--size", 48, "--samples", 16),
    )
    assert told.code == 0, told.err
    return out


@pytest.fixture(scope="session")
def finished(capture, tmp_path_factory):
    """(project folder, what the run said) of recipe object on the ring; never to be changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    told = unrender("run", capture, "--recipe", "object", "--out", out, *flags(TINY))
    assert told.code == 0, told.err
    return out, told


@pytest.fixture
def copied(tmp_path) -> Callable[[Path], Path]:
    """A copy of a folder to change."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copy
