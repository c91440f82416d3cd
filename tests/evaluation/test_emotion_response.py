"""How much of an emotion shows: cases whose answers are known by hand, and the trivial opponents."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.emotion_figures import (
    EmotionReport,
    closures_kept,
    emotion_report,
    metrics_tree,
    read_report,
    slope,
    write_report,
)
from evaluation.emotion_response import (
    ADDED,
    LANDMARKS,
    RECORDED,
    VIDEO,
    Run,
    coordinates,
    corpus_directions,
    cosine,
    flat,
    measures,
    mixture_name,
    nearest,
    rank_correlation,
    response,
    rises,
)
from evaluation.report_emotion import emotion_blocks, shortcomings
from space_data import landmarks as lm
from space_data.closures import Closures
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector

HAPPY, SAD = EMOTIONS.index("happy"), EMOTIONS.index("sad")
LEVELS = (0.25, 0.5, 0.75, 1.0)
GOOD, LOST = Closures(10, 9, 10, 9, 50), Closures(10, 3, 10, 3, 50)


def moved(points: list[int], axis: int, by: float) -> np.ndarray:
    change = np.zeros((78, 3))
    change[points, axis] = by
    return change


SMILE, BROWS_UP = moved(list(lm.MOUTH_CORNERS), 1, -0.1), moved(list(lm.BROWS), 1, -0.05)


def directions() -> np.ndarray:
    """Two emotions at right angles."""
    found = np.zeros((9, 78, 3))
    found[HAPPY], found[SAD] = SMILE, BROWS_UP
    return found


def runs(medium: str, strength: float, closures: Closures | None = GOOD, people: int = 3) -> list[Run]:
    """People that show each emotion ``strength`` times as strongly as the corpus, at four intensities, and a mixture."""
    found = []
    for person in range(people):
        found.append(Run(f"p{person}", medium, np.zeros(9), np.zeros((78, 3)), GOOD, GOOD, 1.0))
        for name, direction in (("happy", SMILE), ("sad", BROWS_UP)):
            for level in LEVELS:
                change = strength * level * direction
                found.append(Run(f"p{person}", medium, emotion_vector(name, level), change, closures, closures, 0.9))
        both = emotion_vector("happy", 0.5) + emotion_vector("sad", 0.5)
        found.append(Run(f"p{person}", medium, both, strength * 0.5 * (SMILE + BROWS_UP)))
    return found


def report_of(*parts: list[Run]) -> EmotionReport:
    return emotion_report([run for part in parts for run in part], directions(), [True] * 3)


def test_directions_are_the_change_per_intensity_whatever_the_person_looks_like(rng: np.random.Generator) -> None:
    people = rng.normal(0, 1, (4, 78, 3))
    worn = [("neutral", 1.0), ("happy", 0.5), ("sad", 1.0), ("happy", 1.0)]
    faces = [face + i * directions()[EMOTIONS.index(n)] for face in people for n, i in worn]
    mixtures = np.stack([emotion_vector(n, i) for _ in people for n, i in worn])
    subjects = [f"s{k}" for k in range(4) for _ in worn]
    assert corpus_directions(np.stack(faces), subjects, mixtures) == pytest.approx(directions(), abs=1e-6)
    unlabelled = np.concatenate([mixtures, emotion_vector(UNKNOWN, 0.0)[None]])
    same = corpus_directions(np.stack([*faces, faces[0] + 9.0]), [*subjects, "s0"], unlabelled)
    assert same == pytest.approx(directions(), abs=1e-6), "a clip of unknown emotion says nothing"


def test_directions_need_labelled_clips() -> None:
    with pytest.raises(SpaceError, match="none of 1 clips has a known emotion"):
        corpus_directions(np.zeros((1, 78, 3)), ["a"], emotion_vector(UNKNOWN, 0.0)[None])
    with pytest.raises(SpaceError, match="1 faces, 2 subjects, 1 mixtures"):
        corpus_directions(np.zeros((1, 78, 3)), ["a", "b"], np.zeros((1, 9)))


def test_response_by_hand() -> None:
    assert response(0.7 * SMILE, SMILE) == pytest.approx(0.7)
    assert response(np.zeros((78, 3)), SMILE) == 0 and cosine(np.zeros((78, 3)), SMILE) is None
    assert response(SMILE, np.zeros((78, 3))) is None
    assert response(-SMILE, SMILE) == pytest.approx(-1) and cosine(-SMILE, SMILE) == pytest.approx(-1)
    # two corners by .1 against ten brow points by .05: lengths .1 sqrt 2 and .05 sqrt 10, at right angles
    assert cosine(SMILE + BROWS_UP, SMILE) == pytest.approx(0.1 * 2**0.5 / (0.02 + 0.025) ** 0.5)
    assert flat(SMILE).shape == (136,) and flat(moved([70], 0, 1.0)).sum() == 0, "irises do not count"
    assert flat(moved([30], 2, 1.0)).sum() == 0, "nor does depth"


def test_mixtures_are_read_on_directions_that_are_not_at_right_angles() -> None:
    slanted = np.stack([SMILE, SMILE + BROWS_UP])
    assert coordinates(0.3 * slanted[0] + 0.6 * slanted[1], slanted) == pytest.approx([0.3, 0.6])
    assert mixture_name(emotion_vector("happy", 0.5) + emotion_vector("sad", 0.25)) == "happy:0.5+sad:0.25"
    assert mixture_name(np.zeros(9)) == ""


def test_the_nearest_direction() -> None:
    assert nearest(0.01 * SMILE + 0.001 * BROWS_UP, directions()) == "happy"
    assert nearest(np.zeros((78, 3)), directions()) == ""


def test_single_measures_and_their_signs() -> None:
    assert measures(SMILE)["mouth_corner_height"] == pytest.approx(0.1)
    assert measures(BROWS_UP) == pytest.approx(
        {
            "mouth_corner_height": 0, "mouth_width": 0, "brow_height": 0.05, "inner_brow_height": 0.05, "eye_opening": 0,
            "lip_gap": 0,
        }
    )  # fmt: skip
    assert measures(moved([lm.MOUTH_CORNERS[1]], 0, 0.2))["mouth_width"] == pytest.approx(0.2)
    assert measures(moved([upper for upper, _ in lm.LID_PAIRS], 1, -0.03))["eye_opening"] == pytest.approx(0.03)
    assert measures(moved(list(lm.LOWER_INNER_LIP), 1, 0.04))["lip_gap"] == pytest.approx(0.04)


def test_rising_and_its_rank_correlation() -> None:
    assert rises([0, 0.1, 0.2]) and not rises([0, 0.2, 0.2]) and not rises([0, 0.3, 0.2]) and not rises([0.0])
    assert rank_correlation([0, 1, 5, 6]) == 1 and rank_correlation([3, 2, 1]) == -1 and rank_correlation([2, 2, 2]) == 0
    assert rank_correlation([0, 2, 1, 3]) == pytest.approx(0.8)


def test_slope_weighs_clips_by_intensity_and_its_interval_is_over_people() -> None:
    one = slope([0.5, 1.0], [0.5, 1.0], ["a", "b"])
    assert (one.mean, one.low, one.high, one.people) == pytest.approx((1.0, 1.0, 1.0, 2))
    mixed = slope([0.0, 1.0], [0.5, 1.0], ["a", "b"])  # without a: 1, without b: 0, hence a standard error of .5
    reach = 12.7062 * 0.5
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((0.8, 0.8 - reach, 0.8 + reach), abs=1e-4)
    alone = slope([0.4], [1.0], ["a"])
    assert (alone.low, alone.high, alone.text, alone.arms) == (None, None, "0.40", (0.0, 0.0))


def test_a_report_of_what_shows(tmp_path: Path) -> None:
    recorded = [Run("p0", RECORDED, emotion_vector("happy", 0.5), 0.6 * SMILE)]
    report = report_of(runs(LANDMARKS, 0.8), runs(VIDEO, 0.5), runs(ADDED, 1.0, closures=LOST), recorded)
    happy = report.emotions["happy"]
    assert happy[LANDMARKS].levels["0.5"].mean == pytest.approx(0.4) and happy[VIDEO].levels["1"].low == pytest.approx(0.5)
    assert happy[RECORDED].levels["1"].mean == pytest.approx(1.2) and happy[RECORDED].monotone is None
    assert happy[ADDED].levels["1"].mean == pytest.approx(1.0), "the ceiling"
    assert happy[VIDEO].named == happy[VIDEO].monotone == 1 and happy[VIDEO].cosine == pytest.approx(1)
    assert happy[ADDED].closure_f1 == pytest.approx(0.3) and happy[VIDEO].closure_f1 == pytest.approx(0.9)
    mixed = report.mixtures["happy:0.5+sad:0.5"][VIDEO]
    assert mixed.in_between and mixed.shown == pytest.approx({"happy": 0.25, "sad": 0.25})
    assert shortcomings(report) == []
    write_report(tmp_path / "r.json", report)
    assert read_report(tmp_path / "r.json") == report
    write_report(tmp_path / "r.json", None)
    assert read_report(tmp_path / "r.json") is None
    tree = metrics_tree(report)
    assert tree["happy"][VIDEO]["response"] == 0.5 and tree["intensity_0_equals_neutral"] == 1 and tree["people"] == 3


def test_kept_closures_are_a_ratio_of_summed_counts() -> None:
    def told(*counts: Closures | None) -> list[Run]:
        return [Run(f"p{i}", VIDEO, emotion_vector("sad", 1.0), SMILE, one) for i, one in enumerate(counts)]

    kept = closures_kept(told(LOST, LOST), told(GOOD, GOOD))
    assert kept is not None and (kept.mean, kept.low, kept.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3)) and kept.people == 2
    mixed = closures_kept(told(LOST, GOOD), told(GOOD, GOOD))  # (3 + 9) / 20 of .9; without each person 1 and 1/3
    assert mixed is not None and mixed.mean == pytest.approx(2 / 3) and mixed.arms == pytest.approx((12.7062 / 3,) * 2, abs=1e-4)
    assert closures_kept(told(None), told(GOOD)) is None and closures_kept(told(GOOD), told(None)) is None
    assert closures_kept(told(GOOD), told(Closures(5, 0, 5, 0, 9))) is None, "neutral itself is never right"


def test_what_does_not_show_is_said() -> None:
    report = report_of(runs(LANDMARKS, 0.8, closures=LOST), runs(VIDEO, 0.0))
    said = " ".join(shortcomings(report))
    assert "landmarks: happy, sad keep less than 90%" in said
    assert "video: happy, sad do not show" in said and "video: happy, sad do not rise" in said
    assert "video: happy, sad are nearest to their own direction no more often than by chance" in said
    assert "Not in between: happy:0.5+sad:0.5." in said
    assert emotion_blocks(report, [("happy", "data:image/jpeg;base64,AA==")])[0].tone == "warn"


def test_an_emotion_that_the_corpus_lacks_has_no_figures() -> None:
    lone = [Run("p0", LANDMARKS, emotion_vector("angry", 1.0), SMILE)]
    assert "angry" not in emotion_report(lone, directions(), [True]).emotions
