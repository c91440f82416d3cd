"""Unit functions for the tests of ``pipelines.job``: worker processes import them by name, so they need a module of their own."""

import errno
import os
import resource
import signal
import time
from pathlib import Path

from pipelines.job.unit import Rejected
from space_data.errors import SpaceError
from space_data.native_noise import quiet_stderr


def act(value: str, settings: dict[str, str], folder: Path) -> str | None:
    """A unit function that does what its value says."""
    with open(settings["calls"], "a") as calls:
        calls.write(value + "\n")
    seen = Path(settings["calls"]).read_text().split().count(value)
    match value:
        case "reject":
            raise Rejected("too_short", "0.2 s", value=0.2, threshold=2.0)
        case "user-error":
            raise SpaceError("clip x: no good")
        case "bug":
            raise ZeroDivisionError("a defect of ours")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(60)
        case "second-time" if seen < 2:
            raise ValueError("not yet")
        case "disk-full" if Path(settings["calls"] + ".full").exists():
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")
        case "no-files" if Path(settings["calls"] + ".full").exists():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]
            raise AssertionError(f"{len(opened)} files where 64 are allowed")
        case "killed" if seen < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case "terminated" if seen < 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        case "hungry":
            bytearray(int(float(settings["gb"]) * 1e9))
        case "no-thread":
            with quiet_stderr():
                os.write(2, b"threadpool.cc:53] Check failed: res == 0 (11 vs. 0) pthread_create failed\n")
                os.abort()
        case "look-for-run":
            notes = sorted(path.name for path in Path(settings["cache"]).rglob("runs/*/begun/*"))
            (folder / "result.txt").write_text(" ".join(notes))
        case "slow":
            time.sleep(3)
        case "doubt":
            (folder / "result.txt").write_text(Path(settings["input"]).read_text())
            return "it looks damaged"
        case _:
            (folder / "result.txt").write_text(value.upper())
    return None


def surroundings(variable: str) -> dict[str, str | int | None]:
    """What a worker process knows of itself."""
    command, value = Path("/proc/self/cmdline").read_text(), os.environ.get(variable)
    return {"pid": os.getpid(), "parent": os.getppid(), "command": command, "folder": os.getcwd(), "value": value}


def kill_parent(_: str) -> None:
    """End the process that this one was forked from."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def interrupted(_: str) -> str:
    """Ctrl-C reaches all processes of a terminal, in the middle of their tasks."""
    os.kill(os.getpid(), signal.SIGINT)
    return "done all the same"
