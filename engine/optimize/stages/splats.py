"""Photos to Gaussian splats: one photo a step, with density control to a budget."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import CaptureError, RecipeError
from engine.optimize.camera_refinement import CameraRefinement
from engine.optimize.encoded_photos import EncodedPhotos
from engine.optimize.grids import surface_of
from engine.optimize.messages import Notice
from engine.optimize.photo_loss import PhotoWeights
from engine.optimize.scene_preview import splat_fields
from engine.optimize.splat_adam import SplatAdam
from engine.optimize.splat_backdrop import LearnedBackdrop
from engine.optimize.splat_depth import TrainingDepths, depth_loss, drawn_depth, with_depths
from engine.optimize.splat_loss import frequency_loss, pixel_errors, splat_loss
from engine.optimize.splat_start import (
    budget_of,
    found_points,
    scene_radius,
    seen_share,
    splats_of_file,
    starting_splats,
    within_budget,
)
from engine.optimize.stage import IteratingStage, StageContext, register
from engine.scene import Gaussians
from engine.scene.gaussians import SHAPES
from engine.splats import splatter, splatter_on
from engine.splats.channels import rescaled
from engine.splats.contract import SplatOptions
from engine.splats.density import density
from engine.splats.density.contract import DensityOptions
from engine.splats.editing import edited
from engine.splats.parameters import SplatTensors
from engine.splats.surface_terms import normal_consistency

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.views import View
    from engine.scene import Camera, Gaussians, Mesh

FINAL_RATE = 0.01  # share of the means' learning rate at the end
DENSIFY_UNTIL = {"classic": 0.5, "error": 0.8, "relocation": 0.8}  # share of the steps after which none are added
FILLED_AFTER = {"classic": 0.7, "error": 0.7, "relocation": 0.3}  # share of the rounds after which the budget is full
LATEST_ROUND, INTERVAL = 500, 100  # steps before the first round at most, and from round to round
HULL = "the masks' hull"
LEAST_SIDE = 32  # pixels of the longest side of a photo to learn from
LEAST_SEEN = 0.01  # share of a start file's splats that photos should show
GROWTH = 0.05, 0.5  # least and greatest share of new splats in a round


@register
class SplatsStage(IteratingStage):
    """Fits splats by L1 and D-SSIM of encoded images, from few to the budget."""

    name = "splats"

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("splats",)

    @classmethod
    def check(cls, recipe: Any, capture: Capture) -> None:
        if recipe.splats.masks == "ignore" and not capture.has_masks:
            raise CaptureError(f"{capture.path}: splats.masks=ignore needs masks; add them with --masks or leave it")
        budget_of(recipe.splats)
        if recipe.splats.background == "environment" and recipe.splats.masks == "object" and capture.has_masks:
            raise RecipeError(
                "splats.background=environment: masks cut the surroundings out of these photos; "
                "set splats.masks=ignore, or another background"
            )
        if recipe.splats.start_file:
            splats_of_file(recipe.splats.start_file, recipe.splats.kind, recipe.splats.degree, lambda text: None)

    @classmethod
    def check_photos(cls, recipe: Any, capture: Capture) -> None:
        if recipe.splats.masks == "ignore":  # white is all but what to ignore
            polarity = capture.polarity_problem()
            capture.warnings = [text for text in capture.warnings if text != polarity]

    def begin(self, context: StageContext) -> None:
        self._take(context)
        options, capture, random = self.options, context.capture, np.random.default_rng(context.recipe.run.seed)
        given = context.scene.gaussians
        if given is None and options.start_file:
            given = splats_of_file(options.start_file, options.kind, options.degree, context.notice)
            context.notice(f"splats start from {len(given):,} of {options.start_file}")
            if given.antialiased and not options.antialiased:
                context.notice(f"{options.start_file}: it is antialiased; splats.antialiased=true trains on so")
            self._tell_unseen(given)
        elif given is None:
            surface, where = _surface_so_far(context)
            points, colors, source = found_points(capture, self.cameras, surface, where, options.start, random)
            context.notice(f"splats start from {source}")
            given = starting_splats(points, colors, options.kind, options.degree, random)
        limit = "splats.budget" if self.budget == options.budget else "splats.budget_megabytes"
        given = within_budget(given, self.budget, random, context.notice, limit)
        self._control(len(given))
        if options.background == "environment":
            self.backdrop = LearnedBackdrop.seen(context.views, self.photos, options.background_rows)
        self._own(SplatTensors.of(given))

    def _tell_unseen(self, given: Gaussians) -> None:
        """What lies beyond the photos learns nothing from them: a file in another frame would train on nothing."""
        share = seen_share(given, self.cameras)
        if share < LEAST_SEEN:
            text = f"{self.options.start_file}: {'none' if share == 0 else f'less than {LEAST_SEEN:.0%}'} of its splats"
            text += " lies in view of a training photo; give a file in the capture's frame"
            self.context.notify(Notice(text, "warning"))

    def _control(self, first: int) -> None:
        """Density control that can reach the budget from `first` splats before its rounds end."""
        self.first, name, steps = first, self.options.density, max(self.steps, 1)
        start, stop = min(LATEST_ROUND, round(0.05 * steps)), round(DENSIFY_UNTIL[name] * steps)
        rounds = max((stop - start) / INTERVAL * FILLED_AFTER[name], 1)
        share = float(np.clip((self.budget / max(first, 1)) ** (1 / rounds) - 1, *GROWTH))
        self.density = density(
            name,
            DensityOptions(
                budget=self.budget, extent=self.radius, start=start, stop=stop, interval=INTERVAL, grow_share=share
            ),
        )

    def _take(self, context: StageContext) -> None:
        self.context, self.options = context, context.recipe.splats
        gaussian = self.options.kind == "gaussian" or (self.options.kind == "exponential" and self.options.rescaled)
        self.splatter = splatter(splatter_on(context.device, gaussian))
        self.cameras = [context.capture.frames[index].camera for index in context.capture.train]
        self.radius = scene_radius(self.cameras)
        self.budget = budget_of(self.options)
        self.refinement = CameraRefinement(context)
        self.exposures = torch.zeros(len(context.capture.frames), 2, 3)
        self.exposures[:, 0] = 1
        self.photos = EncodedPhotos()
        self.depths = TrainingDepths(context.capture)
        self.backdrop: LearnedBackdrop | None = None

    def _own(self, splats: SplatTensors) -> None:
        """Make the tensors leaves with an optimizer."""
        for tensor in splats.tensors().values():
            tensor.requires_grad_()
        self.splats = splats
        self.optimizers = [SplatAdam(splats.tensors())]
        if self.options.exposure:
            self.exposures.requires_grad_()
            self.optimizers.append(torch.optim.Adam([self.exposures], lr=0.001))
        if self.backdrop is not None:
            self.optimizers.append(self.backdrop.optimizer)

    @property
    def steps(self) -> int:
        return self.context.recipe.splats.steps

    def _set_rates(self, index: int) -> None:
        options, along = self.options, index / max(self.steps, 1)
        geometry, color = float(options.geometry), float(options.color)
        rates = {
            "means": geometry * options.learning_rate * self.radius * FINAL_RATE**along,
            "rotations": geometry * options.learning_rate_rotations,
            "log_scales": geometry * options.learning_rate_scales,
            "logits": geometry * options.learning_rate_opacity,
            "harmonics": color * options.learning_rate_color,
            "shapes": geometry * options.learning_rate_shapes,
        }
        for group in self.optimizers[0].param_groups:
            group["lr"] = rates[group["name"]] * self.learning_rate_scale
        if self.backdrop is not None:
            self.backdrop.set_rate(color * options.learning_rate_background * self.learning_rate_scale, along)

    def learning_rates(self) -> dict[str, float]:
        rates = {group["name"]: float(group["lr"]) for group in self.optimizers[0].param_groups}
        return rates if self.backdrop is None else rates | {"background": self.backdrop.rate}

    def step(self, index: int) -> dict[str, float]:
        self.clock.start()
        options, generator = self.options, self.context.generator
        self._set_rates(index)
        view = self.refinement.moved(self.context.views.view(self.context.views.next()[0], self._image_size(index)))
        motion = self.refinement.motion()
        background = self._background(generator, view.camera)
        depth = self.depths.of(view, self.photos.of(view)) if options.depth_weight else None
        extra = self.density.extra(self.splats)
        if depth is not None:
            extra = with_depths(extra, self.splats, view.camera)
        drawn = self.splatter.render(
            self.splats,
            view.camera,
            SplatOptions(
                background=background,
                degree=self._degree(index),
                antialiased=options.antialiased,
                rescaled=options.rescaled,
                depth=options.kind == "surface",
                extra=extra,
                motion=motion,
            ),
        )
        self.clock.lap("splatting")
        loss, terms, error, psnr = self._compare(view, drawn.color, drawn.alpha, background, index)
        loss = loss + self.density.weighed(drawn, error) + self.density.penalty(self.splats)
        if options.kind == "surface":
            loss = loss + self._surface_terms(drawn, view, terms)
        if depth is not None:
            value = options.depth_weight * depth_loss(drawn_depth(drawn), drawn.alpha, depth)
            terms["depth"], loss = float(value.detach()), loss + value
        if self.backdrop is not None and options.background_smoothness:
            value = options.background_smoothness * self.backdrop.roughness()
            terms["background"], loss = float(value.detach()), loss + value
        self.clock.lap("loss")
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.clock.lap("backward")
        for optimizer in self.optimizers:
            optimizer.step()
        self._confine()
        if self.backdrop is not None:
            self.backdrop.confine()
        self.refinement.take(view, motion, index / max(self.steps, 1), self.learning_rate_scale)
        self.clock.lap("optimizer")
        with torch.no_grad():
            self.density.observe(drawn, view.camera)
            if options.geometry:
                self.density.adapt(index + 1, self.splats, self.optimizers[0], generator)
        self.clock.lap("density")
        return terms | {"loss": sum(terms.values()), "psnr": psnr}

    def _confine(self) -> None:
        """Keep shapes where files may have them."""
        if self.splats.shapes is not None:
            self.splats.shapes.data.clamp_(*SHAPES)

    def _degree(self, index: int) -> int:
        """Of the harmonics that are used; all at once where they come from a file."""
        degree = self.options.degree
        return degree if self.options.start_file else min(degree, index // self.options.degree_steps)

    def _image_size(self, index: int) -> int:
        size = self.options.image_size
        if index >= self.options.coarse * self.steps:
            return size
        whole = size or max(max(camera.size) for camera in self.cameras)
        return max(whole // 2, LEAST_SIDE)

    def _masked(self) -> bool:
        return self.context.capture.has_masks and self.options.masks == "object"

    def _background(self, generator: torch.Generator, camera: Camera) -> Tensor | None:
        chosen = self.options.background
        if self.backdrop is not None:
            return self.backdrop.image(camera)
        if chosen == "random" or (chosen == "auto" and self._masked()):
            return torch.rand(3, generator=generator)
        return torch.ones(3) if chosen == "white" else None

    def _compare(self, view: View, color: Tensor, alpha: Tensor, background: Tensor | None, index: int):
        """(loss, its terms, error [H,W] of each pixel, dB)."""
        options, masked = self.options, self._masked()
        photo = self.photos.of(view)
        encoded, mask, statistics, share = photo.color, photo.alpha, None, 1.0
        if options.exposure:
            gain, offset = self.exposures[view.frame]
            color = color * gain + offset
        target = encoded
        if masked and background is not None:
            target = encoded + (1 - mask)[..., None] * background
        elif self.context.capture.has_masks and not masked:  # ignore
            inside = (mask > 0.5)[..., None]
            straight = encoded / mask.clamp_min(1e-6)[..., None]
            target = torch.where(inside, straight, color.detach())
            color = torch.where(inside, color, color.detach())
            share = max(float(inside.float().mean()), 1e-6)
        else:
            statistics = photo.statistics
        weights = PhotoWeights(1 - options.ssim, options.mask if masked else 0.0, options.ssim)
        target_alpha = mask if masked else torch.ones_like(mask)
        loss, terms = splat_loss(color, alpha, target.contiguous(), target_alpha, weights, statistics)
        if options.frequency:
            value = options.frequency * frequency_loss(color, target, index / max(self.steps, 1))
            terms["frequency"], loss = float(value.detach()), loss + value
        error, squared = pixel_errors(color, target)
        psnr = -10 * math.log10(max(squared / share, 1e-10))
        return loss, terms, error, psnr

    def _surface_terms(self, drawn: Any, view: View, terms: dict[str, float]) -> Tensor:
        options, total = self.options, torch.zeros(())
        if options.distortion and drawn.distortion is not None:
            value = options.distortion * drawn.distortion.mean()
            terms["distortion"], total = float(value.detach()), total + value
        if options.normal and self.context.recipe.splats.normal:
            value = options.normal * normal_consistency(drawn, view.camera)
            terms["normal"], total = float(value.detach()), total + value
        return total

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = self.density.state()
        own = {f"splats.{name}": tensor for name, tensor in self.splats.tensors().items()}
        own |= {f"density.{name}": tensor for name, tensor in tensors.items()} | {"exposures": self.exposures}
        own |= self.refinement.named_state()
        own |= {} if self.backdrop is None else {"backdrop": self.backdrop.colors}
        return own, {"kind": self.splats.kind, "first": self.first, "density": values}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self._take(context)
        parts: dict[str, dict[str, Tensor]] = {"splats": {}, "density": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = tensor.detach().clone()
        with torch.no_grad():
            self.exposures.copy_(tensors["exposures"])
        self._control(values["first"])
        if "backdrop" in tensors:
            self.backdrop = LearnedBackdrop(tensors["backdrop"], context.capture.up)
        self._own(SplatTensors(kind=values["kind"], **parts["splats"]))
        self.density.restore(parts["density"], values["density"])
        self.refinement.restore_named(tensors)

    def gaussians(self) -> Gaussians:
        """Copies of the splats that show what was trained without its options: rescaled ones are plain Gaussians."""
        plain = self.splats.kind == "exponential" and self.options.rescaled
        splats = rescaled(self.splats) if plain else self.splats
        return replace(splats.gaussians(), antialiased=self.options.antialiased and splats.kind != "surface")

    def preview(self) -> dict[str, Any]:
        backdrop = None if self.backdrop is None else self.backdrop.snapshot()
        return splat_fields(self.context, self.gaussians(), self.density.scores(), backdrop)

    def edit(self, kept: Tensor, added: SplatTensors | None = None) -> None:
        """Have the splats at `kept` [K] (indices) and then `added`, which begin with no moments and nothing seen."""
        edited(self.splats, self.optimizers[0], kept, added)
        self.density.follow(kept, 0 if added is None else len(added))

    def figures(self) -> dict[str, float]:
        return {"splats": len(self.splats), "budget": self.budget, "megabytes": self.splats.megabytes}

    def finish(self) -> None:
        self.context.scene.gaussians = self.gaussians()
        self.context.scene.backdrop = None if self.backdrop is None else self.backdrop.snapshot()
        self.refinement.finish()


def _surface_so_far(context: StageContext) -> tuple[Mesh | None, str]:
    """What the stages before left and its name: dug out after `volume`; else the masks' hull, or None."""
    from engine.optimize.scene_state import SceneState
    from engine.optimize.stages.hull import HullStage

    stages = context.recipe.stages
    if context.scene.field is not None:
        before = [name for name in stages[: stages.index("splats")] if name != "hull"]
        return surface_of(context.scene.field, context.scene.box), f"the surface from {before[-1]}" if before else HULL
    options, capture = context.recipe.splats, context.capture
    if not capture.has_masks or options.masks != "object" or capture.points() is not None:
        return context.scene.hull, HULL
    stage = HullStage()
    stage.begin(replace(context, scene=SceneState()))
    stage.finish()
    return stage.context.scene.hull, HULL
