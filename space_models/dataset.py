"""The feature tables in memory, as clips that the models learn from."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS
from space_data.schema import EMOTIONS, FeatureClip, FeatureFrame, emotion_known
from space_data.speech import MEL_BANDS
from space_data.store import Place
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_data.timebase import FEATURES_PER_FRAME
from space_models.retarget import neutral_of

SHORTEST_FRAMES = 25


@dataclass(frozen=True)
class TrackClip:
    """One clip: ``normalised`` (T, 78, 3), ``pose`` (T, 7), ``log_mel`` (4 T, 40) without normalisation, ``speech`` (T,)."""

    clip: FeatureClip
    normalised: NDArray[np.float32]
    pose: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    speech: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.normalised)


@dataclass(frozen=True)
class Features:
    """All clips of the feature tables, with a hash of what they hold."""

    clips: tuple[TrackClip, ...]
    data_hash: str

    @staticmethod
    def read(frames: Place, clips: Place) -> "Features":
        """Read the tables of stage ``features``; clips under a second are left out.

        Raises:
            SpaceError: a table is missing, or holds no clip long enough.
        """
        rows = {row.clip_id: row for row in read_table(clips, FeatureClip)}
        columns = ["clip_id", "normalised", "pose", "log_mel", "speech"]
        found = []
        digest = hashlib.sha256()
        for clip_id, table in by_clip(read_arrow(frames, FeatureFrame, columns)):
            if len(table) < SHORTEST_FRAMES:
                continue
            normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
            log_mel = vectors(table, "log_mel").reshape(-1, MEL_BANDS)
            speech = np.asarray(table.column("speech").combine_chunks().to_numpy(zero_copy_only=False), bool)
            found.append(TrackClip(rows[clip_id], normalised, vectors(table, "pose"), log_mel, speech))
            emotion = rows[clip_id].emotion.tobytes()
            for part in (clip_id.encode(), emotion, np.round(normalised, 4).tobytes(), np.round(log_mel, 3).tobytes()):
                digest.update(part)
        if not found:
            raise SpaceError(f"{clips}: no clip of at least {SHORTEST_FRAMES} frames to learn from")
        return Features(tuple(sorted(found, key=lambda c: c.clip.clip_id)), digest.hexdigest())

    def of_split(self, split: str, kind: str | None = None) -> list[TrackClip]:
        """Clips of one split, optionally of one kind (``video``, ``speech_only``)."""
        return [c for c in self.clips if c.clip.split == split and kind in (None, c.clip.kind)]

    def held_out(self) -> list[TrackClip]:
        """Filmed clips of test identities; of validation ones, then of any, in sets too small to have those."""
        return self.of_split("test", "video") or self.of_split("val", "video") or list(self.clips)


def by_subject(clips: Iterable[TrackClip]) -> dict[str, list[TrackClip]]:
    """Clips of each subject, in order."""
    grouped: dict[str, list[TrackClip]] = defaultdict(list)
    for clip in clips:
        grouped[clip.clip.subject].append(clip)
    return grouped


def resting_faces(clips: Iterable[TrackClip]) -> dict[str, NDArray[np.float32]]:
    """Resting face (78, 3) per subject: from its neutral clips; without any from its unlabelled ones, else from all of them."""
    neutral = EMOTIONS.index("neutral")
    faces = {}
    for subject, own in by_subject(clips).items():
        calm = [c for c in own if c.clip.emotion[neutral] > 0 or not c.clip.emotion.any()]
        calm = calm or [c for c in own if not emotion_known(c.clip.emotion)] or own
        faces[subject] = neutral_of(np.concatenate([c.normalised for c in calm]))
    return faces


def by_frame(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (4 T, 40) grouped by video frame, (T, 160)."""
    return log_mel.reshape(len(log_mel) // FEATURES_PER_FRAME, FEATURES_PER_FRAME * log_mel.shape[1])
