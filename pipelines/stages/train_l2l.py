"""Stage ``train_l2l``: posed landmarks, speech and emotion to the generator's keypoints."""

import numpy as np
import torch

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.layout import Layout
from pipelines.stages.latents import LatentFrame
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.params import L2LStage, Params
from space_data.schema import AlignedClip, FeatureClip, FeatureFrame, emotion_known
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models.checkpoints import Card, save_model
from space_models.generators.compact_nets import N_KEYPOINTS
from space_models.l2l import L2L, MODEL, L2LConfig, L2LTask, LatentClip, data_hash, evaluate
from space_models.trainer import Schedule, train, write_curves, write_metrics

STAGE = "train_l2l"
WEIGHT_DECAY, RISE_SHARE, GRADIENT_CLIP, ROWS_OF_CURVES = 0.01, 0.2, 1.0, 10


def read_latent_clips(layout: Layout) -> dict[str, list[LatentClip]]:
    """Landmarks, speech and keypoints of the filmed clips, by split."""
    keypoints = {
        clip_id: vectors(rows, "keypoints").reshape(-1, N_KEYPOINTS, 3)
        for clip_id, rows in by_clip(read_arrow(layout.latents, LatentFrame))
    }
    sizes = {clip.clip_id: clip.size_px for clip in read_table(layout.aligned_clips, AlignedClip)}
    about = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip)}
    by_split: dict[str, list[LatentClip]] = {"train": [], "val": [], "test": []}
    columns = ["clip_id", "normalised", "pose", "log_mel"]
    for clip_id, rows in by_clip(read_arrow(layout.feature_frames, FeatureFrame, columns)):
        if clip_id not in keypoints:
            continue  # speech only, or its latents failed: the ledger says so
        found, row = keypoints[clip_id], about[clip_id]
        if len(found) != len(rows):
            raise SpaceError(f"clip {clip_id}: {len(found)} frames of latents, {len(rows)} of features (run `dvc repro latents`)")
        landmarks = posed(vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3), PoseTrack.from_array(vectors(rows, "pose")))
        sound = mean_normalise(vectors(rows, "log_mel").reshape(-1, MEL_BANDS)).reshape(len(rows), -1)
        in_crop = (landmarks * (CROP_SIZE_PX / sizes[clip_id])).astype(np.float32)
        by_split[row.split].append(LatentClip(row.subject, in_crop, sound.astype(np.float32), row.emotion, found))
    return by_split


def schedule_of(settings: L2LStage) -> Schedule:
    """The trainer's schedule of the section."""
    interval_steps = max(1, settings.steps // ROWS_OF_CURVES)
    return Schedule(
        settings.steps, settings.learning_rate, WEIGHT_DECAY, RISE_SHARE, GRADIENT_CLIP, interval_steps, settings.seed
    )


def run(params: Params, layout: Layout) -> None:
    """Train on the training identities; figures on the test identities (on validation ones where there are none)."""
    settings = params.l2l
    with stage_clock(layout, STAGE) as clock:
        clips = read_latent_clips(layout)
        held_out = clips["test"] or clips["val"]
        known = [emotion_known(c.emotion) for c in clips["train"]]
        config = L2LConfig(
            settings.hidden, settings.use_audio, settings.use_landmarks, settings.normalise, any(known), not all(known)
        )
        torch.manual_seed(settings.seed)
        model = L2L(config)
        task = L2LTask(clips["train"], clips["val"], settings.batch, settings.frames, config)
        state, code = layout.training_state(MODEL), module_version("space_models.l2l")
        result = train(MODEL, model, task, schedule_of(settings), state, threads=params.job.processes, code=code)
        metrics = evaluate(model, held_out, clips["train"]) if held_out else {}
        folder = layout.model(MODEL)
        notes = f"{len(clips['train'])} filmed clips"
        command = "python -m pipelines.stages train_l2l"
        save_model(folder, model, Card(MODEL, vars(config), data_hash(clips["train"]), command, metrics, notes))
        write_curves(folder / "curves.csv", result.curves)
        write_metrics(folder / "metrics.json", metrics)
        clock.clips = sum(map(len, clips.values()))
        clock.notes = {name: f"{value:.3f}" for name, value in metrics.items()}

