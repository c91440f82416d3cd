"""Units through Beam, processes and cache; the ledger's conservation law."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from job_units import act

from pipelines.job import graph
from pipelines.job.clock import stage_clock
from pipelines.job.ledger import all_kept, ledger_rows, write_ledger
from pipelines.job.lock import LOCK_FILE, one_run_in
from pipelines.job.packs import outcomes_in, write_pack
from pipelines.job.run import run_units
from pipelines.job.serve import Work, serve
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import EnvironmentFault, FunctionName, Outcome, Rejected, Unit, content_hash, plain
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.params import Params, load_params
from space_data.schema import FAILED, KEPT, REJECTED, LedgerRow
from space_data.store import Place
from space_data.tables import read_table, table_files, to_arrow

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = load_params(REPOSITORY / "params.yaml")


def with_job(**changes: object) -> Params:
    """The configuration with other settings of the job: two processes, no breaker, nothing waited for."""
    calm = {"workers": 2, "timeout_s": 20, "keep_every_s": 0, "max_failed_share": 1.0, "patience_s": 0.0}
    return PARAMS.model_copy(update={"job": PARAMS.job.model_copy(update=calm | changes)})


def units(*values: str) -> list[Unit]:
    return [Unit(f"clip/{value}", content_hash(value), value) for value in values]


def calls_of(settings: dict[str, str]) -> list[str]:
    return sorted(Path(settings["calls"]).read_text().split())


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return {"calls": str(tmp_path / "calls.txt")}


def test_every_fate_of_a_unit_and_the_cache(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    job = with_job(timeout_s=2.0, timeout_per_cost=0.1)
    values = ("good", "bug", "crash", "hang", "reject", "user-error", "fine")
    outcomes = run_units("test", units(*values), act, settings, job, layout)

    by_id = {outcome.unit_id: outcome for outcome in outcomes}
    assert [outcome.unit_id for outcome in outcomes] == sorted(f"clip/{value}" for value in values)
    fates = {unit_id: (outcome.status, outcome.reason) for unit_id, outcome in by_id.items()}
    assert fates == {
        "clip/good": (KEPT, ""),
        "clip/fine": (KEPT, ""),
        "clip/reject": (REJECTED, "too_short"),
        "clip/user-error": (FAILED, "error"),
        "clip/bug": (FAILED, "exception"),
        "clip/crash": (FAILED, "worker_died"),
        "clip/hang": (FAILED, "timed_out"),
    }
    assert (by_id["clip/reject"].value, by_id["clip/reject"].threshold) == (0.2, 2.0)
    assert "ZeroDivisionError: a defect of ours" in by_id["clip/bug"].detail
    assert "-11" in by_id["clip/crash"].detail
    good = by_id["clip/good"].folder
    assert good is not None and (good / "result.txt").read_text() == "GOOD"
    assert write_ledger(layout, "test", by_id, ledger_rows("test", outcomes)) == {KEPT: 2, REJECTED: 1, FAILED: 4}

    tries = calls_of(settings)
    assert {value: tries.count(value) for value in values} == {
        "good": 1, "fine": 1, "reject": 1, "user-error": 2, "bug": 2, "crash": 2, "hang": 2,
    }  # fmt: skip

    # Again, grown by one: what was kept or rejected is not repeated, what failed too often neither.
    Path(settings["calls"]).unlink()
    again = run_units("test", units("good", "reject", "fine", "bug", "new"), act, settings, job, layout)
    assert calls_of(settings) == ["new"]
    assert [o.status for o in again] == [FAILED, KEPT, KEPT, KEPT, REJECTED]
    assert "ZeroDivisionError" in again[0].detail and again[0].attempts == 2
    assert [o.unit_id for o in again if o.computed] == ["clip/new"]
    assert not list((tmp_path / ".cache").rglob("*.part"))


def test_kept_results_go_when_no_run_has_used_them_for_long(tmp_path: Path, settings: dict[str, str]) -> None:
    layout, job = Layout.in_folder(tmp_path), with_job(cache_days=30)
    cache = tmp_path / ".cache/test/00000-of-00001"
    elsewhere = tmp_path / ".cache/test/00001-of-00007/older.pack"  # when tables had seven shards
    run_units("test", units("a"), act, settings, job, layout)
    run_units("test", units("b"), act, settings, job, layout)
    elsewhere.parent.mkdir()
    elsewhere.touch()
    assert len(list(cache.glob("*.pack"))) == 2
    for pack in (*cache.glob("*.pack"), elsewhere):
        os.utime(pack, (time.time() - 31 * 86_400,) * 2)
    run_units("test", units("b"), act, settings, job, layout)
    assert calls_of(settings) == ["a", "b"] and len(list(cache.glob("*.pack"))) == 1 and not elsewhere.exists()
    run_units("test", units("a", "b"), act, settings, job, layout)
    assert calls_of(settings) == ["a", "a", "b"]


def test_a_failed_unit_has_a_bounded_number_of_attempts_in_all_runs_together(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    for attempts, calls in ((1, 1), (1, 1), (3, 3), (3, 3)):
        job = with_job(attempts=attempts)
        (outcome,) = run_units("test", units("bug"), act, settings, job, layout)
        assert outcome.status == FAILED and len(calls_of(settings)) == calls
    (changed,) = run_units("test", [Unit("clip/bug", "another content", "mended")], act, settings, with_job(), layout)
    assert changed.status == KEPT


def test_a_unit_that_succeeds_at_last_is_no_longer_counted_as_failed(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    (outcome,) = run_units("test", units("second-time"), act, settings, with_job(), layout)
    assert outcome.status == KEPT and calls_of(settings) == ["second-time"] * 2
    assert outcome.computed


KILLED_RUN = """
from pathlib import Path
from test_job import Layout, act, run_units, units, with_job
if __name__ == "__main__":
    layout = Layout.in_folder(Path({out!r}))
    run_units("test", units("a", "b", "slow", "z"), act, {settings!r}, with_job(workers=1), layout)
"""


def test_after_kill_9_only_what_was_in_flight_is_repeated(tmp_path: Path, settings: dict[str, str]) -> None:
    script = tmp_path / "killed_run.py"
    script.write_text(KILLED_RUN.format(out=str(tmp_path / "out"), settings=settings))
    folders = [Path(__file__).parent, *(Path(__file__).parents[2] / name for name in (".", "tests/support"))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    run = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    calls = Path(settings["calls"])
    deadline_s = time.monotonic() + 60
    while not (calls.is_file() and "slow" in calls.read_text() and list(tmp_path.rglob("*.pack"))):
        assert time.monotonic() < deadline_s and run.poll() is None
        time.sleep(0.05)
    run.kill()
    run.wait()
    calls.write_text("")
    outcomes = run_units("test", units("a", "b", "slow", "z"), act, settings, with_job(), Layout.in_folder(tmp_path / "out"))
    assert [outcome.status for outcome in outcomes] == [KEPT] * 4
    assert {"slow", "z"} <= set(calls_of(settings)) <= {"b", "slow", "z"}  # b may have ended without being put to disk yet


def test_other_settings_and_other_content_run_again(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    run_units("test", units("a"), act, settings, with_job(), layout)
    run_units("test", units("a"), act, {**settings, "more": 1}, with_job(), layout)
    run_units("test", [Unit("clip/a", "changed", "a")], act, settings, with_job(), layout)
    assert calls_of(settings) == ["a", "a", "a"]


def test_damaged_results_are_computed_again(tmp_path: Path, settings: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout.in_folder(tmp_path)
    run_units("test", units("a", "b"), act, settings, with_job(), layout)
    for damaged in (lambda content: content[:-30], flipped):
        for pack in Path(layout.cache / "test").rglob("*.pack"):
            pack.write_bytes(damaged(pack.read_bytes()))
        caplog.clear()
        outcomes = run_units("test", units("a", "b"), act, settings, with_job(), layout)
        assert [o.folder.joinpath("result.txt").read_text() for o in outcomes if o.folder] == ["A", "B"]
        assert "a damaged kept result" in caplog.text


def flipped(content: bytes) -> bytes:
    """One bit of the first result is another one; the zip file still opens."""
    at = content.index(b"result.txt") + len("result.txt")
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_no_bit_that_flips_in_a_kept_result_stops_a_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "result.txt").write_text("A")
    pack = write_pack(Place.of(tmp_path / "packs"), {"key": (Outcome("clip/a"), made)}, Place.of(tmp_path / "blobs"))
    sound, file = pack.read(), Path(pack)
    for at in range(len(sound)):
        for bit in (0, 5):
            file.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << bit]) + sound[at + 1 :])
            found = outcomes_in(pack)
            assert found == {"key": Outcome("clip/a")} or (found == {} and not file.exists()), (at, bit)


@pytest.mark.parametrize(
    ("unit", "said"), [("disk-full", "/somewhere: No space left on device"), ("no-files", "Too many open files")]
)
def test_faults_of_the_environment_are_no_units_fault(unit: str, said: str, tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    full = Path(settings["calls"] + ".full")
    full.touch()
    with pytest.raises(SpaceError, match=f"test: stopped on .*: .*{said} .*units are still to be done"):
        run_units("test", units(unit, "a"), act, settings, with_job(workers=1), layout)
    full.unlink()
    outcomes = run_units("test", units(unit, "a"), act, settings, with_job(), layout)
    assert [o.status for o in outcomes] == [KEPT, KEPT]


ENVIRONMENT = ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "EMFILE", "ENFILE", "ENOMEM", "EROFS", "ETIMEDOUT", "ENOENT")


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_what_the_machine_says_is_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right from a unit, in words of ours, and when a file that a unit found damaged is hashed again."""
    (unit,) = units("a")
    said = OSError(getattr(errno, name), os.strerror(getattr(errno, name)), "/disk/a.mp4")

    def fails(error: Exception) -> Callable[..., str]:
        def act(*_: object) -> str:
            raise error

        return act

    def answer(error: Exception, of: Unit) -> Outcome | EnvironmentFault:
        monkeypatch.setattr(FunctionName, "load", lambda self: fails(error))
        return serve(Work(FunctionName("tests", "act"), None), of, tmp_path / "scratch")

    wrapped = SpaceError("clip a: no good")
    wrapped.__cause__ = said
    for error in (said, wrapped):
        fault = answer(error, unit)
        assert isinstance(fault, EnvironmentFault) and os.strerror(said.errno or 0) in str(fault) and "/disk/a.mp4" in str(fault)
    assert isinstance(answer(SpaceError("clip a: no good"), unit), Outcome), "that is the clip's"
    monkeypatch.setattr("pipelines.job.faults.sha256_of", fails(said))
    damaged = answer(Rejected("truncated", "ends early"), replace(unit, inputs=((str(tmp_path / "a.mp4"), "0" * 64),)))
    assert isinstance(damaged, EnvironmentFault) and os.strerror(said.errno or 0) in str(damaged)


def test_a_passing_fault_is_waited_for(tmp_path: Path, settings: dict[str, str]) -> None:
    outcomes = run_units("test", units("killed", "a"), act, settings, with_job(patience_s=5.0), Layout.in_folder(tmp_path))
    assert [o.status for o in outcomes] == [KEPT, KEPT] and calls_of(settings) == ["a", "killed", "killed"]


def test_the_patience_has_an_end_however_long_it_is(
    tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the sum of all pauses, too: the last of them counts again and again."""
    monkeypatch.setattr(graph, "BACK_OFF_S", (0.01, 0.02))
    Path(settings["calls"] + ".full").touch()
    with pytest.raises(SpaceError, match="No space left on device"):
        run_units("test", units("disk-full"), act, settings, with_job(patience_s=0.1), Layout.in_folder(tmp_path))
    assert len(calls_of(settings)) == 1 + 5  # after 0.01 s, and four times 0.02 s


def test_the_bar_outlasts_a_store_that_is_away(tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[threading.ExceptHookArgs] = []

    def away(run: graph.Run) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(run.folder))

    monkeypatch.setattr(graph, "units_kept", away)
    monkeypatch.setattr(threading, "excepthook", broken.append)
    run_units("test", units("a"), act, settings, with_job(), Layout.in_folder(tmp_path))
    assert not broken


def test_a_scheduler_that_ends_all_processes_blames_no_unit(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    with pytest.raises(SpaceError, match=r"a worker was killed while working on clip/terminated \(SIGTERM\)"):
        run_units("test", units("terminated"), act, settings, with_job(), layout)
    (outcome,) = run_units("test", units("terminated"), act, settings, with_job(attempts=1), layout)
    assert outcome.status == KEPT and outcome.attempts == 1


def test_memory_that_a_worker_may_not_have_is_no_units_fault(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    with pytest.raises(SpaceError, match="out of memory"):
        run_units("test", units("hungry"), act, {**settings, "gb": "3"}, with_job(memory_gb=2.0), layout)
    (outcome,) = run_units("test", units("hungry"), act, {**settings, "gb": "3"}, with_job(memory_gb=8.0), layout)
    assert outcome.status == KEPT


def test_a_native_abort_for_want_of_memory_is_no_units_fault(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(SpaceError, match=r"out of memory\?\) threadpool.cc:53\] .* pthread_create failed \(unit"):
        run_units("test", units("no-thread"), act, settings, with_job(), Layout.in_folder(tmp_path))


def test_only_intact_bytes_are_to_blame(tmp_path: Path, settings: dict[str, str]) -> None:
    layout, file = Layout.in_folder(tmp_path), tmp_path / "input.txt"
    file.write_text("as ingested")
    inputs = ((str(file), sha256_of(file)),)
    (unit,) = units("doubt")
    unit, settings = replace(unit, inputs=inputs), {**settings, "input": str(file)}
    file.write_text("replaced since")
    with pytest.raises(SpaceError, match="is no longer the file that was ingested"):
        run_units("test", [unit], act, settings, with_job(), layout)
    file.unlink()
    with pytest.raises(SpaceError, match="No such file or directory"):
        run_units("test", [unit], act, settings, with_job(), layout)
    file.write_text("as ingested")
    Path(settings["calls"]).unlink()
    (outcome,) = run_units("test", [unit], act, settings, with_job(), layout)
    assert outcome.status == KEPT and calls_of(settings) == ["doubt", "doubt"], "what looks damaged is read twice"


def test_too_many_failures_stop_a_stage_and_do_not_stay(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    with pytest.raises(SpaceError, match="3 of 4 units failed, more than job.max_failed_share allows"):
        run_units("test", units("bug", "crash", "user-error", "a"), act, settings, with_job(max_failed_share=0.5), layout)
    Path(settings["calls"]).unlink()
    outcomes = run_units("test", units("bug", "crash", "user-error", "a"), act, settings, with_job(), layout)
    assert [o.status for o in outcomes] == [KEPT, FAILED, FAILED, FAILED]
    assert calls_of(settings).count("bug") == 2 and "a" not in calls_of(settings), "failures are tried again, results are kept"


def test_failures_in_a_row_stop_a_stage_and_do_not_stay(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    many = [Unit(f"clip/{number:02d}", str(number), "bug") for number in range(14)]
    with pytest.raises(SpaceError, match="1[0-9] units in a row failed, the last one exception"):
        run_units("test", many, act, settings, with_job(), layout)
    Path(settings["calls"]).unlink()
    with pytest.raises(SpaceError, match="1[0-9] units in a row failed"):
        run_units("test", many, act, settings, with_job(), layout)
    assert len(calls_of(settings)) >= 20, "tried again, since the cause may be mended"


def test_a_worker_that_cannot_start_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="worker process does not start: exit code 1 .*Error") as error:
        run_units("test", units(*"abcdefghijkl"), act, None, with_job(memory_gb=0.05), Layout.in_folder(tmp_path))
    assert "\n" not in str(error.value)


def test_a_second_run_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    hold = (
        "import sys, time, pathlib, pipelines.job.lock as lock\n"
        "with lock.one_run_in(pathlib.Path(sys.argv[1])): print(1, flush=True); time.sleep(600)"
    )
    first = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None and first.stdout.readline()
        told = f"another run is at work there .host .*, process {first.pid}: "
        with pytest.raises(SpaceError, match=told), one_run_in(tmp_path):
            pass
    finally:
        first.kill()
        first.wait()
    with one_run_in(tmp_path), one_run_in(tmp_path):  # that one is dead; and a run may take its own again
        pass


def test_a_lock_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".cache" / LOCK_FILE).mkdir(parents=True)
    with pytest.raises(SpaceError, match="lock: cannot be written .Is a directory"), one_run_in(tmp_path / ".cache"):
        pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--runer=FnApiRunner"], "Beam has no option --runer .did you mean --runner"),
        (["--runner=NoRunner"], "job.beam: Unexpected pipeline runner: NoRunner"),
        (["FnApiRunner"], "job.beam: 'FnApiRunner' is no option of Beam's, need --name=value"),
        (["--runner=DataflowRunner"], "job.beam: .* (Missing required option: project|not available)"),
        (["--direct_num_workers", "x"], "job.beam: argument --direct_num_workers: invalid int value: 'x'$"),
    ],
)
def test_wrong_options_of_beam_are_named(
    tmp_path: Path, settings: dict[str, str], capfd: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    with pytest.raises(SpaceError, match=told):
        run_units("test", units("a"), act, settings, with_job(beam=tuple(options)), Layout.in_folder(tmp_path))
    assert "usage:" not in capfd.readouterr().err


@pytest.mark.usefixtures("heard_ctrl_c")
def test_ctrl_c_is_one_interrupt_and_keeps_what_was_finished(tmp_path: Path, settings: dict[str, str]) -> None:
    layout, both = Layout.in_folder(tmp_path), units("fine", "hang")
    calls = Path(settings["calls"])

    def interrupt() -> None:
        while not (calls.is_file() and "hang" in calls.read_text()):  # the first is finished once the second has begun
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_units("test", both, act, settings, with_job(workers=1, timeout_s=60), layout)
    (kept,) = run_units("test", both[:1], act, settings, with_job(), layout)
    assert kept.status == KEPT and not kept.computed


def test_a_worker_with_other_code_is_an_error(tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = graph.Run.of
    monkeypatch.setattr(graph.Run, "of", lambda *arguments: replace(made(*arguments), code="another"))
    with pytest.raises(SpaceError, match="stopped on .*: a worker has other code, or other packages, than the driver"):
        run_units("test", units("good"), act, settings, with_job(), Layout.in_folder(tmp_path))
    assert not Path(settings["calls"]).exists()


def test_what_other_processes_have_kept_is_counted_from_the_store(
    tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, looked = [], graph.units_kept
    monkeypatch.setattr(graph, "units_kept", lambda run: counts.append(looked(run)) or counts[-1])
    monkeypatch.setattr(graph, "units_done", lambda run: 0)  # as where all the work is done elsewhere
    run_units("test", units("a", "b", "c", "d", "e"), act, settings, with_job(pack_units=2), Layout.in_folder(tmp_path))
    assert counts[-1] == 5


def test_a_pack_that_is_handed_out_again_is_not_run_again(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    run_units("test", units("a", "b"), act, settings, with_job(), layout)
    listed = units("a", "b", "c")
    stage = Stage("test", act, {}, lambda context, part: listed, settings=lambda params: settings, unpacked=True)
    runner = graph.RunPacks(graph.Run.of(stage, Context(with_job(), layout, 1)))
    runner.setup()
    try:
        runner.process((0, [unit.unit_id for unit in listed]))
        list(runner.finish_bundle())
    finally:
        runner.teardown()
    assert calls_of(settings) == ["a", "b", "c"]
    assert not list((tmp_path / ".cache" / "test" / "scratch").iterdir())


def test_two_units_of_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="'clip/a' occurs twice"):
        run_units("test", units("a", "a"), act, None, with_job(), Layout.in_folder(tmp_path))


def row(clip: str, status: str, reason: str = "") -> LedgerRow:
    return LedgerRow(clip, "test", status, reason, None, None, "")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a", KEPT)], "lost \\['b'\\]"),
        ([row("a", KEPT), row("b", KEPT), row("c", KEPT)], "never asked for \\['c'\\]"),
        ([row("a", KEPT), row("b", KEPT), row("b", KEPT)], "counted twice \\['b'\\]"),
        ([row("a", KEPT), row("b", REJECTED, "did_not_like_it")], "job.REASONS"),
        ([row("a", KEPT), row("b", REJECTED, "")], "job.REASONS"),
        ([row("a", KEPT), row("b", KEPT), row("b", REJECTED, "silent")], "both as kept and as rejected"),
    ],
)
def test_a_ledger_that_loses_or_invents_clips_is_an_error(tmp_path: Path, rows: list[LedgerRow], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        write_ledger(Layout.in_folder(tmp_path), "test", ["a", "b"], rows)


def test_a_rejected_clip_keeps_all_its_reasons(tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path)
    rows = [row("b", REJECTED, "silent"), row("a", KEPT), row("b", REJECTED, "blurred")]
    assert write_ledger(layout, "test", ["a", "b"], rows) == {KEPT: 1, REJECTED: 1}
    assert [r.reason for r in read_table(layout.ledger("test"), LedgerRow)] == ["", "blurred", "silent"]


def test_a_ledger_of_columns_is_checked_and_sorted_like_one_of_rows(tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path)
    rows = [row("b", REJECTED, "silent"), row("c", FAILED, "exception"), row("a", KEPT), row("b", REJECTED, "blurred")]
    ids = pa.chunked_array([["c", "a"], ["b"]])
    assert write_ledger(layout, "test", ids, to_arrow(rows, LedgerRow)) == {KEPT: 1, REJECTED: 1, FAILED: 1}
    (file,) = table_files(layout.ledger("test"))
    written = file.read()
    write_ledger(layout, "test", ["a", "b", "c"], rows)
    assert file.read() == written
    with pytest.raises(SpaceError, match="4 inputs do not equal"):
        write_ledger(layout, "test", ["a", "b", "c", "c"], rows)
    assert write_ledger(layout, "test", [], []) == {}


def test_a_ledger_row_says_what_it_rests_on(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)

    def hashes(settings: dict[str, str]) -> list[tuple[str, str, str]]:
        outcomes = run_units("test", units("good", "reject"), act, settings, with_job(), layout)
        return [(r.content, r.config, r.version) for r in ledger_rows("test", outcomes)]

    first, again, other = hashes(settings), hashes(settings), hashes({**settings, "more": "x"})
    assert first == again, "kept results have the same hashes as new ones"
    assert first[0][0] != first[1][0] and first[0][1:] == first[1][1:] and all(map(all, first))
    assert [h[0] for h in other] == [h[0] for h in first] and other[0][1] != first[0][1] and other[0][2] == first[0][2]


def test_stage_clock_keeps_the_rate(tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path)
    with stage_clock(layout, "test") as clock:
        time.sleep(0.05)
        clock.clips = 10
    facts = json.loads(layout.timing("test").read())
    assert facts["clips"] == 10 and 0 < facts["clips_per_s"] <= 200


def test_a_stage_that_drops_nothing(tmp_path: Path) -> None:
    layout = Layout.in_folder(tmp_path)
    ids = pa.chunked_array([["a", "b"]])
    assert write_ledger(layout, "test", ids, all_kept("test", ids, pa.chunked_array([["", "odd"]]))) == {KEPT: 2}
    rows = read_table(layout.ledger("test"), LedgerRow)
    assert [(row.clip_id, row.status, row.reason, row.value, row.detail) for row in rows] == [
        ("a", KEPT, "", None, ""), ("b", KEPT, "", None, "odd"),
    ]  # fmt: skip


def test_workers_see_in_the_store_that_somebody_waits_for_the_run(tmp_path: Path, settings: dict[str, str]) -> None:
    layout = Layout.in_folder(tmp_path)
    cache = tmp_path / ".cache"
    (seen,) = run_units("test", units("look-for-run"), act, settings | {"cache": str(cache)}, with_job(), layout)
    assert seen.folder is not None and (seen.folder / "result.txt").read_text() == "driver.json"
    assert not [path for path in cache.rglob("runs/**/*") if path.is_file()], "they would wait for ever"


@pytest.mark.parametrize(("is_its_own", "watched"), [(True, 1), (False, 0)])
def test_only_workers_of_an_engine_watch_it(
    tmp_path: Path, settings: dict[str, str], is_its_own: bool, watched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = set[str]()
    monkeypatch.setattr(graph, "is_engines_worker", lambda: is_its_own)
    monkeypatch.setattr(graph, "end_with_run", lambda note: notes.add(note.uri))
    run_units("test", units("good"), act, settings, with_job(), Layout.in_folder(tmp_path))
    assert len(notes) == watched


@pytest.mark.parametrize(("section", "key", "value"), [("measure", "cut_threshold", 4.0), ("evaluate", "seed", 99)])
def test_where_weights_lie_is_in_no_key(section: str, key: str, value: float) -> None:
    settings = getattr(load_params(), section)
    moved, other = settings.model_copy(update={"weights": "elsewhere"}), settings.model_copy(update={key: value})
    assert plain(settings) == plain(moved) != plain(other)
    assert plain((settings, 1)) == plain((moved, 1)), "nor in a pair of settings"
