"""The canonical clip: the one way by which a video that is scored, ours or anybody's, becomes frames on the recording's clock.

    probe -> one part of the picture -> 25 fps by time stamps -> own sound against the driving one -> square at the declared size

Nothing is resized, cut or filled in silence: what was done is told in `Canonical`, what cannot be scored has a reason of
`evaluation.reasons`. A file whose frames already are the canonical ones is scored as it is; any other becomes lossless RGB
(FFV1), so that the only loss of picture is the system's own.
"""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.own_sound import LEAST_CORRELATION, is_silent, lag_between
from evaluation.reasons import NotCanonical
from space_data.crop import CropBox, crop_box
from space_data.facemesh import face_finder, track_faces
from space_data.media.container import MediaError, NotMediaError
from space_data.media.lossless import write_lossless
from space_data.media.probe import MediaInfo, probe
from space_data.media.sound import decode_audio
from space_data.media.video import VideoFacts, decode_video
from space_data.timebase import CLOCK_SLACK_S, frame_centre_s, frame_start_s, frames_in, frames_to_samples, nearest_frames

HEAD_BYTES, TOLD_BYTES = 256, 40
PRINTABLE = frozenset(string.printable.encode())
LEAST_SIDE_PX = 64
SLACK_FRAMES = 1
"""Rounding of a length to frames; a missing one is held, and counted."""
MOST_LAG_S = frame_start_s(1) / 2
SECOND_FACE_SHARE = 0.4
"""Of the first face's width."""
LOOK_PX = 64
FROZEN_GREY = 3.0
"""At 64 x 64 no point of the picture changes by so many grey levels: coding noise of a photo stays below, moving lips do not."""
BLANK_GREY = 3.0
"""Spread of grey levels within a frame of one colour."""

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Framing:
    """Where in a system's pictures the face is, and which of its frames belong to the clip."""

    panel: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """left, top, right and bottom of the part that counts, shares of the picture"""
    reframes: bool = False
    """the system cuts out the face by a rule of its own: it is cut out again by the crop rule of all clips (`space_data.crop`);
    else the pictures show what the portrait showed"""
    skipped_frames: int = 0
    """25 fps frames before the clip's first"""
    held_frames: int = 0
    """so many may be missing at the end beyond the slack of one: the last frame is held for them, and they are counted"""
    surplus_frames: int = 0
    """so many may follow beyond the slack: they are cut"""


@dataclass(frozen=True)
class Expected:
    """What a clip's video is to be: ``n_frames`` frames of ``size_px``, spoken by ``speech`` (640 n,) at 16 kHz."""

    n_frames: int
    size_px: int
    speech: NDArray[np.float32]
    framing: Framing = Framing()
    may_freeze: bool = False
    """a control that does not move"""


@dataclass(frozen=True)
class Canonical:
    """A video that can be scored, and what was done for that."""

    path: Path
    """the file itself where nothing had to be done, else the lossless one"""
    native_width_px: int
    native_height_px: int
    native_fps: float
    native_frames: int
    own_sound: str
    """``same``, ``silent`` or ``none``"""
    held_frames: int
    """frames for which there is none: the nearest one is shown again"""


def canonicalise(path: Path, expected: Expected, out: Path) -> Canonical:
    """The canonical form of a system's video; written to ``out`` if the file is not it already.

    Raises:
        NotCanonical: it cannot be scored; the reason says why.
    """
    info = _probed(path)
    box = _panel(info, expected.framing)
    looked = _look(path, box, expected)
    frames, held = _chosen(looked.times_s, _end_s(info, looked.times_s), expected)
    sound = _own_sound(path, info, expected)
    _check_content(looked, expected)
    crop = _own_crop(path, box, expected) if expected.framing.reframes else CropBox(0, 0, box[2] - box[0])
    whole = box == (0, 0, info.width, info.height)
    is_it = whole and crop == CropBox(0, 0, expected.size_px) and np.array_equal(frames, np.arange(len(looked.times_s)))
    if not is_it:
        write_lossless(out, (crop.apply(rgb, expected.size_px) for rgb in _repeated(path, box, frames)))
    return Canonical(path if is_it else out, info.width, info.height, info.fps, len(looked.times_s), sound, held)


def _probed(path: Path) -> MediaInfo:
    if path.is_symlink() and not path.exists():
        raise NotCanonical("missing", f"{path.name}: a link to nothing")
    if not path.exists():
        raise NotCanonical("missing", f"{path.name}: no such file")
    if not path.is_file():
        raise NotCanonical("not_a_file", f"{path.name}: not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except PermissionError as error:
        raise NotCanonical("unreadable", f"{path.name}: {error.strerror}") from error
    if not head:
        raise NotCanonical("empty", f"{path.name}: 0 bytes")
    if all(byte in PRINTABLE for byte in head):  # some formats of sound have no header: any text might be one
        raise NotCanonical("not_media", f"{path.name}: text, which begins {head[:TOLD_BYTES].decode('ascii')!r}")
    try:
        info = probe(path)
    except NotMediaError as error:
        raise NotCanonical("not_media", str(error)) from error
    except MediaError as error:
        opened = "decodable frame" in str(error)
        raise NotCanonical("undecodable" if opened else "not_media", str(error)) from error
    if not info.has_video:
        raise NotCanonical("no_picture", f"{path.name}: sound alone")
    return info


def _panel(info: MediaInfo, framing: Framing) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of the part that counts."""
    sides = (info.width, info.height, info.width, info.height)
    left, top, right, bottom = (round(share * side) for share, side in zip(framing.panel, sides, strict=True))
    width, height = right - left, bottom - top
    if min(width, height) < LEAST_SIDE_PX:
        raise NotCanonical("too_small", f"picture of {width}x{height} px, need {LEAST_SIDE_PX} a side")
    if width != height and not framing.reframes:
        raise NotCanonical("not_square", f"picture of {width}x{height} px, need a square (panel or reframes in the card?)")
    return left, top, right, bottom


@dataclass(frozen=True)
class _Look:
    """One pass over a video: when its frames come, small grey copies of the extremes, and the middle one."""

    times_s: NDArray[np.float64]
    spread: float
    """largest spread of grey levels within a frame"""
    change: float
    """largest change of any point against the first frame"""
    middle: RgbImage


def _look(path: Path, box: tuple[int, int, int, int], expected: Expected) -> _Look:
    """Decode once, at most a little beyond what is needed."""
    left, top, right, bottom = box
    framing, facts = expected.framing, VideoFacts()
    wanted_s = frame_start_s(expected.n_frames + framing.skipped_frames)
    most_s = wanted_s + frame_start_s(framing.surplus_frames + 2 * SLACK_FRAMES + 1)
    times_s: list[float] = []
    spread = change = 0.0
    first = middle = None
    try:
        for frame in decode_video(path, facts=facts):
            if frame.pts_s > most_s:
                break
            times_s.append(frame.pts_s)
            panel = frame.rgb[top:bottom, left:right]
            small = cv2.resize(panel, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=-1)
            first = small if first is None else first
            middle = panel if middle is None or frame.pts_s <= wanted_s / 2 else middle
            spread, change = max(spread, float(small.std())), max(change, float(np.abs(small - first).max()))
    except MediaError as error:
        raise NotCanonical("undecodable", str(error)) from error
    if len(facts.sizes) > 1:
        raise NotCanonical("size_changes", f"{path.name}: pictures of {', '.join(f'{w}x{h}' for w, h in facts.sizes)} px")
    if facts.damaged or facts.error:
        detail = f"{facts.damaged} of {facts.packets} packets damaged" + (f", {facts.error}" if facts.error else "")
        raise NotCanonical("damaged", f"{path.name}: {detail}")
    assert middle is not None
    return _Look(np.array(times_s), spread, change, np.ascontiguousarray(middle))


def _end_s(info: MediaInfo, times_s: NDArray[np.float64]) -> float:
    """When the last frame that was looked at is over."""
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else frame_start_s(1)
    return max(float(times_s[-1]) + step_s, min(info.packets_end_s, float(times_s[-1]) + 2 * step_s))


def _chosen(times_s: NDArray[np.float64], end_s: float, expected: Expected) -> tuple[NDArray[np.int64], int]:
    """Which decoded frame is on screen in the middle of each of the clip's frames; in how many, first or last, none really is."""
    framing = expected.framing
    there = frames_in(end_s + frame_centre_s(0)) - framing.skipped_frames
    begin_s = frame_start_s(framing.skipped_frames)
    late = frames_in(max(0.0, float(times_s[0]) - begin_s + frame_centre_s(0) - 2 * CLOCK_SLACK_S))
    missing = max(0, expected.n_frames - there) + late
    surplus = there - expected.n_frames
    if missing > framing.held_frames + SLACK_FRAMES or surplus > framing.surplus_frames + SLACK_FRAMES:
        how_many = f"{there - late}{' or more' if surplus > 0 else ''}"
        raise NotCanonical("frame_count", f"{how_many} frames at 25 per second, need {expected.n_frames}")
    return nearest_frames(times_s, begin_s, expected.n_frames), missing


def _own_sound(path: Path, info: MediaInfo, expected: Expected) -> str:
    if not info.has_audio:
        return "none"
    try:
        sound = decode_audio(path)[frames_to_samples(expected.framing.skipped_frames) :]
    except MediaError:
        return "none"
    if is_silent(sound) or is_silent(expected.speech):
        return "silent"
    lag = lag_between(expected.speech, sound)
    if lag.correlation < LEAST_CORRELATION:
        detail = f"its sound correlates with the driving one by {lag.correlation:.2f} at most, need {LEAST_CORRELATION:g}"
        raise NotCanonical("wrong_sound", f"{path.name}: {detail}")
    if abs(lag.seconds) >= MOST_LAG_S:
        raise NotCanonical("shifted_sound", f"{path.name}: its sound is {1000 * lag.seconds:+.0f} ms against the driving one")
    return "same"


def _check_content(looked: _Look, expected: Expected) -> None:
    if looked.spread < BLANK_GREY:
        raise NotCanonical("blank", "every frame is of one colour")
    if looked.change < FROZEN_GREY and not expected.may_freeze and expected.n_frames > 1:
        raise NotCanonical("frozen", f"no point changes by {FROZEN_GREY:g} grey levels from the first frame to the last")
    faces = face_finder().boxes(looked.middle)
    widths = faces[:, 2] - faces[:, 0]
    if len(widths) > 1 and widths[1] >= SECOND_FACE_SHARE * widths[0]:
        raise NotCanonical("several_faces", f"{len(widths)} faces, {widths[0]:.0f} and {widths[1]:.0f} px wide")


def _own_crop(path: Path, box: tuple[int, int, int, int], expected: Expected) -> CropBox:
    """The square around the face by the rule of all clips, in pixels of the panel."""
    left, top, right, bottom = box
    meshes = track_faces(np.ascontiguousarray(f.rgb[top:bottom, left:right]) for f in decode_video(path))
    if not np.isfinite(meshes).all(axis=(1, 2)).any():
        raise NotCanonical("no_face", f"{path.name}: no face in any frame to cut out")
    return crop_box(meshes[:, :, :2], right - left, bottom - top)


def _repeated(path: Path, box: tuple[int, int, int, int], frames: NDArray[np.int64]) -> Iterator[RgbImage]:
    """The panel of decoded frame number ``frames[i]``, which never decreases, for each i."""
    left, top, right, bottom = box
    decoded = enumerate(frame.rgb for frame in decode_video(path))
    index, rgb = next(decoded)
    for wanted in frames:
        while index < wanted:
            index, rgb = next(decoded)
        yield rgb[top:bottom, left:right]
