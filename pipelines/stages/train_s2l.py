"""Stage ``train_s2l``: Speech2Landmarks, learnt from filmed clips and from speech with exact landmark tracks."""

import torch

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.job.unit import content_hash
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params, S2LStage
from space_data.schema import emotion_known
from space_data.speech_encoder import LOG_MEL, LogMel, SpeechSpec
from space_models.checkpoints import Card, save_model
from space_models.dataset import Features, TrackClip
from space_models.s2l.augment import Augmentation
from space_models.s2l.features import N_BAND_GROUPS
from space_models.s2l.fit import fit_gap, fit_input
from space_models.s2l.loss import LossWeights
from space_models.s2l.metrics import Baseline, evaluate
from space_models.s2l.model import S2L, config_of
from space_models.s2l.network import S2LConfig
from space_models.s2l.output import OutputSettings
from space_models.s2l.task import S2LTask, TaskSettings
from space_models.trainer import Schedule, train, write_curves, write_metrics

STAGE, MODEL = "train_s2l", "s2l"
LEARNT_BY = "space_models.s2l.task"
RISE_SHARE, GRADIENT_CLIP, ROWS_OF_CURVES, VALIDATION_CLIPS = 0.3, 1.0, 10, 8


def config_for(settings: S2LStage, spec: SpeechSpec, learnt: list[TrackClip]) -> S2LConfig:
    """The network for these speech features and training clips."""
    known = [emotion_known(c.clip.emotion) for c in learnt]
    return S2LConfig(
        spec.name, spec.weights_sha256, spec.per_frame, spec.width,
        N_BAND_GROUPS if spec.name == LOG_MEL else settings.speech_components,
        settings.channels, settings.hidden, settings.lookahead_frames, settings.dropout, settings.linear_share,
        any(known), not all(known),
    )  # fmt: skip


def task_settings(settings: S2LStage) -> TaskSettings:
    """What a batch holds."""
    quietest, loudest = settings.noise_below_peak_db
    augmentation = Augmentation((quietest, loudest), settings.component_noise, settings.component_dropout)
    return TaskSettings(
        settings.batch, settings.frames, settings.filmed_share, settings.lookahead_frames, augmentation,
        LossWeights(**settings.loss.model_dump()),
    )  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Train on the training identities, fit the gap map on the validation ones; figures on the test identities."""
    settings = params.s2l
    with stage_clock(layout, STAGE) as clock:
        data = Features.read(layout.feature_frames, layout.feature_clips)
        learnt, validation = data.of_split("train"), data.of_split("val", "video")
        if not learnt:
            raise SpaceError(f"{layout.feature_clips}: no clip of a training identity (see data.splits)")
        torch.manual_seed(settings.seed)
        model = S2L(config_for(settings, LogMel.spec, learnt))
        fit_input(model, learnt, task_settings(settings).augmentation, settings.seed)
        fingerprint = content_hash(data.data_hash, settings.model_dump())
        task = S2LTask(model, learnt, validation[:VALIDATION_CLIPS], task_settings(settings), fingerprint)
        schedule = Schedule(
            settings.steps, settings.learning_rate, settings.weight_decay, RISE_SHARE, GRADIENT_CLIP,
            max(1, settings.steps // ROWS_OF_CURVES), settings.seed,
        )  # fmt: skip
        state, code = layout.training_state(MODEL), module_version(LEARNT_BY)
        result = train(MODEL, model, task, schedule, state, threads=params.job.processes, code=code)
        notes = f"{len(learnt)} clips, {sum(map(len, learnt))} frames of {params.data.raw}"
        if validation:
            fit_gap(model, validation)
        else:
            notes += "; no validation clip: lip gaps are not mapped"
        shown = OutputSettings(params.animate.articulation, params.animate.fade_s)
        metrics = evaluate(model, data.held_out(), Baseline.of(learnt), shown)
        for name in ("still", "mean", "mean_face"):
            metrics[f"better_than_{name}"] = 1 - metrics["lmd_mouth"] / metrics[f"lmd_mouth_{name}"]
        metrics["first_better_than_still"] = 1 - metrics["first_lmd_mouth"] / metrics["first_lmd_mouth_still"]
        folder = layout.model(MODEL)
        card = Card(MODEL, config_of(model), data.data_hash, "python -m pipelines.stages train_s2l", metrics, notes)
        save_model(folder, model, card)
        write_curves(folder / "curves.csv", result.curves)
        write_metrics(folder / "metrics.json", metrics)
        clock.clips = len(data.clips)
        names = ("lmd_mouth", "better_than_still", "first_better_than_still", "lip_gap_r", "closure_f1")
        clock.notes = {name: f"{metrics[name]:.3f}" for name in names}
