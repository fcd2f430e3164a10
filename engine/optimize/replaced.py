"""What an overwritten project held: set aside in its folder until the new run has a result, then removed, or put back.

Only files with exactly the names that Unrender writes are ever touched. A project's own project.toml is moved last and
put back first, so that what is set aside without one shows that the process died while it moved files.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.optimize.checkpoint import checkpoint_files

PROJECT, LOCK, METRICS, LOG = "project.toml", "project.lock", "metrics.json", "log.jsonl"
COMPARISON, PREVIEW = "comparison.png", "preview.png"
ASIDE = ".replaced-"  # and a number
SUFFIXES = (".glb", ".obj", ".ply", ".spz", ".html", "-surface.ply")  # of files named after the asset
OBJ_FILES = (".mtl", "_base_color.png", "_roughness.png", "_metallic.png", "_normal.png")  # the same, without spaces
OTHER_EXPORTS = ("environment.hdr", "background.png", "cameras.json", "cage.ply")


def own_files(folder: Path) -> list[Path]:
    """The files in a project's folder that Unrender wrote, project.toml last; nothing else that lies there."""
    exports = {*OTHER_EXPORTS}
    for name in _asset_names(folder / PROJECT):
        exports |= {name + suffix for suffix in SUFFIXES}
        exports |= {re.sub(r"\s+", "_", name) + suffix for suffix in OBJ_FILES}
    names = [METRICS, LOG, COMPARISON, PREVIEW, f"{METRICS}.partial", f"{PROJECT}.partial"]
    found = [folder / name for name in names] + checkpoint_files(folder / "checkpoints")
    found += [path for path in _listed(folder / "exports") if path.name in exports or _final(path.name) in exports]
    return [path for path in [*found, folder / PROJECT] if path.is_file()]


def _asset_names(path: Path) -> set[str]:
    """What a project's assets were called, also before or after the name was changed."""
    names = {"asset"}
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        names.add(data["recipe"]["export"]["name"])
        names |= {entry["value"] for entry in data.get("history", []) if entry["key"] == "export.name"}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {name for name in names if isinstance(name, str)}


def _final(name: str) -> str:
    """The file that a temporary one, left by a process that died, was to become (engine/exchange/atomic.py)."""
    match = re.fullmatch(r"\.(.*)\.\d+-\d+\.tmp(\.[^.]*)?", name)
    return "" if match is None else match[1] + (match[2] or "")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def kept_aside(folder: Path) -> list[Path]:
    """The folders in `folder` that hold what was set aside, oldest first."""
    numbered = [path for path in _listed(folder) if re.fullmatch(re.escape(ASIDE) + r"\d+", path.name)]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix(ASIDE)))


def set_aside(folder: Path) -> Path | None:
    """Move the files of the project in `folder` into a new folder there; None where there is no project.

    Raises OSError when that cannot be; everything is then back in its place.
    """
    if not (folder / PROJECT).is_file():
        return None
    number = max((int(path.name.removeprefix(ASIDE)) for path in kept_aside(folder)), default=0) + 1
    aside = folder / f"{ASIDE}{number}"
    aside.mkdir()
    try:
        for path in own_files(folder):
            _move(path, aside / path.relative_to(folder))
    except OSError:
        put_back(folder, aside)
        raise
    return aside


def put_back(folder: Path, aside: Path) -> None:
    """Move everything in `aside` to where it was in `folder`, over what may be there now."""
    files = sorted((path for path in aside.rglob("*") if path.is_file()), key=lambda path: path != aside / PROJECT)
    for path in files:
        _move(path, folder / path.relative_to(aside))
    _remove_empty(aside)


def discard(folder: Path) -> None:
    """Remove what was set aside in `folder`; what cannot be removed stays."""
    for aside in kept_aside(folder):
        remove_own_files(aside)
        _remove_empty(aside)


def remove_own_files(folder: Path) -> None:
    """Remove the files of the project in `folder`; what cannot be removed stays."""
    for path in own_files(folder):
        with suppress(OSError):
            path.unlink()


def mend(folder: Path) -> None:
    """Put back what a process that died had begun to set aside; the caller has the project's lock."""
    for aside in kept_aside(folder):
        if not (aside / PROJECT).is_file():
            put_back(folder, aside)
    left = kept_aside(folder)
    if left and not (folder / PROJECT).is_file():  # it died before the new project was there
        put_back(folder, left[-1])


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)


def _remove_empty(aside: Path) -> None:
    for path in _bottom_up(aside):
        with suppress(OSError):  # it holds what is not ours
            path.rmdir()


def _bottom_up(folder: Path) -> Iterator[Path]:
    for path in _listed(folder):
        if path.is_dir():
            yield from _bottom_up(path)
    yield folder
