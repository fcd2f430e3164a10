"""A run that never was: its reports, and a project folder with their log."""

from __future__ import annotations

import math

import numpy as np

from engine.optimize.messages import StepReport
from engine.optimize.project import Project

STAGES = (("volume", 300), ("shape", 250), ("refine", 200))


def report(stage, step, steps, total_step) -> StepReport:
    noise = np.random.default_rng(total_step).random()
    loss = math.exp(-step / 100) * (1 + 0.2 * noise) + 0.01
    terms = {"color": 0.7 * loss, "mask": 0.3 * loss}
    if stage == "shape":
        terms |= {"l_dev": 0.1 * loss, "entropy": 0.02 * loss}
    return StepReport(
        *(stage, step, steps, total_step, 750, loss, terms, 20 + 6 * (1 - math.exp(-step / 100)) + noise),
        seconds=total_step * 0.05,
        learning_rates={"vertices": 0.1 * math.exp(-step / 300), "texture": 0.01},
        timings={"views": 0.002, "shading": 0.03 + 0.005 * noise, "backward": 0.04},
        mesh={"faces": 9000.0 + step, "components": 3, "non_manifold_edges": 0} if total_step % 40 == 0 else {},
    )


def whole_run() -> list[StepReport]:
    reports, total = [], 0
    for stage, steps in STAGES:
        for step in range(1, steps + 1):
            total += 1
            reports.append(report(stage, step, steps, total))
    return reports


def project(folder, recipe, reports):
    made = Project.create(folder, recipe, folder / "photos")
    for entry in reports:
        made.log("StepReport", {"seconds": entry.seconds} | vars(entry))
    made.log("EvalReport", {"seconds": 60.0, "metrics": {"psnr": 27.5}})
    made.close()
    return folder
