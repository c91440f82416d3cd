"""Stage ``generator``: the weights of ``compact`` that all later stages use, verified and then frozen.

``generator.source: shipped`` checks hash, names and size of the weights in the repository and puts them into ``models/compact``;
``train`` trains new ones on the clips of the training identities, straight from the raw video: the network sees 128 px.
"""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from pipelines.job.clock import StageClock, stage_clock
from pipelines.layout import Layout
from space_data import progress
from space_data.clip_media import Playhead, pictures
from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.params import CompactStage, Params
from space_data.schema import Clip, FeatureClip, FeatureFrame, SegmentCrop
from space_data.store import Place, located
from space_data.tables import read_arrow, read_table, stream_clips, vectors
from space_data.timebase import frame_centre_s
from space_models.checkpoints import Card, from_config, load_card, load_weights, save_model
from space_models.curves import write_metrics
from space_models.dataset import hash_of, spread_filmed
from space_models.generators.compact.canvas import sample_canvas
from space_models.generators.compact.networks import MODEL, CompactConfig, CompactNet
from space_models.generators.compact.sampling import Footage, frame_chances, group_means
from space_models.generators.compact.training import CompactTask, fit_pose_share, new_net

STAGE = "generator"
SHIPPED = Path(str(files("space_models") / "assets" / MODEL))


def footage(
    clip: Clip, crop: SegmentCrop, normalised: np.ndarray, poses: np.ndarray, found: np.ndarray, settings: CompactStage
) -> Footage:
    """Up to ``frames_per_clip`` evenly spaced frames of a segment, on the canvas, by the crops and times that ``align`` goes by.

    Args:
        clip: the segment's source, with whole paths.
        crop: where the segment lies in it.
        normalised: landmarks (T, 78, 3) of its frames.
        poses: (T, 7), in pixels of the crop.
        found: (T,) whether there is a face in a frame: where landmarks are interpolated nothing can be learnt.

    Raises:
        SpaceError: another number of features than of frames.
    """
    if len(normalised) != crop.n_frames:
        raise SpaceError(f"{crop.clip_id}: features of {len(normalised)} frames, crop of {crop.n_frames} (stale? `dvc repro`)")
    box = CropBox(crop.crop_x0_px, crop.crop_y0_px, crop.crop_side_px)
    playhead = Playhead(pictures(clip))
    there = np.flatnonzero(found)
    chosen = there[np.unique(np.linspace(0, len(there) - 1, settings.frames_per_clip).round().astype(int))]
    canvases = [
        sample_canvas(box.apply(playhead.at(crop.start_s + frame_centre_s(int(t))), crop.size_px), poses[t]) for t in chosen
    ]
    landmarks = normalised[chosen]
    chance = frame_chances(landmarks, settings.sampling)
    return Footage(crop.clip_id, clip.subject, np.stack(canvases), poses[chosen], crop.size_px, group_means(landmarks), chance)


def read_footage(params: Params, layout: Layout) -> dict[str, list[Footage]]:
    """Footage of up to ``clips`` segments with features of each split; one clip is in memory at full size at a time."""
    raw = Place.of(params.data.raw)
    clips = {clip.clip_id: located(clip, raw, "path", "audio_path") for clip in read_table(layout.clips, Clip)}
    crops = {crop.clip_id: crop for crop in read_table(layout.segment_crops, SegmentCrop)}
    by_split: dict[str, list[Footage]] = {"train": [], "val": [], "test": []}
    about = read_arrow(layout.feature_clips, FeatureClip)
    chosen = {clip_id for split in by_split for clip_id in spread_filmed(about, split, params.generator.clips)}
    rows = stream_clips(layout.feature_frames, FeatureFrame, ["clip_id", "normalised", "pose", "interpolated"], chosen)
    own = ((clip_id, table) for clip_id, table in rows if clip_id in chosen)
    for clip_id, table in progress.track(own, "generator: read", len(chosen)):
        crop = crops[clip_id]
        clip = clips[crop.source_clip_id]
        normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
        found = ~table.column("interpolated").combine_chunks().to_numpy(zero_copy_only=False)
        by_split[clip.split].append(footage(clip, crop, normalised, vectors(table, "pose"), found, params.generator))
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
    net = CompactNet(from_config(folder, card, CompactConfig))
    load_weights(folder, card, net)
    return save_model(layout.model(MODEL), net, card)


def train_new(params: Params, layout: Layout, overfit_one_clip: bool = False) -> Card | None:
    """Train on the clips of the training identities and write weights, card, curves and metrics.

    None on ranks that do not write, and after overfitting.
    """
    from pipelines.training import training_stage  # which imports PyTorch's compiler: seconds, to copy weights

    settings = params.generator
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        clips = read_footage(params, layout)
        learnt = stage.learnt(clips["train"], "clip")
        held_out = stage.held_out({split: clips[split] for split in ("val", "test")})
        net = new_net(learnt, settings)
        task = CompactTask(learnt, held_out, settings, stage.training.micro_batches)
        if not stage.train(net, task, hash_of(learnt, held_out), new_net):
            return None
        fit_pose_share(net, learnt)
        with torch.no_grad():
            figures = [task.validate(net, pairs) for pairs in task.held_out]
        metrics = {name: float(np.mean([row[name] for row in figures])) for name in (figures[0] if figures else {})}
        people = len({clip.subject for clip in learnt})
        card = stage.write(net, vars(net.config), metrics, f"{len(learnt)} clips of {people} people")
        _tell(stage.clock, settings, card)
        return card


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Write ``models/compact``."""
    settings = params.generator
    if settings.source == "train" or overfit_one_clip:
        train_new(params, layout, overfit_one_clip)
        return
    with stage_clock(layout, STAGE) as clock:
        card = take_shipped(layout, settings)
        write_metrics(layout.model(MODEL) / "metrics.json", card.metrics)
        _tell(clock, settings, card)


def _tell(clock: StageClock, settings: CompactStage, card: Card) -> None:
    clock.clips = 1
    clock.notes = {"source": settings.source, "weights": card.weights_sha256[:12], "config": json.dumps(card.config)}
