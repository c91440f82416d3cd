"""The end of a job is no error; an error is one."""

import logging
import threading

import pytest

from pipelines.cluster.quiet import HANG_UP, LOGGER, hide_job_end


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_only_the_end_of_a_job_is_hidden(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: shown.append(str(raised.exc_value)))
    monkeypatch.setattr("pipelines.cluster.quiet._state", {"hidden": False})
    hide_job_end()
    logger = logging.getLogger(LOGGER)

    def read(words: str) -> None:
        try:
            raise RuntimeError(words)
        except RuntimeError:
            logger.exception("Failed to read inputs in the data plane.")
            raise

    with caplog.at_level(logging.ERROR, LOGGER):
        for words in (f'details = "{HANG_UP}"', 'details = "Connection refused"'):
            thread = threading.Thread(target=read, args=[words])
            thread.start()
            thread.join()
    assert shown == ['details = "Connection refused"']
    assert len(caplog.records) == 1 and "Connection refused" in str(caplog.records[0].exc_info)
