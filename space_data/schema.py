"""The rows of every table, and the one derivation of Arrow schemas from them.

A row is a frozen dataclass; units stand in the column names. Per-frame vectors are fixed-size lists of float32. The schema's
metadata carries the table's name and version (``version_of``), which readers check.
"""

import dataclasses
import typing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.landmarks import N_LANDMARKS
from space_data.speech import MEL_BANDS, MFCC_COEFFICIENTS
from space_data.timebase import FEATURES_PER_FRAME

FIRST_VERSION = 4
"""Of tables that do not name one of their own."""

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "contempt")
"""The union of RAVDESS' and MEAD's labels; a clip's emotion is a vector of intensities in [0, 1] in this order."""
UNKNOWN = "unknown"
"""Emotion of a clip that nobody labelled: not neutral, and never one of ``EMOTIONS``."""

KEPT, REJECTED, FAILED = "kept", "rejected", "failed"
STATUSES = (KEPT, REJECTED, FAILED)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class FixedSize:
    """Annotation of a float32 vector column with ``size`` elements."""

    size: int


Landmarks = Annotated[NDArray[np.float32], FixedSize(N_LANDMARKS * 3)]
"""(78 * 3,): x, y, z of point 0, then of point 1, ..."""
PoseVector = Annotated[NDArray[np.float32], FixedSize(7)]
"""yaw_deg, pitch_deg, roll_deg, scale (px per IOD), tx, ty, tz (px): ``PoseTrack.as_array``."""
EmotionVector = Annotated[NDArray[np.float32], FixedSize(len(EMOTIONS))]
"""Intensity of each of ``EMOTIONS``, 0 ... 1; all NaN: nobody labelled the clip (``emotion_known``)."""
Box = Annotated[NDArray[np.float32], FixedSize(4)]
"""x0, y0, x1, y1 in pixels."""
MelFrame = Annotated[NDArray[np.float32], FixedSize(MEL_BANDS)]
"""Natural log of power in 40 mel bands, 60-7600 Hz."""
FrameMel = Annotated[NDArray[np.float32], FixedSize(FEATURES_PER_FRAME * MEL_BANDS)]
"""The frame's 4 features of 10 ms, 40 log-mel bands each."""
FrameMfcc = Annotated[NDArray[np.float32], FixedSize(FEATURES_PER_FRAME * MFCC_COEFFICIENTS)]
"""The same, 13 cepstral coefficients each."""


@dataclass(frozen=True)
class Clip:
    """``ingest``: one video file, what its corpus says of it and what its container claims."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    """data set + path without suffix, e.g. ``vox2/id00017/01dfn2spqyE/00001``"""
    path: str
    sha256: str
    """of the content of the file, or of the two if the sound lies in one of its own, and of part and crop if there are any"""
    audio_path: str
    """file that holds the sound; empty: the video's own"""
    audio_track: int | None
    """number of the sound track, from 0, where the corpus or the user chose one; None: the file's default track"""
    part_start_s: float
    part_end_s: float | None
    """the part of the file that is the clip, on the container's clock; None: to its end"""
    part_crop_px: Box
    """the part of the upright picture that is the clip; all 0: the whole"""
    dataset: str
    subject: str
    recording: str
    """what the clip was cut from, e.g. a YouTube id; empty if the corpus does not say"""
    statement: str
    """what is said, as the corpus numbers it; empty if it does not"""
    emotion: str
    """one of ``EMOTIONS``, or ``unknown``: nobody labelled the clip, which is not neutral"""
    intensity: float
    """0 ... 1, of the emotion; says nothing where that is unknown"""
    view: str
    language: str
    sex: str
    split: str
    annotated_offset_frames: float | None
    """audio-visual offset that came with the corpus, + = audio late; None where it says nothing"""
    annotated_speaker_confidence: float | None
    annotated_face_confidence: float | None
    """of the corpus' own active-speaker detection and face verification (VoxCeleb2: ASD Conf, FV Conf)"""
    duration_s: float
    """of the file, as its header promises (of a part: of that); 0: it promises nothing"""
    promised_video_s: float
    """end of the pictures, as the header promises; 0: it says nothing about them alone"""
    packets_end_s: float
    """end of the last packet of pictures that is meant to be shown"""
    fps: float
    header_frames: int
    """as the header counts; 0: it does not (Matroska, MPEG-TS)"""
    shown_frames: int
    """packets of pictures that are meant to be shown"""
    hidden_frames: int
    """packets that an edit list hides, after a cut without encoding"""
    restarts: int
    """how often the time stamps start again: recordings joined end to end"""
    jumped_s: float
    """time without any packet that was closed up, because the clock jumped ahead"""
    video_tracks: int
    audio_tracks: int
    """to choose from; cover art is none"""
    width_px: int
    height_px: int
    """of the first picture, upright, in square pixels"""
    rotation_deg: int
    """by which the stored picture is turned clockwise, after it was mirrored"""
    is_mirrored: bool
    colours: str
    """``pq``, ``hlg`` (HDR) or ``wide`` (gamut), which are mapped to BT.709; empty: nothing is"""
    is_interlaced: bool
    video_codec: str
    pixel_format: str
    video_start_s: float
    audio_codec: str
    audio_hz: int
    audio_channels: int
    audio_start_s: float
    video_sha256: str = ""
    """of the video file alone"""
    audio_sha256: str = ""
    """of the file that holds the sound, if it is another one"""


@dataclass(frozen=True)
class FrameRow:
    """``measure``: one decoded source frame (native rate, native pixels)."""

    VERSION: ClassVar[int] = 6

    clip_id: str
    frame: int
    """number of the source frame, from 0"""
    pts_s: float
    """its presentation time, from the clip's start"""
    width_px: int
    height_px: int
    """of the upright picture (of the clip's crop of it): a recording may change its size"""
    shot: int
    """number of the shot, from 0; joined recordings and changes of the picture's size begin one, too"""
    damaged: bool
    """made from damaged data: its own, or that of a picture on which it may rest"""
    found: bool
    """a face mesh was fitted; else landmarks and pose are NaN"""
    landmarks_px: Landmarks
    pose: PoseVector
    box: Box
    """around the face mesh; NaN without a face"""
    faces: int
    """seen by the full-range detector; -1: not looked for in this frame"""
    second_face: float
    """width of the second largest face over that of the largest; NaN if not looked for"""
    detector_score: float
    """of the largest face; NaN if none was looked for or found"""
    photo_score: float
    """evidence of a photographed person, 0 ... 1; NaN if not scored in this frame"""
    reblur_ratio: float
    """sharpness of the face at native pixels: 0 sharp ... 1 blurred (``measures.reblur_ratio``)"""
    reblur_coarse: float
    """the same at half and quarter size, the larger of the two"""
    luma_mean: float
    """brightness of the face, 0 ... 255"""
    luma_sd: float
    """its contrast"""
    frame_difference: float
    """mean absolute grey difference to the frame before at 64x64; 0 for the first"""


@dataclass(frozen=True)
class SoundRow:
    """``measure``: 10 ms of a clip's sound."""

    clip_id: str
    feature: int
    """number of the 10 ms, from 0"""
    log_mel: MelFrame
    speech: bool
    """by Silero's voice detector"""
    loudness_db: float
    """RMS level, dB of full scale"""
    clipped_share: float
    """of its samples, at full scale"""


@dataclass(frozen=True)
class ClipMeasure:
    """``measure``: what is known of a whole clip after its one decode pass (or after the screen that made the pass needless)."""

    VERSION: ClassVar[int] = 6

    clip_id: str
    screened: str
    """why the frames were not measured: a reason of ``pipelines.job.reasons.REASONS``; empty: they were"""
    decoded_frames: int
    decode_error: str
    """why reading ended before the end of the file"""
    video_packets: int
    damaged_video_packets: int
    """packets of pictures that were to be shown, and of them those that do not decode: the picture before stays"""
    sound_packets: int
    damaged_sound_packets: int
    """the same of the sound: silence instead"""
    interlaced_frames: int
    """pictures that were deinterlaced"""
    picture_sizes: int
    """stretches of pictures of one size"""
    sound_gaps_s: float
    """silence put in for sound that is not there, between the first and the last that is"""
    bad_sample_share: float
    """of the samples: not a number, or absurdly large; silence instead"""
    sound_scale: float
    """by which float samples in the range of integers were divided; 1: they were not"""
    sound_channel: int | None
    """the only channel that is used, because the channels cancel each other; None: the mix of all"""
    width_px: int
    height_px: int
    """of the first picture"""
    video_s: float
    audio_s: float
    border_share: float | None
    """of the picture, in bars of one colour at its edges"""


@dataclass(frozen=True)
class Measure:
    """``segment``: every score of one segment, before anything is decided.

    A segment is a stretch of 2-10 s within one shot, with one face throughout and without long silence.

    ``None`` = cannot be measured here (no face, no sound).
    """

    VERSION: ClassVar[int] = 6

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip has several segments"""
    source_clip_id: str
    segment: int
    dataset: str
    subject: str
    screened: str
    """as in ``ClipMeasure``"""
    first_frame: int
    end_frame: int
    """one past the last source frame"""
    start_s: float
    end_s: float
    length_s: float
    frame_rate_hz: float
    """of the decoded time stamps: 1 / median interval"""
    mean_rate_hz: float | None
    """frames per second of the segment's length"""
    irregular_share: float
    """intervals between frames more than a quarter off the median"""
    header_fps: float
    missing_share: float | None
    """of the time that the file promises, by its header or by packets that are to be shown: not there when decoded"""
    damaged_share: float
    """of its pictures made from damaged data, or of the file's packets of sound that do not decode, whichever is more"""
    restarts: int
    jumped_s: float
    picture_sizes: int
    interlaced_share: float
    colours_mapped: bool
    """HDR or a wide gamut"""
    is_mirrored: bool
    tracks: int
    """of pictures or of sound, whichever has more"""
    sound_gaps_s: float
    bad_sample_share: float
    sound_rescaled: bool
    channels_cancel: bool
    """all of the whole clip, from ``missing_share`` to here: see ``Clip`` and ``ClipMeasure``"""
    has_audio: bool
    audio_s: float
    video_s: float
    width_px: int
    height_px: int
    lost_share: float | None
    """frames without a face mesh"""
    track_jump: float | None
    """largest step of the face between two frames, in face widths: above 0.5 another face was taken for the first"""
    face_width_px: float | None
    outside_share: float | None
    """frames whose face box leaves the picture"""
    detector_score: float | None
    """median score of the full-range detector"""
    landmark_jitter: float | None
    """of the rigid points after pose removal, frame to frame, IOD"""
    photo_score: float | None
    """evidence of a photographed person, 0 (drawn, painted, an animal) ... 1; median over the scored frames"""
    several_faces_share: float | None
    """sampled frames with a second face of at least ``measure.second_face_share`` of the first one's width"""
    unseen_share: float | None
    """sampled frames in which the full-range detector sees no face at all"""
    yaw_p95_deg: float | None
    yaw_median_deg: float | None
    pitch_p95_deg: float | None
    roll_p95_deg: float | None
    """95th percentile of the absolute value, median of it, and the 95th for pitch and roll; of yaw the larger of two readings,
    the pose fit's and that of the picture plane alone (``space_data.turn``)"""
    yaw_range_deg: float | None
    pitch_range_deg: float | None
    roll_range_deg: float | None
    """between the 5th and the 95th percentile"""
    reblur_ratio: float | None
    reblur_coarse: float | None
    """the larger of the re-blur ratios at half and at quarter resolution"""
    luma_mean: float | None
    luma_sd: float | None
    frame_difference: float | None
    """median; grey levels at 64x64"""
    duplicate_share: float | None
    """frames that equal the one before"""
    frozen_s: float | None
    """longest time without any change"""
    border_share: float | None
    """as in ``ClipMeasure``"""
    lip_motion: float | None
    """standard deviation of the outer lip height while there is speech, IOD"""
    speech_share: float
    speech_s: float
    silence_s: float
    """longest stretch without speech"""
    speech_level_db: float | None
    speech_over_noise_db: float | None
    """median level of the speech over the noise: the 10th percentile of all the sound, or what lies in pauses, if louder"""
    peak_level_db: float
    clipped_share: float


@dataclass(frozen=True)
class Thumbnail:
    """``measure``: small pictures of a clip at even times, for people who look at decisions."""

    clip_id: str
    frame: int
    """of the source"""
    jpeg: bytes
    """a JPEG file, longer side 256 px at most"""


@dataclass(frozen=True)
class SyncWindow:
    """``sync``: one window of a segment, scored on its own. Offset + = audio late."""

    clip_id: str
    window: int
    start_s: float
    length_s: float
    speech_share: float
    offset_frames: int
    confidence: float


@dataclass(frozen=True)
class SegmentSync:
    """``sync``: a segment's offset (+ = audio late) from the mean lag curve of its windows, how sure, its recording's."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    scorer: str
    """``own set, fold k`` or ``shipped``"""
    windows: int
    agreeing: int
    """windows whose own offset is within one frame of the segment's"""
    offset_frames: int
    confidence: float
    """peak of the lag curve - its median"""
    threshold: float
    """what mismatched sound of this length exceeds in 5 % of cases"""
    at_zero: float
    """the curve at lag 0 +- 1"""
    chance: float
    """share of mismatched sound of this length that scores as high: the smaller, the surer that this mouth speaks this voice"""
    recording_offset_frames: float | None = None
    """of the whole recording, from all its segments and a search over +-``sync.search_s``, counted from ``sync.zero_frames``"""
    recording_confidence: float | None = None
    recording_threshold: float | None = None
    """as ``confidence`` and ``threshold``, of the recording's curve; one figure for all segments of a recording"""
    recording_lead: float | None = None
    """how far the peak of that curve stands above the best of the usual lags, -15 ... +15 frames; 0 if it is that"""


@dataclass(frozen=True)
class SyncNetScore:
    """``syncnet``: a segment's offset by the published SyncNet, where its weights are present. Offset + = audio late (ours)."""

    clip_id: str
    windows: int
    offset_frames: int
    confidence: float
    """median distance - least distance (LSE-C's form)"""
    distance: float
    """least mean distance (LSE-D's form)"""


@dataclass(frozen=True)
class Decision:
    """``filter``: what becomes of a segment. Reasons and warnings: space-separated codes of ``pipelines.job.reasons.REASONS``."""

    clip_id: str
    source_clip_id: str
    segment: int
    status: str
    reasons: str
    warnings: str
    first_frame: int
    end_frame: int
    start_s: float
    end_s: float
    offset_frames: float
    """audio-visual offset to remove, + = audio late"""
    sync_confidence: float | None


@dataclass(frozen=True)
class LedgerRow:
    """What became of one unit at one stage. Reason codes are a closed list (``pipelines.job.reasons.REASONS``)."""

    clip_id: str
    stage: str
    status: str
    reason: str
    value: float | None
    threshold: float | None
    detail: str
    content: str = ""
    """hash of what the decision rests on: the unit's files or rows"""
    config: str = ""
    """hash of the settings it was made with"""
    version: str = ""
    """hash of the code that made it"""


@dataclass(frozen=True)
class Utterance:
    """``ingest``: speech with an exact landmark track but no picture (the default corpus has some)."""

    clip_id: str
    audio: str
    track: str
    """``UtteranceFrame`` rows: normalised landmarks per 25 fps frame"""
    dataset: str
    subject: str
    emotion: str
    intensity: float
    language: str
    audio_sha256: str = ""
    track_sha256: str = ""
    """of the two files, as ``ingest`` found them"""


@dataclass(frozen=True)
class AlignedClip:
    """``align``: a kept segment as 25 fps, square video and 16 kHz mono sound of exactly the same length."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip yields several segments"""
    source_clip_id: str
    dataset: str
    subject: str
    emotion: str
    intensity: float
    language: str
    split: str
    video: str
    """path as opened from the working directory, as is ``audio``"""
    audio: str
    n_frames: int
    size_px: int
    start_s: float
    """time of the first aligned frame on the source's clock"""
    crop_x0_px: float
    crop_y0_px: float
    crop_side_px: float
    applied_offset_frames: float
    """audio-visual offset that was removed, + = audio was late"""
    video_sha256: str = ""
    audio_sha256: str = ""
    """of the two files"""


@dataclass(frozen=True)
class FeatureFrame:
    """``features``: one 25 fps frame of an aligned clip or of a speech-only utterance (then ``pose`` is the canonical one)."""

    clip_id: str
    frame: int
    interpolated: bool
    normalised: Landmarks
    pose: PoseVector
    eye_opening_left: float
    eye_opening_right: float
    gaze_x: float
    gaze_y: float
    log_mel: FrameMel
    mfcc: FrameMfcc
    speech: bool


@dataclass(frozen=True)
class FeatureClip:
    """``features``: one line per clip of the frame table; what a loader needs to choose and to condition."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    kind: str
    """``video`` or ``speech_only``"""
    dataset: str
    subject: str
    language: str
    split: str
    emotion: EmotionVector
    n_frames: int


@dataclass(frozen=True)
class SegmentCrop:
    """``features``: where the 25 fps frames of a segment lie in its source; ``align`` renders them from it."""

    clip_id: str
    """the segment's id: source clip id, + ``#n`` when a clip yields several segments"""
    source_clip_id: str
    start_s: float
    """time of the first frame on the source's clock"""
    n_frames: int
    offset_frames: float
    """audio-visual offset that was removed, + = audio was late"""
    crop_x0_px: int
    crop_y0_px: int
    """upper left corner of the crop in the source picture; may lie outside it"""
    crop_side_px: int
    size_px: int
    """side of the crop that the poses are in pixels of"""


@dataclass(frozen=True)
class SynthesizedClip:
    """``synthesize``: one test clip as one system renders it, or why it could not."""

    system: str
    clip_id: str
    subject: str
    emotion: str
    intensity: float
    driving_audio: str
    """the sound that moved the lips: the clip's, another one's for ``shuffled_audio``, none for ``still``"""
    reference: str
    """the aligned recording, of which the first ``n_frames`` count"""
    audio: str
    """the sound that is in every system's file and that lips are scored against"""
    video: str
    n_frames: int
    size_px: int
    status: str
    """kept or failed"""
    detail: str


@dataclass(frozen=True)
class SynthesizedFrame:
    """``synthesize``: what a system meant to show; absent for systems without landmarks of their own."""

    system: str
    clip_id: str
    frame: int
    normalised: Landmarks
    pose: PoseVector


@dataclass(frozen=True)
class TrackFrame:
    """``space animate --tracks``: one frame of the motion that was rendered, in pixels of the 512-pixel crop."""

    frame: int
    normalised: Landmarks
    pose: PoseVector


@dataclass(frozen=True)
class UtteranceFrame:
    """``corpus``: exact normalised landmarks of one frame of a speech-only utterance."""

    frame: int
    normalised: Landmarks


@dataclass(frozen=True)
class TraceFrame:
    """``evaluate``: what the detector saw in one frame of a system's video (system ``reference``: in the recording)."""

    system: str
    clip_id: str
    frame: int
    found: bool
    lip_gap: float | None
    """IOD"""
    eye_opening: float | None
    """mean eye aspect ratio of both eyes"""
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    mouth_x_px: float | None
    """middle of the mouth"""
    mouth_y_px: float | None
    iod_px: float | None
    """size of the face: pixels per inter-ocular distance"""


@dataclass(frozen=True)
class Score:
    """``evaluate``: one metric of one system on one clip, or why there is none."""

    system: str
    clip_id: str
    subject: str
    metric: str
    value: float | None
    n_frames: int
    status: str
    """of ``evaluation.score_clip.STATUSES``: ok, no_face, decode_error, length_mismatch, size_mismatch, not_available"""
    detail: str


@dataclass(frozen=True)
class Aggregate:
    """``evaluate``: one metric of one system over all test clips, with what it rests on."""

    system: str
    metric: str
    mean: float | None
    low: float | None
    """95 % interval: bootstrap over identities, or jackknife over clips for Fréchet distances"""
    high: float | None
    n_ok: int
    n_total: int
    n_identities: int


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    """Arrow type and nullability of a field's annotation."""
    arguments = typing.get_args(annotation)
    if type(None) in arguments:
        inner = next(a for a in arguments if a is not type(None))
        return _arrow_type(inner)[0], True
    if typing.get_origin(annotation) is Annotated:
        return pa.list_(pa.float32(), arguments[1].size), False
    return _ARROW[annotation], False


def version_of(row: type) -> int:
    """Version of a table's schema: the ``VERSION`` of its row class, which moves when a column comes, goes or means another."""
    return getattr(row, "VERSION", FIRST_VERSION)


@cache
def arrow_schema(row: type) -> pa.Schema:
    """Arrow schema of the row dataclass ``row``: its fields in order, with the table's name and version as metadata."""
    hints = typing.get_type_hints(row, include_extras=True)
    fields = []
    for field in dataclasses.fields(row):
        arrow, nullable = _arrow_type(hints[field.name])
        fields.append(pa.field(field.name, arrow, nullable=nullable))
    return pa.schema(fields, metadata={"space.table": row.__name__, "space.version": str(version_of(row))})


def emotion_vector(emotion: str, intensity: float) -> NDArray[np.float32]:
    """One label with an intensity in [0, 1] as the mixture vector, (9,); all NaN for ``UNKNOWN``."""
    if emotion == UNKNOWN:
        return np.full(len(EMOTIONS), np.nan, np.float32)
    vector = np.zeros(len(EMOTIONS), np.float32)
    vector[EMOTIONS.index(emotion)] = intensity
    return vector


def emotion_known(mixture: NDArray[np.floating]) -> bool:
    """Whether somebody labelled the clip with this mixture vector, (9,)."""
    return not np.isnan(mixture).any()
