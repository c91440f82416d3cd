"""One clip scored from files: the order of systems that must hold, and every way in which a video can be unusable."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.face_descriptor import NAME
from evaluation.frame_features import DctColour
from evaluation.measured_video import MeasuredVideo, measure_video
from evaluation.metrics import JUDGES, MEASURES, MeanStatistics, Metric, catalogue, head, landmarks, lips, sync, values_of
from evaluation.score_clip import (
    LENGTH_MISMATCH,
    NO_FACE,
    NOT_AVAILABLE,
    OK,
    REFERENCE,
    SIZE_MISMATCH,
    STATUSES,
    ClipToScore,
    failed_clip,
    score_clip,
    traces,
)
from space_data.avsync import SyncScore
from space_data.landmarks import lip_gap, posed
from space_data.media.container import MediaError
from space_data.media.encode import write_video
from space_data.params import Evaluate, Warp, load_params
from space_data.schema import ClipStatistic

N_FRAMES = 30


@pytest.fixture(scope="module")
def settings() -> Evaluate:
    return load_params().evaluate.model_copy(update={"ssim_every_frames": 5, "frechet_every_frames": 5, "min_found_share": 0.9})


@dataclass(frozen=True)
class Clip:
    """A recording and videos of it that are right, wrong or broken, each measured where it can be."""

    recording: Path
    videos: Mapping[str, Path]
    measured: Mapping[str, MeasuredVideo]
    settings: Evaluate

    def rows(self, system: str, n_frames: int = N_FRAMES, scorer=None) -> list[ClipStatistic]:
        clip = ClipToScore(system, "set/a/1", "a", self.recording, self.videos[system], n_frames)
        speaking = np.ones(n_frames, bool)
        return score_clip(
            clip, self.measured[REFERENCE], self.measured[system], speaking, scorer or gap_sync, None, self.settings
        )

    def value(self, metric: Metric, system: str) -> float | None:
        means = {row.statistic: row.total / row.weight for row in self.rows(system) if row.weight}
        return values_of(means, (metric,))[metric.metric_id]


def gap_sync(track) -> SyncScore:
    return SyncScore(2, float(lip_gap(track.normalised).std()), 0.5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory, astronaut, settings) -> Clip:
    """A portrait made to talk by the warp generator, and videos of it that are right, wrong or broken."""
    from space_data.crop import CROP_SIZE_PX
    from space_data.landmarks import INNER_LIP_PAIRS, JAW, MOUTH_OUTER
    from space_models.generators.warp import WarpGenerator
    from space_models.portrait import load_portrait

    folder = tmp_path_factory.mktemp("clip")
    portrait = load_portrait(astronaut)
    generator = WarpGenerator(Warp(sharpen=0, max_yaw_deg=20, max_pitch_deg=14, max_roll_deg=20))
    state = generator.prepare(portrait)
    lower = np.concatenate([[pair[1] for pair in INNER_LIP_PAIRS], MOUTH_OUTER[7:12], JAW[5:12]])

    def talking(phase: float) -> list[np.ndarray]:
        points = np.repeat(portrait.normalised[None], N_FRAMES, axis=0)
        opening = 0.06 * (1 + np.sin(np.arange(N_FRAMES) * 0.6 + phase))
        points[:, lower, 1] += opening[:, None]
        pose = portrait.pose[np.zeros(N_FRAMES, int)]
        return list(generator.render(state, posed(points, pose)))

    recording, wrong = talking(0.0), talking(np.pi)
    black = [np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)] * N_FRAMES
    videos = {
        "right": recording, "wrong": wrong, "still": [recording[0]] * N_FRAMES, "black": black,
        "short": recording[:-2], "small": [f[::2, ::2] for f in recording],
    }  # fmt: skip
    for name, frames in [(REFERENCE, recording), *videos.items()]:
        write_video(folder / f"{name}.mp4", frames)
    (folder / "broken.mp4").write_text("not a video")
    paths = {name: folder / f"{name}.mp4" for name in [REFERENCE, *videos]}
    measured = {name: measure_video(path, None, [DctColour()], settings) for name, path in paths.items()}
    return Clip(paths[REFERENCE], paths | {"broken": folder / "broken.mp4"}, measured, settings)


def statuses(rows: list[ClipStatistic]) -> set[str]:
    return {row.status for row in rows}


def test_every_statistic_has_a_row_for_every_system(clip: Clip) -> None:
    wanted = [name for measure in MEASURES if measure.need not in JUDGES for name in measure.names]
    for system in clip.measured:
        rows = clip.rows(system)
        assert [row.statistic for row in rows] == wanted, system
        assert all(
            row.status in STATUSES and (row.weight == 0) == (row.status != OK) and (row.status == OK or row.detail)
            for row in rows
        )


def test_the_same_video_scores_perfectly(clip: Clip) -> None:
    assert (
        clip.value(landmarks.LD_MOUTH, "right") == clip.value(landmarks.LVD_FACE, "right") == clip.value(head.POSE, "right") == 0
    )
    assert clip.value(lips.LIP_VELOCITY_R, "right") == pytest.approx(1)
    assert clip.value(lips.LIP_AMPLITUDE, "right") == pytest.approx(0)
    psnr, ssim, sharpness = catalogue(512, clip.settings, ())[-3:]
    assert clip.value(psnr, "right") == 100 and clip.value(ssim, "right") == pytest.approx(1, abs=1e-5)
    assert clip.value(sharpness, "right") == clip.value(sharpness, REFERENCE) > 0


def test_the_recording_scores_like_a_copy_of_itself(clip: Clip) -> None:
    ours, copy = clip.rows(REFERENCE), clip.rows("right")
    pixels = ("squared_error", "ssim")
    assert [(r.statistic, r.total, r.weight) for r in ours if r.statistic not in pixels] == [
        (r.statistic, r.total, r.weight) for r in copy if r.statistic not in pixels
    ]


def test_wrong_lips_and_still_lips_are_worse(clip: Clip) -> None:
    right, still, wrong = (clip.value(landmarks.LD_MOUTH, system) for system in ("right", "still", "wrong"))
    assert 0 == right < still and right < wrong
    assert clip.value(lips.LIP_GAP_R, "wrong") < -0.7 and clip.value(lips.LIP_VELOCITY_R, "wrong") < 0
    assert clip.value(lips.LIP_AMPLITUDE, "wrong") == pytest.approx(0, abs=0.2), "amplitude alone cannot see wrong words"
    assert clip.value(lips.LIP_AMPLITUDE, "still") < -1.5 and clip.value(lips.LIP_VELOCITY_R, "still") == 0


@pytest.mark.parametrize(("system", "status"), [("short", LENGTH_MISMATCH), ("small", SIZE_MISMATCH)])
def test_unusable_videos_are_rows_with_a_reason(clip: Clip, system: str, status: str) -> None:
    assert statuses(clip.rows(system)) == {status} and all(row.detail for row in clip.rows(system))


def test_a_video_without_a_face_still_has_pixels(clip: Clip) -> None:
    assert statuses(clip.rows("black")) == {OK, NO_FACE, NOT_AVAILABLE}
    psnr = catalogue(512, clip.settings, ())[-3]
    assert clip.value(psnr, "black") < 15 and clip.value(landmarks.LD_MOUTH, "black") is None


def test_what_cannot_be_read_is_an_error_of_its_own(clip: Clip) -> None:
    with pytest.raises(MediaError):
        measure_video(clip.videos["broken"], None, [DctColour()], clip.settings)
    rows = failed_clip("ours", "set/a/1", "a", "decode_error", "why")
    assert {(row.status, row.detail, row.weight) for row in rows} == {("decode_error", "why", 0)}
    assert [r.statistic for r in rows] == [r.statistic for r in clip.rows("right")]


def test_a_recording_without_a_face_leaves_the_pixels(clip: Clip) -> None:
    faceless = Clip(clip.videos["black"], clip.videos, {**clip.measured, REFERENCE: clip.measured["black"]}, clip.settings)
    rows = faceless.rows("right")
    assert [row.statistic for row in rows] == [row.statistic for row in clip.rows("right")]
    assert {row.statistic for row in rows if row.status == OK} == {"squared_error", "ssim", "face_edges"}
    assert all("reference: a face in 0%" in row.detail for row in rows if row.status == NO_FACE)


def test_too_short_for_sync_is_not_available(clip: Clip) -> None:
    rows = clip.rows("right", scorer=lambda _: None)
    named = {name for metric in sync.METRICS for name in metric.statistics}
    assert {r.status for r in rows if r.statistic in named} == {NOT_AVAILABLE}
    assert clip.value(sync.AV_OFFSET, "right") == 2.0


def test_only_the_first_frames_of_a_longer_recording_count(clip: Clip, settings: Evaluate) -> None:
    shorter = measure_video(clip.recording, N_FRAMES - 2, [DctColour()], settings)
    part = Clip(clip.recording, clip.videos, {**clip.measured, REFERENCE: shorter}, settings)
    assert OK in statuses(part.rows("short", N_FRAMES - 2)) and LENGTH_MISMATCH not in statuses(part.rows("short", N_FRAMES - 2))


def test_features_edges_and_boxes_are_kept_and_survive_the_file(clip: Clip, settings: Evaluate, tmp_path: Path) -> None:
    one = clip.measured[REFERENCE]
    assert one.features[DctColour.name].shape == (len(range(0, N_FRAMES, settings.frechet_every_frames)), 69)
    assert one.edges.count == 6
    assert np.isnan(clip.measured["black"].boxes).all() and clip.measured["black"].edges.count == 0
    x0, y0, x1, y1 = one.boxes[0]
    assert 100 < x0 < 256 < x1 < 412 and 100 < y0 < y1 < 480
    one.save(tmp_path / "m.npz")
    again = MeasuredVideo.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.face.normalised, one.face.normalised)
    np.testing.assert_array_equal(again.face.pose.as_array(), one.face.pose.as_array())
    np.testing.assert_array_equal(again.features[DctColour.name], one.features[DctColour.name])
    assert again.edges == one.edges


def test_features_do_not_depend_on_the_batch(clip: Clip, settings: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.measured_video.FEATURE_BATCH", 2)
    again = measure_video(clip.recording, None, [DctColour()], settings)
    np.testing.assert_array_equal(again.features[DctColour.name], clip.measured[REFERENCE].features[DctColour.name])


def test_traces_say_what_was_seen(clip: Clip) -> None:
    rows = traces(REFERENCE, "set/a/1", clip.measured[REFERENCE].face)
    assert [row.frame for row in rows] == list(range(N_FRAMES))
    assert 200 < rows[0].mouth_x_px < 312 and 256 < rows[0].mouth_y_px < 400, (
        "the astronaut's mouth is below the middle of the crop"
    )
    assert not any(t.found or t.lip_gap is not None for t in traces("black", "set/a/1", clip.measured["black"].face))


def test_optional_judges_have_rows_where_they_are(clip: Clip) -> None:
    """A made-up descriptor, the same for all but one face, and a made-up distance of pictures, instead of networks."""

    def rows(system: str, candidate: MeasuredVideo, perceptual=None) -> dict[str, ClipStatistic]:
        scored = ClipToScore(system, "set/a/1", "a", clip.recording, clip.videos[system], N_FRAMES)
        speaking = np.ones(N_FRAMES, bool)
        found = score_clip(scored, described(REFERENCE), candidate, speaking, gap_sync, None, clip.settings, perceptual)
        return {row.statistic: row for row in found}

    def described(system: str, face: float = 1.0) -> MeasuredVideo:
        measured = clip.measured[system]
        return replace(measured, features={**measured.features, NAME: np.array([[face, 1.0]] * 6, np.float32)})

    def distance(truth: np.ndarray, rgb: np.ndarray) -> MeanStatistics:
        return MeanStatistics(float(np.abs(truth.astype(int) - rgb).max()), 1)

    judged = rows("wrong", described("wrong", 4.0), distance)
    assert (judged["id_distance"].total, judged["id_distance"].weight) == (18, 6)
    assert judged["lpips"].weight == 6 and judged["lpips"].total > 0
    same = rows("right", described("right"), distance)
    assert same["id_cosine"].total == pytest.approx(6) and same["lpips"].total == 0
    assert rows(REFERENCE, described(REFERENCE), distance)["lpips"].total == 0
    faceless = rows("black", described("black"), distance)
    assert faceless["id_cosine"].status == NO_FACE and faceless["lpips"].status == OK
    short = rows("short", described("short"), distance)
    assert short["id_cosine"].status == short["lpips"].status == LENGTH_MISMATCH
    assert {"id_cosine", "lpips"}.isdisjoint(rows("right", clip.measured["right"]))
