"""Measures with answers known by hand, and on a portrait degraded on purpose."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_clips import folder_params

from space_data import measures as m
from space_data.landmarks import PoseTrack
from space_data.media.encode import write_video
from space_data.media.sound import decode_sound
from space_data.media.video import decode_video
from space_data.speech import loudness_db, speech_mask


def test_reblur_ratio_ranks_sharpness_and_forgets_size(astronaut: np.ndarray) -> None:
    face = cv2.cvtColor(astronaut[40:220, 150:300], cv2.COLOR_RGB2GRAY).astype(np.float32)
    soft = cv2.resize(cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), face.shape[::-1])
    softer = cv2.GaussianBlur(face, (0, 0), 4)
    assert m.reblur_ratio(face) < 0.25  # the study: originals 0.12-0.29, upscaled by 2 0.34-0.54
    assert 0.3 < m.reblur_ratio(soft) < m.reblur_ratio(softer)
    assert m.reblur_ratio(np.full((32, 32), 7, np.float32)) == 1.0


def encoded(picture: np.ndarray, path: Path) -> list[np.ndarray]:
    """Grey pictures of ``picture`` drifting for 6 frames, through H.264."""
    drifting = (np.ascontiguousarray(np.roll(picture, i, axis=1)) for i in range(6))
    write_video(path, drifting, crf=18)
    return [cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in decode_video(path)]


@pytest.mark.parametrize(("sigma_px", "dropped"), [(2.0, False), (3.0, True), (4.0, True), (6.0, True)])
def test_codec_noise_does_not_hide_a_blur_at_coarse_scale(
    astronaut: np.ndarray, tmp_path: Path, sigma_px: float, dropped: bool
) -> None:
    face = np.ascontiguousarray(astronaut[40:220, 150:300])
    sharp = encoded(face, tmp_path / "sharp.mp4")
    soft = encoded(np.asarray(cv2.GaussianBlur(face, (0, 0), sigma_px), np.uint8), tmp_path / "soft.mp4")
    bound = folder_params(tmp_path).filter.reblur_coarse
    assert bound.warn is not None and bound.reject is not None
    assert np.median([m.coarse_reblur_ratio(grey) for grey in sharp]) < bound.warn
    assert np.median([m.coarse_reblur_ratio(grey) for grey in soft]) > (bound.reject if dropped else bound.warn)


def test_coarse_ratio_needs_pixels_and_sees_only_coarse_blur(astronaut: np.ndarray) -> None:
    face = cv2.cvtColor(astronaut[40:220, 150:300], cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert np.isnan(m.coarse_reblur_ratio(face[:28, :28]))
    half = cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert m.coarse_reblur_ratio(face) == max(m.reblur_ratio(half), m.reblur_ratio(quarter))
    # Doubling every pixel changes nothing at half resolution: that is the native ratio's to find.
    doubled = face.repeat(2, axis=0).repeat(2, axis=1)
    assert m.coarse_reblur_ratio(doubled) == max(m.reblur_ratio(face), m.reblur_ratio(half))


def test_luma_of_a_flat_picture() -> None:
    assert m.luma(np.full((10, 10), 40, np.float32)) == (40.0, 0.0)


BABBLE = ("libri_16k.wav", "russian_48k_24bit.wav", "clean_f_524_glasses.mp4", "vfr_m_700.mp4", "hevc_vertical_m_1080x1920.mp4")


def test_cut_is_found_and_a_pan_is_not(astronaut: np.ndarray) -> None:
    other = astronaut[::-1, ::-1, ::-1]
    finder = m.CutFinder(3.0)
    for i in range(60):
        source = astronaut if i < 30 else other
        finder.feed(m.small_picture(np.ascontiguousarray(np.roll(source, 2 * i, axis=1))))
    assert finder.cuts == [30]


def test_cuts_are_those_of_pyscenedetect(astronaut: np.ndarray, rng: np.random.Generator) -> None:
    from scenedetect import FrameTimecode
    from scenedetect.detectors import AdaptiveDetector

    scenes = [astronaut, astronaut[::-1, ::-1, ::-1], 255 - astronaut, np.full_like(astronaut, 30), astronaut[::-1]]
    frames = []
    for number, length in enumerate((40, 20, 8, 30, 16, 50, 15, 60)):
        for i in range(length):
            moved = np.roll(scenes[number % 5], (number + 1) * i, axis=1).astype(int)
            frames.append(m.small_picture(np.clip(moved + rng.integers(0, 20, moved.shape), 0, 255).astype(np.uint8)))
    finder, detector = m.CutFinder(3.0), AdaptiveDetector(adaptive_threshold=3.0, min_scene_len=15)
    wanted = []
    for i, small in enumerate(frames):
        finder.feed(small)
        wanted += [cut.frame_num for cut in detector.process_frame(FrameTimecode(i, 25.0), small[..., ::-1])]
    assert finder.cuts == wanted and len(wanted) >= 3


def test_small_picture_keeps_what_is_small() -> None:
    small = np.zeros((60, 96, 3), np.uint8)
    assert m.small_picture(small) is small
    assert m.small_picture(np.zeros((1080, 1920, 3), np.uint8)).shape == (54, 96, 3)


def test_shots_follow_cuts() -> None:
    assert m.shot_numbers([3, 5], 7).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert m.shot_numbers([], 2).tolist() == [0, 0]


@pytest.mark.parametrize(("box", "outside"), [([0, 0, 64, 48], False), ([-1, 5, 20, 20], True), ([5, 5, 20, 49], True)])
def test_box_that_leaves_the_picture(box: list[float], outside: bool) -> None:
    assert m.is_outside(np.array(box, np.float32), 64, 48) is outside


def test_face_grey_clips_to_the_picture_and_gives_up_outside() -> None:
    rgb = np.zeros((50, 50, 3), np.uint8)
    grey = m.face_grey(rgb, np.array([-10, 20, 30, 80], np.float32))
    assert grey is not None and grey.shape == (30, 30)
    assert m.face_grey(rgb, np.array([60, 60, 90, 90], np.float32)) is None


def test_second_face_share() -> None:
    boxes = np.array([[0, 0, 100, 120, 0.9], [200, 0, 250, 60, 0.8], [300, 0, 310, 10, 0.7]], np.float32)
    assert m.second_face_share(boxes) == pytest.approx(0.5)
    assert m.second_face_share(boxes[:1]) == 0.0


def test_irregular_share_of_a_variable_rate() -> None:
    rate, share = m.irregular_share(np.array([0, 0.04, 0.08, 0.12, 0.20]))
    assert rate == pytest.approx(25.0) and share == pytest.approx(0.25)
    assert m.irregular_share(np.array([0.0])) == (0.0, 0.0)


def test_angles_are_absolute_and_skip_lost_frames() -> None:
    yaw = np.array([-30, -30, np.nan, 30, 10], np.float32)
    pose = PoseTrack(yaw, np.zeros(5, np.float32), np.zeros(5, np.float32), np.ones(5, np.float32), np.zeros((5, 3), np.float32))
    found = m.angle_range(pose, np.abs(yaw) + 2)
    assert found is not None and found.yaw_median_deg == pytest.approx(32) and found.pitch_p95_deg == 0
    assert 50 < found.yaw_range_deg <= 60 and found.roll_range_deg == 0
    assert m.angle_range(pose[np.array([2])], yaw[[2]]) is None


def test_sound_levels() -> None:
    speech = np.zeros(200, bool)
    speech[50:150] = True
    loudness = np.where(speech, -20, -60).astype(np.float32)
    found = m.sound_measures(speech, loudness)
    assert (found.speech_share, found.speech_s, found.speech_level_db, found.speech_over_noise_db) == (0.5, 1.0, -20.0, 40.0)
    assert found.silence_s == 0.5
    mostly_loud = np.where(np.arange(200) < 150, -20, -60).astype(np.float32)
    no_pause = m.sound_measures(np.ones(200, bool), mostly_loud).speech_over_noise_db
    assert no_pause == pytest.approx(40, abs=0.1), "a level that falls between syllables is enough"
    assert m.sound_measures(np.zeros(200, bool), loudness).speech_over_noise_db is None
    assert m.sound_measures(np.zeros(0, bool), np.zeros(0, np.float32)).peak_level_db == m.SILENCE_DB


def test_speech_in_babble_falls_with_the_ratio_of_the_two_although_all_of_it_is_heard_as_speech(shared_media: Path) -> None:
    speakers = [decode_sound(shared_media / n).samples for n in BABBLE]
    length = min(len(s) for s in speakers) // 160 * 160
    voices = np.stack([s[:length] / np.sqrt(np.mean(s[:length] ** 2)) for s in speakers])
    ratios_db = (40, 20, 15, 10, 5, 0)
    for i, voice in enumerate(voices):
        others = [v for k, v in enumerate(voices) if k != i]
        crowd = np.sum([np.roll(v, shift) for v in others for shift in (0, 9_000, 21_000, 40_000)], axis=0)
        crowd /= np.sqrt(np.mean(crowd**2))
        found = []
        for ratio_db in ratios_db:
            mixed = (0.05 * (voice + crowd * 10 ** (-ratio_db / 20))).astype(np.float32)
            over = m.sound_measures(speech_mask(mixed), loudness_db(mixed)).speech_over_noise_db
            assert over is not None
            found.append(over)
        assert (np.diff(found) < 0).all(), (BABBLE[i], found)
        assert found[0] > 15 and found[-1] < 5, (BABBLE[i], found)


def test_speech_in_a_cafeteria(shared_media: Path) -> None:
    sound = decode_sound(shared_media / "noisy_cafeteria_snr0.wav").samples
    found = m.sound_measures(speech_mask(sound), loudness_db(sound))
    assert found.speech_share > 0.9 and found.speech_over_noise_db is not None and found.speech_over_noise_db < 5


def test_clipped_shares_per_ten_milliseconds() -> None:
    audio = np.zeros(330, np.float32)
    audio[[0, 1, 159]] = 1, -1, 1
    np.testing.assert_allclose(m.clipped_shares(audio), [3 / 160, 0])


def test_jitter_is_the_noise_and_not_the_motion(rng: np.random.Generator) -> None:
    smooth = np.sin(np.arange(200) / 30)[:, None, None] * np.ones((1, 78, 3))
    assert m.landmark_jitter(smooth.astype(np.float32)) == pytest.approx(0, abs=1e-4)
    noisy = (smooth + rng.normal(0, 0.01, smooth.shape)).astype(np.float32)
    noisy[20:30] = np.nan
    assert m.landmark_jitter(noisy) == pytest.approx(0.01, rel=0.1)
    assert m.landmark_jitter(noisy[:7]) is None


def test_bars_at_the_edges_and_no_plain_wall(rng: np.random.Generator) -> None:
    finder = m.BorderFinder()
    wall = np.tile(np.linspace(100, 110, 40).astype(np.uint8)[None, :, None], (10, 1, 3))  # lit from one side
    for _ in range(3):
        picture = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
        picture[:10] = 0
        picture[-4:] = rng.integers(0, 3, (4, 40, 3))  # a codec's noise
        picture[10:20] = wall
        finder.feed(picture)
    assert finder.share() == pytest.approx(14 / 40)
    once = m.BorderFinder()
    once.feed(np.zeros((4, 4, 3), np.uint8))
    assert once.share() is None


def test_longest_run_in_seconds() -> None:
    assert m.longest_true_s(np.array([1, 0, 1, 1, 0], bool), np.array([9.0, 1, 2, 3, 1])) == 9
    assert m.longest_true_s(np.zeros(3, bool), np.ones(3)) == 0


def test_lip_motion() -> None:
    height = np.array([0, 2, 0, 2, 0, 2, np.nan, 99], np.float32)
    speech = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
    assert m.lip_motion(height, speech) == pytest.approx(1.0)
    assert m.lip_motion(height, np.zeros(8, bool)) is None
