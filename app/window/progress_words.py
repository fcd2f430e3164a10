"""Work without steps, in words, for the start page and the run controls."""

from __future__ import annotations

from engine.optimize.messages import Progress

LABELS = {
    "poses": "Finding the camera poses",
    "photos": "Reading the photos",
    "prepare": "Preparing",
    "evaluate": "Measuring the result",
}


def progress_words(message: Progress) -> tuple[float, str]:
    """The share from 0 to 1 of work without steps, -1 where nobody knows, and what is being done."""
    label = LABELS.get(message.stage, message.stage.capitalize())
    if message.stage == "photos" and message.done >= 1:
        return -1.0, "All photos are read; making the run ready"
    return message.done, f"{label}: {message.text}" if message.text else label
