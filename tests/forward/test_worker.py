"""A worker's rhythm, and that a fault in it ends the process with a line that quotes nothing."""

from __future__ import annotations

import logging
import threading

import pytest

from appliance.base.clock import SystemClock
from appliance.forward.worker import EXIT_FAULT, Worker


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_ok__a_fault_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[int] = []

    def work() -> float:
        raise ValueError("Okafor^Adaeze")

    worker = Worker("test", work, SystemClock(), end_process=ended.append)
    with caplog.at_level(logging.CRITICAL):
        worker.start()
        assert worker.join(10)
    assert ended == [EXIT_FAULT]
    assert "ValueError" in caplog.text
    assert "test_worker.py" in caplog.text
    assert "Okafor" not in caplog.records[0].getMessage()


def test_ok__woken_it_looks_again_and_stopped_it_ends() -> None:
    rounds = threading.Semaphore(0)

    def work() -> float:
        rounds.release()
        return 3600.0

    worker = Worker("test", work, SystemClock())
    worker.start()
    assert rounds.acquire(timeout=10)
    worker.wake()
    assert rounds.acquire(timeout=10)
    worker.stop()
    assert worker.join(10)
