"""The way of other people's videos: exported, made anywhere, taken in; what is broken is a row with its reason."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.external.card import Card
from evaluation.lists.clip_list import Chosen, Resolved, read_list
from evaluation.reasons import NotCanonical
from pipelines.benchmark.add import add, check_name, find_video, summary
from pipelines.benchmark.clips import synthesized_clips
from pipelines.benchmark.export import COLUMNS, PARTS, export
from pipelines.benchmark.listing import systems_in_words
from pipelines.cli import app
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.encode import write_video, write_wav
from space_data.media.images import read_image
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import AlignedClip, FeatureFrame, SynthesizedClip
from space_data.tables import write_sharded, write_table

N, SIDE = 30, 96
PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
SPEAKERS = [f"p{i}" for i in range(8)]


def picture(i: int) -> np.ndarray:
    rgb = np.full((SIDE, SIDE, 3), 70, np.uint8)
    rgb[:, 2 * i : 2 * i + 9] = 220
    return rgb


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    """A run with eight clips, as far as the benchmark looks at one."""
    root = tmp_path_factory.mktemp("run")
    found = Layout.in_folder(root / "data")
    (root / "data").mkdir()
    rng = np.random.default_rng(1)
    clips, frames = [], []
    for subject in SPEAKERS:
        video, audio = root / "data" / f"{subject}.mp4", root / "data" / f"{subject}.wav"
        write_video(video, [picture(i) for i in range(N)])
        write_wav(audio, (0.2 * rng.normal(size=640 * N)).astype(np.float32))
        clip_id = f"set/{subject}/1.a"
        clips.append(
            AlignedClip(
                clip_id=clip_id, source_clip_id=clip_id, dataset="set", subject=subject, emotion="happy", intensity=0.5,
                language="en", split="test", video=video.name, audio=audio.name, n_frames=N, size_px=SIDE, start_s=0.0,
                crop_x0_px=0.0, crop_y0_px=0.0, crop_side_px=96.0, applied_offset_frames=0.0, video_sha256=sha256_of(video),
                audio_sha256=sha256_of(audio),
            )
        )  # fmt: skip
        zeros = dict.fromkeys(("eye_opening_left", "eye_opening_right", "gaze_x", "gaze_y"), 0.0)
        for i in range(N):
            mel, mfcc = np.zeros(160, np.float32), np.zeros(52, np.float32)
            pose = np.array([i, 0, 0, 90, 48, 48, 0], np.float32)
            normalised = np.zeros(234, np.float32)
            frames.append(
                FeatureFrame(clip_id, i, False, normalised=normalised, pose=pose, log_mel=mel, mfcc=mfcc, speech=True, **zeros)
            )
    write_sharded(found.aligned_clips, clips, AlignedClip, 1)
    write_sharded(found.feature_frames, frames, FeatureFrame, 1)
    return found


@pytest.fixture(scope="module")
def listed(layout) -> Resolved:
    from pipelines.stages.align import aligned_clips

    return Resolved("set/v1", tuple(Chosen(clip, N - 5) for clip in aligned_clips(layout)))


@pytest.fixture(scope="module")
def exported(layout, listed, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    export(out, listed, layout)
    return out


def test_the_manifest_names_what_is_beside_it(exported, listed):
    with (exported / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and [row["clip_id"] for row in rows] == [one.clip.clip_id for one in listed.chosen]
    assert {(row["frames"], row["fps"]) for row in rows} == {(str(N - 5), "25")}
    for row in rows:
        assert all(sha256_of(exported / row[part]) == row[f"{part}_sha256"] for part in PARTS)
    first, clip = rows[0], listed.chosen[0].clip
    assert (read_image(exported / first["portrait"]) == next(decode_video(clip.video)).rgb).all()
    np.testing.assert_allclose(decode_audio(exported / first["sound"]), decode_audio(clip.audio)[: 640 * (N - 5)], atol=4e-5)
    assert len(list(decode_video(exported / first["video"]))) == N - 5
    pose = (exported / first["pose"]).read_text().splitlines()
    assert len(pose) == N - 5 + 1 and pose[4].startswith("3,3.0000,0.0000,0.0000,90.0000,48.0000")
    assert {one.clip_id for one in read_list(exported / "list.yaml").clips} == {row["clip_id"] for row in rows}


def test_an_export_that_fails_leaves_nothing(listed, layout, tmp_path, monkeypatch):
    """So that the same command can be given again."""
    written = []

    def full(path, *_: object) -> None:
        written.append(path)
        if len(written) > 1:
            raise SpaceError(f"{path}: cannot be written (No space left on device)")
        path.write_bytes(b"RIFF")

    monkeypatch.setattr("pipelines.benchmark.export.write_wav", full)
    with pytest.raises(SpaceError, match="No space left"):
        export(tmp_path / "out", listed, layout)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(exported, listed, layout):
    with pytest.raises(SpaceError, match="is there already"):
        export(exported, listed, layout)


@pytest.fixture(scope="module")
def added(layout, listed, exported, tmp_path_factory) -> list[SynthesizedClip]:
    """Eight clips: three good ones, and five that are not."""
    folder = tmp_path_factory.mktemp("theirs")
    for name in SPEAKERS:
        (folder / "set" / name).mkdir(parents=True)
        shutil.copyfile(exported / "set" / name / "1.a.recording.mp4", folder / "set" / name / "1.a.mp4")
    (folder / "set/p1/1.a.mp4").rename(folder / "set/p1/1.a.mov")
    (folder / "set/p3/1.a.mp4").unlink()
    (folder / "set/p4/1.a.mp4").write_text("Killed")
    shutil.copyfile(folder / "set/p5/1.a.mp4", folder / "set/p5/1.a.webm")
    (folder / "set/p6/1.a.mp4").unlink()
    (folder / "set/p6/1.a.mp4").symlink_to(exported / "set/p6/1.a.recording.mp4")
    write_video(folder / "set/p7/1.a.mp4", [picture(3)] * (N - 5))
    return add("theirs", folder, Card(title="Theirs"), listed, PARAMS, layout)


def test_a_broken_video_is_a_row_with_its_reason(added, layout):
    assert {row.subject: row.reason for row in added} == {
        "p0": "", "p1": "", "p2": "", "p3": "missing", "p4": "not_media", "p5": "ambiguous", "p6": "outside", "p7": "frozen",
    }  # fmt: skip
    for row in added:
        assert (row.status == "kept") == (not row.reason) == bool(row.video)
        assert not row.video or (layout.data.local() / row.video).is_file()
    assert summary(added).startswith("theirs: 3 of 8 clips of set/v1@")
    assert "  1 frozen, e.g. set/p7/1.a: no point changes" in summary(added)


def test_the_list_says_rendered_only_of_what_was(added, layout):
    def states() -> dict[str, str]:
        lines = list(systems_in_words(Path("checkouts"), PARAMS, layout))[1:]
        return {line.split()[0]: line.split(maxsplit=2)[2] for line in lines}

    layout.synthesized_clips.unlink(missing_ok=True)
    assert states()["ours_warp"].startswith("not rendered here (`dvc repro synthesize`")
    made, broken = [replace(row, system="ours_warp") for row in added if row.status == "kept"], replace(added[3], system="ridge")
    write_table(layout.synthesized_clips, [*made, broken], SynthesizedClip)
    found = states()
    assert found["ours_warp"] == f"rendered, {len(made)} clips" and found["ridge"] == found["still"]
    assert found["still"].startswith("not rendered here") and found["theirs"].startswith("added, ")


def test_added_rows_stand_beside_the_rendered_ones(added, layout, listed, caplog):
    mine = [replace(row, system="ours_warp") for row in added[:2]]
    write_table(layout.synthesized_clips, mine, SynthesizedClip)
    rows = synthesized_clips(layout)
    assert {row.system for row in rows} == {"ours_warp", "theirs"} and len(rows) == 2 + len(added)
    assert all(Path(row.video).is_file() and Path(row.reference).is_file() for row in rows if row.status == "kept")
    write_table(layout.synthesized_clips, [replace(row, test_list="set/v1@0") for row in mine], SynthesizedClip)
    assert {row.system for row in synthesized_clips(layout)} == {"ours_warp"}
    assert f"system theirs: rendered {listed.label}, not set/v1@0: left out" in caplog.text


@pytest.mark.parametrize("name", ["", "Wav2Lip", "a/b", "..", "ours_warp", "still"])
def test_names_are_checked(name):
    with pytest.raises(SpaceError, match="system"):
        check_name(name)


def test_a_clip_is_found_by_id_or_by_the_exported_name(tmp_path):
    (tmp_path / "a-s1.mkv").write_text("x")
    assert find_video(tmp_path, "a#1", "a-s1").name == "a-s1.mkv"
    (tmp_path / "b.1.MP4").write_text("x")
    (tmp_path / "b.1.txt").write_text("x")
    assert find_video(tmp_path, "b.1", "b.1").name == "b.1.MP4", "as cameras and Windows write it"
    (tmp_path / "a#1.mp4").write_text("x")
    with pytest.raises(NotCanonical, match=r"a#1\.mp4, a-s1\.mkv"):
        find_video(tmp_path, "a#1", "a-s1")


def test_no_folder_is_an_error(listed, layout, tmp_path):
    with pytest.raises(SpaceError, match="no such folder"):
        add("theirs2", tmp_path / "none", Card(title="x"), listed, PARAMS, layout)


def test_the_command_lists_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["benchmark", "list"])
    assert done.exit_code == 0, done.output
    assert "default/v1" in done.output and "no aligned clips (run `dvc repro align`)" in done.output
    assert "wav2lip" in done.output and "not installed: checkouts/Wav2Lip is missing" in done.output
    assert "control" in done.output and "ridge" in done.output
