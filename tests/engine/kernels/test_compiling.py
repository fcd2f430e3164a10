"""The child that compiles kernels: what it made is loaded, and where it fails the caller compiles for itself."""

from __future__ import annotations

import errno
import importlib
import itertools

import numba
import numpy as np
import pytest
from numba.core.caching import FunctionCache
from numba.core.errors import TypingError

from engine.kernels.compiling import COMPILER
from engine.kernels.settings import parallel_kernel

NUMBER = itertools.count()
SOURCE = """
import numba
from engine.kernels.settings import parallel_kernel

print("not an answer")

@parallel_kernel
def double(values):
    for i in numba.prange(len(values)):
        values[i] *= 2

@parallel_kernel
def wrong(values):
    return values.nothing_like_that
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of two kernels in a folder of its own, with an empty cache."""
    name = f"kernels_of_a_test_{next(NUMBER)}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.setenv("UNRENDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(COMPILER.ahead, "lists", [])
    COMPILER.stop()  # the next one sees this environment
    yield importlib.import_module(name)
    COMPILER.stop()


def doubled(kernel) -> bool:
    values = np.arange(5.0)
    kernel(values)
    return bool((values == 2 * np.arange(5)).all())


def test_the_child_compiles_and_the_caller_loads(module):
    assert doubled(module.double)
    assert sum(module.double.stats.cache_hits.values()) == 1 and not module.double.stats.cache_misses


def test_a_child_that_has_ended_is_started_again(module):
    assert doubled(module.double)
    COMPILER._child.kill()
    COMPILER._child.wait()
    values = np.arange(5, dtype=np.float32)
    module.double(values)
    assert values[4] == 8 and not module.double.stats.cache_misses


def test_an_error_in_a_kernel_is_the_callers(module):
    with pytest.raises(TypingError, match="nothing_like_that"):
        module.wrong(np.arange(5.0))
    assert doubled(module.double) and not module.double.stats.cache_misses


def test_a_kernel_that_no_module_holds_is_compiled_here(module):
    @parallel_kernel
    def twice(values):
        for i in numba.prange(len(values)):
            values[i] *= 2

    assert doubled(twice) and sum(twice.stats.cache_misses.values()) == 1


def test_without_a_child_it_is_compiled_here(module, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert doubled(module.double) and sum(module.double.stats.cache_misses.values()) == 1


def test_what_cannot_be_stored_is_compiled_each_time(module, monkeypatch):
    def full(cache, signature, compiled):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(COMPILER, "_ask", lambda request: False)
    monkeypatch.setattr(FunctionCache, "save_overload", full)
    assert doubled(module.double) and sum(module.double.stats.cache_misses.values()) == 1
