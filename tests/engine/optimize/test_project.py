"""A project folder is made once, by one process, and only what Unrender wrote is ever removed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ProjectError
from engine.optimize import checkpoint, project_lock
from engine.optimize.history import Entry
from engine.optimize.project import Project, check_folder
from engine.optimize.recipe import Recipe
from tests.app.tiny import content
from tests.engine.optimize.small_run import SmallRecipe, small_recipe

ROOT = Path(__file__).resolve().parents[3]


def make(folder: Path, **more) -> Project:
    return Project.create(folder, small_recipe(steps=7), "photos", "abc", **more)


def test_open_reads_back_what_create_and_record_wrote(tmp_path):
    project = make(tmp_path / "a" / "b")
    for value in (0.5, 3, True, "text", (1.0, 2.0), "two\nlines"):
        project.record(Entry("set", 4, "draw", "draw.x", value))
    project.close()
    again = Project.open(tmp_path / "a" / "b", SmallRecipe)
    assert (
        again.recipe == small_recipe(steps=7) and again.capture_path == "photos" and again.capture_fingerprint == "abc"
    )
    assert [entry.value for entry in again.history] == [0.5, 3, True, "text", [1.0, 2.0], "two\nlines"]
    again.close()


OURS = [
    "metrics.json",
    "log.jsonl",
    "exports/asset.glb",
    "exports/asset.mtl",
    "exports/asset_base_color.png",
    "exports/asset-surface.ply",
    "exports/.asset_base_color.123-0.tmp.png",
    "exports/new_name.mtl",
    "exports/new name.glb",
    "exports/environment.hdr",
    "exports/cameras.json",
]
THEIRS = [
    "notes.txt",
    "exports/my_render.png",
    "exports/asset.blend",
    "exports/asset_notes.txt",
    "exports/asset.glb.bak",
    "exports/.asset.blend.123-0.tmp.png",
    "checkpoints/keep.me",
]


def finished(folder: Path) -> dict[str, bytes | None]:
    """The content of a folder with a project that has run, and files of the user's; its recipe names the exports."""
    project = Project.create(folder, Recipe(), "photos")
    project.record(Entry("override", 4, "draw", "export.name", "new name"))
    project.close()
    for name in OURS + THEIRS:
        (folder / name).write_text(name)
    checkpoint.write_checkpoint(folder / "checkpoints", {}, {})
    return content(folder)


def test_overwrite_replaces_exactly_what_is_ours_once_there_is_a_result(tmp_path):
    folder = tmp_path / "a"
    before = finished(folder)
    with pytest.raises(ProjectError, match="not empty"):
        make(folder)
    project = make(folder, overwrite=True)
    aside = folder / ".replaced-1"
    assert not any((folder / name).exists() for name in OURS) and all((aside / name).exists() for name in OURS)
    assert not checkpoint.checkpoint_files(folder / "checkpoints")
    project.settle()
    project.close()
    kept = {name for name in content(folder) if (folder / name).is_file()}
    assert kept == {*THEIRS, "project.toml", "project.lock"} and not aside.exists()
    assert all(content(folder)[name] == before[name] for name in THEIRS)


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_abandoned_leaves_all_as_it_was(tmp_path, times):
    folder = tmp_path / "a"
    before = finished(folder)
    for _ in range(times):
        project = make(folder, overwrite=True)
        (folder / "exports" / "asset.glb").write_text("half a result")
        project.log("StepReport", {"seconds": 1.0})
        project.abandon()
    assert content(folder) == before | {"project.lock": content(folder)["project.lock"]}
    Project.open(folder, Recipe).close()


def test_a_new_folder_is_gone_when_its_run_is_abandoned(tmp_path):
    make(tmp_path / "a" / "b").abandon()
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty").abandon()
    assert (tmp_path / "empty").is_dir() and not list((tmp_path / "empty").iterdir())


def test_what_has_a_checkpoint_or_was_only_opened_is_not_abandoned(tmp_path):
    for name in "ab":
        project = make(tmp_path / name)
        if name == "a":
            checkpoint.write_checkpoint(project.checkpoints, {}, {})
        else:
            project.close()
            project = Project.open(tmp_path / name, SmallRecipe)
        project.abandon()
        Project.open(tmp_path / name, SmallRecipe).close()  # it is there, and free


class Died(BaseException):
    """As if the process were gone."""


@pytest.mark.parametrize("moves", [0, 5, 12, 13, 14])  # 13: all but project.toml is aside; 14: no new one is there
@pytest.mark.parametrize("again", ["open", "create"])
def test_a_process_that_dies_while_setting_aside_loses_nothing(tmp_path, monkeypatch, moves, again):
    folder, done, replace = tmp_path / "a", [], os.replace
    before = finished(folder)

    def move(path, target):
        if len(done) == moves:
            raise Died
        done.append(path)
        replace(path, target)

    monkeypatch.setattr(os, "replace", move)
    with pytest.raises(Died):
        make(folder, overwrite=True)
    monkeypatch.undo()
    project_lock._HELD.clear()
    if again == "open":
        Project.open(folder, Recipe).close()
    else:
        make(folder, overwrite=True).abandon()
    after = {name: data for name, data in content(folder).items() if not name.endswith(".partial")}
    assert after == before | {"project.lock": after["project.lock"]}


def test_overwrite_refuses_a_folder_without_a_project(tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(ProjectError, match="no Unrender project"):
        make(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_or_an_unwritable_or_full_place_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ProjectError, match="is a file"):
        check_folder(file)
    with pytest.raises(ProjectError, match="cannot be written|is a file|cannot be created"):
        make(file / "below")
    if os.getuid():
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(ProjectError, match="cannot be written"):
            make(closed / "out")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError, match="No space left"):
        make(tmp_path / "full")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "schema_version = 99",
        "nonsense",
        "[recipe]\nname = 3",
        'schema_version = "x"\ncapture = "c"\ndevice = "cpu"\n[recipe]\n',
        'schema_version = 1\ncapture = "c"\ndevice = "cpu"\nrecipe = "x"\n',
        'schema_version = 1\ncapture = 7\ndevice = "cpu"\n[recipe]\n',
        'schema_version = 1\ncapture = "c"\ndevice = "cpu"\nhistory = ["x"]\n[recipe]\n',
    ],
)
def test_a_damaged_or_missing_project_is_refused(tmp_path, text):
    make(tmp_path / "a").close()
    (tmp_path / "a" / "project.toml").write_text(text)
    with pytest.raises(ProjectError, match="project.toml"):
        Project.open(tmp_path / "a", SmallRecipe)
    with pytest.raises(ProjectError, match="there is no project.toml"):
        Project.open(tmp_path / "b", SmallRecipe)


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", "[" * 100_000])
def test_damaged_metrics_count_as_none(tmp_path, text):
    project = make(tmp_path / "a")
    project.write_metrics({"psnr": 30.0})
    assert project.read_metrics() == {"psnr": 30.0}
    (tmp_path / "a" / "metrics.json").write_text(text)
    assert project.read_metrics() == {}
    project.close()


def test_a_newer_project_is_refused(tmp_path):
    make(tmp_path / "a").close()
    path = tmp_path / "a" / "project.toml"
    text = path.read_text().replace("schema_version = 1", "schema_version = 99", 1)
    for newer in (text, text.replace("capture = ", "photos = ")):  # also one whose keys have other names
        path.write_text(newer)
        with pytest.raises(ProjectError, match="newer version of Unrender; update Unrender"):
            Project.open(tmp_path / "a", SmallRecipe)


def test_one_process_at_a_time_and_a_dead_one_does_not_block(tmp_path):
    make(tmp_path / "a").close()
    code = (
        "import sys; from engine.optimize.project_lock import ProjectLock; from pathlib import Path\n"
        "ProjectLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a" / "project.lock")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ProjectError, match=f"process {holder.pid} is running"):
            Project.open(tmp_path / "a", SmallRecipe)
        Project.open(tmp_path / "a", SmallRecipe, lock=False)
    finally:
        holder.kill()
        holder.wait()
    project = Project.open(tmp_path / "a", SmallRecipe)
    with pytest.raises(ProjectError, match="this process"):
        Project.open(tmp_path / "a", SmallRecipe)
    project.close()


def test_the_log_remembers_the_seconds_of_a_killed_process(tmp_path):
    project = make(tmp_path / "a")
    assert project.logged_seconds() == 0
    project.log("StepReport", {"seconds": 12.5})
    with open(tmp_path / "a" / "log.jsonl", "a") as file:
        file.write('{"seconds": 99')  # died while writing
    assert project.logged_seconds() == 12.5
    project.close()
