"""Unit functions for the tests of ``pipelines.job``: worker processes import them by name, so they need a module of their own."""

import os
import signal
import time
from pathlib import Path

from pipelines.job.unit import Rejected
from space_data.errors import SpaceError


def act(value: str, settings: dict[str, str], folder: Path) -> None:
    """A unit function that does what its value says."""
    with open(settings["calls"], "a") as calls:
        calls.write(value + "\n")
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
        case "second-time" if Path(settings["calls"]).read_text().count(value) < 2:
            raise OSError("the disk was full")
        case "slow":
            time.sleep(3)
        case _:
            (folder / "result.txt").write_text(value.upper())
