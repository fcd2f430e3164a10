"""A stable radix sort of 32-bit keys on the GPU, of a number that only the GPU knows; the passes are only encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.kernels.wgsl import compose

if TYPE_CHECKING:
    from engine.splats.webgpu_buffers import Encoding

RUNS = 4096  # invocations of the running sums
MOST_LANES = 4096
KEYS_PER_LANE = 128
DIGIT = 8  # bits, at most


@dataclass(frozen=True)
class SortPass:
    """The uniform of one pass, as shaders/sort_pass.wgsl has it."""

    shift: int = 0
    bins: int = 1
    lanes: int = 64
    amount: int = 0  # which of the amounts is the number of keys
    first: int = 0  # 1: values are 0, 1, 2, ...
    length: int = 0  # of the table

    def record(self) -> np.ndarray:
        """[8] uint32."""
        values = (self.shift, self.bins, self.lanes, self.amount, self.first, self.length, 0, 0)
        return np.array(values, np.uint32)


def sort_passes(most: int, bits: int, amount: int) -> list[SortPass]:
    """The passes that sort at most `most` keys of `bits` bits, whose number is `amounts[amount]`; an even number."""
    count = -(-bits // DIGIT)
    count += count % 2  # so that the result lies where the keys were
    digit = -(-bits // count)
    lanes = min(max(-(-most // (KEYS_PER_LANE * 64)) * 64, 64), MOST_LANES)
    return [SortPass(k * digit, 1 << digit, lanes, amount, int(k == 0), lanes << digit) for k in range(count)]


def encode_sums(work: Encoding, uniform: Any, table: Any, runs: Any) -> None:
    """Turn the table into the sums of all entries before each."""
    source = compose("running_sums")
    work.dispatch(source, "sum_runs", (uniform, table, runs), RUNS // 64)
    work.dispatch(source, "sum_before", {2: runs}, 1)
    work.dispatch(source, "spread_sums", (uniform, table, runs), RUNS // 64)


def encode_sort(
    work: Encoding,
    passes: list[SortPass],
    uniforms: list[Any],
    amounts: Any,
    keys: tuple[Any, Any],
    values: tuple[Any, Any],
    table: Any,
    runs: Any,
) -> None:
    """Sort `keys[0]`, and in `values[0]` say where each came from; the others of the pairs are room."""
    source = compose("radix_sort")
    for index, (each, uniform) in enumerate(zip(passes, uniforms, strict=True)):
        a, b = index % 2, 1 - index % 2
        work.clear(table, 4 * each.length)
        work.dispatch(source, "count_digits", (uniform, amounts, keys[a], table), each.lanes // 64)
        encode_sums(work, uniform, table, runs)
        bound = {0: uniform, 1: amounts, 2: keys[a], 3: table, 4: values[a], 5: keys[b], 6: values[b]}
        work.dispatch(source, "move_digits", bound, each.lanes // 64)
