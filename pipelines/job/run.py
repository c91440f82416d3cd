"""Running a stage: plan, graph, checks, commit. Nothing that grows with the number of clips is held here.

    run_stage(STAGE, params, layout)          a stage whose units are listed shard by shard, and whose tables are sharded
    run_units("synthesize", units, ...)       a stage with few units, whose results the caller makes something of
    merge_units(STAGE, units, ...)            a stage with few units, whose tables are sharded

A stage's tables become current in one step, when its manifest is put, and only if every unit has a fate, the ids that came in are
those that the stage before let out, and not too many units failed. Otherwise the tables of the run before stay as they were.
"""

import argparse
import importlib
import logging
import pickle
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pipelines.job import forkserver
from pipelines.job.clock import stage_clock
from pipelines.job.faults import faults_in_words, patiently
from pipelines.job.keys import code_version
from pipelines.job.lock import one_run_in
from pipelines.job.packs import DamagedPackError, PackReader
from pipelines.job.scratch import remove_remains
from pipelines.job.shards import UNTRUSTED, Report, cache_of, counted, is_old, packs_of_other_numbers, plan, write_part
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import FunctionName, Outcome, Unit, UnitFunction, content_hash, plain
from pipelines.layout import Layout
from pipelines.stages import ALONE, STAGES, TRAINING
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import lengths_in_words
from space_data.manifest import MANIFEST, Manifest
from space_data.params import Params, load_params
from space_data.schema import KEPT
from space_data.store import Place
from space_data.tables import shard_of

logger = logging.getLogger(__name__)

ROUNDS = 3
"""How often damaged kept results are computed again within one run."""
LEAST_FAILED = 3
"""Fewer failed units than this stop a stage only if nothing else came of it."""
PROGRESS_S = 0.5
LOOK_S = 5.0
"""Between two looks into the store for what other processes have done: a small note of each worker, which may be hundreds."""


def run_stage(stage: Stage, params: Params, layout: Layout) -> None:
    """Run one stage: its tables, its ledger and its manifest.

    Raises:
        SpaceError: another run is at work here; the environment stopped units; too many failed; ids were lost.
    """
    cache = layout.cache_of(stage.name)
    with one_run_in(cache) as still_held, faults_in_words(stage.name), stage_clock(layout, stage.name) as clock:
        manifest, units, computed = _tables(stage, params, layout, still_held)
        clock.counts = Counter(manifest.counts)
        clock.clips = sum(manifest.counts.values())
        clock.computed = round(clock.clips * computed / units) if units else 0  # a unit may be a whole shard


def merge_units(stage: Stage, units: Iterable[Unit], params: Params, layout: Layout) -> Manifest:
    """Run a stage of so few units that the driver can hold them, and have the workers write its tables and its ledger.

    A unit lies in the shard that its id is hashed to. None may fail: it would be missing in the tables.

    Raises:
        SpaceError: as ``run_stage``.
    """
    with one_run_in(layout.cache_of(stage.name)) as still_held, faults_in_words(stage.name):
        listing = _put_list(layout.cache_of(stage.name) / stage.name, units)
        return _tables(replace(stage, items=listing), params, layout, still_held, may_fail=False)[0]


def _tables(
    stage: Stage, params: Params, layout: Layout, still_held: Callable[[], None], may_fail: bool = True
) -> tuple[Manifest, int, int]:
    """Make the tables, commit them, remove what they replace; the manifest, the number of units, and of those computed now."""
    remove_remains(layout.cache_of(stage.name) / stage.name, layout.stage(stage.name))
    context = _context(stage, params, layout)
    reports, computed = _reports(stage, context)
    _check(stage, context, reports, may_fail)
    manifest = _manifest(stage, context, reports)

    def commit() -> None:
        still_held()
        for folder in dict.fromkeys((layout.stage(stage.name), layout.data / stage.name)):  # DVC's, of tables in a bucket
            (folder / MANIFEST).put(manifest.to_json())

    patiently(commit, params.job.patience_s, stage.name)
    _remove_stale(stage, context, reports)
    _remove_foreign(layout.stage(stage.name), manifest, stage)
    return manifest, sum(report.units for report in reports), computed


def _context(stage: Stage, params: Params, layout: Layout) -> Context:
    """What the workers get to know; runs the stage's own preparation."""
    context = Context(params, layout, params.job.shards)
    numbers = {name: context.upstream(name).parts for name in stage.upstream}
    if numbers:
        if len(set(numbers.values())) > 1:
            raise SpaceError(f"{stage.name}: tables of different numbers of shards ({numbers}): run all from `ingest` on again")
        context = replace(context, parts=next(iter(numbers.values())))
    return replace(context, extra=dict(patiently(partial(stage.prepare, context), params.job.patience_s, stage.name)))


def _reports(stage: Stage, context: Context) -> tuple[list[Report], int]:
    """Run what is to be run; a report per shard, and how many units were computed."""
    reports, patience_s = [], context.params.job.patience_s
    for part in range(context.parts):
        reports.append(patiently(partial(write_part, stage, context, part), patience_s, stage.name))
        if reports[-1].missing:
            break
    else:
        return reports, 0  # no unit had to run, and so no Beam
    computed = 0
    for _ in range(ROUNDS):
        reports, todo = _run_graph(stage, context)
        computed += todo
        if not any(report.missing for report in reports):
            break
    return reports, computed


def _run_graph(stage: Stage, context: Context) -> tuple[list[Report], int]:
    from pipelines.job import graph  # importing Beam takes seconds

    run = graph.Run.of(stage, context)
    try:
        with _progress(stage.name, run):
            graph.execute(run)
        todo = sum(note["todo"] for note in run.notes(graph.PLANS).values())
        faults = list(run.notes(graph.FAULTS).values())
        reports = sorted((Report.from_facts(note) for note in run.notes(graph.REPORTS).values()), key=lambda report: report.part)
    finally:
        for note in run.folder.files(below=True):
            note.delete()
    if faults:
        _distrust(stage, context, [run.run_id])  # whatever failed meanwhile may have failed for the same reason
        missing, units = sum(report.missing for report in reports), sum(report.units for report in reports)
        first = faults[0]
        where = f" (unit {first['unit']})" if first["unit"] else ""
        raise SpaceError(
            f"{stage.name}: stopped on {first['host']}: {first['why']}{where}; {missing} of {units} units are still to be done, "
            "the others are kept: mend that and run it again"
        )
    if len(reports) != context.parts:
        raise SpaceError(f"{stage.name}: {len(reports)} of {context.parts} shards have reported: a worker is lost; run it again")
    return reports, todo


@contextmanager
def _progress(name: str, run: Any) -> Iterator[None]:
    """A bar that advances while the graph runs: by what this process has done, or by what is in the store, if that is more."""
    from pipelines.job import graph

    ended = threading.Event()

    def watch() -> None:
        with progress.bar(name, None) as advance:
            shown, kept, looked_s, over, plans = 0, 0, 0.0, False, dict[str, dict]()
            while not over:
                over = ended.wait(PROGRESS_S)
                with suppress(OSError):  # the store is away: whoever works waits for it, and tells
                    if len(plans) < run.context.parts:
                        plans |= run.notes(graph.PLANS, plans)  # each is read once: they may be 500, in a bucket
                    if over or time.monotonic() - looked_s > LOOK_S:
                        kept, looked_s = graph.units_kept(run), time.monotonic()
                done = max(graph.units_done(run), kept)
                advance(done - shown, total=sum(note["todo"] for note in plans.values()) or None)
                shown = done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _check(stage: Stage, context: Context, reports: Sequence[Report], may_fail: bool = True) -> None:
    """See that nothing is missing, lost between stages, or failed too often (at all, where nothing may).

    Raises:
        SpaceError: something is.
    """
    name, units = stage.name, sum(report.units for report in reports)
    missing, failed = sum(report.missing for report in reports), sum(report.failed for report in reports)
    if missing:
        raise SpaceError(f"{name}: {missing} of {units} units have no result; the others are kept: run it again")
    most = context.params.job.max_failed_share * units
    too_many = most < failed and (failed == units or failed >= LEAST_FAILED)
    if too_many or (failed and not may_fail):
        planned = (plan(stage, context, report.part) for report in reports if report.failed)
        _distrust(stage, context, {kept.outcome.run for one in planned for kept in one.kept.values() if kept.outcome.failed})
        allowed = f"job.max_failed_share allows ({most:.0f})" if may_fail else "may: its tables would lack them"
        examples = "; ".join([example for report in reports for example in report.failures][:2])
        raise SpaceError(
            f"{name}: {failed} of {units} units failed, more than {allowed}: {examples}. "
            "The tables of the run before stay; the failed ones are tried again in the next run"
        )
    if first := stage.continues:
        promised = context.upstream(first).outputs
        for report, wanted in zip(reports, promised, strict=bool(promised)):  # a table written by hand promises nothing
            if report.inputs != wanted:
                raise SpaceError(
                    f"{name}: shard {report.part}: {report.inputs.count} ids came in, but {first} let {wanted.count} out "
                    f"(are the tables of one run? run `{first}` and what follows again)"
                )


def _distrust(stage: Stage, context: Context, runs: Iterable[str]) -> None:
    """Let the failures of these runs count for nothing: their units are tried again."""
    for run_id in runs:
        (cache_of(context, stage.name) / UNTRUSTED / run_id).put(b"")


def _manifest(stage: Stage, context: Context, reports: Sequence[Report]) -> Manifest:
    return Manifest(
        stage.name,
        context.parts,
        {path: [report.tables[path] for report in reports] for path in stage.table_paths()},
        dict(sorted(counted(reports).items())),
        [report.inputs for report in reports],
        [report.outputs for report in reports],
        {name: context.upstream(name).content_sha256() for name in stage.upstream},
        {
            "settings": content_hash(plain(stage.settings(context.params))),
            "machines": ", ".join(sorted({machine for report in reports for machine in report.machines})),
            "code": code_version(FunctionName.of(stage.function)), **context.extra,
        },
    )  # fmt: skip


def _remove_stale(stage: Stage, context: Context, reports: Iterable[Report]) -> None:
    """Remove what nothing needs any more: blobs of before, and packs that no run has used for long."""
    for uri in (uri for report in reports for uri in report.stale):
        Place(uri).delete()
    for pack in packs_of_other_numbers(stage, context):
        if is_old(pack, context):
            pack.delete()


def _remove_foreign(folder: Place, manifest: Manifest, stage: Stage) -> None:
    """Remove shards of earlier runs, which the manifest no longer names."""
    named = {(folder / shard.file).uri for shards in manifest.tables.values() for shard in shards}
    for path in stage.table_paths():
        for file in (folder / path).files(".parquet"):
            if file.uri not in named:
                file.delete()


@dataclass(frozen=True)
class Result(Outcome):
    """What became of a unit of ``run_units``."""

    folder: Path | None = None
    """of its files; None if it was not kept"""
    computed: bool = False
    """now, not in an earlier run"""


def run_units(
    name: str, units: Iterable[Unit], function: UnitFunction, settings: Any, params: Params, layout: Layout
) -> list[Result]:
    """Run ``function`` once per unit, for a stage of so few units that the driver can hold them; results are unpacked for it.

    Returns:
        One result per unit, sorted by unit id; their folders last until the next call for this stage.

    Raises:
        SpaceError: as ``run_stage``.
    """
    folder = layout.cache.local() / name
    unpacked = folder / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with one_run_in(layout.cache), faults_in_words(name):
        remove_remains(Place.of(folder), layout.stage(name))
        listing = _put_list(Place.of(folder), units)
        stage = Stage(name, function, {}, listing, settings=partial(_given, settings), unpacked=True)
        context = Context(params, layout, 1, {})
        planned = plan(stage, context, 0)
        before = set(planned.kept)
        for _ in range(ROUNDS):
            if planned.todo:
                _run_graph(stage, context)
                planned = plan(stage, context, 0)
            report = write_part(stage, context, 0)
            try:
                with PackReader() as reader:
                    results = []
                    for key, unit in planned.units.items():
                        kept = planned.kept.get(key)
                        if kept is None:
                            continue
                        target = unpacked / key if kept.outcome.status == KEPT else None
                        if target is not None:
                            reader.extract(kept, target)
                        hashes = {"content": unit.content, "config": planned.config, "version": planned.version}
                        results.append(Result(**{**vars(kept.outcome), **hashes}, folder=target, computed=key not in before))
            except DamagedPackError:
                planned = plan(stage, context, 0)
                continue
            _check(stage, context, [report])
            _remove_stale(stage, context, [report])
            return results
    raise SpaceError(f"{name}: kept results in {folder} are damaged again and again (is the disk sound?)")


def _put_list(folder: Place, units: Iterable[Unit]) -> Callable[[Context, int], list[Unit]]:
    """Let the workers find the units of a stage that has few."""
    file = folder / "units.pickle"
    file.put(pickle.dumps(list(units)))
    return partial(_listed, file)


def _listed(file: Place, context: Context, part: int) -> list[Unit]:
    """Those of one shard."""
    units: list[Unit] = pickle.loads(file.read())
    return [unit for unit in units if shard_of(unit.unit_id, context.parts) == part]


def _given(settings: Any, params: Params) -> Any:
    return settings


def stage_module(name: str) -> ModuleType:
    """The module of a stage. Where its workers will be forked from imports it, too, at the same time: on another core."""
    module = f"pipelines.stages.{name}"
    if name not in ALONE:
        forkserver.prepare([module])
    return importlib.import_module(module)


def stage_main(argv: Sequence[str] | None = None) -> None:
    """``python -m pipelines.stages <stage> [--params FILE] [-q]``: run one stage; a ``SpaceError`` becomes one line, status 1."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.stages", description="Run one stage of the pipeline.")
    parser.add_argument("stage", choices=STAGES, help="which one; `dvc repro` runs those that something has changed for")
    parser.add_argument("--params", type=Path, help="configuration (default: params.yaml; the package's own for what it lacks)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars, warnings only")
    parser.add_argument("-v", "--verbose", action="store_true", help="Beam's own log, too")
    parser.add_argument(
        "--overfit-one-clip", action="store_true",
        help=f"{', '.join(TRAINING)}: learn one batch of one clip by heart, which any sound model can; nothing is written",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.overfit_one_clip and arguments.stage not in TRAINING:
        parser.error(f"--overfit-one-clip: {arguments.stage} trains nothing (these do: {', '.join(TRAINING)})")
    progress.setup(arguments.quiet, verbose=arguments.verbose)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with lengths_in_words():
            module = stage_module(arguments.stage)
            params = load_params(arguments.params)
            options = {"overfit_one_clip": True} if arguments.overfit_one_clip else {}
            module.run(params, Layout.of(params.job), **options)
    except SpaceError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
