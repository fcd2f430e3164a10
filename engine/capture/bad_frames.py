"""Frames that cannot be used, in words: those with the same fault share one sentence."""

from __future__ import annotations


def described(bad: list[tuple[str, str]], total: int, most: int | None = None) -> list[str]:
    """A sentence for each reason of the frames `bad` (name, reason) of `total`, after at most `most` of their names."""
    names_of: dict[str, list[str]] = {}
    for name, reason in bad:
        names_of.setdefault(reason, []).append(name)
    return [
        f"{'every frame' if len(names) == total > 1 else some(names, most)}: {reason}"
        for reason, names in names_of.items()
    ]


def some(names: list[str], most: int | None = 5) -> str:
    """The first `most` names, and how many more there are; all of them for None."""
    if most is None or len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
