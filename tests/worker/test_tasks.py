import asyncio
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from pydantic import SecretStr

from app.worker.tasks import ChildFailed, supervise_maintenance

LIMIT_S = 3.0
TIMESTAMP = 1_234_567_891


def upkeep() -> list[int]:
    """Upkeep of this test that has begun."""
    wanted = f"app.worker.run_process maintenance {TIMESTAMP}"
    found = subprocess.run(["pgrep", "-f", wanted], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def freeze() -> None:
    end = time.monotonic() + LIMIT_S
    while not upkeep() and time.monotonic() < end:
        time.sleep(0.02)
    for pid in upkeep():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def test_upkeep_that_hangs_is_ended_and_logged(settings, caplog):
    freezing = threading.Thread(target=freeze)
    freezing.start()
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # so that it is still there to be frozen
        url = SecretStr(f"postgresql://127.0.0.1:{deaf.getsockname()[1]}/none")
        hung = settings.model_copy(update={"database_url": url})
        with caplog.at_level(logging.ERROR), pytest.raises(ChildFailed, match="status -9"):
            asyncio.run(asyncio.wait_for(supervise_maintenance(hung, TIMESTAMP, LIMIT_S), 60.0))
    freezing.join()
    assert "maintenance took over 3 s and was killed" in caplog.text
    assert upkeep() == []


@pytest.mark.slow
def test_upkeep_that_ends_in_time_is_left_alone(settings, caplog):
    asyncio.run(supervise_maintenance(settings, TIMESTAMP, 300.0))
    assert "was ended" not in caplog.text
