"""The errors raised for the user's sake: what was wrong, where, and what to do."""

from __future__ import annotations


class UnrenderError(Exception):
    """Base of every error whose text is meant for the user: one sentence with what, where and what to do."""


class CaptureError(UnrenderError):
    """A capture that cannot be read or used: bad poses, intrinsics, images or masks."""


class UnusableFrames(CaptureError):
    """A capture with bad frames, all listed."""

    def __init__(self, path: object, count: int, total: int, listed: str, advice: str = "") -> None:
        super().__init__(f"{path}: {count} of {total} frames cannot be used{f' {advice}' if advice else ''}: {listed}")
        self._parts = path, count, total, listed

    def advising(self, advice: str) -> UnusableFrames:
        """The same with another way out, a remark in brackets."""
        return UnusableFrames(*self._parts, advice)


class RecipeError(UnrenderError):
    """A recipe or option that is unknown, out of range, or of a newer schema."""


class GeometryError(UnrenderError):
    """A surface that is empty, too large, or otherwise unusable."""


class ExchangeError(UnrenderError):
    """An asset that cannot be read or written."""


class DiskFull(ExchangeError):
    """A file that finds no room; `said` is the error without what to do."""

    def __init__(self, said: str, then: str = "do it again") -> None:
        super().__init__(f"{said}; free some space and {then}")
        self.said = said


class ProjectError(UnrenderError):
    """A project folder that cannot be created, opened, resumed or written."""


class PhotosMissing(ProjectError):
    """The photos of a project are not where it has them: none are, or others, or what cannot be read."""


class DeviceError(UnrenderError):
    """A back end or device that is not there or failed."""

    def __init__(self, text: str, way: str = "") -> None:
        """way: the end of the sentence, a way out that is not there for all work: ", or use --device cpu"."""
        super().__init__(text + way)
        self.text, self.way = text, way


class DeviceLost(DeviceError):
    """The device went away or did not answer; everything made from it is void."""


class OnlyDeviceLost(DeviceLost):
    """A device was lost, again and again, by work in WGSL that no other rasterizer can take over."""


class ShaderError(UnrenderError):
    """A WGSL source that includes what is not there or does not compile; names the file and its line."""


class Cancelled(UnrenderError):
    """The user asked to stop; everything already written stays valid."""
