"""Kernels compiled ahead: what a list names gets stored, whatever else it says, and children end with their caller."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numba import float64, types

from engine.kernels import ahead
from engine.kernels.ahead import LISTS, CompilingAhead, entries, marker
from engine.kernels.compiling import COMPILER, Locks, read_signature
from engine.kernels.settings import parallel_kernel

NUMBER = itertools.count()
SUITE = Path(__file__).resolve().parents[2] / "ahead.json"  # of conftest.py
SECONDS = 60.0  # enough for any machine
SOURCE = """
import numba
from engine.kernels.settings import kernel, parallel_kernel

@kernel
def one_more(value):
    return value + 1

@parallel_kernel
def double(values):
    for i in numba.prange(len(values)):
        values[i] *= 2

@parallel_kernel
def increase(values):
    for i in numba.prange(len(values)):
        values[i] = one_more(values[i])

@parallel_kernel
def wrong(values):
    return values.nothing_like_that
"""
ARRAY = types.Array(float64, 1, "C")
SIGNATURE = repr((ARRAY,))
CALLER = """
import importlib, sys
from pathlib import Path
from engine.kernels.compiling import COMPILER
COMPILER.ahead.lists = [Path(sys.argv[2])]
COMPILER.ahead.start(Path(sys.argv[1]), sys.argv[3], "double")
print("started", flush=True)
sys.stdin.read()
"""
HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def wait_for(condition) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def running(words: str) -> bool:
    """Whether a process compiles ahead that was started with these words, not counted one that has ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
    return any("engine.kernels.ahead" in command and words in command for command in found)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of kernels with an empty cache, and a list that names `increase`, and much that cannot be compiled."""
    name = f"kernels_to_compile_ahead_{next(NUMBER)}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / "cache" / "unrender" / "numba").mkdir(parents=True)
    monkeypatch.setenv("UNRENDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [("no.such.module", "double"), (name, "no_such_kernel"), (name, "numba"), (name, "wrong")]
    listed = [[*kernel, SIGNATURE] for kernel in (*names, (name, "increase"), (name, "double"))]
    listed.insert(4, [name, "increase", "NoSuchType()"])
    (tmp_path / "list.json").write_text(json.dumps([["short"], *listed]))
    monkeypatch.setattr(COMPILER, "ahead", CompilingAhead())
    COMPILER.ahead.lists, COMPILER.ahead.count = [tmp_path / "list.json"], 2
    COMPILER.stop()  # the next one sees this environment
    yield importlib.import_module(name)
    COMPILER.close()


def root_of(kernel) -> Path:
    return Path(kernel._cache.cache_path).parent


def holds(kernel) -> bool:
    return kernel._cache.holds((ARRAY,), kernel.targetctx)


@pytest.mark.slow
def test_what_is_listed_gets_compiled_while_something_else_is_asked_for(module, tmp_path):
    done = marker(root_of(module.double), tmp_path / "list.json")
    module.double(np.arange(5.0))
    wait_for(lambda: holds(module.increase) and done.exists())
    COMPILER.stop()  # and would be seen to be started again
    values = np.arange(5.0)
    module.increase(values)
    assert values.tolist() == [1, 2, 3, 4, 5] and not module.increase.stats.cache_misses and COMPILER._child is None
    again = CompilingAhead()
    again.lists, again.count = COMPILER.ahead.lists, 2
    again.start(root_of(module.double), module.__name__, "double")
    assert not again._children  # the list has been gone through


def test_on_one_core_nothing_is_compiled_ahead(module, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    monkeypatch.delenv("UNRENDER_COMPILE_AHEAD", raising=False)
    alone = CompilingAhead()
    alone.lists = COMPILER.ahead.lists
    alone.start(root_of(module.double), module.__name__, "double")
    assert not alone._children
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    assert CompilingAhead().count == ahead.CHILDREN


def test_a_recording_names_what_was_asked_for_and_compiles_nothing_ahead(module, tmp_path, monkeypatch):
    monkeypatch.setattr(COMPILER, "_record", str(tmp_path / "asked"))
    COMPILER.ahead.count = 0
    monkeypatch.setattr(COMPILER, "_ask", lambda request: False)  # it is compiled here then, which is quicker
    module.double(np.arange(5.0))
    (line,) = (tmp_path / "asked").read_text().splitlines()
    assert json.loads(line) == [module.__name__, "double", SIGNATURE]
    monkeypatch.setenv("UNRENDER_RECORD_KERNELS", str(tmp_path / "asked"))
    assert CompilingAhead().count == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.slow
def test_killing_the_caller_ends_the_children_and_leaves_nothing_half_written(module, tmp_path):
    root = root_of(module.double)
    command = [sys.executable, "-c", CALLER, str(root), str(tmp_path / "list.json"), module.__name__]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ahead.ENGINE.parent), *sys.path]))}
    environment["UNRENDER_COMPILE_AHEAD"] = "2"
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout.readline() == "started\n"
        wait_for(lambda: running(str(tmp_path)))  # for a moment of its start a process has no command line
        wait_for(lambda: any(root.glob("*/*.lock")))
        caller.kill()
    wait_for(lambda: not running(str(tmp_path)))
    assert not list(root.rglob("*.tmp*"))


@pytest.mark.slow
def test_a_kernel_is_one_process_at_a_time_and_free_when_that_one_dies(tmp_path):
    path = str(tmp_path / "kernel.lock")
    command = [sys.executable, "-c", HOLDER, path]
    locks = Locks()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        assert not locks.take(path, wait=False)
        other.kill()
        assert locks.take(path)
    locks.free_all()
    with FileLock(path, timeout=0):
        pass


def test_what_another_process_stored_while_this_one_waited_is_loaded(module, monkeypatch):
    twin, take = parallel_kernel(module.double.py_func), COMPILER.locks.take

    def waited(path):
        monkeypatch.setattr(COMPILER.locks, "take", take)
        twin.compile((ARRAY,))  # stands for the other process
        return take(path)

    monkeypatch.setattr(COMPILER, "elsewhere", False)
    monkeypatch.setattr(COMPILER.locks, "take", waited)
    module.double.compile((ARRAY,))
    assert sum(twin.stats.cache_misses.values()) == 1 and sum(module.double.stats.cache_hits.values()) == 1
    assert not module.double.stats.cache_misses and not COMPILER.locks._held


def test_the_lists_name_kernels_that_exist():
    for path in (*LISTS, SUITE):
        assert entries(path)
        for module, name, signature in entries(path):
            assert module.startswith("engine.") and read_signature(signature) is not None, (path, module, name)
            assert hasattr(importlib.import_module(module), name), f"{path}: write it again, {module}.{name} is gone"
