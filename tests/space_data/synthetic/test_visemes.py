"""From phonemes to mouth targets and to what the lips really do."""

import numpy as np
import pytest

from space_data.landmarks import lip_gap, lip_width
from space_data.synthetic.espeak import Phoneme
from space_data.synthetic.head import draw_identities
from space_data.synthetic.performance import exact_normalised, mouth_gains
from space_data.synthetic.visemes import (
    GAP_IOD,
    LEAD_S,
    VISEMES,
    WIDTH_GAIN,
    WIDTH_IOD,
    activations,
    mouth_controls,
    mouth_track,
    visemes_of,
)

LONG_S = 1.0
"""A sound held so long that smoothing no longer matters in its middle."""


def _held(symbol: str) -> tuple[Phoneme, ...]:
    return (Phoneme("", 0.0, 0.2), Phoneme(symbol, 0.2, 0.2 + LONG_S), Phoneme("", 0.2 + LONG_S, 1.4))


MIDDLE = 17  # frame 0.68-0.72 s


@pytest.mark.parametrize(
    ("symbol", "visemes"),
    [
        ("p", ("PP",)), ("m", ("PP",)), ("f", ("FF",)), ("D", ("TH",)), ("t[", ("DD",)), ("g#", ("kk",)), ("tS", ("CH",)),
        ("S", ("CH",)), ("z.", ("SS",)), ("N", ("kk",)), ("R2", ("RR",)), ("A", ("aa",)), ("u", ("ou",)), ("3", ("er",)),
        ("@2", ("ax",)), ("aI", ("aa", "ih")), ("oU", ("oh", "ou")), ("?e", ("E",)), ("", ("sil",)), ("(en)", ("sil",)),
    ],
)  # fmt: skip
def test_phonemes_map_to_visemes(symbol: str, visemes: tuple[str, ...]) -> None:
    assert visemes_of(symbol) == visemes


def test_tables_name_every_viseme() -> None:
    assert set(GAP_IOD) == set(WIDTH_IOD) == set(VISEMES) and len(VISEMES) == 17


def test_activations_are_one_hot_and_late_by_the_lead() -> None:
    hot = activations(_held("A"), 1.4)
    assert (hot.sum(1) == 1).all()
    first = np.flatnonzero(hot[:, VISEMES.index("aa")])[0] / 200
    assert first == pytest.approx(0.2 - LEAD_S, abs=0.006)  # lips follow the sound by 10 ms


def test_held_vowel_reaches_its_targets() -> None:
    track = mouth_track(_held("A"), 35)
    assert track.gap_iod[MIDDLE] == pytest.approx(GAP_IOD["aa"], abs=1e-3)
    assert track.width_iod[MIDDLE] == pytest.approx(WIDTH_GAIN * WIDTH_IOD["aa"], abs=1e-3)


def test_closures_shut_the_lips_even_between_open_vowels() -> None:
    phonemes = (Phoneme("A", 0.0, 0.4), Phoneme("m", 0.4, 0.48), Phoneme("A", 0.48, 0.9))
    track = mouth_track(phonemes, 22)
    assert track.gap_iod[10:13].min() < 0.02 and track.closure.max() > 0.9  # a tenth of the vowel's gap
    assert track.gap_iod[4] > 0.15 and track.gap_iod[18] > 0.15
    assert track.press[10:13].max() > 0.5


def test_gap_is_never_negative_and_vowels_let_air_out() -> None:
    for symbol in ("r", "u", "f", "3"):
        assert mouth_track(_held(symbol), 35).gap_iod.min() >= 0
    assert mouth_track(_held("u"), 35).gap_iod[MIDDLE] > 0.01


def test_short_pauses_stay_slightly_open_and_long_ones_close() -> None:
    spans = (("a", 0.0, 0.5), ("", 0.5, 0.9), ("a", 0.9, 1.4), ("", 1.4, 5.0), ("a", 5.0, 5.5))
    phonemes = tuple(Phoneme(*span) for span in spans)
    gap = mouth_track(phonemes, 137).gap_iod
    assert 0.03 < gap[17] < 0.08  # 0.70 s, middle of the short pause
    assert gap[80] == pytest.approx(0.0, abs=1e-6)  # 3.2 s, middle of the long one


def test_nothing_said_is_a_shut_mouth() -> None:
    track = mouth_track((), 20)
    assert track.gap_iod.max() == pytest.approx(0.0, abs=1e-9) and track.speaking.max() == pytest.approx(0.0, abs=1e-9)


def test_controls_realise_gap_and_width_on_faces() -> None:
    symbols = {"A": "aa", "E": "E", "I": "ih", "s": "SS", "k": "kk", "o": "oh", "n": "nn", "t": "DD", "S": "CH", "@": "ax"}
    for identity in draw_identities(np.random.default_rng(3), 3):
        gains = mouth_gains(identity)
        rest = exact_normalised(identity, {"jaw": np.zeros(1)})
        for symbol, viseme in symbols.items():
            track = mouth_track(_held(symbol), 35)
            shown = exact_normalised(identity, mouth_controls(track, gains))[MIDDLE]
            assert lip_gap(shown) - lip_gap(rest)[0] == pytest.approx(GAP_IOD[viseme], abs=0.025), viseme
            assert lip_width(shown) - lip_width(rest)[0] == pytest.approx(WIDTH_GAIN * WIDTH_IOD[viseme], abs=0.03), viseme


def test_closed_lips_touch_on_faces() -> None:
    for identity in draw_identities(np.random.default_rng(4), 3):
        rest = float(lip_gap(exact_normalised(identity, {"jaw": np.zeros(1)}))[0])
        shown = exact_normalised(identity, mouth_controls(mouth_track(_held("m"), 35), mouth_gains(identity)))[MIDDLE]
        assert float(lip_gap(shown)) - rest < 0.01


def test_rounded_vowels_narrow_and_protrude() -> None:
    identity = draw_identities(np.random.default_rng(5), 1)[0]
    gains = mouth_gains(identity)
    shown = {s: exact_normalised(identity, mouth_controls(mouth_track(_held(s), 35), gains))[MIDDLE] for s in "ouE"}
    for rounded in "ou":
        assert lip_width(shown[rounded]) < lip_width(shown["E"]) - 0.05
