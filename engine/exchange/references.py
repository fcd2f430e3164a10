"""Which other files an asset names, and the refusal of those outside its folder."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from engine.errors import ExchangeError

# MTL statements whose last word is a file (Wavefront's, and the PBR extension's)
_MTL_MAPS = {
    "map_kd", "map_ka", "map_ks", "map_ns", "map_d", "map_bump", "bump", "disp", "decal", "refl", "map_ke",
    "map_pr", "map_pm", "map_ps", "norm", "map_norm", "map_kn",
}  # fmt: skip


def gltf_document(path: Path) -> dict:
    """The JSON of a .gltf or .glb; raises ExchangeError when it is not one."""
    try:
        data = path.read_bytes()
        if data[:4] == b"glTF":
            magic, format_version, total, length, kind = struct.unpack_from("<4sIII4s", data)
            if format_version != 2:
                raise ExchangeError(f"{path}: glTF version {format_version} is not supported; save it as glTF 2.0")
            if total > len(data):
                raise ExchangeError(f"{path}: truncated: {len(data)} of {total} bytes are there; copy it again")
            data = data[20 : 20 + length]
        document = json.loads(data)
    except OSError as error:
        raise read_error(path, error) from error
    except struct.error as error:
        raise ExchangeError(f"{path}: truncated: {len(data)} bytes are no whole glTF file; copy it again") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ExchangeError(f"{path}: not a readable glTF file ({error}); export it again") from error
    if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
        raise ExchangeError(f"{path}: not a glTF file: it has no 'asset' entry; export it again")
    return document


def read_error(path: Path, error: OSError) -> ExchangeError:
    """The error to show when reading `path` failed."""
    return ExchangeError(f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions")


def gltf_references(document: dict) -> Iterator[str]:
    """The relative files that a glTF names as buffers and images."""
    for entry in [*document.get("buffers", []), *document.get("images", [])]:
        uri = entry.get("uri", "")
        if uri and not uri.startswith("data:"):
            yield unquote(uri)


def obj_materials(path: Path) -> list[tuple[str, dict[str, list[str]]]]:
    """The materials that an OBJ uses, from its libraries: (name, statement in lower case -> its words)."""
    materials: list[tuple[str, dict[str, list[str]]]] = []
    used = set()
    for words in _statements(path):
        if words[0] == "usemtl":
            used.add(" ".join(words[1:]))
        if words[0] != "mtllib" or len(words) < 2:
            continue
        library = within_folder(path, " ".join(words[1:]))
        if not library.exists():
            continue
        for statement in _statements(library):
            key = statement[0].lower()
            if key == "newmtl":
                materials.append((" ".join(statement[1:]), {}))
            elif materials:
                materials[-1][1][key] = statement[1:]
                if key in _MTL_MAPS and len(statement) > 1:
                    within_folder(path, statement[-1])
    return [material for material in materials if not used or material[0] in used]


def check_obj_faces(path: Path) -> None:
    """Raise ExchangeError when a face of an OBJ names a vertex that the file has not."""
    count, highest = 0, 0
    for words in _statements(path):
        if words[0] == "v":
            count += 1
        elif words[0] == "f":
            for word in words[1:]:
                try:
                    index = int(word.split("/")[0])
                except ValueError:
                    continue  # the parser's to complain about
                if index == 0 or index < -count:
                    raise ExchangeError(_missing_vertex(path, index, count))
                highest = max(highest, index)
    if highest > count:
        raise ExchangeError(_missing_vertex(path, highest, count))


def _missing_vertex(path: Path, index: int, count: int) -> str:
    return f"{path}: a face names vertex {index} but there are {count}; export it again"


def within_folder(path: Path, reference: str) -> Path:
    """The file that `reference`, read in `path`, names; ExchangeError when it lies outside the folder of `path`."""
    folder = path.parent.resolve()
    target = (folder / reference.replace("\\", "/")).resolve()
    if not target.is_relative_to(folder) or "://" in reference:
        raise ExchangeError(f"{path}: it names '{reference}', which is outside its folder; copy that file beside it")
    return target


def _statements(path: Path) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split("#", 1)[0].split()
                if words:
                    yield words
    except OSError as error:
        raise read_error(path, error) from error
