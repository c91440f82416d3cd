"""The rows of every table: a file per stage, so that a column of one touches no other.

A row is a frozen dataclass; units stand in the column names. Per-frame vectors are fixed-size lists of float32. The Arrow schema
is derived (``arrow``); its metadata carries the table's name and version (``version_of``), which readers check.
"""

from space_data.schema.align import AlignedClip
from space_data.schema.animate import TrackFrame
from space_data.schema.animate_batch import AnimationRow
from space_data.schema.arrow import FIRST_VERSION, arrow_schema, version_of
from space_data.schema.columns import AnySize, Box, FixedSize, Landmarks, PoseVector
from space_data.schema.corpus import UtteranceFrame
from space_data.schema.evaluate import Aggregate, ClipStatistic, IdentityMean, Score, TraceFrame
from space_data.schema.features import EmotionVector, FeatureClip, FeatureFrame, FrameMel, FrameMfcc, SegmentCrop
from space_data.schema.filter import Decision
from space_data.schema.ingest import Clip, Utterance
from space_data.schema.labels import EMOTIONS, NEUTRAL, NEUTRAL_LABEL, SPLITS, UNKNOWN, emotion_known, emotion_vector
from space_data.schema.latents import LatentFrame
from space_data.schema.ledger import FAILED, KEPT, REJECTED, STATUSES, LedgerRow
from space_data.schema.measure import ClipMeasure, FrameRow, MelFrame, SoundRow, Thumbnail
from space_data.schema.segment import Measure
from space_data.schema.speech import SpeechFrame
from space_data.schema.sync import SegmentSync, SyncWindow
from space_data.schema.syncnet import SyncNetScore
from space_data.schema.synthesize import SynthesizedClip, SynthesizedFrame

__all__ = [
    "EMOTIONS", "FAILED", "FIRST_VERSION", "KEPT", "NEUTRAL", "NEUTRAL_LABEL", "REJECTED", "SPLITS", "STATUSES", "UNKNOWN",
    "Aggregate", "AlignedClip", "AnimationRow", "AnySize", "Box", "Clip", "ClipMeasure", "ClipStatistic", "Decision",
    "EmotionVector", "FeatureClip", "FeatureFrame", "FixedSize", "FrameMel", "FrameMfcc", "FrameRow",
    "IdentityMean", "Landmarks", "LatentFrame", "LedgerRow", "Measure", "MelFrame", "PoseVector", "Score", "SegmentCrop",
    "SegmentSync", "SoundRow",
    "SpeechFrame", "SyncNetScore", "SyncWindow", "SynthesizedClip", "SynthesizedFrame", "Thumbnail", "TraceFrame",
    "TrackFrame", "Utterance", "UtteranceFrame", "arrow_schema", "emotion_known", "emotion_vector", "version_of",
]  # fmt: skip
