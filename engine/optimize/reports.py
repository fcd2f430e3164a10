"""The report of each step: losses, learning rates, where the time went, and now and then the state of the mesh."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from engine.geometry.topology import HalfEdges, components
from engine.optimize.messages import StepReport

if TYPE_CHECKING:
    from engine.optimize.session import Session
    from engine.optimize.stage import Stage

MESH_SECONDS = 5.0  # between two looks at the mesh, or more where one costs over MESH_SHARE
MESH_SHARE = 0.01


class Reporter:
    """Makes step reports, and remembers what the session itself spent since the last one."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)  # which has this: a closed session dies at once, with its photos
        self._spent: dict[str, float] = {}
        self._mesh_due, self._mesh_stage = 0.0, ""

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return self._session()

    def spent(self, part: str, seconds: float) -> None:
        """Count time between steps into the next report."""
        self._spent[part] = self._spent.get(part, 0.0) + seconds

    def report(self, stage: Stage, terms: dict[str, float]) -> StepReport:
        """The report of a step, from what `stage.step` returned and what `stage` says about itself."""
        session = self.session
        loss = float(terms.get("loss", 0.0))
        rest = {name: float(value) for name, value in terms.items() if name not in ("loss", "psnr")}
        timings, self._spent = stage.clock.seconds | self._spent, {}
        return StepReport(
            stage.name,
            session.index,
            stage.steps,
            session.total_step,
            session.total_steps,
            loss=loss,
            terms=rest,
            psnr=terms.get("psnr"),
            seconds=session.seconds,
            learning_rates=stage.learning_rates(),
            timings=timings,
            figures={name: float(value) for name, value in stage.figures().items()},
            mesh=self._mesh(stage),
        )

    def _mesh(self, stage: Stage) -> dict[str, float]:
        since = time.monotonic()
        if since < self._mesh_due and stage.name == self._mesh_stage:
            return {}
        found = stage.topology()
        if found is None:
            return {}
        triangles, vertex_count = found
        counts = {
            "faces": float(len(triangles)),
            "components": float(components(triangles, vertex_count).max(initial=-1) + 1),
            "non_manifold_edges": float((HalfEdges.from_triangles(triangles).uses > 2).sum()),
        }
        cost = time.monotonic() - since
        self._mesh_due, self._mesh_stage = since + max(MESH_SECONDS, cost / MESH_SHARE), stage.name
        self.spent("mesh quality", cost)
        return counts
