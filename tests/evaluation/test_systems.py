"""The frame of every system: same size, same length, or an error that says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.baselines.driven_by import DrivenBy, mismatched, shifted
from evaluation.baselines.ground_truth import GroundTruth
from evaluation.baselines.mean_motion import MeanMotion
from evaluation.baselines.ridge import POINTS, LipRidge, Ridge, fit
from evaluation.baselines.still import Still
from evaluation.builtin import Resources, content_of, system_named
from evaluation.ours import Models
from evaluation.systems import (
    CONTROLS,
    ENTRIES,
    OURS,
    SHIFT_FRAMES,
    SYSTEM_NAMES,
    Assignment,
    Rendering,
    at_size,
    exactly,
    find_entry,
    first_frame,
)
from space_data.avsync import mel_context
from space_data.errors import SpaceError
from space_data.features import face_track
from space_data.media.encode import write_video
from space_data.params import load_params
from space_data.timebase import frames_to_samples
from space_models.portrait import load_portrait

ROOT = Path(__file__).resolve().parents[2]
PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture
def assignment(tmp_path, rng) -> Assignment:
    frames = [np.full((64, 64, 3), 20 * i, np.uint8) for i in range(8)]
    write_video(tmp_path / "recording.mp4", frames)
    speech, other = rng.normal(0, 0.1, (2, frames_to_samples(5))).astype(np.float32)
    return Assignment("set/a/1", frames[0], speech, np.zeros(9, np.float32), 5, 1, other, tmp_path / "recording.mp4")


class Echo:
    """A system that shows what it heard."""

    name = "echo"

    def render(self, assignment: Assignment) -> Rendering:
        level = int(assignment.speech[0] * 1000) % 256
        return Rendering(iter([np.full((8, 8, 3), level, np.uint8)] * assignment.n_frames))


def test_ground_truth_is_the_recordings_first_frames(assignment):
    frames = list(GroundTruth().render(assignment).frames)
    assert [round(float(f.mean()) / 20) for f in frames] == [0, 1, 2, 3, 4]


def test_still_is_the_portrait(assignment):
    frames = list(Still().render(assignment).frames)
    assert len(frames) == 5 and all((f == assignment.portrait).all() for f in frames)


def test_mismatched_audio_hears_something_else(assignment):
    heard = next(DrivenBy("mismatched_audio", Echo(), mismatched).render(assignment).frames)
    assert heard[0, 0, 0] == int(assignment.mismatched_speech[0] * 1000) % 256
    assert heard[0, 0, 0] != next(Echo().render(assignment).frames)[0, 0, 0]


def test_shifted_audio_hears_late_and_no_longer(assignment):
    speech = np.arange(1, frames_to_samples(8) + 1, dtype=np.float32)
    late, delay = shifted(replace(assignment, speech=speech)), frames_to_samples(SHIFT_FRAMES)
    assert len(late) == len(speech) and not late[:delay].any() and (late[delay:] == speech[: len(speech) - delay]).all()
    assert not shifted(replace(assignment, speech=speech[:100])).any(), "a clip shorter than the shift is silent"


@pytest.fixture(scope="module")
def face(astronaut):
    return load_portrait(astronaut)


@pytest.fixture
def talking(face, tmp_path, rng) -> Assignment:
    """A portrait whose "recording" is the same face, half of the time 20 px further to the right."""
    moved = np.roll(face.rgb, 20, axis=1)
    write_video(tmp_path / "recording.mp4", [face.rgb, face.rgb, moved, moved], crf=12)
    speech = rng.normal(0, 0.1, frames_to_samples(4)).astype(np.float32)
    return Assignment("set/a/1", face.rgb, speech, np.zeros(9, np.float32), 4, 1, speech, tmp_path / "recording.mp4")


def test_mean_motion_stands_where_the_recording_is_on_average(talking, face):
    rendering = MeanMotion(Models(Path("none"), PARAMS)).render(talking)
    frames = list(rendering.frames)
    assert len(frames) == 4 and all((frame == frames[0]).all() for frame in frames), "it does not move"
    shift = face_track(iter(frames)).pose.translation[:, 0] - face.pose.translation[:, 0]
    assert shift == pytest.approx(10, abs=2), "half of the time at 0, half at 20 px"


def test_ridge_recovers_a_linear_mouth():
    """Lips that are a linear function of the sound are found; what the sound does not say is not made up."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1e-3, (440, len(POINTS) * 3))

    def clip(n: int) -> tuple[np.ndarray, np.ndarray]:
        mel = rng.normal(0, 3, (n, 40)).astype(np.float32)
        lips = np.zeros((n, 78, 3), np.float32)
        lips[:, POINTS] = (mel_context(mel) @ truth).reshape(n, -1, 3) + 0.5
        return lips, mel

    fitted = fit(clip(200) for _ in range(40))
    lips, mel = clip(100)
    predicted = fitted.lips(mel, lips[0])
    error = np.abs(predicted - lips)[:, POINTS].mean() / np.abs(lips - lips[:1])[:, POINTS].mean()
    assert error < 0.2
    others = np.setdiff1d(np.arange(78), POINTS)
    assert (predicted[:, others] == lips[0, others]).all() and (predicted[0] == lips[0]).all()


def test_ridge_without_training_clips_is_an_error():
    with pytest.raises(SpaceError, match=r"data\.splits"):
        fit([])


def test_ridge_moves_the_lips_alone(talking, face, tmp_path, rng):
    LipRidge(rng.normal(0, 2e-4, (440, len(POINTS) * 3))).save(tmp_path / "ridge.npz")
    resources = Resources(Models(Path("none"), PARAMS), tmp_path / "ridge.npz")
    rendering = system_named("ridge", resources).render(talking)
    assert isinstance(system_named("ridge", resources), Ridge)
    assert np.ptp(rendering.pose.as_array(), axis=0).max() == 0 and np.ptp(rendering.normalised[:, POINTS], axis=0).max() > 0
    assert len(list(rendering.frames)) == 4


def test_sizes_are_made_equal():
    frames = list(
        at_size(iter([np.zeros((32, 32, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), np.zeros((96, 96, 3), np.uint8)]), 64)
    )
    assert {f.shape for f in frames} == {(64, 64, 3)}
    with pytest.raises(SpaceError, match="square"):
        list(at_size(iter([np.zeros((32, 48, 3), np.uint8)]), 64))


@pytest.mark.parametrize(("given", "message"), [(4, "4 frames, need 5"), (0, "0 frames"), (7, "more than 5")])
def test_another_number_of_frames_is_an_error(given, message):
    with pytest.raises(SpaceError, match=message):
        list(exactly(iter([np.zeros((2, 2, 3), np.uint8)] * given), 5))
    assert len(list(exactly(iter([np.zeros((2, 2, 3), np.uint8)] * 5), 5))) == 5


def test_first_frame(assignment):
    assert first_frame(assignment.recording).mean() == pytest.approx(0, abs=3)


def test_names_are_unique_and_unknown_ones_are_named():
    assert len(set(SYSTEM_NAMES)) == len(ENTRIES) and {find_entry(name).name for name in SYSTEM_NAMES} == set(SYSTEM_NAMES)
    with pytest.raises(SpaceError, match="system 'wav2lop': need one of ours_"):
        find_entry("wav2lop")


def test_controls_are_no_contestants():
    assert [entry.name for entry in ENTRIES if not entry.is_control] == list(OURS)
    assert {entry.name for entry in CONTROLS} == {
        "ground_truth", "still", "mean_motion", "mismatched_audio", "shifted_audio", "ridge",
    }  # fmt: skip


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_every_name_has_its_system(name, tmp_path, monkeypatch):
    LipRidge(np.zeros((440, 3))).save(tmp_path / "ridge.npz")
    resources = Resources(Models(tmp_path, PARAMS), tmp_path / "ridge.npz")
    assert system_named(name, resources).name == name
    with pytest.raises(SpaceError, match="need one of"):
        system_named(f"{name}2", resources)
    monkeypatch.setattr(Models, "content", lambda self, renderer: f"models of {renderer}")
    assert content_of(name, resources)


def test_the_ridge_is_part_of_its_systems_content(tmp_path):
    resources = Resources(Models(tmp_path, PARAMS), tmp_path / "ridge.npz")
    LipRidge(np.zeros((440, 3))).save(resources.ridge)
    before = {name: content_of(name, resources) for name in ("ridge", "still", "mean_motion")}
    LipRidge(np.ones((440, 3))).save(resources.ridge)
    assert {name for name in before if content_of(name, resources) != before[name]} == {"ridge"}
