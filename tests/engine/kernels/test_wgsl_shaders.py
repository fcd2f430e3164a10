"""Every file of shaders/: composes, compiles on this machine's WebGPU, and is written as the others are."""

import re
from pathlib import Path

import pytest

from engine.kernels.webgpu import gpu
from engine.kernels.wgsl import compose, shader_names

FOLDER = Path(__file__).resolve().parents[3] / "shaders"


@pytest.mark.parametrize("name", shader_names())
def test_shader_compiles(name):
    gpu().module(compose(name))  # raises ShaderError, which names the line


@pytest.mark.parametrize("name", shader_names())
def test_shader_is_written_as_the_others_are(name):
    text = (FOLDER / f"{name}.wgsl").read_text(encoding="utf-8")
    lines = text.split("\n")
    assert re.match(r"// Provides: \S", lines[0]), "the first line says what it provides"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert lines[-1] == "" and lines[-2] != "", "ends with one newline"
    assert "\t" not in text and "\r" not in text
    for number, line in enumerate(lines, 1):
        assert len(line) <= 120, f"line {number} is {len(line)} columns wide"
        assert line == line.rstrip(), f"line {number} ends with spaces"
        indent = len(line) - len(line.lstrip(" "))
        assert indent % 4 == 0, f"line {number} is indented by {indent}, not by fours"
    assert len(lines) <= 400


def test_only_shaders_lie_in_the_folder():
    names = {path.name for path in FOLDER.iterdir() if path.name != "__pycache__"}
    assert names == {"__init__.py", *(f"{name}.wgsl" for name in shader_names())}
