"""A pool of worker processes in which a native crash or a hang costs one task, not the job.

``concurrent.futures.ProcessPoolExecutor`` breaks as a whole when one worker dies and cannot stop a task that hangs. Here each
worker is a thread that owns one spawned process and talks to it over a pipe: when the process dies or exceeds its time, that
one task is answered with a ``Died`` or ``TimedOut`` and the thread starts a new process.
"""

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import queue
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from typing import Any

START_TIMEOUT_S = 300.0
"""A worker that cannot even import its modules in this time is broken."""
LOG_TAIL_CHARACTERS = 2000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""The number of processes alone decides how many cores are busy; and sums do not depend on a thread count."""

_starting = threading.Lock()


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
class Died:
    """The process ended under the task (native crash, killed for memory); ``log`` is the end of its standard error."""

    exit_code: int | None
    log: str


@dataclass(frozen=True)
class TimedOut:
    """The task took longer than the limit and its process was killed."""

    limit_s: float


Answer = Returned | Raised | Died | TimedOut


@dataclass(frozen=True)
class FunctionName:
    """A module-level function by name, so that it need not be pickled (stage modules run as ``__main__``)."""

    module: str
    name: str

    def load(self) -> Callable[..., Any]:
        """Import and return the function."""
        return getattr(import_module(self.module), self.name)


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _serve(connection: Any, function_name: FunctionName, log_path: str) -> None:
    """Body of a worker process: answer tasks until the pipe closes."""
    log_file = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    os.dup2(log_file, 2)  # native libraries write there; the console belongs to the progress bar
    faulthandler.enable()
    warnings = _WarningList()
    logging.basicConfig(handlers=[warnings], level=logging.WARNING, force=True)
    try:
        import cv2

        cv2.setNumThreads(1)
        function = function_name.load()
        connection.send(Returned(None, ()))
        while True:
            arguments = connection.recv()
            warnings.messages.clear()
            try:
                answer: Answer = Returned(function(*arguments), tuple(warnings.messages))
            except Exception:  # the boundary: whatever a task raises becomes its answer, with its traceback
                answer = Raised(traceback.format_exc())
            connection.send(answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the parent is done, or gone


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, function_name: FunctionName) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        handle, self._log_path = tempfile.mkstemp(prefix="space-worker-", suffix=".log")
        os.close(handle)
        self._process = context.Process(target=_serve, args=(other_end, function_name, self._log_path), daemon=True)
        with _starting:
            before = {name: os.environ.get(name) for name in ONE_THREAD}
            os.environ.update(ONE_THREAD)
            try:
                self._process.start()
            finally:
                for name, value in before.items():
                    if value is None:
                        del os.environ[name]
                    else:
                        os.environ[name] = value
        other_end.close()

    def wait_ready(self) -> None:
        """Wait until the process has imported its modules; RuntimeError with its last words if it cannot."""
        answer = self._receive(START_TIMEOUT_S)
        if not isinstance(answer, Returned):
            raise RuntimeError(f"worker process does not start: {answer}")

    def run(self, arguments: tuple[Any, ...], limit_s: float) -> Answer:
        """Run one task; on ``Died`` and ``TimedOut`` this worker is of no further use."""
        with contextlib.suppress(BrokenPipeError):  # died between tasks: receiving says how
            self._connection.send(arguments)
        return self._receive(limit_s)

    def _receive(self, limit_s: float) -> Answer:
        try:
            if not self._connection.poll(limit_s):
                return TimedOut(limit_s)
            return self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            with open(self._log_path, errors="replace") as log:
                return Died(self._process.exitcode, log.read()[-LOG_TAIL_CHARACTERS:])

    def close(self) -> None:
        """End the process, at once."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        os.unlink(self._log_path)


class IsolatedPool:
    """``workers`` processes that apply one function to tasks in the order given.

    Args:
        function_name: the function, importable by name.
        workers: number of processes; started when the first task arrives.
        limit_s: seconds one task may take.
    """

    def __init__(self, function_name: FunctionName, workers: int, limit_s: float) -> None:
        self._function_name = function_name
        self._limit_s = limit_s
        self._workers = workers
        self._tasks: queue.SimpleQueue[tuple[Future[Answer], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, *arguments: Any) -> "Future[Answer]":
        """Queue ``function(*arguments)``; the future gives an ``Answer`` and raises only if workers cannot start."""
        future: Future[Answer] = Future()
        self._tasks.put((future, arguments))
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._drain, daemon=True))
            self._threads[-1].start()
        return future

    def _drain(self) -> None:
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            future, arguments = task
            try:
                if worker is None:
                    worker = _Worker(self._function_name)
                    worker.wait_ready()
                answer = worker.run(arguments, self._limit_s)
            except BaseException as error:  # never leave a future unanswered: its owner would wait for ever
                future.set_exception(error)
                answer = Died(None, "")
            else:
                future.set_result(answer)
            if isinstance(answer, Died | TimedOut) and worker is not None:
                worker.close()
                worker = None
        if worker is not None:
            worker.close()

    def close(self) -> None:
        """Finish what is queued, then end all processes."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
