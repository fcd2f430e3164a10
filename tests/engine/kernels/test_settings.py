"""Compiling a kernel and loading it from the cache must give the same bits, or a resumed run would end differently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHADE = """
import hashlib, torch
from engine.shading.environment import EnvironmentLight
from engine.shading.split_sum import shade
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
normal, view = (torch.nn.functional.normalize(torch.randn(2000, 3, generator=draw), dim=1) for _ in range(2))
base, rough, metal = (torch.rand(size, generator=draw).requires_grad_() for size in ((2000, 3), 2000, 2000))
light = EnvironmentLight(16, 0.8)
color = shade("numba", light.prefiltered(), torch.eye(3), normal, view, base, rough, metal, None).color
(color * torch.randn(2000, 3, generator=draw)).sum().backward()
results = [color.detach(), base.grad, rough.grad, metal.grad, *(value.grad for value in light.parameters())]
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in results)).hexdigest())
"""


@pytest.mark.slow
def test_a_cold_and_a_warm_cache_give_the_same_bits(tmp_path):
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "UNRENDER_CACHE": str(tmp_path), "PYTHONPATH": root}
    command = [sys.executable, "-c", SHADE]
    cold, warm = (subprocess.run(command, env=environment, capture_output=True, text=True).stdout for _ in range(2))
    assert cold and cold == warm
