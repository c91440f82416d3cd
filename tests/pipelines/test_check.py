"""`space data check`: what it finds in files, what it tells people and programs."""

import io
import json
import signal
from pathlib import Path

import pytest
from corpora import clip, sound, touch
from rich.console import Console

from pipelines.checking import check as module
from pipelines.checking import headers
from pipelines.checking.check import Report, Total, check, equal_contents, file_sizes, print_report, write_json
from pipelines.job.pool import Died
from pipelines.job.unit import EnvironmentFault
from pipelines.readers import READERS, Source, list_sources
from pipelines.readers.listing import ERROR, FINDINGS, Finding
from space_data.errors import SpaceError
from space_data.store import Place


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.path) for finding in report.findings]


def test_a_part_of_a_corpus_is_consistent(tmp_path: Path) -> None:
    clip(tmp_path / "Actor_01/01-01-06-02-01-02-01.mp4", sound_s=0.4)
    report = check("ravdess", Place.of(tmp_path))
    assert report.consistent and found(report) == [("missing", "Actor_01 speech")]
    actors, trials = report.totals[:2]
    assert (actors.what, actors.found, actors.published) == ("actors", 1, 24)
    assert (trials.what, trials.found, trials.published) == ("trials", 1, 2452)


def test_empty_equal_and_absent_files(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    (tmp_path / "c.mp4").write_bytes(b"")
    (tmp_path / "d.mp4").symlink_to(tmp_path / "nowhere.mp4")
    report = check("folder", Place.of(tmp_path))
    assert found(report) == [("duplicate", "b.mp4"), ("lost", "d.mp4"), ("empty", "c.mp4")]
    assert report.findings[0].detail.endswith("bytes as a.mp4") and not report.consistent
    assert ("duplicate", "b.mp4") not in found(check("folder", Place.of(tmp_path), look_at_contents=False))


def test_equal_contents_reads_whole_files_before_it_says_so(tmp_path: Path) -> None:
    body = bytes(100_000)
    for name, change in (("a", b""), ("b", b""), ("c", b"x")):  # c differs in its last byte only
        (tmp_path / name).write_bytes(body[: len(body) - len(change)] + change)
    findings = equal_contents(Place.of(tmp_path), {len(body): list("abc")})
    assert [(finding.path, finding.detail) for finding in findings] == [("b", "the same 100,000 bytes as a")]


def test_a_file_that_is_gone_before_it_is_read_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(bytes(10))

    def sha256(place: Place) -> str:
        if place.name == "b":
            raise FileNotFoundError(2, "No such file or directory")
        return "the same"

    monkeypatch.setattr(Place, "sha256", sha256)
    findings = equal_contents(Place.of(tmp_path), {10: list("abc")})
    assert [(finding.kind, finding.path) for finding in findings] == [("unreadable", "b"), ("duplicate", "c")]


def test_a_sound_file_shared_by_clips_is_one_file(tmp_path: Path) -> None:
    for view in ("front", "top"):
        clip(tmp_path / f"M003/video/{view}/sad/level_1/001.mp4")
    sound(tmp_path / "M003/audio/sad/level_1/001.m4a")
    empty, sizes = file_sizes(Place.of(tmp_path), list_sources("mead", tmp_path).sources)
    assert empty == [] and sum(map(len, sizes.values())) == 3


def test_probing_opens_every_file_each_in_a_process_of_its_own(tmp_path: Path) -> None:
    clip(tmp_path / "good.mp4", n_frames=25, sound_s=1.0)
    clip(tmp_path / "long_sound.mp4", n_frames=10, sound_s=2.0)
    clip(tmp_path / "mute.mp4", n_frames=25)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    report = check("folder", Place.of(tmp_path), look_into_headers=True)
    assert found(report) == [
        ("unreadable", "half.mp4"), ("unreadable", "text.mp4"), ("length_mismatch", "long_sound.mp4"), ("unmatched", "mute.mp4"),
    ]  # fmt: skip
    hours = {total.what: total.found for total in report.totals}["hours"]
    assert hours * 3600 == pytest.approx(1.0 + 0.4 + 1.0, abs=0.05)


def test_a_worker_killed_from_outside_says_nothing_of_the_file() -> None:
    source = Source("set/a", "a.mp4", "set", "set/a")
    with pytest.raises(EnvironmentFault, match=r"^a.mp4: the process that opened it was killed \(out of memory\?\)"):
        headers._probed(source, Died(-signal.SIGKILL, ""))
    (finding,) = headers._probed(source, Died(-signal.SIGSEGV, "")).findings
    assert (finding.kind, finding.detail) == ("unreadable", "the process that opened it died (exit code -11)")


def test_workers_that_cannot_start_say_nothing_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip(tmp_path / "a.mp4")
    monkeypatch.setattr(headers, "PROBE_MEMORY_GB", 0.001)
    with pytest.raises(EnvironmentFault, match="cannot be probed: worker process does not start"):
        check("folder", Place.of(tmp_path), look_into_headers=True)


def test_more_than_was_published_is_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.published("mead"), "actors", module.published("mead")["actors"].__class__(1, "a test"))
    report = check("mead", Place.of(touch(tmp_path, *(f"M00{i}/video/top/sad/level_1/001.mp4" for i in (1, 2)))))
    assert ("impossible", "actors") in found(report)
    assert next(f for f in report.findings if f.path == "actors").detail == "2 here, 1 published (a test)"


def test_labels_that_name_no_video_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "labels.csv").write_text("clip,emotion\na.mp4,happy\ngone.mp4,sad\n")
    assert found(check("folder", Place.of(tmp_path))) == [("lost", "gone.mp4")]


def test_the_default_corpus_is_checked_against_its_tables(tmp_path: Path) -> None:
    touch(tmp_path, "clips/h/1.mp4", "clips/h/1.json", "clips/h/3.mp4", "speech_only/v/1.wav", "speech_only/v/1.parquet")
    (tmp_path / "defects").mkdir()
    (tmp_path / "defects/empty.mp4").write_bytes(b"")
    rows = ("clips/h/1,h,happy,0.5,en,10,", "clips/h/2,h,happy,0.5,en,10,", "defects/empty,h,neutral,1,en,0,empty_file")
    (tmp_path / "manifest.csv").write_text("clip,subject,emotion,intensity,language,n_frames,defect\n" + "\n".join(rows) + "\n")
    (tmp_path / "speech_only.csv").write_text("clip\nspeech_only/v/1\nspeech_only/v/2\n")
    report = check("synthetic", Place.of(tmp_path))
    assert found(report) == [("misnamed", "clips/h/3.mp4"), ("lost", "clips/h/2.mp4"), ("lost", "speech_only/v/2.wav")]
    assert report.clips == 3 and report.files == 8  # the planted empty file is as it should be


def test_a_reader_that_loses_a_file_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = list_sources("folder", touch(tmp_path, "a.mp4", "b.txt"))
    listing.ignored.clear()
    monkeypatch.setattr(module, "list_sources", lambda reader, root: listing)
    with pytest.raises(SpaceError, match="1 files unaccounted for"):
        check("folder", Place.of(tmp_path))


def report_of(findings: list[Finding]) -> Report:
    totals = [Total("actors", 12, 24, "a page"), Total("takes", 5, None, ""), Total("trials", 2452, 2452, "a page")]
    return Report("ravdess", "/data/[x]", 9, 5, 1, {".txt": 3}, totals, findings)


def test_people_see_totals_and_few_examples(tmp_path: Path) -> None:
    findings = [Finding("duplicate", f"file{i}.mp4", "the same [bold]") for i in range(7)] + [Finding("missing", "Actor_03")]
    console = Console(width=120, record=True, file=io.StringIO())
    print_report(report_of(findings), 2, console)
    text = console.export_text()
    assert "a part, 50 %: fine" in text and "complete" in text and "/data/[x]" in text
    assert "file1.mp4: the same [bold]" in text and "file2.mp4" not in text and "and 5 more" in text
    assert "not consistent: 7 errors, 0 warnings, 1 notes" in text


def test_programs_get_everything(tmp_path: Path) -> None:
    write_json(report_of([Finding("missing", f"Actor_{i:02d}") for i in range(30)]), tmp_path / "report.json")
    facts = json.loads((tmp_path / "report.json").read_text())
    assert facts["consistent"] is True and len(facts["findings"]) == 30
    assert facts["findings"][0] == {"kind": "missing", "path": "Actor_00", "detail": "", "severity": "note"}
    assert facts["totals"][0] == {"what": "actors", "found": 12, "published": 24, "source": "a page"}


def test_kinds_of_findings_are_documented_and_used() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    assert all(f"`{kind}`" in page for kind in FINDINGS)
    assert all(f"`{reader}`" in page for reader in READERS)
    code = "".join(path.read_text() for path in (Path(__file__).parents[2] / "pipelines").rglob("*.py"))
    assert all(f'Finding("{kind}"' in code for kind in FINDINGS)
    assert {severity for severity, _ in FINDINGS.values()} == {ERROR, "warning", "note"}
