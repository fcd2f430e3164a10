"""All files of one asset together: written aside, read back, drawn again, and only then put in their places."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.errors import DiskFull, ExchangeError
from engine.exchange.atomic import write_error
from engine.scene import Camera, Environment, Material, Mesh

FORMATS = ("glb", "obj", "ply", "hdr")
CHECKED_VIEWS = 4
CHECK_SIZE = 256  # pixels, side of the views that the check draws where no cameras are given


@dataclass(frozen=True)
class AssetScene:
    """What is exported, and the cameras to check it from."""

    mesh: Mesh
    material: Material | None  # None: the shape alone
    environment: Environment | None
    up: np.ndarray  # [3] of the capture's frame
    cameras: tuple[Camera, ...] = ()  # none: a turntable


@dataclass(frozen=True)
class AssetReport:
    """What was written."""

    folder: Path
    sizes: dict[str, int] = field(default_factory=dict)  # file name -> bytes
    psnr: float | None = None  # dB, what was written drawn again against what is in memory; None: not checked
    thumbnail: np.ndarray | None = None  # [H,W,4] uint8, drawn from the file as read back
    checked: dict[str, float] = field(default_factory=dict)  # file name -> the same dB, of each file that was read back
    notices: tuple[str, ...] = ()  # what a person has to know about the files, a sentence each


def asset_facts(scene: AssetScene) -> dict[str, str]:
    """What a person has to know before using the files, by topic: axes, units, faces, textures, colour."""
    mesh, material = scene.mesh, scene.material
    sides = " x ".join(f"{side:.3g}" for side in mesh.box[1] - mesh.box[0])
    up = ", ".join(f"{value:.3g}" for value in np.asarray(scene.up, float) + 0.0)
    textured = material is not None and mesh.uvs is not None
    facts = {
        "Axes": f"+Y is up in the GLB: its root node turns the capture's up ({up}) to +Y. "
        "Vertices stay in the capture's frame, in OBJ and PLY too, where a comment says what is up.",
        "Units": f"The capture's own, scale 1. The object measures {sides}.",
        "Faces": f"{len(mesh.triangles):,} triangles, {len(mesh.vertices):,} vertices",
        "Textures": "None yet: only the shape is written. The textures come with the stage mesh.",
        "Colour": "No colour is written.",
    }
    if textured:
        height, width = material.base_color.shape[:2]
        maps = ["base colour", "occlusion, roughness and metallic"] + ["normal"] * (material.normal is not None)
        facts["Textures"] = f"{width} x {height} texels: {'; '.join(maps)}"
        facts["Colour"] = "Base colour is sRGB, 8 bits; the other textures are linear, 8 bits. The light is linear."
    return facts


def estimated_sizes(scene: AssetScene) -> dict[str, int]:
    """Bytes that each format of FORMATS will take, roughly; a format that the scene cannot fill is left out."""
    vertices, faces = len(scene.mesh.vertices), len(scene.mesh.triangles)
    texels = 0
    if scene.material is not None and scene.mesh.uvs is not None:
        maps = (scene.material.base_color, scene.material.occlusion_roughness_metallic, scene.material.normal)
        texels = sum(texture.shape[0] * texture.shape[1] for texture in maps if texture is not None)
    sizes = {"glb": int(58 * vertices + 12 * faces + 1.2 * texels)}
    sizes |= {"obj": int(95 * vertices + 45 * faces + 1.2 * texels), "ply": 24 * vertices + 13 * faces}
    if scene.environment is not None:
        sizes["hdr"] = 4 * scene.environment.radiance.shape[0] * scene.environment.radiance.shape[1]
    return sizes


def write_asset_files(
    folder: Path | str,
    name: str,
    formats: Sequence[str],
    scene: AssetScene,
    progress: Callable[[float, str], None] = lambda done, text: None,
) -> AssetReport:
    """Write `formats` of FORMATS to `folder`, which is made if missing; all files appear together or none does.

    The files are drawn again, as another program reads them, before they take their places. Raises ExchangeError.
    """
    folder = Path(folder)
    if not formats or not set(formats) <= set(FORMATS):
        raise ExchangeError(f"{folder}: choose at least one of {', '.join(FORMATS)} to export")
    if "hdr" in formats and scene.environment is None:
        raise ExchangeError(f"{folder}: there is no light yet to write as HDR; leave it out or run more steps")
    return placed_together(folder, name, lambda aside: _written(aside, name, formats, scene, progress), progress)


def placed_together(
    folder: Path, name: str, write: Callable[[Path], AssetReport], progress: Callable[[float, str], None]
) -> AssetReport:
    """What `write` reports of the files that it writes to a folder of its own, moved to `folder` when all are good.

    Where a sentence names the folder that is only there for a while, `folder` is put in its place.
    """
    made = _missing_folders(folder)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f".{name}-", suffix=".partial", dir=folder))
        except OSError as error:
            raise write_error(folder, error) from error
        try:
            try:
                report = write(aside)
            except DiskFull as error:
                raise DiskFull(error.said.replace(str(aside), str(folder))) from error
            except ExchangeError as error:
                raise type(error)(str(error).replace(str(aside), str(folder))) from error
            progress(0.95, "putting the files in their places")
            _place(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        for empty in made:
            try:
                empty.rmdir()
            except OSError:
                break
        raise
    notices = tuple(text.replace(str(aside), str(folder)) for text in report.notices)
    return replace(report, folder=folder, notices=notices)


def _missing_folders(folder: Path) -> list[Path]:
    """The folders that have to be made, innermost first."""
    return [part for part in (folder, *folder.parents) if not part.exists()]


def _written(aside: Path, name: str, formats: Sequence[str], scene: AssetScene, progress) -> AssetReport:
    from engine.exchange import write_environment, write_glb, write_obj, write_ply

    material = scene.material or Material()
    chosen = [kind for kind in FORMATS if kind in formats]
    for number, kind in enumerate(chosen):
        progress(0.5 * number / len(chosen), f"writing {kind.upper()}")
        if kind == "glb":
            write_glb(aside / f"{name}.glb", scene.mesh, material, scene.up, name)
        elif kind == "obj":
            write_obj(aside / f"{name}.obj", scene.mesh, material, up=scene.up)
        elif kind == "ply":
            write_ply(aside / f"{name}.ply", scene.mesh, up=scene.up)
        else:
            write_environment(aside / f"{name}_light.hdr", scene.environment, scene.up)
    psnr, thumbnail = None, None
    readable = next((kind for kind in ("glb", "obj", "ply") if kind in chosen), None)
    if readable is not None:
        progress(0.55, "reading the files back")
        psnr, thumbnail = _checked(aside / f"{name}.{readable}", scene, material, readable != "ply", progress)
    return AssetReport(aside, {path.name: path.stat().st_size for path in sorted(aside.iterdir())}, psnr, thumbnail)


def _checked(path: Path, scene: AssetScene, material: Material, with_material: bool, progress):
    """(PSNR in dB, thumbnail [H,W,4] uint8) of the file as it is read back."""
    from engine.exchange import AssetRenderer, check_export, read_asset, turntable

    light = scene.environment or Environment(np.full((8, 16, 3), 0.8, np.float32))
    cameras = list(scene.cameras) or turntable(scene.mesh.box, scene.up, CHECKED_VIEWS, (CHECK_SIZE, CHECK_SIZE))
    compared = (
        (scene.mesh, material) if with_material else (Mesh(scene.mesh.vertices, scene.mesh.triangles), Material())
    )
    psnr = check_export(path, *compared, light, cameras)
    progress(0.8, "drawing what was written")
    camera = turntable(scene.mesh.box, scene.up, 1, (CHECK_SIZE, CHECK_SIZE))[0]
    color, alpha = AssetRenderer(*read_asset(path), light).render(camera)
    return psnr, _picture(color, alpha)


def _picture(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    from engine.scene.conventions import linear_to_srgb

    straight = linear_to_srgb(color / np.maximum(alpha, 1e-6)[..., None])
    return (np.concatenate([straight, alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)


def _place(aside: Path, folder: Path) -> None:
    """Move every file of `aside` to `folder`; when one cannot be, those that were there before stand again."""
    placed: list[tuple[Path, Path | None]] = []
    kept = aside / "before"
    files = sorted(aside.iterdir())
    try:
        kept.mkdir()
        for source in files:
            target, old = folder / source.name, None
            if target.exists():
                if target.is_dir():
                    raise IsADirectoryError(21, os.strerror(21))
                old = kept / source.name
                os.replace(target, old)
            placed.append((target, old))
            os.replace(source, target)
    except OSError as error:
        for target, old in reversed(placed):
            target.unlink(missing_ok=True)
            if old is not None:
                os.replace(old, target)
        raise write_error(folder, error) from error
