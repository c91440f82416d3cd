"""Small feature tables of many clips, in many row groups: what is streamed."""

import numpy as np
import pytest

from pipelines.layout import Layout
from space_data import tables
from space_data.schema import EMOTIONS, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import columns_to_arrow, merge_shards, write_table

LENGTHS = (30, 45, 60)
GROUP_ROWS = 150


def write_clips(
    layout: Layout, patch: pytest.MonkeyPatch, n_video: int, n_speech_only: int = 0, shards: int = 3
) -> list[FeatureClip]:
    """Clips of 30, 45 and 60 frames, two of each person, in row groups of up to 150 frames; returns their lines, sorted by id.

    A clip's landmarks, pose and sound all hold its number; every seventh frame is interpolated.
    """
    patch.setattr(tables, "ROW_GROUP_ROWS", GROUP_ROWS)
    rows, made = [], {}
    kinds = ["video"] * n_video + ["speech_only"] * n_speech_only
    for number, kind in enumerate(kinds):
        n, clip_id = LENGTHS[number % 3], f"set/{kind}/{number:04d}"
        emotion = emotion_vector(EMOTIONS[number % 3], 1.0)
        rows.append(FeatureClip(clip_id, kind, "set", f"{kind}{number // 2}", "en", "train", emotion, n))
        columns = {
            "clip_id": clip_id, "frame": np.arange(n), "interpolated": np.arange(n) % 7 == 0, "speech": np.ones(n, bool),
            "normalised": np.full((n, 234), number, np.float32), "pose": np.full((n, 7), number, np.float32),
            "log_mel": np.full((n, 160), number, np.float32), "mfcc": np.zeros((n, 52), np.float32),
            **{name: np.zeros(n) for name in ("eye_opening_left", "eye_opening_right", "gaze_x", "gaze_y")},
        }  # fmt: skip
        made[clip_id] = lambda columns=columns: columns_to_arrow(columns, FeatureFrame)
    merge_shards(layout.feature_split("train"), made, FeatureFrame, shards)
    write_table(layout.feature_clips, rows, FeatureClip)
    return sorted(rows, key=lambda row: row.clip_id)
