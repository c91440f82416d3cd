"""What a worker process does with one unit: run it in a scratch folder, and say whose fault it is if that went wrong."""

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.job.faults import check_inputs, environment_fault
from pipelines.job.pool import Answer, Died, TimedOut
from pipelines.job.unit import EnvironmentFault, FunctionName, Outcome, Rejected, Unit
from pipelines.job.worker import Raised, Returned
from space_data.errors import SpaceError
from space_data.schema import FAILED, REJECTED
from space_data.store import forget_copies

DETAIL_CHARACTERS = 4000
NO_MEMORY = "out of memory?"
FROM_OUTSIDE = {-signal.SIGKILL: NO_MEMORY, **{-number: number.name for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}}
"""Ends that no clip brings about: out of memory, a scheduler or an engine that ends all processes of a job, Ctrl-C."""
OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "pthread_create failed")
"""Last words of a process that memory, or room for a thread's stack, was refused to."""


@dataclass(frozen=True)
class Work:
    """What is done with every unit of a stage."""

    function: FunctionName
    settings: Any


def serve(work: Work, unit: Unit, folder: Path) -> Outcome | EnvironmentFault:
    """Run one unit; its files are in ``folder`` if it is kept.

    Returns:
        What became of it; or the fault of the environment because of which it cannot be told.
    """
    try:
        outcome, doubt = _attempt(work, unit, folder)
        check_inputs(unit.inputs)
        if doubt and unit.inputs:  # an error that the disk gave once reads like damage: only one that stays is the file's
            forget_copies()
            outcome, _ = _attempt(work, unit, folder)
            check_inputs(unit.inputs)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        fault = environment_fault(error)
        if fault is None and isinstance(error, OSError | SpaceError):
            fault = _inputs_fault(unit)
        if fault is None:
            raise
        return fault
    return outcome


def _attempt(work: Work, unit: Unit, folder: Path) -> tuple[Outcome, str]:
    """One run of the function: what came of it, and what it found wrong with its input."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    function = work.function.load()
    try:
        return Outcome(unit.unit_id), function(unit.value, work.settings, folder) or ""
    except Rejected as rejection:
        shutil.rmtree(folder)
        return Outcome(unit.unit_id, REJECTED, **rejection.__dict__), rejection.reason
    except SpaceError as error:
        if environment_fault(error):
            raise
        shutil.rmtree(folder)
        return Outcome(unit.unit_id, FAILED, "error", str(error)), "error"


def _inputs_fault(unit: Unit) -> EnvironmentFault | None:
    try:
        check_inputs(unit.inputs)
    except EnvironmentFault as fault:
        return fault
    return None


def outcome_of(unit: Unit, answer: Answer) -> Outcome | EnvironmentFault:
    """What a worker's answer means for the unit."""
    match answer:
        case Returned(value, _):
            return value
        case Raised(trace):
            return Outcome(unit.unit_id, FAILED, "exception", trace[-DETAIL_CHARACTERS:])
        case Died(exit_code, log) if exit_code in FROM_OUTSIDE or any(words in log for words in OUT_OF_MEMORY):
            said = next((line for line in log.splitlines() if any(words in line for words in OUT_OF_MEMORY)), "")
            guess = FROM_OUTSIDE.get(exit_code or 0, NO_MEMORY)
            return EnvironmentFault(f"a worker was killed while working on {unit.unit_id} ({guess}) {said}".strip())
        case Died(exit_code, log):
            return Outcome(unit.unit_id, FAILED, "worker_died", f"exit code {exit_code}. {log[-DETAIL_CHARACTERS:]}".strip())
        case TimedOut(limit_s):
            return Outcome(unit.unit_id, FAILED, "timed_out", f"took longer than {limit_s:g} s", threshold=limit_s)
