"""How well each photo is met, measured a few at a time in the view thread's quiet moments."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, QTimer, Signal

from app.window.viewport.view_model import ViewModel
from engine.errors import UnrenderError

IMAGE_SIZE = 200  # pixels, longest side; enough to rank photos
ROUND_MS = 400
TRAINING_SHARE = 0.02  # of the time while training runs; drawing new snapshots takes its own share
ROUND_SECONDS = 0.05  # a round ends with the photo that goes beyond
MOVED_SECONDS = 0.6  # after a picture of a moving view in which no photo is measured, which would hold the next one up
LONGEST_WAIT = 6.0  # seconds after which one is measured all the same


class PhotoScoring(QObject):
    """Goes round the photos for the newest snapshot and writes to the studio's scores."""

    measured = Signal(object, object)  # the capture; dB, version and step of the snapshot by frame

    def __init__(self, model: ViewModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self._turn = 0  # the next photo to look at
        self._dated: dict[int, int] = {}  # version of the snapshot that a frame was measured with
        self._steps: dict[int, int] = {}  # and its step
        self._rest_until = self._measured_at = 0.0
        self._busy = False
        self._rounds = 0
        self._tested: tuple | None = None  # snapshot, dB by test photo: all test photos are measured with the same one
        self._scorer = None  # touched by the view thread only
        self._timer = QTimer(self, interval=ROUND_MS)
        self._timer.timeout.connect(self._offer)
        self.measured.connect(self._take)
        model.studio.snapshot_changed.connect(self._begin)
        model.studio.capture_changed.connect(lambda _: self._start_over())
        self._begin(model.studio.snapshot)

    def _begin(self, snapshot) -> None:
        if snapshot is None:
            self._forget()
        elif self.model.studio.capture is not None and not self._timer.isActive():
            self._timer.start()

    def _start_over(self) -> None:
        self._forget()
        self._begin(self.model.studio.snapshot)

    def _forget(self) -> None:
        """Keep neither photos nor snapshots of what was open before."""
        self._dated, self._steps, self._turn, self._tested = {}, {}, 0, None
        self._timer.stop()
        self.model.thread.run(self._forget_scorer)

    def _forget_scorer(self) -> None:
        self._scorer = None

    def _offer(self) -> None:
        studio = self.model.studio
        snapshot, capture = studio.snapshot, studio.capture
        if self._busy or snapshot is None or capture is None or time.perf_counter() < self._rest_until:
            return
        if self._is_moving() and time.perf_counter() < self._measured_at + LONGEST_WAIT:
            return
        begun, done = self._tested or (snapshot, {})
        if begun is not snapshot and len(done) == len(capture.test):
            begun, done = snapshot, {}
        self._tested = begun, done
        left = [frame for frame in capture.test if frame not in done]
        count = len(capture.frames)
        order = [(self._turn + i) % count for i in range(count)]
        if self.model.frame is not None:
            order.insert(0, self.model.frame)  # what is looked through comes first
        stale = [frame for frame in order if self._dated.get(frame) != snapshot.version]
        if not stale and not left:
            self._timer.stop()
            return
        self._busy, self._rounds = True, self._rounds + 1
        training = studio.state == "running"
        if left and (self._rounds % (4 if training else 2) or not stale):  # the curve of test photos comes first
            snapshot, stale = begun, left
        self.model.thread.run(lambda: self._measure(snapshot, capture, stale, training))

    def _is_moving(self) -> bool:
        drawn = self.model.drawn
        return drawn is not None and drawn.request.moving and time.perf_counter() < drawn.request.asked + MOVED_SECONDS

    def _measure(self, snapshot, capture, frames: list[int], training: bool) -> None:
        """On the view thread: as many photos as fit a round."""
        from engine.optimize.scores import PhotoScores

        began, scores = time.perf_counter(), {}
        if self._scorer is None or self._scorer[0] is not snapshot:
            self._scorer = (snapshot, PhotoScores(snapshot, capture, IMAGE_SIZE))
        for frame in frames:
            try:
                scores[frame] = self._scorer[1].psnr(frame)
            except UnrenderError:  # the photo is gone; whoever needs it says so
                scores[frame] = float("nan")
            if time.perf_counter() - began > ROUND_SECONDS or self.model.thread.wanted:
                break
        took = time.perf_counter() - began
        self._rest_until = time.perf_counter() + (took * (1 / TRAINING_SHARE - 1) if training else 0.0)
        which = snapshot.version, snapshot.total_step
        self.measured.emit(capture, {frame: (score, *which) for frame, score in scores.items()})

    def _take(self, capture, measured: dict) -> None:
        self._busy, self._measured_at = False, time.perf_counter()
        studio = self.model.studio
        if capture is not studio.capture or self._tested is None:  # of photos or a run that are closed
            return
        begun, done = self._tested
        whole = len(done) == len(capture.test)
        for frame, (score, version, _) in measured.items():
            if version == begun.version and frame in capture.test:
                done[frame] = score
        fresh = {f: found for f, found in measured.items() if found[1] >= self._dated.get(f, found[1])}
        self._dated |= {frame: version for frame, (_, version, _) in fresh.items()}
        self._steps |= {frame: step for frame, (_, _, step) in fresh.items()}
        self._turn = max(measured, default=self._turn - 1) + 1
        studio.set_scores(studio.scores | {frame: score for frame, (score, _, _) in fresh.items()}, self._steps)
        if done and not whole and len(done) == len(capture.test):
            studio.test_measured.emit(begun.total_step, sum(done.values()) / len(done))
