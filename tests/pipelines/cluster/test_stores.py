"""What every store must do, on servers of S3 and of Google Cloud Storage: ``pytest -m cluster -n 0``; they need Python alone."""

import errno
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_servers import served

from pipelines.cluster.processes import free_ports
from pipelines.cluster.store import gs_options
from pipelines.job import lock
from pipelines.job.faults import environment_fault
from pipelines.job.lock import one_run_in
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.store import Place, written
from space_data.tables import _readable

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An empty bucket."""
    with served(request.param, tmp_path_factory.mktemp("store")) as bucket:
        yield bucket


def test_what_is_put_is_there_whole_and_replaced(store: Place, tmp_path: Path, rng) -> None:
    place = store / "put/deep/what? 50% ü.bin"
    assert not place.is_file() and not place.parent.is_folder()
    place.put(b"12345")
    assert (place.read(), place.read(2), place.size()) == (b"12345", b"12", 5)
    assert place.is_file() and place.parent.is_folder() and (store / "put").is_folder()
    with place.open() as file:
        file.seek(3)
        assert file.read() == b"45"
    (tmp_path / "large").write_bytes(rng.bytes(20 << 20))  # an upload of several parts
    place.put(tmp_path / "large")
    assert place.sha256() == sha256_of(tmp_path / "large")
    place.download(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()
    place.put(b"")
    assert place.read() == b"" and place.size() == 0
    with written(place.parent / "t.parquet") as part:
        pq.write_table(pa.table({"clip": ["a", "b"]}), part)
    assert pq.read_table(f"{place.parent.path}/t.parquet", filesystem=store.filesystem)["clip"].to_pylist() == ["a", "b"]


def test_an_upload_goes_on_to_its_end_after_ctrl_c(store: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(_: object) -> Iterator[bytes]:
        yield b"the first half, "
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        yield b"the second"

    (store / "manifest").put(b"the one before")
    monkeypatch.setattr("space_data.store._blocks", blocks)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            (store / "manifest").put(tmp_path / "large")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (store / "manifest").read() == b"the first half, the second", "not half of it, and not none"


def test_what_is_deleted_is_gone(store: Place) -> None:
    place = store / "deleted/a"
    place.put(b"a")
    place.delete()
    place.delete()  # already gone: fine
    assert not place.is_file() and place.parent.is_empty()
    for ask in (place.read, place.size, place.sha256):
        with pytest.raises(FileNotFoundError) as error:
            ask()
        assert error.value.errno == errno.ENOENT and error.value.filename == str(place)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_folder_knows_what_lies_in_it_however_deep(store: Place) -> None:
    root = store / "tree"
    names = ["1.mp4", "a/2.mp4", "a/b/c/d/3.mp4", "a/b/c/e/4.mp4", "a2/5.mp4", "z/6.txt"]
    for name in (*names, "a/.half"):
        (root / name).put(b"x")
    assert root.names(below=True) == sorted(names) and root.names() == ["1.mp4"]
    assert (root / "a").names(below=True) == ["2.mp4", "b/c/d/3.mp4", "b/c/e/4.mp4"]
    assert root.files(".mp4", below=True) == [root / name for name in sorted(names)[:-1]]
    assert not root.is_empty() and not (root / "a/b").is_empty(), "though no file lies right in it"
    assert (root / "none").is_empty() and (root / "none").names(below=True) == [] and (root / "none").names() == []
    assert not Place(store.uri.replace("://bucket", "://no-such-bucket")).is_folder()


def test_the_stores_clock_tells_the_age_of_a_lease(store: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = store / "run/.cache"
    with one_run_in(cache) as still_held:
        still_held()
        assert json.loads((cache / lock.LOCK_FILE).read())["who"].startswith("host ")
    assert cache.is_empty()
    (cache / lock.LOCK_FILE).put(json.dumps({"id": "another", "who": "host far, process 7: space"}).encode())
    with monkeypatch.context() as clock, pytest.raises(SpaceError, match="another run is at work there .host far, process 7"):
        clock.setattr(time, "time", lambda: 0.0)  # that of this machine, which says nothing
        with one_run_in(cache):
            pass
    monkeypatch.setattr(lock, "STALE_S", 1.0)
    time.sleep(2.1)  # S3 counts in seconds
    with one_run_in(cache) as still_held:
        (cache / lock.LOCK_FILE).put(json.dumps({"id": "another", "who": "host far"}).encode())
        with pytest.raises(SpaceError, match="another run took over .host far"):
            still_held()


def test_a_store_that_is_away_is_the_environments_fault(store: Place) -> None:
    (port,) = free_ports(1)
    scheme = store.uri.partition("://")[0]
    options = f"{gs_options(port)}&retry_time_limit=1" if scheme == "gs" else f"?endpoint_override=http://127.0.0.1:{port}"
    with pytest.raises(OSError) as error:
        Place.of(f"{scheme}://bucket/a{options}").read()
    assert environment_fault(error.value) is not None and error.value.filename == f"{scheme}://bucket/a"
    assert "error_info" not in str(error.value)
    there = store / "away.parquet"
    pq.write_table(pa.table({"clip": ["a"]}), there.path, filesystem=store.filesystem)
    gone = Place.of(f"{scheme}://bucket/away.parquet{options}")  # the network goes once it is known to be there
    with pytest.raises(SpaceError) as table:
        _readable(there, lambda _: pq.read_table(gone.path, filesystem=gone.filesystem))
    fault = environment_fault(table.value)
    assert fault is not None and "error_info" not in str(fault)
