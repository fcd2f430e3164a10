"""What is installed: the wheel holds everything, and the demo runs from another folder in a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("stereo.image_size=96", "stereo.resolution=48", "mesh.texture_size=512", "mesh.occlusion_rays=8")


def succeed(*command: object, cwd: Path) -> str:
    """Output of a command that must end well, without this process's Python settings and compiled kernels."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ended = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the tracked sources so that nothing is left in the repository, and offline."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("app", "engine", "shaders", "assets", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
    return next(out.glob("unrender-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_sources_assets_and_shaders_but_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("app", "engine", "assets", "shaders"):
        files = [p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        shipped = [p for p in files if p.suffix in (".py", ".wgsl", ".json") or folder == "assets"]
        missing = {str(p.relative_to(ROOT)) for p in shipped} - names
        assert not missing, missing
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"app", "engine", "assets", "shaders"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_demo_runs_from_the_installed_wheel(wheel, tmp_path):
    """The third-party packages, which the constraints pin, are lent by a .pth file: installing them takes minutes."""
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    succeed(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    own = Path(succeed(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    lent = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (own / "lent.pth").write_text("\n".join(lent))
    where = succeed(python, "-c", "import engine, assets; print(engine.__file__, assets.__file__)", cwd=tmp_path)
    assert where.count(str(own)) == 2, "the installed copy, not the repository"
    small = [f"--set={option}" for option in SMALL]
    said = succeed(binaries / "unrender", "demo", "--steps", 5, *small, "--out", "made", cwd=tmp_path)
    assert "wrote made" in said
    metrics = json.loads((tmp_path / "made" / "metrics.json").read_text())
    assert metrics["steps"] == 10 and metrics["export_psnr"] > 35 and len(metrics["per_view"]) == 6
    assert (tmp_path / "made" / "exports" / "asset.glb").stat().st_size > 100_000
