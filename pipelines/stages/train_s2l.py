"""Stage ``train_s2l``: Speech2Landmarks, learnt from filmed clips and from speech with exact landmark tracks."""

import torch

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.job.unit import content_hash
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import emotion_known
from space_models import s2l
from space_models.checkpoints import Card, save_model
from space_models.dataset import Features
from space_models.s2l import S2L, S2LConfig, S2LTask
from space_models.trainer import Schedule, train, write_curves, write_metrics

STAGE, MODEL = "train_s2l", "s2l"
RISE_SHARE, GRADIENT_CLIP, ROWS_OF_CURVES, VALIDATION_CLIPS = 0.3, 1.0, 10, 8


def run(params: Params, layout: Layout) -> None:
    """Train on the training identities; figures on the test identities."""
    settings = params.s2l
    with stage_clock(layout, STAGE) as clock:
        data = Features.read(layout.feature_frames, layout.feature_clips)
        learnt = data.of_split("train")
        if not learnt:
            raise SpaceError(f"{layout.feature_clips}: no clip of a training identity (see data.splits)")
        known = [emotion_known(c.clip.emotion) for c in learnt]
        config = S2LConfig(
            settings.channels, settings.hidden, settings.lookahead_frames, settings.dropout, any(known), not all(known)
        )
        torch.manual_seed(settings.seed)
        model = S2L(config)
        fingerprint = content_hash(data.data_hash, settings.model_dump())
        noise_db = (settings.noise_below_peak_db[0], settings.noise_below_peak_db[1])
        watched = data.of_split("val", "video")[:VALIDATION_CLIPS]
        task = S2LTask(
            learnt, watched, settings.batch, settings.frames, noise_db, settings.filmed_share, fingerprint
        )
        schedule = Schedule(
            settings.steps, settings.learning_rate, settings.weight_decay, RISE_SHARE, GRADIENT_CLIP,
            max(1, settings.steps // ROWS_OF_CURVES), settings.seed,
        )  # fmt: skip
        state, code = layout.training_state(MODEL), module_version("space_models.s2l")
        result = train(MODEL, model, task, schedule, state, threads=params.job.processes, code=code)
        metrics = s2l.evaluate(model, data.held_out(), s2l.Means.of(learnt))
        for name in ("still", "mean", "mean_face"):
            metrics[f"better_than_{name}"] = 1 - metrics["lmd_mouth"] / metrics[f"lmd_mouth_{name}"]
        folder = layout.model(MODEL)
        notes = f"{len(learnt)} clips, {sum(map(len, learnt))} frames of {params.data.raw}"
        card = Card(MODEL, s2l.config_of(model), data.data_hash, "python -m pipelines.stages train_s2l", metrics, notes)
        save_model(folder, model, card)
        write_curves(folder / "curves.csv", result.curves)
        write_metrics(folder / "metrics.json", metrics)
        clock.clips = len(data.clips)
        shown = ("lmd_mouth", "better_than_still", "better_than_mean", "better_than_mean_face", "lip_gap_r")
        clock.notes = {name: f"{metrics[name]:.3f}" for name in shown}

