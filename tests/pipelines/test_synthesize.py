"""Which clips are rendered, what each system gets, and that a result lands where its row says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from evaluation.baselines.ridge import LipRidge
from evaluation.builtin import Resources
from evaluation.canonical import Canonical
from evaluation.lists.clip_list import Chosen, Resolved
from evaluation.ours import Models
from evaluation.systems import Rendering, system_of, systems_in_use
from evaluation.verdict import Verdict
from pipelines.benchmark.choice import clips_to_score
from pipelines.job.run import Result
from pipelines.layout import Layout
from pipelines.stages import synthesize
from pipelines.stages.synthesize import (
    RenderUnit,
    assignment_of,
    looped,
    mismatched_clip,
    place_result,
    render_one,
)
from pipelines.stages.synthesize import units_of as units_with
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_video, write_wav
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Synthesize, load_params
from space_data.schema import FAILED, KEPT, UNKNOWN, AlignedClip, SynthesizedClip, SynthesizedFrame
from space_data.tables import read_table, write_sharded
from space_data.timebase import frames_to_samples
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE, Card, save_model
from space_models.generators import GENERATORS

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = next(iter(GENERATORS))

SETTINGS = Synthesize(test_list="auto", max_clips=4, max_frames=25, seed=1)


def clip(subject: str, number: int, split: str = "test", n_frames: int = 40, folder: Path = Path(".")) -> AlignedClip:
    return AlignedClip(
        clip_id=f"set/{subject}/{number}", source_clip_id=f"set/{subject}/{number}", dataset="set", subject=subject,
        emotion="happy", intensity=0.5, language="en", split=split, video=str(folder / f"{subject}{number}.mp4"),
        audio=str(folder / f"{subject}{number}.wav"), n_frames=n_frames, size_px=64, start_s=0.0, crop_x0_px=0.0,
        crop_y0_px=0.0, crop_side_px=64.0, applied_offset_frames=0.0,
    )  # fmt: skip


@pytest.fixture
def recorded(tmp_path, rng) -> list[AlignedClip]:
    clips = [clip("a", 1, folder=tmp_path), clip("b", 1, folder=tmp_path)]
    for one in clips:
        frames = rng.integers(0, 255, (one.n_frames, 8, 8, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        sound = rng.uniform(-0.5, 0.5, frames_to_samples(one.n_frames)).astype(np.float32)
        write_video(one.video, frames)
        write_wav(one.audio, sound)
    return [hashed(one) for one in clips]


def hashed(aligned: AlignedClip) -> AlignedClip:
    """The row that ``align`` writes of the files as they are now."""
    return replace(aligned, video_sha256=sha256_of(aligned.video), audio_sha256=sha256_of(aligned.audio))


def units_of(clips, models, settings):
    chosen = tuple(Chosen(clip, min(clip.n_frames, settings.max_frames)) for clip in clips)
    return units_with(Resolved("set/v1", chosen), dict.fromkeys((clip.clip_id for clip in clips), ""), models)


@pytest.fixture
def models(tmp_path) -> Resources:
    """Files where models should be; their content is never read here."""
    for name in ("s2l", "posegen", f"l2l/{GENERATOR}", GENERATOR):
        save_model(tmp_path / "models" / name, nn.Linear(1, 1), Card(name, {}, "", "test"))
    LipRidge(np.zeros((440, 3))).save(tmp_path / "ridge.npz")
    return Resources(Models(tmp_path / "models", load_params(ROOT / "params.yaml")), tmp_path / "ridge.npz")


def test_no_test_identity_is_an_error_that_names_the_key(tmp_path):
    layout = Layout.in_folder(tmp_path)
    write_sharded(layout.aligned_clips, [clip("a", 1, split="train")], AlignedClip, 1)
    with pytest.raises(SpaceError, match=r"data\.splits"):
        clips_to_score("auto", SETTINGS, layout)


def test_mismatched_audio_is_another_statement_of_another_speaker():
    clips = [clip("a", 0), clip("a", 1), clip("b", 0), clip("b", 1)]
    a0, a1, b0, b1 = (c.clip_id for c in clips)
    assert mismatched_clip(clips[0], clips, {a0: "kids", a1: "dogs", b0: "kids", b1: "dogs"}) == clips[3]
    assert mismatched_clip(clips[0], clips, {a0: "kids", a1: "dogs", b0: "kids", b1: "kids"}) == clips[1], "better the own voice"
    assert mismatched_clip(clips[0], clips, dict.fromkeys((a0, a1, b0, b1), "kids")) is None
    unknown = dict.fromkeys((a0, a1, b0, b1), "")
    assert mismatched_clip(clips[0], clips, unknown) == clips[2] and mismatched_clip(clips[3], clips, unknown) == clips[0]


def test_where_all_say_the_same_it_is_said_backwards(recorded, models):
    backwards = assignment_of(RenderUnit("mismatched_audio", recorded[0], None, 25, models), 1)
    assert (backwards.mismatched_speech == backwards.speech[::-1]).all()
    other = assignment_of(RenderUnit("mismatched_audio", recorded[0], recorded[1].audio, 25, models), 1)
    np.testing.assert_array_equal(other.mismatched_speech, decode_audio(recorded[1].audio)[: len(other.speech)])


def test_short_speech_is_looped_not_padded():
    short = np.arange(1, 641, dtype=np.float32)
    long = looped(short, 3)
    assert len(long) == frames_to_samples(3) and (long[640:1280] == short).all()
    with pytest.raises(SpaceError, match="no sound"):
        looped(np.zeros(0, np.float32), 3)


def test_every_system_gets_every_clip_capped(recorded, models):
    units = units_of(recorded, models, SETTINGS)
    assert {u.unit_id for u in units} == {f"{s}/{c.clip_id}" for s in systems_in_use(models.models.params) for c in recorded}
    assert {u.value.n_frames for u in units} == {25}
    heard = {u.value.system for u in units if u.value.mismatched_audio}
    assert heard == {"mismatched_audio"}


def test_content_follows_what_a_system_reads(recorded, models):
    before = {u.unit_id: u.content for u in units_of(recorded, models, SETTINGS)}
    (models.models.folder / "l2l" / GENERATOR / WEIGHTS_FILE).write_text("trained again")
    retrained = {u.unit_id: u.content for u in units_of(recorded, models, SETTINGS)}
    assert {u.split("/")[0] for u in before if before[u] != retrained[u]} == {system_of(GENERATOR)}
    before = retrained
    Path(recorded[1].audio).write_bytes(Path(recorded[0].audio).read_bytes())
    recorded[1] = hashed(recorded[1])
    new_sound = {u.unit_id: u.content for u in units_of(recorded, models, SETTINGS)}
    changed = {u for u in before if before[u] != new_sound[u]}
    assert "mismatched_audio/set/a/1" in changed and "ours_warp/set/a/1" not in changed


def test_what_a_unit_reads_is_checked_against_what_align_wrote(recorded, models):
    inputs = {u.unit_id: dict(u.inputs) for u in units_of(recorded, models, SETTINGS)}
    one, other = recorded
    own = {one.video: one.video_sha256, one.audio: one.audio_sha256}
    assert inputs["ours_warp/set/a/1"] == own
    assert inputs["mismatched_audio/set/a/1"] == own | {other.audio: other.audio_sha256}


def test_an_unlabelled_clip_is_assigned_no_emotion(recorded, models):
    unlabelled = replace(recorded[0], emotion=UNKNOWN, intensity=0.0)
    known, unknown = (assignment_of(RenderUnit("still", c, None, 25, models), 1).emotion for c in (recorded[0], unlabelled))
    assert known.sum() == 0.5 and np.isnan(unknown).all()
    before, after = ({u.content for u in units_of([c], models, SETTINGS)} for c in (recorded[0], unlabelled))
    assert not before & after, "a new label is rendered anew"


@pytest.mark.parametrize("system", ["ground_truth", "still"])
def test_sanity_systems_render_to_files(recorded, models, tmp_path, system):
    unit = RenderUnit(system, recorded[0], None, 25, models)
    (tmp_path / "out").mkdir()
    render_one(unit, SETTINGS, tmp_path / "out")
    frames = list(decode_video(tmp_path / "out" / synthesize.VIDEO_FILE))
    assert len(frames) == 25 and frames[0].rgb.shape == (64, 64, 3)
    truth = next(decode_video(recorded[0].video)).rgb
    assert np.abs(frames[0].rgb.astype(int) - truth).mean() < 8
    moves = np.abs(frames[-1].rgb.astype(int) - frames[0].rgb).mean()
    assert moves > 20 if system == "ground_truth" else moves < 3
    sound, recording = decode_audio(tmp_path / "out" / synthesize.VIDEO_FILE), decode_audio(recorded[0].audio)
    n = frames_to_samples(24)
    assert np.corrcoef(sound[:n], recording[:n])[0, 1] > 0.5, "the identical sound is in the file, at the same time"
    assert json.loads((tmp_path / "out" / synthesize.TIMING_FILE).read_text())["seconds"] > 0


def test_tracks_of_a_system_that_has_them_are_kept(recorded, models, tmp_path, monkeypatch, rng):
    from space_data.features import canonical_pose

    points = rng.normal(size=(25, 78, 3)).astype(np.float32)

    class Fake:
        name = "ours_warp"

        def render(self, assignment):
            return Rendering(iter([assignment.portrait] * assignment.n_frames), points, canonical_pose(25, 64))

    monkeypatch.setattr(synthesize, "system_named", lambda *_: Fake())
    (tmp_path / "out").mkdir()
    render_one(RenderUnit("ours_warp", recorded[0], None, 25, models), SETTINGS, tmp_path / "out")
    rows = read_table(tmp_path / "out" / synthesize.TRACK_FILE, SynthesizedFrame)
    np.testing.assert_array_equal(np.stack([r.normalised for r in rows]).reshape(25, 78, 3), points)


def placed(recorded, models, tmp_path, system: str, canonical: str, **outcome) -> SynthesizedClip:
    unit = next(u for u in units_of(recorded[:1], models, SETTINGS) if u.value.system == system)
    folder = tmp_path / "unit"
    folder.mkdir(exist_ok=True)
    for name in (synthesize.VIDEO_FILE, synthesize.CANONICAL_FILE):
        (folder / name).write_bytes(name.encode())
    found = Canonical(folder / canonical, 256, 256, 25.0, 25, "same", 0) if canonical else None
    Verdict(outcome.pop("why", ""), "", found).save(folder / synthesize.VERDICT_FILE)
    result = Result(unit.unit_id, **({"status": KEPT, "folder": folder} | outcome))
    return place_result(unit, result, Layout.in_folder(tmp_path), {recorded[0].clip_id: "t/a"}, "set/v1@abc")


def test_a_canonical_video_is_placed_once(recorded, models, tmp_path):
    kept = placed(recorded, models, tmp_path, "still", synthesize.VIDEO_FILE)
    assert kept.status == KEPT and (tmp_path / kept.video).read_bytes() == b"video.mp4" and kept.driving_audio == ""
    assert (kept.video, kept.reference, kept.audio) == ("synthesize/still/t/a.mp4", "a1.mp4", "a1.wav")
    assert (kept.native_video, kept.native_width_px, kept.own_sound, kept.test_list) == (kept.video, 256, "same", "set/v1@abc")


def test_another_video_is_placed_beside_the_one_that_is_scored(recorded, models, tmp_path):
    kept = placed(recorded, models, tmp_path, "still", synthesize.CANONICAL_FILE)
    assert (tmp_path / kept.video).read_bytes() == b"canonical.mkv"
    assert (tmp_path / kept.native_video).read_bytes() == b"video.mp4"


def test_what_cannot_be_scored_is_a_row_with_its_reason(recorded, models, tmp_path):
    refused = placed(recorded, models, tmp_path, "mismatched_audio", "", why="frozen")
    assert (refused.status, refused.video, refused.reason) == (FAILED, "", "frozen")
    gone = {"status": FAILED, "folder": None}
    crashed = placed(recorded, models, tmp_path, "still", "", reason="worker_died", detail="signal 11", **gone)
    assert (crashed.status, crashed.reason, crashed.detail) == (FAILED, "crashed", "signal 11")
    failed = placed(recorded, models, tmp_path, "still", "", reason="exception", detail="no luck", **gone)
    assert (failed.reason, failed.detail) == ("system_failed", "no luck")


def test_the_own_videos_are_canonical_as_they_are(recorded, models, tmp_path):
    """What `animate` would write is what is scored; other sizes are made the recording's, in the open."""
    (tmp_path / "out").mkdir()
    render_one(RenderUnit("ground_truth", recorded[0], None, 25, models), SETTINGS, tmp_path / "out")
    found = Verdict.load(tmp_path / "out" / synthesize.VERDICT_FILE).canonical
    assert found is not None and found.path.name == synthesize.VIDEO_FILE and found.own_sound == "same"
    (tmp_path / "small").mkdir()
    larger = replace(recorded[0], size_px=128)
    render_one(RenderUnit("ground_truth", larger, None, 25, models), SETTINGS, tmp_path / "small")
    resized = Verdict.load(tmp_path / "small" / synthesize.VERDICT_FILE).canonical
    assert resized.path.name == synthesize.CANONICAL_FILE and resized.native_width_px == 64
    assert {frame.rgb.shape for frame in decode_video(resized.path)} == {(128, 128, 3)}


def test_a_missing_model_is_named(recorded, models):
    (models.models.folder / "posegen" / CARD_FILE).unlink()
    with pytest.raises(SpaceError, match=r"posegen.*dvc repro"):
        units_of(recorded, models, SETTINGS)
