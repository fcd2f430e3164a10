"""Files that ship with Unrender: recipes, the sample capture, environment maps; all made by the project."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sample_capture() -> Path:
    """The folder of the sample capture (transforms_train.json, transforms_test.json, truth/)."""
    return Path(str(files(__name__) / "sample"))


def environment(name: str) -> Path:
    """The Radiance file of the environment map `name`, without its suffix (`studio`); FileNotFoundError if unknown."""
    folder = Path(str(files(__name__) / "environments"))
    path = folder / f"{name}.hdr"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.hdr"))) or "none"
        raise FileNotFoundError(f"environment {name!r} is not among the shipped ones ({known})")
    return path


def environments() -> list[str]:
    """Names of the shipped environment maps, the studio first."""
    names = (path.stem for path in Path(str(files(__name__) / "environments")).glob("*.hdr"))
    return sorted(names, key=lambda name: (name != "studio", name))


def scripts() -> list[Path]:
    """The example scripts."""
    return sorted(Path(str(files(__name__) / "scripts")).glob("*.py"))
