"""The thread that draws the view: the newest request wins, small while moving, full size when still."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.window.draw_with import DrawWith
from app.window.loading import load_engine
from app.window.viewport.compare import difference, error_colors, on_white, unignored
from app.window.viewport.drawer import Drawer
from app.window.viewport.drawing import Drawn, DrawRequest, qimage
from app.window.viewport.flip_map import FlipMaps
from app.window.viewport.photo import Photos
from engine.errors import Cancelled

BUDGET = 0.040  # seconds of drawing while moving; painting and the event loop take the rest of 50 ms
TRAINING_BUDGET = 0.025  # the same while training runs; the thread then rests as long as it drew
STILL_SECONDS = 0.12  # without a newer request until refining begins
LEAST_SCALE = 0.125
QUICK_SECONDS = 0.15  # what takes less is drawn at full size at once when still
JOB_SECONDS = 0.25  # after which a job is done even while pictures are asked for
TRAINING_SHARE = 0.05  # of its time the thread spends on new snapshots while training runs
PATIENT_SECONDS = 0.4  # for one new snapshot while training runs; what takes longer at full size is drawn smaller
LONGEST_REST = 4.0  # seconds after which a new snapshot is drawn in any case


class Pace:
    """Chooses the share of the full size that fits the budget, from what drawing took."""

    def __init__(self) -> None:
        self.scale = 0.4
        self._full_seconds = 0.2  # what a full-size picture is expected to take

    def measured(self, scale: float, seconds: float, budget: float = BUDGET) -> None:
        """Learn from one drawing at `scale`."""
        full = seconds / (scale * scale)
        self._full_seconds += 0.5 * (full - self._full_seconds) if scale < 1 else full - self._full_seconds
        if scale < 1 or seconds < budget:
            factor = (budget / max(seconds, 1e-4)) ** 0.5
            self.scale = min(max(scale * min(max(factor, 0.6), 1.4), LEAST_SCALE), 1.0)
        else:
            self.scale = min(self.scale, max((budget / seconds) ** 0.5, LEAST_SCALE))
        if self.scale > 0.9:
            self.scale = 1.0

    def within(self, seconds: float) -> float:
        """The largest scale that should not take longer than `seconds`."""
        return 1.0 if self._full_seconds <= seconds else max((seconds / self._full_seconds) ** 0.5, LEAST_SCALE)

    def sizes(self, moving: bool) -> list[float]:
        """The scales to draw one after another."""
        if moving:
            return [self.scale]
        if self.scale == 1.0 or self._full_seconds < QUICK_SECONDS:
            return [1.0]
        scales, scale = [], self.scale
        while scale < 0.7:
            scales.append(scale)
            scale *= 2.5
        return [*scales, 1.0]


class ViewThread(QObject):
    """Draws requests on a thread of its own with one kernel thread; `drawn` tells that `newest()` has changed."""

    drawn = Signal()
    noticed = Signal(str)  # a sentence for the user: what draws the view has failed, and another takes over

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.training = False  # set by the window; drawing new snapshots then leaves the machine to the steps
        self._condition = threading.Condition()
        self._request: DrawRequest | None = None
        self._result: Drawn | None = None
        self._refine: DrawRequest | None = None  # what to draw in full once the view is still
        self._told = False
        self._closed = False
        self._jobs: deque[tuple[Callable[[], Any], Future]] = deque()
        self._job_done = 0.0
        self._flip = FlipMaps(self._add_error)
        self._rest_until = self._move_until = 0.0
        self._paces: dict[str, Pace] = {}
        self._drawer = Drawer(self.noticed.emit)
        self._limited = False
        self._photos = Photos()
        self._thread = threading.Thread(target=self._loop, name="unrender-view", daemon=True)
        self._thread.start()

    # ---- for the GUI thread

    def submit(self, request: DrawRequest) -> None:
        """Draw this instead of whatever was asked for before."""
        with self._condition:
            waiting = self._request
            if waiting is not None and request.patient and not waiting.patient:
                request = replace(request, patient=False, moving=waiting.moving, asked=waiting.asked)
            self._request = request
            self._condition.notify()

    def newest(self) -> Drawn | None:
        """The last picture; takes note that it was seen."""
        with self._condition:
            self._told = False
            return self._result

    def run(self, job: Callable[[], Any]) -> Future:
        """Have this thread, which is the one that draws, do something between pictures, in order."""
        future: Future = Future()
        with self._condition:
            if self._closed:
                future.cancel()
            else:
                self._jobs.append((job, future))
                self._condition.notify()
        return future

    def draw_with(self, choice: DrawWith) -> None:
        """Draw with this from the next picture on; a device that failed is tried again."""
        self._drawer.choose(choice)

    def forget(self) -> None:
        """Keep nothing of what was asked for until now: photos and snapshots of what is closed are large."""
        now = time.perf_counter()
        self.run(lambda: self._forget(now))

    @property
    def wanted(self) -> bool:
        """Whether a picture is asked for that should not wait."""
        return self._newer()

    def close(self, seconds: float = 10.0) -> None:
        """End the thread and wait for it."""
        with self._condition:
            self._closed = True
            for _, future in self._jobs:
                future.cancel()
            self._condition.notify()
        self._flip.close()
        self._thread.join(seconds)

    # ---- on the view thread

    def _forget(self, until: float) -> None:
        self._drawer.forget()
        self._photos = Photos()
        with self._condition:
            if self._result is not None and self._result.request.asked < until:
                self._result = None
            if self._refine is not None and self._refine.asked < until:
                self._refine = None

    def _newer(self) -> bool:
        return self._closed or (self._request is not None and not self._request.patient)

    def _loop(self) -> None:
        while not self._closed:
            self._turn(*self._next(STILL_SECONDS if self._refine is not None else None))

    def _turn(self, request: DrawRequest | None, job: tuple | None) -> None:
        """A picture or a job; what it was is not kept alive while the thread waits for the next."""
        if self._closed:
            return
        if job is not None:
            self._do(*job)
            return
        if request is None:  # still for long enough
            request, self._refine = replace(self._refine, moving=False), None
        done = self._answer(request)
        self._refine = request if request.moving or (not done and not request.patient) else None

    def _next(self, patience: float | None) -> tuple[DrawRequest | None, tuple | None]:
        """The next request, or a job, or (None, None) after `patience` seconds without either."""
        until = None if patience is None else time.perf_counter() + patience
        with self._condition:
            while not self._closed:
                now = time.perf_counter()
                wait = None if until is None else until - now
                request = self._request
                if self._jobs and now > self._job_done + JOB_SECONDS:
                    return None, self._jobs.popleft()
                if request is not None:
                    rest = 0.0
                    if self.training:
                        rest = (self._rest_until if request.patient else self._move_until) - now
                    if rest <= 0:
                        self._request = None
                        return request, None
                    wait = rest if wait is None else min(wait, rest)
                if until is None and self._jobs:
                    return None, self._jobs.popleft()
                if until is not None and now >= until:
                    return None, None
                self._condition.wait(wait)
        return None, None

    def _do(self, job: Callable[[], Any], future: Future) -> None:
        if future.set_running_or_notify_cancel():
            try:
                self._limit_threads()
                future.set_result(job())
            except BaseException as error:  # for whoever waits for it
                future.set_exception(error)
        self._job_done = time.perf_counter()

    def _answer(self, request: DrawRequest) -> bool:
        """Draw at one or more sizes; whether the full size was reached."""
        began = time.perf_counter()
        pace = self._paces.setdefault(self._kind(request), Pace())
        hurried = request.patient and self.training
        for scale in [pace.within(PATIENT_SECONDS)] if hurried else pace.sizes(request.moving):
            if self._newer() and not request.moving:
                return False
            start, known = time.perf_counter(), self._drawer.kept
            try:
                drawn = self._draw(request, scale)
            except Cancelled:
                return False
            except Exception as error:  # shown in the picture; the thread goes on
                full = request.camera
                drawn = Drawn(request, full, None, None, final=True, problem=f"{error}" or type(error).__name__)
            seconds = time.perf_counter() - start
            if self._drawer.kept is known:  # else it includes what a new snapshot needs once
                pace.measured(scale, seconds, TRAINING_BUDGET if self.training else BUDGET)
            self._publish(replace(drawn, seconds=seconds))
        if request.moving and self.training:
            self._move_until = time.perf_counter() + min(seconds, BUDGET)
        if request.patient:
            took = time.perf_counter() - began
            self._rest_until = time.perf_counter() + min(took * (1 / TRAINING_SHARE - 1), LONGEST_REST)
        return not request.moving or scale == 1.0

    def _kind(self, request: DrawRequest) -> str:
        snapshot = request.snapshot
        if snapshot is None:
            return "photo"
        what = "splats" if snapshot.shows_splats else "volume" if snapshot.mesh is None else "mesh"
        return f"{request.display} {what} {self._drawer.name}"

    def _publish(self, drawn: Drawn) -> None:
        with self._condition:
            self._result = drawn
            tell, self._told = not self._told, True
        if tell and not self._closed:
            self.drawn.emit()

    def _draw(self, request: DrawRequest, scale: float) -> Drawn:
        full = request.camera
        width, height = max(1, round(full.width * scale)), max(1, round(full.height * scale))
        camera = full if scale == 1.0 else full.resized(width, height)
        photo = None
        if request.photo is not None and (request.compare != "none" or request.snapshot is None):
            part = request.photo
            photo = self._photos.part(part.capture, part.frame, part.rectangle, width, height, request.exposure)
        drawn = Drawn(request, camera, None, None, final=scale == 1.0)
        if request.snapshot is not None:
            self._limit_threads()
            draft = request.moving and scale < 1.0
            image = self._drawer.image(request, camera, draft, lambda: self._newer() and not request.moving)
            drawn = replace(drawn, picture=qimage(image.rgba, (full.width, full.height)), image=image)
            if photo is not None:
                drawn = self._with_error(drawn, photo)
        if photo is not None:
            drawn = replace(drawn, photo=qimage(photo, (full.width, full.height)), photo_rgba=photo)
        return drawn

    def _with_error(self, drawn: Drawn, photo: np.ndarray) -> Drawn:
        request, render = drawn.request, drawn.image.rgba
        if request.snapshot.shows_splats and request.snapshot.splat_look.ignoring:
            photo = unignored(photo, render)
        if request.compare == "difference":
            error = difference(render, photo)
            return replace(drawn, error=qimage(error_colors(error, "difference")), error_values=error)
        if request.compare == "flip":
            last = self._result
            same = last is not None and last.request.compare == "flip" and last.request.photo == request.photo
            if same and last.error is not None:
                drawn = replace(drawn, error=last.error, error_values=last.error_values)  # until the new one comes
            if drawn.final:
                self._flip.submit(request, on_white(photo), on_white(render))
        return drawn

    def _add_error(self, request: DrawRequest, error: np.ndarray | None) -> None:
        """The child has measured what was drawn for `request`, or is gone."""
        found: dict[str, Any] = {"problem": "The visible error could not be measured; choose another comparison."}
        if error is not None:
            found = {"error": qimage(error_colors(error, "flip")), "error_values": error}
        with self._condition:
            drawn = self._result
            if drawn is None or drawn.request is not request:
                return
            self._result = replace(drawn, **found)
            tell, self._told = not self._told, True
        if tell and not self._closed:
            self.drawn.emit()

    def _limit_threads(self) -> None:
        """Leave the other cores to the steps: this thread's share of numba and torch is one thread each."""
        if self._limited:
            return
        load_engine()  # torch breaks when two threads import it at once
        import numba
        import torch

        from engine.kernels import settings  # noqa: F401  (chooses the threading layer before the first kernel)

        numba.set_num_threads(1)
        torch.set_num_threads(1)  # as the session does in its thread
        self._limited = True

    def warm_up(self) -> None:
        """Load what drawing needs before there is something to draw."""
        self._limit_threads()
        from engine.optimize.snapshot import SceneSnapshot
        from engine.scene import Camera, Mesh

        vertices = np.array([[-1, -1, 2], [1, -1, 2], [0, 1, 2]], np.float32)
        mesh = Mesh(vertices, np.array([[0, 1, 2]], np.int32))
        snapshot = SceneSnapshot("", 0, 0, mesh, np.full((3, 5), 0.5, np.float32))
        camera = Camera(np.eye(4), (8.0, 8.0), (4.0, 4.0), 8, 8)
        self._drawer.image(DrawRequest(snapshot, camera), camera, False, lambda: False)
