"""The judge on Whisper's states: answers by hand, planted lags, the benchmark's two-pass fit, nothing to fit on; the stage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from whisper_files import seeded_encoder, write_openai

from benchmarks.sync_encoders import Spoken, projected
from evaluation.detected_face import DetectedFace
from evaluation.judges import Judges
from evaluation.sync_score import face_scorer
from evaluation.whisper_sync import StateScorer, context, fit
from pipelines.job.run import Result
from pipelines.layout import Layout
from pipelines.stages import evaluate
from space_data.avsync import LIP_CONTEXT_FRAMES, LIP_POINTS, lag_curve, lip_points, read_curve
from space_data.errors import SpaceError
from space_data.features import canonical_pose
from space_data.landmarks import N_LANDMARKS
from space_data.media.encode import write_wav
from space_data.params import load_params
from space_data.schema import KEPT, AlignedClip, FeatureClip, FeatureFrame
from space_data.speech_encoder import WHISPER_TINY_EN
from space_data.tables import write_table

WIDTH, N = 96, 120


def clip(seed: int, n: int = N, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Lips (n, 25, 2) and states (n, 96) that the same four slow curves move, in ways that are the same for all seeds."""
    rng, ways = np.random.default_rng(seed), np.random.default_rng(0)
    slow = np.stack([np.convolve(rng.normal(size=n + 4), np.ones(5) / 2, "valid") for _ in range(4)], axis=1)
    to_lips, to_states = ways.normal(size=(4, 50)), ways.normal(size=(4, WIDTH))
    lips, states = slow @ to_lips + noise * rng.normal(size=(n, 50)), slow @ to_states + noise * rng.normal(size=(n, WIDTH))
    return lips.reshape(n, 25, 2).astype(np.float32), states.astype(np.float32)


@pytest.fixture(scope="module")
def scorer() -> StateScorer:
    return fit([clip(seed) for seed in range(1, 13)], "made-up clips")


def test_known_by_hand():
    """One number of the lips against one of the states: Pearson's r at each lag."""
    lips, states = clip(1)
    lip_map, state_map = np.zeros((250, 1)), np.zeros((3 * WIDTH, 1))
    lip_map[50 * LIP_CONTEXT_FRAMES + 7], state_map[WIDTH + 3] = 1, 1  # of the frame itself
    by_hand = StateScorer(lip_map, state_map, np.ones(1), "")
    x, y = lips.reshape(N, -1)[:, 7], states[:, 3]
    r = [np.corrcoef(x, y)[0, 1], np.corrcoef(x[1:], y[:-1])[0, 1], np.corrcoef(x[:-1], y[1:])[0, 1]]
    assert by_hand.score(lips, states).at_zero == pytest.approx(max(r), abs=1e-6)


@pytest.mark.parametrize("late", [0, 5, -7])
def test_a_planted_lag_is_found_in_two_seconds_of_somebody_else(scorer, late):
    lips, states = clip(99, 80)
    found = scorer.score(lips[15:65], states[15 - late : 65 - late])  # + = the sound is late
    assert found.offset_frames == late
    if late:
        assert found.at_zero < scorer.score(lips[15:65], states[15:65]).at_zero


def test_lips_without_noise_score_almost_one_and_other_peoples_little(scorer):
    lips, states = clip(99, noise=0.0)
    assert scorer.score(lips, states).at_zero > 0.97
    assert scorer.score(lips, clip(98)[1]).at_zero < 0.6


def test_one_pass_equals_the_benchmarks_two():
    clips = [clip(seed) for seed in range(1, 13)]
    spoken = [Spoken(str(i), lips, np.zeros((N, 40), np.float32), states) for i, (lips, states) in enumerate(clips)]
    (theirs,), weights = projected(spoken[:-1], spoken[-1:], WHISPER_TINY_EN)
    wanted = read_curve(lag_curve(theirs.lips, theirs.sound, weights))
    found = fit(clips[:-1], "").score(*clips[-1])
    assert found.offset_frames == wanted.offset_frames
    assert (found.at_zero, found.confidence) == pytest.approx((wanted.at_zero, wanted.confidence), abs=1e-6)


def test_no_order_of_clips_matters_and_a_file_keeps_it_all(scorer, tmp_path):
    other = fit([clip(seed) for seed in range(12, 0, -1)], "")
    scorer.save(tmp_path / "scorer.npz")
    kept = StateScorer.load(tmp_path / "scorer.npz")
    lips, states = clip(50)
    found = [one.score(lips, states).at_zero for one in (scorer, other, kept)]
    assert found == pytest.approx([found[0]] * 3, abs=1e-6) and kept.fitted_on == "made-up clips"


def test_nothing_to_fit_on_and_malformed_is_an_error(scorer):
    with pytest.raises(SpaceError, match="no clips to fit on"):
        fit([], "")
    with pytest.raises(ValueError):
        scorer.score(clip(1)[0], clip(1)[1][:, :50])
    assert context(clip(1)[1]).shape == (N, 3 * WIDTH)


def test_a_face_that_is_lost_is_bridged_and_one_that_is_never_there_is_none(scorer):
    lips, states = clip(99)
    points = np.zeros((N, N_LANDMARKS, 3), np.float32)
    points[:, LIP_POINTS, :2] = lips
    score = face_scorer(lambda seen: scorer.score(seen, states[: len(seen)]), N)
    whole = score(DetectedFace(points, canonical_pose(N, 512)))
    holed = points.copy()
    holed[40:43] = np.nan
    bridged = score(DetectedFace(holed, canonical_pose(N, 512)))
    assert whole is not None and bridged is not None and abs(whole.at_zero - bridged.at_zero) < 0.1
    assert score(DetectedFace(points[:30], canonical_pose(30, 512))) is None, "too short for the lags"
    assert score(DetectedFace(np.full_like(points, np.nan), canonical_pose(N, 512))) is None


# The stage


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Two people, one of whom is scored: features, and sound beside."""
    layout, rng = Layout.in_folder(tmp_path), np.random.default_rng(4)
    clips, rows, aligned = [], [], []
    for subject in ("ada", "bob"):
        clip_id, audio = f"set/{subject}/1", tmp_path / f"{subject}.wav"
        write_wav(audio, rng.normal(0, 0.1, 640 * N).astype(np.float32))
        pose = canonical_pose(1, 512).as_array()[0]
        points = rng.normal(size=(N, N_LANDMARKS, 3)).astype(np.float32)
        sound = np.zeros(160, np.float32), np.zeros(52, np.float32)
        rows += [FeatureFrame(clip_id, i, False, points[i].ravel(), pose, 0.3, 0.3, 0.0, 0.0, *sound, True) for i in range(N)]
        clips.append(FeatureClip(clip_id, "video", "set", subject, "en", "train", np.zeros(9, np.float32), N))
        aligned.append(AlignedClip(
            clip_id=clip_id, source_clip_id=clip_id, dataset="set", subject=subject, emotion="neutral", intensity=0.0,
            language="en", split="train", video="", audio=audio.name, n_frames=N, size_px=64, start_s=0.0, crop_x0_px=0.0,
            crop_y0_px=0.0, crop_side_px=64.0, applied_offset_frames=0.0, audio_sha256=subject,
        ))  # fmt: skip
    write_table(layout.feature_frames, rows, FeatureFrame)
    write_table(layout.feature_clips, clips, FeatureClip)
    write_table(layout.aligned_clips, aligned, AlignedClip)
    layout.evaluation_scorer.parent.mkdir(parents=True, exist_ok=True)
    layout.evaluation_scorer.write_bytes(b"log-mel")
    return layout


def test_without_weights_or_with_too_little_speech_it_is_no_judge(layout, caplog, tmp_path):
    params = load_params()
    assert evaluate.fitted_on_states(Judges(), {"bob"}, params, layout) == (Judges(), None)
    judges = Judges(whisper=tmp_path / "tiny.en.pt", lpips=tmp_path)
    assert evaluate.fitted_on_states(judges, {"bob"}, params, layout) == (replace(judges, whisper=None), None)
    assert "5 s to fit on, need 150 s" in caplog.text


def test_its_absence_is_told_by_what_it_judges(tmp_path):
    """The same weights are the speech encoder's, whose absence is no gap in the benchmark."""
    (line,) = [line for line in Judges.here(tmp_path).absences(tmp_path) if "whisper" in line]
    what = "A/V score, confidence and offset on the states of Whisper's encoder"
    assert line.startswith(f"weights whisper-tiny.en ({what}) are not in {tmp_path}: run `space weights fetch whisper-tiny.en")
    assert f"`space weights import whisper-tiny.en PATH --folder {tmp_path}`" in line and "lips follow" not in line


def test_of_three_files_that_will_do_the_one_that_is_used_is_named(tmp_path):
    """Hashes of files that nobody has would be false provenance, and their change would score everything again."""
    judges = Judges(whisper=tmp_path / "whisper-tiny.en" / "model.bin", lpips=tmp_path / "lpips-alex")
    names = [name for name, _ in judges.files()]
    assert names == ["alexnet-owt-7be5be79.pth", "alex.pth", "model.bin"] and len(judges.hashes()) == 3


def test_it_is_fitted_on_people_who_are_not_scored_and_scores_a_clip(layout, tmp_path, monkeypatch):
    weights = write_openai(tmp_path / "tiny.en.pt", seeded_encoder())
    monkeypatch.setattr(evaluate, "LEAST_SPEECH_S", 1.0)

    def here(name, units, function, settings, params, layout):
        (unit,) = units
        function(unit.value, settings, tmp_path)
        return [Result(unit.unit_id, KEPT, content=unit.content, folder=tmp_path)]

    monkeypatch.setattr(evaluate, "run_units", here)
    judges, file = evaluate.fitted_on_states(Judges(whisper=weights), {"bob"}, load_params(), layout)
    assert judges.whisper == weights and file is not None
    assert StateScorer.load(file).fitted_on == "1 clips of 1 identities that are not scored"
    from evaluation.whisper_clip import states_of, whisper_scorer

    rng = np.random.default_rng(7)
    sound, points = rng.normal(0, 0.1, 640 * N).astype(np.float32), rng.normal(size=(N, N_LANDMARKS, 3)).astype(np.float32)
    found = whisper_scorer(weights, StateScorer.load(file), sound, N)(DetectedFace(points, canonical_pose(N, 512)))
    wanted = StateScorer.load(file).score(lip_points(points), states_of(weights, sound, N))
    assert found == wanted and states_of(weights, sound, N).shape == (N, 768)
