"""How far two takes are apart: known by hand, nothing to compare, lost faces, equal takes; the stage and the page."""

import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from evaluation.aggregate import aggregates, identity_means, scores_of
from evaluation.blocks import Note, Table
from evaluation.diversity import METRICS, NAMES, Take, between, spread
from evaluation.metrics import values_of
from evaluation.ours import Models
from evaluation.report_diversity import diversity_blocks
from evaluation.score_clip import NOT_AVAILABLE, OK, REFERENCE
from evaluation.systems import Rendering
from pipelines.stages import diversity
from space_data.landmarks import (
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    MESH_TO_78,
    N_MESH,
    PoseTrack,
    eye_aspect_ratio,
    template_mesh,
)
from space_data.media.encode import write_video, write_wav
from space_data.params import load_params
from space_data.schema import AlignedClip, ClipStatistic
from space_data.tables import read_table
from space_data.timebase import frames_to_samples

N = 50
WAVE = np.sin(2 * np.pi * np.arange(N) / N).astype(np.float32)
"""A whole period: its mean is 0, its mean square a half."""


def neutral_face() -> np.ndarray:
    """(78, 3); the irises in the middle of nowhere, at the nose."""
    mesh = np.zeros((N_MESH, 3))
    mesh[:468] = template_mesh()
    mesh[468:] = template_mesh()[33]
    return mesh[MESH_TO_78].astype(np.float32)


def still_pose(n: int, yaw_deg: np.ndarray) -> PoseTrack:
    zeros = np.zeros(n, np.float32)
    return PoseTrack(yaw_deg.astype(np.float32), zeros, zeros, zeros + 100, np.full((n, 3), 256, np.float32))


def take(yaw_deg: float = 0.0, look: float = 0.0, lids: float = 0.0, n: int = N) -> Take:
    """Yaw, horizontal gaze in eye widths and eye opening move by ``WAVE`` times these."""
    points = np.repeat(neutral_face()[None], n, axis=0)
    for eye, iris in ((EYE_LEFT, IRIS_LEFT), (EYE_RIGHT, IRIS_RIGHT)):
        width = np.linalg.norm(points[:, eye[3], :2] - points[:, eye[0], :2], axis=-1)
        points[:, iris[0], 0] += look * width * WAVE[:n]
        points[:, [eye[1], eye[2]], 1] -= (lids * width * WAVE[:n])[:, None]
    return Take.of(points.astype(np.float32), still_pose(n, yaw_deg * WAVE[:n]))


def values(takes: list[Take]) -> list[float | None]:
    means = {name: one.mean() for name, one in between(takes).items() if one.count}
    found = values_of(means, METRICS)
    return [found[metric.metric_id] for metric in METRICS]


def test_equal_takes_have_none():
    assert values([take(10, 0.1, 0.05)] * 3) == pytest.approx([0, 0, 0], abs=1e-5)


@pytest.mark.parametrize("which", range(3))
def test_known_by_hand(which):
    """A sine of amplitude a against none, root mean square: a / sqrt(2); against its opposite twice that."""
    size = (10.0, 0.08, 0.04)[which]
    moved = {"yaw_deg": {0: size}, "look": {2: size}, "lids": {1: size}}
    sizes = {name: by.get(which, 0.0) for name, by in moved.items()}
    expected = [0.0] * 3
    expected[which] = size / math.sqrt(2)
    assert values([take(), take(**sizes)]) == pytest.approx(expected, rel=2e-2, abs=2e-5)
    other = take(**{name: -one for name, one in sizes.items()})
    assert values([take(**sizes), other])[which] == pytest.approx(2 * expected[which], rel=2e-2)


def test_where_a_camera_stands_is_no_diversity():
    turned = Take.of(np.repeat(neutral_face()[None], N, axis=0), still_pose(N, 20 + 5 * WAVE))
    assert values([take(5), turned])[0] == pytest.approx(0, abs=1e-3)


def test_one_take_has_no_diversity_and_lost_frames_are_left_out():
    assert values([take(5)]) == [None] * 3 and values([]) == [None] * 3
    lost = take(5)
    lost.gaze[10:20] = np.nan
    assert [one.count for one in between([lost, take(5)]).values()] == [N, N, N - 10]
    assert [one.count for one in spread([(take(5), take(5, n=20))]).values()] == [20] * 3, "the common beginning"


def test_no_order_of_takes_matters():
    takes = [take(5), take(0, 0.1), take(-3, 0, 0.03)]
    found = [values(list(order)) for order in permutations(takes)]
    assert np.allclose(found, found[0], rtol=1e-9)


def rows(subjects: dict[str, str]) -> list[ClipStatistic]:
    """Of each clip ours against recordings that are twice as far apart."""
    found = []
    for clip_id, subject in subjects.items():
        found += diversity.rows_of("ours", clip_id, subject, between([take(), take(5)]))
        found += diversity.rows_of(REFERENCE, clip_id, subject, between([take(), take(10)]))
    return found


def test_the_page_shows_ours_beside_recordings_and_marks_nothing():
    found = aggregates(identity_means(scores_of(rows({"1": "ada", "2": "bob"}), METRICS), METRICS), ["ours"], METRICS)
    table, _ = diversity_blocks(found)
    assert isinstance(table, Table)
    head = table.rows[0]
    assert head[1].text.startswith("3.5") and head[2].startswith("7.0") and head[3] == "2 of 2", head
    assert all(column.better == "" for column in table.columns)
    assert isinstance(diversity_blocks([])[0], Note)


def test_recordings_are_compared_with_others_of_the_same_person():
    takes = {"ada": {"a/1": take(5), "a/2": take(5), "a/3": take(0)}, "bob": {"b/1": take(90)}}
    found = diversity.recorded_rows({"a/1": 20, "b/1": N}, {"a/1": "ada", "b/1": "bob"}, takes)
    head = {row.clip_id: row for row in found if row.statistic == NAMES[0]}
    assert head["a/1"].weight == 2 * 20 and head["a/1"].status == OK and 0 < head["a/1"].total < 20 * 25
    assert (head["b/1"].weight, head["b/1"].status) == (0, NOT_AVAILABLE)
    assert {row.weight for row in diversity.recorded_rows({"c": N}, {"c": "cid"}, takes)} == {0}


def test_a_unit_asks_for_each_seed_and_draws_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    class Moving:
        def __init__(self, renderer, models):
            pass

        def render(self, assignment):
            asked.append(assignment.seed)
            points = np.repeat(neutral_face()[None], assignment.n_frames, axis=0)
            frames = (pytest.fail("a picture was drawn") for _ in range(1))
            return Rendering(frames, points, still_pose(assignment.n_frames, assignment.seed * WAVE[: assignment.n_frames]))

    monkeypatch.setattr(diversity, "Ours", Moving)
    video, audio = str(tmp_path / "v.mp4"), str(tmp_path / "a.wav")
    write_video(video, [np.zeros((64, 64, 3), np.uint8)] * N)
    write_wav(audio, np.zeros(frames_to_samples(N), np.float32))
    clip = AlignedClip(
        clip_id="s/ada/1", source_clip_id="s/ada/1", dataset="s", subject="ada", emotion="neutral", intensity=0.0, language="en",
        split="test", video=video, audio=audio, n_frames=N, size_px=64, start_s=0.0, crop_x0_px=0.0, crop_y0_px=0.0,
        crop_side_px=64.0, applied_offset_frames=0.0,
    )  # fmt: skip
    params = load_params()
    unit = diversity.DiversityUnit(clip, N, 7, Models(tmp_path, params))
    diversity.measure_one(unit, params.diversity, tmp_path)
    assert asked == [7, 8, 9, 10][: params.diversity.seeds]
    found = {row.statistic: row for row in read_table(tmp_path / diversity.STATISTICS_FILE, ClipStatistic)}
    pairs = params.diversity.seeds * (params.diversity.seeds - 1) // 2
    assert found[NAMES[0]].weight == pairs * N and found[NAMES[0]].total > 0
    assert found[NAMES[2]].total == pytest.approx(0, abs=1e-9)
    assert {row.system for row in found.values()} == {diversity.SYSTEM}


def test_eye_opening_is_the_mean_of_both_eyes():
    assert take(lids=0.04).eye_opening == pytest.approx(take().eye_opening + 0.04 * WAVE, abs=1e-3)
    assert eye_aspect_ratio(neutral_face()[None]).shape == (1, 2)
