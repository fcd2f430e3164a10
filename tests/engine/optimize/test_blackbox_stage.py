"""Recipes through black-box shading from photos to asset: on the device, on the processor, subdivided, and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

import assets
from engine.capture import open_capture
from engine.errors import GeometryError, OnlyDeviceLost, RecipeError, ShaderError
from engine.exchange import read_mesh
from engine.exchange.synthesize import synthesize
from engine.optimize.messages import Notice
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.stochastic import StochasticLoop
from engine.shading.blackbox import allow_scripts, open_shading

TOON = Path(assets.__file__).parent / "shadings" / "toon.py"
SMALL = ("hull.resolution=20", "cage.faces=150", "cage.texture_size=64", "export.obj=false", "export.ply=false")


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Twelve small pictures of an egg, drawn by the toon shading."""
    folder = tmp_path_factory.mktemp("shaded")
    egg = trimesh.creation.icosphere(2)
    egg.apply_scale([0.7, 1.0, 0.8])
    egg.export(folder / "egg.obj", include_normals=False)
    synthesize(folder / "egg.obj", None, folder / "capture", views=12, size=32, samples=4, shading=open_shading("toon"))
    return open_capture(folder / "capture")


@pytest.fixture
def trusting():
    """Python files may run."""
    allow_scripts()
    yield
    allow_scripts(False)


def finished(capture, out: Path, name: str, *overrides: str) -> Session:
    session = Session.create(capture, load_recipe(name, [*SMALL, *overrides]), out, device="cpu")
    session.run()
    return session


def test_toon_runs_on_the_device_and_is_measured_as_it_is_shaded(capture, tmp_path, trusting):
    bad, heard = tmp_path / "bad.py", []
    bad.write_text("def shade(surface):\n    return np.where(surface.pixel[:, :1] < 12, np.nan, surface.base_color)\n")
    with finished(capture, tmp_path / "out", "toon", "blackbox.steps=12") as session:
        shaded = session.evaluate()
        session.recipe.shading.name = "pbr"
        session.recipe.shading.file = ""
        plain = session.evaluate()
        session.recipe.shading.file = str(bad)
        session.listen(lambda message: heard.append(message.text) if isinstance(message, Notice) else None)
        wrong = session.evaluate()
    assert shaded["psnr"] > plain["psnr"] + 1
    assert shaded["not_finite_points"] == 0 and wrong["not_finite_points"] > 100 and np.isfinite(wrong["psnr"])
    assert any("bad.py returned NaN or infinity for" in text and "count as black" in text for text in heard)
    assert shaded["psnr"] > 15
    assert {record["name"]: record["steps"] for record in session.stage_records}["blackbox"] == 12


def test_a_python_shading_runs_without_an_adapter(capture, tmp_path, monkeypatch, trusting):
    monkeypatch.setattr("engine.kernels.adapters.adapters", lambda: [])
    monkeypatch.setattr("engine.kernels.webgpu.gpu", lambda: pytest.fail("the GPU was asked for"))
    with finished(capture, tmp_path / "out", "toon", f"shading.file={TOON}", "blackbox.steps=4") as session:
        assert session.evaluate()["psnr"] > 15


@pytest.mark.parametrize("device", ["cpu", "webgpu"])
def test_a_device_lost_for_good_ends_the_run_with_advice_that_helps(capture, tmp_path, monkeypatch, device):
    heard: list[str] = []
    recipe = load_recipe("toon", [*SMALL, "cage.faces=60", "blackbox.steps=6"])
    with Session.create(capture, recipe, tmp_path / "out", device=device) as session:
        session.listen(lambda message: heard.append(message.text) if isinstance(message, Notice) else None)
        while session.index < 2 or session.stage_name != "blackbox":
            session.step()
        submit = StochasticLoop._encoded
        monkeypatch.setattr(StochasticLoop, "_encoded", lambda self, *_: self.gpu.destroy() or submit(self, *_))
        with pytest.raises(OnlyDeviceLost, match="UNRENDER_GPU .*, or write the shading as a Python file") as error:
            session.run()
    assert "--device cpu" not in str(error.value)
    assert not any("instead" in text for text in heard)


def test_resume_gives_the_same_numbers(capture, tmp_path):
    chosen = [*SMALL, "cage.faces=60", "blackbox.steps=6"]
    ends = []
    for stop in (None, 3):
        session = Session.create(capture, load_recipe("toon", chosen), tmp_path / str(stop), device="cpu")
        session.run(until=stop)
        session.close()
        if stop is not None:
            session = Session.open(tmp_path / str(stop), capture=capture)
            session.run()
            session.close()
        ends.append((session.context.scene.mesh.vertices, session.context.scene.material.base_color))
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_subdivided_surface_and_its_cage_are_exported(capture, tmp_path):
    chosen = ["shading.name=toon", "subdivision.steps=4", "subdivision.levels=1", "subdivision.displacement_size=32"]
    chosen += ["volume.steps=20", "volume.resolution=24", "volume.rays=256"]
    with finished(capture, tmp_path / "out", "subdivision", *chosen) as session:
        scene = session.context.scene
    cage = read_mesh(tmp_path / "out" / "exports" / "cage.ply")
    assert len(scene.mesh.triangles) == 4 * len(cage.triangles)
    assert np.array_equal(scene.tensors["cage.vertices"].numpy(), cage.vertices)
    assert scene.tensors["cage.displacement"].shape == (32, 32)
    assert (tmp_path / "out" / "exports" / "asset.glb").exists()


def test_what_cannot_start_is_refused_before_a_project_is_made(capture, tmp_path):
    def create(*overrides: str) -> None:
        Session.create(capture, load_recipe("toon", [*SMALL, *overrides]), tmp_path / "out", device="cpu")

    with pytest.raises(RecipeError, match="cannot start with optimize.gradient=analytic: .*toon, whose derivative"):
        create("optimize.gradient=analytic")
    with pytest.raises(RecipeError, match="is a Python program"):
        create(f"shading.file={TOON}")
    bad = tmp_path / "bad.wgsl"
    bad.write_text("fn shade(surface: Surface) -> vec3f {\n    return surface.colour;\n}\n")
    with pytest.raises(ShaderError, match=r"bad\.wgsl, line 2"):
        create(f"shading.file={bad}")
    assert not (tmp_path / "out").exists()


def test_autograd_has_nothing_to_say_about_the_shipped_examples():
    """Why the analytic engine cannot start: through an output that is looked up, every derivative is 0."""
    from engine.shading.points import SurfacePoints

    random = np.random.default_rng(5)
    normal = random.normal(size=(2000, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    color, one = random.random((2000, 3), np.float32), np.ones(2000, np.float32)
    palette, step = open_shading("palette"), np.float32(1e-5)
    first = palette.shade(SurfacePoints(normal, normal, color, one, one))
    second = palette.shade(SurfacePoints(normal, normal, color + step, one, one))
    assert (first != second).any(1).mean() < 1e-3


def test_a_cage_can_start_in_the_photos_mean_colours(capture, tmp_path):
    shown = [capture.pixels(index) for index in capture.train]
    mean = np.concatenate([pixels.color[pixels.mask > 0.5] for pixels in shown]).mean(0)
    colors = {}
    for name, told in (("toon", "false"), ("flat_color", "true"), ("lamp", "true")):
        chosen = ("stages=hull,cage", f"shading.name={name}", f"cage.colors={told}", "run.evaluate=false")
        with finished(capture, tmp_path / name, "toon", *chosen) as session:
            colors[name] = session.context.scene.material.base_color.mean((0, 1))
    np.testing.assert_allclose(colors["toon"], 0.5)
    np.testing.assert_allclose(colors["flat_color"], mean, atol=0.1)
    assert (colors["lamp"] > 1.2 * colors["flat_color"]).all(), "the lamp darkens what it shows"


def test_a_cage_whose_texture_is_too_small_names_its_own_options(capture, tmp_path):
    with pytest.raises(GeometryError, match=r"do not fit .*; raise cage\.texture_size or lower cage\.padding$"):
        finished(capture, tmp_path / "out", "toon", "stages=hull,cage", "cage.texture_size=8")


def test_a_cage_is_made_of_the_surface_that_later_stages_dug(capture, tmp_path):
    recipe = load_recipe("toon", [*SMALL, "stages=hull,cage", "run.evaluate=false"])
    with Session.create(capture, recipe, tmp_path / "out", device="cpu") as session:
        session.step()
        scene = session.context.scene
        hull = np.ptp(scene.hull.vertices, axis=0)
        scene.field = scene.field + np.float32(0.1)
        session.step()
        np.testing.assert_allclose(np.ptp(scene.mesh.vertices, axis=0), hull - 0.2, atol=0.06)
