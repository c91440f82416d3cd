"""Driving one person with every emotion: neutral to the bit at intensity 0, opponents by construction, a real portrait filmed."""

import numpy as np
import pytest
from made_up_talk import config, loud_network

from evaluation import emotion_runs
from evaluation.emotion_figures import emotion_report
from evaluation.emotion_response import ADDED, ADDED_VIDEO, LANDMARKS, VIDEO, response
from evaluation.emotion_runs import MIXTURES, SHEET_PX, Person, close_up, measure_person, mixtures_of, run_of, strip_names
from space_data.errors import SpaceError
from space_data.landmarks import MOUTH_CORNERS, lip_gap
from space_data.params import EmotionStage, load_params
from space_data.schema import EMOTIONS, NEUTRAL, emotion_vector
from space_data.speech_encoder import LogMel
from space_data.timebase import frames_to_samples
from space_models.motion import MotionModels
from space_models.portrait import load_portrait
from space_models.posegen.model import PoseGen, PoseGenConfig
from space_models.speech_file import speech_features

N_FRAMES = 30
SETTINGS = EmotionStage(
    people=1, filmed_people=1, speech_s=1.2, intensities=[0.5, 1.0], mixtures=["happy:0.5+sad:0.5"],
    filmed_every_frames=4, seed=1,
)  # fmt: skip
PARAMS = load_params().model_copy(update={"emotion": SETTINGS})


@pytest.fixture(scope="module")
def models() -> MotionModels:
    posegen = PoseGen(PoseGenConfig(lookahead_frames=2, memory_frames=4)).eval()
    return MotionModels(loud_network(config()), posegen, LogMel())


@pytest.fixture
def person(astronaut, rng) -> Person:
    envelope = np.abs(np.sin(np.arange(frames_to_samples(N_FRAMES)) / 3000))
    speech = speech_features((0.2 * envelope * rng.normal(size=len(envelope))).astype(np.float32))
    gap = (0.05 + 0.05 * np.sin(np.arange(N_FRAMES))).astype(np.float32)
    return Person("ada", load_portrait(astronaut), speech, gap, np.ones(N_FRAMES, bool))


@pytest.fixture
def directions() -> np.ndarray:
    """Corners of the mouth, up: of every emotion, so that the tracker sees it drawn."""
    found = np.zeros((9, 78, 3), np.float32)
    found[1:, list(MOUTH_CORNERS), 1] = -0.08
    return found


def test_what_is_told(tmp_path) -> None:
    told = mixtures_of(SETTINGS)
    assert len(told) == 2 * 8 + 1 and all(mixture.any() for mixture in told)
    assert told[-1] == pytest.approx(emotion_vector("happy", 0.5) + emotion_vector("sad", 0.5))
    assert strip_names([MIXTURES, "sad", "calm"]) == ["calm", "sad", MIXTURES]


def test_landmarks_and_their_opponent(person, directions, models, tmp_path) -> None:
    measured = measure_person(person, directions, False, PARAMS, models, tmp_path)
    assert measured.same_as_neutral and measured.strips == {}
    neutral = [run for run in measured.runs if not run.mixture.any()]
    assert len(neutral) == 1 and not neutral[0].change.any() and neutral[0].lip_gap_r == pytest.approx(1)
    added = [run for run in measured.runs if run.medium == ADDED and run.label]
    assert len(added) == 16
    for run in added:
        told = directions[EMOTIONS.index(run.label)]
        assert response(run.change, told) == pytest.approx(run.intensity, abs=1e-4), "the ceiling is exact"
    shown = [run for run in measured.runs if run.medium == LANDMARKS and run.label]
    assert min(abs(run.change).max() for run in shown) > 1e-3, "the network's emotions move the face"
    report = emotion_report(measured.runs, directions, [measured.same_as_neutral])
    assert set(report.emotions) == set(EMOTIONS[1:]) and report.filmed_people == 0


def test_the_film_shows_what_the_landmarks_say(person, directions, models, tmp_path) -> None:
    measured = measure_person(person, directions, True, PARAMS, models, tmp_path)
    video = [run for run in measured.runs if run.medium == VIDEO]
    assert len(video) == 1 + 16 + 1 and all(run.expressions is None for run in measured.runs), "nobody looks"
    closures = [run for run in video if run.closures is not None]
    assert {run.intensity for run in closures} == {0.0, 1.0}, "closures need every frame"
    drawn = [response(run.change, directions[1]) or 0.0 for run in measured.runs if run.medium == ADDED_VIDEO]
    assert len(drawn) == 8 and min(drawn) > 0.1, "corners told to go up are seen to go up"
    assert {name: picture.shape for name, picture in measured.strips.items()} == {
        name: (SHEET_PX, 3 * SHEET_PX, 3) for name in (*EMOTIONS[1:], MIXTURES)
    }
    assert (measured.strips[MIXTURES][:, :SHEET_PX] == measured.strips["happy"][:, :SHEET_PX]).all(), "both begin with neutral"


def test_lost_faces_are_left_out_and_none_is_an_error(person) -> None:
    faces = np.tile(person.portrait.normalised, (8, 1, 1))
    moved = faces + np.float32(0.1)
    moved[1] = np.nan
    run = run_of(person, VIDEO, emotion_vector("sad", 1.0), moved, faces, moved, faces)
    assert run.change == pytest.approx(np.full((78, 3), 0.1), abs=1e-5)
    assert run.closures is not None and run.closures.frames == 7
    with pytest.raises(SpaceError, match=r"ada: no face found in 8 frames of sad:1 \(video\)"):
        run_of(person, VIDEO, emotion_vector("sad", 1.0), np.full_like(faces, np.nan), faces, None, None)


def test_closures_are_those_of_the_recording(person) -> None:
    faces = np.tile(person.portrait.normalised, (N_FRAMES, 1, 1))
    meant = faces.copy()
    meant[:, [65, 66, 67], 1] += (person.recorded_gap - lip_gap(faces))[:, None]
    same = run_of(person, LANDMARKS, NEUTRAL, meant, meant, meant, meant)
    assert same.closures is not None and same.closures.f1 == pytest.approx(1)
    wide = meant.copy()
    wide[:, [65, 66, 67], 1] += 0.2
    opened = run_of(person, LANDMARKS, emotion_vector("surprised", 1.0), wide, meant, wide, meant)
    assert opened.closures is not None and opened.closures.f1 == 0 and opened.lip_gap_r == pytest.approx(1)


def test_too_short_a_clip_is_refused(person, directions, models, tmp_path) -> None:
    with pytest.raises(SpaceError, match="30 frames of speech, 29 of gaps"):
        Person("ada", person.portrait, person.speech, person.recorded_gap[1:], person.speaking)
    settled = emotion_runs.frames_in(emotion_runs.SETTLED_S)
    short = Person("ada", person.portrait, person.speech.first(settled), person.recorded_gap[:settled], person.speaking[:settled])
    with pytest.raises(SpaceError, match=r"emotion ada: 15 frames of speech, need more than 15 \(emotion.speech_s"):
        measure_person(short, directions, True, PARAMS, models, tmp_path)


def test_the_close_up_is_around_the_face() -> None:
    box = close_up(np.array([[100, 50, 0], [200, 150, 9]], np.float32))
    assert box.side == round(100 * emotion_runs.CLOSE_UP)
    assert (box.x0 + box.side / 2, box.y0 + box.side / 2) == pytest.approx((150, 100), abs=1)


def test_the_second_judge_sees_the_same_frames_of_every_run(person, directions, models, tmp_path) -> None:
    looked: list[int] = []

    class Seer:
        def look(self, frames) -> np.ndarray | None:
            looked.append(len(frames))
            return np.full(7, frames[0].mean())

    settings = PARAMS.model_copy(update={"emotion": SETTINGS.model_copy(update={"mixtures": [], "intensities": [1.0]})})
    measured = measure_person(person, directions, True, settings, models, tmp_path, Seer())
    video = [run for run in measured.runs if run.medium in (VIDEO, ADDED_VIDEO)]
    assert len(video) == 1 + 8 + 8 and len(set(looked)) == 1 and looked[0] > 1
    calm = video[0].expressions
    assert calm is not None and (calm[0] == calm[1]).all(), "intensity 0 is what the others are compared with"
    assert all(run.expressions is not None and (run.expressions[0] == calm[0]).all() for run in video)
    assert any((run.expressions[1] != calm[0]).any() for run in video[1:])
    assert all(run.expressions is None for run in measured.runs if run.medium == LANDMARKS)
