"""The history of a run: every change made while it ran, so that it can be repeated and replayed after a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "set",
    "exclude",
    "override",
    "delete_inside",
    "delete_outside",
    "restore",
    "learning_rate",
    "memory",
    "device",
    "resume",
    "loss",
    "revert",
]
BY_USER = ("set", "exclude", "override", "delete_inside", "delete_outside", "restore")


@dataclass(frozen=True)
class Entry:
    """One change, made before iteration `total_step` of the run."""

    kind: Kind
    total_step: int
    stage: str
    key: str = ""
    value: Any = ""  # scalar or list
    text: str = ""

    @property
    def by_user(self) -> bool:
        """Whether it was a command, which a resumed run must repeat; the rest follows from the state by itself."""
        return self.kind in BY_USER

    def as_mapping(self) -> dict[str, Any]:
        """Flat TOML table."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        table = {"kind": self.kind, "total_step": self.total_step, "stage": self.stage, "key": self.key, "value": value}
        return table | {"text": self.text}

    @classmethod
    def from_mapping(cls, table: dict[str, Any]) -> Entry:
        """The inverse of `as_mapping`; unknown keys are ignored."""
        known = {name: table[name] for name in ("kind", "total_step", "stage", "key", "value", "text") if name in table}
        return cls(**known)


def effective(history: list[Entry]) -> list[Entry]:
    """The changes that led to where the run is: what a revert went back over is left out.

    The history itself only grows; the value of a `revert` is how much of it the checkpoint knew.
    """
    kept: list[Entry] = []
    for entry in history:
        if entry.kind == "revert":
            kept = effective(history[: int(entry.value)])
        kept.append(entry)
    return kept
