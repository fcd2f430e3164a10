"""A session's whole state to what a checkpoint holds, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.optimize import process
from engine.optimize.checkpoint import Checkpoint
from engine.optimize.guard import Snapshot, generator_state, restore_generators, restore_snapshot, take_snapshot
from engine.optimize.history import Entry
from engine.optimize.messages import Notice
from engine.optimize.options import describe, set_option
from engine.optimize.scene_state import SceneState
from engine.optimize.session_start import plain
from engine.optimize.stage import stage_for

if TYPE_CHECKING:
    from engine.optimize.session import Session

SCENE = "scene/"  # prefix of the scene's tensors


def _scene(tensors: dict[str, Tensor], values: dict[str, Any]) -> SceneState:
    scene = {name[len(SCENE) :]: tensor for name, tensor in tensors.items() if name.startswith(SCENE)}
    return SceneState.from_tensors(scene, values["scene"])


def scene_of_checkpoint(checkpoint: Checkpoint) -> SceneState:
    """What the finished stages of a checkpoint left; a stage that was running has not written its part yet."""
    return _scene(checkpoint.tensors, checkpoint.values)


def saved_state(session: Session) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, JSON-able values) from which `restore_state` goes on with the same bits."""
    scene_tensors, scene_values = session.context.scene.to_tensors()
    tensors = {f"{SCENE}{name}": tensor for name, tensor in scene_tensors.items()}
    values: dict[str, Any] = {
        "stage": session.stage_name,
        "stage_index": session.stage_index,
        "begun": session.stage is not None,
        "index": session.index,
        "total_step": session.total_step,
        "seconds": session.seconds,
        "stage_seconds": session.stage_seconds,
        "stage_records": session.stage_records,
        "peak_memory_mb": session.peak_memory_mb,
        "threads": process.thread_counts(),
        "history_length": len(session.project.history),
        "options": {row.key: plain(row.value) for row in describe(session.recipe)},
        "scene": scene_values,
    }
    if session.stage is None:
        draws, values["snapshot"] = generator_state(session.context)
        return tensors | draws, values
    snapshot = session.snapshot
    if snapshot.index != session.index:
        snapshot = take_snapshot(session.stage, session.context, session.index)
    values["snapshot"] = snapshot.values
    return tensors | snapshot.tensors, values


def place(session: Session, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put a session's recipe, scene, stage and generators where `saved_state` was taken; not its history and times."""
    for key, value in values["options"].items():
        if key != "schema_version":
            set_option(session.recipe, key, value)
    session.stage_index, session.index, session.total_step = (
        values["stage_index"],
        values["index"],
        values["total_step"],
    )
    session.checkpoint_step, session.half_done = session.total_step, False
    session.stage_seconds, session.stage_records = values["stage_seconds"], list(values["stage_records"])
    session.context.scene = _scene(tensors, values)
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(SCENE)}
    if values["begun"]:
        session.stage = stage_for(values["stage"], session.context)
        session.snapshot = Snapshot(session.index, rest, values["snapshot"])
        restore_snapshot(session.snapshot, session.stage, session.context)
    else:
        session.stage = session.snapshot = None
        restore_generators(session.context, rest, values["snapshot"])


def restore_state(session: Session, tensors: dict[str, Tensor], values: dict[str, Any]) -> list[Entry]:
    """Put a fresh session where `saved_state` was taken; the user's later changes, which it has to repeat."""
    place(session, tensors, values)
    session.seconds_before, session.peak_before = values["seconds"], values["peak_memory_mb"]
    history, length = session.project.history, values["history_length"]
    later = history[length:]
    if any(entry.kind == "revert" for entry in later):  # of another line, whose checkpoint is lost
        session.record("revert", "", length, "the checkpoint after going back cannot be read")
        later = []
    else:
        session.project.history = history[:length]
    text = f"resumed at step {session.total_step} of {session.total_steps}"
    threads = process.thread_counts()
    same = threads == values["threads"]
    if not same:
        text += f"; threads were {values['threads']} and are now {threads}, so the last digits may differ"
    session.record("resume", "", "", text)
    session.notify(Notice(text, "info" if same else "warning"))
    return [entry for entry in later if entry.by_user]
