"""`export --out`: the folders that it refuses before anything is read."""

from __future__ import annotations

from engine.capture import capture as captures
from tests.app.tiny import unrender


def test_a_folder_with_files_is_refused_unless_they_may_be_replaced(tmp_path):
    out = tmp_path / "assets"
    out.mkdir()
    (out / "asset.glb").write_text("mine")
    told = unrender("export", tmp_path / "project", "--out", out)
    assert told.code == 1 and f"{out}: is not empty" in told.err and "--overwrite" in told.err
    told = unrender("export", tmp_path / "project", "--out", out, "--overwrite")
    assert told.code == 1 and "there is no project.toml here" in told.err  # only this is missing now
    assert (out / "asset.glb").read_text() == "mine"


def test_a_file_is_no_folder_to_export_to(tmp_path):
    (tmp_path / "file").write_text("mine")
    told = unrender("export", tmp_path / "project", "--out", tmp_path / "file", "--overwrite")
    assert told.code == 1 and "file: is a file; --out needs a folder" in told.err


def test_export_decodes_no_photo_and_changes_no_history(finished, copied, tmp_path, monkeypatch):
    monkeypatch.setattr(captures, "load_pixels", None)
    project = copied(finished[0])
    before = (project / "project.toml").read_text()
    told = unrender("export", project, "--out", tmp_path / "assets")
    assert told.code == 0, told.err
    written = (tmp_path / "assets" / "asset.glb").read_bytes()
    assert written == (project / "exports" / "asset.glb").read_bytes() and "re-renders at" in told.out
    assert (project / "project.toml").read_text() == before
