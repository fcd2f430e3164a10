"""The history of a run: every change made while it ran, so that it can be repeated and replayed after a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["set", "exclude", "override", "learning_rate", "memory", "resume", "loss"]


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
        return self.kind in ("set", "exclude", "override")

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
