"""The one Material of an asset file, from glTF's metallic-roughness entries or an MTL with the PBR extension."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import ExchangeError
from engine.exchange.references import within_folder
from engine.exchange.textures import decode_base_color, decode_normal
from engine.scene.conventions import srgb_to_linear
from engine.scene.mesh import Material


class GltfMaterials:
    """Materials of a glTF document; the textures come decoded from trimesh, exact factors from the JSON."""

    def __init__(self, path: Path, document: dict):
        self._path = path
        self._entries = document.get("materials", [])

    def of(self, geometries: list) -> Material:
        """The material shared by `geometries` (trimesh's); ExchangeError where textured ones differ."""
        materials = [getattr(geometry.visual, "material", None) for geometry in geometries]
        kept = _only(self._path, [m for m in materials if m is not None], lambda m: m.name)
        return Material() if kept is None else self._converted(kept)

    def _converted(self, source) -> Material:
        entry = next((e for e in self._entries if e.get("name") == source.name), None)
        if entry is None:
            entry = self._entries[0] if len(self._entries) == 1 else {}
        pbr = entry.get("pbrMetallicRoughness", {})

        def image(name: str, required: bool) -> np.ndarray | None:
            picture = getattr(source, name, None)
            if picture is None:
                if required:
                    raise ExchangeError(f"{self._path}: its {name} cannot be decoded; export it again")
                return None
            return _rgb(self._path, picture)

        color = image("baseColorTexture", "baseColorTexture" in pbr)
        factor = np.asarray(pbr.get("baseColorFactor", [1, 1, 1, 1])[:3], np.float32)
        base = factor[None, None] if color is None else decode_base_color(color) * factor
        packed = image("metallicRoughnessTexture", "metallicRoughnessTexture" in pbr)
        occlusion = image("occlusionTexture", "occlusionTexture" in entry)
        roughness, metallic = float(pbr.get("roughnessFactor", 1)), float(pbr.get("metallicFactor", 1))
        strength = float(entry.get("occlusionTexture", {}).get("strength", 1))
        values = np.ones((1, 1, 3), np.float32) if packed is None else packed.astype(np.float32) / 255
        values = values * np.float32([1, roughness, metallic])
        if occlusion is None:
            values[..., 0] = 1
        else:
            red = resized(occlusion, values.shape if packed is not None else occlusion.shape)[..., 0] / np.float32(255)
            values = np.broadcast_to(values, (*red.shape, 3)).copy()
            values[..., 0] = 1 + strength * (red - 1)
        normal = image("normalTexture", "normalTexture" in entry)
        decoded = None if normal is None else decode_normal(normal)
        scale = float(entry.get("normalTexture", {}).get("scale", 1))
        if decoded is not None and scale != 1:
            decoded = decoded * np.float32([scale, scale, 1])
            decoded /= np.linalg.norm(decoded, axis=-1, keepdims=True)
        return Material(base.astype(np.float32), values.astype(np.float32), decoded)


class ObjMaterials:
    """Materials of an OBJ's libraries: map_Kd, map_Pr, map_Pm, norm, and their factors."""

    def __init__(self, path: Path, materials: list[tuple[str, dict[str, list[str]]]]):
        self._path = path
        self._materials = materials

    def of(self, geometries: list) -> Material:
        """The material that the file uses; ExchangeError where there are several."""
        if len(self._materials) > 1:
            _several(self._path, [name for name, _ in self._materials])
        return self._converted(self._materials[0][1]) if self._materials else Material()

    def _converted(self, entry: dict[str, list[str]]) -> Material:
        def image(*keys: str) -> np.ndarray | None:
            for key in keys:
                if entry.get(key):
                    target = within_folder(self._path, entry[key][-1])
                    try:
                        with Image.open(target) as picture:
                            return _rgb(target, picture)
                    except OSError as error:
                        raise ExchangeError(f"{target}: cannot be read as an image ({error}); replace it") from error
            return None

        def number(key: str, default: float) -> float:
            try:
                return float(entry[key][0])
            except (KeyError, IndexError, ValueError):
                return default

        color, rough, metal = image("map_kd"), image("map_pr"), image("map_pm")
        if color is not None:
            base = decode_base_color(color)
        else:
            try:
                base = srgb_to_linear(np.float32([[[float(word) for word in entry["kd"][:3]]]]))
            except (KeyError, ValueError):
                base = Material().base_color
        defaults = Material().occlusion_roughness_metallic[0, 0]
        shape = rough.shape if rough is not None else metal.shape if metal is not None else (1, 1, 3)
        values = np.ones(shape, np.float32)
        values[..., 1] = number("pr", defaults[1]) if rough is None else rough[..., 0] / np.float32(255)
        values[..., 2] = number("pm", defaults[2]) if metal is None else resized(metal, shape)[..., 0] / np.float32(255)
        normal = image("norm", "map_norm", "map_kn")
        return Material(base, values, None if normal is None else decode_normal(normal))


def resized(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 [H,W,3] brought to the height and width of `shape`."""
    if image.shape[:2] == tuple(shape[:2]):
        return image
    return np.asarray(Image.fromarray(image).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _rgb(path: Path, picture: Image.Image) -> np.ndarray:
    try:
        if picture.mode in ("I;16", "I;16B", "I"):
            grey = (np.asarray(picture, np.float32) / 257).round().clip(0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, -1)
        return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ExchangeError(f"{path}: a texture cannot be decoded ({error}); export it again") from error


def _only(path: Path, materials: list, name):
    unique = {id(material): material for material in materials}
    names = list(dict.fromkeys(str(name(material)) for material in unique.values()))
    if len(names) > 1:
        _several(path, names)
    return next(iter(unique.values()), None)


def _several(path: Path, names: list[str]) -> None:
    raise ExchangeError(
        f"{path}: it uses {len(names)} materials ({', '.join(names[:4])}); join them into one, or use the geometry only"
    )
