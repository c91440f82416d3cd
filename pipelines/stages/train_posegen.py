"""Stage ``train_posegen``: head pose from speech, learnt from the pose tracks of the features."""

import numpy as np
import torch

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.job.unit import content_hash
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params, PoseGenStage
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models import posegen
from space_models.checkpoints import Card, save_model
from space_models.posegen import PoseClip, PoseGen, PoseGenConfig, PoseTask
from space_models.trainer import Schedule, train, write_curves, write_metrics

STAGE, MODEL = "train_posegen", "posegen"
RISE_SHARE, GRADIENT_CLIP, ROWS_OF_CURVES = 0.3, 1.0, 20


def read_pose_clips(layout: Layout) -> dict[str, list[PoseClip]]:
    """Pose and sound of the filmed clips, by split (speech-only utterances have no pose of their own)."""
    filmed = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip) if row.kind == "video"}
    by_split: dict[str, list[PoseClip]] = {"train": [], "val": [], "test": []}
    columns = ["clip_id", "pose", "log_mel"]
    for clip_id, rows in by_clip(read_arrow(layout.feature_frames, FeatureFrame, columns)):
        if clip_id in filmed and len(rows) >= 3 * posegen.FRAMES_PER_KEY:
            sound = mean_normalise(vectors(rows, "log_mel").reshape(-1, MEL_BANDS)).reshape(len(rows), -1)
            row = filmed[clip_id]
            by_split[row.split].append(posegen.pose_clip(row.subject, vectors(rows, "pose"), sound))
    return by_split


def schedule_of(settings: PoseGenStage) -> Schedule:
    """The trainer's schedule of the section."""
    return Schedule(
        settings.steps, settings.learning_rate, settings.weight_decay, RISE_SHARE, GRADIENT_CLIP,
        max(1, settings.steps // ROWS_OF_CURVES), settings.seed,
    )  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Train on the training identities; figures on the test identities (on validation ones where there are none)."""
    settings = params.posegen
    with stage_clock(layout, STAGE) as clock:
        clips = read_pose_clips(layout)
        if not clips["train"]:
            raise SpaceError(f"{layout.feature_clips}: no filmed clip of a training identity (see data.splits)")
        held_out = clips["test"] or clips["val"] or clips["train"]
        data_hash = content_hash([[np.round(c.pose, 4).tolist(), np.round(c.sound, 3).tolist()] for c in clips["train"]])
        config = PoseGenConfig(settings.hidden, *posegen.units_of(clips["train"]))
        torch.manual_seed(settings.seed)
        model = PoseGen(config)
        task = PoseTask(clips["train"], clips["val"], settings.batch, settings.keys, data_hash)
        state, code = layout.training_state(MODEL), module_version("space_models.posegen")
        result = train(MODEL, model, task, schedule_of(settings), state, threads=params.job.processes, code=code)
        metrics = posegen.evaluate(model, held_out, settings.seed)
        folder = layout.model(MODEL)
        notes = f"{len(clips['train'])} filmed clips"
        card = Card(MODEL, vars(config), data_hash, "python -m pipelines.stages train_posegen", metrics, notes)
        save_model(folder, model, card)
        write_curves(folder / "curves.csv", result.curves)
        write_metrics(folder / "metrics.json", metrics)
        clock.clips = sum(map(len, clips.values()))
        clock.notes = {name: f"{value:.3f}" for name, value in metrics.items()}

