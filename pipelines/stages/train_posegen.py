"""Stage ``train_posegen``: head pose from speech, fitted to the pose tracks of the features in one pass."""

import hashlib
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.job.clock import stage_clock
from pipelines.job.unit import content_hash
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack
from space_data.params import Params, PoseGenStage
from space_data.schema import FeatureClip, FeatureFrame
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import read_table, stream_clips
from space_data.timebase import frames_in
from space_models.checkpoints import Card, save_model
from space_models.curves import write_metrics
from space_models.dataset import numbers
from space_models.posegen.figures import SAMPLE_S, figures
from space_models.posegen.fit import empty_moments, fit
from space_models.posegen.moments import PersonMoments
from space_models.posegen.pose import key_frames, pose_columns, to_keys
from space_models.posegen.speech import loudness, rises

STAGE, MODEL = "train_posegen", "posegen"


@dataclass
class SplitMoments:
    """What one split says: sums by person, a hash per clip, and enough sound to speak ``SAMPLE_S``."""

    people: dict[str, PersonMoments] = field(default_factory=dict)
    hashes: list[str] = field(default_factory=list)
    speech: list[NDArray[np.float32]] = field(default_factory=list)

    def add(
        self, subject: str, pose: PoseTrack, found: NDArray[np.bool_], log_mel: NDArray[np.float32], settings: PoseGenStage
    ) -> None:
        """Take in a clip: T poses, which of them were ``found`` (T,) and not interpolated, and its mean-normalised log-mel
        features by frame, (T, 160)."""
        keys, are_found = to_keys(pose_columns(pose, pose[found])), to_keys(found[:, None].astype(float))[:, 0] == 1
        sound = rises(loudness(log_mel), key_frames(len(keys)), settings.lookahead_frames, settings.memory_frames)
        self.people.setdefault(subject, empty_moments(settings)).add(keys, sound, are_found)
        seen = np.concatenate([keys, sound], 1)[are_found].round(4) + 0.0  # no -0
        lost = b"" if are_found.all() else are_found.tobytes()
        self.hashes.append(hashlib.sha256(subject.encode() + lost + seen.tobytes()).hexdigest())
        if sum(map(len, self.speech)) < frames_in(SAMPLE_S):
            self.speech.append(log_mel)


def read_moments(layout: Layout, settings: PoseGenStage) -> dict[str, SplitMoments]:
    """Sums over the filmed clips, by split; one row group in memory at a time. Utterances that are only heard have no pose."""
    filmed = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip) if row.kind == "video"}
    by_split = {"train": SplitMoments(), "val": SplitMoments(), "test": SplitMoments()}
    for clip_id, rows in stream_clips(layout.feature_frames, FeatureFrame, ["clip_id", "pose", "log_mel", "interpolated"]):
        found = ~rows.column("interpolated").combine_chunks().to_numpy(zero_copy_only=False)
        if clip_id in filmed and found.any():
            log_mel, pose = (numbers(clip_id, rows, name) for name in ("log_mel", "pose"))
            sound = mean_normalise(log_mel.reshape(-1, MEL_BANDS)).reshape(len(rows), -1)
            row = filmed[clip_id]
            by_split[row.split].add(row.subject, PoseTrack.from_array(pose), found, sound, settings)
    return by_split


def run(params: Params, layout: Layout) -> None:
    """Fit on the training identities; figures on the test identities (on validation ones where there are none, else none)."""
    settings = params.posegen
    with stage_clock(layout, STAGE) as clock:
        splits = read_moments(layout, settings)
        train = list(splits["train"].people.values())
        if not train:
            raise SpaceError(f"{layout.feature_clips}: no filmed clip of a training identity (see data.splits)")
        fitted = fit(train, settings)
        split = next((name for name in ("test", "val") if splits[name].people), "")
        held_out = splits[split] if split else SplitMoments()
        metrics = figures(fitted, train, list(held_out.people.values()), held_out.speech, settings)
        folder, data_hash = layout.model(MODEL), content_hash(sorted(splits["train"].hashes), sorted(held_out.hashes))
        card = Card(
            MODEL, asdict(fitted.model.config), data_hash, f"python -m pipelines.stages {STAGE}", metrics,
            f"{len(splits['train'].hashes)} filmed clips of {len(train)} people; speech {_words(fitted.model.hears)}",
            training=settings.model_dump(mode="json"),
            held_out=f"{len(held_out.hashes)} clips of split {split}" if split else "none: no figures",
        )  # fmt: skip
        save_model(folder, fitted.model, card)
        write_metrics(folder / "metrics.json", metrics)
        clock.clips = sum(len(split.hashes) for split in splits.values())
        clock.notes = {name: f"{value:.3f}" for name, value in metrics.items()}


def _words(hears: bool) -> str:
    return "moves the head" if hears else "was left out: it did not help on people left out"
