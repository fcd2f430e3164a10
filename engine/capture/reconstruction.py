"""Photos to poses: a folder of photographs or a video becomes a capture beside it, by COLMAP in a child process.

The capture of `photos/` or `walk.mp4` is `photos-posed/` or `walk-posed/`: `images/` undistorted to pinholes,
`sparse/0` with the points, and `poses.json`, which says what it was made from. Nothing that exists is ever replaced:
other photos under the same name get `photos-posed-2/`.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.capture.bad_frames import described
from engine.capture.entry import FrameProblem
from engine.capture.photos import (
    JPEG_QUALITY,
    Photo,
    free_names,
    photo_source,
    read_photos,
    require_enough,
    source_digest,
    write_photo,
)
from engine.capture.posed_folders import candidates, named_after, placed, remove_abandoned, unfinished
from engine.errors import Cancelled, CaptureError

CHILD = Path(__file__).with_name("reconstruction_child.py")
RECORD = "poses.json"
VERSION = 1
POLL_SECONDS = 0.05
COUNT_SECONDS = 0.5  # between two looks into COLMAP's database
LISTED = 3  # photos without a pose that a note names for each reason
# stage of the work: (share of the time at its begin, at its end, words)
STAGES = {
    "photos": (0.0, 0.05, "reading photo {done} of {total}"),
    "video": (0.0, 0.05, "{text}"),
    "features": (0.05, 0.45, "finding details in photo {done} of {total}"),
    "match": (0.45, 0.8, "comparing photos, pair {done} of {total}"),
    "map": (0.8, 0.98, "placing photo {done} of {total}"),
    "undistort": (0.98, 1.0, "straightening the photos"),
}

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class PoseReport:
    """What came of finding the poses of one set of photos."""

    photos: int  # files, unreadable ones included
    registered: int
    reprojection: float  # mean reprojection error, px of the photos
    points: int
    failed: list[tuple[str, str]] = field(default_factory=list)  # (photo, why it has no pose)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """The report for a person to read."""
        out = [
            f"Poses: {self.registered} of {self.photos} photos, reprojection error {self.reprojection:.2f} px, "
            f"{self.points:,} points, {self.seconds:.0f} s"
        ]
        out += [f"Note: {text}" for text in self.notes]
        return out + [f"Without a pose: {name}: {reason}" for name, reason in self.failed]


@dataclass(frozen=True)
class Posed:
    """A capture made from photos, and whether an earlier run had made it."""

    folder: Path
    report: PoseReport
    was_there: bool


def posed_path(path: Path | str, keep_pixels: bool = False) -> Posed | None:
    """The capture that was made from the photos at `path` as they are now; None where there is none."""
    source = photo_source(Path(path))
    if source is None:
        return None
    digest = source_digest(source)
    for folder in candidates(named_after(Path(path))):
        if not folder.exists():
            return None
        report = _recorded(folder, digest, keep_pixels)
        if report is not None:
            return Posed(folder, report, True)
    return None


def find_poses(
    path: Path | str,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    keep_pixels: bool = False,
) -> Posed:
    """The capture made from the bare photos or video at `path`, made now unless it is there already.

    With `keep_pixels` the images stay as the photos are, lens distortion and alpha included, so that masks drawn on
    the photos fit; captures undo the distortion when they are read. It is always so where all photos have alpha.
    The same photos give the same poses and points. `progress(done 0 to 1, text)`.
    Raises CaptureError when there are too few photos or they do not overlap, and Cancelled once `cancelled` is true.
    """
    path = Path(path)
    source = photo_source(path)
    if source is None:
        raise CaptureError(f"{path}: is no folder of photos and no video without poses; name the folder of the photos")
    there = posed_path(path, keep_pixels)
    if there is not None:
        return there
    started, digest = time.monotonic(), source_digest(source)
    work = _Work(source, progress, cancelled)
    target = named_after(path)
    temporary = unfinished(target)
    remove_abandoned(target)
    try:
        temporary.mkdir(parents=True)
        report = work.run(temporary, keep_pixels)
        report = PoseReport(**{**asdict(report), "seconds": round(time.monotonic() - started, 1)})
        out = temporary / "capture"
        record = {"version": VERSION, "source": digest, "keep_pixels": keep_pixels, "report": asdict(report)}
        (out / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        return Posed(placed(out, target), report, False)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CaptureError(
            f"{target}: the posed photos cannot be written ({reason}); make the folder writable or free some space"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def recorded_notes(folder: Path) -> list[str]:
    """What the record in a posed capture's `folder` says of photos without a pose; empty where there is none."""
    report = _recorded(folder, None, None)
    if report is None:
        return []
    notes = list(report.notes)
    if report.failed:
        reasons = "; ".join(described(report.failed, report.photos, LISTED))
        notes.append(f"{len(report.failed)} of {report.photos} photos have no pose: {reasons}")
    return notes


def _recorded(folder: Path, digest: str | None, keep_pixels: bool | None) -> PoseReport | None:
    """The report in `folder`, if it was made from photos of that digest; None asks for no particular ones."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        same = digest is None or (record["source"] == digest and (record["keep_pixels"] or not keep_pixels))
        if record["version"] != VERSION or not same:
            return None
        if not (folder / "sparse" / "0" / "images.bin").is_file() or not (folder / "images").is_dir():
            return None
        report = PoseReport(**record["report"])
        return PoseReport(**{**asdict(report), "failed": [(str(name), str(why)) for name, why in report.failed]})
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Work:
    """One reconstruction, with what tells of it and ends it."""

    def __init__(self, source: Path, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self.source, self.progress, self.cancelled = source, progress, cancelled
        self.counted: dict = {}  # the stage whose progress is the number of rows in a table
        self.looked = 0.0

    def check(self) -> None:
        """Raise Cancelled when the user asked to stop."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled(f"{self.source}: finding the camera poses was cancelled; nothing was written")

    def tell(self, stage: str, done: float, total: float, text: str = "") -> None:
        """Say how far a stage is."""
        if self.progress is not None and stage in STAGES:
            begin, end, words = STAGES[stage]
            share = min(done / total, 1.0) if total > 0 else 0.0
            self.progress(begin + share * (end - begin), words.format(done=done, total=total, text=text))

    def run(self, folder: Path, keep_pixels: bool) -> PoseReport:
        """Leave the finished capture in `folder`/capture."""
        images, work, out = (folder / name for name in ("photos", "work", "capture"))
        for made in (images, work, out):
            made.mkdir()
        notes: list[str] = []
        source = self.source
        if source.is_file():
            from engine.capture.video import write_frames

            taken = work / "frames"
            taken.mkdir()
            frames = write_frames(source, taken, lambda done, text: self.tell("video", done, 1.0, text), self.check)
            notes += [frames.warning] if frames.warning else []
            notes.append(f"{len(frames.names)} of {frames.frames} video frames are used, the sharpest ones")
            source = taken
        photos, bad = read_photos(source)
        total = len(photos) + len(bad)
        keep_pixels = keep_pixels or (bool(photos) and all(photo.has_alpha for photo in photos))
        names, later = self._written(photos, images, link=not keep_pixels)
        bad = sorted(bad + later)
        require_enough(self.source, len(names), bad)
        turned = sum(photo.turn != 1 for photo in photos)
        if turned:
            notes.append(f"{turned} photo{'s' * (turned != 1)} turned as EXIF asks")
        result = self._child(names, images, work, out, keep_pixels)
        by_name = {name: photo.path.name for name, photo in names.items()}
        missing = [name for name in names if name not in set(result["registered"])]
        failed = bad + [(by_name[name], _why(name, result)) for name in missing]
        if not result["registered"]:
            raise CaptureError(f"{self.source}: no camera poses can be found: {_advice(names, result)}")
        if keep_pixels:
            (out / "images").mkdir()
            for name in result["registered"]:
                os.replace(images / name, out / "images" / name)
        if len(result["registered"]) < 0.5 * len(names):
            notes.append(
                "fewer than half of the photos hang together; the rest shows other places or too little in common"
            )
        return PoseReport(
            total, len(result["registered"]), float(result["reprojection"]), int(result["points"]), failed, notes
        )

    def _written(self, photos: list[Photo], folder: Path, link: bool) -> tuple[dict[str, Photo], list[tuple[str, str]]]:
        """({name in `folder`: photo}, (photo, reason) of those that cannot be decoded)."""
        written, bad = {}, []
        named = free_names(photos)

        def write(index: int) -> str:
            self.check()
            try:
                write_photo(photos[index], folder / named[index], link)
            except FrameProblem as problem:
                return str(problem)
            return ""

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for index, reason in enumerate(pool.map(write, range(len(photos)))):
                if reason:
                    bad.append((photos[index].path.name, reason))
                else:
                    written[named[index]] = photos[index]
                self.tell("photos", index + 1, len(photos))
        return written, bad

    def _child(self, names: dict[str, Photo], images: Path, work: Path, out: Path, keep_pixels: bool) -> dict:
        """What COLMAP found, see `reconstruction_child.py`."""
        groups: dict[str, list[str]] = {}
        for name, photo in names.items():
            groups.setdefault(photo.camera, []).append(name)
        longest = {key: max(names[listed[0]].width, names[listed[0]].height) for key, listed in groups.items()}
        job = {
            "images": str(images),
            "work": str(work),
            "out": str(out),
            "groups": [{"names": listed, "longest": longest[key]} for key, listed in groups.items()],
            "video": self.source.is_file(),
            "undistort": not keep_pixels,
            "jpeg_quality": JPEG_QUALITY,
        }
        given, said, result = work / "job.json", work / "log.txt", work / "result.json"
        given.write_text(json.dumps(job), encoding="utf-8")
        heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        with said.open("wb") as log:
            command = [sys.executable, "-P", str(CHILD), str(given)]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
            reader = threading.Thread(target=lambda: [heard.put(line) for line in child.stdout], daemon=True)
            reader.start()
            try:
                while child.poll() is None:
                    self.check()
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_SECONDS)
                    self._hear(heard)
                    self._count(work / "database.db")
                reader.join(5)
                self._hear(heard)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
                child.stdin.close()
                reader.join(5)
                child.stdout.close()
        if child.returncode != 0 or not result.exists():
            lines = said.read_text(errors="replace").strip().splitlines()
            serious = [line for line in lines if line[:2] in ("E2", "F2") or "Error" in line or "terminate" in line]
            last = ([*lines, *serious] or ["it said nothing"])[-1]
            raise CaptureError(
                f"{self.source}: COLMAP failed with exit code {child.returncode} ({last[-200:]}); "
                "try fewer or smaller photos, or leave out unusual ones"
            )
        return json.loads(result.read_text(encoding="utf-8"))

    def _hear(self, heard: queue.SimpleQueue) -> None:
        line = None
        with suppress(queue.Empty):
            while True:
                line = heard.get_nowait()
        if line is not None:  # only the newest counts
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                self.counted = told if "rows" in told else {}
                self.tell(told["stage"], told.get("done", 0), told["total"])

    def _count(self, database: Path) -> None:
        """Say how far a stage is by the rows that it has written."""
        if not self.counted or time.monotonic() - self.looked < COUNT_SECONDS:
            return
        self.looked = time.monotonic()
        with suppress(sqlite3.Error):  # busy, or not there yet
            connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=0.05)
            with closing(connection) as reader:
                (done,) = reader.execute(f"SELECT COUNT(*) FROM {self.counted['rows']}").fetchone()
            self.tell(self.counted["stage"], done, self.counted["total"])


def _why(name: str, result: dict) -> str:
    """Why the photo `name` was not placed."""
    if result["features"].get(name, 0) < result["few"]:
        return "has too few details (blurred, dark or plain); take it again with more light or more structure"
    if result["partners"].get(name, 0) == 0:
        return "shows nothing that another photo shows; take photos in between"
    return "has too little in common with the others; take photos in between"


def _advice(names: dict[str, Photo], result: dict) -> str:
    plain = sum(result["features"].get(name, 0) < result["few"] for name in names)
    alone = sum(result["partners"].get(name, 0) == 0 for name in names) - plain
    if plain > len(names) / 2:
        return (
            f"{plain} of {len(names)} photos have too few details (blurred, dark or plain); take sharp, bright photos "
            "of things with structure"
        )
    if alone > len(names) / 2:
        return (
            f"{alone} of {len(names)} photos show nothing that another one shows; take photos so that each shows "
            "most of what the one before shows"
        )
    return (
        "the photos overlap but not enough, or were all taken from one place; walk around, and take photos so that "
        "each shows most of what the one before shows"
    )
