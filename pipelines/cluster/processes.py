"""The near side of a keeper: ask it for processes, look at them, kill one, end them all."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.cluster.keeper import ENDED, KEEPER, LOGS, PIDS, WANTED, identity, is_running, write_whole
from space_data.errors import SpaceError

MARK = "OPEN_SPACE_CLUSTER"
"""In the environment of every process of a cluster: its folder."""
ROOT = Path(__file__).resolve().parents[2]
LOG_LINES = 8
START_S, END_S = 20.0, 30.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Command:
    """A program to start: its arguments, its working directory, and what its environment has beside this process's."""

    argv: list[str]
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """What became of a process."""

    name: str
    pid: int
    running: bool
    exit_status: int | None
    log: Path


class Processes:
    """The processes of one folder, which all live and die with their keeper."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, with_parent: bool) -> None:
        """Start the keeper; ``with_parent``: it ends, and everything with it, when this process does."""
        for name in (WANTED, PIDS, ENDED, LOGS):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.cluster.keeper", str(self.folder)]
        command += [str(os.getpid())] if with_parent else []
        with (self.folder / LOGS / "keeper.log").open("ab") as log:
            keeper = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | {MARK: str(self.folder)}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.wait_until("the cluster's keeper", (self.folder / KEEPER).is_file, START_S, lambda: keeper.poll() is None, "keeper")

    def is_open(self) -> bool:
        """Whether the keeper lives."""
        process = _read(self.folder / KEEPER)
        return process is not None and is_running(process)

    def start(self, name: str, command: Command) -> int:
        """Have a process started and return its id; its output goes to the log of this name."""
        command.cwd.mkdir(parents=True, exist_ok=True)
        pid_file = self.folder / PIDS / name
        pid_file.unlink(missing_ok=True)
        asked = {"argv": command.argv, "cwd": str(command.cwd), "env": os.environ | {MARK: str(self.folder)} | command.env}
        write_whole(self.folder / WANTED / f"{name}.json", json.dumps(asked))
        self.wait_until(name, pid_file.is_file, START_S, self.is_open, "keeper")
        return int(pid_file.read_text().split()[0])

    def kill(self, name: str) -> None:
        """End a process with SIGKILL, as a machine that is lost, and wait until it is gone."""
        os.kill(self.status(name).pid, signal.SIGKILL)
        self.wait_until(f"the end of {name}", (self.folder / ENDED / name).is_file, END_S, self.is_open, "keeper")

    def status(self, name: str) -> Status:
        """What became of the process of this name."""
        process = (self.folder / PIDS / name).read_text()
        ended = _read(self.folder / ENDED / name)
        log = self.folder / LOGS / f"{name}.log"
        return Status(name, int(process.split()[0]), is_running(process), None if ended is None else int(ended), log)

    def statuses(self) -> list[Status]:
        """All processes that were asked for, by name."""
        return [self.status(file.name) for file in sorted((self.folder / PIDS).glob("[!.]*"))]

    def is_running(self, name: str) -> bool:
        """Whether the process of this name runs."""
        return self.status(name).running

    def close(self) -> None:
        """End everything and wait for it. Nothing of the cluster runs afterwards, also when its keeper was killed before."""
        process = _read(self.folder / KEEPER)
        if process is not None and is_running(process):
            _signal(int(process.split()[0]), signal.SIGTERM)
            deadline_s = time.monotonic() + END_S
            while is_running(process) and time.monotonic() < deadline_s:
                time.sleep(0.05)
        while survivors := self.survivors():
            for pid in survivors:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.05)

    def survivors(self) -> list[int]:
        """Ids of all processes that carry this cluster's mark, whoever their parent is by now."""
        mark = f"{MARK}={self.folder}".encode()
        found = []
        for file in Path("/proc").glob("[0-9]*/environ"):
            try:
                marked = mark in file.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if marked and is_running(identity(int(file.parent.name))):
                found.append(int(file.parent.name))
        return found

    def wait_until(self, words: str, ready: Callable[[], bool], limit_s: float, alive: Callable[[], bool], log: str) -> None:
        """Wait for ``ready()``.

        Raises:
            SpaceError: ``alive()`` no longer holds, or ``limit_s`` is over; it quotes the end of ``log``.
        """
        deadline_s = time.monotonic() + limit_s
        while not ready():
            lives = alive()
            if lives and time.monotonic() < deadline_s:
                time.sleep(0.1)
                continue
            if ready():
                return
            file = self.folder / LOGS / f"{log}.log"
            tail = "\n".join(file.read_text(errors="replace").splitlines()[-LOG_LINES:]) if file.is_file() else ""
            what = f"not ready after {limit_s:.0f} s" if lives else "ended early"
            raise SpaceError(f"{words}: {what}; {file} says\n{tail}")


def free_ports(number: int) -> list[int]:
    """Ports on loopback that nothing listens on; all different."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of loopback."""
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex((LOOPBACK, port)) == 0


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):  # it has ended since it was looked at
        os.kill(pid, number)


def _read(file: Path) -> str | None:
    return file.read_text() if file.is_file() else None
