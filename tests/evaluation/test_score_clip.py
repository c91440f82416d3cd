"""One clip scored from files: the order of systems that must hold, and every way in which a video can be unusable."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics
from evaluation.frame_features import DctColour
from evaluation.landmark_metrics import NoFace
from evaluation.score_clip import (
    DECODE_ERROR,
    LENGTH_MISMATCH,
    NO_FACE,
    NOT_AVAILABLE,
    OK,
    REFERENCE,
    SIZE_MISMATCH,
    STATUSES,
    ClipScores,
    ClipToScore,
    clip_metrics,
    score_clip,
)
from space_data.avsync import SyncScore
from space_data.landmarks import lip_gap, posed
from space_data.media.container import MediaError
from space_data.media.encode import write_video
from space_data.params import Evaluate, Warp

N_FRAMES = 30


@pytest.fixture(scope="module")
def settings() -> Evaluate:
    return Evaluate(
        ssim_every_frames=5, frechet_every_frames=5, min_found_share=0.9, weights="absent", bootstrap_draws=10, seed=0
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory, astronaut) -> ClipToScore:
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
    for name, frames in [("recording", recording), *videos.items()]:
        write_video(folder / f"{name}.mp4", frames)
    (folder / "broken.mp4").write_text("not a video")
    paths = {name: folder / f"{name}.mp4" for name in [*videos, "broken"]}
    return ClipToScore("set/a/1", "a", folder / "recording.mp4", N_FRAMES, CROP_SIZE_PX, {**paths, "absent": None})


def gap_sync(track) -> SyncScore:
    return SyncScore(2, float(lip_gap(track.normalised).std()), 0.5)


@pytest.fixture(scope="module")
def scored(clip, settings) -> ClipScores:
    return score_clip(clip, gap_sync, DctColour(), settings)


def column(scored: ClipScores, metric: metrics.Metric) -> dict[str, float | None]:
    return {row.system: row.value for row in scored.rows if row.metric == metric.metric_id}


def statuses(scored: ClipScores, system: str) -> set[str]:
    return {row.status for row in scored.rows if row.system == system}


def test_every_system_has_a_row_for_every_metric(clip, scored, settings):
    wanted = {(system, m.metric_id) for system in clip.videos for m in clip_metrics(clip.size_px, settings)}
    assert {(row.system, row.metric) for row in scored.rows} == wanted
    assert len(scored.rows) == len(wanted)
    assert all(row.status in STATUSES and (row.value is None) == (row.status != OK) for row in scored.rows)


def test_the_same_video_scores_perfectly(scored, settings):
    assert column(scored, metrics.LMD_MOUTH)["right"] == 0
    assert column(scored, metrics.LVD_FACE)["right"] == 0
    assert column(scored, metrics.POSE)["right"] == 0
    assert column(scored, metrics.LIP_CORRELATION)["right"] == pytest.approx(1)
    assert column(scored, metrics.LIP_AMPLITUDE)["right"] == pytest.approx(1)
    assert column(scored, metrics.psnr_metric(512))["right"] == 100
    assert column(scored, metrics.ssim_metric(512, settings.ssim_every_frames))["right"] == pytest.approx(1, abs=1e-5)


def test_wrong_lips_and_still_lips_are_worse(scored):
    mouth = column(scored, metrics.LMD_MOUTH)
    assert 0 == mouth["right"] < mouth["still"] and mouth["right"] < mouth["wrong"]
    assert column(scored, metrics.LIP_CORRELATION)["wrong"] < -0.7
    assert column(scored, metrics.LIP_AMPLITUDE)["wrong"] == pytest.approx(1, abs=0.2), "amplitude alone cannot see wrong words"
    assert column(scored, metrics.LIP_AMPLITUDE)["still"] < 0.1


@pytest.mark.parametrize(
    ("system", "status"),
    [("short", LENGTH_MISMATCH), ("small", SIZE_MISMATCH), ("broken", DECODE_ERROR), ("absent", NOT_AVAILABLE)],
)
def test_unusable_videos_are_rows_with_a_reason(scored, system, status):
    assert statuses(scored, system) == {status}
    assert all(row.detail for row in scored.rows if row.system == system)


def test_a_video_without_a_face_still_has_pixels(scored):
    assert statuses(scored, "black") == {OK, NO_FACE}
    assert column(scored, metrics.psnr_metric(512))["black"] < 15
    assert column(scored, metrics.LMD_MOUTH)["black"] is None


def test_offset_column_is_a_size_and_keeps_the_sign_in_words(scored):
    row = next(r for r in scored.rows if r.system == "right" and r.metric == metrics.AV_OFFSET.metric_id)
    assert row.value == 2.0 and row.detail.startswith("+2 frames")


def test_too_short_for_sync_is_not_available(clip, settings):
    only = replace(clip, videos={"right": clip.videos["right"]})
    result = score_clip(only, lambda _: None, DctColour(), settings)
    assert {r.status for r in result.rows if r.metric.startswith("av_")} == {NOT_AVAILABLE}
    assert {r.status for r in result.rows if not r.metric.startswith("av_")} == {OK}


def test_systems_do_not_influence_each_other(clip, scored, settings):
    """Scored alone or in another company, a system has the same rows: sharding cannot change a figure."""
    alone = score_clip(replace(clip, videos={"wrong": clip.videos["wrong"]}), gap_sync, DctColour(), settings)
    assert alone.rows == [row for row in scored.rows if row.system == "wrong"]


def test_traces_and_features_are_kept(clip, scored, settings):
    frames = {t.frame for t in scored.traces if t.system == REFERENCE}
    assert frames == set(range(N_FRAMES))
    assert not any(t.found or t.lip_gap is not None for t in scored.traces if t.system == "black")
    seen = next(t for t in scored.traces if t.system == REFERENCE)
    assert 200 < seen.mouth_x_px < 312 and 256 < seen.mouth_y_px < 400, "the astronaut's mouth is below the middle of the crop"
    n_features = len(range(0, N_FRAMES, settings.frechet_every_frames))
    assert scored.features[REFERENCE].shape == (n_features, 69)
    np.testing.assert_array_equal(scored.features["right"], scored.features[REFERENCE])


def test_only_the_first_frames_of_a_longer_recording_count(clip, settings):
    shorter = replace(clip, n_frames=N_FRAMES - 2, videos={"short": clip.videos["short"]})
    result = score_clip(shorter, gap_sync, DctColour(), settings)
    assert statuses(result, "short") == {OK}
    assert column(result, metrics.LMD_MOUTH)["short"] < 0.01


def test_an_unusable_recording_is_an_error(clip, settings):
    with pytest.raises(MediaError):
        score_clip(replace(clip, reference=clip.videos["broken"]), gap_sync, DctColour(), settings)
    with pytest.raises(NoFace):
        score_clip(replace(clip, reference=clip.videos["black"]), gap_sync, DctColour(), settings)
