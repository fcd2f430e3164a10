"""Threads take turns at kernels, the longest waiting first, and one thread may nest its turns."""

from __future__ import annotations

import threading
import time

from engine.optimize.turns import FairLock

WAIT = 120  # seconds, only when something is broken


def test_turns_go_round_and_nest():
    lock, order, waiting = FairLock(), [], threading.Event()

    def view() -> None:
        waiting.set()
        with lock:
            order.append("view")

    thread = threading.Thread(target=view)
    with lock, lock:
        thread.start()
        assert waiting.wait(WAIT)
        end = time.monotonic() + WAIT
        while lock._next < 2 and time.monotonic() < end:  # until it stands in line
            time.sleep(0.001)
    with lock:  # at once, as steps do
        order.append("step")
    thread.join(WAIT)
    assert order == ["view", "step"]


def test_only_one_thread_is_inside():
    lock, inside, most = FairLock(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert most == [1] and not lock._depth
