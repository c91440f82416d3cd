"""Stage ``train_l2l``: posed landmarks, speech and emotion to the latents of each generator in ``latents.generators``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.layout import Layout
from pipelines.stages.latents import read_spec
from pipelines.stages.train_s2l import HELD_OUT, SpeechSource
from pipelines.stages.train_s2l import MODEL as S2L_MODEL
from pipelines.training import TrainingStage, training_stage
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import EYES, IRISES, PoseTrack
from space_data.manifest import shards_of
from space_data.params import L2LStage, Params
from space_data.schema import AlignedClip, LatentFrame, emotion_known
from space_data.speech import mean_normalise
from space_data.speech_encoder import LOG_MEL
from space_data.store import Place
from space_data.tables import read_table, stream_clips, vectors
from space_models.checkpoints import load_card
from space_models.dataset import Features, TrackClip, by_subject, hash_of, spread
from space_models.generators import Array, LatentSpec, pose_at
from space_models.l2l import L2L, MODEL, L2LConfig
from space_models.l2l.clips import LatentClip, S2LTake
from space_models.l2l.inputs import in_crop
from space_models.l2l.metrics import beats_ridge, evaluate
from space_models.l2l.task import L2LTask, fit_start
from space_models.s2l.features import speech_of
from space_models.s2l.model import S2L, load_s2l
from space_models.s2l.output import OutputSettings
from space_models.s2l.stream import predict
from space_models.stream import VIDEO, ClipSource

STAGE = "train_l2l"
SHOWN_DIGITS = 3

Splits = dict[str, list[LatentClip]]


@dataclass(frozen=True)
class Speaker:
    """S2L as it is used: the model, the settings of what it shows, and the hash of its weights."""

    s2l: S2L
    shown: OutputSettings
    weights_sha256: str


@dataclass(frozen=True)
class Latents:
    """Makes what L2L learns from of the tables' clips (``stream.Make``), by the latents of one generator."""

    table: Place
    """of the latents"""
    sizes: Mapping[str, int]
    """sides of the aligned videos in pixels, by clip"""
    speaker: Speaker | None
    normalise: bool

    @staticmethod
    def of(layout: Layout, generator: str, speaker: Speaker | None, normalise: bool) -> "Latents":
        """Of a finished stage ``latents``."""
        sizes = {clip.clip_id: clip.size_px for clip in read_table(layout.aligned_clips, AlignedClip)}
        return Latents(layout.latents(generator), sizes, speaker, normalise)

    @property
    def data_hash(self) -> str:
        """Of the latents and of who speaks, by the hashes that were stored with them."""
        speaker = self.speaker and (self.speaker.weights_sha256, self.speaker.shown)
        return hash_of([shard.sha256 for shard in shards_of(self.table)], speaker)

    def __call__(self, clips: Sequence[TrackClip]) -> list[LatentClip]:
        """Those that were aligned and have latents; whose latents failed is left out (the ledger says so).

        Raises:
            SpaceError: latents and features of different length.
        """
        wanted = {clip.clip_id for clip in clips if clip.clip_id in self.sizes}
        read = stream_clips(self.table, LatentFrame, None, wanted) if wanted else ()
        latents = {clip_id: vectors(rows, "z") for clip_id, rows in read if clip_id in wanted}
        own = [clip for clip in clips if clip.clip_id in latents]
        takes_of = by_subject(own)
        return [self._latent_clip(clip, takes_of[clip.subject], latents) for clip in own]

    def _latent_clip(self, clip: TrackClip, takes_of_subject: Sequence[TrackClip], latents: Mapping[str, Array]) -> LatentClip:
        z = latents[clip.clip_id]
        if len(z) != len(clip):
            raise SpaceError(
                f"clip {clip.clip_id}: {len(z)} frames of latents, {len(clip)} of features (run `dvc repro latents`)"
            )
        sources = [clip, *[other for other in takes_of_subject if other is not clip][:1]]
        takes = tuple(self._take(self.speaker, clip, source, latents) for source in sources) if self.speaker else ()
        sound = mean_normalise(clip.log_mel).reshape(len(clip), -1).astype(np.float32)
        landmarks = self._seen(clip, clip.normalised)
        return LatentClip(clip.clip_id, clip.subject, landmarks, sound, clip.emotion, z, ~clip.interpolated, takes)

    def _take(self, speaker: Speaker, clip: TrackClip, source: TrackClip, latents: Mapping[str, Array]) -> S2LTake:
        """The clip's sound on the first frame of ``source``; lids and irises are the clip's, as in use they are commanded
        (`space_models.controls`), not heard."""
        speech = speech_of(clip, speaker.s2l.config.encoder)
        face = predict(speaker.s2l, speech, source.normalised[0], clip.emotion, source.emotion, speaker.shown).copy()
        own = np.concatenate([EYES, IRISES])
        face[:, own] = clip.normalised[:, own]
        portrait = self._seen(source, source.normalised[:1])[0]
        return S2LTake(self._seen(clip, face), portrait, latents[source.clip_id][0])

    def _seen(self, clip: TrackClip, landmarks: Array) -> Array:
        """As `L2L.seen`; without normalisation in the clip's own pose, in units of its first frame."""
        if self.normalise:
            return landmarks
        pose = pose_at(PoseTrack.from_array(clip.pose), CROP_SIZE_PX / self.sizes[clip.clip_id])
        return in_crop(landmarks, pose[: len(landmarks)], float(pose.scale[0]))


@dataclass(frozen=True)
class Data:
    """What one L2L is trained with and judged by."""

    source: ClipSource[LatentClip]
    held_out: Splits
    """``val`` and ``test``"""
    spec: LatentSpec
    data_hash: str


def read_data(layout: Layout, generator: str, speaker: Speaker | None, settings: L2LStage, stage: TrainingStage) -> Data:
    """Training clips as a stream, the others at hand, up to ``training.held_out_clips`` of each split."""
    make, frames = Latents.of(layout, generator, speaker, settings.normalise), layout.feature_frames
    speech = SpeechSource(speaker.s2l.config.encoder if speaker else LOG_MEL, layout)
    source = stage.stream(make, (VIDEO,), speech.of_training)
    features = Features.read_filmed(frames, layout.feature_clips, HELD_OUT, stage.training.held_out_clips, speech.of_held_out)
    held_out = {split: make(features.of_split(split)) for split in HELD_OUT}
    spec = read_spec(layout, generator)
    return Data(source, held_out, spec, hash_of(source.data_hash, make.data_hash, held_out, spec))


def train_network(data: Data, settings: L2LStage, stage: TrainingStage) -> L2L | None:
    """The linear start, and the network beside it; None where this process writes nothing (`TrainingStage.train`)."""
    watched = spread(data.held_out["val"], stage.training.validation_clips)
    known = [emotion_known(each) for each in data.source.emotions]
    config = L2LConfig(
        data.spec, settings.hidden, settings.use_audio, settings.use_landmarks, settings.normalise, settings.use_emotion,
        any(known), not all(known),
    )  # fmt: skip
    model = L2L(config)
    start, scale = fit_start(data.source.sample(), settings)
    model.set_start(start.weight, scale)
    writes = stage.train(model, L2LTask(data.source, watched, settings, data.spec), data.data_hash, fit_start)
    return model if writes else None


def chosen(model: L2L, validation: list[LatentClip]) -> L2L:
    """The model, or its linear start alone where the network does not beat that on the validation identities."""
    if not validation or beats_ridge(model, validation):
        return model
    alone = L2L(replace(model.config, residual=False))
    alone.set_start(model.weight.numpy(), model.shape_scale.numpy())
    return alone.eval()


def speaker_of(params: Params, layout: Layout) -> Speaker | None:
    """The pipeline's S2L, if L2L is to learn from its landmarks."""
    if not params.l2l.s2l_share:
        return None
    folder, shown = layout.model(S2L_MODEL), OutputSettings(params.animate.articulation, params.animate.fade_s)
    return Speaker(load_s2l(folder), shown, load_card(folder, S2L_MODEL).weights_sha256)


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities, choose on the validation ones, figures on the test ones."""
    settings = params.l2l
    for name in params.latents.generators:
        with training_stage(STAGE, f"{MODEL}/{name}", settings, params, layout, overfit_one_clip) as stage:
            data = read_data(layout, name, speaker_of(params, layout), settings, stage)
            held_out = stage.held_out({split: data.held_out[split] for split in ("test", "val")})
            trained = train_network(data, settings, stage)
            if trained is None:
                continue
            model = chosen(trained, data.held_out["val"])
            metrics = evaluate(model, held_out) if held_out else {}
            verdict = "" if model.config.residual else "; ridge alone: the network did not beat it on validation identities"
            stage.write(model, model.config.to_json(), metrics, f"{len(data.source)} filmed clips{verdict}")
            stage.clock.clips = len(data.source) + sum(map(len, data.held_out.values()))
            stage.clock.notes = {key: f"{value:.{SHOWN_DIGITS}f}" for key, value in metrics.items()}
