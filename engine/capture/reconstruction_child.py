"""Run as a program: poses of the photos in a folder by COLMAP, told in JSON lines; imports no engine.

Argument: a JSON file, see `reconstruction.py`. Ends by itself when its standard input is closed: its parent is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pycolmap

SEED = 0
LARGEST_SIDE = 1600  # pixels at which features are sought; larger photos are reduced for it
SMALL_SIDE = 1000  # photos up to this size are doubled first, which finds more and finer features
MOST_FEATURES = 1536  # per photo
FEWEST_FEATURES = 60  # a photo with less cannot be placed
MOST_DISTORTED = 8  # photos of one camera from which tangential and higher distortion can be told
MATCH_BLOCK = 10  # photos matched with one another between two reports of progress
MOST_EXHAUSTIVE = 60  # frames of a video that are matched all with all
NEIGHBOURS = 8  # frames of a longer video matched with so many that follow,
LOOP_STEP = 6  # and every so many frames with one another, so that the ends of a loop meet
LEAST_MODEL = 3  # photos


def say(**what: object) -> None:
    """One line for the parent: a stage, its `total`, and how much is `done`, or which table's `rows` in the database
    count that (COLMAP holds the interpreter while it works)."""
    print(json.dumps(what), flush=True)


def end_with_parent() -> None:
    """Leave when nobody listens any more."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would be held when the interpreter ends
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def extract(job: dict, database: Path, images: Path) -> None:
    """Features of all photos; each group of photos shares a camera."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.max_image_size = LARGEST_SIDE
    options.sift.max_num_features = MOST_FEATURES
    for group in job["groups"]:
        reading = pycolmap.ImageReaderOptions()
        reading.camera_model = "OPENCV" if len(group["names"]) >= MOST_DISTORTED else "SIMPLE_RADIAL"
        how = {"image_names": group["names"], "camera_mode": pycolmap.CameraMode.SINGLE}
        # otherwise photos would be numbered as the threads get done with them, and each run would differ
        pycolmap.import_images(database, images, options=reading, **how)
        options.sift.first_octave = -1 if group["longest"] <= SMALL_SIDE else 0
        pycolmap.extract_features(
            database, images, reader_options=reading, extraction_options=options, device=pycolmap.Device.cpu, **how
        )


def video_pairs(count: int) -> list[tuple[int, int]]:
    """Pairs of frames of a video to match: each with those that follow, and coarsely all with all."""
    near = {(i, j) for i in range(count) for j in range(i + 1, min(i + 1 + NEIGHBOURS, count))}
    coarse = range(0, count, LOOP_STEP)
    return sorted(near | {(i, j) for i in coarse for j in coarse if i < j})


def match(job: dict, database: Path, names: list[str]) -> None:
    """Matches between pairs of photos that agree with one motion of a camera."""
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    verifying = pycolmap.TwoViewGeometryOptions()
    verifying.ransac.random_seed = SEED
    options = {"matching_options": matching, "verification_options": verifying, "device": pycolmap.Device.cpu}
    if job["video"] and len(names) > MOST_EXHAUSTIVE:
        pairs = video_pairs(len(names))
        listed = database.with_name("pairs.txt")
        listed.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in pairs), encoding="utf-8")
        say(stage="match", rows="two_view_geometries", total=len(pairs))
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listed
        pycolmap.match_image_pairs(database, pairing_options=pairing, **options)
        return
    say(stage="match", rows="two_view_geometries", total=len(names) * (len(names) - 1) // 2)
    pairing = pycolmap.ExhaustivePairingOptions()
    pairing.block_size = MATCH_BLOCK
    pycolmap.match_exhaustive(database, pairing_options=pairing, **options)


def reconstruct(database: Path, images: Path, folder: Path, total: int) -> pycolmap.Reconstruction | None:
    """The model that holds most photos."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = SEED
    options.mapper.random_seed = options.triangulation.random_seed = SEED
    options.num_threads = options.mapper.num_threads = 1  # sums over threads would round differently each time
    options.min_model_size = LEAST_MODEL
    options.max_num_models = 5
    registered = 0

    def begun() -> None:
        nonlocal registered
        registered = 2
        say(stage="map", done=registered, total=total)

    def added() -> None:
        nonlocal registered
        registered += 1
        say(stage="map", done=min(registered, total), total=total)

    say(stage="map", done=0, total=total)
    models = pycolmap.incremental_mapping(
        database, images, folder, options, initial_image_pair_callback=begun, next_image_callback=added
    )
    return max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()), default=None)


def connections(database: Path) -> tuple[dict[str, int], dict[str, int]]:
    """(features by photo, photos it shares a verified view with, by photo)."""
    with pycolmap.Database.open(database) as opened:
        named = {image.image_id: image.name for image in opened.read_all_images()}
        features = {name: opened.num_keypoints_for_image(number) for number, name in named.items()}
        partners = dict.fromkeys(named.values(), 0)
        pairs, inliers = opened.read_two_view_geometry_num_inliers()
        for pair, count in zip(pairs, inliers, strict=True):
            if count > 0:
                for number in pycolmap.pair_id_to_image_pair(pair):
                    partners[named[number]] += 1
    return features, partners


def main(file: str) -> None:
    """Do the job that a JSON file describes: folders `images`, `work` and `out`, `groups` of names, `undistort`."""
    end_with_parent()
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    images, work, out = (Path(job[key]) for key in ("images", "work", "out"))
    names = [name for group in job["groups"] for name in group["names"]]
    database, models = work / "database.db", work / "models"
    models.mkdir(parents=True)
    pycolmap.set_random_seed(SEED)
    with pycolmap.Database.open(database):  # stays open: the first to open it locks it, and the parent looks into it
        say(stage="features", rows="keypoints", total=len(names))
        extract(job, database, images)
        match(job, database, sorted(names))
        model = reconstruct(database, images, models, len(names))
        features, partners = connections(database)
    result = {"features": features, "partners": partners, "registered": [], "few": FEWEST_FEATURES}
    if model is not None and model.num_reg_images() >= LEAST_MODEL:
        result["registered"] = sorted(model.image(number).name for number in model.reg_image_ids())
        result["reprojection"] = model.compute_mean_reprojection_error()
        result["points"] = model.num_points3D()
        say(stage="undistort", done=0, total=1)
        sparse = out / "sparse" / "0"
        sparse.mkdir(parents=True)
        if job["undistort"]:
            straight = work / "straight"
            chosen = work / "chosen"
            chosen.mkdir()
            model.write(chosen)
            pycolmap.undistort_images(straight, chosen, images, jpeg_quality=job["jpeg_quality"])
            os.replace(straight / "images", out / "images")
            for part in (straight / "sparse").iterdir():
                os.replace(part, sparse / part.name)
        else:
            model.write(sparse)
    (work / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
