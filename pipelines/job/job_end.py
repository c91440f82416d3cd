"""Workers of an engine that end with the run they were started for.

An engine ends the Python workers of a job when the job is over. Beam's Flink runner forgets one now and then: an attempt that
fails while it starts, as after a second task manager was lost, leaves its worker behind, idle, on a machine that lives on. So a
worker looks into the store for the note that the driver puts there before it sends the job, and that goes when the run is over.
"""

import os
import sys
import threading
import time

from space_data.store import Place

WORKER_PROGRAM = "apache_beam.runners.worker.sdk_worker_main"
"""What a launcher of workers starts, one for each environment of a job. Other workers are threads of one that has more to do."""
LOOK_S = 20.0
LOOKS = 2
"""So often in a row must the note be gone: a job that is just over gets its chance to end in order."""

_lock = threading.Lock()
_runs: dict[str, Place] = {}


def is_engines_worker() -> bool:
    """Whether this process is a worker that an engine has started, and nothing else."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == WORKER_PROGRAM


def end_with_run(note: Place, look_s: float = LOOK_S) -> None:
    """End this process once the ``note``, and those of all other runs that it was asked to look for, are gone.

    Args:
        note: what the driver has put into the store.
        look_s: between two looks.
    """
    with _lock:
        is_first = not _runs
        _runs[note.uri] = note
    if is_first:
        threading.Thread(target=_watch, args=(look_s,), daemon=True, name="end of the run").start()


def _watch(look_s: float) -> None:
    gone = 0
    while gone < LOOKS:
        time.sleep(look_s)
        with _lock:
            notes = list(_runs.values())
        gone = 0 if any(is_there(note) for note in notes) else gone + 1
    sys.stderr.write("the run is over, and this worker was forgotten: it ends\n")  # Beam's way to the log is closed
    sys.stderr.flush()
    os._exit(0)  # no other thread has anything to do; Beam's wait for an engine that does not know them any more


def is_there(note: Place) -> bool:
    """Whether the run goes on, as far as the store says."""
    try:
        return note.is_file()
    except OSError:  # the store is away: that says nothing of the run
        return True
