"""The generator of signs: the hash as published, the layout of indices, no correlation between keys."""

import numpy as np

from engine.kernels.signs import perturb, sign_key, signs


def bits(key: int, index: np.ndarray) -> np.ndarray:
    x = (index ^ key).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def test_signs_follow_the_published_hash():
    assert bits(0, np.array([0, 1, 2])).tolist() == [0, 1753845952, 3507691905]  # fixed by lowbias32 alone
    key = sign_key(3, 17, 4)
    inner = int(bits(0, np.array([17 ^ int(bits(0, np.array([3]))[0])]))[0])
    assert key == int(bits(0, np.array([4 ^ inner]))[0])
    values = signs(key, 1000, 3)
    expected = np.where(bits(key, np.arange(3000)) >> np.uint32(31), -1.0, 1.0).reshape(1000, 3)
    assert values.dtype == np.float32 and np.array_equal(values, expected)


def test_steps_groups_and_seeds_are_uncorrelated():
    keys = [sign_key(seed, step, group) for seed in (0, 1) for step in range(8) for group in range(4)]
    assert len(set(keys)) == len(keys)
    drawn = np.stack([signs(key, 4096, 1)[:, 0] for key in keys])
    correlation = drawn @ drawn.T / 4096 - np.eye(len(keys))
    assert np.abs(correlation).max() < 5 / 64 and np.abs(drawn.mean(1)).max() < 4 / 64


def test_perturbed_points_are_symmetric_and_use_the_same_signs():
    values = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    step = np.linspace(0, 1, 500, dtype=np.float32)[:, None]
    plus, minus = np.empty_like(values), np.empty_like(values)
    perturb(values, step, np.uint32(99), plus, minus)
    assert np.array_equal(plus, values + step * signs(99, 500, 3))
    assert np.array_equal(minus, values - step * signs(99, 500, 3))
