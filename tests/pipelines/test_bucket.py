"""What lies in a bucket: here a folder that Arrow is told is one. Stages on an S3 server: ``tests/pipelines/cluster``."""

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from pipelines.checking.check import check
from pipelines.checking.verify import damaged
from pipelines.job import lock
from pipelines.job.faults import check_inputs, environment_fault
from pipelines.job.lock import one_run_in
from pipelines.job.unit import EnvironmentFault
from pipelines.readers import list_sources
from pipelines.readers.voxceleb2 import annotated_frames
from space_data import store
from space_data.errors import SpaceError
from space_data.schema import Utterance
from space_data.store import COPIES, Place, below, forget_copies, local_file, located, written
from space_data.tables import has_table, read_table, write_sharded

UTTERANCE = "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4"
ANNOTATION = "Identity  : \tid00012\nReference : \t21Uxsk56VDQ\nOffset : \t-2\n\nFRAME \tX\n000001 \t0.1\n000002 \t0.1\n"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind ``s3://bucket``."""
    served = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(store, "_filesystem", lambda scheme, options, endpoint: served if scheme else fs.LocalFileSystem())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bucket").mkdir()
    yield tmp_path / "bucket"
    forget_copies()


def test_a_place_in_a_bucket_keeps_its_options(bucket: Path) -> None:
    place = Place.of("s3://bucket/a?endpoint_override=http://127.0.0.1:1")
    assert (place / "b.txt").uri == "s3://bucket/a/b.txt?endpoint_override=http://127.0.0.1:1"
    assert (place / "b.txt").parent == place and (place / "b.txt").name == "b.txt" and str(place) == "s3://bucket/a"
    with pytest.raises(SpaceError, match="need a local folder"):
        os.fspath(place)
    odd = Place.of("s3://bucket/a?region=x") / "what?/50%.mp4"
    assert (odd.path, odd.name, str(odd)) == ("bucket/a/what?/50%.mp4", "50%.mp4", "s3://bucket/a/what?/50%.mp4")
    assert odd.uri == "s3://bucket/a/what%3F/50%25.mp4?region=x" and odd.parent.name == "what?"
    assert below(odd.uri, Place.of("s3://bucket/a?region=x")) == "what?/50%.mp4"


def test_files_come_and_go(bucket: Path) -> None:
    place = Place.of("s3://bucket/deep/a.txt")
    assert not place.is_file() and place.parent.is_empty()
    (bucket / "deep").mkdir()
    place.put(b"12345")
    assert place.read() == b"12345" and place.read(2) == b"12" and place.size() == 5 and place.parent.is_folder()
    with place.open() as file:
        file.seek(3)
        assert file.read() == b"45"
    with written(place.parent / "b.txt") as part:
        part.write_text("b")
    assert [str(p) for p in Place.of("s3://bucket").files(".txt", below=True)] == [
        "s3://bucket/deep/a.txt",
        "s3://bucket/deep/b.txt",
    ]
    place.delete()
    place.delete()
    with pytest.raises(FileNotFoundError):
        place.size()


def test_what_the_store_does_not_give_is_the_environments(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(fs.LocalFileSystem):
        def open_input_stream(self, *_: object, **__: object) -> None:
            raise OSError("AWS Error NETWORK_CONNECTION: curl says no")  # as Arrow does: without a number

    monkeypatch.setattr(store, "_filesystem", lambda scheme, options, endpoint: Away())
    with pytest.raises(OSError, match="curl says no") as caught:
        Place.of("s3://bucket/a").read()
    assert caught.value.errno == errno.EREMOTEIO and environment_fault(caught.value) is not None


def test_a_corpus_is_listed_as_on_a_disk(bucket: Path, tmp_path: Path) -> None:
    for name in (UTTERANCE, ".hidden/x.mp4", "notes.doc"):
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(b"x")
    text = bucket / UTTERANCE.replace("mp4", "txt")
    text.parent.mkdir(parents=True)
    text.write_text(ANNOTATION)
    there, here = list_sources("voxceleb2", "s3://bucket"), list_sources("voxceleb2", bucket)
    assert there == here and there.sources[0].path == UTTERANCE and there.sources[0].annotated_offset_frames == 2
    checked = check("voxceleb2", Place.of("s3://bucket"))
    assert checked.findings == check("voxceleb2", Place.of(bucket)).findings and checked.clips == 1
    assert annotated_frames(Place.of("s3://bucket") / UTTERANCE) == 2
    (bucket / "labels.csv").write_text(f"clip,emotion\n{UTTERANCE},happy\n")
    assert [source.emotion for source in list_sources("folder", "s3://bucket").sources] == ["happy"]
    with pytest.raises(SpaceError, match="no such folder"):
        list_sources("folder", "s3://bucket/none")


def test_tables(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Place.of("s3://bucket/ingest/utterances")
    rows = [Utterance(f"u/{n}", f"{n}.wav", f"{n}.parquet", "u", "me", "happy", 1.0, "en") for n in range(5)]
    for part in ("ingest", "ingest/utterances"):
        (bucket / part).mkdir()
    write_sharded(folder, rows, Utterance, 2)
    assert has_table(folder) and read_table(folder, Utterance) == rows
    assert list(damaged(Place.of("s3://bucket"))) == []
    shard = min((bucket / "ingest" / "utterances").glob("*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    os.utime(shard, ns=(0, 0))
    assert ["have changed" in line for line in damaged(Place.of("s3://bucket"))] == [True]
    assert shard.stat().st_mtime_ns > 0, "the next run looks at what was put since its manifest"
    shard.write_bytes(content)

    def away(place: Place) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as store_away, pytest.raises(SpaceError, match="parquet: cannot be read .Input/output error"):
        store_away.setattr(Place, "sha256", away)
        list(damaged(Place.of("s3://bucket")))
    whole = located(rows[0], Place.of("s3://bucket/raw"), "audio")
    assert whole.audio == "s3://bucket/raw/0.wav" and below(whole.audio, Place.of("s3://bucket/raw")) == "0.wav"


def test_local_files_are_copies_and_few(bucket: Path, tmp_path: Path) -> None:
    for n in range(COPIES + 2):
        (bucket / f"{n}.mp4").write_bytes(b"%d" % n)
        file = local_file(f"s3://bucket/{n}.mp4")
        assert Path(file).read_bytes() == b"%d" % n and f"{file}" == f"{n}.mp4" and Path(file).suffix == ".mp4"
    assert len(list((tmp_path / "tmp").rglob("*.mp4"))) == COPIES
    last = Path(local_file(f"s3://bucket/{COPIES + 1}.mp4"))
    assert last == Path(file), "not fetched twice"
    forget_copies()
    assert not last.exists() and not list((tmp_path / "tmp").rglob("*.mp4"))


def test_inputs_are_checked_in_a_bucket_too(bucket: Path) -> None:
    (bucket / "a.mp4").write_bytes(b"a")
    good = Place.of("s3://bucket/a.mp4").sha256()
    check_inputs([("s3://bucket/a.mp4", good)])
    with pytest.raises(EnvironmentFault, match="no longer the file"):
        check_inputs([("s3://bucket/a.mp4", "0" * 64)])
    with pytest.raises(EnvironmentFault, match="it was there when it was ingested"):
        check_inputs([("s3://bucket/gone.mp4", good)])


def test_a_lease_refuses_a_second_run_and_outlives_no_dead_one(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLED_S", 0.0)
    cache = Place.of("s3://bucket/out/.cache")
    (bucket / "out" / ".cache").mkdir(parents=True)
    lease = bucket / "out" / ".cache" / lock.LOCK_FILE
    with one_run_in(cache), one_run_in(cache):
        assert json.loads(lease.read_text())["who"].startswith("host ")
    assert not lease.exists()
    lease.write_text(json.dumps({"id": "another", "who": "host far, process 7: space"}))
    with pytest.raises(SpaceError, match="s3://bucket/out: another run is at work there .host far, process 7"), one_run_in(cache):
        pass
    month_s = 30 * 86_400
    with monkeypatch.context() as clock, pytest.raises(SpaceError, match="another run"):
        clock.setattr(time, "time", lambda now_s=time.time(): now_s + month_s)  # that of this machine, which says nothing
        with one_run_in(cache):
            pass
    os.utime(lease, (time.time() - lock.STALE_S - 1,) * 2)
    with one_run_in(cache):
        assert "far" not in lease.read_text()
    assert sorted(file.name for file in lease.parent.iterdir()) == []


def test_a_run_that_slept_until_another_took_over_commits_nothing(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLED_S", 0.0)
    cache = Place.of("s3://bucket/out/.cache")
    (bucket / "out" / ".cache").mkdir(parents=True)
    lease = bucket / "out" / ".cache" / lock.LOCK_FILE
    with one_run_in(cache) as still_held:
        still_held()
        own = lease.read_text()
        os.utime(lease, (time.time() - lock.STALE_S - 1,) * 2)  # asleep, by the store's clock
        still_held()  # nobody came: it goes on
        another = json.dumps({"id": "another", "who": "host far, process 7: space"})
        lease.write_text(another)
        with pytest.raises(SpaceError, match=r"another run took over .host far, process 7: space.* commits nothing"):
            still_held()
        with one_run_in(cache) as inner, pytest.raises(SpaceError, match="took over"):
            inner()
        lease.unlink()
        with pytest.raises(SpaceError, match="another run took over .it has ended"):
            still_held()
        lease.write_text(another)
    assert lease.read_text() == another != own, "the other one's lease stays when the sleeper ends"


def test_a_sleeper_does_not_renew_over_another_run(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "SETTLED_S", 0.0)
    monkeypatch.setattr(lock, "RENEWED_S", 0.02)
    cache = Place.of("s3://bucket/out/.cache")
    (bucket / "out" / ".cache").mkdir(parents=True)
    lease = bucket / "out" / ".cache" / lock.LOCK_FILE
    with one_run_in(cache):
        another = json.dumps({"id": "another", "who": "host far, process 7: space"})
        for _ in range(50):  # a renewal may have been under way when the other one came: the other one sees that, and leaves
            lease.write_text(another)
            time.sleep(0.1)
            if "took over" in caplog.text:
                break
        assert lease.read_text() == another and "took over" in caplog.text


def test_a_stage_that_lost_its_lease_leaves_the_tables_as_they_were(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.job import run
    from pipelines.job.stage import Stage
    from pipelines.layout import Layout
    from space_data.params import load_params

    monkeypatch.setattr(lock, "SETTLED_S", 0.0)
    layout = Layout.in_folder(Place.of("s3://bucket/out"))
    lease = bucket / "out" / ".cache" / lock.LOCK_FILE
    manifest = bucket / "out" / "nothing" / "manifest.json"
    check = run._check

    def is_overtaken(*given: object) -> None:
        check(*given)  # type: ignore[arg-type]
        lease.write_text(json.dumps({"id": "another", "who": "host far"}))

    for folder in (".cache", "nothing/ledger", "stages"):
        (bucket / "out" / folder).mkdir(parents=True)
    stage = Stage("nothing", run.run_stage, {}, lambda context, part: ())
    run.run_stage(stage, load_params(), layout)
    before = manifest.read_bytes()
    manifest.write_bytes(before + b" ")
    with monkeypatch.context() as during, pytest.raises(SpaceError, match="another run took over .host far"):
        during.setattr(run, "_check", is_overtaken)
        run.run_stage(stage, load_params(), layout)
    assert manifest.read_bytes() == before + b" "
