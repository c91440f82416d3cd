"""Which clips are rendered, what each system gets, and that a result lands where its row says."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from evaluation.baselines.ridge import LipRidge
from evaluation.builtin import Resources
from evaluation.lists.choose import Candidate, candidate, choose
from evaluation.ours import Models
from evaluation.systems import Rendering, system_of, systems_in_use
from pipelines.job.run import Result
from pipelines.layout import Layout
from pipelines.stages import synthesize
from pipelines.stages.synthesize import (
    RenderUnit,
    assignment_of,
    chosen_clips,
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
from space_data.schema import FAILED, KEPT, UNKNOWN, AlignedClip, SynthesizedFrame
from space_data.tables import read_table, write_sharded
from space_data.timebase import frames_to_samples
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE, Card, save_model
from space_models.generators import GENERATORS

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = next(iter(GENERATORS))

SETTINGS = Synthesize(max_clips=4, max_frames=25, seed=1)


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
    return units_with(clips, dict.fromkeys((clip.clip_id for clip in clips), ""), models, settings)


@pytest.fixture
def models(tmp_path) -> Resources:
    """Files where models should be; their content is never read here."""
    for name in ("s2l", "posegen", f"l2l/{GENERATOR}", GENERATOR):
        save_model(tmp_path / "models" / name, nn.Linear(1, 1), Card(name, {}, "", "test"))
    LipRidge(np.zeros((440, 3))).save(tmp_path / "ridge.npz")
    return Resources(Models(tmp_path / "models", load_params(ROOT / "params.yaml")), tmp_path / "ridge.npz")


def one(subject: str, number: int, *strata: str) -> Candidate:
    return Candidate(f"set/{subject}/{number}", subject, strata)


def test_identities_take_turns():
    clips = [one("a", i, "happy") for i in range(5)] + [one("b", 0, "happy")]
    chosen = choose(clips, 3, 1)
    assert len(chosen) == 3 and "set/b/0" in chosen, "the one clip of b before the second and third of a"
    assert choose(clips[::-1], 3, 1) == chosen, "the order of the table does not matter"
    assert len(choose(clips, 99, 1)) == 6 and choose(clips, 0, 1) == []


def test_the_choice_is_no_matter_of_the_alphabet():
    clips = [one("a", i, "happy") for i in range(20)]
    first = [choose(clips, 1, seed)[0] for seed in range(12)]
    assert len(set(first)) > 6, "another seed chooses another clip"
    assert choose([*clips, one("b", 0, "sad")], 2, 3)[0] == choose(clips, 1, 3)[0], "and another identity changes nothing for a"


def test_strata_are_filled_evenly():
    moods = ("neutral", "happy", "sad", "angry")
    clips = [one(subject, i, moods[min(i // 5, 3)], "long" if i % 5 else "short") for subject in "abcdef" for i in range(20)]
    chosen = {clip.clip_id: clip for clip in clips if clip.clip_id in choose(clips, 12, 1)}
    assert Counter(c.subject for c in chosen.values()) == dict.fromkeys("abcdef", 2)
    assert Counter(c.strata[0] for c in chosen.values()) == dict.fromkeys(moods, 3)
    assert Counter(c.strata[1] for c in chosen.values()) == {"long": 6, "short": 6}, "though four of five clips are long"


def test_strata_of_a_clip():
    at = {n: candidate(clip("a", 1, n_frames=n), None).strata[2] for n in (74, 75, 125, 250)}
    assert at == {74: "0", 75: "1", 125: "3", 250: "4"}
    assert [candidate(clip("a", 1), yaw).strata[3] for yaw in (None, 0.0, 10.0, 45.0)] == ["?", "0", "1", "3"]
    assert candidate(clip("a", 1), None).strata[:2] == ("happy", "set")


def test_no_test_identity_is_an_error_that_names_the_key(tmp_path):
    layout = Layout.in_folder(tmp_path)
    write_sharded(layout.aligned_clips, [clip("a", 1, split="train")], AlignedClip, 1)
    with pytest.raises(SpaceError, match=r"data\.splits"):
        chosen_clips(SETTINGS, layout)


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


def test_results_are_placed_and_failures_become_rows(recorded, models, tmp_path):
    units = units_of(recorded[:1], models, SETTINGS)
    layout = Layout.in_folder(tmp_path)
    unit = next(u for u in units if u.value.system == "still")
    folder = tmp_path / "unit"
    folder.mkdir()
    (folder / synthesize.VIDEO_FILE).write_bytes(b"video")
    stems = {recorded[0].clip_id: "t/a"}
    kept = place_result(unit, Result(unit.unit_id, KEPT, folder=folder), layout, stems)
    assert kept.status == KEPT and (tmp_path / kept.video).read_bytes() == b"video" and kept.driving_audio == ""
    assert (kept.video, kept.reference, kept.audio) == ("synthesize/still/t/a.mp4", "a1.mp4", "a1.wav")
    alone = next(u for u in units if u.value.system == "mismatched_audio")
    failed = place_result(alone, Result(alone.unit_id, FAILED, "error", "the only test clip"), layout, stems)
    assert (failed.status, failed.video, failed.detail) == (FAILED, "", "the only test clip")


def test_a_missing_model_is_named(recorded, models):
    (models.models.folder / "posegen" / CARD_FILE).unlink()
    with pytest.raises(SpaceError, match=r"posegen.*dvc repro"):
        units_of(recorded, models, SETTINGS)
