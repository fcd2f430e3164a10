"""The last stage: write asset or splats to exports/, read them back and compare their render with the one before."""

from __future__ import annotations

from typing import Any

from engine.optimize.export_scene import export_scene
from engine.optimize.stage import Stage, StageContext, register


@register
class ExportStage(Stage):
    """What `export_scene` does, at the end of a run."""

    name = "export"

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("a mesh and its light", "splats")

    def begin(self, context: StageContext) -> None:
        self.context = context

    def finish(self) -> None:
        export_scene(self.context)
