"""`hotslot serve` with a worker and a trained region, whose subscriptions its worker serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tests.support.services.service import Service, service
from tests.support.simulated.small_region import BOX, START, row

REGION = "/v1/regions/pushed"
WAIT_S = 180.0


def until(what: Callable[[], Any]) -> Any:
    """Wait for something to be true; return it."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {WAIT_S:g} s")


def asked(running: Service, method: str, path: str, **options: Any) -> Any:
    """Send a request that succeeds; return what it answers."""
    reply = running.call(method, f"{REGION}{path}", **options)
    assert reply.status_code < 300, reply.text
    return reply.json() if reply.content else None


def send_incidents(running: Service, first_day: int, n: int) -> None:
    """Upload n incidents, ten a day."""
    rows = [
        row(
            START + timedelta(days=first_day, hours=2.4 * k),
            (10.001 + k % 29 * 0.002, 50.001 + k % 19 * 0.002),
        )
        for k in range(n)
    ]
    assert asked(running, "POST", "/incidents", json=rows)["accepted"] == n


@contextmanager
def pushing(**environment: str) -> Iterator[Service]:
    """Serve the region `pushed` with a version until the block ends."""
    quick = {
        "HOTSLOT_PUSH_TICK_S": "0.5",
        "HOTSLOT_STATE_QUIET_S": "1",
        "HOTSLOT_STATE_TICK_S": "1",
    }
    with service(1, **quick, **environment) as running:
        new = {"id": "pushed", "timezone": "UTC", "boundary": BOX, "cell_size_m": 250.0}
        running.call("POST", "/v1/regions", json=new).raise_for_status()
        send_incidents(running, 0, 300)
        run = asked(
            running, "POST", "/training-runs", json={"model": "pooled-kde", "validate": False}
        )

        def trained() -> bool:
            status = asked(running, "GET", f"/training-runs/{run['id']}")["status"]
            assert status in ("queued", "running", "succeeded"), status
            return bool(status == "succeeded")

        until(trained)
        yield running
