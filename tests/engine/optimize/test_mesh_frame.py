"""A mesh of another program, as read or turned from glTF's +Y up, and what is said of one that fits in no way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from engine.errors import ExchangeError
from engine.exchange import read_mesh, write_glb
from engine.optimize.mesh_frame import fitting_masks, is_seen, reference_for
from engine.scene import Material, Mesh
from engine.scene.camera import look_at
from tests.engine.optimize.small_run import SmallCapture, SmallPixels

TURN = trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0])  # +Z to +Y


def block() -> trimesh.Trimesh:
    """A block that stands up along +Z, larger below."""
    low, high = trimesh.creation.box((1.2, 0.8, 0.4)), trimesh.creation.box((0.3, 0.3, 1.4))
    low.apply_translation((0, 0, -0.5))
    return trimesh.util.concatenate([low.subdivide(), high.subdivide()])


class BlockCapture(SmallCapture):
    """Views of the block, each with its silhouette, up along +Z."""

    def __init__(self) -> None:
        super().__init__(size=(40, 40))
        points = trimesh.sample.sample_surface(block(), 20_000, seed=1)[0]
        for index, frame in enumerate(self.frames):
            pixels = np.floor(frame.camera.project(points)[0]).astype(int)
            mask = np.zeros((40, 40), np.float32)
            mask[pixels[:, 1], pixels[:, 0]] = 1
            self._pixels[index] = SmallPixels(self._pixels[index].color, mask)


@pytest.fixture
def capture() -> BlockCapture:
    return BlockCapture()


def saved(path: Path, *transforms: np.ndarray) -> Path:
    """The block, moved by each of `transforms` [4,4], as another program writes it."""
    mesh = block()
    for transform in transforms:
        mesh.apply_transform(transform)
    mesh.export(path)
    return path


def is_block(mesh: Mesh) -> bool:
    return np.allclose(mesh.box, block().bounds, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "transforms", "fits", "words"),
    [
        ("a.glb", (TURN,), True, "turned from +Y"),
        ("a.glb", (), True, ""),
        ("a.ply", (TURN,), False, "seems to have +Y up"),
        ("a.ply", (), True, ""),
        ("a.glb", (np.diag([0.1, 0.1, 0.1, 1]),), False, "another frame or scale"),
    ],
    ids=["up", "as read", "not glTF", "in the frame", "small"],
)
def test_what_fits_the_masks_is_taken(capture, tmp_path, name, transforms, fits, words):
    path, told = saved(tmp_path / name, *transforms), []
    mesh = fitting_masks(path, read_mesh(path), capture, lambda text, level: told.append((text, level)))
    assert is_block(mesh) == fits
    assert len(told) == bool(words) and all(words in text for text, _ in told), told
    assert all((level == "info") == fits for _, level in told)


def test_without_masks_it_is_said_that_nothing_tells(capture, tmp_path):
    capture.has_masks, told = False, []
    path = saved(tmp_path / "a.glb", TURN)
    mesh = fitting_masks(path, read_mesh(path), capture, lambda *notice: told.append(notice))
    assert not is_block(mesh) and "without masks nothing tells" in told[0][0]
    write_glb(path, mesh, Material(), capture.up)
    fitting_masks(path, read_mesh(path), capture, lambda *notice: told.append(notice))
    assert len(told) == 1  # our own files say it


def test_without_masks_the_only_way_that_photos_see_is_taken(capture, tmp_path):
    capture.has_masks, told, above = False, [], np.array([0, 0, 30.0])
    for frame in capture.frames:
        eye = frame.camera.position + above
        object.__setattr__(frame, "camera", look_at(eye, above, capture.up, 40.0, 40, 40))
    path = saved(tmp_path / "a.glb", trimesh.transformations.translation_matrix(above), TURN)
    as_read = read_mesh(path)
    mesh = fitting_masks(path, as_read, capture, lambda *notice: told.append(notice))
    assert not is_seen(as_read, capture) and is_seen(mesh, capture)
    assert np.allclose(mesh.box, block().bounds + above, atol=1e-4) and "turned from +Y" in told[0][0]


@pytest.mark.parametrize(
    ("name", "transforms", "fits", "words"),
    [
        ("a.glb", (TURN,), True, "turned from +Y"),
        ("a.obj", (TURN,), False, "seems to have +Y up"),
        ("a.glb", (), True, ""),
        ("a.glb", (np.diag([9, 9, 9, 1]),), False, "another frame or scale"),
    ],
    ids=["up", "not glTF", "as read", "large"],
)
def test_a_reference_is_turned_to_the_mesh(tmp_path, name, transforms, fits, words):
    told = []
    session = SimpleNamespace(capture=SmallCapture(), notify=told.append)
    rough = block()  # a reconstruction is never exact
    own = Mesh((rough.vertices * 1.02).astype(np.float32), rough.faces.astype(np.int32))
    assert is_block(reference_for(session, saved(tmp_path / name, *transforms), own)) == fits
    assert len(told) == bool(words) and all(words in notice.text for notice in told), told


def test_a_reference_elsewhere_is_refused_when_given(tmp_path):
    told = []
    session = SimpleNamespace(capture=SmallCapture(), notify=told.append)
    path = saved(tmp_path / "a.glb", trimesh.transformations.translation_matrix((50, 0, 0)))
    own = Mesh(block().vertices.astype(np.float32), block().faces.astype(np.int32))
    with pytest.raises(ExchangeError, match=r"a.glb: is elsewhere, in the box \(49.4, .*capture's frame and scale"):
        reference_for(session, path, own)
    reference_for(session, path, own, given=False)
    assert [notice.level for notice in told] == ["warning"]
