"""Held-out cameras go with what moves the whole capture, and stay where what moved the others was noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.optimize.camera_drift import carried
from engine.scene.camera import look_at

UP = np.array([0.0, 0.0, 1.0])
COUNT, HELD = 48, np.arange(0, 48, 8)
MOVED = np.setdiff1d(np.arange(COUNT), HELD)
POINTS = np.random.default_rng(0).normal(size=(50, 3)) * 0.5


def ring(turn: float = 0.9) -> list:
    """A ring that does not close, so that its first photo is held out and has neighbours on one side alone."""
    angles = np.linspace(0, 2 * np.pi * turn, COUNT)
    eyes = np.stack([4 * np.cos(angles), 4 * np.sin(angles), np.full(COUNT, 1.5)], 1)
    return [look_at(eye, np.zeros(3), UP, 750.0, 400, 400) for eye in eyes]


def poses(cameras: list) -> np.ndarray:
    return np.stack([camera.world_from_camera for camera in cameras])


def of_world(turn: np.ndarray, shift: np.ndarray, pose: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """A pose after the world moved by a rotation vector [3], a translation [3] and a scale."""
    matrix, moved = Rotation.from_rotvec(turn).as_matrix(), pose.copy()
    moved[:3, :3] = matrix @ pose[:3, :3]
    moved[:3, 3] = scale * matrix @ pose[:3, 3] + shift
    return moved


def pixels(got: np.ndarray, true: np.ndarray, cameras: list) -> float:
    """Mean distance of where held-out cameras see the object's points from where they ought to."""
    from dataclasses import replace

    seen = [
        [replace(cameras[frame], world_from_camera=pose[k]).project(POINTS)[0] for pose in (got, true)]
        for k, frame in enumerate(HELD[: len(got)])
    ]
    return float(np.mean([np.linalg.norm(a - b, axis=1).mean() for a, b in seen]))


def refined(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after`, with the held-out cameras where they were, since nothing is fitted to them."""
    result = after.copy()
    result[HELD] = before[HELD]
    return result


def test_a_gauge_is_followed_exactly():
    before = poses(ring())
    after = np.stack([of_world(np.array([0.01, -0.02, 0.03]), np.array([0.1, 0.2, -0.1]), p, 1.02) for p in before])
    got = carried(before, refined(before, after), MOVED, HELD)
    np.testing.assert_allclose(got, after[HELD], atol=1e-12)


@pytest.mark.parametrize("kind", ["slipping turntable", "drifting poses"])
def test_a_smooth_drift_is_followed(kind: str):
    cameras = ring()
    before, along = poses(cameras), np.linspace(0, 1, COUNT)
    if kind == "slipping turntable":
        motions = [(0.02 * s * UP, np.zeros(3)) for s in along]
    else:
        turns = 0.004 * np.stack([np.sin(6 * along), np.cos(9 * along), np.sin(8 * along + 1)], 1)
        motions = list(zip(turns, 4 * turns[:, ::-1], strict=True))
    after = np.stack([of_world(*motion, pose) for motion, pose in zip(motions, before, strict=True)])
    got = carried(before, refined(before, after), MOVED, HELD)
    stayed = pixels(before[HELD], after[HELD], cameras)
    assert stayed > 0.4 and pixels(got, after[HELD], cameras) < 0.2 * stayed


def test_independent_noise_is_not_followed():
    """Beyond the little that the mean of all moves."""
    cameras, random, shares = ring(), np.random.default_rng(1), []
    before = poses(cameras)
    for _ in range(5):
        after = before.copy()
        for pose in after:
            pose[:3, :3] = Rotation.from_rotvec(random.normal(size=3) * 0.004).as_matrix() @ pose[:3, :3]
            pose[:3, 3] += random.normal(size=3) * 0.016
        got = carried(before, refined(before, after), MOVED, HELD)
        shares.append(pixels(got, before[HELD], cameras) / pixels(after[HELD], before[HELD], cameras))
    assert np.mean(shares) < 0.3, shares


def test_a_ring_that_should_close_is_followed_in_its_order():
    """Its ends are near in space, but drifted apart."""
    cameras = ring(1.0)
    before = poses(cameras)
    after = np.stack(
        [of_world(0.03 * s * UP, np.zeros(3), p) for s, p in zip(np.linspace(-1, 1, COUNT), before, strict=True)]
    )
    got = carried(before, refined(before, after), MOVED, HELD)
    assert pixels(got[:1], after[HELD[:1]], cameras) < 0.2 * pixels(before[HELD[:1]], after[HELD[:1]], cameras)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_cameras_are_enough(count: int):
    before = poses(ring())
    after = np.stack([of_world(np.array([0.0, 0.0, 0.1]), np.array([0.5, 0.0, 0.0]), pose) for pose in before])
    got = carried(before, refined(before, after), MOVED[:count], HELD)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:, :3, :3], after[HELD][:, :3, :3], atol=1e-9)
    if count > 1:
        np.testing.assert_allclose(got, after[HELD], atol=1e-9)
