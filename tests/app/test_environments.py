"""The lights that ship with Unrender: complete, as their script makes them, and usable one in place of another."""

from __future__ import annotations

import numpy as np
import pytest

import assets
from engine.exchange.hdr import read_hdr
from engine.scene.environment import texel_solid_angle
from tests.tools import make_environments


def test_the_studio_comes_first_and_the_others_are_those_of_the_script():
    names = assets.environments()
    assert names[0] == "studio" and names[1:] == sorted(make_environments.LIGHTS)
    listed = (assets.environment("studio").parent / "README.md").read_text()
    assert all(f"`{name}.hdr`" in listed for name in names)


@pytest.mark.parametrize("name", make_environments.LIGHTS)
def test_a_light_is_what_the_script_makes(name):
    shipped, made = read_hdr(assets.environment(name)), make_environments.radiance(name)
    assert shipped.shape == made.shape
    assert (np.abs(shipped - made) <= 0.01 * made.max(-1, keepdims=True) + 1e-6).all()  # what RGBE rounds off


@pytest.mark.parametrize("name", assets.environments())
def test_a_light_is_about_as_bright_as_the_others_and_small(name):
    light = read_hdr(assets.environment(name))
    mean = (light.mean(-1) * texel_solid_angle(*light.shape[:2])).sum() / (4 * np.pi)
    assert 0.5 < mean < 0.6
    assert light[: len(light) // 2].mean() > light[len(light) // 2 :].mean(), "its sky is above"
    assert assets.environment(name).stat().st_size < 200_000
