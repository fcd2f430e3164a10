"""Whatever bytes stand in a capture's files, only CaptureError comes out of the readers."""

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.capture import Capture, CaptureOptions, open_capture
from engine.capture.depths import DepthFile, read_depth
from engine.capture.entry import FrameProblem
from engine.errors import CaptureError

NUMPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': "
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder() -> Path:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "images").mkdir()
        (Path(name) / "sparse").mkdir()
        for number in range(3):
            Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(Path(name) / f"images/{number}.png")
        yield Path(name)


def only_capture_errors(path: Path) -> Capture | None:
    capture = None
    for options in (CaptureOptions(), CaptureOptions(skip_bad_frames=True)):
        try:
            capture = open_capture(path, options)
            capture.pixels(0)
        except CaptureError as error:
            assert "\n" not in str(error)[:80]
    return capture


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=6), x, max_size=4)
)
numbers = st.floats() | st.integers(-(10**400), 10**400) | st.just(1)
poses = st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=3, max_size=4) | anything
known = st.sampled_from(["images/0.png", "images/1", "./images/2.png", "../x", "/etc/passwd", "a\0b", "x" * 5000, "."])
intrinsics = st.fixed_dictionaries(
    {},
    optional={
        key: numbers | anything
        for key in (
            "fl_x",
            "fl_y",
            "cx",
            "cy",
            "w",
            "h",
            "k1",
            "k4",
            "p1",
            "camera_angle_x",
            "camera_model",
            "is_fisheye",
            "depth_unit_scale_factor",
        )
    },
)
frames = st.builds(
    lambda a, b: {**a, **b},
    st.fixed_dictionaries(
        {},
        optional={
            "file_path": known | anything,
            "transform_matrix": poses,
            "mask_path": known | anything,
            "depth_file_path": known | anything,
        },
    ),
    intrinsics,
)
documents = st.builds(
    lambda a, b: {**a, **b},
    intrinsics,
    st.fixed_dictionaries(
        {"frames": st.lists(frames | anything, max_size=4) | anything}, optional={"train_filenames": anything}
    ),
)


@SETTINGS
@given(documents | anything)
def test_any_json_gives_a_capture_or_a_capture_error(folder, document):
    file = folder / "fuzzed.json"
    file.write_text(json.dumps(document))
    only_capture_errors(file)


@SETTINGS
@given(st.binary(max_size=200))
def test_any_bytes_as_json_give_a_capture_error(folder, data):
    file = folder / "fuzzed.json"
    file.write_bytes(data)
    with pytest.raises(CaptureError):
        open_capture(file)


@SETTINGS
@given(st.binary(max_size=200), st.sampled_from([b"", NUMPY]))
def test_any_bytes_as_depth_give_numbers_or_a_frame_problem(folder, data, head):
    file = folder / "fuzzed.npy"
    file.write_bytes(head + data)
    try:
        depth = read_depth(DepthFile(file))
        assert depth.ndim == 2 and np.isfinite(depth).all()
    except FrameProblem as problem:
        assert "fuzzed.npy" in str(problem)


def valid_binary() -> tuple[bytes, bytes]:
    cameras = struct.pack("<QIiQQ4d", 1, 1, 1, 16, 16, 20, 20, 8, 8)
    images = struct.pack("<Q", 3)
    for number in range(3):
        images += struct.pack("<I7dI", number, 1, 0, 0, 0, number, 0, 3, 1) + f"{number}.png\0".encode()
        images += struct.pack("<Qddq", 1, 1.0, 2.0, -1)
    return cameras, images


VALID_TEXT = (
    "# cameras\n1 PINHOLE 16 16 20 20 8 8\n",
    "# images\n" + "".join(f"{n} 1 0 0 0 {n} 0 3 1 {n}.png\n1 2 -1\n" for n in range(3)),
)


def write_model(folder: Path, contents: tuple[bytes, bytes], ending: str) -> Path:
    for file in (folder / "sparse").iterdir():
        file.unlink()
    for name, content in zip(("cameras", "images"), contents, strict=True):
        (folder / f"sparse/{name}{ending}").write_bytes(content)
    return folder / "sparse"


def test_the_models_that_are_fuzzed_are_valid(folder):
    assert len(open_capture(write_model(folder, valid_binary(), ".bin")).frames) == 3
    assert len(open_capture(write_model(folder, tuple(map(str.encode, VALID_TEXT)), ".txt")).frames) == 3


edits = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6)


def damaged(content: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    data = bytearray(content)
    for place, value in changes:
        data[place % len(data)] = value
    return bytes(data[: len(data) - cut % len(data)])


@SETTINGS
@given(edits, edits, st.integers(0, 40), st.booleans())
def test_a_damaged_binary_model_gives_a_capture_or_a_capture_error(folder, first, second, cut, which):
    cameras, images = valid_binary()
    contents = (damaged(cameras, first, cut * which), damaged(images, second, cut * (not which)))
    only_capture_errors(write_model(folder, contents, ".bin"))


@SETTINGS
@given(edits, edits, st.integers(0, 40), st.booleans())
def test_a_damaged_text_model_gives_a_capture_or_a_capture_error(folder, first, second, cut, which):
    cameras, images = map(str.encode, VALID_TEXT)
    contents = (damaged(cameras, first, cut * which), damaged(images, second, cut * (not which)))
    only_capture_errors(write_model(folder, contents, ".txt"))


@SETTINGS
@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([".bin", ".txt"]))
def test_any_bytes_as_a_model_give_a_capture_error(folder, cameras, images, ending):
    only_capture_errors(write_model(folder, (cameras, images), ending))


def test_huge_counts_do_not_allocate(folder):
    contents = (struct.pack("<Q", 2**63), struct.pack("<Q", 2**63))
    with pytest.raises(CaptureError, match="in the middle of an entry"):
        open_capture(write_model(folder, contents, ".bin"))
