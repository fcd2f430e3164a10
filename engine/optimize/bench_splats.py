"""How long one step of training splats takes on this machine, as stage `splats` does it by default."""

from __future__ import annotations

from collections.abc import Callable

from engine.splats.bench import Figures

COUNT, WIDTH, HEIGHT = 10_800, 270, 480
LIMIT = 27.0  # ms, on two quiet cores: a tenth of what OpenSplat takes on a CPU
NAME = "splats_step_10k8_270x480"


def training_step(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> Callable[[], float]:
    """A step that fits splats to a picture of splats which lie elsewhere: rendering, L1 with D-SSIM, backward, Adam,
    and what error-driven density control watches. Returns the step; each call gives its loss."""
    import torch

    from engine.optimize.photo_loss import PhotoWeights, TargetStatistics
    from engine.optimize.recipe import SplatsSection
    from engine.optimize.splat_adam import SplatAdam
    from engine.optimize.splat_loss import pixel_errors, splat_loss
    from engine.splats import splatter
    from engine.splats.bench import bench_camera, wavy_sheets
    from engine.splats.contract import SplatOptions
    from engine.splats.density import density
    from engine.splats.density.contract import DensityOptions
    from engine.splats.parameters import SplatTensors

    options, implementation, view = SplatsSection(), splatter("numba"), bench_camera(width, height)
    splats = SplatTensors.of(wavy_sheets(count, width, height))
    random = torch.Generator().manual_seed(0)
    wanted = SplatTensors.of(wavy_sheets(count, width, height))
    wanted.means += 0.02 * torch.randn(count, 3, generator=random)
    wanted.harmonics[:, 0] *= 0.7
    target = implementation.render(wanted, view).color
    statistics, covered = TargetStatistics.of_encoded(target), torch.ones(height, width)
    for tensor in splats.tensors().values():
        tensor.requires_grad_()
    optimizer = SplatAdam(splats.tensors())
    rates = {
        "means": options.learning_rate,
        "rotations": options.learning_rate_rotations,
        "log_scales": options.learning_rate_scales,
        "logits": options.learning_rate_opacity,
        "harmonics": options.learning_rate_color,
    }
    for group in optimizer.param_groups:
        group["lr"] = rates[group["name"]]
    control = density(options.density, DensityOptions(budget=count))
    weights = PhotoWeights(1 - options.ssim, 0.0, options.ssim)

    def step() -> float:
        drawn = implementation.render(splats, view, SplatOptions(degree=options.degree, extra=control.extra(splats)))
        loss, terms = splat_loss(drawn.color, drawn.alpha, target, covered, weights, statistics)
        error, _ = pixel_errors(drawn.color, target)
        optimizer.zero_grad(set_to_none=True)
        (loss + control.weighed(drawn, error)).backward()
        optimizer.step()
        control.observe(drawn, view)
        return sum(terms.values())

    return step


def training_times() -> Figures:
    """The fastest and the median step."""
    from engine.splats.bench import figures, milliseconds

    return figures(NAME, milliseconds(training_step(), seconds=2.0), LIMIT)


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], Figures]] = {(f"{NAME}_min", f"{NAME}_median"): training_times}
