"""Says in the dialog that a run cannot be saved: once per run, since it goes on all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from app.window.option_names import in_words
from engine.optimize.messages import Unsaved

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.optimize.session import Session

ADVICE = (
    "All that was computed is still in memory. Put the project's folder back, or make room for it, and choose File › "
    "Save; or choose File › Save as, which writes the project in another place. Unless one of them works, closing "
    "this window loses what came after the last checkpoint."
)
ELSEWHERE = "The run is still in memory. File › Save as writes the project in another place and goes on there."


def what_now(session: Session) -> str:
    """What can be done after an error that stopped a session."""
    if session.half_done:
        return f"“Try again” goes back to step {session.checkpoint_step}, where the run was last saved."
    return (
        f"Everything up to step {session.total_step} is still in memory: “Try again” goes on from there. File › Save "
        f"saves it as it is, File › Save as in another place."
    )


def what_is_left(session: Session) -> str:
    """What there is of a session that is closed although it could not be saved."""
    where = f"{session.project.folder} can go on from step {session.checkpoint_step}, where it was last saved"
    return f"{where}. What came after that is lost."


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
