"""Draws snapshots for the view thread: with WebGPU where that is chosen and works, else on the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.window.draw_with import DrawWith
from engine.errors import Cancelled
from engine.scene import Camera

if TYPE_CHECKING:
    from app.window.viewport.drawing import DrawRequest
    from engine.optimize.preview import PreviewImage, PreviewRenderer
    from engine.optimize.snapshot import SceneSnapshot

PATIENCE = 10.0  # seconds for one picture, after which the device counts as lost


class Drawer:
    """Keeps the renderer of the newest snapshot; belongs to the view thread but for `choose`.

    A device that fails is given up until the choice is made anew, and `failed` is told so once.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._choice: DrawWith = "automatic"
        self._is_new = True
        self._device: Any = None  # a PreviewDevice
        self._renderer: PreviewRenderer | None = None

    def choose(self, choice: DrawWith) -> None:
        """Draw with this from the next picture on; any thread may call."""
        self._choice, self._is_new = choice, True

    @property
    def name(self) -> str:
        """`webgpu` or `processor`, whichever draws."""
        return "processor" if self._device is None else "webgpu"

    @property
    def kept(self) -> PreviewRenderer | None:
        """The renderer of the last picture."""
        return self._renderer

    def renderer(self, snapshot: SceneSnapshot) -> PreviewRenderer:
        """The renderer of `snapshot`, kept until another one is asked for."""
        if self._is_new:
            self._is_new, self._renderer = False, None
            self._device = self._opened(self._choice)
        if self._renderer is None or self._renderer.snapshot is not snapshot:
            self._renderer = self._made(snapshot)
        return self._renderer

    def forget(self) -> None:
        """Keep no renderer."""
        self._renderer = None

    def image(
        self, request: DrawRequest, camera: Camera, draft: bool, cancelled: Callable[[], bool]
    ) -> PreviewImage:  # fmt: skip
        """What `request` asks for, seen from `camera`; on the processor where the device fails on the way."""
        renderer = self.renderer(request.snapshot)
        arguments = camera, request.display, request.relight, request.exposure
        options: dict[str, Any] = {"background": request.background, "draft": draft, "cancelled": cancelled}
        if self._device is not None:
            try:
                return renderer.image(*arguments, **options, numbers=not request.moving, lines=request.lines)
            except Cancelled:
                raise
            except Exception as error:  # whatever a driver may think of; the picture is drawn all the same
                self._give_up(error)
                renderer = self.renderer(request.snapshot)
        return renderer.image(*arguments, **options)

    def _made(self, snapshot: SceneSnapshot) -> PreviewRenderer:
        if self._device is None:
            from engine.optimize.preview import PreviewRenderer

            return PreviewRenderer(snapshot)
        from engine.optimize.preview_webgpu import WebGpuPreview

        return WebGpuPreview(snapshot, self._device)

    def _opened(self, choice: DrawWith) -> Any:
        """The device to draw with, None for the processor; says why where it cannot be opened."""
        if choice == "processor":
            return None
        from engine.kernels.adapters import adapters, choose_adapter

        says = choice == "webgpu"  # where there is nothing to draw with, only who asked for it is told
        try:
            if not says and all(adapter.software for adapter in adapters()):
                return None
            adapter = choose_adapter()
            if not says and adapter.software:
                return None
            says = True
            from engine.kernels.webgpu import Gpu
            from engine.optimize.preview_webgpu import PreviewDevice

            gpu = Gpu(adapter)  # of its own: neither the view nor the training brings the other down
            gpu.answer_seconds = PATIENCE
            return PreviewDevice(gpu)
        except Exception as error:  # whatever a driver may think of
            if says:
                self._failed(f"The view is drawn on the processor: {error}")
            return None

    def _give_up(self, error: Exception) -> None:
        self._device = self._renderer = None
        reason = f"{error}" or type(error).__name__
        self._failed(f"The view is drawn on the processor from now on, since WebGPU failed: {reason}")
