"""Whether S2L's lips part when they should, at /p b m/, and how far they are from real people's lips in time elsewhere.

    python -m benchmarks.s2l_timing ../shared/media [--models models] [--set animate.speech_encoder=log-mel]

At the release of a bilabial the lips part when its burst or the vowel begins, within some 10 ms: physics, no model. Short
closures in speech are looked for, the moment at which the gap passes 0.3 of its 90th percentile is taken for the release, the
level of the sound between 1 and 4 kHz is averaged around all of them, and it rises fastest ``release ms`` after the lips part
(+ = lips early; a frame's time is that at which it is shown). A clip needs eight closures. ``lag``: by how much our gap is later
than the person's (+ = ours late), where the two correlate best, between frames by a parabola. Offsets of the clips' own sound are
taken out first, in whole frames (`benchmarks.s2l_real`): the person's own column says what is left.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.signal import butter, sosfiltfilt

from benchmarks.s2l_real import clips_of
from space_data import landmarks as lm
from space_data.params import load_params
from space_data.speech import loudness_db, runs
from space_data.timebase import AUDIO_HZ, FEATURE_HZ, FEATURES_PER_FRAME, frames_in, frames_to_seconds
from space_models.animate import ASSETS
from space_models.motion import load_motion_models
from space_models.s2l import stream

CLOSED_SHARE, PARTED_SHARE, PERCENTILE = 0.18, 0.30, 90
LONGEST_CLOSURE = frames_in(0.32)
NEIGHBOURHOOD_S, LOUD_SHARE = 0.4, 0.6
BAND_HZ, HOP_S, AROUND_S, SMOOTH_HOPS = (1000, 4000), 0.005, 0.2, 3
FEWEST = 8
LARGEST_LAG = 4

Values = NDArray[np.floating]


def release_times_s(gap: Values, loudness: Values) -> list[float]:
    """Moments at which lips part after a short closure in speech; ``gap`` (T,) per frame, ``loudness`` per 10 ms, dB."""
    widest = float(np.percentile(gap, PERCENTILE))
    low, high = np.percentile(loudness, [5, 95])
    loud, found = loudness > low + LOUD_SHARE * (high - low), []
    for begin, end in runs(gap < CLOSED_SHARE * widest):
        reach = round(NEIGHBOURHOOD_S * FEATURE_HZ)
        first, last = begin * FEATURES_PER_FRAME, end * FEATURES_PER_FRAME
        spoken = loud[max(first - reach, 0) : first].any() and loud[last : last + reach].any()
        parted = next((i for i in range(end, min(end + LONGEST_CLOSURE, len(gap))) if gap[i] > PARTED_SHARE * widest), None)
        if begin == 0 or end - begin > LONGEST_CLOSURE or parted is None or not spoken:
            continue
        crossed = parted - (gap[parted] - PARTED_SHARE * widest) / (gap[parted] - gap[parted - 1])
        found.append(frames_to_seconds(crossed))
    return found


def rise_after_s(audio: NDArray[np.float32], moments_s: list[float]) -> float | None:
    """When after these moments the level of the sound between 1 and 4 kHz rises fastest, on average; None for too few."""
    band = sosfiltfilt(butter(4, BAND_HZ, "bandpass", fs=AUDIO_HZ, output="sos"), audio.astype(np.float64))
    hop = round(HOP_S * AUDIO_HZ)
    power = np.add.reduceat(band**2, np.arange(0, len(band), hop)) / hop
    level, reach = 10 * np.log10(power + 1e-10), round(AROUND_S / HOP_S)
    centres = [round(moment / HOP_S - 0.5) for moment in moments_s]
    around = [level[c - reach : c + reach + 1] for c in centres if reach <= c < len(level) - reach]
    if len(around) < FEWEST:
        return None
    mean = np.convolve(np.mean(around, axis=0), np.ones(SMOOTH_HOPS) / SMOOTH_HOPS, "valid")
    rise = mean[2:] - mean[:-2]
    return (int(rise.argmax()) + 1 + SMOOTH_HOPS // 2 - reach) * HOP_S


def lag_frames(ours: Values, theirs: Values) -> float:
    """By how many frames ``ours`` (T,) is later than ``theirs``, where they correlate best."""
    n, lags = len(ours), np.arange(-LARGEST_LAG, LARGEST_LAG + 1)
    r = [np.corrcoef(ours[max(k, 0) : n + min(k, 0)], theirs[max(-k, 0) : n - max(k, 0)])[0, 1] for k in lags]
    best = int(np.clip(np.argmax(r), 1, len(lags) - 2))
    left, middle, right = r[best - 1 : best + 2]
    return float(lags[best] + 0.5 * (left - right) / (left - 2 * middle + right))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=ASSETS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of params.yaml")
    arguments = parser.parse_args()
    models = load_motion_models(arguments.models, load_params(None, arguments.set))
    table = Table("clip", "closures", "release ms", "closures, the person", "release ms, the person", "lag, frames")
    releases, lags = [], []
    for clip in clips_of(arguments.folder):
        points = stream.predict(models.s2l, models.encoder.encode(clip.audio), clip.normalised[0])
        ours, theirs = lm.lip_gap(points).astype(float), lm.lip_gap(clip.normalised).astype(float)
        cells = []
        for gap in (ours, theirs):
            moments = release_times_s(gap, loudness_db(clip.audio))
            rise = rise_after_s(clip.audio, moments)
            cells += [str(len(moments)), "" if rise is None else f"{1e3 * rise:+.0f}"]
            if gap is ours and rise is not None:
                releases.append(1e3 * rise)
        lags.append(lag_frames(ours, theirs))
        table.add_row(clip.name, *cells, f"{lags[-1]:+.2f}")
    Console(width=120).print(table)
    print(f"release: median {np.median(releases):+.0f} ms over {len(releases)} clips; lag: median {np.median(lags):+.2f} frames")


if __name__ == "__main__":
    main()
