"""Kernels are compiled by a child once per version, and whoever waits can stop it."""

from __future__ import annotations

import pytest

from app.window import kernel_cache
from engine.capture import open_capture
from engine.errors import Cancelled


def test_what_has_been_compiled_is_not_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("UNRENDER_CACHE", str(tmp_path))
    done = kernel_cache.marker()
    assert done.is_relative_to(tmp_path)
    done.parent.mkdir(parents=True)
    done.touch()
    assert kernel_cache.fill(lambda share, text: pytest.fail("there is nothing to do"))


def test_stopping_ends_the_child_and_leaves_no_marker(tmp_path, monkeypatch):
    monkeypatch.setenv("UNRENDER_CACHE", str(tmp_path))
    told = []

    def progress(share, text):
        told.append((share, text))
        if len(told) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        kernel_cache.fill(progress)
    assert told[0] == (0.0, kernel_cache.TEXT) and not kernel_cache.marker().exists()


def test_the_child_draws_a_capture_that_opens(tmp_path):
    from app.window.kernel_run import VIEWS, draw_ball

    draw_ball(tmp_path)
    capture = open_capture(tmp_path)
    capture.check_images()
    assert len(capture.frames) == VIEWS and capture.has_masks
