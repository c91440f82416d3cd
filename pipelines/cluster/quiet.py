"""Keep the end of a job readable: hide the one error that is none."""

import logging
import threading

HANG_UP = "Multiplexer hanging up"
"""What a Java engine tells Python workers when a job is over. Beam's SDK (2.77) reports it with two tracebacks per worker."""
LOGGER = "apache_beam.runners.worker.data_plane"
_state = {"hidden": False}


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of Beam's says more than that the job is over."""
    return not (record.exc_info and HANG_UP in str(record.exc_info[1]))


def hide_job_end() -> None:
    """Hide that message in this process from now on; everything else of Beam's passes.

    For workers that live in the driver's process (the LOOPBACK environment); others write to the task manager's log. It stays
    in force, since the message comes from a thread that may outlive the job.
    """
    if _state["hidden"]:
        return
    _state["hidden"] = True
    logging.getLogger(LOGGER).addFilter(_is_news)
    shown = threading.excepthook

    def hook(raised: threading.ExceptHookArgs) -> None:
        if HANG_UP not in str(raised.exc_value):
            shown(raised)

    threading.excepthook = hook
