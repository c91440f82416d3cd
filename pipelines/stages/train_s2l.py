"""Stage ``train_s2l``: Speech2Landmarks, learnt from filmed clips and from speech with exact landmark tracks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.layout import Layout
from pipelines.training import training_stage
from space_data.params import Params, S2LStage
from space_data.schema import emotion_known
from space_data.speech_encoder import LOG_MEL, SpeechSpec, spec_of
from space_data.speech_states import cached_spec, stream_speech
from space_data.tables import has_table
from space_models.dataset import Features, hash_of, spread
from space_models.s2l.augment import Augmentation
from space_models.s2l.features import N_BAND_GROUPS
from space_models.s2l.fit import fit_gap, fit_input
from space_models.s2l.loss import LossWeights
from space_models.s2l.metrics import Baseline, evaluate
from space_models.s2l.model import S2L, config_of
from space_models.s2l.network import S2LConfig
from space_models.s2l.output import OutputSettings
from space_models.s2l.task import S2LTask, TaskSettings
from space_models.stream import as_read

STAGE, MODEL = "train_s2l", "s2l"
HELD_OUT = ("test", "val")


@dataclass(frozen=True)
class SpeechSource:
    """What the named speech encoder gives, and its states by clip; none for log-mel, which is in the tables of ``features``."""

    encoder: str
    layout: Layout

    @property
    def spec(self) -> SpeechSpec:
        """Raises SpaceError if stage ``speech`` has not run with this encoder."""
        return spec_of(self.encoder) if self.encoder == LOG_MEL else cached_spec(self.layout.speech)

    def of_training(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Of these clips, and perhaps of others."""
        yield from self._of("train", clip_ids)

    def of_held_out(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Of these clips, which are not learnt from, and perhaps of others."""
        for split in HELD_OUT:
            yield from self._of(split, clip_ids)

    def _of(self, split: str, clip_ids: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        if self.encoder != LOG_MEL and has_table(self.layout.feature_split(split)):
            yield from stream_speech(self.encoder, self.layout.feature_frames, self.layout.speech, split, clip_ids)


def config_for(settings: S2LStage, spec: SpeechSpec, emotions: NDArray[np.float32]) -> S2LConfig:
    """The network for these speech features and the training clips' emotions (clips, 9)."""
    known = [emotion_known(each) for each in emotions]
    return S2LConfig(
        spec.name, spec.weights_sha256, spec.per_frame, spec.width,
        N_BAND_GROUPS if spec.name == LOG_MEL else settings.speech_components,
        settings.channels, settings.hidden, settings.lookahead_frames, settings.dropout, settings.linear_share,
        any(known), not all(known), spec.layers,
    )  # fmt: skip


def task_settings(settings: S2LStage) -> TaskSettings:
    """What a batch holds."""
    nearest, furthest = settings.noise_below_peak_db
    augmentation = Augmentation((nearest, furthest), settings.component_noise, settings.component_dropout)
    return TaskSettings(
        settings.batch, settings.frames, settings.filmed_share, settings.lookahead_frames, augmentation,
        LossWeights(**settings.loss.model_dump()),
    )  # fmt: skip


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities, fit the gap map on the validation ones; figures on the test identities."""
    settings = params.s2l
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        speech = SpeechSource(params.features.speech_encoder, layout)
        source = stage.stream(as_read, states=speech.of_training)
        learnt, most = source.sample(), stage.training.held_out_clips
        data = Features.read_filmed(layout.feature_frames, layout.feature_clips, HELD_OUT, most, speech.of_held_out)
        tested, validation = (data.of_split(split, "video") for split in HELD_OUT)
        held_out = stage.held_out({"test": tested, "val": validation})
        model, task_of = S2L(config_for(settings, speech.spec, source.emotions)), task_settings(settings)
        fit_input(model, learnt, task_of.augmentation, settings.seed)
        watched = spread(validation, stage.training.validation_clips)
        task, data_hash = S2LTask(model, source, watched, task_of), hash_of(source.data_hash, data.data_hash)
        if not stage.train(model, task, data_hash, fit_input):
            return
        notes = f"{len(source)} clips, {source.n_frames} frames of {params.data.raw}"
        if validation:
            fit_gap(model, validation)
            notes += "" if tested else "; the figures are of the clips to which the map of lip gaps is fitted"
        else:
            notes += "; no validation clip: lip gaps are not mapped"
        shown = OutputSettings(params.animate.articulation, params.animate.fade_s)
        metrics = evaluate(model, held_out, Baseline.of(learnt), shown) if held_out else {}
        for name in ("still", "mean", "mean_face") if metrics else ():
            metrics[f"better_than_{name}"] = 1 - metrics["lmd_mouth"] / metrics[f"lmd_mouth_{name}"]
        if metrics:
            metrics["first_better_than_still"] = 1 - metrics["first_lmd_mouth"] / metrics["first_lmd_mouth_still"]
        stage.write(model, config_of(model), metrics, notes)
        stage.clock.clips = len(source) + len(data.clips)
        names = ("lmd_mouth", "better_than_still", "first_better_than_still", "lip_gap_r", "closure_f1")
        stage.clock.notes = {name: f"{metrics[name]:.3f}" for name in names if name in metrics}
