"""Figures of the studio window, each measured in processes of its own: `python tests/benchmarks/window_figures.py`.

    start     seconds from the command to the window on the screen
    preview   seconds from Run on the sample capture to the first picture of it
    latency   milliseconds from a mouse move to the picture that shows it, while the sample trains, at 1280x800,
              in stage volume; latency_shape: in stage shape
    console   seconds until an endless loop in the console is interrupted, and how long the window stood still
    share     steps per second of a run in the window over those of a headless one

Name some to measure only those. Works on any platform that Qt has, `QT_QPA_PLATFORM=offscreen` (the default) included.
`share` starts `unrender run` and a window on the same recipe and lets them run in turn, a few seconds each, the other
one stopped, so that other work on the machine and the course of the training fall on both alike. With `--ahead` (needs
root) what is measured goes before the machine's other work, which comes close to quiet cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt looks for a display
sys.path.insert(0, str(ROOT))

SIZE = (1280, 800)
SHAPE_AT_ONCE = {"volume.steps": 0, "shape.steps": 4000}  # so that every step measured is one of stage `shape`
SLICE_SECONDS = 6.0


def go_ahead() -> None:
    """Put this process before all others, as far as `--ahead` says; its engine thread keeps its place below it."""
    if first := int(os.environ.get("UNRENDER_FIGURES_NICE", "0")):
        set_priority = os.setpriority
        set_priority(os.PRIO_PROCESS, 0, first)
        os.setpriority = lambda kind, who, value: set_priority(kind, who, value + first)
        with contextlib.suppress(OSError):  # where the system weighs sessions before processes
            Path("/proc/self/autogroup").write_text("-20")


def serve(milliseconds: int) -> None:
    """Serve the event loop; QTest.qWait would keep the interpreter to itself meanwhile, and hold the training up."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Serve the event loop until `condition` holds. Raises TimeoutError."""
    until = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > until:
            raise TimeoutError(f"waited {seconds:g} s")
        serve(10)


class Opened:
    """A window of 1280x800 with the sample capture open, its settings and projects in a folder of its own."""

    def __init__(self, folder: Path, values: dict[str, object] | None = None) -> None:
        from PySide6.QtCore import QSettings
        from PySide6.QtWidgets import QApplication

        from app.window.garbage import GuiGarbage
        from app.window.main_window import MainWindow
        from app.window.studio import Studio
        from engine.optimize.options import set_option

        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        settings = QSettings(str(folder / "settings.ini"), QSettings.Format.IniFormat)
        settings.setValue("projects/folder", str(folder / "projects"))
        self.garbage, self.studio = GuiGarbage(), Studio(settings)
        for key, value in (values or {}).items():
            set_option(self.studio.recipe, key, value)
        self.window = MainWindow(self.studio)
        self.window.resize(*SIZE)
        self.window.show()
        self.studio.failed.connect(lambda sentence, details: print(sentence, details, file=sys.stderr))
        self.studio.open_sample()
        self.studio.warm_up()
        wait_until(lambda: self.window.is_ready and self.studio.state == "ready")

    @property
    def canvas(self):
        """What the pictures are painted on."""
        return self.window.workspace.viewport.canvas

    def run(self) -> None:
        """Press Run on the start page."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QPushButton

        QTest.mouseClick(self.window.start_page.findChild(QPushButton, "start_run"), Qt.MouseButton.LeftButton)

    def close(self) -> None:
        """Close without saving."""
        self.studio.close()
        self.window.close_without_asking()
        self.garbage.stop()


# ---- what the children measure


def child_start(folder: Path) -> None:
    """Say when the window of `unrender` has been shown and painted; its settings are those of a first start."""
    from PySide6.QtCore import QTimer

    import app.__main__
    import app.window.application as application

    def shown(_studio, _target) -> None:
        QTimer.singleShot(0, lambda: (print(f"shown {time.process_time()}", flush=True), os._exit(0)))

    application.after_showing = shown
    app.__main__.main(["gui"])


def child_preview(folder: Path) -> dict[str, float]:
    """Run, once everything is loaded, and a second time in the same window."""
    opened = Opened(folder)
    done: list[bool] = []  # loading what a run needs
    opened.studio.engine.call(lambda: done.append(True))
    wait_until(lambda: bool(done))
    model = opened.canvas.model
    seconds = []
    for _ in range(2):
        since = time.perf_counter()
        opened.studio.run() if seconds else opened.run()
        wait_until(lambda: model.drawn is not None and model.drawn.image is not None)
        seconds.append(time.perf_counter() - since)
        if len(seconds) == 1:
            opened.studio.new_run()
            wait_until(lambda: opened.studio.state == "ready" and opened.studio.snapshot is None)
            model.drawn = None
    opened.close()
    return {"first": seconds[0], "again": seconds[1]}


def child_latency(folder: Path, stage: str = "volume", seconds: float = 25.0) -> dict[str, float]:
    """Drag at 30 moves a second; a move is answered by the first painted picture that was asked for later."""
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    opened = Opened(folder, SHAPE_AT_ONCE if stage == "shape" else {})
    opened.run()
    wait_until(lambda: opened.studio.snapshot is not None and opened.studio.snapshot.stage == stage)
    canvas, waiting, found, steps = opened.canvas, [], [], []
    painted = canvas._paint_all

    def paint(painter) -> None:
        painted(painter)
        now = time.perf_counter()
        asked = canvas.model.drawn.request.asked if canvas.model.drawn is not None else 0.0
        while waiting and waiting[0] <= asked:
            found.append(now - waiting.pop(0))

    canvas._paint_all = paint
    begun = time.perf_counter()
    opened.studio.steps_reported.connect(steps.extend)
    middle = canvas.rect().center()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    for number in range(round(30 * seconds)):
        serve(33)
        waiting.append(time.perf_counter())
        QTest.mouseMove(canvas, middle + QPoint(5 * (number % 40), 3 * (number % 25)))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle)
    figures, rate = sorted(1000 * value for value in found), len(steps) / (time.perf_counter() - begun)
    opened.close()
    ninety = figures[int(0.9 * len(figures))]
    return {"median_ms": statistics.median(figures), "90_percent_ms": ninety, "steps_per_s": rate}


def child_console(folder: Path) -> dict[str, float]:
    """Type an endless loop while the sample trains, let it run for two seconds, press Interrupt."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QPushButton

    from tests.app.window.watchdog import Watchdog

    opened = Opened(folder)
    opened.run()
    wait_until(lambda: opened.studio.snapshot is not None)
    opened.window.docks.docks["console"].raise_()
    panel = opened.window.docks.panel("console")
    wait_until(lambda: panel.console is not None and "In [1]" in panel.console._control.toPlainText())
    field = panel.console._control
    found: dict[str, float] = {}

    dog = Watchdog()
    QTest.keyClicks(field, "while True: pass")
    QTest.keyClick(field, Qt.Key.Key_Return)
    serve(500)
    if not panel._host.busy:  # a block waits for an empty line
        QTest.keyClick(field, Qt.Key.Key_Return)
    serve(2000)
    if not panel._host.busy:
        raise RuntimeError(f"the loop does not run: {field.toPlainText()}")
    since = time.perf_counter()
    QTest.mouseClick(panel.findChild(QPushButton, "console_interrupt"), Qt.MouseButton.LeftButton)
    wait_until(lambda: not panel._host.busy and "Interrupted" in field.toPlainText())
    found["interrupted_s"] = time.perf_counter() - since
    found["longest_hold_ms"] = 1000 * dog.worst
    dog.stop()
    opened.close()
    return found


def count_steps(file: Path) -> None:
    """Have every session of this process write its step into the first eight bytes of `file`, and its stage's name."""
    from engine.optimize.session import Session

    handle = open(file, "r+b")  # noqa: SIM115 - for the life of the process
    memory, advance = mmap.mmap(handle.fileno(), 64), Session._advance

    def counted(session, *arguments, **named):
        result = advance(session, *arguments, **named)
        memory[:48] = struct.pack("q40s", session.total_step, session.stage_name.encode())
        return result

    Session._advance = counted


def child_headless(folder: Path) -> None:
    """`unrender run` on the sample."""
    import app.__main__
    import assets
    from app.window.engine_thread import NICENESS

    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)  # as the window's engine thread: other programs press both alike
    count_steps(folder / "steps")
    flags = [f"--set={key}={value}" for key, value in SHAPE_AT_ONCE.items()]
    app.__main__.main(["run", str(assets.sample_capture()), "--recipe", "object", "--out", str(folder / "run"), *flags])


def child_window(folder: Path) -> None:
    """The same in the window, which nobody touches."""
    opened = Opened(folder, SHAPE_AT_ONCE)
    count_steps(folder / "steps")
    opened.run()
    opened.app.exec()  # until it is killed


# ---- what the parent measures


def answers(name: str, times: int) -> list[dict[str, float]]:
    """What a child measured, so many times."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="unrender_figures_", ignore_cleanup_errors=True) as folder:
            command = [sys.executable, __file__, "--child", name, folder]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=ROOT, timeout=900, start_new_session=True
            )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        found.append(json.loads(lines[-1]))
        print(f"  {name}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure."""
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def start(times: int) -> dict[str, float]:
    """Seconds from starting the process to the first painting of its window."""
    seconds, busy = [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="unrender_figures_") as home:
            env = os.environ | {"HOME": home, "XDG_CONFIG_HOME": home}
            since = time.perf_counter()
            command = [sys.executable, __file__, "--child", "start", home]
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env, start_new_session=True
            )
            busy.append(float(child.stdout.readline().split()[1]))
            seconds.append(time.perf_counter() - since)
            child.wait(60)
    return {"median_s": statistics.median(seconds), "least_s": min(seconds), "processor_s": statistics.median(busy)}


def share(pairs: int) -> dict[str, float]:
    """Steps per second in the window over those without, from slices in turn."""
    folder = Path(tempfile.mkdtemp(prefix="unrender_figures_"))
    children: dict[str, subprocess.Popen] = {}
    steps: dict[str, Path] = {}
    rates: dict[str, list[float]] = {"headless": [], "window": []}

    def state(name: str) -> tuple[int, str]:
        number, stage = struct.unpack("q40s", steps[name].read_bytes()[:48])
        return number, stage.rstrip(b"\0").decode()

    try:
        for name in rates:
            (folder / name).mkdir()
            steps[name] = folder / name / "steps"
            steps[name].write_bytes(bytes(64))
            command = [sys.executable, __file__, "--child", name, str(folder / name)]
            children[name] = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
            )
            until = time.monotonic() + 300
            first = None
            while first is None or state(name)[0] < first + 20:  # past the first steps, which compile and load
                if state(name)[1] == "shape" and first is None:
                    first = state(name)[0]
                if time.monotonic() > until or children[name].poll() is not None:
                    raise RuntimeError(f"{name} did not reach stage shape")
                time.sleep(0.2)
            os.killpg(children[name].pid, signal.SIGSTOP)
        for pair in range(pairs):
            for name in list(rates) if pair % 2 else list(rates)[::-1]:
                os.killpg(children[name].pid, signal.SIGCONT)
                time.sleep(0.7)
                since, before = time.perf_counter(), state(name)[0]
                time.sleep(SLICE_SECONDS)
                rates[name].append((state(name)[0] - before) / (time.perf_counter() - since))
                os.killpg(children[name].pid, signal.SIGSTOP)
            print(f"  share: {rates['headless'][-1]:.2f} {rates['window'][-1]:.2f}", file=sys.stderr, flush=True)
    finally:
        for child in children.values():
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
    ratios = [window / max(headless, 1e-9) for window, headless in zip(rates["window"], rates["headless"], strict=True)]
    return {
        "headless_steps_per_second": statistics.median(rates["headless"]),
        "window_steps_per_second": statistics.median(rates["window"]),
        "lost_percent": 100 * (1 - statistics.median(ratios)),
        "lost_percent_of_sums": 100 * (1 - sum(rates["window"]) / max(sum(rates["headless"]), 1e-9)),
    }


PARTS: dict[str, Callable[[int], dict[str, float]]] = {
    "start": lambda times: start(3 * times),
    "preview": lambda times: medians(answers("preview", times)),
    "latency": lambda times: medians(answers("latency", times)),
    "latency_shape": lambda times: medians(answers("latency_shape", times)),
    "console": lambda times: medians(answers("console", times)),
    "share": lambda times: share(4 * times),
}
CHILDREN = {
    "start": child_start,
    "preview": child_preview,
    "latency": child_latency,
    "latency_shape": lambda folder: child_latency(folder, "shape"),
    "console": child_console,
    "headless": child_headless,
    "window": child_window,
}


def main() -> int:
    """Measure what was named and print it as JSON, with the load before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all unless given")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured; the median is printed")
    parser.add_argument("--ahead", action="store_true", help="before the machine's other work; needs root")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ahead:
        os.environ["UNRENDER_FIGURES_NICE"] = "-15"
    if options.child:
        go_ahead()
        found = CHILDREN[options.child[0]](Path(options.child[1]))
        print(json.dumps(found), flush=True)
        os._exit(0)
    results = {}
    for name in options.parts or PARTS:
        before = os.getloadavg()[0]
        results[name] = PARTS[name](options.times) | {"load": f"{before:.1f} to {os.getloadavg()[0]:.1f}"}
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
