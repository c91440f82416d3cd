"""The emotion stage: whose clips are used, what a unit depends on, and that of an unlabelled set nothing is measured."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_features import write_features

from evaluation.emotion_figures import read_report
from evaluation.emotion_response import LANDMARKS, RECORDED, Run, response
from evaluation.emotion_runs import Measured
from evaluation.ours import Models
from pipelines.layout import Layout
from pipelines.stages import emotion
from pipelines.stages.report import emotion_strips
from space_data.closures import Closures
from space_data.files import sha256_of
from space_data.media.encode import write_video
from space_data.media.images import write_image
from space_data.params import load_params
from space_data.schema import EMOTIONS, KEPT, UNKNOWN, FeatureClip, FeatureFrame, emotion_vector
from space_data.tables import write_sharded, write_table
from space_models.dataset import TrackClip

PARAMS = load_params()
N_FRAMES = 60


def clip(subject: str, label: str, intensity: float, split: str = "test", shift: float = 0.0, take: int = 1) -> TrackClip:
    """A face of its own per subject, all points moved to the right by ``shift``."""
    face = np.random.default_rng(sum(map(ord, subject))).normal(0, 1, (78, 3)).astype(np.float32)
    points = np.tile(face, (N_FRAMES, 1, 1))
    points[:, :, 0] += np.float32(shift)
    pose = np.tile(np.float32([0, 0, 0, 100, 0, 0, 0]), (N_FRAMES, 1))
    row = FeatureClip(
        f"set/{subject}/{label}/{take}", "video", "set", subject, "en", split, emotion_vector(label, intensity), N_FRAMES
    )
    marks = np.ones(N_FRAMES, bool)
    return TrackClip(row, points, pose, np.zeros((4 * N_FRAMES, 40), np.float32), ~marks, marks)


def features(layout: Layout, clips: list[TrackClip]) -> None:
    frames: dict[str, list[FeatureFrame]] = {}
    for one in clips:
        for i, points in enumerate(one.normalised):
            sound = np.zeros(160, np.float32), np.zeros(52, np.float32)
            row = FeatureFrame(one.clip_id, i, False, points.ravel(), one.pose[i], 0.3, 0.3, 0.0, 0.0, *sound, True)
            frames.setdefault(one.clip.split, []).append(row)
    for split, rows in frames.items():
        write_sharded(layout.feature_split(split), rows, FeatureFrame, 1)
    write_table(layout.feature_clips, [one.clip for one in clips], FeatureClip)


def directions_from(folder: Path, *clips: TrackClip) -> np.ndarray | None:
    layout = Layout.in_folder(folder)
    features(layout, list(clips))
    return emotion.directions_of(layout)


def test_directions_are_of_labelled_training_clips(tmp_path: Path) -> None:
    neutral, happy = clip("a", "neutral", 1.0, "train"), clip("a", "happy", 0.5, "train", shift=0.1)
    unlabelled, held_out = clip("b", UNKNOWN, 0.0, "train", shift=9.0), clip("c", "sad", 1.0, "test", shift=9.0)
    found = directions_from(tmp_path / "a", neutral, happy, unlabelled, held_out)
    assert found is not None and found[EMOTIONS.index("happy"), :, 0] == pytest.approx(np.full(78, 0.2), abs=1e-5)
    assert abs(found[EMOTIONS.index("sad")]).max() == 0
    assert directions_from(tmp_path / "b", neutral) is None, "nobody wears an emotion"
    assert directions_from(tmp_path / "c", unlabelled) is None, "unlabelled video is not neutral"


def test_recordings_are_set_against_the_persons_own_neutral_clip(tmp_path: Path) -> None:
    clips = [
        clip("a", "neutral", 1.0, take=2, shift=5.0), clip("a", "neutral", 1.0), clip("a", "happy", 0.5, shift=0.1),
        clip("b", "sad", 1.0),
    ]  # fmt: skip
    assert {s: c.clip.clip_id for s, c in emotion.neutral_clips(clips).items()} == {"a": "set/a/neutral/1"}
    runs = emotion.recorded_runs(clips, {})
    assert [(run.subject, run.label, run.intensity, run.medium) for run in runs] == [("a", "happy", 0.5, RECORDED)]
    trained = [replace(one, clip=replace(one.clip, split="train")) for one in clips[1:3]]
    direction = directions_from(tmp_path, *trained)
    assert direction is not None
    assert response(runs[0].change, direction[EMOTIONS.index("happy")]) == pytest.approx(0.5, abs=1e-4)


def test_the_portrait_is_a_calm_frame_that_looks_straight() -> None:
    one = clip("a", "neutral", 1.0)
    one.normalised[:30, 60:68, 1] += np.linspace(0.3, 0.1, 30, dtype=np.float32)[:, None] * np.float32([1, 1, 1, 1, 1, 2, 2, 2])
    one.pose[:, 0] = 15.0
    one.pose[[3, 33], 0] = 1.0, 2.0
    assert emotion.portrait_frame(one) == 33, "frame 3 looks straighter, but its mouth is open"


def test_a_unit_depends_on_what_it_reads(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": ("neutral", "happy"), "test": ("neutral",)}, rng)
    monkeypatch.setattr(Models, "content", lambda self, renderer: "weights")
    clips = emotion.Features.read_filmed(layout.feature_frames, layout.feature_clips, ["test"], 9).clips
    directions = np.zeros((9, 78, 3), np.float32)
    (unit,) = emotion.units_of(clips, directions, PARAMS, layout)
    assert unit.unit_id == "set/test/neutral" and unit.value.filmed and len(unit.value.recorded_gap) == N_FRAMES
    (other,) = emotion.units_of(clips, directions + 1, PARAMS, layout)
    settings = PARAMS.emotion.model_copy(update={"filmed_people": 0})
    (unfilmed,) = emotion.units_of(clips, directions, PARAMS.model_copy(update={"emotion": settings}), layout)
    (tmp_path / "fer.hdf5").write_bytes(b"a judge")
    (judged,) = emotion.units_of(clips, directions, PARAMS, layout, tmp_path / "fer.hdf5")
    assert not unfilmed.value.filmed and len({unit.content, other.content, unfilmed.content, judged.content}) == 4
    settled = emotion.frames_in(emotion.SETTLED_S)
    short = [replace(clips[0], normalised=clips[0].normalised[:settled])]
    assert emotion.units_of(short, directions, PARAMS, layout) == [], "too short to be measured"


def test_an_unlabelled_set_is_measured_as_nothing(tmp_path: Path, rng: np.random.Generator, caplog) -> None:
    layout = Layout.in_folder(tmp_path)
    write_features(layout, {"train": (UNKNOWN,), "test": (UNKNOWN,)}, rng)
    layout.emotion_strips.mkdir(parents=True)
    (layout.emotion_strips / "0-stale.jpg").write_text("of an earlier run")
    emotion.run(PARAMS, layout)
    assert "nothing is measured" in caplog.text
    assert read_report(layout.emotion_report) is None and json.loads(layout.emotion_metrics.read_text()) == {"people": 0}
    assert emotion_strips(layout.emotion_strips) == []


def test_measured_comes_back_from_its_files(tmp_path: Path, rng: np.random.Generator) -> None:
    change = rng.normal(size=(78, 3))
    runs = [
        Run("a", LANDMARKS, emotion_vector("sad", 1.0), change, Closures(1, 1, 2, 1, 9), Closures(), 0.5),
        Run("a", LANDMARKS, emotion_vector("sad", 0.5), change, expressions=rng.random((2, 7))),
    ]
    picture = rng.integers(0, 255, (8, 24, 3)).astype(np.uint8)
    emotion.write_measured(tmp_path, Measured(runs, True, {"sad": picture}))
    back = emotion.read_measured(tmp_path)
    assert back.same_as_neutral and (back.strips["sad"] == picture).all()
    for one, other in zip(runs, back.runs, strict=True):
        assert (one.change == other.change).all() and (one.mixture == other.mixture).all()
        assert np.array_equal(one.expressions, other.expressions) if one.expressions is not None else other.expressions is None
        assert (one.closures, one.closures_neutral, one.lip_gap_r) == (other.closures, other.closures_neutral, other.lip_gap_r)
    write_image(tmp_path / "0-sad.jpg", picture)
    assert [name for name, _ in emotion_strips(tmp_path)] == ["sad"]


def run_here(name, units, function, settings, params, layout) -> list[SimpleNamespace]:
    """Units in this process, where the judge is made up."""
    results = []
    for number, unit in enumerate(units):
        folder = layout.data.local() / str(number)
        folder.mkdir(parents=True)
        function(unit.value, settings, folder)
        results.append(SimpleNamespace(unit_id=unit.unit_id, status=KEPT, folder=folder))
    return results


class Seer:
    """A judge that sees the mean grey of the first frame."""

    def look(self, frames) -> np.ndarray | None:
        grey = next(iter(frames)).mean() / 255
        return np.full(7, grey) if grey > 0.1 else None


def test_the_second_judge_sees_recordings_and_their_neutral_ones_alone(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.in_folder(tmp_path)
    clips = [
        clip("a", "neutral", 1.0),
        clip("a", "happy", 0.5),
        clip("a", "sad", 0.5),
        clip("b", "sad", 1.0),
        clip("c", "neutral", 1.0),
    ]
    rows = []
    for one, grey in zip(clips, (100, 200, 0, 90, 80), strict=True):
        path = tmp_path / f"{one.subject}-{grey}.mp4"
        write_video(path, [np.full((64, 64, 3), grey, np.uint8)] * 10)
        rows.append(SimpleNamespace(clip_id=one.clip_id, video=str(path), video_sha256=sha256_of(path)))
    monkeypatch.setattr(emotion, "aligned_clips", lambda _: rows)
    monkeypatch.setattr(emotion.fer, "load", lambda _: Seer())
    monkeypatch.setattr(emotion, "run_units", run_here)
    (tmp_path / "fer.hdf5").write_bytes(b"a judge")
    seen = emotion.expressions_of(clips, tmp_path / "fer.hdf5", PARAMS, layout)
    assert set(seen) == {"set/a/neutral/1", "set/a/happy/1"}, "b has no neutral clip, c no other, and sad is too dark"
    assert seen["set/a/happy/1"] == pytest.approx(np.full(7, 200 / 255), abs=0.01)
    happy, sad = emotion.recorded_runs(clips, seen)
    assert happy.expressions is not None and happy.expressions[:, 0] == pytest.approx([100 / 255, 200 / 255], abs=0.01)
    assert sad.expressions is None
