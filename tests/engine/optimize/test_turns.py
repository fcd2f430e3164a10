"""Threads take turns at kernels, the longest waiting first, and one thread may nest its turns."""

from __future__ import annotations

import threading

from engine.optimize.turns import FairLock


def test_turns_go_round_and_nest():
    lock, order, waiting = FairLock(), [], threading.Event()

    def view() -> None:
        waiting.set()
        with lock:
            order.append("view")

    thread = threading.Thread(target=view)
    with lock, lock:
        thread.start()
        waiting.wait(20)
        while lock._next < 2:  # until it stands in line
            pass
    with lock:  # at once, as steps do
        order.append("step")
    thread.join(20)
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
        thread.join(20)
    assert most == [1] and not lock._depth
