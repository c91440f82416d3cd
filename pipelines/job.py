"""What every stage shares: run one function over many units (Beam, isolated processes, cache), keep the ledger, report time.

    outcomes = run_units("align", units, align_one, params.align, layout, params.job)

* ``align_one(value, settings, folder)`` writes its files into ``folder`` and returns nothing. It may raise ``Rejected``.
  It must be a module-level function, and may depend on nothing but its arguments: no state passes from unit to unit.
* The folder is kept under ``.cache/units/<stage>/<key>``; the key hashes the unit's content, the settings, the source code the
  function can reach and the releases of its packages. A unit with a kept result is not run again; a failed one is, a bounded
  number of times (``quarantine``).
* Each unit runs in a process of its own pool (``isolate``): a crash, a hang or an exception costs that unit, which ends as
  ``failed`` in the ledger with its traceback.
* Outcomes come back in the order of the unit ids, whatever the number of workers, so what a stage writes from them has the
  same bytes. Only paths and keys travel through Beam.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.code_version import code_version
from pipelines.isolate import Answer, Died, FunctionName, Raised, Returned, TimedOut
from pipelines.layout import Layout
from pipelines.quarantine import as_answer, forget_failure, known_failure, record_failure
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import atomic_file, lengths_in_words, make_folder, maker_of_part, part_of
from space_data.params import Job, Params, Section, load_params
from space_data.schema import FAILED, KEPT, REJECTED, STATUSES, LedgerRow, arrow_schema
from space_data.tables import in_order, to_arrow, write_arrow

__all__ = [
    "REASONS", "Layout", "Outcome", "Rejected", "Unit", "all_kept", "content_hash", "folders_of", "ledger_rows", "run_units",
    "stage_clock", "stage_main", "write_ledger",
]  # fmt: skip

logger = logging.getLogger(__name__)

REASONS = {
    # the file (ingest)
    "empty_file": "the file has 0 bytes",
    "not_media": "the content is not audio or video, whatever the name says",
    "unreadable": "a media file whose header or first frame cannot be read (often cut off while copying)",
    "no_video": "no video stream",
    # the streams (measure, filter)
    "truncated": "the file ends before the time that it promises",
    "damaged": "packets of pictures or sound do not decode",
    "no_audio": "no audio stream",
    "silent": "the sound is digital silence or far too quiet",
    "no_speech": "too small a share of the time holds speech",
    "noisy_sound": "speech hardly louder than what lies between",
    "clipped_sound": "too many samples at full scale",
    "sound_gaps": "silence was put in where sound is missing",
    "bad_samples": "samples that are no numbers",
    "sound_rescaled": "float samples in the range of integers",
    "channels_cancel": "channels of opposite sign, of which one is used",
    "length_mismatch": "audio and video of very different length",
    "too_short": "the clip, or the shot cut from it, is too short",
    "low_resolution": "the picture is too small",
    "variable_rate": "the time between frames varies",
    "low_frame_rate": "too few pictures a second for lips",
    "joined_recordings": "time stamps start again in mid-file: recordings joined end to end",
    "clock_jumps": "time stamps jump ahead over time without any packet",
    "size_changes": "the picture changes its size",
    "several_tracks": "several tracks of sound or pictures, of which the default one is used",
    "mirrored": "the file says that its picture is shown mirrored",
    "interlaced": "pictures of two fields, deinterlaced",
    "colours_mapped": "HDR or a wide gamut, mapped to BT.709",
    # the picture
    "no_face": "no face, or in hardly any frame",
    "face_lost": "the face is missing in some frames",
    "several_faces": "a second face of comparable size",
    "small_face": "the face is too small",
    "face_cut_off": "the face leaves the picture",
    "track_broken": "the face jumps: another face was taken for the first",
    "uncertain_face": "the face detector is hardly sure that this is a face",
    "jittery": "the landmarks tremble",
    "not_photographed": "not a photographed person (drawn, painted, sculpted, an animal)",
    "profile": "the head is turned too far to the side",
    "tilted": "the head is bent too far up, down or to a shoulder",
    "blurred": "the face is not sharp for its size (upscaled, out of focus, motion)",
    "too_dark": "the face is too dark",
    "too_bright": "the face is too bright",
    "flat_light": "the face has hardly any contrast",
    "frozen": "the picture stands still",
    "duplicate_frames": "many frames repeat the one before (converted frame rate)",
    "bordered": "bars of one colour frame the picture",
    "lips_still": "speech is heard but the lips do not move",
    "screened": "only the sparse screen has looked at it: run `measure` again",
    # sound against picture (sync)
    "av_offset_too_large": "sound and lips are further apart than is corrected",
    "av_sync_uncertain": "lips and sound do not belong together, or it cannot be told",
    # all together
    "doubtful": "no single bound rejects it, but several notes together speak against it",
    # the run
    "error": "a known problem with this clip; the detail says which",
    "exception": "our code failed on it; the detail holds the traceback",
    "worker_died": "the process died while working on it (native crash, out of memory)",
    "timed_out": "it took longer than job.timeout_s",
}
"""The closed list of reason codes in the ledger."""

DETAIL_CHARACTERS = 4000
HASH_CHARACTERS = 16
"""Of the hashes of settings and code in the ledger: enough to tell two apart."""
OUTCOME_FILE = "outcome.json"
LOST = {"reason": "worker_died", "detail": "no answer and no result: the unit was lost"}
STAGE_FACTS = ("stage", "clips", "computed", "seconds", "clips_per_s", *STATUSES)
"""What every stage tells of itself; anything else in its line is a note of its own."""


class Rejected(Exception):
    """Raised by a unit function: the unit is fine to drop, for ``reason`` (of ``REASONS``)."""

    def __init__(self, reason: str, detail: str = "", value: float | None = None, threshold: float | None = None) -> None:
        super().__init__(reason, detail, value, threshold)
        self.reason, self.detail, self.value, self.threshold = reason, detail, value, threshold


@dataclass(frozen=True)
class Unit:
    """One piece of work: ``unit_id`` (a clip or segment id), a hash of the *content* it depends on, the function's argument."""

    unit_id: str
    content: str
    value: Any
    """picklable, small: paths and rows, never frames"""


@dataclass(frozen=True)
class Outcome:
    """What became of a unit. ``folder`` holds what the function wrote; None if the unit failed."""

    unit_id: str
    status: str
    reason: str = ""
    detail: str = ""
    value: float | None = None
    threshold: float | None = None
    folder: Path | None = None
    computed: bool = False
    """now, not in an earlier run"""
    content: str = ""
    config: str = ""
    version: str = ""
    """hashes of the unit's content, of the settings and of the code: the parts of the key it is kept under"""


@dataclass(frozen=True)
class _Task:
    """What travels through Beam for a unit."""

    unit_id: str
    folder: str
    value: Any
    settings: Any
    function: FunctionName


def content_hash(*parts: Any) -> str:
    """SHA-256 of JSON-able ``parts`` (dicts with sorted keys), for ``Unit.content``."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _function_name(function: Callable[..., Any]) -> FunctionName:
    """Importable name of ``function``, also when its module runs as ``__main__``."""
    module = function.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    return FunctionName(module, function.__name__)


def run_units(
    stage: str, units: Iterable[Unit], function: Callable[[Any, Any, Path], None], settings: Any, layout: Layout, job: Job
) -> list[Outcome]:
    """Run ``function(unit.value, settings, folder)`` once per unit, in parallel; results kept from earlier runs are reused.

    Args:
        stage: name of the stage; part of the cache's path.
        units: the work; ids must be unique.
        function: module-level; see the module's docstring.
        settings: what the function needs to know beside the unit, as a params section (or a tuple of them, or None).

    Returns:
        One outcome per unit, sorted by unit id.
    """
    todo = sorted(units, key=lambda unit: unit.unit_id)
    repeated = [unit_id for unit_id, n in Counter(unit.unit_id for unit in todo).items() if n > 1]
    if repeated:
        raise SpaceError(f"{stage}: unit id {repeated[0]!r} occurs twice (two files that differ only in their suffix?)")
    name = _function_name(function)
    cache = layout.cache / "units" / stage
    _remove_leftovers(cache, job.cache_days)
    version = code_version(name.module)
    folders = {
        unit.unit_id: cache / content_hash(stage, name.name, unit.unit_id, unit.content, _plain(settings), version)[:40]
        for unit in todo
    }
    tasks = [
        _Task(unit.unit_id, str(folders[unit.unit_id]), unit.value, settings, name)
        for unit in todo
        if not (folders[unit.unit_id] / OUTCOME_FILE).is_file()
    ]
    if len(tasks) < len(todo):
        logger.info("%s: %d of %d units are kept from earlier runs", stage, len(todo) - len(tasks), len(todo))
    answers = _try_tasks(stage, tasks, cache, job)
    config = content_hash(_plain(settings))
    return [
        replace(
            _outcome(unit.unit_id, folders[unit.unit_id], answers.get(unit.unit_id)),
            content=unit.content, config=config[:HASH_CHARACTERS], version=version[:HASH_CHARACTERS],
        )
        for unit in todo
    ]  # fmt: skip


def _plain(settings: Any) -> Any:
    """Settings as JSON-able data, for the key."""
    if isinstance(settings, Section):
        return settings.model_dump(mode="json")
    return [_plain(item) for item in settings] if isinstance(settings, tuple | list) else settings


def _remove_leftovers(cache: Path, cache_days: float) -> None:
    """Delete what killed runs left half-made, and results that no run has used for ``cache_days``."""
    now_s = time.time()
    for path in cache.glob("*") if cache.is_dir() else []:
        maker = maker_of_part(path)
        half_made = maker is not None and not _alive(maker)
        if half_made or now_s - path.stat().st_mtime > cache_days * 86_400:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _try_tasks(stage: str, tasks: Sequence[_Task], cache: Path, job: Job) -> dict[str, dict[str, Any]]:
    """Run the tasks, those that fail again until they have had their attempts; what each came to, by unit id."""
    answers: dict[str, dict[str, Any]] = {}
    waiting = list(tasks)
    while waiting:
        known = {task.unit_id: known_failure(Path(task.folder)) for task in waiting}
        spent = {unit_id: failure for unit_id, failure in known.items() if failure and failure.attempts >= job.attempts}
        for unit_id, failure in spent.items():
            answers[unit_id] = as_answer(failure)
        waiting = [task for task in waiting if task.unit_id not in spent]
        if not waiting:
            break
        lost = {task.unit_id: {"unit_id": task.unit_id, **LOST} for task in waiting}
        answers |= lost | _run_tasks(stage, waiting, cache, job)
        waiting = [task for task in waiting if "reason" in answers[task.unit_id]]
        for task in waiting:
            record_failure(Path(task.folder), answers[task.unit_id])
    if quarantined := sum("reason" in answer for answer in answers.values()):
        logger.warning("%s: %d units failed in every attempt, the ledger says why", stage, quarantined)
    return answers


def _run_tasks(stage: str, tasks: Sequence[_Task], cache: Path, job: Job) -> dict[str, dict[str, Any]]:
    """Run the tasks through Beam; what each answered, by unit id."""
    from pipelines import units_beam

    make_folder(cache)
    fn = units_beam.RunUnits(FunctionName(__name__, "serve_task"), answer_line, job.workers, job.timeout_s)
    with tempfile.TemporaryDirectory(prefix=".lines-", dir=cache) as lines, progress.bar(stage, len(tasks)) as advance:
        units_beam.on_unit_done.append(lambda _: advance())
        try:
            units_beam.run(tasks, fn, job.beam, Path(lines) / "answer")
        finally:
            units_beam.on_unit_done.clear()
        answers = [json.loads(line) for file in sorted(Path(lines).iterdir()) for line in file.read_text().splitlines()]
    for answer in answers:
        for message in answer["warnings"]:
            logger.warning("%s", message)
    return {answer["unit_id"]: answer for answer in answers}


def serve_task(task: _Task) -> dict[str, Any]:
    """In the worker process: run one unit into a temporary folder and move that to its place, complete.

    Returns:
        ``{}``, or the reason and detail of a failure that is the clip's and not ours.
    """
    final = Path(task.folder)
    part = part_of(final)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    outcome: dict[str, Any] = {"status": KEPT}
    try:
        task.function.load()(task.value, task.settings, part)
    except Rejected as rejection:
        outcome = {"status": REJECTED, **rejection.__dict__}
    except SpaceError as error:
        shutil.rmtree(part)
        return {"reason": "error", "detail": str(error)}
    except BaseException:
        shutil.rmtree(part)
        raise
    (part / OUTCOME_FILE).write_text(json.dumps(outcome))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    return {}


def answer_line(task: _Task, answer: Answer) -> str:
    """What a worker answered, as one line of JSON."""
    facts: dict[str, Any] = {"unit_id": task.unit_id, "warnings": []}
    match answer:
        case Returned(value, warnings):
            facts |= {**value, "warnings": list(warnings)}
        case Raised(trace):
            facts |= {"reason": "exception", "detail": trace[-DETAIL_CHARACTERS:]}
        case Died(exit_code, log):
            facts |= {"reason": "worker_died", "detail": f"exit code {exit_code}. {log[-DETAIL_CHARACTERS:]}".strip()}
        case TimedOut(limit_s):
            facts |= {"reason": "timed_out", "detail": f"took longer than {limit_s:g} s", "threshold": limit_s}
    return json.dumps(facts)


def _outcome(unit_id: str, folder: Path, answer: dict[str, Any] | None) -> Outcome:
    """Outcome of one unit from its kept result, else from the failure it answered."""
    if answer is not None and "reason" in answer:
        return Outcome(unit_id, FAILED, answer["reason"], answer["detail"], threshold=answer.get("threshold"))
    marker = folder / OUTCOME_FILE
    if not marker.is_file():
        return Outcome(unit_id, FAILED, LOST["reason"], LOST["detail"])
    if answer is not None:
        forget_failure(folder)
    os.utime(folder)  # used today: see _remove_leftovers
    return Outcome(unit_id, folder=folder, computed=answer is not None, **json.loads(marker.read_text()))


def folders_of(stage: str, outcomes: Iterable[Outcome]) -> list[Path]:
    """The result folders of units that none may lack: whole shards of earlier tables, in which no clip can be at fault.

    Raises:
        SpaceError: one failed.
    """
    folders = []
    for outcome in outcomes:
        if outcome.folder is None:
            raise SpaceError(f"{stage}: {outcome.unit_id}: {outcome.detail}")
        folders.append(outcome.folder)
    return folders


def all_kept(stage: str, clip_ids: pa.ChunkedArray, detail: pa.ChunkedArray | str = "") -> pa.Table:
    """The ledger of a stage that drops nothing, as columns."""
    n = len(clip_ids)
    details = pa.chunked_array([pa.array([detail] * n, pa.string())]) if isinstance(detail, str) else detail
    made = {"clip_id": clip_ids, "stage": pa.array([stage] * n), "status": pa.array([KEPT] * n), "detail": details}
    nothing = {field.name: pa.nulls(n, field.type) if field.nullable else pa.array([""] * n) for field in arrow_schema(LedgerRow)}
    return pa.table([(nothing | made)[name] for name in arrow_schema(LedgerRow).names], schema=arrow_schema(LedgerRow))


def ledger_rows(stage: str, outcomes: Iterable[Outcome]) -> list[LedgerRow]:
    """One ledger row per outcome."""
    return [
        LedgerRow(o.unit_id, stage, o.status, o.reason, o.value, o.threshold, o.detail, o.content, o.config, o.version)
        for o in outcomes
    ]


def write_ledger(
    layout: Layout, stage: str, inputs: Iterable[str] | pa.ChunkedArray, rows: Sequence[LedgerRow] | pa.Table
) -> Counter[str]:
    """Check that every input is accounted for and write the stage's ledger.

    A rejected unit may have several rows, one per reason; a kept or failed one has exactly one.

    Args:
        inputs: ids that entered the stage.
        rows: what became of them, as rows or as an Arrow table of them.

    Returns:
        Number of units per status.

    Raises:
        SpaceError: inputs != kept + rejected + failed, or a reason is not in ``REASONS``.
    """
    table = rows if isinstance(rows, pa.Table) else to_arrow(rows, LedgerRow)
    table = in_order(table, "clip_id", "reason")
    wanted = inputs if isinstance(inputs, pa.ChunkedArray) else pa.chunked_array([pa.array(inputs, pa.string())])
    counts = check_conservation(stage, wanted, table)
    write_arrow(layout.ledger(stage), table)
    return counts


def check_conservation(stage: str, inputs: pa.ChunkedArray, ledger: pa.Table) -> Counter[str]:
    """Check that a ledger sorted by clip gives every input exactly one fate; columns only, so that millions take seconds.

    Returns:
        Number of units per status.

    Raises:
        SpaceError: see ``write_ledger``.
    """
    ids, status, reason = (ledger.column(name).combine_chunks() for name in ("clip_id", "status", "reason"))
    listed = pc.is_in(reason, pa.array(list(REASONS), pa.string()))
    silent = pc.and_(pc.equal(status, KEPT), pc.equal(reason, ""))
    valid = pc.and_(pc.is_in(status, pa.array(STATUSES, pa.string())), pc.xor(listed, silent))
    is_first = np.ones(len(ids), np.bool_)
    is_first[1:] = np.asarray(pc.not_equal(ids[1:], ids[:-1]))
    number = np.cumsum(is_first) - 1
    fate = status.take(pa.array(np.flatnonzero(is_first)))
    torn = pc.not_equal(status, fate.take(pa.array(number)))
    for bad in _first_true(pc.invert(valid)):
        raise SpaceError(f"{stage}: clip {ids[bad]} is {status[bad]} for {str(reason[bad])!r} (job.REASONS lists the reasons)")
    for bad in _first_true(torn):
        raise SpaceError(f"{stage}: clip {ids[bad]} ends both as {fate[number[bad]]} and as {status[bad]}")
    units = ids.filter(pa.array(is_first))
    repeated = pa.array(np.bincount(number, minlength=len(units)) > 1)
    doubled = units.filter(pc.and_(repeated, pc.not_equal(fate, REJECTED)))
    lost = inputs.filter(pc.invert(pc.is_in(inputs, units)))
    foreign = units.filter(pc.invert(pc.is_in(units, inputs.combine_chunks())))
    if len(lost) or len(foreign) or len(doubled) or pc.count_distinct(inputs).as_py() != len(inputs):
        raise SpaceError(
            f"{stage}: {len(inputs)} inputs do not equal kept + rejected + failed: lost {sorted(lost[:3].to_pylist())}, "
            f"never asked for {foreign[:3].to_pylist()}, counted twice {doubled[:3].to_pylist()}"
        )
    return Counter({entry["values"]: entry["counts"] for entry in fate.value_counts().to_pylist()})


def _first_true(mask: pa.BooleanArray) -> list[int]:
    """The index of the first true entry, if there is one."""
    return np.flatnonzero(np.asarray(mask))[:1].tolist()


@dataclass
class StageClock:
    """What a stage tells about itself when it ends: see ``stage_clock``."""

    clips: int = 0
    computed: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, str] = field(default_factory=dict)


def stage_line(facts: Mapping[str, Any]) -> str:
    """A stage's facts as text, e.g. ``115 clips in 5.5 s (21.1/s); kept 112, rejected 3, failed 0``."""
    fates = ", ".join(f"{status} {facts[status]}" for status in STATUSES)
    kept_before = f", {facts['clips'] - facts['computed']} from earlier runs" if facts["computed"] < facts["clips"] else ""
    notes = "".join(f"; {name} {value}" for name, value in facts.items() if name not in STAGE_FACTS)
    return f"{facts['clips']} clips in {facts['seconds']:.1f} s ({facts['clips_per_s']:.1f}/s{kept_before}); {fates}{notes}"


@contextmanager
def stage_clock(layout: Layout, stage: str) -> Iterator[StageClock]:
    """Time a stage: fill in the ``StageClock``; at the end its line is printed and kept in ``reports/stages/<stage>.json``."""
    clock = StageClock()
    began_s = time.perf_counter()
    yield clock
    seconds = time.perf_counter() - began_s
    facts = {
        "stage": stage, "clips": clock.clips, "computed": clock.clips if clock.computed is None else clock.computed,
        "seconds": round(seconds, 2), "clips_per_s": round(clock.clips / max(seconds, 1e-9), 3),
        **{status: clock.counts[status] for status in STATUSES}, **clock.notes,
    }  # fmt: skip
    with atomic_file(layout.timing(stage)) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")
    if not progress.is_quiet():
        # One line, so that it also reads well in a log; `report` prints all stages as one table.
        print(f"{stage}: {stage_line(facts)}")


def stage_main(run: Callable[[Params, Layout], None], argv: Sequence[str] | None = None) -> None:
    """``main`` of every stage: ``python -m pipelines.<verb> [--params FILE] [-q]``; a ``SpaceError`` becomes one line."""
    parser = argparse.ArgumentParser(description=(sys.modules[run.__module__].__doc__ or "").split("\n")[0])
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="configuration (default: params.yaml)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars, warnings only")
    arguments = parser.parse_args(argv)
    progress.setup(arguments.quiet)
    try:
        with lengths_in_words():
            run(load_params(arguments.params), Layout())
    except SpaceError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
