"""3DGS PLY: a vertex per splat, its raw parameters as properties (Kerbl et al. 2023).

Read and written here, since the packages there are take other types than float for float in silence, do not name a
missing property, and know neither comments nor the property `shape`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.errors import ExchangeError
from engine.exchange.atomic import write_file
from engine.exchange.references import read_error
from engine.exchange.stated_up import up_comment
from engine.scene.gaussians import KINDS, TERMS, Gaussians

KIND = "Unrender splats of kind "  # how the comment that names it begins
ANTIALIASED = (
    "SplatRenderMode: mip",
    "antialiased 1",
)  # comments that say so: of Brush, written here too, and Postshot
LONGEST = 1 << 20  # bytes that a header may have
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
AGAIN = "copy or export it again"


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)  # (name, numpy type); "" for a list


@dataclass
class _Header:
    encoding: str
    size: int  # bytes, where the data begins
    comments: list[str]
    elements: list[_Element]

    def named(self, name: str) -> _Element | None:
        """The element of that name."""
        return next((element for element in self.elements if element.name == name), None)


def read_splat_ply(path: Path, notice) -> Gaussians:
    """The splats as the file has them, of any number and value; raises ExchangeError.

    Extra properties are ignored. A file without scale_2 holds discs. Harmonics beyond degree 3 are left out and told to
    `notice`.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(LONGEST)
            total = file.seek(0, 2)
    except OSError as error:
        raise read_error(path, error) from error
    header = _header(path, start)
    if header.named("chunk") is not None:
        raise ExchangeError(f"{path}: its splats are packed by PlayCanvas; export it as a plain 3DGS PLY or SPZ")
    rows = _rows(path, header, total)
    names = set(rows.dtype.names or ())
    flat = {"scale_0", "scale_1"} <= names and "scale_2" not in names
    sides = ("scale_0", "scale_1") if flat else ("scale_0", "scale_1", "scale_2")
    needed = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", *sides, "rot_0", "rot_1", "rot_2", "rot_3")
    missing = [name for name in needed if name not in names]
    if missing:
        raise ExchangeError(
            f"{path}: it lacks the properties {', '.join(missing)} of Gaussian splats; export it as a 3DGS PLY"
        )

    def columns(*chosen: str) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.stack([rows[name].astype(np.float32) for name in chosen], -1)

    log_scales = columns(*sides)
    kind = "surface" if flat else _kind(header, "shape" in names)
    if flat:
        from engine.exchange.splats import FLAT

        log_scales = np.concatenate([log_scales, np.full((len(rows), 1), FLAT, np.float32)], 1)
    return Gaussians(
        columns("x", "y", "z"),
        columns("rot_0", "rot_1", "rot_2", "rot_3"),
        log_scales,
        columns("opacity")[:, 0],
        _harmonics(path, names, columns, notice),
        kind,
        columns("shape")[:, 0] if kind == "exponential" else None,
        kind != "surface" and not set(ANTIALIASED).isdisjoint(header.comments),
    )


def write_splat_ply(path: Path, splats: Gaussians, up: np.ndarray | None = None) -> None:
    """Write binary little-endian float32 without loss; raises ExchangeError."""
    count, terms = splats.harmonics.shape[:2]
    rest = splats.harmonics[:, 1:].transpose(0, 2, 1).reshape(count, -1)  # every red term, then green, then blue
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(3 * (terms - 1)))]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    parts = [splats.means, splats.harmonics[:, 0], rest, splats.logits[:, None], splats.log_scales, splats.rotations]
    if splats.shapes is not None:
        names.append("shape")
        parts.append(splats.shapes[:, None])
    lines = ["ply", "format binary_little_endian 1.0"]
    if splats.kind != "gaussian":
        lines.append(f"comment {KIND}{splats.kind}")
    if splats.antialiased:
        lines.append(f"comment {ANTIALIASED[0]}")
    if up is not None:
        lines.append(f"comment {up_comment(up)}")
    lines += [f"element vertex {count}", *(f"property float {name}" for name in names), "end_header", ""]
    write_file(path, "\n".join(lines).encode() + np.concatenate(parts, 1).astype("<f4", copy=False).tobytes())


def _header(path: Path, start: bytes) -> _Header:
    if not re.match(rb"ply\r?\n", start):
        raise ExchangeError(f"{path}: it is no PLY file: it does not begin with 'ply'; export it again")
    end = re.search(rb"\nend_header\r?\n", start)
    if end is None:
        raise ExchangeError(f"{path}: its header does not end; {AGAIN}")
    header = _Header("", end.end(), [], [])
    for line in start[: end.start()].decode("latin-1").splitlines()[1:]:
        match line.split():
            case ["format", encoding, _] if encoding in ORDERS:
                header.encoding = encoding
            case ["comment" | "obj_info", *_]:
                header.comments.append(line.split(maxsplit=1)[-1].strip())
            case ["element", name, count] if re.fullmatch("[0-9]{1,12}", count):
                header.elements.append(_Element(name, int(count)))
            case ["property", "list", _, _, name] if header.elements:
                header.elements[-1].properties.append((name, ""))
            case ["property", kind, name] if header.elements and kind in TYPES:
                header.elements[-1].properties.append((name, TYPES[kind]))
            case []:
                pass
            case _:
                raise ExchangeError(f"{path}: its header has a line that is not understood, {line[:60]!r}; {AGAIN}")
    if not header.encoding:
        raise ExchangeError(f"{path}: its header names no format; {AGAIN}")
    return header


def _rows(path: Path, header: _Header, total: int) -> np.ndarray:
    """[N] a structured array of the element vertex."""
    vertex = header.named("vertex")
    if vertex is None or not vertex.count:
        raise ExchangeError(f"{path}: it has no splats; export it again")
    before = header.elements[: header.elements.index(vertex)]
    if any(not kind for element in (*before, vertex) for _, kind in element.properties):
        raise ExchangeError(f"{path}: a list stands before its splats or among them; export it as a 3DGS PLY")
    names = [name for name, _ in vertex.properties]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not names:
        what = f"the property {twice} twice" if twice else "splats without properties"
        raise ExchangeError(f"{path}: it has {what}; export it again")
    if header.encoding == "ascii":
        return _ascii_rows(path, header, vertex, sum(element.count for element in before))
    order = ORDERS[header.encoding]
    kind = np.dtype([(name, order + code) for name, code in vertex.properties])
    offset = header.size
    offset += sum(element.count * sum(int(code[1]) for _, code in element.properties) for element in before)
    there = max(total - offset, 0) // kind.itemsize
    if there < vertex.count:
        raise ExchangeError(f"{path}: it breaks off after {there:,} of {vertex.count:,} splats; {AGAIN}")
    return np.fromfile(path, kind, vertex.count, offset=offset)


def _ascii_rows(path: Path, header: _Header, vertex: _Element, skipped: int) -> np.ndarray:
    lines = path.read_bytes()[header.size :].split(b"\n")[skipped : skipped + vertex.count]
    lines = [line for line in lines if line.strip()]
    if len(lines) < vertex.count:
        raise ExchangeError(f"{path}: it breaks off after {len(lines):,} of {vertex.count:,} splats; {AGAIN}")
    values = np.empty((len(lines), len(vertex.properties)))
    for number, line in enumerate(lines):
        try:
            values[number] = [float(word) for word in line.split()]
        except ValueError:
            raise ExchangeError(
                f"{path}: splat {number + 1:,} does not consist of {values.shape[1]} numbers; {AGAIN}"
            ) from None
    return np.rec.fromarrays(list(values.T), names=[name for name, _ in vertex.properties])


def _harmonics(path: Path, names: set[str], columns, notice) -> np.ndarray:
    """[N,K,3] of the properties f_dc and f_rest, where each channel's terms stand together."""
    constant = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    count = sum(name.startswith("f_rest_") for name in names)
    if not count:
        return constant
    terms = count // 3
    if 3 * terms != count or terms + 1 not in (*TERMS, 25):
        raise ExchangeError(
            f"{path}: it has {count} properties f_rest where 0, 9, 24 or 45 are needed; export it again"
        )
    missing = [f"f_rest_{i}" for i in range(count) if f"f_rest_{i}" not in names]
    if missing:
        raise ExchangeError(f"{path}: it lacks the properties {', '.join(missing)}; export it again")
    used = min(terms, TERMS[-1] - 1)
    if used < terms:
        notice(f"{path}: its spherical harmonics of degree 4 are left out; degree 3 is the highest used")
    rest = [columns(*(f"f_rest_{channel * terms + i}" for i in range(used))) for channel in range(3)]
    return np.concatenate([constant, np.stack(rest, -1)], 1)


def _kind(header: _Header, shaped: bool) -> str:
    """The kind that a comment names; shapes alone say exponential."""
    named = next((text.removeprefix(KIND) for text in header.comments if text.startswith(KIND)), "")
    if shaped:
        return "exponential"
    return named if named in KINDS and named != "exponential" else "gaussian"
