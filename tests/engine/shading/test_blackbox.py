"""A user's own shading: WGSL and Python agree, and what is wrong with one is said with its file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import assets
from engine.errors import DeviceError, RecipeError, ShaderError
from engine.kernels.webgpu import Gpu
from engine.optimize.recipe import load_recipe
from engine.optimize.stages.subdivision import SubdivisionStage
from engine.shading import blackbox
from engine.shading.blackbox import allow_scripts, open_shading
from engine.shading.points import SurfacePoints
from engine.shading.webgpu import shade_points

SHADINGS = Path(assets.__file__).parent / "shadings"


@pytest.fixture
def trusting():
    """Python files may run."""
    allow_scripts()
    yield
    allow_scripts(False)


def points(count: int = 400) -> SurfacePoints:
    random = np.random.default_rng(0)
    normal, toward = random.normal(size=(2, count, 3)).astype(np.float32)
    normal, toward = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (normal, toward))
    toward *= np.sign((normal * toward).sum(1, keepdims=True))
    values = random.random((count, 5), np.float32)
    return SurfacePoints(normal, toward, values[:, :3], values[:, 3], values[:, 4])


@pytest.mark.parametrize("name", ["toon", "palette"])
def test_the_shipped_examples_mean_the_same_in_wgsl_and_in_python(name, trusting):
    there, here = open_shading(name).shade(points()), open_shading("", SHADINGS / f"{name}.py").shade(points())
    assert (
        np.abs(there - here).max(1) > 1e-5
    ).mean() < 0.005  # a value at the very edge of a band may fall on either side
    assert len(np.unique(here.round(3), axis=0)) > 3


def test_a_shader_that_does_not_compile_is_told_by_the_users_file_and_line(tmp_path):
    file = tmp_path / "mine.wgsl"
    file.write_text("// mine\nfn shade(surface: Surface) -> vec3f {\n    return surface.colour;\n}\n")
    with pytest.raises(ShaderError, match=r"mine\.wgsl, line 3, column 20.*colour"):
        open_shading("", file).check()
    file.write_text("// mine\n#include nowhere\nfn shade(surface: Surface) -> vec3f {\n    return vec3f(1.0);\n}\n")
    with pytest.raises(ShaderError, match=r"mine\.wgsl, line 2: nothing is called 'nowhere'"):
        open_shading("", file).check()


@pytest.mark.parametrize("name", ["credit", "unit", "photo", "material_at", "Point", "LARGEST"])
def test_a_name_that_belongs_to_unrender_is_told_before_the_run(tmp_path, name):
    file = tmp_path / "mine.wgsl"
    declared = {"photo": "const photo = 1.0;", "LARGEST": "const LARGEST = 1.0;", "Point": "struct Point { x: f32 }"}
    own = declared.get(name, f"fn {name}() -> f32 {{ return 1.0; }}")
    file.write_text(f"// mine\n{own}\nfn shade(surface: Surface) -> vec3f {{\n    return vec3f(1.0);\n}}\n")
    if name == "unit":  # of another shader than those that shade
        open_shading("", file).check()
        return
    with pytest.raises(ShaderError, match=rf"mine\.wgsl, line 2, column \d+: the name {name} belongs to .*my_{name}"):
        open_shading("", file).check()


def test_a_python_file_runs_only_where_that_was_asked_for(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef shade(surface):\n    return surface.base_color\n")
    with pytest.raises(RecipeError, match="is a Python program.*--allow-scripts"):
        open_shading("", file)
    assert not (tmp_path / "ran").exists()
    allow_scripts()
    try:
        open_shading("", file).check()
    finally:
        allow_scripts(False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def shade(surface):\n    return surface.colour\n", r"mine\.py, line 2: AttributeError"),
        ("def shade(surface)\n", r"mine\.py, line 1: SyntaxError"),
        ("x = 1\n\nraise ValueError('no')\n", r"mine\.py, line 3: ValueError: no"),
        ("def paint(surface):\n    return 0\n", "no function 'shade"),
        ("def shade(surface):\n    return surface.roughness\n", r"shape \[1\] for 1 points"),
    ],
)
def test_mistakes_in_python_are_told_by_file_and_line(tmp_path, trusting, text, message):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message):
        open_shading("", file).check()


def test_unknown_names_and_files_are_refused_in_words(tmp_path):
    with pytest.raises(RecipeError, match="no shading is called 'cell'; there are flat_color"):
        open_shading("cell")
    with pytest.raises(RecipeError, match="cannot be read"):
        open_shading("", tmp_path / "none.wgsl")
    (tmp_path / "empty.wgsl").write_text("fn paint() {}\n")
    with pytest.raises(RecipeError, match="no 'fn shade"):
        open_shading("", tmp_path / "empty.wgsl")
    with pytest.raises(RecipeError, match="WGSL file"):
        open_shading("", tmp_path / "shading.glsl")


def test_what_a_shading_reads_is_known_from_its_text():
    assert open_shading("pbr").reads_light and not open_shading("toon").reads_light
    assert open_shading("pbr").reads("roughness") and not open_shading("toon").reads("roughness", "metallic")


def test_without_an_adapter_wgsl_points_to_python(monkeypatch, trusting):
    monkeypatch.setattr("engine.kernels.adapters.adapters", lambda: [])
    with pytest.raises(DeviceError, match="toon: WGSL needs a GPU.*install a graphics driver.*Python file") as error:
        blackbox.needs_adapter(open_shading("toon"))
    assert "--device" not in str(error.value)
    with pytest.raises(DeviceError, match="toon: WGSL needs a GPU.*install a graphics driver") as error:
        SubdivisionStage.check(load_recipe("subdivision", ["shading.name=toon"]), None)
    assert "Python" not in str(error.value)
    blackbox.needs_adapter(open_shading("", SHADINGS / "toon.py"))


def test_a_shader_that_loops_for_ever_ends_in_an_error(tmp_path):
    """Lavapipe itself ends any loop after 65535 rounds; for many points that takes long enough to give up on."""
    file = tmp_path / "endless.wgsl"
    file.write_text(
        "fn shade(surface: Surface) -> vec3f {\n    var x = surface.base_color;\n"
        "    loop {\n        x = x * 1.5 + 0.1;\n        if (x.x < -1.0) {\n            break;\n        }\n    }\n"
        "    return x;\n}\n"
    )
    device = Gpu()
    device.answer_seconds = 0.001
    with pytest.raises(DeviceError, match="did not answer within 0.001 s"):
        shade_points(device, points(20_000), sources=open_shading("", file).sources)
    assert device.lost
