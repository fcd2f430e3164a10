"""`export --out`: the folders that it refuses before anything is read."""

from __future__ import annotations

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
