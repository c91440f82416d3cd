"""Clips with one planted defect each, so that curation can be checked against known answers.

Each function takes a clean ``Take``, writes the spoilt clip and returns what was planted. ``profile`` is spoilt while rendering;
the others afterwards, in the picture, the sound or the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from space_data.files import atomic_file
from space_data.media.encode import VideoWriter, set_rotation, write_video
from space_data.timebase import AUDIO_HZ, VIDEO_FPS, fit_samples, frame_start_s, frames_to_samples

Rgb = NDArray[np.uint8]
Planted = dict[str, float | int | str]

PROFILE_YAW_DEG = 68.0
"""Head yaw of the ``profile`` clip; the corpus renders it so."""
TINY_FACE_SHARE = 0.3
"""Side of the shrunk picture of ``tiny_face`` over the whole picture's."""
BLUR_SHARE = 3.0 / 256
"""Sigma of ``blur`` over the picture's height: eyes and mouth are still found, but no edge is left."""
SHIFTED_SPEECH_S = 4.5
"""Least speech in clips with shifted sound: offsets are recovered from windows of 4-5 s."""
DARKNESS = 0.12
FROZEN_AFTER_SHARE = 0.1
CUT_FILE_SHARE = 0.6
DROPPED_SHARE = 0.35
STEREO_HZ = 44_100


@dataclass(frozen=True)
class Take:
    """A clean clip in memory: 25 fps RGB frames and mono 16 kHz sound (640 samples per frame)."""

    frames: list[Rgb]
    audio: NDArray[np.float32]


def _two_faces(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    n = min(len(take.frames), len(other.frames))
    frames = (np.concatenate(pair, axis=1) for pair in zip(take.frames[:n], other.frames[:n], strict=True))
    write_video(path, frames, audio=fit_samples(take.audio, n))
    return {"faces": 2}


def _tiny_face(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    size = take.frames[0].shape[0]
    side = round(size * TINY_FACE_SHARE)
    plate = cv2.GaussianBlur(take.frames[0][: size // 8], (0, 0), 8)
    plate = cv2.resize(plate, (size, size), interpolation=cv2.INTER_LINEAR)
    x0, y0 = (size - side) // 2, (size - side) // 3
    # A soft edge: a hard one would be a picture in a picture, which is another defect.
    mask = np.zeros((size, size, 1), np.float32)
    mask[y0 + 2 : y0 + side - 2, x0 + 2 : x0 + side - 2] = 1
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.float32)[..., None]

    def shrink(rgb: Rgb) -> Rgb:
        full = plate.copy()
        full[y0 : y0 + side, x0 : x0 + side] = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
        return (full * mask + plate * (1 - mask)).astype(np.uint8)

    write_video(path, (shrink(rgb) for rgb in take.frames), audio=take.audio)
    return {"face_scale": TINY_FACE_SHARE}


def _as_rendered(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, take.frames, audio=take.audio)
    return {"yaw_deg": PROFILE_YAW_DEG}


def _silent(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, take.frames, audio=np.zeros_like(take.audio))
    return {}


def _no_audio(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, take.frames)
    return {}


def shifted(audio: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Sound (samples,) moved later by ``frames`` video frames (earlier if negative), silence moving in, same length."""
    moved = np.zeros_like(audio)
    samples = frames_to_samples(abs(frames))
    if frames > 0:
        moved[samples:] = audio[:-samples]
    elif frames < 0:
        moved[:-samples] = audio[samples:]
    else:
        moved[:] = audio
    return moved


def _shift_by(frames: int) -> Callable[[Take, Take, Path, np.random.Generator], Planted]:
    def plant_shift(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
        write_video(path, take.frames, audio=shifted(take.audio, frames))
        return {"offset_frames": frames}

    return plant_shift


def _hard_cut(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    at = min(len(take.frames), len(other.frames)) // 2
    n = min(len(take.frames), len(other.frames))
    begin = frames_to_samples(at)
    audio = np.concatenate([take.audio[:begin], other.audio[begin : frames_to_samples(n)]])
    write_video(path, take.frames[:at] + other.frames[at:n], audio=fit_samples(audio, n))
    return {"cut_frame": at}


def _frozen(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    at = max(1, int(len(take.frames) * FROZEN_AFTER_SHARE))
    write_video(path, take.frames[:at] + [take.frames[at - 1]] * (len(take.frames) - at), audio=take.audio)
    return {"frozen_from_frame": at}


def _blur(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    sigma_px = BLUR_SHARE * take.frames[0].shape[0]
    frames = (np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma_px), np.uint8) for rgb in take.frames)
    write_video(path, frames, audio=take.audio)
    return {"blur_px": sigma_px}


def _dark(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, ((rgb * DARKNESS).astype(np.uint8) for rgb in take.frames), audio=take.audio)
    return {"exposure": DARKNESS}


def _truncated(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, take.frames, audio=take.audio)
    content = path.read_bytes()
    _write(path, content[: int(len(content) * CUT_FILE_SHARE)])
    return {"kept_share": CUT_FILE_SHARE}


def _empty(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    _write(path, b"")
    return {}


def _text(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    _write(path, b"This is a text file that somebody named .mp4.\n" * 40)
    return {}


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as part:
        part.write_bytes(content)


def _variable_frame_rate(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    size = take.frames[0].shape
    kept = np.flatnonzero(rng.random(len(take.frames)) >= DROPPED_SHARE)
    with VideoWriter(path, size[1], size[0], audio=take.audio) as writer:
        for index in kept:
            writer.write(take.frames[index], pts_s=frame_start_s(int(index)))
    return {"frames": len(kept), "mean_fps": round(VIDEO_FPS * len(kept) / len(take.frames), 2)}


def _rotated(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    write_video(path, (np.ascontiguousarray(np.rot90(rgb)) for rgb in take.frames), audio=take.audio)
    set_rotation(path, 90)
    return {"clockwise_deg": 90}


def _stereo(take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    audio = resample_poly(take.audio.astype(np.float64), STEREO_HZ // 100, AUDIO_HZ // 100).astype(np.float32)
    write_video(path, take.frames, audio=np.stack([audio, 0.7 * audio]), audio_hz=STEREO_HZ)
    return {"audio_hz": STEREO_HZ, "channels": 2}


SHIFTS_FRAMES = {"audio_early_6": -6, "audio_late_4": 4, "audio_late_7": 7, "audio_late_12": 12}
"""Clips with shifted sound: + = sound late."""
DEFECTS: dict[str, Callable[[Take, Take, Path, np.random.Generator], Planted]] = {
    "two_faces": _two_faces,
    "tiny_face": _tiny_face,
    "profile": _as_rendered,
    "silent": _silent,
    "no_audio": _no_audio,
    **{name: _shift_by(frames) for name, frames in SHIFTS_FRAMES.items()},
    "hard_cut": _hard_cut,
    "frozen": _frozen,
    "blur": _blur,
    "dark": _dark,
    "truncated": _truncated,
    "empty": _empty,
    "text_as_mp4": _text,
    "variable_frame_rate": _variable_frame_rate,
    "rotated": _rotated,
    "stereo_44k": _stereo,
}
"""Every planted defect by name. The last three, and small shifts, are awkward rather than bad: they must be kept and handled."""


def plant(defect: str, take: Take, other: Take, path: Path, rng: np.random.Generator) -> Planted:
    """Write ``take`` with ``defect`` to ``path``.

    Args:
        defect: a key of ``DEFECTS``.
        take: the clean clip (for ``profile``: rendered at ``PROFILE_YAW_DEG``).
        other: a clean clip of another identity, of the same size.
        path: the .mp4 to make.
        rng: what is random in the defect.

    Returns:
        What was planted, for the clip's truth.
    """
    return DEFECTS[defect](take, other, path, rng)
