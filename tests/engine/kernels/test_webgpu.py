"""The WebGPU device: arithmetic, limits, errors that name lines, and what happens when it is lost or hangs."""

import threading

import numpy as np
import pytest

from engine.errors import DeviceError, ShaderError
from engine.kernels import adapters as found
from engine.kernels.adapters import NONE_FOUND, Adapter, adapters, choose_adapter
from engine.kernels.readback import Waiter, _Question
from engine.kernels.webgpu import DeviceFull, DeviceLost, Gpu, fold, gpu, recovering
from engine.kernels.wgsl import compose

DOUBLE = """// Provides: an entry point that doubles
#constant WIDTH = 64
#include factor
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(WIDTH)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WIDTH + lane;
    if i < arrayLength(&data) {
        data[i] = factor() * data[i];
    }
}
"""
FACTOR = "fn factor() -> f32 {\n    return 2.0;\n}\n"


def doubling(factor: str = FACTOR, **constants):
    return compose("double", sources={"double": DOUBLE, "factor": factor}, constants=constants)


def doubled(device: Gpu, values: np.ndarray, most: int | None = None) -> np.ndarray:
    pipeline = device.compute(doubling(), "main")
    buffer, encoder = device.buffer(values), device.encoder()
    groups = -(-len(values) // 64)
    device.dispatch(encoder, pipeline, [buffer], groups if most is None else fold(groups, most))
    device.submit(encoder)
    return device.read(buffer, np.float32, values.shape)


@pytest.mark.parametrize("most", [None, 7])
def test_a_dispatch_reaches_every_element_also_when_folded(most):
    values = np.arange(2999, dtype=np.float32)
    assert np.array_equal(doubled(gpu(), values, most), 2 * values)


def test_workgroups_fold_into_rows_that_hold_them_all():
    assert fold(0, 65535) == (0, 1, 1) and fold(65535, 65535) == (65535, 1, 1)
    for groups in (65536, 1_000_000, 65535 * 65535):
        x, y, z = fold(groups, 65535)
        assert x * y >= groups > x * (y - 1) and max(x, y) <= 65535 and z == 1
    with pytest.raises(DeviceError, match="more than one dispatch holds"):
        fold(65535 * 65535 + 1, 65535)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.uint32])
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_what_is_written_is_read_back(dtype, count):
    values = np.random.default_rng(count).integers(0, 100, count).astype(dtype)
    assert np.array_equal(gpu().read(gpu().buffer(values), dtype, count), values)


def test_images_come_back_without_the_padding_of_their_rows():
    image = np.random.default_rng(0).integers(0, 2**32, (5, 70), dtype=np.uint32)
    texture = gpu().texture((5, 70), "r32uint", "COPY_DST|COPY_SRC")
    gpu().device.queue.write_texture(
        {"texture": texture}, image, {"bytes_per_row": 280, "rows_per_image": 5}, (70, 5, 1)
    )
    encoder = gpu().encoder()
    whole, padded = (gpu().readback_image(encoder, texture, np.uint32) for _ in range(2))
    gpu().submit(encoder)
    assert np.array_equal(whole.array(), image)
    assert padded.use(lambda rows: rows.shape == (5, 128) and np.array_equal(rows[:, :70], image), padded=True)


def test_readings_of_several_threads_do_not_mix():
    seen = {}

    def work(number: int) -> None:
        seen[number] = all(
            np.array_equal(doubled(gpu(), np.full(500, number, np.float32)), np.full(500, 2.0 * number))
            for _ in range(5)
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert seen == {0: True, 1: True, 2: True}


def test_a_pipeline_is_compiled_once_also_when_prepared():
    source = doubling(WIDTH=32)
    gpu().prepare(source, "main")
    assert gpu().compute(source, "main") is gpu().compute(doubling(WIDTH=32), "main")
    assert gpu().compute(source, "main") is not gpu().compute(doubling(WIDTH=16), "main")


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        ("fn factor() -> f32 {\n    return y;\n}\n", r"shader factor, line 2, column 12 \(part of double\): .*`y`"),
        ("// a\nfn factor() -> f32 {\n    return 1u;\n}\n", r"shader factor, line 3, column 12 .*: return 1u;"),
        (
            "fn factor() -> f32 {\n    var a = 1.0;\n    a = vec2f(1.0);\n    return a;\n}\n",
            r"line 3, column 9 .*: a = vec2f",
        ),
        (
            "fn factor() -> f32 {\n    let a = 1.0;\n    if (a) {\n        return a;\n    }\n    return 0.0;\n}\n",
            "line 3.*if",
        ),
        ("fn factor() -> f32 {\n    let a = 1.0;\n    // }\n}\n", r"line 4.*without returning"),
        (
            "fn factor() -> f32 {\n    let a = 1.0;\n    return dot(a, vec3f(1.0));\n}\n",
            r"line 3, column 12 .*argument #1 to `dot`",
        ),
        (
            "fn half(x: f32) -> f32 {\n    return 0.5 * x;\n}\nfn factor() -> f32 {\n    let a = vec2f(1.0);\n"
            "    return half(a);\n}\n",
            r"line 6, column 12 .*argument number 0",
        ),
        (
            "fn factor() -> f32 {\n    let a = vec2f(1.0) + vec3f(1.0);\n    return a.x;\n}\n",
            r"line 2, column 13 .*vec2<f32> and vec3<f32>",
        ),
        ("fn a() {}\nfn a() {}\nfn factor() -> f32 {\n    return 1.0;\n}\n", "line 2, column 4 .*redefinition of `a`"),
        ("fn factor() -> f32 {\n    return 1.0\n}\n", r"shader factor, line 3, column 1 .*expected `;`"),
    ],
)
def test_a_compile_error_names_the_included_source_and_its_line(factor, said):
    with pytest.raises(ShaderError, match=said):
        gpu().compute(doubling(factor), "main")
    assert not gpu().lost


def test_an_entry_point_that_is_not_there_is_an_error():
    with pytest.raises(ShaderError, match="shader double: Unable to find entry point 'other'"):
        gpu().compute(doubling(), "other")


def test_buffers_may_be_as_large_as_the_adapter_allows():
    device = Gpu()
    for name in ("max-buffer-size", "max-storage-buffer-binding-size"):
        assert device.limits[name] == device.adapter.limits[name]
    assert device.limits["max-buffer-size"] > 256 * 2**20  # WebGPU's default


def test_what_exceeds_a_limit_is_told_in_one_sentence():
    device = Gpu()
    device.limits.update(
        {"max-buffer-size": 4000, "max-storage-buffer-binding-size": 1024, "max-texture-dimension-2d": 64}
    )
    with pytest.raises(DeviceError, match=r"photo of 65x10 pixels is larger than .* allows \(64x64\)"):
        device.texture((10, 65), "rgba8unorm", "COPY_DST", label="photo")
    with pytest.raises(DeviceError, match="larger than .* allows"):
        device.buffer(4004)
    with pytest.raises(DeviceError, match="corners of .* lets a shader see at once"):
        device.bind(device.compute(doubling(), "main"), [device.buffer(2048, label="corners")])


def test_memory_that_runs_out_is_an_error_that_a_session_knows(monkeypatch):
    import wgpu

    def create(**_):
        raise wgpu.GPUOutOfMemoryError("Not enough memory left")

    device = Gpu()
    monkeypatch.setattr(device.device, "create_buffer", create)
    with pytest.raises(DeviceFull, match="has no memory left") as error:
        device.buffer(1 << 20)
    assert isinstance(error.value, MemoryError) and isinstance(error.value, DeviceError)


def test_wrong_use_is_a_device_error_and_no_loss():
    device = gpu()
    with pytest.raises(DeviceError, match="binding buffers failed") as error:
        device.bind(device.compute(doubling(), "main"), [device.buffer(64, usage="COPY_DST")])
    assert not isinstance(error.value, DeviceLost) and not device.lost and gpu() is device


USES = {
    "write": lambda device, buffer, pipeline: device.write(buffer, np.zeros(4, np.float32)),
    "read": lambda device, buffer, pipeline: device.read(buffer, np.float32, 4),
    "reserve": lambda device, buffer, pipeline: device.buffer(64),
    "image": lambda device, buffer, pipeline: device.texture((4, 4), "r32uint", "COPY_SRC"),
    "bind": lambda device, buffer, pipeline: device.bind(pipeline, [buffer]),
    "submit": lambda device, buffer, pipeline: device.submit(device.encoder()),
    "compile": lambda device, buffer, pipeline: device.compute(doubling(WIDTH=8), "main"),
    "wait": lambda device, buffer, pipeline: device.wait(),
}


@pytest.mark.parametrize("use", USES)
def test_every_use_of_a_lost_device_says_so(use):
    device = Gpu()
    buffer, pipeline = device.buffer(64), device.compute(doubling(), "main")
    device.destroy()
    with pytest.raises(DeviceLost, match="was lost while .*use --device cpu"):
        USES[use](device, buffer, pipeline)
    assert device.lost


def test_work_is_repeated_once_on_a_new_device():
    values, tried = np.arange(100, dtype=np.float32), []

    def work(device: Gpu) -> np.ndarray:
        tried.append(device)
        if len(tried) == 1:
            device.destroy()
        return doubled(device, values)

    assert np.array_equal(recovering(work), 2 * values)
    assert len(tried) == 2 and tried[0] is not tried[1] and gpu() is tried[1]


def test_a_second_loss_is_the_error():
    def work(device: Gpu) -> None:
        device.destroy()
        device.wait()

    with pytest.raises(DeviceLost):
        recovering(work)
    assert np.array_equal(doubled(gpu(), np.ones(3, np.float32)), [2, 2, 2])


def test_a_device_that_does_not_answer_counts_as_lost(monkeypatch):
    monkeypatch.setattr(Waiter, "unanswered", False)
    device, over = Gpu(), threading.Event()
    device.waiter._asked.put(_Question(over.wait))  # the driver is at something that does not end
    device.answer_seconds = 0.05
    try:
        with pytest.raises(DeviceLost, match="did not answer within 0.05 s"):
            device.wait()
    finally:
        over.set()
    assert device.lost and Waiter.unanswered


def adapter(name: str, kind: str, backend: str = "Vulkan") -> Adapter:
    return Adapter(name, kind, backend, "", {})


@pytest.fixture
def several(monkeypatch):
    listed = [
        adapter("Iris", "integrated"),
        adapter("llvmpipe", "software"),
        adapter("Radeon", "discrete", "OpenGL"),
        adapter("Arc", "discrete"),
    ]
    monkeypatch.setattr(found, "_adapters", lambda: tuple(sorted(listed, key=found._order)))
    monkeypatch.delenv("UNRENDER_GPU", raising=False)


def test_discrete_adapters_come_first_and_software_last(several):
    assert [a.name for a in adapters()] == ["Arc", "Radeon", "Iris", "llvmpipe"]
    assert choose_adapter().name == "Arc"


@pytest.mark.parametrize(("wanted", "name"), [("software", "llvmpipe"), ("2", "Iris"), ("radeon", "Radeon")])
def test_an_adapter_can_be_chosen_by_kind_number_and_name(several, monkeypatch, wanted, name):
    monkeypatch.setenv("UNRENDER_GPU", wanted)
    assert choose_adapter().name == name


@pytest.mark.parametrize("wanted", ["4", "abacus"])
def test_a_choice_that_is_not_there_is_an_error_that_lists_what_is(several, monkeypatch, wanted):
    monkeypatch.setenv("UNRENDER_GPU", wanted)
    with pytest.raises(DeviceError, match=rf"UNRENDER_GPU={wanted}: .*0: Arc \(discrete\).*3: llvmpipe \(software\)"):
        choose_adapter()


def test_no_adapter_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(found, "_adapters", lambda: ())
    with pytest.raises(DeviceError, match="mesa-vulkan-drivers.*--device cpu"):
        choose_adapter()
    assert "\n" not in NONE_FOUND


def test_this_machine_has_an_adapter_with_the_limits_that_are_relied_on():
    limits = choose_adapter().limits
    assert limits["max-storage-buffers-per-shader-stage"] >= 8
    assert limits["max-storage-buffer-binding-size"] >= 128 * 2**20
    assert limits["max-compute-invocations-per-workgroup"] >= 256
