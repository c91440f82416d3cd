"""Ingest: names of what cannot be read, splits by subject."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from corpora import clip, sound
from tiny_clips import folder_params

from pipelines.job.unit import EnvironmentFault, Rejected
from pipelines.layout import Layout
from pipelines.readers import Source
from pipelines.stages import ingest
from pipelines.stages.ingest import FACTS_FILE, Found, _unit, clip_row, looks_like_text, probe_file, split_of, with_audio_track
from space_data.files import sha256_of
from space_data.media.images import write_image
from space_data.schema import Clip, LedgerRow
from space_data.store import Place
from space_data.tables import read_table


def source_of(path: Path, audio: Path | None = None, part_s=(0.0, None), crop_px=(0, 0, 0, 0), crop_height_px: int = 0) -> Source:
    """A clip of the corpus in the folder that ``path`` and ``audio`` lie in."""
    return Source(
        "set/clip", path.name, "set", "somebody", audio=audio.name if audio else "", part_s=part_s, part_crop_px=crop_px,
        part_crop_height_px=crop_height_px,
    )  # fmt: skip


def facts_of(source: Source, folder: Path) -> dict:
    """The facts as they come back from the unit's folder, which is the corpus' here."""
    probe_file(Found(source, Place.of(folder)), None, folder)
    return json.loads((folder / FACTS_FILE).read_text())


def reason_of(source: Source, folder: Path) -> tuple[str, str]:
    with pytest.raises(Rejected) as rejection:
        probe_file(Found(source, Place.of(folder)), None, folder)
    return rejection.value.reason, rejection.value.detail


@pytest.mark.parametrize(
    ("head", "is_text"),
    [
        (b"plain words\n", True), ("müßig".encode(), True), (b"\0\0\0 ftypisom", False), (b"RIFF\xff\xfe", False),
        *[(("a" * i + "я" * 5000).encode()[:4096], True) for i in (0, 1)], (("a" + "語" * 5000).encode()[:4096], True),
    ],
)  # fmt: skip
def test_text_is_told_from_broken_media(head: bytes, is_text: bool) -> None:
    assert looks_like_text(head) is is_text


def test_a_file_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    link = tmp_path / "gone.mp4"
    link.symlink_to(tmp_path / "nowhere.mp4")
    reason, detail = reason_of(source_of(link), tmp_path)
    assert reason == "unreadable" and "No such file" in detail


def test_what_the_disk_does_not_give_is_no_fault_of_the_clip(tmp_path: Path) -> None:
    """A file that was listed and is gone; one whose reading ends in an error of the disk, as that of a process' memory does."""
    video = clip(tmp_path / "a.mp4")
    (tmp_path / "broken.mp4").symlink_to("/proc/self/mem")
    for source in (source_of(tmp_path / "gone.mp4"), source_of(video, tmp_path / "gone.m4a"), source_of(tmp_path / "broken.mp4")):
        with pytest.raises(EnvironmentFault, match=f"{source.files[-1]}: (No such file|Input/output error)"):
            probe_file(Found(source, Place.of(tmp_path)), None, tmp_path)


def test_a_unit_goes_by_its_files_not_by_its_labels() -> None:
    source, states, raw = source_of(Path("a.mp4")), [(1, 2, 3)], Place.of("set")
    unit = _unit(source, states, raw)
    assert unit.value == Found(source, raw) and unit.unit_id == source.clip_id
    assert _unit(replace(source, emotion="sad", subject="other", split="test"), states, raw).content == unit.content
    assert _unit(source, states, Place.of("elsewhere")).content == unit.content
    for other, state in ((source, (1, 2, 4)), (replace(source, audio_track=1), states[0]), (source_of(Path("b")), states[0])):
        assert _unit(other, [state], raw).content != unit.content


def test_splits_depend_on_the_subject_only_and_meet_their_shares() -> None:
    shares = {"train": 0.6, "val": 0.2}
    splits = {f"s{i}": split_of(f"s{i}", shares) for i in range(3000)}
    assert splits["s7"] == split_of("s7", shares)
    counts = Counter(splits.values())
    assert abs(counts["train"] - 1800) < 100 and abs(counts["val"] - 600) < 80 and abs(counts["test"] - 600) < 80
    assert split_of("s1", {"train": 0.0, "val": 0.0}) == "test"


def test_sound_of_its_own_file_gives_the_facts_and_enters_the_hash(tmp_path: Path) -> None:
    video, audio = clip(tmp_path / "a.mp4", sound_s=0.4), sound(tmp_path / "a.wav")
    alone, both = facts_of(source_of(video), tmp_path), facts_of(source_of(video, audio), tmp_path)
    assert (alone["audio_codec"], both["audio_codec"]) == ("aac", "pcm_s16le")
    assert both["audio_hz"] == 16_000 and both["duration_s"] == alone["duration_s"] and both["video_codec"] == "h264"
    assert alone["sha256"] == sha256_of(video) != both["sha256"]
    sound(tmp_path / "b.wav").replace(audio)
    assert facts_of(source_of(video, audio), tmp_path)["sha256"] != both["sha256"]


def test_what_is_wrong_with_the_sound_file_is_named(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mp4")
    (tmp_path / "empty.m4a").write_bytes(b"")
    (tmp_path / "text.m4a").write_text("words\n" * 20)
    clip(tmp_path / "mute.mp4")
    (tmp_path / "none.m4a").symlink_to(tmp_path / "nowhere.m4a")
    reasons = {"empty.m4a": "empty_file", "text.m4a": "not_media", "none.m4a": "unreadable", "mute.mp4": "no_audio"}
    for name, reason in reasons.items():
        found, detail = reason_of(source_of(video, tmp_path / name), tmp_path)
        assert found == reason and name in detail
    assert reason_of(source_of(sound(tmp_path / "s.m4a")), tmp_path)[0] == "no_video"


def test_a_part_has_its_own_length_frames_and_hash(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mp4", n_frames=75)  # 3 s
    whole = facts_of(source_of(video), tmp_path)
    part = facts_of(source_of(video, part_s=(1.0, 2.0)), tmp_path)
    assert (part["duration_s"], part["header_frames"], part["part_end_s"]) == (1.0, 25, 2.0)
    other = facts_of(source_of(video, part_s=(0.0, 2.0)), tmp_path)
    assert len({whole["sha256"], part["sha256"], other["sha256"]}) == 3
    # stamps are whole seconds: up to one second beyond the end is the end
    last = facts_of(source_of(video, part_s=(1.0, 4.0)), tmp_path)
    assert (last["part_end_s"], last["duration_s"], last["header_frames"]) == (pytest.approx(3.0), pytest.approx(2.0), 50)


def test_a_part_beyond_the_file_is_truncated(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mp4", n_frames=25)
    with pytest.raises(Rejected) as rejection:
        facts_of(source_of(video, part_s=(0.0, 2.5)), tmp_path)
    assert (rejection.value.reason, rejection.value.value, rejection.value.threshold) == ("truncated", 1.0, 2.5)
    assert reason_of(source_of(video, part_s=(1.5, 1.9)), tmp_path)[0] == "truncated"


def test_a_crop_is_scaled_to_the_file_and_must_lie_in_it(tmp_path: Path) -> None:
    video = clip(tmp_path / "a.mp4", side_px=64)
    assert facts_of(source_of(video, crop_px=(8, 0, 40, 32)), tmp_path)["part_crop_px"] == [8, 0, 40, 32]
    assert facts_of(source_of(video, crop_px=(8, 0, 40, 32), crop_height_px=128), tmp_path)["part_crop_px"] == [4, 0, 20, 16]
    reason, detail = reason_of(source_of(video, crop_px=(8, 0, 80, 32)), tmp_path)
    assert reason == "error" and "crop 8,0 to 80,32 leaves the picture of 64x64" in detail


def test_the_row_holds_both_files_and_the_settled_part(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4", n_frames=50)
    sound(tmp_path / "a.m4a")
    source = Source("hdtf/a_0", "a.mp4", "hdtf", "hdtf/a", audio="a.m4a", part_s=(0.0, 3.0), part_crop_px=(0, 0, 16, 16),
                    annotated_offset_frames=-2.0, statement="s", recording="r")  # fmt: skip
    row = clip_row(source, facts_of(source, tmp_path), {"train": 1.0, "val": 0.0})
    assert (row.path, row.audio_path, row.part_start_s, row.part_end_s) == ("a.mp4", "a.m4a", 0.0, pytest.approx(2.0))
    assert list(row.part_crop_px) == [0, 0, 16, 16] and row.part_crop_px.dtype == np.float32
    assert (row.annotated_offset_frames, row.statement, row.recording, row.audio_codec) == (-2.0, "s", "r", "aac")


def test_what_names_other_files_and_what_is_a_picture_is_no_media(tmp_path: Path) -> None:
    """Whatever it is called; and what a script names is never opened."""
    clip(tmp_path / "elsewhere.mp4")
    (tmp_path / "script.mp4").write_text("ffconcat version 1.0\nfile elsewhere.mp4\n")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nelsewhere.mp4\n#EXT-X-ENDLIST\n")
    write_image(tmp_path / "picture.png", np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "picture.png").rename(tmp_path / "picture.mp4")
    for name in ("script", "list", "picture"):
        assert reason_of(source_of(tmp_path / f"{name}.mp4"), tmp_path)[0] == "not_media"


def test_a_track_that_is_not_there_is_no_audio(tmp_path: Path) -> None:
    source = replace(source_of(clip(tmp_path / "a.mp4", sound_s=0.4)), audio_track=1)
    assert reason_of(source, tmp_path) == ("no_audio", "a.mp4: no audio track 1, need one of 0 to 0")


def test_one_track_for_all_but_those_whose_labels_choose() -> None:
    sources = [Source("a", "a.mp4", "s", "a"), Source("b", "b.mp4", "s", "b", audio_track=0)]
    assert [with_audio_track(source, 2).audio_track for source in sources] == [2, 0]
    assert [with_audio_track(source, None).audio_track for source in sources] == [None, 0]


def run_ingest(root: Path, out: Path, verify: bool = False) -> tuple[dict[str, str], int]:
    """Hashes by clip, and how many clips this run looked at."""
    params = folder_params(root)
    params = params.model_copy(update={"data": params.data.model_copy(update={"verify": verify})})
    layout = Layout.in_folder(out)
    ingest.run(params, layout)
    clips = read_table(layout.clips, Clip)
    assert len(clips) <= len(read_table(layout.ledger("ingest"), LedgerRow))
    return {clip.clip_id: clip.sha256 for clip in clips}, json.loads(layout.timing("ingest").read())["computed"]


@pytest.mark.parametrize("verify", [False, True])
def test_new_changed_touched_and_removed_files_are_noticed(tmp_path: Path, verify: bool) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    for name in ("a", "b"):
        clip(root / f"{name}.mp4")
    first, computed = run_ingest(root, out, verify)
    assert computed == 2
    assert run_ingest(root, out, verify) == (first, 0)
    os.utime(root / "a.mp4")  # touched: looked at again, found to be the same; by content: not even looked at
    assert run_ingest(root, out, verify) == (first, 0 if verify else 1)
    # changed, with the size and the date of before
    state = (root / "b.mp4").stat()
    content = bytearray((root / "b.mp4").read_bytes())
    content[content.index(b"mdat") + 400] ^= 1
    (root / "b.mp4").write_bytes(content)
    os.utime(root / "b.mp4", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (root / "b.mp4").stat().st_size == state.st_size and (root / "b.mp4").stat().st_mtime_ns == state.st_mtime_ns
    changed, computed = run_ingest(root, out, verify)
    assert computed == 1 and changed["set/b"] != first["set/b"] and changed["set/a"] == first["set/a"]
    (root / "a.mp4").unlink()
    clip(root / "c.mp4")
    grown, computed = run_ingest(root, out, verify)
    assert computed == 1 and set(grown) == {"set/b", "set/c"} and grown["set/b"] == changed["set/b"]


def test_a_shard_is_told_of_its_own_files_only(tmp_path: Path) -> None:
    """Else what the workers are told would grow with clips times shards."""
    root = tmp_path / "set"
    for number in range(6):
        clip(root / f"{number}.mp4")
    run_ingest(root, tmp_path / "out", verify=True)
    told = [file.read_text() for file in (tmp_path / "out/.cache/ingest").rglob("listing.json")]
    assert len(told) > 1 and all(sum(text.count(sha256_of(root / f"{n}.mp4")) for text in told) == 1 for n in range(6))


def test_tables_do_not_say_where_or_when_a_corpus_was_copied(tmp_path: Path) -> None:
    """Nor those of rejected clips, whose details name files."""
    first, second = tmp_path / "set", tmp_path / "elsewhere" / "far" / "set"
    clip(first / "sub/good.mp4", sound_s=0.4)
    clip(first / "half.mp4")
    (first / "half.mp4").write_bytes((first / "half.mp4").read_bytes()[:-900])
    (first / "empty.mp4").write_bytes(b"")
    (first / "text.mp4").write_text("words\n" * 20)
    (first / "gone.mp4").symlink_to("nowhere.mp4")
    sound(first / "sound_only.m4a").rename(first / "sound_only.mp4")
    shutil.copytree(first, second, symlinks=True, copy_function=shutil.copyfile)
    for path in second.rglob("*.mp4"):
        os.utime(path, (1, 1), follow_symlinks=False)
    tables = []
    for root, out in ((first, tmp_path / "out"), (second, tmp_path / "elsewhere" / "out")):
        run_ingest(root, out)
        tables.append({path.relative_to(out): path.read_bytes() for path in (out / "ingest").rglob("*") if path.is_file()})
    assert tables[0] == tables[1]
    ledger = {row.clip_id: row for row in read_table(Layout.in_folder(tmp_path / "out").ledger("ingest"), LedgerRow)}
    assert {name: row.reason for name, row in ledger.items()} == {
        "set/sub/good": "", "set/half": "unreadable", "set/empty": "empty_file", "set/text": "not_media",
        "set/gone": "unreadable", "set/sound_only": "no_video",
    }  # fmt: skip
    assert ledger["set/sub/good"].content == sha256_of(first / "sub/good.mp4")
