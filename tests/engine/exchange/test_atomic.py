"""Files that appear whole or not at all, and what a killed process leaves."""

from __future__ import annotations

from engine.exchange.atomic import AtomicFiles, remove_temporaries


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    kept = [".notes.tmp", ".asset.12.tmp.png", "asset.12-0.tmp.png", ".asset.12-0.tmp.tar.gz", "asset.glb", ".tmp"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".folder.1-0.tmp").mkdir()
    killed = AtomicFiles()  # whose `with` block is never left
    for name in ("asset.glb", "asset_base_color.png", "my.asset.ply", "none"):
        killed.write(tmp_path / name, b"half")
    assert len(list(tmp_path.iterdir())) == len(kept) + 5
    (tmp_path / ".asset-ab_c0123.partial").mkdir()  # of files that were to appear together
    (tmp_path / ".asset-ab_c0123.partial" / "asset.glb").write_text("half")
    remove_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, ".folder.1-0.tmp"}
    remove_temporaries(tmp_path / "missing")
