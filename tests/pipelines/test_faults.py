"""The fault drill on two small stages: whatever goes wrong, no clip is blamed, and the next run ends with the bytes of an
undisturbed one.

``benchmarks/faults.py`` does the same to ``space data curate`` on real clips, with a disk that is really full.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fault_stages
import pytest

from benchmarks.faults import ENDS_WITHIN_S, Content, blamed, content_of, half_done, left_over, processes_of
from pipelines.checking import verify
from pipelines.job import faults
from space_data.errors import SpaceError
from space_data.params import Params, load_params
from space_data.store import Place

REPOSITORY = Path(__file__).resolve().parents[2]
IMPATIENT = {"workers": 2, "keep_every_s": 0, "patience_s": 0.0}
BY_KEY = [f"job.{key}={value}" for key, value in IMPATIENT.items()]
BAD = {("shouted", "3")}
"""What an undisturbed run blames: that file is empty."""


def with_job(**changes: object) -> Params:
    params = load_params(REPOSITORY / "params.yaml")
    return params.model_copy(update={"job": params.job.model_copy(update=IMPATIENT | changes)})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """A folder with raw files and the output of an undisturbed run; and what is in that output."""
    root = tmp_path_factory.mktemp("drill")
    fault_stages.run_both(fault_stages.raw_files(root), root / "whole", with_job())
    content = content_of(root / "whole")
    assert blamed(root / "whole") == BAD and len(content) == 2 * (1 + 2 * fault_stages.SHARDS)
    return root, content


class Drill:
    """One disturbed output folder."""

    def __init__(self, root: Path, whole: Content) -> None:
        self.root, self.raw, self.control, self.out, self._whole = root, root / "raw", root / "control", root / "out", whole

    def run(self, **job: object) -> None:
        fault_stages.run_both(self.raw, self.out, with_job(**job))

    def is_stopped(self, told: str, **job: object) -> None:
        """It stops with one line, and blames nobody."""
        before = content_of(self.out)
        with pytest.raises(SpaceError, match=told) as error:
            self.run(**job)
        assert "while running" not in str(error.value)
        assert blamed(self.out) <= BAD and not half_done(self.out)
        shouted = {name: content for name, content in content_of(self.out).items() if name.startswith("shouted")}
        committed = {name: content for name, content in before.items() if name.startswith("shouted")}
        assert committed.items() <= shouted.items()  # shards that no manifest names may lie beside them until the next run

    def ends_well(self) -> None:
        """The next run ends with the bytes of an undisturbed one, and with nothing of the disturbed one lying about."""
        self.run()
        assert content_of(self.out) == self._whole
        assert not left_over(self.out)

    def start(self) -> "subprocess.Popen[str]":
        """The command itself, in a process of its own."""
        command = [sys.executable, "-m", "fault_stages", "data", "curate", str(self.raw), "--out", str(self.out), "-q"]
        folders = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
        changes = [word for key in BY_KEY for word in ("--set", key)]
        return subprocess.Popen(command + changes, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def wait_for_calls(self, number: int) -> None:
        """Wait until so many units of ``shouted`` have begun."""
        deadline_s = time.monotonic() + 60
        while len((self.control / "calls").read_text().split()) < number:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


@pytest.fixture
def drill(undisturbed: tuple[Path, Content]) -> Iterator[Drill]:
    """A drill without earlier runs."""
    root, whole = undisturbed
    yield Drill(root, whole)
    shutil.rmtree(root / "out", ignore_errors=True)
    for file in (root / "control").iterdir():
        file.unlink()


@pytest.fixture
def after_a_run(drill: Drill) -> Drill:
    """A drill whose output folder holds an undisturbed run."""
    shutil.copytree(drill.root / "whole", drill.out)
    return drill


def packs(drill: Drill) -> list[Path]:
    return sorted((drill.out / ".cache").rglob("*.pack"))


def lose_results(drill: Drill) -> None:
    """Have ``shouted`` compute everything again."""
    for pack in (drill.out / ".cache" / "shouted").rglob("*.pack"):
        pack.unlink()


def truncated(content: bytes) -> bytes:
    return content[:-30]


def flipped(content: bytes) -> bytes:
    at = len(content) // 3
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("damaged", [truncated, flipped, lambda content: b""])
def test_kept_packs_are_damaged(after_a_run: Drill, damaged: Callable[[bytes], bytes]) -> None:
    for pack in packs(after_a_run):
        pack.write_bytes(damaged(pack.read_bytes()))
    shutil.rmtree(after_a_run.out / "shouted" / "lines")  # what is there already is not read from its packs again
    after_a_run.ends_well()


def truncate(file: Path) -> None:
    file.write_bytes(truncated(file.read_bytes()))


def flip(file: Path) -> None:
    file.write_bytes(flipped(file.read_bytes()))


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip])
@pytest.mark.parametrize("table", ["listed/clips", "listed/ledger", "shouted/lines", "shouted/ledger"])
def test_a_shard_of_a_table_is_damaged(after_a_run: Drill, table: str, damage: Callable[[Path], None]) -> None:
    for shard in (after_a_run.out / table).glob("*.parquet"):
        damage(shard)
    after_a_run.ends_well()


def flip_without_a_trace(drill: Drill) -> Path:
    """As a disk does it."""
    shard = min((drill.out / "listed" / "clips").glob("*.parquet"))
    written = shard.stat()
    flip(shard)
    os.utime(shard, ns=(written.st_atime_ns, written.st_mtime_ns))
    return shard


def test_a_shard_changes_without_a_trace_before_it_is_used(after_a_run: Drill) -> None:
    lose_results(after_a_run)
    flip_without_a_trace(after_a_run)
    with pytest.raises(SpaceError, match="its bytes have changed since it was written"):
        after_a_run.run()
    assert blamed(after_a_run.out) == BAD
    after_a_run.ends_well()


def test_a_shard_changes_without_a_trace_and_is_found_by_verifying(after_a_run: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "STAGES", [stage.name for stage in fault_stages.STAGES])
    assert not list(verify.damaged(Place.of(after_a_run.out)))
    shard = flip_without_a_trace(after_a_run)
    after_a_run.run()
    assert list(verify.damaged(Place.of(after_a_run.out))) == [f"{shard}: its bytes have changed since it was written"]
    after_a_run.ends_well()
    shard.unlink()
    assert list(verify.damaged(Place.of(after_a_run.out))) == [f"{shard}: is gone"]


def test_a_disk_that_keeps_other_bytes_than_it_was_given_is_found_by_verifying(
    drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Place.put

    def put_other(place: Place, content: bytes | Path) -> None:
        put(place, flipped(Path(content).read_bytes()) if "lines/" in place.uri else content)

    monkeypatch.setattr(Place, "put", put_other)
    drill.run()
    monkeypatch.undo()
    monkeypatch.setattr(verify, "STAGES", [stage.name for stage in fault_stages.STAGES])
    assert len(list(verify.damaged(Place.of(drill.out)))) == fault_stages.SHARDS
    drill.ends_well()


@pytest.mark.parametrize("stage", ["listed", "shouted"])
def test_a_manifest_is_deleted(after_a_run: Drill, stage: str) -> None:
    (after_a_run.out / stage / "manifest.json").unlink()
    after_a_run.ends_well()


def test_the_clock_is_a_month_ahead(after_a_run: Drill) -> None:
    before = packs(after_a_run)
    for pack in before:
        os.utime(pack, (time.time() - 32 * 86_400,) * 2)
    after_a_run.ends_well()
    assert packs(after_a_run) == before, "what a run uses is not evicted by it"


def test_the_raw_folder_is_away(drill: Drill) -> None:
    fault_stages.run_stage(fault_stages.STAGES[0], _with_raw(drill.raw), fault_stages.Layout.in_folder(drill.out))
    elsewhere = drill.raw.rename(drill.root / "elsewhere")
    try:
        with pytest.raises(SpaceError, match="shouted: stopped on .*No such file or directory"):
            fault_stages.run_stage(fault_stages.STAGES[1], _with_raw(drill.raw), fault_stages.Layout.in_folder(drill.out))
        drill.is_stopped("No such file or directory")
    finally:
        elsewhere.rename(drill.raw)
    drill.ends_well()


def _with_raw(raw: Path) -> Params:
    params = with_job(shards=fault_stages.SHARDS)
    return params.model_copy(update={"data": params.data.model_copy(update={"raw": str(raw)})})


def test_the_raw_folder_is_away_and_comes_back(drill: Drill) -> None:
    (drill.control / "calls").touch()
    (drill.control / "held").touch()
    run = drill.start()
    drill.wait_for_calls(1)
    elsewhere = drill.raw.rename(drill.root / "elsewhere")
    (drill.control / "held").unlink()
    error = run.communicate(timeout=60)[1]
    elsewhere.rename(drill.raw)
    assert run.returncode == 2 and "stopped on" in error and "Traceback" not in error, error
    assert blamed(drill.out) <= BAD and not half_done(drill.out)
    drill.ends_well()


@pytest.mark.parametrize("what", [".pack", "lines/", "manifest.json", "plans/", ""])
def test_the_disk_is_full(drill: Drill, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Place.put

    def no_put(place: Place, content: bytes | Path) -> None:
        if what in place.uri:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place.uri)
        put(place, content)

    monkeypatch.setattr(Place, "put", no_put)
    drill.is_stopped("stopped.* No space left on device")
    monkeypatch.undo()
    drill.ends_well()


def test_the_disk_is_full_for_a_while(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    put, refused = Place.put, dict.fromkeys((".pack", "lines/", "ledger/", "manifest.json", "plans/", "reports/"), 1)

    def no_put(place: Place, content: bytes | Path) -> None:
        for what in refused:
            if what in place.uri and refused[what]:
                refused[what] -= 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place.uri)
        put(place, content)

    monkeypatch.setattr(Place, "put", no_put)
    monkeypatch.setattr(faults, "BACK_OFF_S", (0.1,) * 5)
    drill.run(patience_s=5.0)
    assert not any(refused.values())
    drill.ends_well()


def _ended(drill: Drill, run: "subprocess.Popen[str]") -> str:
    """What it said; nothing of it is alive some seconds later."""
    error = run.communicate(timeout=60)[1]
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while processes_of(run.pid) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert not processes_of(run.pid)
    assert blamed(drill.out) <= BAD and not half_done(drill.out)
    return error


@pytest.mark.parametrize("calls", [1, 4])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.usefixtures("heard_ctrl_c")
def test_the_driver_is_ended(drill: Drill, number: int, status: int, calls: int) -> None:
    (drill.control / "calls").touch()
    (drill.control / "slow").write_text("0.5")
    run = drill.start()
    drill.wait_for_calls(calls)
    run.send_signal(number)
    error = _ended(drill, run)
    assert run.returncode == status and "Traceback" not in error, error
    (drill.control / "slow").unlink()
    drill.ends_well()


def test_a_second_run_is_refused_by_name_of_the_first(drill: Drill) -> None:
    (drill.control / "calls").touch()
    (drill.control / "held").touch()  # the first one lasts, however long the second takes to start
    first = drill.start()
    drill.wait_for_calls(1)
    second = drill.start()
    error = second.communicate(timeout=60)[1]
    (drill.control / "held").unlink()
    assert second.returncode == 2 and "another run is at work there" in error and f"process {first.pid}" in error
    assert first.wait(timeout=60) == 0
    drill.ends_well()


@pytest.mark.parametrize(("memory_gb", "told"), [(2.0, "out of memory"), (0.01, "worker process does not start")])
def test_a_worker_is_out_of_memory(after_a_run: Drill, memory_gb: float, told: str) -> None:
    lose_results(after_a_run)
    (after_a_run.control / "hungry").touch()
    after_a_run.is_stopped(told, memory_gb=memory_gb)
    (after_a_run.control / "hungry").unlink()
    after_a_run.ends_well()


def test_every_unit_fails(after_a_run: Drill) -> None:
    lose_results(after_a_run)
    (after_a_run.control / "broken").touch()
    for _ in range(2):
        after_a_run.is_stopped("6 of 6 units failed, more than job.max_failed_share allows .*ZeroDivisionError")
    (after_a_run.control / "broken").unlink()
    after_a_run.ends_well()
