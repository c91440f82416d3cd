"""Who makes the motion of `animate`: this process, or one of its own while this one finds the face and prepares drawing.

Importing torch is half of what happens before the first frame, and Python's lock keeps a thread from doing it beside anything
else. Speech2Landmarks and PoseGen alone need it where `warp` draws: so a forked process imports it, loads them and makes the
tracks, and this one never does.
"""

import gc
import os
import signal
import sys
import threading
import traceback
from contextlib import AbstractContextManager
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from space_data.params import Params
from space_models.tracks import Tracks

if TYPE_CHECKING:
    from space_models.motion import MotionModels


def motion_maker(
    loaded: "MotionModels | None", models: Path, params: Params, calibration: Path | None, aside: bool
) -> "MotionProcess | MotionHere":
    """Runs `space_models.motion.revised` once.

    Args:
        loaded: models; None: those of ``load_motion_models(models, params, calibration)``.
        models, params, calibration: see there.
        aside: in a process of its own, if that can be.
    """
    if loaded is None and aside and can_start():
        return MotionProcess(models, params, calibration)
    return MotionHere(loaded, models, params, calibration)


class MotionHere(AbstractContextManager["MotionHere"]):
    """Motion made in this process, when it is asked for."""

    def __init__(self, loaded: "MotionModels | None", models: Path, params: Params, calibration: Path | None) -> None:
        self._loaded, self._from = loaded, (models, params, calibration)

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""

    def ask(self, **arguments: Any) -> None:
        """See `MotionProcess`."""
        from space_models.motion import load_motion_models, revised

        self._made = revised(models=self._loaded or load_motion_models(*self._from), **arguments)

    def answer(self) -> Tracks:
        """See `MotionProcess`."""
        return self._made


THREADED = frozenset({"torch", "mediapipe"})
"""What starts threads of its own, whose locks a forked process would wait for without end (and with torch there is no gain)."""


def can_start() -> bool:
    """Whether forking this process is allowed, safe and of use: it has one thread of Python, and none of `THREADED`."""
    return (
        hasattr(os, "fork")
        and THREADED.isdisjoint(sys.modules)
        and threading.active_count() == 1
        and not current_process().daemon  # of a pool: such may have no children
    )


class MotionProcess:
    """Motion made in a forked process, which ends with the block, and when this process is killed."""

    def __init__(self, models: Path, params: Params, calibration: Path | None) -> None:
        self._ours, theirs = get_context("fork").Pipe()
        self._process = get_context("fork").Process(
            target=_serve, args=(theirs, self._ours, models, params, calibration), daemon=True, name="motion"
        )
        self._process.start()
        theirs.close()

    def ask(self, **arguments: Any) -> None:
        """Have `revised` called with the loaded models and these arguments; `answer` waits for what it gives."""
        try:
            self._ours.send(arguments)
        except BrokenPipeError:  # it has failed already: its answer says why
            return

    def answer(self) -> Tracks:
        """What `revised` gave.

        Raises:
            SpaceError: as `load_motion_models` and `revised`.
            ChildProcessError: the process was killed.
        """
        try:
            given = self._ours.recv()
        except EOFError:
            self._process.join()
            raise ChildProcessError(f"the process that makes the motion ended with status {self._process.exitcode}") from None
        if isinstance(given, Exception):
            raise given
        assert isinstance(given, Tracks)
        return given

    def __enter__(self) -> "MotionProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ours.close()
        self._process.terminate()
        self._process.join()


def _serve(theirs: Connection, ours: Connection, models: Path, params: Params, calibration: Path | None) -> None:
    """The process: load, take one question, answer it."""
    ours.close()  # so that the question's end is seen when the asking process dies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; who asked ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()  # a tenth of torch's import, in a process that makes one thing and ends
    try:
        from space_models.motion import load_motion_models, revised

        answer: Tracks | Exception = revised(models=load_motion_models(models, params, calibration), **theirs.recv())
    except EOFError:
        return
    except Exception as error:
        error.add_note(traceback.format_exc())
        answer = error
    theirs.send(answer)
