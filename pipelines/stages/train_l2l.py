"""Stage ``train_l2l``: posed landmarks, speech and emotion to the latents of each generator in ``latents.generators``."""

import json
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipelines.job.clock import stage_clock
from pipelines.job.keys import module_version
from pipelines.layout import Layout
from pipelines.stages.latents import read_spec
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.landmarks import EYES, IRISES, N_LANDMARKS, PoseTrack
from space_data.params import L2LStage, Params
from space_data.schema import AlignedClip, FeatureClip, FeatureFrame, LatentFrame, emotion_known
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models.checkpoints import Card, save_model
from space_models.generators import Array, LatentSpec, pose_at
from space_models.l2l import L2L, MODEL, L2LConfig
from space_models.l2l.clips import LatentClip, S2LTake, data_hash
from space_models.l2l.inputs import in_crop
from space_models.l2l.metrics import beats_ridge, evaluate
from space_models.l2l.task import L2LTask, fit_start
from space_models.s2l import S2L, load_s2l, relaxed
from space_models.trainer import Schedule, train, write_curves

STAGE = "train_l2l"
RISE_SHARE, GRADIENT_CLIP, ROWS_OF_CURVES = 0.2, 1.0, 10
SHOWN_DIGITS = 3

Splits = dict[str, list[LatentClip]]


@dataclass(frozen=True)
class Recording:
    """A filmed clip with everything that any L2L may learn from: normalised landmarks (T, 78, 3), pose in the 512 crop, speech
    (T, 160), and S2L's landmarks for its own first frame and for one of another take."""

    about: FeatureClip
    normalised: Array
    pose: PoseTrack
    sound: Array


def read_recordings(layout: Layout) -> list[Recording]:
    """All filmed clips of the feature tables that were aligned."""
    sizes = {clip.clip_id: clip.size_px for clip in read_table(layout.aligned_clips, AlignedClip)}
    about = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip)}
    columns = ["clip_id", "normalised", "pose", "log_mel"]
    found = []
    for clip_id, rows in by_clip(read_arrow(layout.feature_frames, FeatureFrame, columns)):
        if clip_id not in sizes:
            continue  # speech only
        sound = mean_normalise(vectors(rows, "log_mel").reshape(-1, MEL_BANDS)).reshape(len(rows), -1).astype(np.float32)
        pose = pose_at(PoseTrack.from_array(vectors(rows, "pose")), CROP_SIZE_PX / sizes[clip_id])
        found.append(Recording(about[clip_id], vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3), pose, sound))
    return sorted(found, key=lambda r: r.about.clip_id)


def read_latents(layout: Layout, generator: str) -> dict[str, Array]:
    """Latents (T, D) by clip."""
    table = read_arrow(layout.latents(generator), LatentFrame)
    return {clip_id: vectors(rows, "z") for clip_id, rows in by_clip(table)}


def clips_of(recordings: list[Recording], latents: dict[str, Array], s2l: S2L | None, normalise: bool) -> Splits:
    """What L2L learns from, by split; a clip whose latents failed is left out (the ledger says so).

    Raises:
        SpaceError: latents and features of different length.
    """
    with_latents = [r for r in recordings if r.about.clip_id in latents]
    of_subject: dict[str, list[Recording]] = defaultdict(list)
    for recording in with_latents:
        of_subject[recording.about.subject].append(recording)
    by_split: Splits = {"train": [], "val": [], "test": []}
    for recording in with_latents:
        about, z = recording.about, latents[recording.about.clip_id]
        if len(z) != len(recording.sound):
            raise SpaceError(
                f"clip {about.clip_id}: {len(z)} frames of latents, {len(recording.sound)} of features (run `dvc repro latents`)"
            )
        others = [r for r in of_subject[about.subject] if r is not recording]
        sources = [recording, *others[:1]] if s2l is not None else []
        takes = tuple(_take(s2l, recording, source, latents, normalise) for source in sources if s2l is not None)
        landmarks = _seen(recording.normalised, recording.pose, normalise)
        by_split[about.split].append(
            LatentClip(about.clip_id, about.subject, landmarks, recording.sound, about.emotion, z, takes)
        )
    return by_split


def _take(s2l: S2L, recording: Recording, source: Recording, latents: dict[str, Array], normalise: bool) -> S2LTake:
    """The recording's sound on the first frame of ``source``; lids and irises are the recording's, as in use they are commanded
    (`space_models.controls`), not heard."""
    portrait = source.normalised[0]
    face = s2l.predict(recording.sound, relaxed(portrait), recording.about.emotion).copy()
    own = np.concatenate([EYES, IRISES])
    face[:, own] = recording.normalised[:, own]
    landmarks = _seen(face.astype(np.float32), recording.pose, normalise)
    return S2LTake(landmarks, _seen(source.normalised, source.pose, normalise)[0], latents[source.about.clip_id][0])


def _seen(normalised: Array, pose: PoseTrack, normalise: bool) -> Array:
    """As `L2L.seen`; without normalisation in units of the clip's first frame."""
    return normalised if normalise else in_crop(normalised, pose, float(pose.scale[0]))


def schedule_of(settings: L2LStage) -> Schedule:
    """The trainer's schedule of the section."""
    interval_steps = max(1, settings.steps // ROWS_OF_CURVES)
    return Schedule(
        settings.steps, settings.learning_rate, settings.weight_decay, RISE_SHARE, GRADIENT_CLIP, interval_steps, settings.seed
    )


@dataclass(frozen=True)
class Trained:
    """A model with its curves; ``beaten`` = the network lost to its linear start on the validation identities and was dropped."""

    model: L2L
    curves: tuple[dict[str, float], ...]
    beaten: bool


def train_model(clips: Splits, spec: LatentSpec, settings: L2LStage, layout: Layout, threads: int, state: str) -> Trained:
    """The linear start, then the network, which stays only if it beats that on the validation identities."""
    known = [emotion_known(clip.emotion) for clip in clips["train"]]
    config = L2LConfig(
        spec, settings.hidden, settings.use_audio, settings.use_landmarks, settings.normalise, settings.use_emotion,
        any(known), not all(known),
    )  # fmt: skip
    torch.manual_seed(settings.seed)
    model = L2L(config)
    task = L2LTask(clips["train"], clips["val"], settings, spec)
    start, scale = fit_start(clips["train"], settings)
    if not settings.use_landmarks:
        start = replace(start, weight=np.zeros_like(start.weight))
    model.set_start(start.weight, scale)
    code = module_version("space_models.l2l.task")
    result = train(state, model, task, schedule_of(settings), layout.training_state(state), threads=threads, code=code)
    if clips["val"] and not beats_ridge(model, clips["val"]):
        alone = L2L(replace(config, residual=False))
        alone.set_start(start.weight, scale)
        return Trained(alone.eval(), result.curves, True)
    return Trained(model, result.curves, False)


def run(params: Params, layout: Layout) -> None:
    """Train on the training identities, choose on the validation ones, figures on the test ones."""
    with stage_clock(layout, STAGE) as clock:
        recordings = read_recordings(layout)
        s2l = load_s2l(layout.model("s2l")) if params.l2l.s2l_share else None
        figures: dict[str, dict[str, float]] = {}
        for name in params.latents.generators:
            clips = clips_of(recordings, read_latents(layout, name), s2l, params.l2l.normalise)
            spec, state = read_spec(layout, name), f"{MODEL}-{name}"
            trained = train_model(clips, spec, params.l2l, layout, params.job.processes, state)
            figures[name] = evaluate(trained.model, clips["test"]) if clips["test"] else {}
            folder = layout.model(f"{MODEL}/{name}")
            verdict = "; ridge alone: the network did not beat it on validation identities" if trained.beaten else ""
            card = Card(
                MODEL, trained.model.config.to_json(), data_hash(clips["train"]), "python -m pipelines.stages train_l2l",
                figures[name], f"{len(clips['train'])} filmed clips{verdict}",
            )  # fmt: skip
            save_model(folder, trained.model, card)
            write_curves(folder / "curves.csv", trained.curves)
            clock.clips += sum(map(len, clips.values()))
        write_figures(layout, figures)
        clock.notes = {
            f"{name}_{metric}": f"{value:.{SHOWN_DIGITS}f}" for name, own in figures.items() for metric, value in own.items()
        }


def write_figures(layout: Layout, figures: dict[str, dict[str, float]]) -> None:
    """``models/l2l/metrics.json``: figures by generator."""
    rounded = {name: {key: float(f"{value:.6g}") for key, value in sorted(own.items())} for name, own in figures.items()}
    with atomic_file(layout.model(MODEL) / "metrics.json") as part:
        part.write_text(json.dumps(rounded, indent=1) + "\n")
