"""The recipe: which stages run and every option they have, each defined once with its meaning, unit and range."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from engine.errors import RecipeError
from engine.optimize.options import from_toml, option, set_option

SCHEMA_VERSION = 1


@dataclass
class CaptureSection:
    """How the photographs are read."""

    masks: str = option("", "folder of masks, one per photo with the same stem; white is the object", path="folder")
    region: tuple[float, ...] = option((), "box x0,y0,z0,x1,y1,z1 that holds the object", unit="capture units")
    color_key: tuple[float, ...] = option((), "background colour r,g,b to remove", unit="sRGB 0-255", low=0, high=255)
    color_tolerance: float = option(
        40.0, "distance from that colour that counts as background", unit="sRGB 0-255", low=1.0, high=442.0
    )
    max_size: int = option(
        0, "longest image side after scaling down; 0 keeps the photos' size", unit="px", low=32, or_zero=True
    )
    up: str = option("", "world up axis: +x, -x, +y, -y, +z or -z; empty takes the capture's own")
    skip_bad_frames: bool = option(False, "go on without the frames that cannot be read")
    allow_outside: bool = option(False, "allow image paths that leave the capture's folder")
    cache_megabytes: int = option(1024, "memory for decoded photos", unit="MB", low=64, high=65536)


@dataclass
class LightSection:
    """The environment light that is recovered."""

    frame: Literal["world", "camera"] = option(
        "world", "what the light is fixed to: the world, or a camera on a turntable"
    )
    height: int = option(32, "rows of the environment map; it is twice as wide", unit="texels", low=8, high=128)
    initial: float = option(0.8, "radiance of the grey light to start from", low=0.01, high=100.0)
    learning_rate: float = option(0.12, "Adam step of the light's logarithm", low=0.0, high=1.0, live=True)
    neutral: float = option(
        0.005, "weight that draws the light towards grey: anchors base colour's hue", low=0.0, live=True
    )
    smoothness: float = option(0.001, "weight of differences between neighbouring texels", low=0.0, live=True)
    scale: float = option(0.01, "weight that holds the mean radiance: anchors base colour's scale", low=0.0, live=True)


@dataclass
class OptimizeSection:
    """How the photo loss is differentiated, in the stages shape, refine and splats."""

    gradient: Literal["analytic", "stochastic"] = option(
        "analytic", "analytic: autograd and antialiased edges; stochastic: random perturbation, works with any shading"
    )
    eps: float = option(0.4, "how far stochastic gradients move vertices", unit="px", low=0.05, high=2.0, live=True)
    on_device: bool = option(
        False,
        "stage refine with stochastic gradients on WebGPU: materials and light as well, all on the device",
    )
    recursion: float = option(
        1.0,
        "share of each new sample in a recursive estimate, less noisy but drawn twice as often, in stages blackbox, "
        "subdivision and, on_device, refine; 1: none",
        low=0.01,
        high=1.0,
    )
    float_atomics: bool = option(
        False,
        "sum stochastic gradients on WebGPU in floating point: finer, not the same bits in every run, and only on "
        "adapters that can; in stages blackbox, subdivision and, on_device, refine",
    )
    cameras: bool = option(
        False,
        "move the training photos' cameras too, in the stages shape, refine and splats; those of test photos follow "
        "their neighbours, and exports/cameras.json holds all",
        live=True,
    )
    intrinsics: bool = option(
        False, "with the cameras: one change of focal lengths and centre for all photos", live=True
    )
    learning_rate_cameras: float = option(
        0.0003, "Adam step of cameras in radians and scene radii; falls to a tenth", low=0.0, high=0.1, live=True
    )
    eps_end: float = option(0.2, "the same at a stage's end; 0 keeps eps", unit="px", low=0.0, high=2.0, live=True)


@dataclass
class MaterialSection:
    """What the surface is taken to be made of before the photos say otherwise."""

    roughness: float = option(0.6, "roughness to start from", low=0.05, high=0.99)
    metallic: float = option(0.05, "metallic to start from; raise it for objects of bare metal", low=0.01, high=0.99)


@dataclass
class HullSection:
    """The visual hull carved from the masks."""

    resolution: int = option(96, "cells along the box's side", unit="cells", low=16, high=256)


@dataclass
class VolumeSection:
    """A radiance volume inside the hull that digs the concavities no mask shows."""

    steps: int = option(1000, "steps; 0 leaves the hull as it is", unit="steps", low=0)
    resolution: int = option(96, "cells along the box's side; the first steps use a third", low=16, high=256)
    rays: int = option(4096, "rays per step", unit="rays", low=256, high=1_000_000, live=True)
    image_size: int = option(256, "longest image side in this stage", unit="px", low=32)
    learning_rate: float = option(0.1, "Adam step of raw density and colour", low=0.0, high=10.0, live=True)
    smoothness: float = option(0.0003, "weight of differences between neighbouring corners", low=0.0, live=True)
    keep_hull: bool = option(True, "keep the hull where photos agree about its surface as well as about what was dug")
    mask: float = option(0.02, "weight of the mask against the colour", low=0.0, live=True)


@dataclass
class StereoSection:
    """Depth from matched photographs, taken where it explains them better than the shape found so far."""

    image_size: int = option(
        400, "longest image side in this stage; 0 leaves the stage out", unit="px", low=32, or_zero=True
    )
    resolution: int = option(128, "cells along the box's side", unit="cells", low=16, high=256)
    margin: float = option(0.0, "by how much the photos must prefer the stereo shape", unit="dB")


@dataclass
class ShapeSection:
    """FlexiCubes started from the hull: masks first, then colour."""

    mask_steps: int = option(60, "steps that fit the masks alone", unit="steps", low=0)
    steps: int = option(700, "steps in all", unit="steps", low=0)
    resolution: int = option(64, "cells along the box's side", unit="cells", low=16, high=192)
    batch: int = option(2, "photos per step", unit="photos", low=1, high=64, live=True)
    image_size: int = option(256, "longest image side in this stage", unit="px", low=32)
    geometry: bool = option(True, "change the shape", live=True)
    material: bool = option(True, "change the material field", live=True)
    light: bool = option(True, "change the environment", live=True)
    learning_rate: float = option(0.03, "Adam step of the distance field", unit="cells", low=0.0, high=1.0, live=True)
    learning_rate_field: float = option(0.01, "Adam step of the material field", low=0.0, high=1.0, live=True)
    mask: float = option(4.0, "weight of the mask loss", low=0.0, live=True)
    smoothness: float = option(0.3, "weight of bending between neighbouring faces", low=0.0, live=True)
    l_dev: float = option(0.1, "weight of FlexiCubes' deviation regularizer", low=0.0, live=True)
    entropy: float = option(0.002, "weight of the field's sign-change entropy, against floaters", low=0.0, live=True)
    material_smoothness: float = option(0.02, "weight of the material field's variation", low=0.0, live=True)


@dataclass
class MeshSection:
    """From the iso-surface to a textured mesh: components, simplification, unwrap, bake."""

    faces: int = option(12000, "face budget after simplification", unit="faces", low=100, high=2_000_000)
    texture_size: int = option(1024, "side of the square textures", unit="texels", low=64, high=8192)
    component_share: float = option(0.01, "smaller components, by area, are removed", low=0.0, high=1.0)
    face_cap: int = option(200_000, "most faces the unwrap accepts", unit="faces", low=100)
    padding: int = option(4, "gutter between charts", unit="texels", low=1, high=32)
    occlusion_rays: int = option(64, "rays per texel for ambient occlusion; 0 leaves it out", low=0, high=4096)


@dataclass
class RefineSection:
    """Mesh, textures and light together, on a fixed topology."""

    mesh: str = option(
        "",
        "mesh to start from (GLB, OBJ or PLY in the capture's frame, or a GLB with +Y up) where no stage has made one",
        path="file",
    )
    steps: int = option(500, "steps", unit="steps", low=0)
    batch: int = option(2, "photos per step", unit="photos", low=1, high=64, live=True)
    image_size: int = option(800, "longest image side; 0 is the photos' own", unit="px", low=32, or_zero=True)
    geometry: bool = option(True, "move the vertices", live=True)
    material: bool = option(True, "change the textures", live=True)
    light: bool = option(True, "change the environment", live=True)
    learning_rate: float = option(0.1, "UniformAdam step of the vertices, in mean edge lengths", low=0.0, live=True)
    learning_rate_texture: float = option(0.01, "Adam step of the textures", low=0.0, high=1.0, live=True)
    large_steps: float = option(19.0, "lambda of the large-steps preconditioner", low=0.0, high=1000.0)
    mask: float = option(2.0, "weight of the mask loss", low=0.0, live=True)
    ssim: float = option(0.1, "weight of the structural term in the colour loss", low=0.0, high=1.0, live=True)
    smoothness: float = option(0.05, "weight of bending between neighbouring faces", low=0.0, live=True)
    material_smoothness: float = option(0.002, "weight of roughness and metallic variation", low=0.0, live=True)


@dataclass
class ShadingSection:
    """What shades in the stages blackbox and subdivision: any function, which is never differentiated."""

    name: Literal["flat_color", "lamp", "normal_color", "palette", "pbr", "toon"] = option("pbr", "shading that ships")
    file: str = option(
        "",
        "your own instead: WGSL with fn shade(surface: Surface) -> vec3f, or Python with def shade(surface)",
        path="file",
    )


@dataclass
class CageSection:
    """From the hull to a mesh to begin with in the stages blackbox and subdivision."""

    faces: int = option(10000, "face budget", unit="faces", low=20, high=200_000)
    texture_size: int = option(0, "side of the square textures; 0: by the photos", unit="texels", low=0, high=8192)
    padding: int = option(3, "gutter between charts", unit="texels", low=1, high=32)
    colors: bool = option(False, "start in colours whose shading is the photos' mean, instead of grey")


@dataclass
class BlackboxSection:
    """Vertices and textures through a black-box shading, by stochastic gradients."""

    steps: int = option(2400, "steps, each one photo for every group of parameters", unit="steps", low=0)
    image_size: int = option(0, "longest image side; 0 is the photos' own", unit="px", low=32, or_zero=True)
    geometry: bool = option(True, "move the vertices", live=True)
    material: bool = option(True, "change the textures", live=True)
    normal_map: bool = option(False, "fit a normal map as well")
    learning_rate: float = option(0.15, "UniformAdam step of the vertices, in mean edge lengths", low=0.0, live=True)
    learning_rate_texture: float = option(0.05, "Adam step of the textures", low=0.0, high=1.0, live=True)
    eps: float = option(0.5, "how far vertices are perturbed", unit="px", low=0.05, high=2.0, live=True)
    eps_texture: float = option(0.1, "how far texels are perturbed", low=0.001, high=0.5, live=True)
    large_steps: float = option(19.0, "lambda of the large-steps preconditioner", low=0.0, high=1000.0)
    mask: float = option(1.0, "weight of the mask loss", low=0.0)


@dataclass
class SubdivisionSection(BlackboxSection):
    """A cage, its displacement and textures, drawn as a Loop surface."""

    levels: int = option(2, "subdivisions; each makes four triangles of one", low=0, high=5)
    displacement: bool = option(True, "fit a displacement map")
    displacement_size: int = option(128, "side of the displacement map", unit="texels", low=16, high=2048)
    learning_rate_displacement: float = option(
        0.1, "UniformAdam step of the displacement, in mean edge lengths of the surface", low=0.0, live=True
    )


@dataclass
class SplatsSection:
    """Gaussian splats fitted to the photos."""

    kind: Literal["gaussian", "exponential", "surface"] = option(
        "gaussian", "3D Gaussians, generalized exponentials with a learned shape, or flat discs"
    )
    steps: int = option(7000, "steps, each one photo", unit="steps", low=0)
    budget: int = option(100_000, "splats at most", unit="splats", low=100, high=50_000_000)
    budget_megabytes: float = option(
        0.0, "the same in memory for their parameters; 0: no such limit", unit="MB", low=0.0
    )
    density: Literal["error", "classic", "relocation"] = option(
        "error", "how splats are added and removed: by error, by gradient, or by moving dead ones (MCMC)"
    )
    start_file: str = option(
        "", "splats to start from (PLY or SPZ in the capture's frame) instead of the capture's points", path="file"
    )
    start: int = option(10_000, "splats to start with where the capture has no points", unit="splats", low=10)
    image_size: int = option(0, "longest image side; 0 is the photos' own", unit="px", low=32, or_zero=True)
    coarse: float = option(0.3, "share of the steps at half of that size", low=0.0, high=1.0)
    degree: int = option(3, "degree of the harmonics that colour depends on direction by", low=0, high=3)
    degree_steps: int = option(700, "steps after which the degree used rises by one", unit="steps", low=1)
    antialiased: bool = option(False, "opacity makes up for splats smaller than a pixel; not for discs")
    rescaled: bool = option(False, "kind exponential: as Gaussians of other scales instead of the exact kernel")
    masks: Literal["object", "ignore"] = option(
        "object",
        "what masks mean: the object, with nothing around it; or the pixels to learn from",
    )
    background: Literal["auto", "black", "white", "random", "environment"] = option(
        "auto",
        "what is behind all splats; auto: random colours around masked objects, else black; environment: a learned map "
        "of what is infinitely far, such as the sky",
    )
    background_rows: int = option(
        64, "rows of background=environment; it is twice as wide", unit="texels", low=4, high=512
    )
    background_smoothness: float = option(
        1.0, "weight of squared differences between the environment's neighbouring texels", low=0.0, live=True
    )
    exposure: bool = option(False, "fit gain and offset of each photo's colours; test photos keep theirs")
    ssim: float = option(0.2, "weight of structure (D-SSIM) against L1", low=0.0, high=1.0, live=True)
    frequency: float = option(0.0, "weight of the L1 of one band of frequencies, low to high", low=0.0, live=True)
    mask: float = option(0.1, "weight of the mask loss around masked objects", low=0.0, live=True)
    distortion: float = option(0.0, "weight of the depth distortion of discs", low=0.0, live=True)
    normal: float = option(0.05, "weight of normals against the depth's slope, of discs", low=0.0, live=True)
    depth_weight: float = option(
        0.1, "weight of inverse depth, in relation to the photo's, where the capture carries depth", low=0.0, live=True
    )
    geometry: bool = option(True, "move, turn and scale splats", live=True)
    color: bool = option(True, "change colours", live=True)
    learning_rate: float = option(0.00016, "Adam step of means in scene radii; falls to 1 %", low=0.0, live=True)
    learning_rate_scales: float = option(0.005, "Adam step of the scales' logarithm", low=0.0, live=True)
    learning_rate_rotations: float = option(0.001, "Adam step of the quaternions", low=0.0, live=True)
    learning_rate_opacity: float = option(0.05, "Adam step of the opacity's logit", low=0.0, live=True)
    learning_rate_color: float = option(0.0025, "Adam step of colour; a 20th for the rest", low=0.0, live=True)
    learning_rate_shapes: float = option(0.01, "Adam step of the shapes of kind exponential", low=0.0, live=True)
    learning_rate_background: float = option(
        0.002, "Adam step of background=environment; falls to a tenth", low=0.0, live=True
    )


@dataclass
class FuseSection:
    """From splats to a surface: the depths that the training photos' cameras see, fused."""

    resolution: int = option(128, "cells along the box's side; 0 leaves the stage out", unit="cells", low=0, high=512)
    depth: Literal["median", "expected"] = option(
        "median", "depth of a pixel: where half of the light is stopped, or the mean of all that is seen"
    )
    truncation: float = option(6.0, "how far from a surface a depth counts", unit="cells", low=1.0, high=20.0)
    mesh: bool = option(False, "also write the surface, with vertex colours, to exports/ as PLY")


@dataclass
class ExportSection:
    """What is written to exports/."""

    obj: bool = option(True, "also write OBJ with MTL")
    ply: bool = option(True, "also write the bare mesh as PLY")
    spz: bool = option(True, "also write splats as SPZ")
    html: bool = option(True, "also write splats as a page that shows them, for any browser")
    name: str = option("asset", "name of the mesh, node and files", file_name=True)


@dataclass
class RunSection:
    """Bookkeeping of a run."""

    seed: int = option(0, "seed of every random draw", low=0, high=2**63 - 1)
    checkpoint_seconds: float = option(60.0, "time between checkpoints", unit="s", low=0.0, live=True)
    evaluate: bool = option(True, "evaluate the exported asset on the test views at the end")


@dataclass
class Recipe:
    """A named chain of stages and all their options; TOML file, flags and help come from this one definition."""

    name: str = option("object", "name of the recipe")
    schema_version: int = option(SCHEMA_VERSION, "version of this file's layout")
    stages: tuple[str, ...] = option(
        ("hull", "volume", "stereo", "shape", "mesh", "refine", "export"), "stages, in order"
    )
    run: RunSection = field(default_factory=RunSection)
    capture: CaptureSection = field(default_factory=CaptureSection)
    optimize: OptimizeSection = field(default_factory=OptimizeSection)
    light: LightSection = field(default_factory=LightSection)
    material: MaterialSection = field(default_factory=MaterialSection)
    hull: HullSection = field(default_factory=HullSection)
    volume: VolumeSection = field(default_factory=VolumeSection)
    stereo: StereoSection = field(default_factory=StereoSection)
    shape: ShapeSection = field(default_factory=ShapeSection)
    mesh: MeshSection = field(default_factory=MeshSection)
    refine: RefineSection = field(default_factory=RefineSection)
    shading: ShadingSection = field(default_factory=ShadingSection)
    cage: CageSection = field(default_factory=CageSection)
    blackbox: BlackboxSection = field(default_factory=BlackboxSection)
    subdivision: SubdivisionSection = field(default_factory=SubdivisionSection)
    splats: SplatsSection = field(default_factory=SplatsSection)
    fuse: FuseSection = field(default_factory=FuseSection)
    export: ExportSection = field(default_factory=ExportSection)


def recipe_names() -> list[str]:
    """Names of the recipes that come with Unrender."""
    folder = resources.files("assets") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """The recipe of that name or file with `overrides` ("section.key=value") applied; RecipeError says what is bad."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: the recipe cannot be read ({error}); give a TOML file or a name") from error
    elif str(name_or_path) in recipe_names():
        text = (resources.files("assets") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        known = ", ".join(recipe_names())
        raise RecipeError(f"unknown recipe '{name_or_path}': use one of {known}, or the path of a .toml file")
    recipe = from_toml(Recipe, text, str(name_or_path))
    override(recipe, overrides)
    return recipe


def override(recipe: Recipe, overrides: list[str] | tuple[str, ...]) -> None:
    """Set "section.key=value" texts in place. Raises RecipeError for the first that is not one or cannot be set."""
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"--set {text}: write it as key=value, for example refine.steps=200")
        set_option(recipe, key.strip(), value.strip())
