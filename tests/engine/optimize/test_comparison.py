"""The picture that a person looks at first can be read, however small the photos are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from engine.optimize import comparison as module


def test_captions_of_small_photos_stand_apart(monkeypatch):
    photo, render = np.full((64, 64, 3), 0.25, np.float32), np.full((64, 64, 3), 0.5, np.float32)
    maps = [np.zeros((64, 64, 3), np.float32)] * 3
    monkeypatch.setattr(module, "photo_on_white", lambda capture, frame: (photo, None))
    monkeypatch.setattr(module, "rendered_on_white", lambda renderer, camera: render)
    monkeypatch.setattr(module, "_maps", lambda renderer, camera: maps)
    capture = SimpleNamespace(frames=[SimpleNamespace(camera=None)] * 2)
    picture = module.comparison(None, capture, [0, 1])
    width, top = module.WIDTH, module.CAPTION
    assert picture.shape == (top + 128, 6 * width, 3)
    for column, value in enumerate((64, 128, 191, 0, 0, 0)):
        begin = column * width
        assert (picture[top:, begin : begin + 64] == value).all() and (
            picture[top:, begin + 64 : begin + width] == 255
        ).all()
        caption = picture[:top, begin : begin + width]
        assert caption.min() < 128, "there is one"
        assert (caption[:, :4] == 255).all() and (caption[:, -4:] == 255).all(), "and it ends before the next"
