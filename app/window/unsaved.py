"""Says in the dialog that a run cannot be saved: once per run, since it goes on all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from app.window.option_names import in_words
from engine.optimize.messages import Unsaved

if TYPE_CHECKING:
    from app.window.studio import Studio

ADVICE = (
    "The run goes on. Put the project's folder back, or make room for it, and then choose File › Save; otherwise what "
    "was computed since the last checkpoint is lost when this window closes."
)


class UnsavedWarning(QObject):
    """`tell(sentence, details)` shows it."""

    def __init__(self, studio: Studio, tell: Callable[[str, str], None], parent: QObject) -> None:
        super().__init__(parent)
        self._tell, self._told = tell, False
        studio.message_received.connect(self._message)
        studio.session_changed.connect(self._session)

    def _session(self, _session: Any) -> None:
        self._told = False

    def _message(self, message: object) -> None:
        if isinstance(message, Unsaved) and not self._told:
            self._told = True
            text = in_words(message.text)
            self._tell(f"{text[:1].upper()}{text[1:]}.\n\n{ADVICE}", "")
