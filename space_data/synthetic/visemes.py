"""From phonemes in time to mouth targets and on to the controls of the head.

Phonemes -> 17 visemes (Oculus' fifteen, + er, ax) -> lip gap, lip width and rounding per 25 fps frame -> controls.
The gap and width targets are not anatomy by the textbook: they were re-estimated on real speakers (our study of transfer
from espeak-ng to real speech, where they lift the lip-gap correlation on unseen people from 0.36 to 0.53), as were the lead
and the openness of pauses. Lengths in IOD (inter-ocular distances), relative to the mouth at rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from space_data.synthetic.espeak import Phoneme
from space_data.timebase import frame_centre_s, frame_start_s

Track = NDArray[np.float64]

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou", "er", "ax")

GAP_IOD = dict(
    sil=0.055, PP=-0.004, FF=-0.035, TH=0.004, DD=0.042, kk=0.118, CH=0.071, SS=0.086, nn=0.048, RR=-0.064,
    aa=0.192, E=0.143, ih=0.103, oh=0.061, ou=-0.009, er=0.004, ax=0.056,
)  # fmt: skip
"""Opening between the inner lips, as fitted on 56 real clips; sums below the floor are clipped after smoothing."""
WIDTH_IOD = dict(
    sil=0.008, PP=-0.029, FF=-0.005, TH=-0.004, DD=0.004, kk=0.056, CH=-0.019, SS=0.023, nn=-0.004, RR=-0.095,
    aa=0.026, E=0.027, ih=0.029, oh=-0.120, ou=-0.065, er=-0.034, ax=0.018,
)  # fmt: skip
"""Distance between the mouth corners, fitted likewise."""
WIDTH_GAIN = 1.4
"""On the fitted widths: least squares on uncertain phonemes shrinks them, and the detector needs more than two pixels."""
ROUNDING = dict(CH=0.45, oh=0.25, ou=0.55, RR=0.25, er=0.15, SS=0.05)
"""Funnel control: lips forward and open. MediaPipe compresses lip depth, so depth is chosen for looks, not fitted."""
LIP_SHARE = dict(sil=0.5, TH=0.45, DD=0.45, kk=0.3, CH=0.4, SS=0.65, nn=0.4, aa=0.15, E=0.2, ih=0.35, ax=0.25)
"""Part of the gap made by the lips alone (teeth stay together, as in /s/); the jaw does the rest. Others: DEFAULT_LIP_SHARE."""
DEFAULT_LIP_SHARE = 0.2
UPPER_LIP_SHARE = 0.4
"""Of what the lips do, how much the upper one does."""
VOWEL_FLOOR_IOD = 0.014
"""Least gap while a sound other than PP or FF is spoken: a fitted 'oo' is shut, a real one lets the air out."""

LEAD_S = -0.010
"""Lips against sound, + = lips first. Textbooks say +20 ms; on real clips -10 ms fits best."""
SMOOTHING_S = 0.037
CLOSURE_SMOOTHING_S = 0.016
CLOSURE_GAIN = 1.25
CLOSURE_DEPTH = 0.97
CLOSURE = dict(PP=1.0, FF=0.6)
PRESS, FV, TONGUE = 0.75, 0.9, dict(TH=0.8, DD=0.3, nn=0.3)
PAUSE_STAYS_OPEN_S, PAUSE_CLOSED_S = 0.35, 1.0
"""Distance to the nearest speech up to which a pause keeps the mouth slightly open, and from which on it is shut."""

_RATE_HZ = 200

_DIPHTHONG_PARTS = {
    "aI": ("aa", "ih"), "aU": ("aa", "ou"), "eI": ("E", "ih"), "EI": ("E", "ih"), "OI": ("oh", "ih"), "oI": ("oh", "ih"),
    "OY": ("oh", "ou"), "oU": ("oh", "ou"), "Au": ("aa", "ou"), "i@": ("ih", "ax"), "e@": ("E", "ax"), "U@": ("ou", "ax"),
    "iE": ("ih", "E"), "y@": ("ou", "ax"), "Wy": ("oh", "ou"), "ju": ("ih", "ou"), "eo": ("E", "oh"), "&U": ("ax", "ou"),
    "ai": ("aa", "ih"), "au": ("aa", "ou"), "ei": ("E", "ih"), "ou": ("oh", "ou"), "ui": ("ou", "ih"), "ua": ("ou", "aa"),
    "uo": ("ou", "oh"), "ia": ("ih", "aa"), "ie": ("ih", "E"), "on": ("oh", "nn"), "aI@": ("aa", "ax"), "aU@": ("aa", "ax"),
}  # fmt: skip
_TWO_LETTERS = {"tS": "CH", "dZ": "CH", "ts": "SS", "dz": "SS", "t_": "CH", "sx": "CH", "3:": "er", "@r": "er", "pf": "FF"}
_ONE_LETTER = (
    dict.fromkeys("pbmB", "PP") | dict.fromkeys("fv", "FF") | dict.fromkeys("TD", "TH") | dict.fromkeys("td", "DD")
    | dict.fromkeys("kgxXqQGcCNHh?", "kk") | dict.fromkeys("SZ", "CH") | dict.fromkeys("szþ", "SS") | dict.fromkeys("nlJL", "nn")
    | dict.fromkeys("rR*", "RR") | dict.fromkeys("aAV&", "aa") | dict.fromkeys("eE", "E") | dict.fromkeys("iIj", "ih")
    | dict.fromkeys("oO0W2", "oh") | dict.fromkeys("uUwyYM8", "ou") | dict.fromkeys("3", "er") | dict.fromkeys("@1659", "ax")
)  # fmt: skip
_THROAT_SOUNDS = ("h", "H", "?")
"""Made behind the tongue: the mouth is already where the next vowel wants it."""


def visemes_of(symbol: str) -> tuple[str, ...]:
    """Viseme, or the two halves of a diphthong, of an espeak-ng mnemonic without stress marks; ``sil`` for a pause.

    Language switches, as ``(en)``, are pauses too; an unknown vowel or consonant counts as ``ax``.
    """
    if not symbol or symbol.startswith("("):
        return ("sil",)
    if symbol[0] == "?" and len(symbol) > 1:  # glottalised onset of a vowel (Danish)
        symbol = symbol[1:]
    for length in (3, 2):
        if symbol[:length] in _DIPHTHONG_PARTS:
            return _DIPHTHONG_PARTS[symbol[:length]]
    if symbol[:2] in _TWO_LETTERS:
        return (_TWO_LETTERS[symbol[:2]],)
    return (_ONE_LETTER.get(symbol[0], "ax"),)


@dataclass(frozen=True)
class MouthTrack:
    """What the mouth should do at 25 fps, (T,) each.

    ``gap_iod``, ``width_iod``: offsets from rest; ``funnel``, ``lip_share``, ``press``, ``fv``, ``tongue``: 0..1;
    ``closure``: 1 where lips must meet; ``speaking``: 0..1, how much speech there is.
    """

    gap_iod: Track
    width_iod: Track
    funnel: Track
    lip_share: Track
    press: Track
    fv: Track
    tongue: Track
    closure: Track
    speaking: Track


def _spans(phonemes: tuple[Phoneme, ...]) -> list[tuple[str, float, float]]:
    """(viseme, start_s, end_s) in order, diphthongs in halves, throat sounds joined to what follows."""
    spans: list[tuple[str, float, float]] = []
    pending_s: float | None = None
    for phoneme in phonemes:
        if phoneme.symbol in _THROAT_SOUNDS:
            pending_s = phoneme.start_s if pending_s is None else pending_s
            continue
        parts = visemes_of(phoneme.symbol)
        start_s = phoneme.start_s if pending_s is None else pending_s
        pending_s = None
        edges = np.linspace(start_s, phoneme.end_s, len(parts) + 1)
        spans += [(part, float(a), float(b)) for part, a, b in zip(parts, edges[:-1], edges[1:], strict=True)]
    return spans


def activations(phonemes: tuple[Phoneme, ...], duration_s: float) -> Track:
    """Which viseme sounds when: one-hot at 200 Hz, not smoothed, (samples, 17). Sample k lies at k / 200 s."""
    n = int(np.ceil(duration_s * _RATE_HZ)) + 1
    times_s = np.arange(n) / _RATE_HZ + LEAD_S
    spans = _spans(phonemes)
    index = np.zeros(n, np.int64)  # sil
    if spans:
        starts = np.array([start for _, start, _ in spans])
        which = np.searchsorted(starts, times_s, side="right") - 1
        inside = (which >= 0) & (times_s < spans[-1][2])
        index[inside] = np.array([VISEMES.index(name) for name, _, _ in spans])[which[inside]]
    hot = np.zeros((n, len(VISEMES)))
    hot[np.arange(n), index] = 1.0
    return hot


def _row(values: dict[str, float], default: float = 0.0) -> Track:
    return np.array([values.get(name, default) for name in VISEMES])


def _smooth(track: Track, sigma_s: float) -> Track:
    return gaussian_filter1d(track, sigma_s * _RATE_HZ, axis=0, mode="nearest")


def _pause_openness(silent: NDArray[np.bool_]) -> Track:
    """1 near speech, falling to 0 in the middle of long pauses, (samples,). All 0 when nothing is said."""
    if silent.all():
        return np.zeros(len(silent))
    speech = np.flatnonzero(~silent)
    here = np.arange(len(silent))
    after = np.clip(np.searchsorted(speech, here), 0, len(speech) - 1)
    before = np.clip(after - 1, 0, None)
    distance_s = np.minimum(np.abs(speech[after] - here), np.abs(speech[before] - here)) / _RATE_HZ
    return np.clip((PAUSE_CLOSED_S - distance_s) / (PAUSE_CLOSED_S - PAUSE_STAYS_OPEN_S), 0.0, 1.0)


def mouth_track(phonemes: tuple[Phoneme, ...], n_frames: int) -> MouthTrack:
    """Mouth targets for ``n_frames`` frames of 25 fps, each taken in the middle of its frame."""
    hot = activations(phonemes, frame_start_s(n_frames))
    silent = hot[:, VISEMES.index("sil")] > 0
    weights = hot.copy()
    weights[:, VISEMES.index("sil")] *= _pause_openness(silent)
    soft, soft_weights = _smooth(hot, SMOOTHING_S), _smooth(weights, SMOOTHING_S)
    closure = np.clip(CLOSURE_GAIN * _smooth(hot @ _row(CLOSURE), CLOSURE_SMOOTHING_S), 0.0, 1.0)
    speaking = 1.0 - soft[:, VISEMES.index("sil")]
    lips_may_part = 1.0 - soft[:, VISEMES.index("PP")] - soft[:, VISEMES.index("FF")]
    floor = VOWEL_FLOOR_IOD * np.clip(speaking * lips_may_part, 0.0, 1.0)
    opened = 1.0 - CLOSURE_DEPTH * closure
    tracks = {
        "gap_iod": np.maximum(soft_weights @ _row(GAP_IOD), floor) * opened,
        "width_iod": WIDTH_GAIN * (soft_weights @ _row(WIDTH_IOD)),
        "funnel": soft @ _row(ROUNDING) * opened,
        "lip_share": soft @ _row(LIP_SHARE, DEFAULT_LIP_SHARE),
        "press": PRESS * np.clip(CLOSURE_GAIN * _smooth(hot[:, VISEMES.index("PP")], CLOSURE_SMOOTHING_S), 0.0, 1.0),
        "fv": FV * np.clip(CLOSURE_GAIN * _smooth(hot[:, VISEMES.index("FF")], SMOOTHING_S), 0.0, 1.0),
        "tongue": soft @ _row(TONGUE),
        "closure": closure,
        "speaking": speaking,
    }
    centres_s = np.array([frame_centre_s(i) for i in range(n_frames)])
    clock_s = np.arange(len(hot)) / _RATE_HZ
    return MouthTrack(**{name: np.interp(centres_s, clock_s, track) for name, track in tracks.items()})


@dataclass(frozen=True)
class MouthGains:
    """What one unit of a control does to a face, IOD: to the lip gap (``gap_*``) and to the lip width (``width_*``)."""

    gap_jaw: float
    gap_lip_up: float
    gap_lip_down: float
    gap_funnel: float
    width_jaw: float
    width_wide: float
    width_pucker: float
    width_funnel: float


def mouth_controls(track: MouthTrack, gains: MouthGains) -> dict[str, Track]:
    """Controls (T,) that realise the gap and width of ``track`` on a face with ``gains``, and its looks.

    The funnel is reduced where it alone would open the lips too far. Narrowing is done by ``pucker``, widening by ``wide``.
    """
    gap = np.maximum(track.gap_iod, 0.0)
    funnel = np.minimum(track.funnel, 0.7 * gap / gains.gap_funnel)
    rest = gap - funnel * gains.gap_funnel
    by_lips = track.lip_share * rest
    lip_up = np.minimum(UPPER_LIP_SHARE * by_lips / gains.gap_lip_up, 1.0)
    lip_down = np.minimum((1 - UPPER_LIP_SHARE) * by_lips / gains.gap_lip_down, 1.0)
    jaw = np.clip((rest - lip_up * gains.gap_lip_up - lip_down * gains.gap_lip_down) / gains.gap_jaw, 0.0, 1.0)
    width = track.width_iod - gains.width_jaw * jaw - gains.width_funnel * funnel
    return {
        "jaw": jaw,
        "lip_up": lip_up,
        "lip_down": lip_down,
        "funnel": funnel,
        "wide": np.clip(width / gains.width_wide, 0.0, 1.0),
        "pucker": np.clip(width / gains.width_pucker, 0.0, 1.0),
        "press": track.press,
        "fv": track.fv,
        "tongue": track.tongue,
    }
