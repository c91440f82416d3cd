"""The filter's rules, and one judgement of all segments at once: columns in, masks out. Nothing is decoded or written.

``RULES`` is the whole policy: a reason code, the column it reads, on which side the bound lies, and the bound's key in the
section ``filter``. A value beyond ``reject`` rejects, one beyond ``warn`` is noted; what could not be measured passes that
rule (another one then says why it could not), but without the measures in ``REQUIRED`` nothing is kept. Columns are float64
arrays with NaN for "not measured", so that a million segments take seconds.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from space_data.params import Bound, FilterBounds, FilterStage

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_AUDIO, SCREENED, UNSURE, DOUBTFUL = "no_audio", "screened", "av_sync_uncertain", "doubtful"
NOT_MEASURED = "not_measured"
REQUIRED = ("lost_share", "face_width_px", "yaw_p95_deg", "reblur_ratio", "luma_mean", "frame_difference")
REQUIRED_OF_SOUND = ("speech_share", "peak_level_db")
"""Columns without which nobody may be kept: the filter fails closed."""
LIKELY, CLEAR = 0.65, 0.15
"""Shares of its threshold that a recording's peak beyond the usual lags must reach, and by which it must stand above the best of
the usual lags, to count without being sure: clips in sync have none such (docs/sync.md)."""
DISAGREE_FRAMES = 2
"""A segment that is surely further than this from its recording's offset is in doubt."""
TOPICS = {
    "file": "File",
    "face": "Face",
    "pose": "Head pose",
    "picture": "Picture",
    "sound": "Sound",
    "sync": "Sound against picture",
    "all": "All together",
}


@dataclass(frozen=True)
class Rule:
    """``reason`` applies when ``column`` lies below (``is_minimum``) or above the bound named ``bound``."""

    reason: str
    column: str
    bound: str
    topic: str
    title: str
    """what the column is, for people, with its unit"""
    is_minimum: bool = False
    needs_sound: bool = False


RULES = (
    Rule("too_short", "length_s", "length_s", "file", "length, s", is_minimum=True),
    Rule("low_resolution", "picture_side_px", "picture_side_px", "file", "shorter side of the picture, px", is_minimum=True),
    Rule("truncated", "missing_share", "missing_share", "file", "promised time that is not there, share"),
    Rule("damaged", "damaged_share", "damaged_share", "file", "made from damaged data, share"),
    Rule("length_mismatch", "length_difference_s", "length_difference_s", "file", "sound against picture, s", needs_sound=True),
    Rule("variable_rate", "irregular_share", "irregular_share", "file", "irregular frame intervals, share"),
    Rule("low_frame_rate", "mean_rate_hz", "mean_rate_hz", "file", "frames per second", is_minimum=True),
    Rule("joined_recordings", "restarts", "restarts", "file", "restarts of the time stamps"),
    Rule("clock_jumps", "jumped_s", "jumped_s", "file", "time closed up where stamps jump ahead, s"),
    Rule("size_changes", "picture_sizes", "picture_sizes", "file", "stretches of pictures of one size"),
    Rule("several_tracks", "tracks", "tracks", "file", "tracks of sound or pictures"),
    Rule("mirrored", "is_mirrored", "is_mirrored", "file", "shown mirrored (1)"),
    Rule("interlaced", "interlaced_share", "interlaced_share", "file", "interlaced frames, share"),
    Rule("colours_mapped", "colours_mapped", "colours_mapped", "file", "HDR or wide gamut (1)"),
    Rule("no_face", "unseen_share", "unseen_share", "face", "samples without a face, share"),
    Rule("face_lost", "lost_share", "lost_share", "face", "frames without a face mesh, share"),
    Rule("several_faces", "several_faces_share", "several_faces_share", "face", "samples with a second face, share"),
    Rule("small_face", "face_width_px", "face_width_px", "face", "face width, px", is_minimum=True),
    Rule("face_cut_off", "outside_share", "outside_share", "face", "frames whose face leaves the picture, share"),
    Rule("track_broken", "track_jump", "track_jump", "face", "largest step of the face, face widths"),
    Rule("uncertain_face", "detector_score", "detector_score", "face", "score of the face detector", is_minimum=True),
    Rule("jittery", "landmark_jitter", "landmark_jitter", "face", "jitter of rigid landmarks, inter-ocular distances"),
    Rule("not_photographed", "photo_score", "photo_score", "face", "evidence of a photographed person", is_minimum=True),
    Rule("profile", "yaw_p95_deg", "yaw_p95_deg", "pose", "|yaw|, 95th percentile, degrees"),
    Rule("profile", "yaw_median_deg", "yaw_median_deg", "pose", "|yaw|, median, degrees"),
    Rule("tilted", "pitch_p95_deg", "pitch_p95_deg", "pose", "|pitch|, 95th percentile, degrees"),
    Rule("tilted", "roll_p95_deg", "roll_p95_deg", "pose", "|roll|, 95th percentile, degrees"),
    Rule("blurred", "reblur_ratio", "reblur_ratio", "picture", "re-blur ratio (0 sharp, 1 blurred)"),
    Rule("blurred", "reblur_coarse", "reblur_coarse", "picture", "re-blur ratio at half and quarter size"),
    Rule("too_dark", "luma_mean", "luma_mean_low", "picture", "brightness of the face, at least", is_minimum=True),
    Rule("too_bright", "luma_mean", "luma_mean_high", "picture", "brightness of the face, at most"),
    Rule("flat_light", "luma_sd", "luma_sd", "picture", "contrast of the face, s.d.", is_minimum=True),
    Rule("frozen", "frame_difference", "frame_difference", "picture", "change between frames, grey levels", is_minimum=True),
    Rule("frozen", "frozen_s", "frozen_s", "picture", "longest time without any change, s"),
    Rule("duplicate_frames", "duplicate_share", "duplicate_share", "picture", "frames that equal the one before, share"),
    Rule("bordered", "border_share", "border_share", "picture", "picture in bars of one colour, share"),
    Rule("silent", "peak_level_db", "peak_level_db", "sound", "loudest 1 % of the sound, dB", is_minimum=True, needs_sound=True),
    Rule("no_speech", "speech_share", "speech_share", "sound", "time with speech, share", is_minimum=True, needs_sound=True),
    Rule(
        "noisy_sound", "speech_over_noise_db", "speech_over_noise_db", "sound", "speech over noise, dB", is_minimum=True,
        needs_sound=True,
    ),
    Rule("clipped_sound", "clipped_share", "clipped_share", "sound", "samples at full scale, share", needs_sound=True),
    Rule("sound_gaps", "sound_gaps_s", "sound_gaps_s", "sound", "silence put in for missing sound, s", needs_sound=True),
    Rule("bad_samples", "bad_sample_share", "bad_sample_share", "sound", "samples that are no numbers, share", needs_sound=True),
    Rule("sound_rescaled", "sound_rescaled", "sound_rescaled", "sound", "floats on an integer scale (1)", needs_sound=True),
    Rule("channels_cancel", "channels_cancel", "channels_cancel", "sound", "channels cancel each other (1)", needs_sound=True),
    Rule(
        "lips_still", "lip_motion", "lip_motion", "sync", "lip motion while speaking, inter-ocular distances", is_minimum=True,
        needs_sound=True,
    ),
    Rule("av_offset_too_large", "sure_offset_frames", "max_offset_frames", "sync", "|offset| where it is sure, frames"),
    Rule(UNSURE, "doubtful_confidence", "sync_confidence", "sync", "confidence where the offset is in doubt", is_minimum=True),
    Rule(DOUBTFUL, "notes", "notes", "all", "notes that together speak against it"),
)  # fmt: skip

FACTS = frozenset({
    "too_short", "low_resolution", "truncated", "damaged", "length_mismatch", "variable_rate", "low_frame_rate",
    "joined_recordings", "clock_jumps", "size_changes", "several_tracks", "mirrored", "interlaced", "colours_mapped",
    "small_face", "bordered", "sound_gaps", "bad_samples", "sound_rescaled", "channels_cancel", "av_offset_too_large", DOUBTFUL,
})  # fmt: skip
DOUBTS = frozenset(rule.reason for rule in RULES) - FACTS
"""Reasons whose notes speak against a clip, and count towards ``doubtful``; ``FACTS`` tell of the file, or of its size."""
FILTER_REASONS = tuple(dict.fromkeys((NO_AUDIO, *(rule.reason for rule in RULES), NOT_MEASURED, SCREENED)))
"""What a segment can be rejected for, in the order in which reasons are listed."""


def floats(table: pa.Table, name: str) -> Values:
    """A numeric or boolean column as float64, null as NaN."""
    return np.asarray(table.column(name).cast(pa.float64()).fill_null(np.nan), np.float64)


def limits(bounds: FilterBounds, rule: Rule) -> Bound:
    """The two limits of a rule; one that is a single number (``filter.max_offset_frames``) rejects and is never only noted."""
    found = getattr(bounds, rule.bound)
    return found if isinstance(found, Bound) else Bound(warn=None, reject=float(found))


@dataclass(frozen=True)
class Evidence:
    """What the rules look at, one entry per segment, in the order of the table of measures."""

    ids: pa.Array
    columns: Mapping[str, Values]
    datasets: tuple[str, ...]
    dataset: NDArray[np.int64]
    """index into ``datasets``"""
    has_audio: Mask
    has_sync: Mask
    screened: pa.Array
    """why the dense pass was skipped, as text; empty: it was not"""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def is_screened(self) -> Mask:
        """Segments of clips that only the sparse screen has looked at."""
        return np.asarray(pc.not_equal(self.screened, ""))

    @cached_property
    def is_unmeasured(self) -> Mask:
        """Segments that lack a measure which is required, though their clip was looked at whole."""
        lacking = np.any([np.isnan(self.columns[name]) for name in REQUIRED], axis=0)
        silent = self.has_audio & np.any([np.isnan(self.columns[name]) for name in REQUIRED_OF_SOUND], axis=0)
        return (lacking | silent) & ~self.is_screened


def evidence(measures: pa.Table, sync: pa.Table) -> Evidence:
    """Every number the rules read: the measures themselves and those that follow from several of them.

    Args:
        measures: ``Measure`` rows.
        sync: ``SegmentSync`` rows of any of their segments, in any order.
    """
    ids = measures.column("clip_id").combine_chunks()
    has_audio = np.asarray(measures.column("has_audio"))
    columns = {rule.column: floats(measures, rule.column) for rule in RULES if rule.column in measures.schema.names}
    columns["picture_side_px"] = np.minimum(floats(measures, "width_px"), floats(measures, "height_px"))
    columns["length_difference_s"] = np.abs(floats(measures, "audio_s") - floats(measures, "video_s"))
    for rule in RULES:
        if rule.needs_sound:
            columns[rule.column] = np.where(has_audio, columns[rule.column], np.nan)
    at = np.asarray(pc.index_in(ids, sync.column("clip_id").combine_chunks()).fill_null(-1), np.int64)
    has_sync = (at >= 0) & has_audio
    matched = sync.take(pa.array(np.maximum(at, 0))) if sync.num_rows else None

    def of_sync(name: str) -> Values:
        return np.where(has_sync, floats(matched, name), np.nan) if matched is not None else np.full(len(ids), np.nan)

    columns |= {name: of_sync(name) for name in ("confidence", "offset_frames", "zero_frames", "threshold", *RECORDING)}
    columns |= _sure_offsets(columns)
    columns["notes"] = np.full(len(ids), np.nan)  # depend on the bounds: `judge` counts them
    names = measures.column("dataset").combine_chunks().dictionary_encode()
    return Evidence(
        ids, columns, tuple(names.dictionary.to_pylist()), np.asarray(names.indices, np.int64), has_audio, has_sync,
        measures.column("screened").combine_chunks(),
    )  # fmt: skip


RECORDING = ("recording_offset_frames", "recording_confidence", "recording_threshold", "recording_lead")


def _sure_offsets(of_sync: dict[str, Values]) -> dict[str, Values]:
    """What the offset of each segment is, where it is sure: its recording's, or else its own; and the confidence where it is not.

    The offset is a property of the recording, whose evidence is that of all its segments. Where even that is below its
    threshold but clearly best beyond the usual lags, the sound lies there or belongs to somebody else: that is no offset to
    correct, but one that rejects. A segment that is sure of another offset than its recording is in doubt.
    """
    confidence, own = of_sync["confidence"], of_sync["offset_frames"] - of_sync["zero_frames"]
    whole, whole_confidence, threshold, lead = (of_sync[name] for name in RECORDING)
    is_own, is_whole = confidence >= of_sync["threshold"], whole_confidence >= threshold
    signed = np.where(is_whole, whole, np.where(is_own, own, np.nan))
    is_far = ~is_whole & ~is_own & (whole_confidence >= LIKELY * threshold) & (lead >= CLEAR * threshold)
    is_sure = (is_whole | is_own) & ~(is_whole & is_own & (np.abs(whole - own) > DISAGREE_FRAMES))
    return {
        "doubtful_confidence": np.where(is_sure, np.nan, confidence),
        "sure_offset_frames": np.where(is_far, np.abs(whole), np.abs(signed)),
        "sure_signed_offset_frames": signed,
    }


def beyond(values: Values, limit: Values, is_minimum: bool) -> Mask:
    """Which ``values`` lie on the wrong side of their ``limit``; NaN on either side never does."""
    return values < limit if is_minimum else values > limit


@dataclass(frozen=True)
class Judgement:
    """Which rule speaks against which segment. Arrays are (rules, segments) in the order of ``RULES``."""

    evidence: Evidence
    rejects: Mask
    warns: Mask
    reject_limits: Values
    """(rules, data sets): the bounds that held, NaN = never"""
    tolerated_frames: Values
    """(data sets,): offsets up to here are left as they are"""
    doubts: dict[str, Mask]
    """by reason, which segments have a note that counts towards ``doubtful``"""

    @cached_property
    def by_reason(self) -> dict[str, Mask]:
        """Which segments each reason rejects."""
        masks = {NO_AUDIO: ~self.evidence.has_audio}
        for rule, mask in zip(RULES, self.rejects, strict=True):
            masks[rule.reason] = masks[rule.reason] | mask if rule.reason in masks else mask
        # What one bound rejects needs no further doubt, so that `doubtful` names those that nothing else would.
        masks[DOUBTFUL] &= ~np.any([mask for reason, mask in masks.items() if reason != DOUBTFUL], axis=0)
        # Nobody may train on what was never measured, or on a clip that was never looked at whole, whatever became of the bound
        # that made the look needless.
        masks[NOT_MEASURED] = self.evidence.is_unmeasured & ~np.any(list(masks.values()), axis=0)
        masks[SCREENED] = self.evidence.is_screened & ~np.any(list(masks.values()), axis=0)
        return {reason: masks[reason] for reason in FILTER_REASONS}

    @cached_property
    def noted(self) -> dict[str, Mask]:
        """Which segments each reason is only noted for."""
        masks: dict[str, Mask] = {}
        for rule, mask in zip(RULES, self.warns, strict=True):
            masks[rule.reason] = masks[rule.reason] | mask if rule.reason in masks else mask
        return masks

    @cached_property
    def kept(self) -> Mask:
        """Segments that nothing rejects."""
        return ~np.any(list(self.by_reason.values()), axis=0)

    def broken_bound(self, reason: str) -> tuple[Values, Values]:
        """Value and threshold of the first of a reason's rules that rejects, per segment; NaN where none does."""
        value, threshold = np.full((2, len(self.evidence)), np.nan)
        for index in reversed(range(len(RULES))):
            if RULES[index].reason == reason:
                mask = self.rejects[index]
                value[mask] = self.evidence.columns[RULES[index].column][mask]
                threshold[mask] = self.reject_limits[index][self.evidence.dataset[mask]]
        return value, threshold

    @cached_property
    def correction_frames(self) -> Values:
        """Offset to remove: only one that is sure and more than the tolerated lag; else 0."""
        offset = self.evidence.columns["sure_signed_offset_frames"]
        return np.where(np.abs(offset) > self.tolerated_frames[self.evidence.dataset], offset, 0.0)


def judge(found: Evidence, settings: FilterStage) -> Judgement:
    """Hold the evidence against the bounds of each data set."""
    bounds = [settings.for_dataset(name) for name in found.datasets]
    rejects, warns = np.zeros((2, len(RULES), len(found)), np.bool_)
    reject_limits = np.full((len(RULES), len(bounds)), np.nan)
    doubts: dict[str, Mask] = {}
    for index, (rule, both) in enumerate(_limits_by_dataset(bounds)):
        if rule.reason == DOUBTFUL:
            counted = {rule.column: np.sum([*doubts.values()], axis=0, dtype=np.float64)}
            found = replace(found, columns=ChainMap(counted, cast(dict[str, Values], found.columns)))  # reads alone
        reject_limits[index] = both[1]
        values = found.columns[rule.column]
        warn, reject = both[:, found.dataset]
        rejects[index] = beyond(values, reject, rule.is_minimum)
        noted = beyond(values, warn, rule.is_minimum)
        if rule.reason == UNSURE:
            # Doubt alone is only noted: good clips shorter than a window or two often stay below the threshold that mismatched
            # sound reaches in 5 % of cases. Below `reject` lips and sound have nothing in common.
            noted = ~np.isnan(values) | (found.has_audio & ~found.has_sync)
        if rule.reason in DOUBTS:  # whether it also rejects does not matter: the count depends on no bound but `warn`
            doubts[rule.reason] = doubts.get(rule.reason, np.zeros(len(found), np.bool_)) | noted
        warns[index] = noted & ~rejects[index]
    tolerated = np.array([b.tolerated_offset_frames for b in bounds], np.float64)
    return Judgement(found, rejects, warns, reject_limits, tolerated, doubts)


def _limits_by_dataset(bounds: list[FilterBounds]) -> Iterator[tuple[Rule, Values]]:
    """Each rule with its (warn, reject) limits, (2, data sets); NaN = never."""
    for rule in RULES:
        pairs = [limits(b, rule) for b in bounds]
        yield rule, np.array([[pair.warn for pair in pairs], [pair.reject for pair in pairs]], np.float64)
