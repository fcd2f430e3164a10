"""The last good state: its memory is used again, and never shared with what steps change."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from engine.optimize.checkpoint import write_checkpoint
from engine.optimize.guard import restore_snapshot, take_snapshot
from engine.optimize.photo_loss import TargetStatistics
from tests.engine.optimize.small_run import create


def test_a_snapshot_takes_the_place_of_the_one_before(tmp_path):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=3)
        stage, context = session.stage, session.context
        first = take_snapshot(stage, context, 3)
        kept = {name: tensor.clone() for name, tensor in first.tensors.items()}
        session.run(until=5)
        assert all(torch.equal(first.tensors[name], kept[name]) for name in kept)  # steps leave it alone
        fresh = take_snapshot(stage, context, 5)
        second = take_snapshot(stage, context, 5, over=first)
        own = [name for name in kept if not name.startswith("random/")]
        assert len(own) > 2 and all(second.tensors[name] is first.tensors[name] for name in own)
        assert all(torch.equal(second.tensors[name], fresh.tensors[name]) for name in fresh.tensors)
        session.run(until=9)
        restore_snapshot(second, stage, context)
        again = take_snapshot(stage, context, 5)
        assert all(torch.equal(again.tensors[name], fresh.tensors[name]) for name in fresh.tensors)


def test_a_snapshot_of_another_size_gets_memory_of_its_own(tmp_path):
    with create(tmp_path / "a", steps=40) as session:
        session.run(until=3)
        stage, context = session.stage, session.context
        first = take_snapshot(stage, context, 3)
        first.tensors["stage/x"] = larger = torch.zeros(9)
        second = take_snapshot(stage, context, 3, over=first)
        assert torch.equal(second.tensors["stage/x"], stage.x.detach()) and not larger.any()


def test_a_checkpoint_writes_tensors_that_share_memory_or_are_views(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    given = {"whole": whole, "same": whole, "part": whole[1], "turned": whole.t(), "none": torch.zeros(0)}
    path = write_checkpoint(tmp_path, given, {})
    read = load_file(path.with_suffix(".safetensors"))
    assert set(read) == set(given) and all(torch.equal(read[name], given[name]) for name in given)


def test_statistics_hold_no_more_than_they_say():
    statistics = TargetStatistics.of(torch.rand(20, 30, 3))
    assert statistics.encoded.base is None or statistics.encoded.base.nbytes == statistics.encoded.nbytes == 4 * 20 * 90
