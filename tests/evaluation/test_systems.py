"""The frame of every system: same size, same length, or an error that says so."""

import numpy as np
import pytest

from evaluation.baselines.ground_truth import GroundTruth
from evaluation.baselines.shuffled_audio import ShuffledAudio
from evaluation.baselines.still import Still
from evaluation.systems import ENTRIES, SYSTEM_NAMES, Assignment, Rendering, at_size, exactly, first_frame
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.timebase import frames_to_samples


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


def test_shuffled_audio_hears_the_other_clip(assignment):
    shuffled = next(ShuffledAudio(Echo()).render(assignment).frames)
    assert shuffled[0, 0, 0] == int(assignment.other_speech[0] * 1000) % 256
    assert shuffled[0, 0, 0] != next(Echo().render(assignment).frames)[0, 0, 0]


def test_shuffled_audio_needs_a_second_clip(assignment):
    from dataclasses import replace

    with pytest.raises(SpaceError, match="second one"):
        ShuffledAudio(Echo()).render(replace(assignment, other_speech=None))


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


def test_names_are_unique():
    assert len(set(SYSTEM_NAMES)) == len(ENTRIES)
    assert {GroundTruth.name, Still.name, ShuffledAudio.name} <= set(SYSTEM_NAMES)
