"""Checkpoints survive what happens to files: truncation, damage, death in the middle, a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os

import pytest
import torch

from engine.errors import ProjectError
from engine.optimize import checkpoint
from engine.optimize.checkpoint import checkpoint_files, flatten, read_checkpoint, unflatten, write_checkpoint
from engine.optimize.scene_state import SceneState
from engine.scene import Environment, Material, Mesh

import numpy as np  # isort: skip


def write(folder, number: int):
    return write_checkpoint(folder, {"x": torch.full((4,), float(number))}, {"number": number})


def test_the_last_two_are_kept_and_the_newest_read(tmp_path):
    for number in range(4):
        write(tmp_path, number)
    assert len(checkpoint_files(tmp_path)) == 4
    found = read_checkpoint(tmp_path)
    assert found.values == {"number": 3} and float(found.tensors["x"][0]) == 3 and not found.notices


def test_none_where_there_is_none(tmp_path):
    assert read_checkpoint(tmp_path) is None
    assert read_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, suffix, damage):
    write(tmp_path, 1)
    path = write(tmp_path, 2).with_suffix(suffix)
    data = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[:-5])
    elif damage == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    found = read_checkpoint(tmp_path)
    assert found.values == {"number": 1}
    if (suffix, damage) != (".json", "missing"):  # without its manifest it never was a checkpoint
        assert len(found.notices) == 1 and "000002" in found.notices[0]
    write(tmp_path, 3)
    assert read_checkpoint(tmp_path).values == {"number": 3}


@pytest.mark.parametrize(
    "body", [[], {}, {"tensors": {}}, {"tensors": [], "schema_version": 1, "values": {}}, "x", None]
)
def test_a_whole_manifest_that_lacks_something_is_damaged_too(tmp_path, body):
    write(tmp_path, 1)
    path, text = write(tmp_path, 2), json.dumps(body)
    path.write_text(json.dumps({"body": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))
    found = read_checkpoint(tmp_path)
    assert found.values == {"number": 1} and "000002.json: the manifest is damaged" in found.notices[0]


def test_when_all_are_damaged_the_user_is_told(tmp_path):
    write(tmp_path, 1).write_text("{}")
    with pytest.raises(ProjectError, match="no checkpoint can be read"):
        read_checkpoint(tmp_path)


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SCHEMA_VERSION", 99)
    write(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(ProjectError, match="newer version"):
        read_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_old_ones_and_no_partial_file(tmp_path, monkeypatch):
    write(tmp_path, 1)
    before = checkpoint_files(tmp_path)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError, match="No space left"):
        write(tmp_path, 2)
    monkeypatch.undo()
    assert checkpoint_files(tmp_path) == before
    assert read_checkpoint(tmp_path).values == {"number": 1}


def test_any_optimizer_state_survives_flattening():
    x = torch.randn(5, requires_grad=True)
    for optimizer in (torch.optim.Adam([x], fused=True), torch.optim.SGD([x], momentum=0.9), torch.optim.Adam([x])):
        (x**2).sum().backward()
        optimizer.step()
        tensors, rest = flatten([optimizer.state_dict()])
        again = unflatten(tensors, checkpoint.json.loads(checkpoint.json.dumps(rest)))[0]
        expected = optimizer.state_dict()
        assert again["param_groups"] == expected["param_groups"]
        for key, value in expected["state"][0].items():
            assert torch.equal(again["state"][0][key], value) if isinstance(value, torch.Tensor) else True


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(TypeError, match="state/a"):
        flatten({"a": object()})


def test_a_scene_survives():
    mesh = Mesh(
        np.eye(3, dtype=np.float32),
        np.array([[0, 1, 2]], np.int32),
        np.eye(3, 2, dtype=np.float32),
        np.eye(1, 3, dtype=np.int32),
    )
    scene = SceneState(box=np.array([[0.0] * 3, [1.0] * 3]), mesh=mesh, hull=Mesh(mesh.vertices, mesh.triangles))
    scene.material = Material(np.random.default_rng(0).random((2, 3, 3), np.float32))
    scene.environment = Environment(np.ones((2, 4, 3), np.float32), np.diag([1.0, -1.0, -1.0]), "camera")
    scene.tensors["a.b"], scene.values["psnr"] = torch.arange(3), 3.5
    again = SceneState.from_tensors(*scene.to_tensors())
    assert np.array_equal(again.mesh.uv_triangles, mesh.uv_triangles) and again.hull.uvs is None
    assert np.array_equal(again.material.base_color, scene.material.base_color) and again.material.normal is None
    assert again.environment.frame == "camera" and again.environment.world_from_environment[1, 1] == -1
    assert torch.equal(again.tensors["a.b"], torch.arange(3)) and again.values == {"psnr": 3.5} and again.field is None
