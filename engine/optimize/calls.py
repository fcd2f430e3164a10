"""Functions that a front end has run on the stepping thread, between two steps."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from engine.optimize.session import Session

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Call(Generic[T]):
    """A function of the session and the future that gets what it returns or raises."""

    function: Callable[[Session], T]
    future: Future[T] = field(default_factory=Future)

    def run(self, session: Session) -> None:
        """Call the function, unless the future was cancelled; never raises."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(session)
        except BaseException as error:  # whoever waits gets it, an interrupt too, as with any executor
            self.future.set_exception(error)
            del self, session  # the error holds this frame, and the future, which must not hold itself, the error
        else:
            self.future.set_result(result)
