"""Unwrapping: the mesh stays as it is, charts keep apart, repeats agree, and it can be refused or stopped."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import trimesh

from engine.errors import Cancelled, GeometryError
from engine.geometry.unwrap import CHILD, UnwrapOptions, unwrap
from engine.scene.mesh import Mesh


def bumpy(subdivisions=3) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = np.asarray(shape.vertices)
    vertices = vertices * (1 + 0.1 * np.sin(7 * vertices[:, :1]) * np.sin(5 * vertices[:, 1:2]))
    return Mesh(vertices.astype(np.float32), np.asarray(shape.faces, np.int32))


def charts_of(mesh: Mesh) -> np.ndarray:
    """[F] chart of each triangle: triangles hang together through shared texture coordinates."""
    return trimesh.graph.connected_component_labels(
        np.concatenate([mesh.uv_triangles[:, :2], mesh.uv_triangles[:, 1:]]), len(mesh.uvs)
    )[mesh.uv_triangles[:, 0]]


def painted(mesh: Mesh, size: int) -> tuple[np.ndarray, int]:
    """([S,S] chart at each texel centre or -1, number of texels that two triangles claim from inside)."""
    corners = mesh.uvs[mesh.uv_triangles].astype(np.float64) * size - 0.5
    charts, image, clashes = charts_of(mesh), np.full((size, size), -1), 0
    for (a, b, c), chart in zip(corners, charts, strict=True):
        low = np.ceil(np.min([a, b, c], 0)).astype(int)
        high = np.floor(np.max([a, b, c], 0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        inside = np.all(np.array(sides) < -1e-9, 0)
        clashes += int((image[y[inside], x[inside]] >= 0).sum())
        image[y[inside], x[inside]] = chart
    return image, clashes


@pytest.fixture(scope="module")
def unwrapped():
    return unwrap(bumpy(), UnwrapOptions(texture_size=256, padding=3))


def test_mesh_is_unchanged_and_gains_coordinates(unwrapped):
    mesh = bumpy()
    assert np.array_equal(unwrapped.vertices, mesh.vertices) and np.array_equal(unwrapped.triangles, mesh.triangles)
    assert unwrapped.uv_triangles.shape == mesh.triangles.shape and unwrapped.uv_triangles.dtype == np.int32
    assert unwrapped.uvs.dtype == np.float32
    assert 0 <= unwrapped.uvs.min() and unwrapped.uvs.max() <= 1
    # One vertex per texture coordinate, so that seams split coordinates only.
    owner = np.full(len(unwrapped.uvs), -1)
    owner[unwrapped.uv_triangles] = mesh.triangles
    assert np.array_equal(owner[unwrapped.uv_triangles], mesh.triangles)


def test_charts_fill_the_texture_without_overlap_or_mirroring(unwrapped):
    image, clashes = painted(unwrapped, 512)
    assert clashes == 0
    assert (image >= 0).mean() > 0.4
    a, b, c = (unwrapped.uvs[unwrapped.uv_triangles[:, k]] for k in range(3))
    # v runs down, so counter-clockwise on the texture as seen is negative here.
    assert (np.cross(np.pad(b - a, ((0, 0), (0, 1))), np.pad(c - a, ((0, 0), (0, 1))))[:, 2] < 0).all()


def test_charts_keep_the_padding(unwrapped):
    from scipy.ndimage import distance_transform_edt

    image, _ = painted(unwrapped, 1024)  # four samples per texel
    for chart in range(image.max() + 1):
        apart = distance_transform_edt(image != chart)[(image >= 0) & (image != chart)]
        assert apart.min(initial=np.inf) >= 3 * 4


def test_the_same_mesh_gives_the_same_bits(unwrapped):
    again = unwrap(bumpy(), UnwrapOptions(texture_size=256, padding=3))
    assert np.array_equal(again.uvs, unwrapped.uvs) and np.array_equal(again.uv_triangles, unwrapped.uv_triangles)


def test_too_many_faces_are_refused_with_the_option_that_allows_them():
    with pytest.raises(GeometryError, match=r"1280 faces.*cap of 1000.*mesh\.face_cap"):
        unwrap(bumpy(), UnwrapOptions(face_cap=1000))


def test_bad_meshes_are_refused():
    with pytest.raises(GeometryError, match="no faces"):
        unwrap(Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32)))
    broken = Mesh(np.full((3, 3), np.nan, np.float32), np.array([[0, 1, 2]], np.int32))
    with pytest.raises(GeometryError, match="not finite"):
        unwrap(broken)


def test_padding_that_leaves_no_room_is_named():
    with pytest.raises(GeometryError, match=r"^unwrap: \d+ charts do not fit .*mesh\.texture_size.*mesh\.padding$"):
        unwrap(bumpy(), UnwrapOptions(texture_size=64, padding=32))
    with pytest.raises(GeometryError, match=r"do not fit .*; raise cage\.texture_size or lower cage\.padding$"):
        unwrap(bumpy(), UnwrapOptions(texture_size=64, padding=32, section="cage"))


@pytest.fixture
def children(tmp_path, monkeypatch) -> list[subprocess.Popen]:
    """The children begun, none of which ends by itself."""
    endless, begun, popen = tmp_path / "child.py", [], subprocess.Popen
    endless.write_text("import time\nwhile True:\n    time.sleep(1)\n")
    monkeypatch.setattr("engine.geometry.unwrap.CHILD", endless)
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **more: begun.append(popen(*given, **more)) or begun[-1])
    return begun


def test_cancelling_ends_the_child(children):
    said = []
    with pytest.raises(Cancelled):
        unwrap(bumpy(5), UnwrapOptions(), lambda done, total, text: said.append(text), lambda: bool(said))
    assert "20480 faces" in said[0] and len(children) == 1 and children[0].returncode  # killed


def test_a_timeout_names_its_option_and_ends_the_child(children):
    with pytest.raises(GeometryError, match="timeout"):
        unwrap(bumpy(), UnwrapOptions(timeout=0.0))
    assert len(children) == 1 and children[0].returncode  # killed


def test_the_child_imports_neither_torch_nor_the_engine():
    # Under another name than __main__, so that it only defines its functions.
    code = f"import runpy, sys; runpy.run_path({str(CHILD)!r}); print({{'torch', 'engine'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_no_atlas_is_destroyed_since_that_can_hang(tmp_path):
    """xatlas's destructor joins threads that it may have failed to wake: seen once in some thousands, then for good."""
    mesh, told = bumpy(2), tmp_path / "destroyed"
    given = {"vertices": mesh.vertices, "triangles": mesh.triangles.astype(np.uint32)}
    spy = (
        "import pathlib, runpy, xatlas\n"
        "class Spied(xatlas.Atlas):\n"
        f"    def __del__(self, told=pathlib.Path({str(told)!r})): told.touch()\n"
        "xatlas.Atlas = Spied\n"
        f"runpy.run_path({str(CHILD)!r}, run_name='__main__')\n"
    )
    for limit, code in ((128.0, 0), (4.0, 1)):  # in the second the charts do not fit
        np.savez(tmp_path / "mesh.npz", **given, limit=limit, padding=1, smoothing=2, iterations=1)
        command = [sys.executable, "-c", spy, str(tmp_path / "mesh.npz"), str(tmp_path / f"atlas{code}.npz")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code and ("do not fit" in done.stderr) == bool(code), done.stderr
        assert (tmp_path / f"atlas{code}.npz").exists() != bool(code) and not told.exists()
