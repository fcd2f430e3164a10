"""Measures FLIP in a process of its own: the package holds the interpreter for as long as it computes.

Reads (height, width) as two int32, then photo and render [H,W,3] float32, from its input; answers [H,W] float32.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import BinaryIO

import numpy as np


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until the input ends."""
    import flip_evaluator

    while len(header := source.read(8)) == 8:
        height, width = struct.unpack("<ii", header)
        size = height * width * 12
        photo, render = (
            np.frombuffer(bytearray(source.read(size)), np.float32).reshape(height, width, 3) for _ in range(2)
        )
        error = flip_evaluator.evaluate(photo, render, "LDR", applyMagma=False)[0]
        sink.write(np.ascontiguousarray(error, np.float32).tobytes())
        sink.flush()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)
    serve(sys.stdin.buffer, sys.stdout.buffer)
