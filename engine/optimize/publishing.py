"""When a session publishes what it looks like: often enough to be watched, seldom enough not to be felt."""

from __future__ import annotations

import math
import time
import weakref
from typing import TYPE_CHECKING

import torch

from engine.errors import UnrenderError
from engine.optimize.guard import is_out_of_memory
from engine.optimize.messages import PreviewReady
from engine.optimize.refined_cameras import moved_cameras
from engine.optimize.scene_preview import scene_preview
from engine.optimize.snapshot import SceneSnapshot, SnapshotSlot
from engine.optimize.turns import kernel_turn

if TYPE_CHECKING:
    from engine.optimize.session import Session

SHARE = 0.02  # of the stepping time at most goes into publishing


class Publisher:
    """Lives on the stepping thread; draws no random numbers and changes nothing that a step reads."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)  # which has this: a closed session dies at once, with its photos
        self.slot = SnapshotSlot()
        self.seconds = math.inf  # between publications at least; infinite: never
        self.cost = 0.0  # seconds that the last publication during steps took
        self._version = 0
        self._due = 0.0
        self._shown: tuple | None = None  # the moment that was published last

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return self._session()

    def snapshot(self) -> SceneSnapshot:
        """This moment's scene. Raises UnrenderError when there is nothing to show, such as an empty surface."""
        session = self.session
        stage = session.stage
        with kernel_turn(), torch.random.fork_rng(devices=[]):  # building a network draws numbers that nobody needs
            content = scene_preview(session.context) if stage is None else stage.preview()
        if stage is not None:
            name = stage.name
        elif session.stage_index:
            name = session.recipe.stages[session.stage_index - 1]
        else:
            name = session.stage_name
        self._version += 1
        cameras = moved_cameras(stage, session.context.scene.tensors)
        return SceneSnapshot(name, session.total_step, self._version, cameras=cameras, **content)

    def after_step(self, changed: bool = False) -> None:
        """Publish if it is time, or at once where the scene `changed` as a whole."""
        if math.isinf(self.seconds):
            return
        now = time.monotonic()
        if changed:
            self._publish()
        elif now >= self._due:
            self._publish()
            self.cost = time.monotonic() - now
            self._due = now + self.cost + max(self.seconds, self.cost / SHARE)

    def catch_up(self) -> None:
        """Publish where the newest snapshot is not of this moment; for when nothing steps."""
        if not math.isinf(self.seconds) and self._shown != self._moment():
            self._publish()

    def forget(self) -> None:
        """What was published does not hold any more: the next is due at once."""
        self._shown, self._due = None, 0.0

    def _moment(self) -> tuple:
        return self.session.stage_index, self.session.total_step, self.session.stage is None

    def _publish(self) -> None:
        since = time.perf_counter()
        self._shown = self._moment()
        try:
            snapshot = self.snapshot()
        except (UnrenderError, MemoryError, RuntimeError) as error:
            if not isinstance(error, UnrenderError) and not is_out_of_memory(error):
                raise
            return  # nothing to look at now; the last snapshot stays
        self.slot.put(snapshot)
        self.session.reporter.spent("preview", time.perf_counter() - since)
        self.session.notify(PreviewReady(snapshot.version))
