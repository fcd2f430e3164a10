"""Exporting in a child process, so that the caller stays responsive and can cancel; run as a script, the child."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.errors import Cancelled, DiskFull, ExchangeError, UnrenderError
from engine.exchange.asset_files import AssetReport, AssetScene, write_asset_files
from engine.scene import Camera, Environment, Material, Mesh

POLL_SECONDS = 0.05
_MESH = ("vertices", "triangles", "uvs", "uv_triangles")
_MATERIAL = ("base_color", "occlusion_roughness_metallic", "normal")


def export_in_child(
    folder: Path | str,
    name: str,
    formats: Sequence[str],
    scene: AssetScene,
    progress: Callable[[float, str], None] = lambda done, text: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> AssetReport:
    """As `write_asset_files`, in a process of its own. Raises ExchangeError, and Cancelled once `cancelled` is true."""
    with tempfile.TemporaryDirectory(prefix="unrender-export-") as temporary:
        given, made = Path(temporary) / "scene.npz", Path(temporary) / "made.npz"
        np.savez(given, **_arrays(scene))
        request = json.dumps({"folder": str(Path(folder).absolute()), "name": name, "formats": list(formats)})
        command = [sys.executable, "-m", "engine.exchange.asset_child", str(given), str(made), request]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_ROOT, text=True
        )
        told: dict = {}
        errors: list[str] = []

        def listen() -> None:
            for line in child.stdout:
                try:
                    said = json.loads(line)
                except ValueError:  # something that a library prints
                    continue
                if "done" in said:
                    progress(float(said["done"]), str(said["text"]))
                else:
                    told.update(said)

        threads = [threading.Thread(target=listen, name="export-listener", daemon=True)]
        threads.append(threading.Thread(target=lambda: errors.extend(child.stderr), name="export-errors", daemon=True))
        for thread in threads:
            thread.start()
        try:
            while child.poll() is None:
                if cancelled():
                    raise Cancelled("the export was cancelled; no file was changed")
                try:
                    child.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
            for thread in threads:
                thread.join()
            child.stdout.close()
            child.stderr.close()
        if "full" in told:
            raise DiskFull(told["full"])
        if "error" in told:
            raise ExchangeError(told["error"])
        if child.returncode != 0 or "sizes" not in told:
            last = (errors or ["it said nothing"])[-1].strip()
            raise ExchangeError(f"{folder}: the export failed ({last}); try again, or with fewer formats")
        with np.load(made) as arrays:
            thumbnail = arrays["thumbnail"] if "thumbnail" in arrays.files else None
        return AssetReport(Path(folder), told["sizes"], told["psnr"], thumbnail)


_ROOT = Path(__file__).resolve().parents[2]


def _arrays(scene: AssetScene) -> dict[str, np.ndarray]:
    arrays = {"up": np.asarray(scene.up, float)}
    sources = [("mesh", scene.mesh, _MESH)]
    if scene.material is not None:
        sources.append(("material", scene.material, _MATERIAL))
    for prefix, source, names in sources:
        arrays |= {f"{prefix}.{n}": getattr(source, n) for n in names if getattr(source, n) is not None}
    if scene.environment is not None:
        arrays["light.radiance"] = scene.environment.radiance
        arrays["light.rotation"] = np.asarray(scene.environment.world_from_environment)
        arrays["light.frame"] = np.array(scene.environment.frame)
    if scene.cameras:
        arrays["cameras.pose"] = np.stack([camera.world_from_camera for camera in scene.cameras])
        rows = [[*camera.focal, *camera.centre, camera.width, camera.height] for camera in scene.cameras]
        arrays["cameras.numbers"] = np.array(rows, float)
    return arrays


def _scene(arrays) -> AssetScene:
    def get(key: str) -> np.ndarray | None:
        return arrays[key] if key in arrays.files else None

    material = environment = None
    if "material.base_color" in arrays.files:
        material = Material(**{name: get(f"material.{name}") for name in _MATERIAL})
    if "light.radiance" in arrays.files:
        environment = Environment(get("light.radiance"), get("light.rotation"), str(get("light.frame")))
    cameras = []
    if "cameras.pose" in arrays.files:
        for pose, (fx, fy, cx, cy, width, height) in zip(get("cameras.pose"), get("cameras.numbers"), strict=True):
            cameras.append(Camera(pose, (fx, fy), (cx, cy), int(width), int(height)))
    mesh = Mesh(**{name: get(f"mesh.{name}") for name in _MESH})
    return AssetScene(mesh, material, environment, get("up"), tuple(cameras))


def _child(given: str, made: str, request: str) -> int:
    def say(**values: object) -> None:
        print(json.dumps(values), flush=True)

    asked = json.loads(request)
    with np.load(given, allow_pickle=False) as arrays:
        scene = _scene(arrays)
    try:
        report = write_asset_files(
            asked["folder"], asked["name"], asked["formats"], scene, lambda done, text: say(done=done, text=text)
        )
    except DiskFull as error:
        say(full=error.said)
        return 1
    except UnrenderError as error:
        say(error=str(error))
        return 1
    np.savez(made, **({} if report.thumbnail is None else {"thumbnail": report.thumbnail}))
    say(sizes=report.sizes, psnr=report.psnr)
    return 0


if __name__ == "__main__":
    import signal

    # a polite end runs the `finally` blocks, so that nothing half written stays
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise SystemExit(_child(*sys.argv[1:]))
