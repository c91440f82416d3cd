"""A pool of worker processes in which a native crash or a hang costs one task, not the job.

``concurrent.futures.ProcessPoolExecutor`` breaks as a whole when one worker dies and cannot stop a task that hangs. Here each
worker is a thread that owns one process and talks to it over a pipe: when the process dies or exceeds its time, that
one task is answered with a ``Died`` or ``TimedOut`` and the thread starts a new process. No process outlives its maker.
"""

import contextlib
import fcntl
import os
import queue
import signal
import socket
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

from pipelines.job.forkserver import start_worker
from pipelines.job.unit import FunctionName
from pipelines.job.worker import Raised, Returned, Setup

START_TIMEOUT_S = 300.0
"""A worker that cannot even import its modules in this time is broken."""
LOG_TAIL_CHARACTERS = 8000
"""Of what a dead process said: a native abort tells its reason before two stacks and a list of modules."""


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


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, setup: Setup, modules: Sequence[str]) -> None:
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (no name: nothing is left, whoever is killed)
        fcntl.fcntl(self._log, fcntl.F_SETFL, os.O_APPEND)  # the process empties it between two tasks
        self._closing = threading.Lock()
        self._connection, other_end = Pipe()
        with other_end:
            self._child = start_worker(other_end, self._log.fileno(), modules)
        with contextlib.suppress(BrokenPipeError):  # it could not be made: `wait_ready` says why
            self._connection.send(setup)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs: one may be killed between two tasks, which is not the next one's fault."""
        return self._child.is_alive

    def wait_ready(self) -> None:
        """Wait until the process has imported its modules.

        Raises:
            RuntimeError: with its last words, if it cannot.
            OSError: no process can be had, or it was killed meanwhile.
        """
        answer = self._receive(START_TIMEOUT_S)
        if isinstance(answer, Died):
            last_words = answer.log.strip().splitlines()[-1:]
            said = " ".join([f"worker process does not start: exit code {answer.exit_code}", *last_words])
            raise (ChildProcessError if answer.exit_code == -signal.SIGKILL else RuntimeError)(said)
        if isinstance(answer, TimedOut) and not self._child.has_begun:
            self._child.end_server()
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
            exit_code = self._child.exit_code()
            self._log.seek(0)
            return Died(exit_code, self._log.read()[-LOG_TAIL_CHARACTERS:])

    def kill(self) -> None:
        """Have the process end; whoever waits for its answer gets ``Died``."""
        with self._closing:
            if not self._connection.closed:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as pipe, contextlib.suppress(OSError):
                    pipe.shutdown(socket.SHUT_RDWR)  # one that has not begun finds this
                self._child.kill()

    def close(self) -> None:
        """End the process, at once."""
        with self._closing:
            self._connection.close()
            self._child.kill()
        with contextlib.suppress(OSError):  # it was never made
            self._child.exit_code()
        self._child.close()
        self._log.close()


class IsolatedPool:
    """``workers`` processes that apply one function to tasks in the order given.

    Args:
        function_name: the function, importable by name.
        workers: number of processes; started when tasks arrive.
        memory_gb: data that one process may hold.
        given: the function's first arguments, the same for every task: a process gets them once.
        modules: what the function will import, beside its own module.
    """

    def __init__(
        self, function_name: FunctionName, workers: int, memory_gb: float, given: tuple[Any, ...] = (),
        modules: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._function_name, self._given, self._modules = function_name, given, (function_name.module, *modules)
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
        setup = Setup(self._function_name, self._given, self._memory_gb, os.getcwd(), dict(os.environ))
        worker = _Worker(setup, self._modules)
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
