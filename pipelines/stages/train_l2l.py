"""Stage ``train_l2l``: posed landmarks, speech and emotion to the latents of each generator in ``latents.generators``."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from pipelines.layout import Layout
from pipelines.stages.latents import read_spec
from pipelines.stages.train_s2l import Heard
from pipelines.training import TrainingStage, training_stage
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import EYES, IRISES, PoseTrack
from space_data.params import L2LStage, Params
from space_data.schema import AlignedClip, LatentFrame, emotion_known
from space_data.speech import mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models.dataset import Features, TrackClip, hash_of, spread
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

STAGE = "train_l2l"
SHOWN_DIGITS = 3

Splits = dict[str, list[LatentClip]]


@dataclass(frozen=True)
class Speaker:
    """S2L as it is used: the model and the settings of what it shows."""

    s2l: S2L
    shown: OutputSettings


@dataclass(frozen=True)
class Filmed:
    """The filmed clips of the feature tables, and the sides of their aligned videos in pixels, by clip."""

    clips: list[TrackClip]
    sizes: dict[str, int]


def read_filmed(layout: Layout, speaker: Speaker | None) -> Filmed:
    """All clips that were aligned, with the states that S2L hears."""
    sizes = {clip.clip_id: clip.size_px for clip in read_table(layout.aligned_clips, AlignedClip)}
    states = Heard(speaker.s2l.config.encoder, layout).of_all() if speaker else ()
    features = Features.read(layout.feature_frames, layout.feature_clips, states)
    return Filmed([clip for clip in features.clips if clip.clip.clip_id in sizes], sizes)


def read_latents(layout: Layout, generator: str) -> dict[str, Array]:
    """Latents (T, D) by clip."""
    table = read_arrow(layout.latents(generator), LatentFrame)
    return {clip_id: vectors(rows, "z") for clip_id, rows in by_clip(table)}


def clips_of(filmed: Filmed, latents: dict[str, Array], speaker: Speaker | None, normalise: bool) -> Splits:
    """What L2L learns from, by split; a clip whose latents failed is left out (the ledger says so).

    Raises:
        SpaceError: latents and features of different length.
    """
    with_latents = [clip for clip in filmed.clips if clip.clip.clip_id in latents]
    of_subject: dict[str, list[TrackClip]] = defaultdict(list)
    for clip in with_latents:
        of_subject[clip.subject].append(clip)
    by_split: Splits = {"train": [], "val": [], "test": []}
    for clip in with_latents:
        about, z = clip.clip, latents[clip.clip.clip_id]
        if len(z) != len(clip):
            raise SpaceError(
                f"clip {about.clip_id}: {len(z)} frames of latents, {len(clip)} of features (run `dvc repro latents`)"
            )
        others = [other for other in of_subject[clip.subject] if other is not clip]
        sources = [clip, *others[:1]] if speaker else []
        takes = tuple(_take(speaker, clip, source, filmed, latents, normalise) for source in sources if speaker)
        sound = mean_normalise(clip.log_mel).reshape(len(clip), -1).astype(np.float32)
        landmarks = _seen(clip, clip.normalised, filmed, normalise)
        by_split[about.split].append(LatentClip(about.clip_id, clip.subject, landmarks, sound, about.emotion, z, takes))
    return by_split


def _take(
    speaker: Speaker, clip: TrackClip, source: TrackClip, filmed: Filmed, latents: dict[str, Array], normalise: bool
) -> S2LTake:
    """The clip's sound on the first frame of ``source``; lids and irises are the clip's, as in use they are commanded
    (`space_models.controls`), not heard."""
    speech = speech_of(clip, speaker.s2l.config.encoder)
    emotion, worn = (np.nan_to_num(c.clip.emotion) for c in (clip, source))
    face = predict(speaker.s2l, speech, source.normalised[0], emotion, worn, speaker.shown).copy()
    own = np.concatenate([EYES, IRISES])
    face[:, own] = clip.normalised[:, own]
    portrait = _seen(source, source.normalised[:1], filmed, normalise)[0]
    return S2LTake(_seen(clip, face, filmed, normalise), portrait, latents[source.clip.clip_id][0])


def _seen(clip: TrackClip, landmarks: Array, filmed: Filmed, normalise: bool) -> Array:
    """As `L2L.seen`; without normalisation in the clip's own pose, in units of its first frame."""
    if normalise:
        return landmarks
    pose = pose_at(PoseTrack.from_array(clip.pose), CROP_SIZE_PX / filmed.sizes[clip.clip.clip_id])
    return in_crop(landmarks, pose[: len(landmarks)], float(pose.scale[0]))


def train_network(clips: Splits, spec: LatentSpec, settings: L2LStage, stage: TrainingStage) -> L2L | None:
    """The linear start, and the network beside it; None where this process writes nothing (`TrainingStage.train`)."""
    learnt, watched = stage.learnt(clips["train"], "filmed clip"), spread(clips["val"], stage.training.validation_clips)
    known = [emotion_known(clip.emotion) for clip in learnt]
    config = L2LConfig(
        spec, settings.hidden, settings.use_audio, settings.use_landmarks, settings.normalise, settings.use_emotion,
        any(known), not all(known),
    )  # fmt: skip
    model = L2L(config)
    start, scale = fit_start(learnt, settings)
    model.set_start(start.weight, scale)
    writes = stage.train(model, L2LTask(learnt, watched, settings, spec), hash_of(learnt, watched, spec))
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
    return Speaker(load_s2l(layout.model("s2l")), OutputSettings(params.animate.articulation, params.animate.fade_s))


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities, choose on the validation ones, figures on the test ones."""
    settings = params.l2l
    for name in params.latents.generators:
        with training_stage(STAGE, f"{MODEL}/{name}", settings, params, layout, overfit_one_clip) as stage:
            speaker = speaker_of(params, layout)
            clips = clips_of(read_filmed(layout, speaker), read_latents(layout, name), speaker, settings.normalise)
            held_out = stage.held_out({split: clips[split] for split in ("test", "val")})
            trained = train_network(clips, read_spec(layout, name), settings, stage)
            if trained is None:
                continue
            model = chosen(trained, clips["val"])
            metrics = evaluate(model, held_out) if held_out else {}
            verdict = "" if model.config.residual else "; ridge alone: the network did not beat it on validation identities"
            stage.write(model, model.config.to_json(), metrics, f"{len(clips['train'])} filmed clips{verdict}")
            stage.clock.clips = sum(map(len, clips.values()))
            stage.clock.notes = {key: f"{value:.{SHOWN_DIGITS}f}" for key, value in metrics.items()}
