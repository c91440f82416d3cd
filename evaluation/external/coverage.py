"""Which frames of the sound that it hears a system draws, by its own arithmetic, and the silence that makes up for the others.

Many return a few frames less than they hear, or begin late. Scored as they come they would be too short, or shifted; so they are
given silence before and behind, and the frames that it adds are cut off again (`padding`). Each function tells, of a sound of
``n`` video frames (640 samples each), the first frame that is drawn and how many are; read from each repository at the commit
that its card names.
"""

from collections.abc import Callable
from dataclasses import dataclass

from space_data.errors import SpaceError
from space_data.timebase import frames_to_samples

MOST_PADDING_FRAMES = 50
MEL_WINDOW, MEL_PER_S, VIDEO_PER_S = 16, 80, 25
HOP, CONTENT_WINDOW, SEGMENT, LEAST_SEGMENT = 256, 18, 512, 10


@dataclass(frozen=True)
class Coverage:
    """Frames ``first`` ... ``first + count - 1`` of what was heard."""

    first: int
    count: int


def whole(n: int) -> Coverage:
    """All of it."""
    return Coverage(0, n)


def wav2lip(n: int) -> Coverage:
    """Windows of 16 mel frames from int(3.2 i) on, and one more at the end: inference.py. 125 -> 122."""
    mel_frames = 1 + frames_to_samples(n) * MEL_PER_S // frames_to_samples(VIDEO_PER_S)
    count = 0
    while count * MEL_PER_S // VIDEO_PER_S + MEL_WINDOW <= mel_frames:
        count += 1
    return Coverage(0, count + 1)


def pc_avs(n: int) -> Coverage:
    """``arange(2, len(spectrogram) // 4 - 2)`` of 4 n + 7 spectra: data/voxtest_dataset.py. 125 -> 122, from frame 2 on."""
    return Coverage(2, max(0, (4 * n + 7) // 4 - 2 - 2))


def makeittalk(n: int) -> Coverage:
    """62.5 frames per second, one per hop of 256 samples but for the last 18, in segments of 512, a last one below 10 left
    out: src/dataset/audio2landmark/audio2landmark_dataset.py, src/approaches/train_audio2landmark.py. 125 -> 118."""
    hops = max(0, 1 + frames_to_samples(n) // HOP - CONTENT_WINDOW)
    if hops % SEGMENT < LEAST_SEGMENT:
        hops -= hops % SEGMENT
    return Coverage(0, (4 * hops + 5) // 10)  # a frame of ours is drawn if its middle is


COVERAGES: dict[str, Callable[[int], Coverage]] = {f.__name__: f for f in (whole, wav2lip, pc_avs, makeittalk)}


@dataclass(frozen=True)
class Padding:
    """Frames of silence ``before`` and ``behind`` the sound, and ``skipped`` frames of the video before the clip's first."""

    before: int
    behind: int
    skipped: int


def padding(coverage: Callable[[int], Coverage], n_frames: int) -> Padding:
    """The least padding with which a system draws all of a clip's ``n_frames``.

    Raises:
        SpaceError: there is none.
    """
    before = coverage(n_frames).first
    for behind in range(MOST_PADDING_FRAMES + 1):
        drawn = coverage(before + n_frames + behind)
        if drawn.first <= before and drawn.first + drawn.count >= before + n_frames:
            return Padding(before, behind, before - drawn.first)
    raise SpaceError(f"{coverage.__name__}: no padding of {MOST_PADDING_FRAMES} frames makes it draw {n_frames}")
