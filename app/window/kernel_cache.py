"""Compiled kernels, made by a child process once per version, since compiling holds the interpreter and the window."""

from __future__ import annotations

import hashlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

POLL_SECONDS = 0.2
TEXT = "compiling the kernels, once after each update"
ROOT = Path(__file__).resolve().parents[2]


def marker() -> Path:
    """The file that says that the kernels of exactly these sources have been compiled."""
    from engine.kernels.settings import cache_root

    digest = hashlib.sha256(metadata.version("numba").encode())
    for path in sorted((ROOT / "engine").rglob("*.py")):
        text = path.read_bytes()
        if b"kernels.settings import" in text or path.parent.name == "kernels":
            digest.update(text)
    return cache_root() / f"filled-{digest.hexdigest()[:16]}"


def fill(progress: Callable[[float, str], None]) -> bool:
    """Have a child process compile what is missing; whether there was nothing to do or it went well.

    `progress(done, text)` is told at once and every fifth of a second; what it raises ends the child.
    """
    done = marker()
    if done.exists():
        return True
    progress(0.0, TEXT)
    command = [sys.executable, "-m", "app.window.kernel_run"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in child.stdout], daemon=True)
    reader.start()
    share = 0.0
    try:
        while child.poll() is None:
            try:
                share = float(lines.get(timeout=POLL_SECONDS))
            except (queue.Empty, ValueError):
                pass
            progress(share, TEXT)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        reader.join()
        child.stdout.close()
    if child.returncode != 0:
        return False
    try:
        done.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        done.touch()
    except OSError:  # a read-only home: the session compiles for itself
        return False
    return True
