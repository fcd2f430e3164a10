"""The page that shows splats: whole in itself, and drawing what our splatters draw."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import ExchangeError
from engine.exchange.splat_html import packed_rotations, write_splat_html
from engine.scene.backdrop import Backdrop
from engine.scene.camera import Camera, look_at
from engine.scene.gaussians import KINDS, Gaussians

WIDTH, HEIGHT = 240, 180
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1", "--force-color-profile=srgb"),
    "--window-size=800,600",
]


def some(count: int = 300, degree: int = 3, kind: str = "gaussian") -> Gaussians:
    random = np.random.default_rng(3)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    harmonics = 0.15 * normal(count, (degree + 1) ** 2, 3)
    harmonics[:, 0] *= 8
    return Gaussians(
        0.6 * normal(count, 3),
        normal(count, 4),
        0.5 * normal(count, 3) - 2.2,
        2 * normal(count) + 0.5,
        harmonics,
        kind,
        random.uniform(1, 4, count).astype(np.float32) if kind == "exponential" else None,
    )


def camera() -> Camera:
    return look_at((2.5, 1, 2), (0, 0, 0), (0, 1, 0), 220, WIDTH, HEIGHT)


def fragment(view: Camera) -> str:
    pose = ",".join(repr(float(value)) for value in view.world_from_camera[:3].ravel())
    lens = ",".join(str(value) for value in (*view.focal, *view.centre))
    return f"pose={pose}&lens={lens}&size={view.width},{view.height}&plain"


def photographed(page, folder, address: str = "", *flags: str) -> np.ndarray:
    """[H,W,3] in [0,1]: the page in headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    picture = folder / "page.png"
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--screenshot={picture}"]
    run = subprocess.run([*command, f"{page.as_uri()}#{address}"], capture_output=True, text=True, timeout=600)
    assert picture.exists(), run.stderr[-2000:]
    return np.asarray(Image.open(picture).convert("RGB"), np.float32) / 255


def test_the_page_is_whole_and_names_nothing_outside_itself(tmp_path):
    write_splat_html(tmp_path / "a.html", some(5), [camera()], title="</script><b>&")
    page = (tmp_path / "a.html").read_text()
    assert not re.search(r"https?://|\{\{|<link(?! rel=\"icon\" href=\"data:)|src=|@import", page)
    assert "default-src 'none'" in page and "</script><b>" not in page
    scene = json.loads(re.search(r'<script id="scene"[^>]*>(.*?)</script>', page, re.S)[1])
    assert scene["count"] == 5 and scene["degree"] == 3 and scene["title"] == "</script><b>&"
    assert np.allclose(np.reshape(scene["cameras"][0]["pose"], (3, 4)), camera().world_from_camera[:3])


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (1, 2, 3)])
def test_without_cameras_the_page_begins_upright_with_all_in_view(tmp_path, up):
    splats = some(200)
    write_splat_html(tmp_path / "a.html", splats, up=up)
    page = (tmp_path / "a.html").read_text()
    scene = json.loads(re.search(r'<script id="scene"[^>]*>(.*?)</script>', page, re.S)[1])
    first = scene["cameras"][0]
    pose = np.vstack([np.reshape(first["pose"], (3, 4)), [0, 0, 0, 1]])
    begin = Camera(pose, tuple(first["focal"]), tuple(first["centre"]), *first["size"])
    pixels, depth = begin.project(splats.means)
    inside = ((pixels > 0) & (pixels < first["size"])).all(1) & (depth > 0)
    assert inside.mean() > 0.8 and pose[:3, 1] @ up < 0


def test_packed_rotations_are_within_a_thousandth():
    turns = some(500).rotations
    units = turns / np.linalg.norm(turns, axis=1, keepdims=True)
    words = packed_rotations(turns)
    parts = ((words[:, None] >> np.array([0, 10, 20], np.uint32)) & 1023) / 1023 * 2 - 1
    parts = parts / np.sqrt(2)
    largest = np.sqrt(1 - (parts**2).sum(1))
    back = np.array([np.insert(p, w >> 30, v) for p, w, v in zip(parts, words, largest, strict=True)])
    assert np.abs((back * units).sum(1)).min() > 1 - 2e-6


def test_what_cannot_be_shown_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ExchangeError, match="no splats"):
        write_splat_html(tmp_path / "a.html", some(3).select(np.zeros(3, bool)))
    monkeypatch.setattr("engine.exchange.splat_html.LARGEST", 200)
    with pytest.raises(ExchangeError, match="3 splats are too many for one page, which holds 2"):
        write_splat_html(tmp_path / "a.html", some(3))
    assert not list(tmp_path.iterdir())


def test_splats_are_sorted_the_farthest_first_and_those_behind_left_out(tmp_path):
    means = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    means[100:200, 2] = means[0, 2] = 0.5  # equal depths: the last first, as our splatters blend them
    source = (files("engine.exchange") / "splat_viewer" / "sort.js").read_text()
    script = tmp_path / "sort.js"
    data = ",".join(repr(float(value)) for value in means.ravel())
    asked = f"farthestFirst(new Float32Array([{data}]), [0, 0, 1, 0.25], 0.01).join()"
    script.write_text(f"globalThis.document = {{}};\n{source}\nconsole.log({asked});")
    node = Path(sys.executable).with_name("node")
    order = subprocess.run([node, script], capture_output=True, text=True, check=True, timeout=600).stdout
    depths = means[:, 2] + np.float32(0.25)
    front = np.flatnonzero(depths > 0.01)
    expected = front[np.lexsort((-front, -depths[front]))]
    assert np.array_equal(np.array(order.split(","), int), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "antialiased"])
def test_chromium_draws_what_our_splatter_draws(tmp_path, kind):
    from engine.splats import splatter
    from engine.splats.contract import SplatOptions
    from engine.splats.parameters import SplatTensors

    antialiased, view = kind == "antialiased", camera()
    splats = some(kind="gaussian" if antialiased else kind)
    if antialiased:  # and small enough to tell
        splats = replace(splats, antialiased=True, log_scales=splats.log_scales - 2)
    write_splat_html(tmp_path / "a.html", splats)
    shown = photographed(tmp_path / "a.html", tmp_path, fragment(view))[:HEIGHT, :WIDTH]
    image = splatter("reference").render(SplatTensors.of(splats), view, SplatOptions(antialiased=antialiased))
    expected = image.color.detach().numpy().clip(0, 1)
    psnr = -10 * np.log10(np.mean((shown - expected) ** 2))
    if psnr < 45:
        for name, picture in (("shown", shown), ("expected", expected), ("difference", np.abs(shown - expected))):
            Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    assert expected.std() > 0.05 and psnr >= 45, f"{psnr:.1f} dB; see {tmp_path}"


@pytest.mark.slow
def test_chromium_draws_the_backdrop_where_our_renderer_does(tmp_path):
    from engine.optimize.splat_renderer import SplatRenderer

    random = np.random.default_rng(5)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn[:, 0] *= np.linalg.det(turn)
    backdrop = Backdrop(random.random((6, 12, 3)).astype(np.float32), turn)
    splats, view = some(60), camera()
    write_splat_html(tmp_path / "a.html", splats, background=backdrop)
    shown = photographed(tmp_path / "a.html", tmp_path, fragment(view))[:HEIGHT, :WIDTH]
    expected = SplatRenderer(splats, backdrop).image(view).color.numpy().clip(0, 1)
    psnr = -10 * np.log10(np.mean((shown - expected) ** 2))
    assert expected.std() > 0.05 and psnr >= 45, f"{psnr:.1f} dB"


@pytest.mark.slow
def test_keys_and_pointer_move_the_view(tmp_path):
    """A script in the page plays a visitor, by a clock of its own; the page says afterwards where it stands."""
    second = look_at((-2.0, 1, 2), (0, 0, 0), (0, 1, 0), 220, WIDTH, HEIGHT)
    write_splat_html(tmp_path / "a.html", some(50), [camera(), second], title="moved")
    clock = """<script>
    const waiting = [];
    let now = 0;
    window.requestAnimationFrame = (draw) => waiting.push(draw);
    const draw = () => { now += 100; for (const each of waiting.splice(0)) each(now); };
    </script>"""
    played = """<script>
    const canvas = document.getElementById("canvas");
    canvas.setPointerCapture = () => {};
    const point = (name, clientX, clientY) =>
      canvas.dispatchEvent(new PointerEvent(name, {pointerId: 1, clientX, clientY, buttons: 1}));
    const key = (code) => dispatchEvent(new KeyboardEvent("keydown", {code}));
    const told = [];
    const tell = () => { key("KeyP"); told.push(location.hash.slice(6)); };
    tell();
    point("pointerdown", 100, 100); point("pointermove", 140, 100); point("pointerup", 140, 100); tell();
    canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: -300})); tell();
    key("KeyR"); tell();
    const release = (code) => dispatchEvent(new KeyboardEvent("keyup", {code}));
    for (const code of ["KeyW", "KeyS", "KeyD", "KeyA", "KeyQ", "KeyE"]) {
      key("KeyR"); key(code); draw(); release(code); draw(); tell();
    }
    key("KeyR"); key("KeyF");
    point("pointerdown", 100, 100); point("pointermove", 140, 100); point("pointerup", 140, 100); tell();
    key("BracketRight"); tell(); key("BracketLeft"); tell();
    const text = document.createElement("pre");
    text.id = "told";
    text.textContent = told.join(" ");
    document.body.append(text);
    </script></body>"""
    page = tmp_path / "a.html"
    written = page.read_text()
    extent = json.loads(re.search(r'<script id="scene"[^>]*>(.*?)</script>', written, re.S)[1])["extent"]
    page.write_text(written.replace('<script id="scene"', clock + '<script id="scene"').replace("</body>", played))
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    text = subprocess.run(command, capture_output=True, text=True, timeout=600).stdout
    poses = re.search(r'<pre id="told">(.*?)</pre>', text)[1].split(" ")
    places = [np.reshape([float(v) for v in pose.split(",")], (3, 4)) for pose in poses]
    start, orbited, nearer, again, *flown, looked, other, back = places
    assert np.allclose(start, camera().world_from_camera[:3], atol=1e-5) and np.allclose(again, start, atol=1e-5)
    centre = start[:, 3] + start[:, 2] * np.linalg.norm(start[:, 3])  # of the orbit, near the middle of the splats
    assert np.linalg.norm(orbited[:, 3] - start[:, 3]) > 0.3
    assert (orbited[:, 3] - start[:, 3]) @ start[:, 0] < 0  # drag to the right: step to the left
    assert abs(np.linalg.norm(orbited[:, 3] - centre) - np.linalg.norm(start[:, 3] - centre)) < 0.1
    assert np.linalg.norm(nearer[:, 3]) < np.linalg.norm(orbited[:, 3]) - 0.3
    assert np.allclose(orbited[:, :3] @ orbited[:, :3].T, np.eye(3), atol=1e-5)
    right, down, forward = start[:, :3].T
    for pose, along in zip(flown, (forward, -forward, right, -right, down, -down), strict=True):
        assert np.allclose(pose[:, 3] - start[:, 3], 0.04 * extent * along, atol=1e-4), "a tenth of a second"
        assert np.allclose(pose[:, :3], start[:, :3], atol=1e-5)
    assert np.allclose(looked[:, 3], start[:, 3], atol=1e-5) and not np.allclose(looked, start, atol=0.05)
    assert np.allclose(other, second.world_from_camera[:3], atol=1e-5) and np.allclose(back, start, atol=1e-5)
