"""What a worker process does: it answers tasks, within the memory that it may hold, until nobody asks any more."""

import ctypes
import faulthandler
import logging
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from pipelines.job.unit import FunctionName
from space_data.native_noise import keep_native_noise

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""The number of processes alone decides how many cores are busy; and sums do not depend on a thread count."""
PR_SET_PDEATHSIG = 1
LEAST_BYTES = 2**26
"""A worker that cannot have so much more than its modules could do no work."""


@dataclass(frozen=True)
class Returned:
    """The task's return value, and what it logged as a warning or worse."""

    value: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Raised:
    """The task raised; ``trace`` is the traceback as text."""

    trace: str


@dataclass(frozen=True)
class Setup:
    """The first thing that a worker is sent: the function, and the surroundings that its maker has by now."""

    function: FunctionName
    given: tuple[Any, ...]
    """the function's first arguments, the same for every task"""
    memory_gb: float
    folder: str
    environment: Mapping[str, str]


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def die_with_parent(parent_id: int) -> None:
    """Have the kernel kill this process when the thread that made it ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_id:  # it ended before the kernel was told
        os._exit(1)


def limit_memory(limit_gb: float) -> None:
    """Let what would take more raise a ``MemoryError`` (or end this process), before the machine runs out.

    Raises:
        MemoryError: the process holds about as much already.
    """
    limit = int(limit_gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    bytearray(LEAST_BYTES)


def work(connection: Connection, log: int, parent_id: int) -> None:
    """Answer tasks until the pipe closes.

    Args:
        log: descriptor of an open file, which takes this process's standard error: native libraries write there, and the
            console belongs to the progress bar.
    """
    die_with_parent(parent_id)
    os.dup2(log, 2)
    os.close(log)
    keep_native_noise()
    faulthandler.enable()
    warnings = _WarningList()
    logging.basicConfig(handlers=[warnings], level=logging.WARNING, force=True)
    try:
        setup: Setup = connection.recv()
        os.environ.clear()
        os.environ.update({**setup.environment, **ONE_THREAD})
        os.chdir(setup.folder)
        limit_memory(setup.memory_gb)
        import cv2

        cv2.setNumThreads(1)
        function = setup.function.load()
        connection.send(Returned(None, ()))
        while True:
            arguments = connection.recv()
            warnings.messages.clear()
            os.ftruncate(2, 0)  # what was said of other tasks says nothing of this one
            try:
                answer: Returned | Raised = Returned(function(*setup.given, *arguments), tuple(warnings.messages))
            except Exception:  # the boundary: whatever a task raises becomes its answer, with its traceback
                answer = Raised(traceback.format_exc())
            connection.send(answer)
    except (EOFError, BrokenPipeError):
        return  # the parent is done, or gone


def stand_in_for_main(name: str) -> None:
    """Let what the maker knows as ``__main__`` be the module ``name`` here: classes of its tasks may be defined there."""
    if name:
        sys.modules["__main__"] = import_module(name)


def main() -> None:
    """A worker that was not forked with its modules; arguments: end of the pipe, log, parent, the maker's main module."""
    stand_in_for_main(sys.argv[4])
    connection, log, parent_id = map(int, sys.argv[1:4])
    work(Connection(connection), log, parent_id)

