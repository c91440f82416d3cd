"""Stage ``generator``: the weights of ``compact`` that all later stages use, verified and then frozen.

``generator.source: shipped`` checks hash, names and size of the weights in the repository and puts them into ``models/compact``;
``train`` trains new ones on the aligned clips of the training identities.
"""

import json
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import torch

from pipelines.job.clock import StageClock, stage_clock
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from pipelines.training import training_stage
from space_data import progress
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.media.video import decode_video
from space_data.params import CompactStage, Params
from space_data.schema import AlignedClip, FeatureFrame
from space_data.store import local_file
from space_data.tables import by_clip, read_arrow, vectors
from space_models.checkpoints import Card, load_card, load_weights, save_model
from space_models.curves import write_metrics
from space_models.dataset import hash_of
from space_models.generators.compact import MODEL
from space_models.generators.compact_nets import CompactConfig, CompactNet, anchors_of
from space_models.generators.compact_train import CompactTask, Footage

STAGE = "generator"
SHIPPED = Path(str(files("space_models") / "assets" / MODEL))


def footage(clip: AlignedClip, landmarks_px: np.ndarray, settings: CompactStage) -> Footage:
    """Up to ``frames_per_clip`` evenly spaced frames of an aligned clip, with the anchors of its landmarks (T, 78, 3)."""
    n_frames = min(clip.n_frames, len(landmarks_px))
    chosen = np.unique(np.linspace(0, n_frames - 1, settings.frames_per_clip).round().astype(int))
    wanted = set(chosen.tolist())
    size = (settings.size_px, settings.size_px)
    pictures = [
        np.asarray(cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        for index, frame in enumerate(decode_video(local_file(clip.video)))
        if index in wanted
    ]
    if len(pictures) != len(chosen):
        raise SpaceError(f"clip {clip.clip_id}: {len(pictures)} of {len(chosen)} frames decoded (video changed after features?)")
    return Footage(clip.clip_id, np.stack(pictures), anchors_of(landmarks_px[chosen], clip.size_px))


def read_footage(layout: Layout, settings: CompactStage) -> dict[str, list[Footage]]:
    """Footage of all aligned clips, by split."""
    aligned = {clip.clip_id: clip for clip in aligned_clips(layout)}
    by_split: dict[str, list[Footage]] = {"train": [], "val": [], "test": []}
    rows = by_clip(read_arrow(layout.feature_frames, FeatureFrame, ["clip_id", "normalised", "pose"]))
    for clip_id, table in progress.track(rows, "generator: read"):
        if clip_id in aligned:
            normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
            landmarks_px = posed(normalised, PoseTrack.from_array(vectors(table, "pose")))
            clip = aligned[clip_id]
            by_split[clip.split].append(footage(clip, landmarks_px, settings))
    return by_split


def take_shipped(layout: Layout, settings: CompactStage, folder: Path = SHIPPED) -> Card:
    """Verify the shipped weights and copy them to ``models/compact``.

    Raises:
        SpaceError: absent, damaged, or of another size than ``params.yaml`` asks for.
    """
    card = load_card(folder, MODEL)
    wanted = {"size_px": settings.size_px, "width": settings.width}
    if card.config != wanted:
        raise SpaceError(f"{folder}: weights for {card.config}, params.yaml asks for {wanted} (or set generator.source: train)")
    net = CompactNet(CompactConfig(**card.config))
    load_weights(folder, card, net)
    return save_model(layout.model(MODEL), net, card)


def train_new(params: Params, layout: Layout, overfit_one_clip: bool = False) -> Card | None:
    """Train on the aligned clips of the training identities and write weights, card, curves and metrics.

    None on ranks that do not write, and after overfitting.
    """
    settings = params.generator
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        clips = read_footage(layout, settings)
        learnt = stage.learnt(clips["train"], "aligned clip")
        held_out = stage.held_out({split: clips[split] for split in ("val", "test")})
        net = CompactNet(CompactConfig(settings.size_px, settings.width))
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        task = CompactTask(learnt, held_out, settings)
        if not stage.train(net, task, hash_of(learnt, held_out)):
            return None
        with torch.no_grad():
            metrics = {name: value for pairs in task.held_out for name, value in task.validate(net, pairs).items()}
        card = stage.write(net, vars(net.config), metrics, f"{len(learnt)} aligned clips")
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
