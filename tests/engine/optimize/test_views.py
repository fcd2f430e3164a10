"""Views are area-filtered without bleeding, and taken once per epoch in an order that can be resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from engine.errors import CaptureError
from engine.optimize.views import ViewSet
from tests.engine.optimize.small_run import SmallCapture


def test_every_view_once_per_epoch():
    views = ViewSet(SmallCapture(), seed=1)
    for _ in range(3):
        assert sorted(views.next(4)) == views.train
    order = [views.next(3) for _ in range(8)]
    assert all(len(set(batch)) == 3 for batch in order), "no view twice in one batch"
    assert len(views.next(9)) == 9


def test_the_order_is_resumed_and_seeded():
    views, again = ViewSet(SmallCapture(), seed=2), ViewSet(SmallCapture(), seed=7)
    views.next(6)
    again.restore(json.loads(json.dumps(views.state())))
    assert [views.next(3) for _ in range(5)] == [again.next(3) for _ in range(5)]
    assert [ViewSet(SmallCapture(), seed=2).next(9)] == [ViewSet(SmallCapture(), seed=2).next(9)]


def test_excluded_views_are_not_taken():
    views = ViewSet(SmallCapture())
    views.next(1)
    views.exclude(3)
    assert 3 not in sum((views.next(3) for _ in range(4)), [])
    views.exclude(3, excluded=False)
    assert 3 in sum((views.next(3) for _ in range(4)), [])
    with pytest.raises(CaptureError, match="not a training photo"):
        views.exclude(2)
    for frame in (0, 1, 3):
        views.exclude(frame)
    with pytest.raises(CaptureError, match="last training photo"):
        views.exclude(4)


def test_scaling_keeps_the_mean_and_ignores_what_the_mask_hides():
    capture = SmallCapture()
    pixels = capture.pixels(0)
    pixels.color[pixels.mask == 0] = 1000.0
    view = ViewSet(capture).view(0, 8)
    assert view.premultiplied.shape == (6, 8, 3) and view.camera.size == (6, 8) and view.alpha.shape == (6, 8)
    assert view.premultiplied.max() <= 1
    masked = pixels.color * pixels.mask[..., None]
    np.testing.assert_allclose(view.premultiplied.mean((0, 1)), masked.mean((0, 1)), rtol=1e-5)
    white = view.over(torch.ones(3))
    assert torch.equal(white[0, 0], torch.ones(3))


def test_the_cache_is_bounded_and_changes_nothing():
    capture = SmallCapture()
    small = ViewSet(capture, cache_megabytes=0)
    for frame in (0, 1, 0):
        assert torch.equal(small.view(frame).premultiplied, ViewSet(capture).view(frame).premultiplied)
    assert len(small._cache) == 1
    full = small.view(0, 0)
    assert full.camera is capture.frames[0].camera and small.view(0, 999).camera is full.camera


def test_each_photo_is_held_in_one_size_and_nothing_once_forgotten():
    views = ViewSet(SmallCapture())
    for size in (8, 0, 8):
        for frame in (0, 1):
            views.view(frame, size)
        assert len(views._cache) == 2
    held = views.view(0, 8)
    assert views._cache._held == 2 * held.memory and views.view(0, 8) is held
    views.forget()
    assert len(views._cache) == views._cache._held == 0
    assert torch.equal(views.view(0, 8).premultiplied, held.premultiplied)


def test_a_close_up_holds_the_object_and_the_mesh_and_follows_it():
    capture = SmallCapture(size=(120, 160))
    capture.pixels(0).mask[:] = 0
    capture.pixels(0).mask[50:60, 70:80] = 1
    views = ViewSet(capture)
    whole, camera = views.view(0), capture.frames[0].camera
    middle = camera.position + 3 * camera.forward
    near = views.close_up(0, 0, middle[None])
    part = near.part
    assert near.whole == whole.camera.size and near.share < 0.5 and views.close_up(0, 0, middle[None]) is near
    assert torch.equal(near.alpha, whole.alpha[part.y0 : part.y1, part.x0 : part.x1]) and near.alpha.sum() == 100
    pixel = camera.rays()[1][2, 3]  # a vertex far from the object widens it
    far = views.close_up(0, 0, (camera.position + 3 * pixel)[None])
    assert far.part.x0 == 0 and far.part.y0 == 0 and far.alpha.sum() == 100 and len(views._cache) == 2
    np.testing.assert_allclose(far.camera.project(middle[None])[0], camera.project(middle[None])[0])
