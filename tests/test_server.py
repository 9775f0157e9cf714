"""An API process beats from its event loop, and ends whatever its threads do."""

import asyncio
import os
import subprocess
import sys

import pytest
import uvicorn

from app.server import PULSE_TICKS, PulsingServer


def test_a_pulse_is_sent_every_second_of_the_loop(monkeypatch):
    read, write = os.pipe()
    monkeypatch.setenv("HOTSLOT_PULSE_FD", str(write))
    server = PulsingServer(uvicorn.Config("app.main:create_served_app", factory=True))
    sent = []
    os.set_blocking(read, False)
    for tick in range(2 * PULSE_TICKS + 1):
        asyncio.run(server.on_tick(tick))
        try:
            sent.append((tick, os.read(read, 100)))
        except BlockingIOError:
            continue
    os.close(read)
    asyncio.run(server.on_tick(0))  # whoever reads has gone: no error
    os.close(write)
    assert sent == [(0, b"."), (PULSE_TICKS, b"."), (2 * PULSE_TICKS, b".")]


ENDING = """
import signal, sys, threading, time
import app.server as server
import uvicorn
server.STOP_S = 0.3
made = server.PulsingServer(uvicorn.Config("app.main:create_served_app", factory=True))
threading.Thread(target=time.sleep, args=(60,)).start()  # work that does not end
for _ in range(int(sys.argv[1])):
    made.handle_exit(signal.SIGTERM, None)
assert made.should_exit
print("returned", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_signals", [1, 2])
def test_a_signal_ends_a_process_whose_thread_does_not_end(n_signals):
    command = [sys.executable, "-c", ENDING, str(n_signals)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (1, "returned\n"), done.stderr
