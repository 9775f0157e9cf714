"""The API process: `python -m app.server FD` serves HTTP on a listening socket that it inherits.

`hotslot serve` starts one or several of them and replaces each that dies.
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

from app.core.processes import STOP_S, end_with_parent, sign_of_life
from app.core.settings import Settings
from app.http.protocol import DeadlineProtocol

GRACE_S = 5
"""Requests under way may take so long to end; then their connections are closed."""
SWITCH_S = 0.0001
"""How long a thread that works out a forecast keeps the event loop from running: by Python's default fifty
times as long, and a reply needs the loop several times."""
PULSE_TICKS = 10
"""Ticks of uvicorn's loop, a tenth of a second each, between two signs of life."""


class PulsingServer(uvicorn.Server):
    """A server whose event loop gives a sign of life every second, and that ends when it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.give_sign = sign_of_life()

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second, and give the sign of life."""
        if counter % PULSE_TICKS == 0:
            self.give_sign()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; threads that are still at work, for which Python would wait, have until then."""
        if not self.should_exit:
            deadline = threading.Timer(STOP_S, os._exit, [1])
            deadline.daemon = True
            deadline.start()
        super().handle_exit(sig, frame)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(listening_fd: int) -> None:
    """Serve on the inherited socket until SIGTERM."""
    end_with_parent(int(os.environ.pop("HOTSLOT_PARENT_PID")))
    faulthandler.enable()
    # uvicorn raises the signal again when it is done; the default would end us before our clean-up.
    signal.signal(signal.SIGTERM, _leave)
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # what start-up makes stays; `app.main.spare_collections` looks once, and enables
    settings = Settings()
    config = uvicorn.Config(
        "app.main:create_served_app",
        factory=True,
        log_level=settings.log_level,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        http=DeadlineProtocol,
        ws="none",
    )
    with socket.socket(fileno=listening_fd) as listening:
        PulsingServer(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]))
