"""Checkpoints: a safetensors file and a JSON manifest, written aside and renamed; the last two are kept, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from engine.errors import ProjectError

SCHEMA_VERSION = 1
KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{6})\.(json|safetensors)(\.partial)?$")


@dataclass
class Checkpoint:
    """One saved moment."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]  # JSON-able
    notices: list[str] = field(default_factory=list)  # what was wrong with newer ones that could not be read


class CheckpointEntry(NamedTuple):
    """One checkpoint of a project's list."""

    path: Path  # its manifest
    total_step: int
    stage: str  # that ran or came next; empty at the end of the run
    time: float  # when it was written, seconds since the epoch


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk and rename it; nothing is left behind on failure.

    Raises ProjectError when the folder cannot be written or is full.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        gone = isinstance(error, FileNotFoundError)
        advice = "put its folder back" if gone else "free space or choose another --out"
        raise ProjectError(f"{path}: cannot be written ({error.strerror or error}); {advice}") from error


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows has no handle for folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checkpoint_files(folder: Path) -> list[Path]:
    """Every file in `folder` that this module wrote, complete or not."""
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name)) if folder.is_dir() else []


def _numbers(folder: Path) -> list[int]:
    return sorted({int(_NAME.match(path.name)[1]) for path in checkpoint_files(folder)})


def write_checkpoint(folder: Path, tensors: dict[str, Tensor], values: dict[str, Any]) -> Path:
    """Write the next checkpoint, then remove all but the last two; the manifest's path.

    Raises ProjectError when it cannot be written; the ones before are then untouched.
    """
    number = max(_numbers(folder), default=0) + 1
    stem = folder / f"checkpoint-{number:06d}"
    data = save(_apart(tensors))
    body = {
        "schema_version": SCHEMA_VERSION,
        "tensors": {"file": f"{stem.name}.safetensors", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "values": values,
    }
    text = json.dumps(body)
    manifest = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "body": text})
    tensor_file = stem.with_suffix(".safetensors")
    write_atomically(tensor_file, data)
    try:
        write_atomically(stem.with_suffix(".json"), manifest.encode())
    except ProjectError:
        tensor_file.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    complete = [n for n in _numbers(folder) if (folder / f"checkpoint-{n:06d}.json").exists()]
    for path in checkpoint_files(folder):
        if int(_NAME.match(path.name)[1]) not in complete[-KEPT:]:
            path.unlink(missing_ok=True)
    return stem.with_suffix(".json")


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, contiguous and with memory of their own each; only those that are not so are copied."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu()
        memory = tensor.untyped_storage()
        alone = memory.nbytes() == tensor.nbytes and memory.data_ptr() not in seen
        seen.add(memory.data_ptr())
        result[name] = (
            tensor if alone and tensor.is_contiguous() else tensor.clone(memory_format=torch.contiguous_format)
        )
    return result


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, with notices on newer ones that are not; None when there is none at all.

    Raises ProjectError when there are checkpoints but none can be read, or one is of a newer schema.
    """
    notices = []
    for number in reversed(_numbers(folder)):
        manifest = folder / f"checkpoint-{number:06d}.json"
        if not manifest.exists():
            continue  # the process died before the manifest: it never was a checkpoint
        try:
            tensors, values = _read(manifest)
        except _Damaged as damage:
            notices.append(f"{manifest}: {damage}; going on from the checkpoint before it")
            continue
        return Checkpoint(tensors, values, notices)
    if notices:
        raise ProjectError(
            f"{folder}: no checkpoint can be read ({notices[-1].split(';')[0]}); start over with --overwrite"
        )
    return None


def list_checkpoints(folder: Path) -> list[CheckpointEntry]:
    """The checkpoints in `folder`, oldest first; those whose manifest cannot be read are left out."""
    entries = []
    for number in _numbers(folder):
        manifest = folder / f"checkpoint-{number:06d}.json"
        try:
            values = _manifest(manifest)["values"]
            entry = CheckpointEntry(manifest, int(values["total_step"]), str(values["stage"]), manifest.stat().st_mtime)
        except (_Damaged, OSError, KeyError, TypeError, ValueError):
            continue
        entries.append(entry)
    return entries


def read_one_checkpoint(manifest: Path) -> Checkpoint:
    """The checkpoint of that manifest. Raises ProjectError when it is missing, damaged or of a newer schema."""
    try:
        return Checkpoint(*_read(manifest))
    except _Damaged as damage:
        raise ProjectError(f"{manifest}: {damage}; choose another checkpoint") from damage


class _Damaged(Exception):
    """Why a checkpoint cannot be used."""


def _manifest(path: Path) -> dict[str, Any]:
    """The body of a manifest."""
    try:
        outer = json.loads(path.read_text(encoding="utf-8"))
        text = outer["body"]
        if hashlib.sha256(text.encode()).hexdigest() != outer["sha256"]:
            raise _Damaged("the manifest is damaged")
        return json.loads(text)
    except FileNotFoundError:
        raise _Damaged("this checkpoint is no longer there, since only the newest are kept") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damaged(f"the manifest is damaged ({type(error).__name__})") from error


def _read(manifest: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    body = _manifest(manifest)
    try:
        version = int(body["schema_version"])
        if version > SCHEMA_VERSION:  # before anything whose place may be another there
            raise ProjectError(f"{manifest}: written by a newer version of Unrender; update Unrender to resume")
        values, description = body["values"], body["tensors"]
        file, size, digest = str(description["file"]), int(description["bytes"]), str(description["sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damaged(f"the manifest is damaged ({type(error).__name__})") from error
    try:
        data = (manifest.parent / file).read_bytes()
    except OSError as error:
        raise _Damaged(f"{file} is missing or unreadable") from error
    if len(data) != size:
        raise _Damaged(f"{file} is truncated ({len(data)} of {size} bytes)")
    if hashlib.sha256(data).hexdigest() != digest:
        raise _Damaged(f"{file} is corrupt")
    return load(data), values


def flatten(state: Any, prefix: str = "") -> tuple[dict[str, Tensor], Any]:
    """Any nest of dicts, lists, tuples, tensors, arrays and scalars, such as an optimizer's `state_dict`, as
    (tensors by name, JSON-able rest); `unflatten` is the inverse. Raises TypeError for anything else."""
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach()
            return {"$tensor": path}
        if isinstance(value, np.ndarray):
            tensors[path] = torch.from_numpy(np.array(value, order="C"))
            return {"$array": path}
        if isinstance(value, dict):
            return {"$dict": [[walk_key(key), walk(item, f"{path}/{key}")] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            items = [walk(item, f"{path}/{i}") for i, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"{path}: {type(value).__name__} cannot go into a checkpoint")

    def walk_key(key: Any) -> Any:
        if isinstance(key, (str, int)) and not isinstance(key, bool):
            return key
        raise TypeError(f"key {key!r} cannot go into a checkpoint")

    return tensors, walk(state, prefix or "state")


def unflatten(tensors: dict[str, Tensor], rest: Any) -> Any:
    """The nest that `flatten` took apart; tensors are cloned, so that the source can be used again."""
    if isinstance(rest, list):
        return [unflatten(tensors, item) for item in rest]
    if isinstance(rest, dict):
        kind, content = next(iter(rest.items()))
        if kind == "$tensor":
            return tensors[content].clone()
        if kind == "$array":
            return tensors[content].numpy().copy()
        if kind == "$tuple":
            return tuple(unflatten(tensors, item) for item in content)
        return {key: unflatten(tensors, item) for key, item in content}
    return rest
