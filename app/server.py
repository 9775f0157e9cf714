"""The API process: `python -m app.server FD` serves HTTP on an inherited listening socket.

`hotslot serve` starts one or several of them and restarts those that die.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from app.core.processes.supervisor import STOP_S, end_with_parent, heartbeat_sender
from app.core.settings import Settings
from app.http.protocol import DeadlineProtocol

GRACE_S = 4
"""Time for running requests to end before their connections are closed."""
SWITCH_S = 0.0001
"""Maximum time that a computing thread blocks the event loop; Python's default is fifty times as long."""
PULSE_TICKS = 10
"""Ticks of uvicorn's loop, a tenth of a second each, between two pulses."""


class PulsingServer(uvicorn.Server):
    """A server that sends a pulse from its event loop every second, and always ends on a signal."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.send_pulse = heartbeat_sender()

    async def on_tick(self, counter: int) -> bool:
        """Do uvicorn's work of ten times a second, and send the pulse."""
        if counter % PULSE_TICKS == 0:
            self.send_pulse()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown, and limit the time that Python waits for running threads."""
        if not self.should_exit:
            deadline = threading.Timer(STOP_S, os._exit, [1])
            deadline.daemon = True
            deadline.start()
        super().handle_exit(sig, frame)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(listening_fd: int) -> None:
    """Serve on the inherited socket until SIGTERM."""
    end_with_parent(int(os.environ.pop("HOTSLOT_PARENT_PID")))
    faulthandler.enable()
    # uvicorn raises the signal again when it is done; the default would skip our clean-up.
    signal.signal(signal.SIGTERM, _exit)
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # `app.core.processes.memory.freeze_garbage_collector` enables it after start-up
    settings = Settings()
    config = uvicorn.Config(
        "app.main:create_served_app",
        factory=True,
        log_level=settings.log_level,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        proxy_headers=False,  # `app.http.middleware.proxies` applies them
        http=DeadlineProtocol,
        ws="none",
    )
    with socket.socket(fileno=listening_fd) as listening:
        PulsingServer(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
