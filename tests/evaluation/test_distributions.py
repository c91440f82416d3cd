"""Distances between sets of features: answers known by hand, the plain definitions, and intervals over identities."""

from collections.abc import Callable

import numpy as np
import pytest

from evaluation import paired_sets
from evaluation.distributions import GROUPS, groups_of, set_aggregates, set_metrics
from evaluation.frechet import frechet_distance
from evaluation.paired_sets import Figures, PairedSets
from evaluation.statistics import jackknife_interval
from space_data.errors import SpaceError
from space_data.schema import Aggregate

CLIPS = {f"set/{person}/{i}": person for person in "abc" for i in range(3)}


def sets_of(made: np.ndarray, real: np.ndarray) -> PairedSets:
    """All of one group."""
    return PairedSets(made, real, np.zeros(len(made), np.intp), np.zeros(len(real), np.intp))


def kid(made: np.ndarray, real: np.ndarray) -> float | None:
    return sets_of(made, real).kid[0]


def test_kid_by_hand():
    """One dimension, kernel (x y + 1)^3: within {0, 1} it is 1, within {2, 3} 343, across 1, 1, 27, 64."""
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert kid(x, y) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_kid_of_samples_of_one_law_is_near_zero_on_either_side(rng):
    found = [kid(rng.normal(size=(60, 4)), rng.normal(size=(60, 4))) for _ in range(40)]
    assert min(found) < 0 < max(found) and abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(40)


def test_density_and_coverage_by_hand():
    real = np.arange(10.0)[:, None] * 10  # radii: 5th nearest neighbour: 30 in the middle, up to 50 at the ends
    inside = [abs(0 - 10 * i) <= r for i, r in enumerate([50, 40, 30, 30, 30, 30, 30, 30, 40, 50])]
    made = np.array([[0.0], [0.0], [1000.0]] * 2)
    found = sets_of(made, real)
    assert found.density[0] == pytest.approx(4 * sum(inside) / (5 * 6))
    assert found.coverage[0] == pytest.approx(sum(inside) / 10)
    same, far = sets_of(real, real), sets_of(real + 1e6, real)
    assert same.coverage[0] == 1.0 and same.density[0] > 1.0
    assert far.coverage[0] == far.density[0] == 0.0


def test_too_few_have_no_figure(rng):
    x = rng.normal(size=(5, 3))
    few = sets_of(x, x)
    assert few.density == few.coverage == [None, None] and few.kid[0] is not None
    assert sets_of(x[:1], x).kid == sets_of(x[:1], x).frechet == [None, None]


def test_of_large_sets_frames_of_all_clips_are_paired(rng, monkeypatch):
    """Every third of 36 made vectors; of 13 real ones all but one, first and last among them; what is no pair sees all."""
    made, real = rng.normal(size=(36, 3)), rng.normal(size=(13, 3))
    groups = np.repeat([0, 1, 2], 12), np.array([0] * 5 + [1] * 4 + [2] * 4)
    monkeypatch.setattr(paired_sets, "MOST_PAIRED", 12)
    whole = PairedSets(made, real, *groups)
    few = whole.thinned
    assert len(few.made) == len(few.real) == 12 and np.bincount(few.made_groups).tolist() == [4, 4, 4]
    assert (few.real[[0, -1]] == real[[0, -1]]).all() and len(np.unique(few.real, axis=0)) == 12
    for metric in set_metrics("dct", False, 5):
        name = metric.column.metric_id.split("_")[0]
        assert metric.figures(whole) == getattr(whole if name == "frechet" else few, name)
    monkeypatch.setattr(paired_sets, "MOST_PAIRED", 36)
    assert PairedSets(made, real, *groups).thinned.kid == whole.kid


@pytest.mark.parametrize(
    ("made", "real", "said"),
    [
        (np.zeros(10), np.zeros((10, 4)), r"made set: shape \(10,\), need \(10, 4\)"),
        (np.zeros((10, 3)), np.zeros((10, 4)), r"made set: shape \(10, 3\)"),
        (np.full((10, 4), np.nan), np.zeros((10, 4)), "made set holds non-finite"),
        (np.zeros((10, 4)), np.full((10, 4), np.inf), "real set holds non-finite"),
    ],
)
def test_bad_sets_are_refused(made: np.ndarray, real: np.ndarray, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        sets_of(made, real)


# The plain definitions, on whole sets in memory


def plain_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(z):
        return (k(z, z).sum() - np.trace(k(z, z))) / (len(z) * (len(z) - 1))

    return within(x) + within(y) - 2 * k(x, y).mean()


def plain_inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    apart = np.linalg.norm(y[:, None] - y[None], axis=2)
    return np.linalg.norm(x[:, None] - y[None], axis=2) <= np.sort(apart, axis=1)[:, 5]


PLAIN: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "frechet": frechet_distance,
    "kid": plain_kid,
    "density": lambda x, y: plain_inside(x, y).sum(axis=1).mean() / 5,
    "coverage": lambda x, y: plain_inside(x, y).any(axis=0).mean(),
}


@pytest.mark.parametrize("dimensions", [8, 200], ids=["from moments", "from samples"])
@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("name", PLAIN)
def test_every_fold_is_the_plain_figure_of_what_is_left(name, block, dimensions, rng, monkeypatch):
    """Blocks that cut through clips and groups, groups of other sizes, one that is in one set only: to 1e-9."""
    monkeypatch.setattr(paired_sets, "BLOCK", block)
    made_groups, real_groups = np.sort(rng.integers(0, 4, 61))[::-1], rng.integers(0, 5, 83)
    made, real = rng.normal(size=(61, dimensions)), rng.normal(0.2, 1.1, (83, dimensions))
    made[5], made[6] = real[7], real[8]  # on the border of some neighbourhoods
    found: Figures = getattr(PairedSets(made, real, made_groups, real_groups), name)
    kept = [(made, real), *((made[made_groups != g], real[real_groups != g]) for g in range(5))]
    assert found == pytest.approx([PLAIN[name](x, y) for x, y in kept], rel=1e-9, abs=1e-12)


def test_memory_does_not_hold_the_pairs(rng, tmp_path):
    """4,000 frames are 16 million pairs, 128 MB; their features, which lie in a file, 16 MB in double precision."""
    import tracemalloc

    vectors = rng.normal(size=(4000, 500)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    there, groups = np.load(tmp_path / "vectors.npy", mmap_mode="r"), np.arange(4000) % 3
    sets = PairedSets(there, there, groups, groups)
    tracemalloc.start()
    assert sets.kid[0] and sets.coverage[0] == 1.0 and sets.frechet[0] == pytest.approx(0, abs=1e-6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6, f"{peak / 1e6:.0f} MB"


def aggregated(made: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> list[Aggregate]:
    """Of the stand-in's metrics; clips come in the order of ``made``."""
    metrics, both = set_metrics("dct", False, 5), {clip: CLIPS[clip] for clip in made if clip in real}
    return set_aggregates("ours", metrics, both, lambda clip: (made[clip], real[clip]), len(CLIPS))


def features(rng, mean: float = 0.0) -> dict[str, np.ndarray]:
    """float32, as they are kept."""
    return {clip: rng.normal(mean, size=(10, 4)).astype(np.float32) for clip in CLIPS}


def test_figures_are_over_common_clips_with_people_as_units(rng):
    real = features(rng)
    off = {clip: found + 1 for clip, found in real.items() if clip != "set/a/0"}
    off["set/b/0"] = off["set/b/0"][:0]
    frechet, own_kid, _, covered = aggregated(off, real)
    assert frechet.mean == pytest.approx(4.0, rel=1e-6), "compared with the recordings of the same clips only"
    assert (frechet.n_ok, frechet.n_total, frechet.n_identities) == (7, 9, 3), "people, not clips; none without frames"
    assert frechet.low is not None and frechet.low < 4.0 < frechet.high
    assert own_kid.mean > 0 and 0 <= covered.mean < 1
    same = aggregated(real, real)
    assert same[0].mean == pytest.approx(0, abs=1e-9) and same[3].mean == 1.0
    nobody = aggregated({}, real)
    assert all(row.mean is None and row.n_ok == 0 for row in nobody)


def test_the_interval_is_the_jackknife_of_the_plain_figures(rng):
    real, made = features(rng), features(rng, 0.3)

    def stacked(of: dict[str, np.ndarray], without: str) -> np.ndarray:
        return np.concatenate([of[clip] for clip, person in CLIPS.items() if person != without]).astype(np.float64)

    for row, name in zip(aggregated(made, real), PLAIN, strict=True):
        whole, *left = (PLAIN[name](stacked(made, out), stacked(real, out)) for out in ("", *"abc"))
        assert (row.mean, row.low, row.high) == pytest.approx((whole, *jackknife_interval(whole, np.array(left))), rel=1e-9)


def test_the_order_of_clips_does_not_matter(rng):
    real, made = features(rng), features(rng)
    assert aggregated(made, real) == aggregated(dict(reversed(made.items())), real)


def test_one_person_has_no_interval(rng):
    alone = {clip: found for clip, found in features(rng).items() if CLIPS[clip] == "a"}
    assert all(row.mean is not None and row.low is None for row in aggregated(alone, alone))


def test_many_people_share_groups():
    people = [f"p{i:03d}" for i in range(50)]
    groups = groups_of(people * 2)
    assert set(groups) == set(range(GROUPS)) and groups[:50] == groups[50:]


def test_a_stand_in_is_never_called_fid():
    for metric in set_metrics("dct", False, 5):
        assert "standin" in metric.column.metric_id and "not " in metric.column.title
    assert [metric.column.name for metric in set_metrics("inception", True, 5)] == ["fid", "kid", "density", "coverage"]
