"""Splats in files: what is written comes back, and what is broken is told in a sentence."""

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ExchangeError
from engine.exchange.splat_spz import OutOfReach
from engine.exchange.splats import FLAT, read_splats, splats_up, write_splats
from engine.scene.gaussians import KINDS, Gaussians


def some(count: int = 50, degree: int = 3, kind: str = "gaussian") -> Gaussians:
    random = np.random.default_rng(7)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    turns = normal(count, 4)
    return Gaussians(
        2 * normal(count, 3),
        turns / np.linalg.norm(turns, axis=1, keepdims=True),
        normal(count, 3) - 3,
        2 * normal(count),
        0.2 * normal(count, (degree + 1) ** 2, 3),
        kind,
        random.uniform(0.5, 4, count).astype(np.float32) if kind == "exponential" else None,
    )


def flattened(splats: Gaussians) -> Gaussians:
    if splats.kind != "surface":
        return splats
    sides = splats.log_scales.copy()
    sides[:, 2] = FLAT
    return replace(splats, log_scales=sides)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degree", range(4))
def test_ply_comes_back_to_the_bit(tmp_path, kind, degree):
    splats = some(degree=degree, kind=kind)
    write_splats(tmp_path / "a.ply", splats)
    back = read_splats(tmp_path / "a.ply", pytest.fail)
    assert back.kind == kind
    for name, array in flattened(splats).arrays().items():
        assert np.array_equal(getattr(back, name), array), name
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_ply_says_where_up_is(tmp_path, kind):
    splats = some(kind=kind)
    write_splats(tmp_path / "a.ply", splats, up=np.array([0, 0, 2.0]))
    assert splats_up(tmp_path / "a.ply").tolist() == [0, 0, 1]
    assert np.array_equal(read_splats(tmp_path / "a.ply", pytest.fail).means, splats.means)
    for name in ("b.ply", "b.spz"):
        write_splats(tmp_path / name, splats)
        assert splats_up(tmp_path / name).tolist() == [0, -1, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degree", range(4))
def test_spz_comes_back_within_its_steps_in_the_axes_of_ply(tmp_path, kind, degree):
    splats = some(degree=degree, kind=kind)
    write_splats(tmp_path / "a.spz", splats)
    back = read_splats(tmp_path / "a.spz", pytest.fail)
    assert back.kind == kind and back.degree == degree
    assert np.abs(back.means - splats.means).max() < 2e-6
    sides = 2 if kind == "surface" else 3
    assert np.abs(back.log_scales - splats.log_scales)[:, :sides].max() <= 1 / 32 + 1e-6
    assert np.abs(back.opacities - splats.opacities).max() <= 0.5 / 255 + 1e-6
    assert np.abs(back.harmonics[:, :1] - splats.harmonics[:, :1]).max() <= 0.5 / 255 / 0.15 + 1e-6
    assert np.abs(back.harmonics[:, 1:] - splats.harmonics[:, 1:]).max(initial=0) <= 0.5 / 128 + 1e-6
    assert np.abs((back.rotations * splats.rotations).sum(1)).min() > 1 - 1e-5
    if kind == "exponential":
        assert np.abs(back.shapes - splats.shapes).max() < 2e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".ply", ".spz"])
def test_files_say_that_splats_are_antialiased(tmp_path, kind, suffix):
    for antialiased in (True, False):
        path = tmp_path / f"{antialiased}{suffix}"
        write_splats(path, replace(some(kind=kind), antialiased=antialiased))
        back = read_splats(path, pytest.fail)
        assert back.kind == kind and back.antialiased == (antialiased and kind != "surface")
        if suffix == ".spz":  # the bit of the format
            assert gzip.decompress(path.read_bytes())[14] & 1 == antialiased
    (tmp_path / "postshot.ply").write_bytes(ply(table(), extra="comment antialiased 1"))
    assert read_splats(tmp_path / "postshot.ply").antialiased


def test_spz_of_version_4_says_it_in_its_own_header(tmp_path):
    import gsply

    splats = some(3, 0)
    data = gsply.GSData.from_arrays(
        *(splats.means, splats.log_scales, splats.rotations, splats.logits, splats.harmonics[:, 0]), format="ply"
    )
    gsply.write_spz(tmp_path / "a.spz", data, version=4)
    content = bytearray((tmp_path / "a.spz").read_bytes())
    assert not read_splats(tmp_path / "a.spz").antialiased
    content[14] |= 1
    (tmp_path / "a.spz").write_bytes(content)
    assert read_splats(tmp_path / "a.spz").antialiased


def test_ply_has_the_channels_terms_together_and_spz_is_turned(tmp_path):
    splats = some(count=1, degree=1)
    write_splats(tmp_path / "a.ply", splats)
    head, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[-1].decode() for line in head.splitlines() if line.startswith(b"property")]
    row = dict(zip(names, np.frombuffer(body, "<f4"), strict=True))
    expected = splats.harmonics[0, 1:].T.ravel()  # three of red, three of green, three of blue
    assert [row[f"f_rest_{i}"] for i in range(9)] == expected.tolist()
    write_splats(tmp_path / "a.spz", splats)
    content = gzip.decompress((tmp_path / "a.spz").read_bytes())
    magic, version, count, degree, bits = struct.unpack_from("<IIIBB", content)
    assert (magic, version, count, degree) == (0x5053474E, 3, 1, 1)
    words = np.frombuffer(content, np.uint8, 9, 16).reshape(3, 3).astype(np.int32) @ [1, 256, 65536]
    stored = np.where(words >= 1 << 23, words - (1 << 24), words) / 2.0**bits
    assert np.allclose(stored, splats.means[0] * [1, -1, -1], atol=1e-5)


def test_turning_the_axes_keeps_every_colour():
    from engine.exchange.splat_spz import turned
    from engine.splats.numba_harmonics import basis

    splats, half = some(count=1), np.array([1, -1, -1], np.float32)
    direction = np.array([0.36, -0.48, 0.8], np.float32)
    colors = []
    for harmonics, towards in ((splats.harmonics, direction), (turned(splats).harmonics, direction * half)):
        values = np.zeros(16, np.float32)
        basis(*towards, 3, values)
        colors.append(values @ harmonics[0])
    assert np.allclose(*colors, atol=1e-6)


def ply(rows: np.ndarray, encoding: str = "binary_little_endian", extra: str = "") -> bytes:
    kinds = {"f4": "float", "f8": "double", "u1": "uchar"}
    lines = ["ply", f"format {encoding} 1.0", f"element vertex {len(rows)}"]
    lines += [f"property {kinds[rows.dtype[name].str[1:]]} {name}" for name in rows.dtype.names]
    if encoding == "ascii":
        body = "\n".join(" ".join(repr(float(value)) for value in row) for row in rows).encode() + b"\n"
    else:
        body = rows.astype(rows.dtype.newbyteorder(">" if "big" in encoding else "<")).tobytes()
    return ("\n".join([*lines, *filter(None, [extra]), "end_header"]) + "\n").encode() + body


NAMES = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
NAMES += ["rot_0", "rot_1", "rot_2", "rot_3"]


def table(count: int = 4, kind: str = "f4", names=NAMES) -> np.ndarray:
    rows = np.zeros(count, [(name, kind) for name in names])
    for name in rows.dtype.names:
        rows[name] = np.arange(count) / 8
    rows["rot_0"] = 1
    return rows


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_encoding_and_extra_properties_are_read(tmp_path, encoding, kind):
    fields = [("nx", "u1"), *((name, kind) for name in NAMES), ("segment", kind)]
    rows = np.zeros(4, fields)
    for name in NAMES:
        rows[name] = table()[name]
    (tmp_path / "a.ply").write_bytes(ply(rows, encoding))
    back = read_splats(tmp_path / "a.ply", pytest.fail)
    assert np.array_equal(back.means[:, 0], np.arange(4) / 8) and back.degree == 0


def test_missing_properties_are_named(tmp_path):
    (tmp_path / "a.ply").write_bytes(ply(table(names=[name for name in NAMES if name not in ("opacity", "rot_3")])))
    with pytest.raises(ExchangeError, match="lacks the properties opacity, rot_3"):
        read_splats(tmp_path / "a.ply")


def test_a_file_without_the_third_scale_holds_discs(tmp_path):
    (tmp_path / "a.ply").write_bytes(ply(table(names=[name for name in NAMES if name != "scale_2"])))
    back = read_splats(tmp_path / "a.ply")
    assert back.kind == "surface" and (back.log_scales[:, 2] == FLAT).all()


def test_bad_rows_are_left_out_or_mended_and_said(tmp_path):
    rows = table(9)
    rows["x"][0], rows["rot_2"][1], rows["scale_1"][2], rows["y"][3] = np.nan, np.inf, 50, 1e30
    rows["scale_0"][4], rows["opacity"][5], rows["rot_0"][6] = -np.inf, np.inf, 0
    for name in ("rot_1", "rot_2", "rot_3"):
        rows[name][6] = 0
    (tmp_path / "a.ply").write_bytes(ply(rows))
    said = []
    back = read_splats(tmp_path / "a.ply", said.append)
    assert len(back) == 5 and all(np.isfinite(array).all() for array in back.arrays().values())
    counts = [text.removeprefix(f"{tmp_path / 'a.ply'}: ").split(" splats ")[0] for text in said]
    assert counts == ["2 of 9", "2 of 9", "1 of 9", "1 of 9", "1 of 9"]
    assert back.opacities[1] > 0.999 and back.rotations[2].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.ply", b"", "no PLY file"),
        ("a.ply", b"solid cube\n", "no PLY file"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "header does not end"),
        ("a.ply", ply(table(0)), "no splats"),
        ("a.ply", ply(table())[:-1], "breaks off after 3 of 4"),
        ("a.ply", ply(table(), "ascii")[:-60], "breaks off after 3|does not consist"),
        ("a.ply", ply(table(names=[*NAMES, "f_rest_0"])), "1 properties f_rest"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement chunk 1\nend_header\n", "packed by PlayCanvas"),
        ("a.spz", b"", "cannot be read as SPZ"),
        ("a.spz", gzip.compress(b"NGSP\x03", mtime=0), "cannot be read as SPZ"),
        ("a.spz", ply(table()), "cannot be read as SPZ"),
        ("a.splat", b"", "use .ply or .spz"),
    ],
)
def test_broken_files_are_told_in_a_sentence(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExchangeError, match=said) as error:
        read_splats(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    write_splats(folder / "whole.ply", some(3, 1))
    write_splats(folder / "whole.spz", some(3, 1, "exponential"))
    return folder


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data(), suffix=st.sampled_from([".ply", ".spz"]))
def test_a_damaged_file_gives_splats_or_one_sentence(folder, data, suffix):
    content = (folder / f"whole{suffix}").read_bytes()
    if suffix == ".spz":
        content = gzip.decompress(content)
    content = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    path = folder / f"damaged{suffix}"
    path.write_bytes(gzip.compress(content, 1) if suffix == ".spz" else content)
    try:
        back = read_splats(path)
    except ExchangeError as error:
        assert str(path) in str(error)
    else:
        assert len(back) and all(np.isfinite(array).all() for array in back.arrays().values())


def test_nothing_is_written_for_no_or_infinite_splats(tmp_path):
    splats = some(4)
    for bad in (splats.select(np.zeros(4, bool)), replace(splats, logits=np.full(4, np.nan, np.float32))):
        for suffix in (".ply", ".spz"):
            with pytest.raises(ExchangeError, match="no splats|4 of 4 splats are not finite"):
                write_splats(tmp_path / f"a{suffix}", bad)
    assert not list(tmp_path.iterdir())


def test_what_spz_cannot_hold_is_said(tmp_path):
    splats = some(4)
    said = []
    write_splats(tmp_path / "a.spz", replace(splats, log_scales=splats.log_scales + 20), said.append)
    assert len(said) == 1 and "4 of 4 splats" in said[0]
    far = replace(splats, means=splats.means * np.float32(1e8))
    with pytest.raises(OutOfReach, match="export.spz=false"):
        write_splats(tmp_path / "b.spz", far)
    assert not (tmp_path / "b.spz").exists()


@pytest.mark.parametrize("distance", [1e4, 1e10])
def test_far_floaters_do_not_coarsen_the_others(tmp_path, distance):
    splats = some(100)
    splats.means[7] = np.float32(distance) * np.array([0.6, -0.8, 0.1], np.float32)
    said = []
    write_splats(tmp_path / "a.spz", splats, said.append)
    assert "1 of 100 splats" in said[0]
    back = read_splats(tmp_path / "a.spz", pytest.fail)
    others = np.arange(100) != 7
    assert np.abs(back.means - splats.means)[others].max() < 5e-4
    middle = splats.most_box.mean(0)
    there, here = splats.means[7] - middle, back.means[7] - middle
    near = np.linalg.norm(here) / np.linalg.norm(there)
    assert there @ here / np.linalg.norm(there) / np.linalg.norm(here) > 1 - 1e-6 and np.linalg.norm(here) > 500
    expected = np.clip(splats.log_scales[7] + np.log(near), -10, None)  # as large as seen from the middle
    assert np.abs(back.log_scales[7] - expected).max() < 0.1


def test_a_scene_that_reaches_far_keeps_its_place(tmp_path):
    splats = some(100)
    splats.means[:] *= np.float32(300)
    write_splats(tmp_path / "a.spz", splats, pytest.fail)
    assert np.abs(read_splats(tmp_path / "a.spz").means - splats.means).max() < 3e-4
