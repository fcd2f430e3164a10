"""Make the sample capture of assets/: model a vessel, path-trace it with Mitsuba 3, write images and truth.

Run from the repository's root with the extra `judges` installed:

    python -m tests.tools.make_sample_capture --out assets/sample

The object is one closed surface, the zero set of a signed distance field: a thick bowl on a foot with a concave
inside, a knob on the bowl's floor, three dents, a loop handle and a protruding band, so its visual hull is far from
it. Glaze is glossy, foot and handle are matt, band and knob are metal. Mitsuba's LLVM variant needs LLVM >= 16
(`DRJIT_LIBLLVM_PATH`); without it the script uses the slower scalar variant.
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
from engine.scene.conventions import linear_to_srgb, pose_to_opengl, srgb_to_linear  # noqa: E402
from engine.scene.environment import direction_of_texel  # noqa: E402

VIEWS, SIZE, CAMERA_ANGLE, DISTANCE = 48, 256, 0.62, 2.9
PASS_SAMPLES = 256  # per pixel and pass; bounds the memory of the vectorised variant
CELLS_PER_UNIT = 84
BOX = np.array([[-0.62, -0.62, -0.56], [0.92, 0.62, 0.54]])
# The environment's +Y is the capture's up, +z; its -Z is the capture's +y.
WORLD_FROM_ENVIRONMENT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# --- the shape ------------------------------------------------------------------------------------------------------

OUTSIDE = [(0, -0.5), (0.15, -0.5), (0.29, -0.5), (0.30, -0.46), (0.24, -0.39), (0.27, -0.32), (0.40, -0.2),
           (0.475, -0.03), (0.47, 0.14), (0.42, 0.27), (0.42, 0.34), (0.47, 0.43), (0.47, 0.455)]  # fmt: skip
INSIDE = [(0, -0.16), (0.12, -0.155), (0.22, -0.12), (0.30, -0.03), (0.345, 0.1), (0.345, 0.24), (0.36, 0.33),
          (0.42, 0.45), (0.44, 0.48), (0.46, 0.62), (0.0, 0.62)]  # fmt: skip


def smooth_curve(points: list[tuple[float, float]], steps: int) -> np.ndarray:
    """[N,2] Catmull-Rom curve through `points`."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, p[-1:]])


def polygon_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """[N] signed distance (negative inside) of `points` [N,2] to a closed polygon [M,2]."""
    best = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        edge, offset = b - a, points - a
        if not edge.any():
            continue
        t = np.clip(offset @ edge / (edge @ edge), 0, 1)
        best = np.minimum(best, ((offset - t[:, None] * edge) ** 2).sum(1))
        crossing = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        if a[1] != b[1]:
            inside ^= crossing & (points[:, 0] < a[0] + (points[:, 1] - a[1]) / edge[1] * edge[0])
    return np.sqrt(best) * np.where(inside, -1, 1)


def smooth_union(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Union of two distances with a fillet of `radius`."""
    h = np.maximum(radius - np.abs(a - b), 0) / radius
    return np.minimum(a, b) - h * h * radius / 4


OUTSIDE_POLYGON = np.concatenate([smooth_curve(OUTSIDE, 8), [[-0.2, 0.455], [-0.2, -0.5]]])
INSIDE_POLYGON = np.concatenate([smooth_curve(INSIDE, 8), [[-0.2, 0.62], [-0.2, -0.16]]])
DENTS = np.radians([95.0, 180.0, 265.0])


def parts(points: np.ndarray) -> dict[str, np.ndarray]:
    """Signed distance [N] of each part at `points` [N,3]."""
    x, y, z = points.T
    profile = np.stack([np.hypot(x, y), z], -1)
    ring = np.hypot((x - 0.50) / 1.0, (z - 0.05) / 1.0)  # loop in the xz plane
    return {
        "outside": polygon_distance(profile, OUTSIDE_POLYGON) - 0.01,
        "cavity": polygon_distance(profile, INSIDE_POLYGON),
        "band": np.hypot(profile[:, 0] - 0.425, (z - 0.30) / 1.25) - 0.036,
        "handle": np.hypot(ring - 0.25, y / 1.25) - 0.05,
        "knob": np.sqrt(x**2 + y**2 + (z + 0.15) ** 2) - 0.105,
        "dents": np.min(
            [np.sqrt((x - 0.58 * np.cos(a)) ** 2 + (y - 0.58 * np.sin(a)) ** 2 + (z - 0.03) ** 2) for a in DENTS], 0
        )
        - 0.19,
    }


def distance(points: np.ndarray) -> np.ndarray:
    """[N] signed distance of the whole object, negative inside."""
    d = parts(points)
    body = -smooth_union(-d["outside"], d["dents"], 0.02)
    solid = smooth_union(smooth_union(body, d["handle"], 0.04), d["band"], 0.015)
    hollow = -smooth_union(-solid, d["cavity"], 0.02)
    return smooth_union(hollow, d["knob"], 0.02)


def surface_nets(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V,3] in grid units, triangles [F,3]) of the zero set of `values` [X,Y,Z]."""
    inside = values < 0
    n = np.array(values.shape) - 1
    corners = [np.array(c) for c in np.ndindex(2, 2, 2)]

    def at(array: np.ndarray, corner: np.ndarray) -> np.ndarray:
        return array[tuple(slice(c, c + m) for c, m in zip(corner, n, strict=True))]

    count = sum(at(inside, c).astype(int) for c in corners)
    mixed = (count > 0) & (count < 8)
    index = np.full(mixed.shape, -1)
    index[mixed] = np.arange(mixed.sum())
    total, hits = np.zeros((mixed.sum(), 3)), np.zeros(mixed.sum())
    for a in corners:
        for axis in range(3):
            if a[axis]:
                continue
            b = a + np.eye(3, dtype=int)[axis]
            fa, fb = at(values, a)[mixed], at(values, b)[mixed]
            cross = (fa < 0) != (fb < 0)
            t = fa / np.where(cross, fa - fb, 1)
            total += np.where(cross[:, None], a + t[:, None] * (b - a), 0)
            hits += cross
    vertices = np.argwhere(mixed) + total / hits[:, None]
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        low = [slice(1, -1)] * 3
        low[axis] = slice(0, -1)
        high = list(low)
        high[axis] = slice(1, None)
        starts, ends = inside[tuple(low)], inside[tuple(high)]
        for flip, where in ((False, starts & ~ends), (True, ~starts & ends)):
            cell = np.argwhere(where) + np.array([0 if i == axis else 1 for i in range(3)])
            du, dv = np.eye(3, dtype=int)[u], np.eye(3, dtype=int)[v]
            quad = np.stack([index[tuple((cell - s).T)] for s in (du + dv, dv, 0 * du, du)], 1)
            quads.append(quad[:, ::-1] if flip else quad)
    quads = np.concatenate(quads)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def build_mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertices [V,3], unit normals [V,3], triangles [F,3]) of the object in the capture's frame."""
    shape = np.ceil((BOX[1] - BOX[0]) * CELLS_PER_UNIT).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(m) for m in shape), indexing="ij"), -1).reshape(-1, 3)
    points = BOX[0] + grid / CELLS_PER_UNIT
    values = np.concatenate([distance(chunk) for chunk in np.array_split(points, 64)]).reshape(shape)
    vertices, triangles = surface_nets(values)
    vertices = BOX[0] + vertices / CELLS_PER_UNIT

    def gradient(p: np.ndarray) -> np.ndarray:
        step = 5e-4 * np.eye(3)
        return np.stack([(distance(p + s) - distance(p - s)) / 1e-3 for s in step], -1)

    for _ in range(3):  # onto the surface itself
        g = gradient(vertices)
        move = distance(vertices)[:, None] * g / np.maximum((g * g).sum(1, keepdims=True), 0.25)
        vertices = vertices - np.clip(move, -0.3 / CELLS_PER_UNIT, 0.3 / CELLS_PER_UNIT)
    normals = gradient(vertices)
    return vertices, normals / np.linalg.norm(normals, axis=1, keepdims=True), triangles


# --- the materials --------------------------------------------------------------------------------------------------


def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(linear base colour [N,3], roughness [N], metallic [N]) at surface `points` [N,3]."""
    d = parts(points)
    x, y, z = points.T
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    color = np.empty((len(points), 3))
    roughness, metallic = np.full(len(points), 0.28), np.zeros(len(points))

    def put(where: np.ndarray, srgb: tuple[int, int, int], rough: float, metal: float = 0.0) -> None:
        color[where] = srgb_to_linear(np.array(srgb, float) / 255)
        roughness[where], metallic[where] = rough, metal

    put(np.ones(len(points), bool), (226, 214, 190), 0.28)  # cream glaze
    wave = 0.055 * np.sin(8 * angle)
    put((np.abs(z - 0.03 - wave) < 0.03) | (np.abs(z - 0.03 + wave) < 0.018), (28, 110, 120), 0.2)
    leaf = np.hypot((np.mod(angle * 8 / np.pi, 2) - 1) * 0.8, (z - 0.185) / 0.034)
    put(leaf < 0.55, (196, 84, 48), 0.35)
    put((z > -0.235) & (z < -0.2), (28, 110, 120), 0.2)
    checks = (np.mod(angle * 16 / np.pi, 2) < 1) ^ (z > -0.275)
    put((z < -0.235) & checks & (z > -0.315), (120, 44, 50), 0.35)
    put(d["dents"] < 0.008, (34, 62, 148), 0.15)  # cobalt dents
    put(z < -0.335, (164, 92, 62), 0.9)  # unglazed foot
    put((z < -0.335) & (np.abs(z + 0.39) < 0.014), (96, 50, 36), 0.9)
    inside = d["cavity"] < 0.012
    put(inside, (170, 206, 186), 0.4)  # mint inside
    petals = 0.245 + 0.065 * np.cos(9 * angle)
    put(inside & (radius < petals), (222, 170, 62), 0.5)
    put(inside & (radius < petals - 0.05), (138, 52, 60), 0.5)
    put(inside & (np.abs(z - 0.2) < 0.022), (40, 90, 100), 0.3)
    put(inside & (np.abs(z - 0.12) < 0.018) & (np.mod(angle * 12 / np.pi, 2) < 1), (40, 90, 100), 0.3)
    put(d["handle"] < np.minimum(d["outside"], np.abs(d["outside"])) - 0.004, (70, 46, 40), 0.75)  # leather handle
    stripes = (d["handle"] < d["outside"] - 0.004) & (np.mod(np.arctan2(z - 0.05, x - 0.5) * 10 / np.pi, 2) < 0.7)
    put(stripes, (170, 128, 84), 0.75)
    put((d["band"] < 0.004) & ~inside & (d["band"] < d["handle"]), (236, 190, 110), 0.27, 1.0)  # brass
    put((d["knob"] < 0.004), (226, 150, 120), 0.35, 1.0)  # copper
    return color, roughness, metallic


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
    """(base colour with coverage [H,W,4] premultiplied, roughness [H,W], metallic [H,W]), means over covered samples."""
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
    try:
        mi.set_variant("llvm_ad_rgb")
    except ImportError:
        mi.set_variant("scalar_rgb")
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
