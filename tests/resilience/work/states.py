"""Whoever assimilates is killed: the last state serves, the next one is made, nothing is lost or mixed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx

from tests.resilience.drill import Drill, repeats
from tests.resilience.work.jobs import start_training, wait_until_done
from tests.resilience.work.supervision import wait_for
from tests.support.services.service import WORKER, Service, service
from tests.support.uploads import upload

ROWS_A_DAY = 30
FIRST_DAY = datetime(2024, 2, 1, 12, tzinfo=UTC)
"""Noon, so that each batch lies in one local day: releases leave out parts of fewer than 20."""
SLOT = "2026-01-05T10:00Z"
BACK_S, MADE_S = 10.0, 60.0
ASSIMILATION = "assimilate"
HASTY = {"HOTSLOT_STATE_QUIET_S": "0.1", "HOTSLOT_STATE_TICK_S": "0.2"}


def _day(place: int) -> list[dict[str, Any]]:
    """The incidents of one day after the training."""
    at = FIRST_DAY + timedelta(days=place)
    return [
        {
            "occurred_at": (at + timedelta(minutes=11 * k)).isoformat(),
            # Well inside the area that is derived from the uploads before.
            "longitude": -74.07 + (place * 37 + k * 13) % 100 / 2_500,
            "latitude": 4.63 + (place * 11 + k * 7) % 100 / 2_500,
            "category": "theft",
            "external_id": f"day{place}-{k}",
        }
        for k in range(ROWS_A_DAY)
    ]


def _answered(target: Service, method: str, path: str, **options: Any) -> httpx.Response:
    """A reply of 2xx, asked for again while the service or its database is away."""
    until = time.perf_counter() + BACK_S
    while True:
        try:
            reply = target.call(method, path, **options)
            if reply.is_success:
                return reply
        except httpx.TransportError:
            reply = None
        if time.perf_counter() > until:
            raise RuntimeError(f"{path}: {None if reply is None else reply.text}")
        time.sleep(0.1)


def _forecast(target: Service) -> tuple[str, str]:
    """The state that answers, and a digest of its cells."""
    reply = _answered(
        target, "GET", "/v1/regions/drill/forecasts/density", params={"at": SLOT}
    ).json()
    cells = hashlib.sha256(json.dumps(reply["cells"]).encode()).hexdigest()
    return reply["state"], cells


def states_killed() -> tuple[bool, str]:
    """The process that assimilates, its worker, or the database, killed in the middle of it."""
    rng = random.Random(11)
    n, slowest_s, mixed = repeats(50), 0.0, 0
    seen: dict[str, str] = {}
    with service(workers=1, **HASTY) as target:
        for place in range(2):
            upload(target, place, f"seed-{place}")
        wait_until_done(target, start_training(target, "pooled-kde"))

        def is_known(day: int) -> bool:
            state = _answered(target, "GET", "/v1/regions/drill/state").json()
            return bool(datetime.fromisoformat(state["data_until"]) > FIRST_DAY + timedelta(day))

        for place in range(n):
            key = {"Idempotency-Key": f"day-{place}"}
            _answered(target, "POST", "/v1/regions/drill/incidents", json=_day(place), headers=key)
            wait_for(lambda: bool(target.pids(ASSIMILATION)), MADE_S)
            time.sleep(rng.uniform(0.0, 3.0))
            killed = place % 3
            if killed == 0:
                for pid in target.pids(ASSIMILATION):
                    os.kill(pid, signal.SIGKILL)
            elif killed == 1:
                os.kill(target.pids(WORKER)[0], signal.SIGKILL)
            else:
                target.kill_database()
            state, cells = _forecast(target)
            mixed += seen.setdefault(state, cells) != cells
            slowest_s = max(slowest_s, wait_for(partial(is_known, place), MADE_S))
            state, cells = _forecast(target)
            mixed += seen.setdefault(state, cells) != cells
        final = _answered(target, "GET", "/v1/regions/drill/state").json()
    lost = n * ROWS_A_DAY - final["assimilated_incidents"]
    return mixed == lost == 0, (
        f"{n} kills: always answered, {mixed} states answered in two ways, {lost} incidents lost, "
        f"the next state after {slowest_s:.0f} s at most"
    )


DRILLS = (
    Drill(
        "states",
        "whoever assimilates, or its database, killed",
        "last state serves, next is made, 0 lost, 0 mixed",
        states_killed,
    ),
)
