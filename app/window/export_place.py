"""Which files an export writes, and where: whether it can be so, and what is there already."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TITLES = {
    "glb": ("GLB", "Blender, Unreal, web: mesh and textures in one file"),
    "obj": ("OBJ", "older programs: mesh, material file and PNG textures"),
    "ply": ("PLY", "the bare shape, for measuring and printing"),
    "hdr": ("HDR", "the light that was recovered, to light other scenes with"),
}
SPLAT_TITLES = {
    "ply": ("PLY", "SuperSplat, Blender, any 3DGS program: lossless"),
    "spz": ("SPZ", "the web and phones: about a sixth as large"),
    "html": ("HTML", "a page to look at in any browser, without network"),
}


def refusal(name: str, folder: str, formats: Iterable[str]) -> str:
    """Why nothing can be exported as it was entered; empty where it can."""
    if not name.strip():
        return "Give the files a name."
    if set(name) & set("/\\\0") or name.strip() in (".", ".."):
        return "The name may hold no / or \\: the folder is chosen below it."
    if not folder.strip():
        return "Choose a folder."
    return "" if list(formats) else "Tick at least one format."


def resolved(folder: str, home: Path) -> Path:
    """The folder that was entered; one that is not absolute lies in `home`. Looks at no disk."""
    path = Path(folder.strip())
    try:
        path = path.expanduser()
    except RuntimeError:  # ~ of a user that is not there
        pass
    return Path(os.path.normpath(home / path))


def replaced(folder: Path, name: str, formats: Iterable[str]) -> list[str]:
    """Names of the files that an export would replace."""
    names = [f"{name}_light.hdr" if kind == "hdr" else f"{name}.{kind}" for kind in formats]
    return [name for name in names if (folder / name).exists()]
