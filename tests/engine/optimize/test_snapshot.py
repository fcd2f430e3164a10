"""Snapshots of every stage of a small run: they show what is there, are nobody else's, and cost the run no bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.exchange import AssetRenderer
from engine.optimize import publishing
from engine.optimize.evaluate import image_metrics
from engine.optimize.messages import PreviewReady, SetOption, StepReport
from engine.optimize.scores import PhotoScores, photo_psnr
from engine.optimize.snapshot import SceneSnapshot, SnapshotSlot
from tests.engine.optimize.small_run import SmallCapture, small_recipe
from tests.engine.optimize.test_stages import BallCapture, Session, create, result, same

FEW = {"volume.steps": 8, "shape.steps": 10, "shape.mask_steps": 4, "refine.steps": 6}


def arrays(value) -> dict[str, np.ndarray]:
    """Every array of a snapshot by its path."""
    found = {}
    for name, part in vars(value).items():
        if isinstance(part, np.ndarray):
            found[name] = part
        elif hasattr(part, "__dataclass_fields__"):
            found |= {f"{name}.{key}": array for key, array in arrays(part).items()}
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """(scene of a run without previews, scene of one with them, its snapshots with copies as published, reports)."""
    with create(tmp_path_factory.mktemp("blind") / "run", **FEW) as session:
        session.run()
        blind = result(session)
    snapshots, reports = [], []
    with create(tmp_path_factory.mktemp("watched") / "run", **FEW) as session:
        session.preview_seconds = 0.0

        def hear(message) -> None:
            if isinstance(message, PreviewReady):
                newest = session.latest.newest()
                assert newest.version == message.version
                snapshots.append((newest, {name: array.copy() for name, array in arrays(newest).items()}))
            elif isinstance(message, StepReport):
                reports.append(message)
                session._publisher._due = 0.0  # however slow this machine is

        session.run(hear)
        return blind, result(session), snapshots, reports


def test_previews_change_no_bit(watched):
    blind, seen, _, _ = watched
    assert same(blind, seen)


def test_every_stage_shows_what_it_has(watched):
    shown = [snapshot for snapshot, _ in watched[2]]
    assert [s.version for s in shown] == sorted({s.version for s in shown})
    by_stage = {s.stage: [other for other in shown if other.stage == s.stage] for s in shown}
    assert set(by_stage) == {"hull", "volume", "stereo", "shape", "mesh", "refine"}
    assert by_stage["hull"][0].mesh is not None and by_stage["hull"][0].vertex_colors[:, :3].std() > 0.01
    marched = by_stage["volume"][0].volume
    assert marched.values.shape == ((marched.slot >= 0).sum(), 4)
    for snapshot in by_stage["shape"]:
        assert snapshot.vertex_colors.shape == (len(snapshot.mesh.vertices), 5) and snapshot.environment is not None
    for snapshot in by_stage["mesh"] + by_stage["refine"]:
        assert snapshot.mesh.uvs is not None and snapshot.material.base_color.shape == (64, 64, 3)
    assert shown[-1].total_step == 24 and all(s.box.shape == (2, 3) for s in shown)


def test_the_last_snapshot_is_the_result(watched):
    _, seen, snapshots, _ = watched
    last = snapshots[-1][0]
    assert np.array_equal(last.mesh.vertices, seen["mesh.vertices"])
    assert np.array_equal(last.material.base_color, seen["material.base_color"])


def test_nothing_writes_to_a_snapshot_later(watched):
    for snapshot, published in watched[2]:
        now = arrays(snapshot)
        assert now.keys() == published.keys()
        assert all(np.array_equal(now[name], published[name]) for name in now)


def test_reports_tell_rates_times_and_the_state_of_the_mesh(watched):
    reports = [report for report in watched[3] if report.steps]
    rates = {report.stage: set(report.learning_rates) for report in reports}
    assert rates == {
        "volume": {"volume"},
        "shape": {"surface", "materials", "light"},
        "refine": {"vertices", "textures", "light"},
    }
    for report in reports:
        assert {"loss", "backward", "optimizer"} <= set(report.timings) and min(report.timings.values()) >= 0
    measured = {report.stage: report.mesh for report in reversed(reports) if report.mesh}
    assert set(measured) == {"shape", "refine"}
    assert measured["refine"]["non_manifold_edges"] == 0 and measured["refine"]["components"] >= 1
    assert measured["shape"]["faces"] > 100
    assert sum(bool(report.mesh) for report in reports) < len(reports), "not in every step"


def test_scores_are_those_of_the_metrics(watched):
    last, capture = watched[2][-1][0], BallCapture()
    renderer = AssetRenderer(last.mesh, last.material, last.environment)
    expected = image_metrics(renderer, capture, capture.test)["per_view"]
    for frame, view in zip(capture.test, expected, strict=True):
        assert photo_psnr(last, capture, frame) == pytest.approx(view["psnr"], abs=0.01)


def test_every_snapshot_can_be_scored_at_a_small_size(watched):
    capture = BallCapture()
    newest = {snapshot.stage: snapshot for snapshot, _ in watched[2]}
    scores = {stage: PhotoScores(snapshot, capture, 20).psnr(0) for stage, snapshot in newest.items()}
    assert all(5 < score < 60 for score in scores.values())
    assert photo_psnr(SceneSnapshot("hull", 0, 1), capture, 0, 20) < scores["refine"]


def test_nothing_is_published_unless_asked(tmp_path):
    with create(tmp_path / "a", **FEW) as session:
        session.run(until=3)
        assert session.latest.newest() is None
        assert session.snapshot_now().volume is not None
        assert session.latest.newest() is None
        session.preview_seconds = 0.25
        session.serve(0.0)
        assert session.latest.newest().total_step == 3, "what is there, before the first step"


def test_publishing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(publishing.time, "monotonic", lambda: now[0])
    with Session.create(SmallCapture(), small_recipe(steps=5), tmp_path / "a", device="cpu") as session:
        publisher, published = session._publisher, []

        def costly() -> SceneSnapshot:
            published.append(now[0])
            now[0] += 0.02
            return SceneSnapshot("draw", 0, len(published))

        monkeypatch.setattr(publisher, "snapshot", costly)
        session.preview_seconds = 0.1
        for _ in range(1000):
            now[0] += 0.01
            publisher.after_step()
        assert 0.02 / publishing.SHARE < min(np.diff(published)) and len(published) >= 6
        session.preview_seconds = math.inf
        now[0] += 100
        publisher.after_step(changed=True)
        assert published[-1] < now[0] - 100


def test_the_slot_keeps_the_newest():
    slot = SnapshotSlot()
    assert slot.newest() is None
    slot.put(SceneSnapshot("hull", 0, 2))
    slot.put(SceneSnapshot("hull", 0, 1))
    assert slot.newest().version == 2


@pytest.mark.parametrize("locked", ["geometry", "material", "light"])
def test_locks_hold_in_the_stage_shape(tmp_path, locked):
    with create(tmp_path / "a", **FEW) as session:
        session.run(until=9)

        def state() -> dict[str, torch.Tensor]:
            tensors, _ = session.stage.state()
            return {name: tensor.clone() for name, tensor in tensors.items()}

        before = state()
        session.queue(SetOption(f"shape.{locked}", False))
        session.run(until=15)  # masks alone, then colour
        moved = {name.split(".")[0] for name, tensor in state().items() if not torch.equal(tensor, before[name])}
        part = {"geometry": "surface", "material": "materials", "light": "light"}[locked]
        assert moved == {"surface", "materials", "light"} - {part}
