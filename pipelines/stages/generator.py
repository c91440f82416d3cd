"""Stage ``generator``: the weights of ``compact`` that all later stages use, verified and then frozen.

``generator.source: shipped`` checks hash, names and size of the weights in the repository and puts them into ``models/compact``;
``train`` trains new ones on the clips of the training identities, straight from the raw video: the network sees 128 px.
"""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.layout import Layout
from space_data import progress
from space_data.clip_media import Playhead, pictures
from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.params import CompactStage, Params
from space_data.schema import Clip, FeatureFrame, SegmentCrop
from space_data.store import Place, located
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_data.timebase import frame_centre_s
from space_models.checkpoints import Card, load_card, load_weights, save_model
from space_models.generators.compact import MODEL
from space_models.generators.compact.canvas import sample_canvas
from space_models.generators.compact.networks import CompactConfig, CompactNet
from space_models.generators.compact.sampling import Footage, frame_chances, group_means
from space_models.generators.compact.training import data_hash, train_compact
from space_models.trainer import write_curves, write_metrics

STAGE = "generator"
SHIPPED = Path(str(files("space_models") / "assets" / MODEL))


def footage(clip: Clip, crop: SegmentCrop, normalised: np.ndarray, poses: np.ndarray, settings: CompactStage) -> Footage:
    """Up to ``frames_per_clip`` evenly spaced frames of a segment, on the canvas, by the crops and times that ``align`` goes by.

    Args:
        clip: the segment's source, with whole paths.
        crop: where the segment lies in it.
        normalised: landmarks (T, 78, 3) of its frames.
        poses: (T, 7), in pixels of the crop.

    Raises:
        SpaceError: another number of features than of frames.
    """
    if len(normalised) != crop.n_frames:
        raise SpaceError(f"{crop.clip_id}: features of {len(normalised)} frames, crop of {crop.n_frames} (stale? `dvc repro`)")
    box = CropBox(crop.crop_x0_px, crop.crop_y0_px, crop.crop_side_px)
    playhead = Playhead(pictures(clip))
    chosen = np.unique(np.linspace(0, crop.n_frames - 1, settings.frames_per_clip).round().astype(int))
    canvases = [
        sample_canvas(box.apply(playhead.at(crop.start_s + frame_centre_s(int(t))), crop.size_px), poses[t]) for t in chosen
    ]
    landmarks = normalised[chosen]
    chance = frame_chances(landmarks, settings.sampling)
    return Footage(crop.clip_id, clip.subject, np.stack(canvases), poses[chosen], crop.size_px, group_means(landmarks), chance)


def read_footage(params: Params, layout: Layout) -> dict[str, list[Footage]]:
    """Footage of all segments with features, by split; one clip is in memory at full size at a time."""
    raw = Place.of(params.data.raw)
    clips = {clip.clip_id: located(clip, raw, "path", "audio_path") for clip in read_table(layout.clips, Clip)}
    crops = {crop.clip_id: crop for crop in read_table(layout.segment_crops, SegmentCrop)}
    by_split: dict[str, list[Footage]] = {"train": [], "val": [], "test": []}
    rows = by_clip(read_arrow(layout.feature_frames, FeatureFrame, ["clip_id", "normalised", "pose"]))
    for clip_id, table in progress.track(rows, "generator: read"):
        if clip_id in crops:
            crop = crops[clip_id]
            clip = clips[crop.source_clip_id]
            normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
            by_split[clip.split].append(footage(clip, crop, normalised, vectors(table, "pose"), params.generator))
    return by_split


def take_shipped(layout: Layout, settings: CompactStage, folder: Path = SHIPPED) -> Card:
    """Verify the shipped weights and copy them to ``models/compact``.

    Raises:
        SpaceError: absent, damaged, or of another size than ``params.yaml`` asks for.
    """
    card = load_card(folder, MODEL)
    wanted = {"latent_size": settings.latent_size, "width": settings.width}
    if card.config != wanted:
        raise SpaceError(f"{folder}: weights for {card.config}, params.yaml asks for {wanted} (or set generator.source: train)")
    net = CompactNet(CompactConfig(**card.config))
    load_weights(folder, card, net)
    return save_model(layout.model(MODEL), net, card)


def train_new(params: Params, layout: Layout) -> Card:
    """Train on the clips of the training identities and write weights, card, curves and metrics."""
    settings = params.generator
    clips = read_footage(params, layout)
    code = module_version("space_models.generators.compact.training")
    net, result = train_compact(clips["train"], clips["val"], settings, layout.training_state(MODEL), code)
    metrics = {name: value for name, value in result.curves[-1].items() if name.startswith("val_")}
    heads = {split: len({clip.subject for clip in clips[split]}) for split in ("train", "val")}
    notes = f"{len(clips['train'])} clips of {heads['train']} people; figures on {len(clips['val'])} of {heads['val']} others"
    card = Card(MODEL, vars(net.config), data_hash(clips["train"]), "python -m pipelines.stages generator", metrics, notes)
    write_curves(layout.model(MODEL) / "curves.csv", result.curves)
    return save_model(layout.model(MODEL), net, card)


def run(params: Params, layout: Layout) -> None:
    """Write ``models/compact``."""
    settings = params.generator
    with stage_clock(layout, STAGE) as clock:
        card = take_shipped(layout, settings) if settings.source == "shipped" else train_new(params, layout)
        write_metrics(layout.model(MODEL) / "metrics.json", card.metrics)
        clock.clips = 1
        clock.notes = {"source": settings.source, "weights": card.weights_sha256[:12], "config": json.dumps(card.config)}
