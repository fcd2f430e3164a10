"""A project folder: project.toml, checkpoints/, exports/, metrics.json and log.jsonl; every file written atomically."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import ProjectError, RecipeError
from engine.optimize.checkpoint import checkpoint_files, write_atomically
from engine.optimize.history import Entry
from engine.optimize.options import from_mapping, to_toml, toml_value
from engine.optimize.project_lock import ProjectLock
from engine.optimize.replaced import (
    COMPARISON,
    LOCK,
    LOG,
    METRICS,
    PREVIEW,
    PROJECT,
    discard,
    kept_aside,
    mend,
    put_back,
    remove_own_files,
    set_aside,
)

__all__ = ["COMPARISON", "LOCK", "LOG", "METRICS", "PREVIEW", "PROJECT", "Project", "check_folder"]

SCHEMA_VERSION = 1


@dataclass
class Project:
    """An open, locked project; `close` lets other processes in."""

    folder: Path
    recipe: Any  # as the run began; what changed since is in `history`
    capture_path: str
    capture_fingerprint: str
    device: str
    history: list[Entry] = field(default_factory=list)
    lock: ProjectLock | None = None
    is_new: bool = False  # made by `create`, not opened
    made: tuple[Path, ...] = ()  # folders that were not there before, innermost first

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def exports(self) -> Path:
        """Folder of exported assets."""
        return self.folder / "exports"

    @classmethod
    def create(
        cls,
        folder: Path | str,
        recipe: Any,
        capture_path: Path | str,
        capture_fingerprint: str = "",
        device: str = "auto",
        overwrite: bool = False,
    ) -> Project:
        """Make a project in a new or empty folder; with `overwrite`, in place of the project that is there.

        That one is set aside until `settle` removes it or `abandon` puts it back; other files stay as they are.
        Raises ProjectError for a folder that is in use, holds anything else, or cannot be written; it is then as it
        was before.
        """
        folder = Path(folder)
        check_folder(folder, overwrite)
        made = tuple(path for path in (folder, *folder.parents) if not path.exists())
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(f"{folder}: cannot be created ({error.strerror}); choose another --out") from error
        lock = ProjectLock(folder / LOCK)
        project = cls(folder, recipe, str(capture_path), capture_fingerprint, device, lock=lock, made=made)
        try:
            mend(folder)
            set_aside(folder)
            project.is_new = True
            project.checkpoints.mkdir(exist_ok=True)
            project.exports.mkdir(exist_ok=True)
            project.save()
        except OSError as error:
            project.abandon()
            raise ProjectError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
        except ProjectError:
            project.abandon()
            raise
        return project

    @classmethod
    def open(cls, folder: Path | str, recipe_type: type, lock: bool = True) -> Project:
        """Open the project in `folder`. Raises ProjectError when there is none, it is damaged, newer or in use."""
        folder = Path(folder)
        path = folder / PROJECT
        if lock and not path.exists() and kept_aside(folder):
            with closing(cls(folder, None, "", "", "", lock=ProjectLock(folder / LOCK))):
                mend(folder)
        if not path.exists():
            raise ProjectError(
                f"{folder}: there is no {PROJECT} here; give the --out folder of an earlier run; one that was ended "
                "while it still read its photos had not written anything: give its command again"
            )
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            version = data["schema_version"]
            if isinstance(version, int) and version > SCHEMA_VERSION:  # before keys that may have other names there
                raise ProjectError(f"{path}: written by a newer version of Unrender; update Unrender to open it")
            capture, fingerprint, device = data["capture"], data.get("capture_fingerprint", ""), data["device"]
            history = [Entry.from_mapping(table) for table in data.get("history", [])]
            section = data["recipe"]
            if not (isinstance(version, int) and isinstance(section, dict)):
                raise TypeError("schema_version is no number or recipe no table")
            if not all(isinstance(value, str) for value in (capture, fingerprint, device)):
                raise TypeError("capture, capture_fingerprint or device is no text")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise ProjectError(
                f"{path}: cannot be read ({error}); restore it or start over with --overwrite"
            ) from error
        try:
            recipe = from_mapping(recipe_type, section, path)
        except RecipeError as error:
            raise ProjectError(str(error)) from error
        project = cls(folder, recipe, capture, fingerprint, device, history)
        if lock:
            project.lock = ProjectLock(folder / LOCK)
            try:
                mend(folder)
                project.checkpoints.mkdir(exist_ok=True)
                project.exports.mkdir(exist_ok=True)
            except OSError as error:
                project.close()
                raise ProjectError(f"{folder}: cannot be written ({error.strerror})") from error
        return project

    def save(self) -> None:
        """Write project.toml."""
        head = [
            "# An Unrender project; go on with: unrender resume FOLDER",
            f"schema_version = {SCHEMA_VERSION}",
            f"capture = {toml_value(self.capture_path)}",
            f"capture_fingerprint = {toml_value(self.capture_fingerprint)}",
            f"device = {toml_value(self.device)}",
            "",
            to_toml(self.recipe, "recipe"),
        ]
        for entry in self.history:
            head.append("[[history]]")
            head += [f"{key} = {toml_value(value)}" for key, value in entry.as_mapping().items()]
            head.append("")
        write_atomically(self.folder / PROJECT, "\n".join(head).encode())

    def restore(self) -> bool:
        """Make the folder anew where it, its checkpoints/ or its project.toml was taken away; whether it was.

        Never makes the folder's parents, which may be a drive's that comes back. Raises ProjectError.
        """
        if (self.folder / PROJECT).exists() and self.checkpoints.is_dir():
            return False
        try:
            for folder in (self.folder, self.checkpoints, self.exports):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ProjectError(
                f"{self.folder}: the folder is gone and cannot be made anew ({error.strerror})"
            ) from error
        if self.lock is not None:  # the old one went with the folder
            self.lock.release()
            self.lock = ProjectLock(self.folder / LOCK)
        self.save()
        return True

    def record(self, entry: Entry) -> None:
        """Add to the history, on disk too."""
        self.history.append(entry)
        self.save()

    def log(self, kind: str, values: dict[str, Any]) -> None:
        """Append one line to log.jsonl; a full disk is not worth stopping for."""
        try:
            with open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, **values}, default=str) + "\n")
        except OSError:
            pass

    def logged_seconds(self) -> float:
        """The largest `seconds` of the log: time that a killed process spent after its last checkpoint."""
        try:
            with open(self.folder / LOG, "rb") as file:
                file.seek(max(0, os.path.getsize(self.folder / LOG) - 65536))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return 0.0
        seconds = 0.0
        for line in lines:
            try:
                seconds = max(seconds, float(json.loads(line).get("seconds", 0.0)))
            except (ValueError, TypeError, AttributeError):
                continue
        return seconds

    def write_metrics(self, metrics: dict[str, Any]) -> Path:
        """Write metrics.json."""
        path = self.folder / METRICS
        write_atomically(path, (json.dumps(metrics, indent=2) + "\n").encode())
        return path

    def read_metrics(self) -> dict[str, Any]:
        """What metrics.json holds; empty when there is none or it is damaged."""
        try:
            metrics = json.loads((self.folder / METRICS).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return metrics if isinstance(metrics, dict) else {}

    def settle(self) -> None:
        """Remove what was set aside for this project: it has a result of its own."""
        discard(self.folder)

    def abandon(self) -> None:
        """Close it; a project just made leaves its folder as it was before, an opened one stays.

        Does nothing else once there is a checkpoint.
        """
        if self.lock is not None and self.is_new and not checkpoint_files(self.checkpoints):
            remove_own_files(self.folder)
            replaced = kept_aside(self.folder)
            with suppress(OSError):  # what could not be put back is still set aside
                if replaced:
                    put_back(self.folder, replaced[-1])
                else:
                    for folder in (self.checkpoints, self.exports):
                        folder.rmdir()
                    (self.folder / LOCK).unlink()  # still held, so nobody else has it
                    for folder in self.made:
                        folder.rmdir()
        self.close()

    def close(self) -> None:
        """Release the lock."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None


def check_folder(folder: Path | str, overwrite: bool = False) -> None:
    """Raise ProjectError unless a project can be created in `folder`; changes nothing.

    Meant for before the long work of reading a capture.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder}: is a file; --out needs a folder")
    if folder.is_dir():
        content = [path.name for path in folder.iterdir() if path.name != LOCK]
        if content and not overwrite:
            raise ProjectError(f"{folder}: is not empty; choose another --out, resume it, or give --overwrite")
        if content and PROJECT not in content and not kept_aside(folder):
            raise ProjectError(
                f"{folder}: holds files but no Unrender project; --overwrite replaces only those, choose another --out"
            )
    parent = folder
    while not parent.exists():
        parent = parent.parent
    try:
        with tempfile.TemporaryFile(dir=parent) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        raise ProjectError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
