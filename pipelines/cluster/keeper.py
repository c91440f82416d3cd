"""The parent of every process of a local cluster: ``python -m pipelines.cluster.keeper FOLDER [PID]``.

A file ``FOLDER/wanted/NAME.json`` asks it to start a process; ``FOLDER/pids/NAME`` then holds its ``identity`` and, when it has
ended, ``FOLDER/ended/NAME`` its exit status. SIGTERM ends the cluster, and so does the death of process PID.

Why a process of its own: Linux hands orphans to the nearest *subreaper* above them. So when a task manager is killed, the Python
workers that it had started, and what those had started, become children of the keeper, which knows that it did not ask for
them and kills them. That needs no help of theirs. (A parent-death signal in the worker would not do: it fires when the *thread*
that started it ends, and in a task manager that is the thread of one task, while the worker serves many.) The processes that it
did start carry such a signal, for the keeper's own death: it has one thread.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Of <linux/prctl.h>."""
POLL_MS = 200
GRACE_S = 5.0
"""Time to end by themselves on SIGTERM; then SIGKILL."""
WANTED, PIDS, ENDED, LOGS = "wanted", "pids", "ended", "logs"
KEEPER = "keeper"
"""File that holds its own identity while it lives."""

_libc = ctypes.CDLL(None, use_errno=True)


def identity(pid: int) -> str:
    """``"PID START"``, START being the clock ticks at which it began: a number that is used again is another process."""
    facts = _stat(pid)
    return f"{pid} {facts[19]}" if facts is not None else f"{pid} ended"


def is_running(process: str) -> bool:
    """Whether the process of this ``identity`` is there and more than an exit status that waits to be read."""
    pid = process.split()[0]
    facts = _stat(pid)
    return facts is not None and facts[0] != "Z" and process == f"{pid} {facts[19]}"


def _stat(pid: int | str) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` behind the name, from the state on; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def children_of(pid: int) -> list[int]:
    """Ids of the direct children of a process."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and (facts := _stat(name)) is not None and facts[1] == str(pid):
            found.append(int(name))
    return found


def write_whole(file: Path, text: str) -> None:
    """Write a small file so that a reader sees all of it or none."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    part.rename(file)


def _before_exec() -> None:
    """In the child: die with the keeper."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Keeper:
    """Starts, reaps and ends the processes of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mine: dict[int, str] = {}
        self.ending = False

    def run(self, watched: int | None) -> None:
        """Serve until SIGTERM, or until the process behind the pidfd ``watched`` ends; then end everything."""
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        poll = select.poll()
        if watched is not None:
            poll.register(watched, select.POLLIN)
        write_whole(self.folder / KEEPER, identity(os.getpid()))
        try:
            while not self.ending:
                self._start_wanted()
                self._reap()
                self._kill_strangers()
                self.ending = bool(poll.poll(POLL_MS)) or self.ending
        finally:
            self._end_all()
            (self.folder / KEEPER).unlink()

    def _end(self, *_: object) -> None:
        self.ending = True

    def _start_wanted(self) -> None:
        for file in sorted((self.folder / WANTED).glob("[!.]*.json")):
            asked = json.loads(file.read_text())
            name = file.stem
            (self.folder / ENDED / name).unlink(missing_ok=True)
            with (self.folder / LOGS / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(
                    asked["argv"], cwd=asked["cwd"], env=asked["env"], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, preexec_fn=_before_exec,  # noqa: PLW1509 (one thread)
                )  # fmt: skip
            process.returncode = 0  # reaped here with all others, not by subprocess
            self.mine[process.pid] = name
            write_whole(self.folder / PIDS / name, identity(process.pid))
            file.unlink()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if name := self.mine.pop(pid, None):
                write_whole(self.folder / ENDED / name, str(os.waitstatus_to_exitcode(status)))

    def _kill_strangers(self) -> None:
        """Kill children that it did not start: their parent, a part of the cluster, is dead."""
        for pid in children_of(os.getpid()):
            if pid not in self.mine:
                os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        for pid in self.mine:
            os.kill(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + GRACE_S
        while children_of(os.getpid()):
            self._kill_strangers()
            if time.monotonic() > deadline_s:
                for pid in self.mine:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
            self._reap()


def main() -> None:
    """Entry point."""
    folder, *watched = sys.argv[1:]
    try:
        pidfd = os.pidfd_open(int(watched[0])) if watched else None
    except ProcessLookupError:
        return
    if watched and os.getppid() != int(watched[0]):
        return  # it died in between, and the number may be another's by now
    Keeper(Path(folder)).run(pidfd)


if __name__ == "__main__":
    main()
