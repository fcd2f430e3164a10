"""WGSL shading against engine/shading: random surfaces, grazing and facing away, every roughness, an HDR light."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import ShaderError
from engine.kernels.webgpu import Gpu, gpu
from engine.kernels.wgsl import compose
from engine.raster.texture import build_pyramid, texture_reference
from engine.shading import tone
from engine.shading.normal_map import bent_normal_reference
from engine.shading.split_sum import prefilter, shade
from engine.shading.webgpu import GpuLight, LightPrefilter, MipChain, SurfacePoints, shade_points

COUNT = 20_000


@pytest.fixture(scope="module")
def device() -> Gpu:
    return gpu()


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def hdr(height: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    radiance = random.gamma(0.5, 0.6, (height, 2 * height, 3))
    radiance[height // 4, height // 3] = (60, 50, 40)  # a sun
    return torch.tensor(radiance, dtype=torch.float32)


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0].astype(np.float32)


def surfaces(seed: int) -> SurfacePoints:
    random = np.random.default_rng(seed)
    normal, toward = unit(random.normal(size=(COUNT, 3))), unit(random.normal(size=(COUNT, 3)))
    grazing = random.uniform(-0.02, 0.02, (COUNT, 1))
    along = unit(toward - (toward * normal).sum(1, keepdims=True) * normal)
    toward[: COUNT // 4] = unit(along + grazing * normal)[: COUNT // 4]
    toward[COUNT // 4 : COUNT // 4 + 3] = normal[COUNT // 4 : COUNT // 4 + 3]
    normal *= random.uniform(0.5, 2, (COUNT, 1))
    roughness, metallic = random.uniform(0, 1, (2, COUNT))
    roughness[::7], roughness[1::7], metallic[::5], metallic[1::5] = 0, 1, 0, 1
    color, occlusion = random.uniform(0, 1, (COUNT, 3)), random.uniform(0, 1, COUNT)
    occlusion[::3] = 1
    return SurfacePoints(*(x.astype(np.float32) for x in (normal, toward, color, roughness, metallic, occlusion)))


def run(device: Gpu, body: str, inputs: np.ndarray, columns: int, extra: tuple = ()) -> np.ndarray:
    """[P,columns] of `fn value(i) -> vec4f`, for a few lines of WGSL that read `inputs` [P,C] as `rows`."""
    text = (
        f"{body}\n@group(0) @binding(0) var<storage, read> rows: array<f32>;\n"
        "@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;\n"
        "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {\n"
        "if (id.x < arrayLength(&out)) { out[id.x] = value(id.x); } }\n"
    )
    pipeline = device.compute(compose("probe", sources={"probe": text}), "main")
    out = device.buffer(len(inputs) * 16)
    encoder = device.encoder()
    device.dispatch(encoder, pipeline, [device.buffer(inputs), out, *extra], -(-len(inputs) // 64))
    device.submit(encoder)
    return device.read(out, np.float32, (len(inputs), 4))[:, :columns]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("height", [16, 32])
def test_split_sum_agrees_with_the_reference(device, height, turned):
    light, points = prefilter(hdr(height, 3)), surfaces(height)
    frame = rotation(5) if turned else np.eye(3, dtype=np.float32)
    found = shade_points(device, points, GpuLight.of(device, light, frame))
    arrays = points.normal, points.toward, points.base_color, points.roughness, points.metallic, points.occlusion
    double = type(light)(light.levels.double(), light.padded.double())
    expected = shade("reference", double, *(torch.tensor(x).double() for x in (frame, *arrays))).color.numpy()
    assert np.abs(found - expected).max() < 1e-4 * expected.max()
    kernel = shade("numba", light, *(torch.tensor(x) for x in (frame, *arrays))).color.numpy()
    assert np.abs(found - kernel).max() < 1e-4 * expected.max()


def test_a_light_is_prefiltered_on_the_device(device):
    radiance = hdr(16, 8)
    expected = prefilter(radiance)
    light, blurs = GpuLight(device, (16, 32)), LightPrefilter(device, (16, 32))
    encoder = device.encoder()
    blurs.encode(encoder, device.buffer(radiance.numpy()), light)
    device.submit(encoder)
    found = device.read(light.texels, np.float32, tuple(expected.padded.shape))
    assert np.abs(found - expected.padded.numpy()).max() < 2e-6 * float(radiance.max())
    with pytest.raises(ValueError, match="even width"):
        LightPrefilter(device, (4, 7))


def test_the_background_is_the_sharp_light(device):
    radiance, frame = hdr(16, 2), rotation(9)
    directions = unit(np.random.default_rng(1).normal(size=(4000, 3))).astype(np.float32)
    light = GpuLight.of(device, prefilter(radiance), frame)
    body = "#include background\nfn value(i: u32) -> vec4f {\n"
    body += "return vec4f(background(vec3f(rows[3u * i], rows[3u * i + 1u], rows[3u * i + 2u])), 1.0); }"
    text = (
        f"{body}\n@group(0) @binding(0) var<storage, read> rows: array<f32>;\n"
        "@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;\n"
        "@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {\n"
        "if (id.x < arrayLength(&out)) { out[id.x] = value(id.x); } }\n"
    )
    pipeline = device.compute(compose("probe", sources={"probe": text}), "main")
    out = device.buffer(len(directions) * 16)
    encoder = device.encoder()
    groups = device.bind(pipeline, [device.buffer(directions), out]), device.bind(pipeline, light.bindings, 1)
    device.dispatch(encoder, pipeline, groups, -(-len(directions) // 64))
    device.submit(encoder)
    found = device.read(out, np.float32, (len(directions), 4))[:, :3]
    from engine.shading.equirectangular import sample

    expected = sample(radiance.double(), None, torch.tensor(directions).double() @ torch.tensor(frame).double().T)
    assert np.abs(found - expected.numpy()).max() < 1e-4 * float(radiance.max())


@pytest.mark.parametrize("size", [(64, 32), (1, 16), (48, 80)])
def test_mips_equal_the_pyramid_of_the_processor(device, size):
    texture = np.random.default_rng(4).uniform(size=(*size, 3)).astype(np.float32)
    chain = MipChain(device, size, 3)
    pyramid = chain.buffer(texture)
    encoder = device.encoder()
    chain.encode(encoder, pyramid)
    device.submit(encoder)
    found = device.read(pyramid, np.float32, (chain.texels, 3))
    expected = build_pyramid(torch.from_numpy(texture))
    assert [tuple(level.shape[:2]) for level in expected] == chain.sizes
    assert np.abs(found - torch.cat([level.reshape(-1, 3) for level in expected]).numpy()).max() < 1e-6


def test_texture_look_up_is_trilinear(device):
    random = np.random.default_rng(6)
    texture = random.uniform(size=(32, 64, 1)).astype(np.float32)
    pyramid = build_pyramid(torch.from_numpy(texture))
    rows = np.concatenate([random.uniform(-0.1, 1.1, (4000, 2)), random.uniform(-1, 8, (4000, 1))], 1)
    rows = rows.astype(np.float32)
    body = """#include texture
@group(0) @binding(2) var<storage, read> texels: array<f32>;
fn looked_up(corners: Corners) -> f32 {
    let w = corners.weight;
    let i = corners.index;
    return w.x * texels[i.x] + w.y * texels[i.y] + w.z * texels[i.z] + w.w * texels[i.w];
}
fn value(i: u32) -> vec4f {
    let size = vec2u(64u, 32u);
    let uv = vec2f(rows[3u * i], rows[3u * i + 1u]);
    let last = texture_levels(size) - 1u;
    let level = clamp(rows[3u * i + 2u], 0.0, f32(last));
    let low = u32(level);
    let fine = looked_up(texture_corners(uv, size, low));
    let coarse = looked_up(texture_corners(uv, size, min(low + 1u, last)));
    return vec4f(mix(fine, coarse, level - f32(low)));
}"""
    packed = np.concatenate([level.numpy().reshape(-1) for level in pyramid])
    found = run(device, body, rows, 1, (device.buffer(packed),))
    uv, level = torch.tensor(rows[:, :2]), torch.tensor(rows[:, 2])
    expected = texture_reference([part.double() for part in pyramid], uv.double(), level.double()).numpy()
    assert np.abs(found - expected).max() < 1e-5


def test_normal_maps_bend_as_the_reference_does(device):
    random = np.random.default_rng(7)
    rows = random.normal(size=(4000, 10)).astype(np.float32)
    rows[:, 6] = np.sign(rows[:, 6])
    body = """#include normal_map
fn at(i: u32, k: u32) -> f32 { return rows[10u * i + k]; }
fn value(i: u32) -> vec4f {
    let normal = vec3f(at(i, 0u), at(i, 1u), at(i, 2u));
    let tangent = vec4f(at(i, 3u), at(i, 4u), at(i, 5u), at(i, 6u));
    return vec4f(bent_normal(normal, tangent, vec3f(at(i, 7u), at(i, 8u), at(i, 9u))), 0.0);
}"""
    found = run(device, body, rows, 3)
    parts = torch.tensor(rows).double().split([3, 4, 3], 1)
    assert np.abs(found - bent_normal_reference(*parts).numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("srgb_from_linear(x)", tone.srgb_from_linear),
        ("linear_from_srgb(x)", tone.linear_from_srgb),
        ("log_tone_map(x)", tone.log_tonemap),
        ("expose(x, 1.5)", lambda x: tone.expose(x, 1.5)),
        ("view_tone_map(x)", tone.view_tonemap),
    ],
)
def test_tone_curves_agree(device, call, expected):
    random = np.random.default_rng(11)
    rows = np.concatenate([random.uniform(-0.1, 1.2, (2000, 3)), random.gamma(0.3, 1, (2000, 3))]).astype(np.float32)
    body = "#include tone_map\nfn value(i: u32) -> vec4f {\n"
    body += f"let x = vec3f(rows[3u * i], rows[3u * i + 1u], rows[3u * i + 2u]);\nreturn vec4f({call}, 0.0); }}"
    reference = expected(torch.tensor(rows).double()).numpy()
    assert np.abs(run(device, body, rows, 3) - reference).max() < 1e-5 * max(1.0, np.abs(reference).max())


def test_a_users_shading_replaces_the_shading(device):
    points = surfaces(1)
    own = "#include surface\nfn shade(surface: Surface) -> vec3f {\n    return step(vec3f(0.5), surface.base_color);\n}"
    assert np.array_equal(shade_points(device, points, sources={"shading": own}), points.base_color >= 0.5)
    found = shade_points(device, points, shading="normal_color")
    assert np.abs(found - (0.5 * points.normal + 0.5)).max() < 1e-6
    assert np.array_equal(shade_points(device, points, shading="flat_color"), points.base_color)
    with pytest.raises(ShaderError, match="shading, line 3"):
        shade_points(device, points, sources={"shading": own.replace("step", "stop")})
