"""Help, options, doctor, devices, bench, synthesize, progress: what needs no whole run."""

from __future__ import annotations

import io
import itertools
import json
import math
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

from app.progress import BarProgress, PlainProgress, described, progress
from engine.optimize.messages import Notice, Progress, StageChanged, StepReport
from engine.optimize.options import describe, from_toml
from engine.optimize.recipe import Recipe, recipe_names
from tests.app.tiny import HULL_ONLY, content, flags, unrender

COMMANDS = "gui run resume batch demo doctor eval export render synthesize options bench devices".split()


def test_help_lists_every_command():
    told = unrender("--help")
    assert told.code == 0 and all(f"• {command} " in told.out for command in COMMANDS)


def test_version_is_the_packages():
    told = unrender("--version")
    assert told.code == 0 and told.out == f"unrender {version('unrender')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    told = unrender(command, "--help")
    assert told.code == 0 and "usage: unrender" in told.out


HEAVY = {"torch", "numba", "scipy", "cv2", "trimesh", "wgpu", "pycolmap", "imageio", "PIL", "rich", "PySide6"}
LOADED = """
import sys
from app.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "nowhere"]])
def test_help_and_doctor_start_at_once_since_they_load_little(arguments):
    ended = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=False)
    loaded = set(ended.stderr.split())
    assert "app.command_line" in loaded and not loaded & HEAVY
    assert "usage: unrender" in ended.stdout or "nowhere" in ended.stdout + ended.stderr


LEFT = """
import atexit, sys
import app.__main__ as unrender
from engine.kernels.readback import Waiter
atexit.register(print, "left in order")
unrender.main = lambda: print("told") or 3
Waiter.unanswered = sys.argv[1] == "True"
unrender.entry()
"""


@pytest.mark.parametrize("unanswered", [False, True])
def test_a_device_that_does_not_answer_cannot_keep_the_process(unanswered):
    ended = subprocess.run([sys.executable, "-c", LEFT, str(unanswered)], capture_output=True, text=True, check=False)
    assert ended.returncode == 3 and ended.stdout.split("\n")[0] == "told", ended.stderr
    assert ("left in order" in ended.stdout) is not unanswered


AT_THE_PHOTOS = """
import sys
from app.__main__ import main
from engine.capture.capture import Capture

def begin(*_):
    print(*sys.modules, sep="\\n")
    raise SystemExit

Capture.bad_images = begin
main(sys.argv[1:])
"""


def test_doctor_comes_to_the_photos_before_it_loads_what_it_looks_at_them_with(capture):
    command = [sys.executable, "-c", AT_THE_PHOTOS, "doctor", str(capture)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    loaded = set(ended.stdout.split())
    assert "engine.capture.doctor" in loaded and loaded & HEAVY <= {"PIL"}, ended.stderr


def test_a_wrong_command_is_a_usage_error():
    told = unrender("rnu")
    assert told.code == 2 and "run" in told.err


def test_options_are_a_recipe_file_with_every_meaning(tmp_path):
    told = unrender("options", "object", "--set", "refine.steps=7")
    recipe = from_toml(Recipe, told.out)
    assert told.code == 0 and recipe.refine.steps == 7 and recipe.hull == Recipe().hull
    flat = " ".join(told.out.replace("\n# ", " ").split())
    for row in describe(recipe):
        assert row.meaning.help and row.meaning.help in flat, row.key
        assert row.meaning.unit in flat and row.meaning.range in flat
    (tmp_path / "mine.toml").write_text(told.out)
    assert unrender("options", tmp_path / "mine.toml").out == told.out
    assert unrender("options").out == unrender("options", "object").out


@pytest.mark.parametrize(
    "override, words",
    [
        ("refine.stepz=3", "did you mean 'refine.steps'"),
        ("shap.steps=3", "did you mean 'shape.steps'"),
        ("refine.steps=many", "refine.steps = 'many': expected a whole number (at least 0)"),
        ("refine.steps=-1", "must be at least 0 steps"),
        ("light.frame=moon", "one of world, camera"),
        ("refine.steps", "write it as key=value"),
        ("stages=hull,fly", "unknown stage 'fly'"),
        ("stages=", "stages is empty"),
    ],
)
def test_wrong_options_are_named_with_exit_code_2(capture, tmp_path, override, words):
    told = unrender("run", capture, "--out", tmp_path / "run", "--set", override)
    assert told.code == 2 and words in told.err and len(told.err.splitlines()) == 1, told.err
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_and_a_newer_one(capture, tmp_path):
    told = unrender("run", capture, "--recipe", "objekt", "--out", tmp_path / "run")
    assert told.code == 2 and f"use one of {', '.join(recipe_names())}" in told.err
    newer = tmp_path / "newer.toml"
    newer.write_text('schema_version = 99\nname = "x"\n[wonders]\nmany = true\n')
    told = unrender("run", capture, "--recipe", newer, "--out", tmp_path / "run")
    assert told.code == 2 and "newer.toml: schema_version 99 is newer" in told.err and "update Unrender" in told.err
    newer.write_text("[refine]\nstepz = 3\n")
    told = unrender("run", capture, "--recipe", newer, "--out", tmp_path / "run")
    assert told.code == 2 and "newer.toml" in told.err and "did you mean 'refine.steps'" in told.err
    newer.write_text("[refine\n")
    assert unrender("run", capture, "--recipe", newer, "--out", tmp_path / "run").code == 2
    assert unrender("run", capture, "--recipe", tmp_path / "no.toml", "--out", tmp_path / "run").code == 2
    assert not (tmp_path / "run").exists()


def test_doctor_describes_a_sound_capture(capture):
    told = unrender("doctor", capture)
    assert told.code == 0 and "16" in told.out and "Masks: 16 of 16" in told.out
    told = unrender("doctor", capture, "--set", "capture.up=+u")
    assert told.code == 1 and "capture.up" in told.err
    told = unrender("doctor", capture, "--set", "capture.up")
    assert told.code == 2 and "--set capture.up: write it as key=value" in told.err


def test_doctor_is_told_that_masks_mean_what_to_ignore(capture, tmp_path):
    for photo in capture.glob("*/r_*.png"):
        mask = np.full((48, 48), 255, np.uint8)
        mask[10:20, 10:20] = 0
        Image.fromarray(mask).save(tmp_path / photo.name)
    told = unrender("doctor", capture, "--masks", tmp_path)
    assert told.code == 1 and "masks of what to ignore are right, with splats.masks=ignore" in told.out
    told = unrender("doctor", capture, "--masks", tmp_path, "--set", "splats.masks=ignore")
    assert told.code == 0 and "white (1) = what to keep, black is ignored" in told.out, told.out


def test_doctor_names_what_is_missing(capture, copied, tmp_path):
    folder = copied(capture)
    (folder / "train" / "r_003.png").unlink()
    told = unrender("doctor", folder)
    assert told.code == 1 and "r_003" in told.out
    told = unrender("doctor", tmp_path / "nowhere")
    assert told.code == 1 and "nowhere" in told.err + told.out


def test_a_picture_is_exposed_and_tone_mapped_when_asked_for(inputs, tmp_path):
    def drawn(name, *arguments):
        told = unrender("render", inputs / "ring.obj", "--out", tmp_path / name, "--size", 48, *arguments)
        assert told.code == 0, told.err
        return np.asarray(Image.open(tmp_path / name).convert("RGB"), int)

    plain = drawn("UPPER.PNG", "--environment", inputs / "sky.hdr")
    dark = drawn("dark.png", "--environment", inputs / "sky.hdr", "--exposure", -2)
    bright = drawn("bright.png", "--environment", inputs / "sky.hdr", "--exposure", 3)
    mapped = drawn("mapped.png", "--environment", inputs / "sky.hdr", "--exposure", 3, "--tone-map")
    assert (dark <= plain).all() and (plain <= bright).all() and (dark < plain).any()
    inside = (dark < 250).all(-1)
    assert (bright[inside] == 255).mean() > 0.5 > (mapped[inside] == 255).mean(), "highlights keep their shading"
    told = unrender("render", inputs / "ring.obj", "--out", tmp_path / "x.png", "--exposure", "nan")
    assert told.code == 1 and "--exposure nan" in told.err and not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("command", ["render", "synthesize"])
def test_pictures_have_a_largest_size(inputs, tmp_path, command):
    light = [] if command == "render" else ["--environment", inputs / "sky.hdr"]
    out = tmp_path / ("x.png" if command == "render" else "made")
    told = unrender(command, inputs / "ring.obj", "--out", out, *light, "--size", 1_000_000)
    assert told.code == 1 and "--size 1000000: pictures have at most 16384 pixels a side" in told.err
    assert len(told.err.splitlines()) == 1 and content(tmp_path) == {}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        type("OutOfMemoryError", (RuntimeError,), {})(),
    ],
)
def test_memory_that_runs_out_is_told_in_one_line(inputs, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("app.assets.render", fail)
    told = unrender("render", inputs / "ring.obj", "--out", tmp_path / "x.png")
    assert told.code == 1 and told.err.startswith("error: out of memory; lower --size")
    assert len(told.err.splitlines()) == 1


def test_other_errors_of_the_program_are_not_hidden(inputs, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("app.assets.render", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        unrender("render", inputs / "ring.obj", "--out", tmp_path / "x.png")


def test_synthesize_says_what_is_wrong_and_leaves_nothing(inputs, tmp_path):
    for mesh, light, name in (("no.obj", "sky.hdr", "no.obj"), ("ring.obj", "no.hdr", "no.hdr")):
        told = unrender("synthesize", inputs / mesh, "--environment", inputs / light, "--out", tmp_path / "made")
        assert told.code == 1 and name in told.err and len(told.err.splitlines()) == 1
        assert content(tmp_path) == {}


def test_devices_names_every_back_end_and_adapter():
    told = unrender("devices")
    assert told.code == 0 and all(word in told.out for word in ("cpu:", "cuda:", "webgpu: 0: ", "auto takes:"))
    assert "MiB seen at once" in told.out and "webgpu: takes 0: " in told.out


def test_a_device_that_is_not_there_is_refused(capture, tmp_path, monkeypatch):
    monkeypatch.setenv("UNRENDER_GPU", "abacus")
    told = unrender("run", capture, "--out", tmp_path / "run", "--device", "webgpu")
    assert told.code == 1 and "--device webgpu: UNRENDER_GPU=abacus: no adapter" in told.err
    assert not (tmp_path / "run").exists() and "UNRENDER_GPU=abacus" in unrender("devices").out
    assert unrender("run", capture, "--out", tmp_path / "run", "--device", "abacus").code == 2


def test_bench_measures_only_what_is_asked_for():
    told = unrender("bench", "--json", "--only", "edge_table")
    figures = json.loads(told.out)
    assert told.code == 0 and list(figures) == ["edge_table_20k_min"]
    figure = figures["edge_table_20k_min"]
    assert set(figure) == {"value", "unit", "limit"} and figure["value"] > 0
    assert "edge_table_20k_min" in unrender("bench", "--only", "edge_table").out
    told = unrender("bench", "--only", "warp")
    assert told.code == 2 and "edge_table_20k_min" in told.err


def test_masks_and_seed_come_into_the_recipe_as_absolute_paths(capture, tmp_path, monkeypatch):
    monkeypatch.chdir(capture.parent)
    told = unrender(
        *("run", capture, "--out", tmp_path / "run", "--masks", "capture/train", "--skip-bad-frames", "--seed", 5),
        *flags(HULL_ONLY),
    )
    text = (tmp_path / "run" / "project.toml").read_text() if told.code == 0 else told.err
    assert str(capture / "train") in text and "skip_bad_frames = true" in text and "seed = 5" in text


def reports(show, monkeypatch) -> None:
    now = itertools.count(100.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))  # a second passes between any two looks at it
    with show:
        show.reading(1, 2, "a.png")
        show.reading(2, 2, "b.png")
        show(StageChanged("shape", 0, 2, "begin"))
        for step in range(1, 4):
            show(StepReport("shape", step, 3, step, 3, loss=0.5, terms={}, psnr=21.5, seconds=1.0))
        show(Notice("odd [bold]", "warning"))
        show(Progress("mesh", 0.5, "unwrapping"))


def test_plain_progress_is_plain(capsys, monkeypatch):
    reports(PlainProgress(), monkeypatch)
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\r" not in out and "photos 2/2" in out
    assert "shape 3/3: loss 0.5000, 21.5 dB" in out and "steps/s" in out and "left" in out
    assert "warning: odd [bold]" in out and "mesh: unwrapping" in out


def test_a_score_that_is_no_number_is_called_so():
    report = StepReport("shape", 1, 3, 1, 3, loss=0.5, terms={}, psnr=math.nan, seconds=1.0)
    assert described(report, 0.0, 0.0) == "loss 0.5000, PSNR not finite"


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(progress(), PlainProgress)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    show = progress()
    assert isinstance(show, BarProgress)
    reports(show, monkeypatch)
    out = terminal.getvalue()
    assert "\x1b[" in out and "3/3" in out and "21.5 dB" in out and "steps/s" in out and "odd [bold]" in out
