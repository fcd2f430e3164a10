"""Pipelines of one device: compiled in the background, each once, with errors that name the file and its line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wgpu

from engine.kernels.wgsl import ShaderSource

if TYPE_CHECKING:
    from engine.kernels.webgpu import Gpu

COMPILE_SECONDS = 120.0  # longest wait for a pipeline
AT_ONCE = 2  # pipelines that compile at the same time


@dataclass(frozen=True)
class RenderState:
    """What a render pipeline is besides its shader; see `Gpu.render`."""

    vertex: str
    fragment: str | None
    targets: Sequence[str | Mapping[str, Any]] = ()
    depth: Mapping[str, Any] | None = None
    primitive: Mapping[str, Any] | None = None
    samples: int = 1


class Pipelines:
    """The pipelines of `owner`; they compile on daemon threads, for a driver that hangs must not keep the process."""

    def __init__(self, owner: Gpu) -> None:
        self._owner = owner
        self._begun: dict[tuple, Future] = {}
        self._modules: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def begin_compute(self, source: ShaderSource, entry: str) -> Future:
        """The compute pipeline of the function `entry`, compiling or compiled."""
        return self._compiled((source.text, entry), lambda: self._compute(source, entry))

    def begin_render(self, source: ShaderSource, state: RenderState) -> Future:
        """The render pipeline of `state`, compiling or compiled."""
        return self._compiled((source.text, repr(state)), lambda: self._render(source, state))

    def finished(self, future: Future) -> Any:
        """What `future` compiles. Raises ShaderError, and DeviceLost after COMPILE_SECONDS."""
        try:
            return future.result(COMPILE_SECONDS)
        except FutureTimeout:
            raise self._owner.lose(f"its driver did not compile a shader within {COMPILE_SECONDS:g} s") from None

    def _compiled(self, key: tuple, build: Callable[[], Any]) -> Future:
        with self._lock:
            future = self._begun.get(key)
            if future is not None:
                return future
            future = self._begun[key] = Future()

        def work() -> None:
            with self._turns:
                try:
                    future.set_result(build())
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=work, name="shader compiler", daemon=True).start()
        return future

    @contextmanager
    def _compiling(self, source: ShaderSource) -> Iterator[None]:
        with self._owner.calls(f"compiling shader {source.name}"):
            try:
                yield
            except wgpu.GPUError as error:
                if "lost" in str(error):
                    raise
                raise source.error(str(error)) from None

    def module(self, source: ShaderSource) -> Any:
        """The compiled shader module; raises ShaderError."""
        module = self._modules.get(source.text)
        if module is None:
            with self._compiling(source):
                module = self._modules[source.text] = self._owner.device.create_shader_module(code=source.text)
        return module

    def _compute(self, source: ShaderSource, entry: str) -> Any:
        module = self.module(source)
        with self._compiling(source):
            return self._owner.device.create_compute_pipeline(
                layout="auto", compute={"module": module, "entry_point": entry}, label=f"{source.name}.{entry}"
            )

    def _render(self, source: ShaderSource, state: RenderState) -> Any:
        module = self.module(source)
        targets = [{"format": target} if isinstance(target, str) else dict(target) for target in state.targets]
        fragment = {"module": module, "entry_point": state.fragment, "targets": targets} if state.fragment else None
        with self._compiling(source):
            return self._owner.device.create_render_pipeline(
                layout="auto",
                vertex={"module": module, "entry_point": state.vertex, "buffers": []},
                primitive=dict(state.primitive or {"topology": "triangle-list"}),
                depth_stencil=dict(state.depth) if state.depth else None,
                multisample={"count": state.samples},
                fragment=fragment,
                label=source.name,
            )
