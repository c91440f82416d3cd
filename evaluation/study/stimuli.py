"""One file per pair and clip: both faces in one picture, with one sound.

The page draws the two halves apart, on whichever sides the plan says. One file has one clock, so the two cannot drift apart, and
neither size nor name nor encoder of a file can tell whose face is in which half. Every stimulus is encoded alike, from pictures
decoded at 25 fps by their time stamps; its metadata are the same in all.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from evaluation.study.manifest import FROZEN, MISMATCHED
from space_data.clip_media import Playhead
from space_data.errors import SpaceError
from space_data.media.container import RgbImage
from space_data.media.encode import write_video
from space_data.media.probe import MediaInfo, probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.timebase import frame_centre_s, frame_start_s, frames_in

CRF = 14
"""x264's quality: near lossless to the eye, as every system's file was compressed once already."""
LEAST_OVERLAP = 0.8
"""Of the longest version of a clip, that the shortest has: systems return some frames less than they hear, not more."""
SAME_SHAPE = 0.02
"""Relative difference of width / height that is rounding."""
SOUND_HZ = 48_000
"""Which every player takes as it is."""
COMMENT = "A video of a user study; it may be computer-generated."


def write_pair(path: Path, halves: Sequence[Path], sound: Path) -> None:
    """Write ``halves`` (left, right) side by side, at the height of the higher one, as long as the shorter one.

    Raises:
        SpaceError: they differ in shape, or too much in length.
    """
    infos = [probe(half) for half in halves]
    width, height = _size(halves, infos)
    n_frames = _frames(halves, infos)
    left, right = (_resized(_pictures(half, n_frames), width, height) for half in halves)
    _write(path, (np.concatenate(both, axis=1) for both in zip(left, right, strict=True)), sound, n_frames)


def write_catch(path: Path, recording: Path, kind: str, sound: Path, recording_first: bool) -> None:
    """Write the recording beside a version of itself that must lose: ``FROZEN`` or ``MISMATCHED`` (played backwards).

    Its pictures are held in memory: catch trials are made of clips of some seconds.
    """
    info = probe(recording)
    width, height = _size([recording], [info])
    frames = list(_resized(_pictures(recording, _frames([recording], [info])), width, height))
    worse = {FROZEN: frames[:1] * len(frames), MISMATCHED: frames[::-1]}[kind]
    halves = (frames, worse) if recording_first else (worse, frames)
    _write(path, (np.concatenate(both, axis=1) for both in zip(*halves, strict=True)), sound, len(frames))


def _size(paths: Sequence[Path], infos: Sequence[MediaInfo]) -> tuple[int, int]:
    """Width and height of a half, even: those of the highest of ``infos``."""
    largest = max(infos, key=lambda info: info.height)
    shape = largest.width / largest.height
    for path, info in zip(paths, infos, strict=True):
        if abs(info.width / info.height / shape - 1) > SAME_SHAPE:
            raise SpaceError(
                f"{path}: {info.width}x{info.height} px against {largest.width}x{largest.height}, need one shape "
                "(crop all systems' videos of a clip alike)"
            )
    return largest.width // 2 * 2, largest.height // 2 * 2


def _frames(paths: Sequence[Path], infos: Sequence[MediaInfo]) -> int:
    """Frames at 25 fps that all of ``infos`` have."""
    lengths_s = [info.packets_end_s for info in infos]
    if min(lengths_s) < LEAST_OVERLAP * max(lengths_s) or not frames_in(min(lengths_s)):
        told = ", ".join(f"{path}: {length_s:.2f} s" for path, length_s in zip(paths, lengths_s, strict=True))
        raise SpaceError(f"{told}; need {LEAST_OVERLAP:.0%} in common (is one of them another clip?)")
    return frames_in(min(lengths_s))


def _pictures(path: Path, n_frames: int) -> Iterator[RgbImage]:
    playhead = Playhead(decode_video(path))
    for frame in range(n_frames):
        yield playhead.at(frame_centre_s(frame))


def _resized(frames: Iterator[RgbImage], width: int, height: int) -> Iterator[RgbImage]:
    for rgb in frames:
        if rgb.shape[:2] != (height, width):
            method = cv2.INTER_AREA if rgb.shape[0] > height else cv2.INTER_CUBIC
            rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)
        yield rgb


def _write(path: Path, frames: Iterator[RgbImage], sound: Path, n_frames: int) -> None:
    wanted = round(frame_start_s(n_frames) * SOUND_HZ)
    audio = decode_audio(sound, SOUND_HZ)[:wanted]
    write_video(path, frames, crf=CRF, audio=np.pad(audio, (0, wanted - len(audio))), audio_hz=SOUND_HZ, comment=COMMENT)
