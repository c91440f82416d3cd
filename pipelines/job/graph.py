"""The one Beam graph, for every stage: workers plan their shards, run what is to be done, and write the shards.

    parts | Plan → packs of unit ids | Reshuffle | RunPacks → packs in the store
    parts, when all packs have run | Write → shards, and a report on each, in the store

Only numbers of shards and ids of units travel: what a unit is about is read again by whoever runs it, from its shard of the
tables before. So neither the driver nor Beam's shuffle grows with what is in the tables. And what is done is seen from the store
alone: a pack that is there counts, whatever became of the worker that wrote it; one that is not is made by whoever comes next.
"""

import difflib
import io
import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.job.faults import BACK_OFF_S, environment_fault, patiently
from pipelines.job.job_end import end_with_run, is_engines_worker
from pipelines.job.keys import code_version
from pipelines.job.machine import machine
from pipelines.job.packs import write_pack
from pipelines.job.pool import Answer, IsolatedPool
from pipelines.job.scratch import remove_scratch, scratch_of
from pipelines.job.serve import Work, outcome_of, serve
from pipelines.job.shards import (
    Plan,
    blob_folder,
    cache_of,
    pack_folder,
    packs_of,
    plan,
    write_part,
)  # fmt: skip
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import EnvironmentFault, FunctionName, Outcome, Unit
from pipelines.job.worker import Returned
from space_data.errors import SpaceError
from space_data.params import Job
from space_data.store import Place, forget_copies

logger = logging.getLogger(__name__)

LEAST_FAILURES = 10
"""So many failures in a row, without one success in this process, are not the clips' own."""
BEAMS_WORDS = " [while running '"
"""What Beam adds to every error."""
OF_DATAFLOW = ("google.", "apache_beam.runners.dataflow.")
"""Modules of its errors, whose classes are there only where its clients are installed."""
PLANS, FAULTS, KEPT_UNITS, REPORTS = "plans", "faults", "kept", "reports"
BEGUN, DRIVER = "begun", "driver"

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One run of a stage's graph, as every worker knows it."""

    stage: Stage
    context: Context
    run_id: str
    directory: str
    """the driver's working directory, which relative paths are meant from"""
    code: str
    """version of the driver's code and of the packages that it uses"""

    @staticmethod
    def of(stage: Stage, context: Context) -> "Run":
        """A new run, of this process."""
        return Run(stage, context, uuid.uuid4().hex, os.getcwd(), _code(stage))

    @property
    def folder(self) -> Place:
        """Where the run keeps its notes, in the store."""
        return cache_of(self.context, self.stage.name) / "runs" / self.run_id

    @property
    def begun(self) -> Place:
        """The note that is there while somebody waits for the run."""
        return self.folder / BEGUN / f"{DRIVER}.json"

    def note(self, kind: str, name: str, facts: object) -> None:
        """Put a note where the driver finds it."""
        (self.folder / kind / f"{name}.json").put(json.dumps(facts).encode())

    def notes(self, kind: str, known: Collection[str] = ()) -> dict[str, dict]:
        """All notes of a kind but the ``known`` ones, by their names."""
        return {p.name: json.loads(p.read()) for p in (self.folder / kind).files(".json") if p.name not in known}

    def fault(self, why: str, unit_id: str = "") -> None:
        """Let the driver know why this worker gives up.

        Raises:
            SpaceError: the store does not take even that; the runner brings it to the driver.
        """
        try:
            self.note(FAULTS, uuid.uuid4().hex, {"unit": unit_id, "why": why, "host": socket.gethostname()})
        except OSError as error:
            raise SpaceError(f"{self.stage.name}: stopped: {why}") from error


def _code(stage: Stage) -> str:
    return code_version(FunctionName.of(stage.function))


class _OfRun(beam.DoFn):
    """What all steps have in common: the run, and the folder and the code that it is meant to run in."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def setup(self) -> None:
        """Work where the driver works, as jobs of MPI and Slurm do; on a machine that has no such folder, where one is."""
        with suppress(FileNotFoundError):
            os.chdir(self._run.directory)
        if is_engines_worker():
            end_with_run(self._run.begun)

    def _patiently(self, action: Callable[[], T]) -> T | None:
        """Do ``action``; None if it cannot be done: a runner would only try again what will not come right, and hide why."""
        run = self._run
        try:
            if _code(run.stage) != run.code:
                raise SpaceError("a worker has other code, or other packages, than the driver (is its image up to date?)")
            return patiently(action, run.context.params.job.patience_s, run.stage.name)
        except SpaceError as error:
            run.fault(str((error.__cause__ and environment_fault(error.__cause__)) or error))
            return None


class PlanParts(_OfRun):
    """Shard → packs of unit ids that are to be run."""

    def process(self, part: int) -> Iterator[tuple[int, list[str]]]:
        """Read the shard's units and packs."""
        run = self._run

        def planned_and_noted() -> Plan:
            planned = plan(run.stage, run.context, part)
            run.note(PLANS, f"{part:05d}", {"units": len(planned.units), "todo": len(planned.todo)})
            return planned

        if planned := self._patiently(planned_and_noted):
            yield from ((part, pack) for pack in packs_of(planned, run.context.params.job.pack_units))


@dataclass
class _Pending:
    """A unit that is being worked on."""

    part: int
    key: str
    unit: Unit
    folder: Path
    attempts: int = 1
    faults: int = 0
    waited_s: float = 0.0
    """for the machine, so far"""
    not_before_s: float = 0.0


class RunPacks(_OfRun):
    """Runs packs in isolated processes, a few packs at a time, so that no process idles while one pack ends.

    Results go into the store when a pack is done, and every ``job.keep_every_s``. A unit that the environment stopped is tried
    again for ``job.patience_s``; then this worker gives up, says why, and runs nothing more.
    """

    def setup(self) -> None:
        """Share the machine's pool."""
        super().setup()
        self._name, self._units_kept = uuid.uuid4().hex, 0
        self._job: Job = self._run.context.params.job
        self._pool = _pool_of(self._run)
        self._scratch = scratch_of(cache_of(self._run.context, self._run.stage.name))
        self._planned: tuple[int, Plan] | None = None
        self._given_up = ""
        self._waiting: list[_Pending] = []
        self._running: dict[Future[Answer], _Pending] = {}
        self._done: dict[int, dict[str, tuple[Outcome, Path]]] = {}
        self._flushed_s = time.monotonic()
        self._failures_in_a_row = 0

    def process(self, pack: tuple[int, list[str]]) -> None:
        """Begin one pack; waits while there is more than enough to do."""
        if self._given_up:
            return
        with self._keeping_what_is_done():
            self._begin(*pack)
            while len(self._running) + len(self._waiting) > 2 * self._job.processes:
                self._turn()

    def _begin(self, part: int, unit_ids: Sequence[str]) -> None:
        if self._planned is None or self._planned[0] != part:  # the packs of a shard follow each other
            planned = self._patiently(partial(plan, self._run.stage, self._run.context.verifying(), part))
            if planned is None:
                self._given_up = "the shard cannot be read"
                return
            self._planned = part, planned
        planned = self._planned[1]
        wanted = set(unit_ids)
        for key, unit in planned.units.items():
            if unit.unit_id in wanted and key not in planned.kept:  # a runner may hand out a pack again after a worker was lost
                attempt = 1 + planned.tried.get(key, 0)
                self._submit(_Pending(part, key, unit, self._scratch / uuid.uuid4().hex, attempt))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """See all packs through."""
        with self._keeping_what_is_done():
            while self._running or self._waiting:
                self._turn()
            self._flush()
        with suppress(OSError):  # not empty: another thread is at work. A remote worker may be killed once this returns
            self._scratch.rmdir()
        yield WindowedValue(0, 0, (GlobalWindow(),))

    def teardown(self) -> None:
        """Give the pool back."""
        if _give_back(self._run.run_id):
            remove_scratch(cache_of(self._run.context, self._run.stage.name))

    @contextmanager
    def _keeping_what_is_done(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM lose no finished unit, even if they come while a pack is written: then it is written again."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self._given_up = self._given_up or "interrupted"
            for future in [f for f in self._running if f.done()]:
                self._take(self._running.pop(future), future)
            self._flush()
            raise

    def _submit(self, pending: _Pending) -> None:
        limit_s = self._job.timeout_s + self._job.timeout_per_cost * pending.unit.cost_s
        self._running[self._pool.submit(pending.unit, pending.folder, limit_s=limit_s)] = pending

    def _turn(self) -> None:
        """Take what has finished; try again what may be tried again; keep what is done."""
        now_s = time.monotonic()
        for pending in [p for p in self._waiting if p.not_before_s <= now_s or self._given_up]:
            self._waiting.remove(pending)
            if not self._given_up:
                self._submit(pending)
        if self._running:
            finished, _ = wait(self._running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                self._take(self._running.pop(future), future)
        elif self._waiting:
            time.sleep(0.2)
        if time.monotonic() - self._flushed_s > self._job.keep_every_s:
            self._flush()

    def _take(self, pending: _Pending, future: Future[Answer]) -> None:
        if future.cancelled():
            return
        try:
            answer = future.result()
        except RuntimeError as error:  # a worker cannot start: no unit will run here
            self._give_up(f"{error}", pending.unit.unit_id)
            return
        except OSError as error:  # no process, pipe or file could be had for a worker
            self._again_later(pending, environment_fault(error) or EnvironmentFault(str(error)))
            return
        if isinstance(answer, Returned):
            for message in answer.warnings:
                logger.warning("%s", message)
        outcome = outcome_of(pending.unit, answer)
        if isinstance(outcome, EnvironmentFault):
            self._again_later(pending, outcome)
        elif outcome.failed and pending.attempts < self._job.attempts:
            pending.attempts += 1
            self._submit(pending)
        else:
            self._keep(pending, outcome)

    def _again_later(self, pending: _Pending, fault: EnvironmentFault) -> None:
        pause_s = BACK_OFF_S[min(pending.faults, len(BACK_OFF_S) - 1)]
        if pending.waited_s + pause_s > self._job.patience_s:
            self._give_up(str(fault), pending.unit.unit_id)
            return
        pending.faults += 1
        pending.waited_s += pause_s
        pending.not_before_s = time.monotonic() + pause_s
        logger.warning("%s: %s: %s; tried again in %g s", self._run.stage.name, pending.unit.unit_id, fault, pause_s)
        self._waiting.append(pending)

    def _give_up(self, why: str, unit_id: str) -> None:
        if not self._given_up:
            self._given_up = why
            self._run.fault(why, unit_id)
        for future in self._running:
            future.cancel()

    def _keep(self, pending: _Pending, outcome: Outcome) -> None:
        self._failures_in_a_row = self._failures_in_a_row + 1 if outcome.failed else 0
        count_done(self._run.run_id)
        outcome = replace(outcome, machine=machine())
        outcome = replace(outcome, attempts=pending.attempts, run=self._run.run_id) if outcome.failed else outcome
        self._done.setdefault(pending.part, {})[pending.key] = outcome, pending.folder
        if self._failures_in_a_row >= max(LEAST_FAILURES, 2 * self._job.processes):
            self._give_up(
                f"{self._failures_in_a_row} units in a row failed, the last one {outcome.reason}: {outcome.detail[-300:]}",
                pending.unit.unit_id,
            )
        ready = len(self._done[pending.part]) >= self._job.pack_units
        if ready:
            self._flush(pending.part)

    def _flush(self, only: int | None = None) -> None:
        """Put what is done into the store; waits, as long as patience lasts, for a disk that is full or away."""
        patience_s = 0.0 if self._given_up else self._job.patience_s
        try:
            for part in [only] if only is not None else list(self._done):
                patiently(partial(self._put, part), patience_s, self._run.stage.name)
        except EnvironmentFault as fault:
            self._done.clear()
            self._give_up(f"results cannot be kept: {fault}", "")
        if only is None:
            self._flushed_s = time.monotonic()

    def _put(self, part: int) -> None:
        """One pack of what is done of a shard."""
        context, stage, results = self._run.context, self._run.stage.name, self._done[part]
        write_pack(pack_folder(context, stage, part), dict(sorted(results.items())), blob_folder(context, stage, part))
        self._run.note(KEPT_UNITS, self._name, {"units": self._units_kept + len(results)})
        self._units_kept += len(results)
        del self._done[part]  # before the files go: an interrupt here must not write a pack without them
        for _, folder in results.values():
            shutil.rmtree(folder, ignore_errors=True)


class WriteParts(_OfRun):
    """Shard → its tables and its report."""

    def process(self, part_and_marks: tuple[int, object]) -> None:
        """Write one shard."""
        run, part = self._run, part_and_marks[0]

        def write() -> None:
            run.note(REPORTS, f"{part:05d}", asdict(write_part(run.stage, run.context, part)))

        self._patiently(write)


_pools: dict[str, tuple[IsolatedPool, int]] = {}
_done: dict[str, int] = {}
_lock = threading.Lock()


def _pool_of(run: Run) -> IsolatedPool:
    """The pool of this process for a run: all of Beam's threads share it."""
    job = run.context.params.job
    work = Work(FunctionName.of(run.stage.function), run.stage.settings(run.context.params))
    with _lock:
        pool, users = _pools.get(run.run_id, (None, 0))
        modules = (work.function.module, *run.stage.modules)
        pool = pool or IsolatedPool(FunctionName.of(serve), job.processes, job.memory_gb, (work,), modules)
        _pools[run.run_id] = pool, users + 1
        return pool


def _give_back(run_id: str, all_of_them: bool = False) -> bool:
    """End the pool with its last user; returns whether this was it."""
    with _lock:
        pool, users = _pools.pop(run_id, (None, 0))
        if pool is not None and users > 1 and not all_of_them:
            _pools[run_id] = pool, users - 1
            return False
    if pool is not None:
        pool.close()
    return pool is not None


def count_done(run_id: str) -> None:
    """One more unit is done in this process."""
    with _lock:
        _done[run_id] = _done.get(run_id, 0) + 1


def beam_options(options: Sequence[str]) -> PipelineOptions:
    """Beam's options; an unknown one is an error that names the nearest.

    Raises:
        SpaceError: see above; or a value that Beam does not take.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):  # a hundred lines of all options there are, and one of what is wrong
            parsed = PipelineOptions(list(options))
            known = set(parsed.get_all_options(drop_default=False))
    except SystemExit:
        raise SpaceError(f"job.beam: {said.getvalue().strip().rpartition('error: ')[2]}") from None
    for before, option in zip(("", *options), options, strict=False):
        if not option.startswith("-") and (not before.startswith("-") or "=" in before):
            raise SpaceError(f"job.beam: {option!r} is no option of Beam's, need --name=value")
        name = option.lstrip("-").partition("=")[0].replace("-", "_")
        if option.startswith("-") and name not in known and not name.startswith("no_"):
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean --{near[0]}?)" if near else ""
            raise SpaceError(f"job.beam: Beam has no option {option.partition('=')[0]}{hint}")
    if (parsed.view_as(StandardOptions).runner or "").endswith("DataflowRunner"):
        # It would start a worker for each core of a machine, and each of them a pool of as many processes.
        parsed.view_as(DebugOptions).add_experiment("no_use_multiple_sdk_containers")
    return parsed


def execute(run: Run) -> None:
    """Build and run the graph; afterwards the run's folder holds a report per shard, or says what went wrong.

    Raises:
        KeyboardInterrupt: Ctrl-C, which Beam would turn into a ``RuntimeError`` with pages of its own stack.
        SystemExit: SIGTERM, likewise.
        SpaceError: a part of the graph said what was wrong.
    """
    begin = partial(run.note, BEGUN, DRIVER, {"host": socket.gethostname()})
    try:
        patiently(begin, run.context.params.job.patience_s, run.stage.name)
        _wait_for(_graph(run).run(), run.stage.name)
    except grpc.FutureTimeoutError as error:
        raise SpaceError(f"job.beam: no job server answers ({' '.join(run.context.params.job.beam)})") from error
    except ImportError as error:
        if error.name is not None:  # a module of ours, not what Beam says of a runner
            raise
        raise SpaceError(f"job.beam: {error} (what it needs beside our packages: pip install 'open-space[cluster]')") from error
    except (RuntimeError, SpaceError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            if isinstance(cause, SystemExit):
                raise SystemExit(cause.code) from None
            if isinstance(cause, SpaceError):
                raise SpaceError(str(cause).partition(BEAMS_WORDS)[0]) from None
            cause = cause.__cause__ or cause.__context__
        raise
    except Exception as error:
        if not type(error).__module__.startswith(OF_DATAFLOW):
            raise
        said = " ".join(str(error).split())[:500]
        raise SpaceError(f"{run.stage.name}: Dataflow: {said}; what is done is kept: mend that and run it again") from error
    finally:
        _give_back(run.run_id, all_of_them=True)
        forget_copies()
        remove_scratch(cache_of(run.context, run.stage.name))


def _graph(run: Run) -> beam.Pipeline:
    parts = list(range(run.context.parts))
    options = beam_options(run.context.params.job.beam)
    try:
        pipeline = beam.Pipeline(options=options)
    except (ValueError, ImportError) as error:  # no such runner, one that is not installed, one that lacks an option
        raise SpaceError(f"job.beam: {' '.join(str(error).split())}") from error
    shards = pipeline | "Parts" >> beam.Create(parts, reshuffle=False) | "Spread parts" >> beam.Reshuffle()
    packs = shards | "Plan" >> beam.ParDo(PlanParts(run)) | "Spread packs" >> beam.Reshuffle()
    ran = packs | "Run packs" >> beam.ParDo(RunPacks(run)) | "All packs have run" >> beam.combiners.Count.Globally()
    # Its own source, not ``shards``: Flink would keep those of a lost task manager for the second reader, and fail once more.
    (
        pipeline
        | "Parts to write" >> beam.Create(parts, reshuffle=False)
        | "After all packs" >> beam.Map(lambda part, _: part, beam.pvalue.AsSingleton(ran))
        | "Spread writing" >> beam.Map(lambda part: (part, None))
        | "One writer per part" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(WriteParts(run))
    )
    return pipeline


def _wait_for(result: PipelineResult, stage: str) -> None:
    """Wait for a job that runs elsewhere (the local runner's is over by now); it ends with whoever waits for it.

    Raises:
        SpaceError: it failed; says the last thing that the runner says of it.
    """
    try:
        result.wait_until_finish()
    except (KeyboardInterrupt, SystemExit):
        result.cancel()
        raise
    except (RuntimeError, grpc.RpcError) as error:
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise SpaceError(f"{stage}: the runner gave the job up: {said[0]}; what is done is kept: run it again") from error


def units_done(run: Run) -> int:
    """Units that have been finished in this run so far, by this process."""
    return _done.get(run.run_id, 0)


def units_kept(run: Run) -> int:
    """Units of this run whose results are in the store, whichever machine put them there."""
    return sum(note["units"] for note in run.notes(KEPT_UNITS).values())
