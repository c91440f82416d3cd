"""A pool of worker processes in which a native crash or a hang costs one task, not the job.

``concurrent.futures.ProcessPoolExecutor`` breaks as a whole when one worker dies and cannot stop a task that hangs. Here each
worker is a thread that owns one spawned process and talks to it over a pipe: when the process dies or exceeds its time, that
one task is answered with a ``Died`` or ``TimedOut`` and the thread starts a new process. No process outlives its maker.
"""

import contextlib
import ctypes
import faulthandler
import logging
import multiprocessing
import os
import queue
import resource
import signal
import tempfile
import threading
import traceback
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pipelines.job.unit import FunctionName

START_TIMEOUT_S = 300.0
"""A worker that cannot even import its modules in this time is broken."""
LOG_TAIL_CHARACTERS = 8000
"""Of what a dead process said: a native abort tells its reason before two stacks and a list of modules."""
PR_SET_PDEATHSIG = 1
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
    """Let what would take more raise a ``MemoryError`` (or end this process), before the machine runs out."""
    limit = int(limit_gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _serve(
    connection: Any, function_name: FunctionName, given: tuple[Any, ...], log_path: str, parent_id: int, memory_gb: float
) -> None:
    """Body of a worker process: answer tasks until the pipe closes."""
    die_with_parent(parent_id)
    limit_memory(memory_gb)
    log_file = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    os.unlink(log_path)  # the parent holds it open: nothing is left, whoever is killed
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
            os.ftruncate(2, 0)  # what was said of other tasks says nothing of this one
            try:
                answer: Answer = Returned(function(*given, *arguments), tuple(warnings.messages))
            except Exception:  # the boundary: whatever a task raises becomes its answer, with its traceback
                answer = Raised(traceback.format_exc())
            connection.send(answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the parent is done, or gone


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, function_name: FunctionName, given: tuple[Any, ...], memory_gb: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        handle, log_path = tempfile.mkstemp(prefix="space-worker-", suffix=".log")
        self._log = os.fdopen(handle, errors="replace")
        arguments = (other_end, function_name, given, log_path, os.getpid(), memory_gb)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
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

    @property
    def is_alive(self) -> bool:
        """Whether the process runs: one may be killed between two tasks, which is not the next one's fault."""
        return self._process.is_alive()

    def wait_ready(self) -> None:
        """Wait until the process has imported its modules; RuntimeError with its last words if it cannot."""
        answer = self._receive(START_TIMEOUT_S)
        if isinstance(answer, Died):
            last_words = answer.log.strip().splitlines()[-1:]
            raise RuntimeError(" ".join([f"worker process does not start: exit code {answer.exit_code}", *last_words]))
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
            self._log.seek(0)
            return Died(self._process.exitcode, self._log.read()[-LOG_TAIL_CHARACTERS:])

    def kill(self) -> None:
        """Have the process end; whoever waits for its answer gets ``Died``."""
        self._process.kill()

    def close(self) -> None:
        """End the process, at once."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        self._log.close()


class IsolatedPool:
    """``workers`` processes that apply one function to tasks in the order given.

    Args:
        function_name: the function, importable by name.
        workers: number of processes; started when tasks arrive.
        memory_gb: data that one process may hold.
        given: the function's first arguments, the same for every task: a process gets them once.
    """

    def __init__(self, function_name: FunctionName, workers: int, memory_gb: float, given: tuple[Any, ...] = ()) -> None:
        self._function_name, self._given = function_name, given
        self._workers, self._memory_gb = workers, memory_gb
        self._tasks: queue.SimpleQueue[tuple[Future[Answer], tuple[Any, ...], float] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: set[_Worker] = set()
        self._closed = False

    def submit(self, *arguments: Any, limit_s: float) -> "Future[Answer]":
        """Queue ``function(*given, *arguments)``, which may take ``limit_s``.

        Returns:
            A future that gives an ``Answer``; it raises RuntimeError if workers cannot start, and is cancelled by ``close``.
        """
        future: Future[Answer] = Future()
        self._tasks.put((future, arguments, limit_s))
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._drain, daemon=True))
            self._threads[-1].start()
        return future

    def _drain(self) -> None:
        worker: _Worker | None = None
        while (task := self._tasks.get()) is not None:
            future, arguments, limit_s = task
            if self._closed or not future.set_running_or_notify_cancel():
                future.cancel()
                continue
            try:
                if worker is None or not worker.is_alive:
                    self._end(worker)
                    worker = self._start()
                answer = worker.run(arguments, limit_s)
            except BaseException as error:  # never leave a future unanswered: its owner would wait for ever
                future.set_exception(error)
                answer = Died(None, "")
            else:
                future.set_result(answer)
            if isinstance(answer, Died | TimedOut):
                self._end(worker)
                worker = None
        self._end(worker)

    def _start(self) -> _Worker:
        worker = _Worker(self._function_name, self._given, self._memory_gb)
        self._running.add(worker)
        try:
            worker.wait_ready()
        except BaseException:
            self._end(worker)
            raise
        return worker

    def _end(self, worker: _Worker | None) -> None:
        if worker in self._running and worker is not None:
            self._running.discard(worker)
            worker.close()

    def close(self) -> None:
        """Drop what is queued and end all processes, at once."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for worker in list(self._running):
            worker.kill()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
