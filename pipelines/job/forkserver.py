"""The process that workers are forked from: what they have to import is imported once, and they start in milliseconds.

``multiprocessing`` has such a server, too, but it cannot import more once it runs (each stage needs other modules), it imports
the caller's main module in every child, and its children outlive their maker while they work. This one ends with its maker,
and its children with it.

A fork copies one thread. So the server does nothing but import: libraries start their threads when they are used, which happens
in the children; pyarrow's allocator is told not to start its own. Where a module starts one all the same, children are
not forked but begin as new processes: slower, as if there were no server.
"""

import atexit
import contextlib
import errno
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any, NoReturn

from pipelines.job.worker import ONE_THREAD, die_with_parent, stand_in_for_main, work

KILLED = -signal.SIGKILL
REQUEST_BYTES = 2**17
NO_ALLOCATOR_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
THREADS = "/proc/self/task"
WORKER = "from pipelines.job.worker import main; main()"
"""Not ``-m``: its classes would be those of ``__main__``, which the maker does not know."""
REPORT_S = 5.0
"""Between the end of a pipe and the word on why it ended, at most, if the server does not hang."""
DESCRIPTORS = 3
"""That come with a request: the end of the child's pipe, its log, and where the server reports on it."""


class Child:
    """A process that the server has made, or is about to."""

    def __init__(self, report: Connection, server: "_Server") -> None:
        self._report, self._server = report, server
        self._looking = threading.Lock()
        self._pid: int | None = None
        self._exit_code: int | None = None
        self._fault: OSError | None = None

    def _look(self) -> None:
        """Take what the server has reported so far: first the process's id or why there is none, then how it ended."""
        with self._looking:
            while self._exit_code is None and self._report.poll():
                try:
                    told = self._report.recv()
                except (EOFError, OSError):  # the server is gone, and with it all that it made
                    if self._pid is None:
                        said = self._server.last_words()
                        self._fault = ChildProcessError(f"no worker: the process that forks them ended {said}")
                    self._exit_code = KILLED
                    return
                if self._pid is not None:
                    self._exit_code = told
                elif told < 0:
                    self._fault, self._exit_code = OSError(-told, f"no worker: {os.strerror(-told)}"), KILLED
                else:
                    self._pid = told

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or has not yet begun."""
        self._look()
        return self._exit_code is None

    @property
    def has_begun(self) -> bool:
        """Whether the server has made it."""
        self._look()
        return self._pid is not None

    def kill(self) -> None:
        """Have it end. One that has not begun ends by itself, when it finds nobody at its pipe."""
        if self.is_alive and self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def exit_code(self) -> int | None:
        """How it ended; waits for that. None: it has not begun, and will end when it does.

        Raises:
            OSError: it could not be made.
        """
        while self.is_alive:
            if not self._report.poll(None if self.has_begun else REPORT_S) and not self.has_begun:
                return None
        if self._fault is not None:
            raise self._fault
        return self._exit_code

    def close(self) -> None:
        """Give up what this process knows of it."""
        self._report.close()

    def end_server(self) -> None:
        """End the server, which hangs in an import, and all that it has made: the next child gets another one."""
        self._server.process.kill()


class _Server:
    """The server as its maker sees it."""

    def __init__(self) -> None:
        self.owner, self.has_made = os.getpid(), False
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (as long as the server)
        made = queue.SimpleQueue[subprocess.Popen[bytes] | OSError]()
        # The kernel ends the server with the thread that made it: one that lasts as long as the server or this process does.
        threading.Thread(target=self._keep, args=(theirs, made), daemon=True, name="fork server").start()
        process = made.get()
        theirs.close()
        if isinstance(process, OSError):
            raise process
        self.process = process

    def _keep(self, control: socket.socket, made: "queue.SimpleQueue[subprocess.Popen[bytes] | OSError]") -> None:
        environment = os.environ | ONE_THREAD | NO_ALLOCATOR_THREAD | {"PYTHONPATH": _search_path()}
        command = [sys.executable, "-P", "-m", "pipelines.job.forkserver", str(control.fileno()), str(os.getpid())]
        try:
            process = subprocess.Popen(
                command, env=environment, pass_fds=[control.fileno()], stdin=subprocess.DEVNULL, stderr=self.log
            )  # fmt: skip
        except OSError as error:
            made.put(error)
            return
        made.put(process)
        process.wait()

    def last_words(self) -> str:
        """The last line that it said."""
        self.log.seek(0)
        return "".join(f"({line})" for line in self.log.read().strip().splitlines()[-1:])

    def end(self) -> None:
        """Let it end, and wait for that: the times of its children are then counted with this process's own."""
        if not self.has_made:
            self.process.kill()  # it may be at imports that nobody needs any more
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(REPORT_S)

    @property
    def is_usable(self) -> bool:
        """Whether it runs and is not about to end, and is this process's own, not that of one which this one is a fork of."""
        return self.owner == os.getpid() and self.control.fileno() >= 0 and self.process.poll() is None


def _search_path() -> str:
    return os.pathsep.join(path or os.getcwd() for path in sys.path)


_lock = threading.Lock()
_server: _Server | None = None


@atexit.register
def _end_server() -> None:
    if _server is not None and _server.is_usable:
        _server.end()


def _main_module() -> str:
    """The name under which this program's main module can be imported (``python -m name``); empty if it cannot."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return "" if spec is None or spec.name.endswith("__main__") else spec.name


def start_worker(end: Connection, log: int, modules: Sequence[str]) -> Child:
    """Start a worker process (``pipelines.job.worker.work``).

    Args:
        end: its end of the pipe, to be closed here afterwards.
        log: descriptor of an open file for its standard error.
        modules: what is imported before it is forked.

    Raises:
        OSError: no process can be had.
    """
    report, theirs = Pipe(duplex=False)
    with theirs, _lock:
        return Child(report, _request(modules, [end.fileno(), log, theirs.fileno()]))


def prepare(modules: Sequence[str]) -> None:
    """Have the server import ``modules`` beside whatever this process does meanwhile; nobody waits for that."""
    with _lock, contextlib.suppress(OSError):  # no process can be had: whoever wants a worker is told
        _request(modules, [])


def _request(modules: Sequence[str], descriptors: Sequence[int]) -> _Server:
    """Ask the server, which is started if need be, to import ``modules``, and for a worker if there are ``descriptors``."""
    global _server
    if _server is None or not _server.is_usable:
        _server = _Server()
    path = [path or os.getcwd() for path in sys.path]
    request = json.dumps({"path": path, "modules": list(modules), "main": _main_module()}).encode()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has just ended: a worker's report says so
        socket.send_fds(_server.control, [request], descriptors)
    _server.has_made |= bool(descriptors)
    return _server


class _Serving:
    """The server itself."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, Connection] = {}
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._wake = wake

    def run(self) -> None:
        """Serve until the maker closes its end."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._control.fileno() in ready:
                content, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, DESCRIPTORS)
                if not content:
                    return
                request = json.loads(content)
                sys.path[:] = request["path"]
                for module in request["modules"]:
                    with contextlib.suppress(Exception):  # the child tries again, and is there to say what is wrong
                        import_module(module)
                if descriptors:
                    self._start(request, *descriptors)

    def _start(self, request: dict[str, Any], end: int, log: int, report: int) -> None:
        reports, is_alone = Connection(report, readable=False), len(os.listdir(THREADS)) == 1
        try:
            child = os.fork()
        except OSError as error:
            _tell(reports, -(error.errno or errno.EAGAIN))
            reports.close()
        else:
            if child == 0:
                self._become_worker(reports, end, log, is_alone, request["main"])
            self._children[child] = reports
            _tell(reports, child)
        os.close(end)
        os.close(log)

    def _become_worker(self, reports: Connection, end: int, log: int, is_alone: bool, main_module: str) -> NoReturn:
        """In the child: hold nothing of the server's, and work; as a new process, if a module had begun a thread."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            for held in (reports, *self._children.values()):
                held.close()
            os.close(self._woken)
            os.close(self._wake)
            if not is_alone:
                for descriptor in (end, log):
                    os.set_inheritable(descriptor, True)
                command = [sys.executable, "-P", "-c", WORKER, str(end), str(log), str(os.getppid()), main_module]
                os.execve(sys.executable, command, os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
            stand_in_for_main(main_module)
            work(Connection(end), log, os.getppid())
            status = 0
        except BaseException:  # the end of this process, whatever it is: not of the server, whose copy it is
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            reports = self._children.pop(child)
            _tell(reports, os.waitstatus_to_exitcode(status))
            reports.close()


def _tell(reports: Connection, fact: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know any more
        reports.send(fact)


def main() -> None:
    """Entry point: ``python -m pipelines.job.forkserver CONTROL PARENT``."""
    control, parent_id = map(int, sys.argv[1:])
    die_with_parent(parent_id)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal's processes: the maker ends this one and its
    # children, who ignore it, too: a task that it ended would seem to have failed
    _Serving(socket.socket(fileno=control)).run()


if __name__ == "__main__":
    main()
