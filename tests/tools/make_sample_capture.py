"""Make the sample capture of assets/: model a vessel, path-trace it with Mitsuba 3, write images and truth.

Run from the repository's root with the extra `judges` installed:

    python -m tests.tools.make_sample_capture --out assets/sample

The object is one closed surface, the zero set of a signed distance field: a thick bowl on a foot with a concave
inside, a knob on the bowl's floor, three dents, a loop handle and a protruding band, so its visual hull is far from
it. Glaze is glossy, foot and handle are matt, band and knob are metal. Mitsuba's LLVM variant needs LLVM >= 16
(`DRJIT_LIBLLVM_PATH` names the library). 5 s per view on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import mitsuba as mi
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engine.scene.camera import Camera, look_at  # noqa: E402
from engine.scene.conventions import linear_to_srgb, pose_to_opengl  # noqa: E402
from engine.scene.environment import direction_of_texel  # noqa: E402
from tests.tools.sample_cup import build_mesh, paint  # noqa: E402

VIEWS, SIZE, CAMERA_ANGLE, DISTANCE = 48, 256, 0.62, 2.9
PASS_SAMPLES = 256  # per pixel and pass; bounds the memory of the vectorised variant
# The environment's +Y is the capture's up, +z; its -Z is the capture's +y.
WORLD_FROM_ENVIRONMENT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# --- the light ------------------------------------------------------------------------------------------------------


def studio(height: int = 128) -> np.ndarray:
    """[H,2H,3] float32 radiance in our environment convention: sky gradient, warm floor, three soft boxes."""
    d = direction_of_texel(height, 2 * height)
    up = d[..., 1:2]
    sky = np.array([0.30, 0.37, 0.48]) + np.clip(up, 0, 1) * np.array([0.10, 0.13, 0.20])
    floor = np.array([0.26, 0.22, 0.18]) - np.clip(-up, 0, 1) * 0.06
    light = floor + (sky - floor) / (1 + np.exp(-up * 9))

    def soft_box(azimuth: float, elevation: float, width: float, tall: float, color: tuple[float, ...]) -> np.ndarray:
        a, e = np.radians(azimuth), np.radians(elevation)
        forward = np.array([np.cos(e) * np.sin(a), np.sin(e), -np.cos(e) * np.cos(a)])
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        depth = d @ forward
        s, t = (np.clip(d @ axis / np.maximum(depth, 1e-3), -9, 9) for axis in (right, np.cross(right, forward)))
        edge = 1 / ((1 + np.exp((np.abs(s) - width) * 28)) * (1 + np.exp((np.abs(t) - tall) * 28)))
        return np.where(depth > 0, edge, 0)[..., None] * np.array(color)

    light = light + soft_box(-50, 42, 0.36, 0.52, (5.2, 4.9, 4.4))  # key, warm
    light = light + soft_box(95, 25, 0.22, 0.60, (1.7, 2.0, 2.5))  # fill, cool
    light = light + soft_box(190, 55, 0.50, 0.25, (3.0, 2.9, 2.8))  # back
    light = light + soft_box(30, -35, 0.40, 0.25, (0.7, 0.6, 0.5))  # bounce from below
    return (0.72 * light).astype(np.float32)


def to_rgbe(radiance: np.ndarray) -> np.ndarray:
    """[H,W,4] uint8 shared-exponent encoding of linear radiance (Ward 1991)."""
    mantissa, exponent = np.frexp(radiance.max(-1))
    scale = mantissa * 256 / np.maximum(radiance.max(-1), 1e-30)
    rounded = np.minimum(np.round(radiance * scale[..., None]), 255)
    return np.concatenate([rounded, exponent[..., None] + 128], -1).astype(np.uint8)


def from_rgbe(rgbe: np.ndarray) -> np.ndarray:
    """Linear radiance [H,W,3] float32 of a shared-exponent image."""
    return (rgbe[..., :3] * np.ldexp(1.0, rgbe[..., 3:].astype(int) - 136)).astype(np.float32)


def write_hdr(path: Path, rgbe: np.ndarray) -> None:
    """Write a flat (not run-length encoded) Radiance file."""
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {rgbe.shape[0]} +X {rgbe.shape[1]}\n"
    path.write_bytes(header.encode() + rgbe.tobytes())


def mitsuba_environment(radiance: np.ndarray) -> dict:
    """Mitsuba's `envmap` of our map: its column 0 looks to -Z and its rows sample v = row / (H - 1)."""
    height = len(radiance)
    row = np.clip(np.arange(height) / (height - 1) * height - 0.5, 0, height - 1)
    low = np.minimum(row.astype(int), height - 2)
    weight = (row - low)[:, None, None]
    image = radiance[low] * (1 - weight) + radiance[low + 1] * weight
    image = np.roll(image, radiance.shape[1] // 2, axis=1).astype(np.float32)
    pose = np.eye(4)
    pose[:3, :3] = WORLD_FROM_ENVIRONMENT
    return {"type": "envmap", "bitmap": mi.Bitmap(np.ascontiguousarray(image)), "to_world": mi.ScalarTransform4f(pose)}


# --- pictures -------------------------------------------------------------------------------------------------------


def cameras() -> list[Camera]:
    """Views on a Fibonacci spiral over the sphere, from 66 degrees below to 75 degrees above."""
    focal = SIZE / 2 / np.tan(CAMERA_ANGLE / 2)
    target = np.array([0.09, 0.0, -0.02])
    result = []
    for i in range(VIEWS):
        z = 0.966 - (i + 0.5) / VIEWS * (0.966 + 0.914)
        azimuth = i * np.pi * (3 - np.sqrt(5))
        direction = np.array([np.sqrt(1 - z * z) * np.cos(azimuth), np.sqrt(1 - z * z) * np.sin(azimuth), z])
        result.append(look_at(target + DISTANCE * direction, target, np.array([0, 0, 1.0]), focal, SIZE, SIZE))
    return result


def mitsuba_mesh(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray, material: tuple):
    """The object as a Mitsuba mesh whose vertices carry the material."""
    textures = {
        "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
        "roughness": {"type": "mesh_attribute", "name": "vertex_roughness"},
        "metallic": {"type": "mesh_attribute", "name": "vertex_metallic"},
    }
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "principled", "specular": 0.5, **textures})
    mesh = mi.Mesh("object", len(vertices), len(triangles), props=properties, has_vertex_normals=True)
    for name, size, values in zip(("color", "roughness", "metallic"), (3, 1, 1), material, strict=True):
        mesh.add_attribute(f"vertex_{name}", size, np.asarray(values, np.float32).ravel())
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = vertices.astype(np.float32).ravel()
    parameters["vertex_normals"] = normals.astype(np.float32).ravel()
    parameters["faces"] = triangles.astype(np.uint32).ravel()
    parameters.update()
    return mesh


def mitsuba_camera(camera: Camera, samples: int) -> dict:
    """A Mitsuba sensor at `camera`; Mitsuba's cameras look along +z with x to the left and y up."""
    pose = camera.world_from_camera @ np.diag([-1.0, -1.0, 1.0, 1.0])
    return {
        "type": "perspective",
        "fov": float(np.degrees(CAMERA_ANGLE)),
        "fov_axis": "x",
        "near_clip": 0.01,
        "far_clip": 100.0,
        "to_world": mi.ScalarTransform4f(pose),
        "sampler": {"type": "multijitter", "sample_count": samples},
        "film": {"type": "hdrfilm", "width": SIZE, "height": SIZE, "pixel_format": "rgba", "rfilter": {"type": "box"}},
    }


def encode(rgba: np.ndarray) -> np.ndarray:
    """Premultiplied linear RGBA to 8-bit straight alpha with sRGB-encoded colour."""
    alpha = np.clip(rgba[..., 3:], 0, 1)
    color = rgba[..., :3] / np.maximum(alpha, 1e-6)
    return np.round(np.concatenate([linear_to_srgb(color), alpha], -1) * 255 * (alpha > 0)).astype(np.uint8)


def true_maps(scene, mesh, camera: Camera, grid: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(base colour with coverage [H,W,4] premultiplied, roughness [H,W], metallic [H,W]), means over the covered."""
    fine = camera.resized(SIZE * grid, SIZE * grid)
    origin, directions = fine.rays()
    ray = mi.Ray3f(mi.Point3f(*map(float, origin)), mi.Vector3f(directions.reshape(-1, 3).T.astype(np.float32)))
    hit = scene.ray_intersect(ray)
    valid = np.array(hit.is_valid()).astype(np.float64)
    color = np.array(mesh.eval_attribute_3("vertex_color", hit, hit.is_valid())).T
    rough = np.array(mesh.eval_attribute_1("vertex_roughness", hit, hit.is_valid()))
    metal = np.array(mesh.eval_attribute_1("vertex_metallic", hit, hit.is_valid()))
    stack = np.concatenate([color, rough[:, None], metal[:, None], np.ones((len(valid), 1))], 1)
    stack = np.where(valid[:, None] > 0, stack, 0)  # misses hold whatever
    mean = stack.reshape(SIZE, grid, SIZE, grid, 6).mean((1, 3))
    cover = np.maximum(mean[..., 5], 1e-6)
    return mean[..., [0, 1, 2, 5]], mean[..., 3] / cover, mean[..., 4] / cover


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write 8-bit pixels [H,W] or [H,W,C]."""
    mi.Bitmap(np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None])).write(str(path))


def write_ply(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Write a binary little-endian PLY."""
    faces = np.empty(len(triangles), [("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, triangles
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + faces.tobytes())


def main() -> None:
    """Model, render and write everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--only", type=int, nargs="*", help="render these views only (for a look)")
    arguments = parser.parse_args()
    mi.set_variant("llvm_ad_rgb")
    out, truth = arguments.out, arguments.out / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        (out / split).mkdir(exist_ok=True)

    vertices, normals, triangles = build_mesh()
    print(f"{len(vertices)} vertices, {len(triangles)} triangles, box {vertices.min(0)} {vertices.max(0)}")
    write_ply(truth / "mesh.ply", vertices, triangles)
    rgbe = to_rgbe(studio())
    write_hdr(truth / "environment.hdr", rgbe)
    mesh = mitsuba_mesh(vertices, normals, triangles, paint(vertices))
    scene = mi.load_dict({"type": "scene", "light": mitsuba_environment(from_rgbe(rgbe)), "object": mesh})
    integrator = mi.load_dict({"type": "path", "max_depth": 6, "rr_depth": 16, "hide_emitters": True})

    frames = {"train": [], "test": []}
    for i, camera in enumerate(cameras()):
        split = "test" if i % 8 == 0 else "train"
        name = f"r_{i:03d}"
        frames[split].append(
            {"file_path": f"./{split}/{name}", "transform_matrix": pose_to_opengl(camera.world_from_camera).tolist()}
        )
        if arguments.only is not None and i not in arguments.only:
            continue
        sensor = mi.load_dict(mitsuba_camera(camera, PASS_SAMPLES))
        passes = max(arguments.samples // PASS_SAMPLES, 1)
        rgba = np.mean(
            [
                np.array(mi.render(scene, sensor=sensor, integrator=integrator, spp=PASS_SAMPLES, seed=i * 1000 + j))
                for j in range(passes)
            ],
            axis=0,
        )
        image = encode(rgba)
        write_png(out / split / f"{name}.png", image)
        clipped = (image[..., :3].max(-1) == 255)[image[..., 3] > 128].mean()
        print(f"{name} coverage {image[..., 3].mean() / 255:.3f} clipped {clipped:.4f}", flush=True)
        if split == "test":
            color, roughness, metallic = true_maps(scene, mesh, camera)
            write_png(truth / f"{name}_base_color.png", encode(color))
            write_png(truth / f"{name}_roughness.png", np.round(roughness * 255).astype(np.uint8))
            write_png(truth / f"{name}_metallic.png", np.round(metallic * 255).astype(np.uint8))
    for split, entries in frames.items():
        content = {"camera_angle_x": CAMERA_ANGLE, "frames": entries}
        (out / f"transforms_{split}.json").write_text(json.dumps(content, indent=1) + "\n")
    description = {
        "mesh": "mesh.ply",
        "environment": "environment.hdr",
        "world_from_environment": WORLD_FROM_ENVIRONMENT.tolist(),
        "exposure": 1.0,
        "maps": {key: f"{{name}}_{key}.png" for key in ("base_color", "roughness", "metallic")},
    }
    (truth / "truth.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
