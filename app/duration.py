"""Seconds in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Such as 1:02:03 or 4:05."""
    minutes, rest = divmod(int(round(max(seconds, 0))), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
