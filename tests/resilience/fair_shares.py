"""One reader, or nobody with a key, holds all that he can; the others are served as if alone (X4)."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle

import httpx

from tests.resilience.attacks.abuse import trained
from tests.resilience.attacks.access import make_key
from tests.resilience.attacks.holders import BUNDLE, FORECASTS, WAYS
from tests.resilience.drill import Drill, repeats
from tests.support.services.service import Service, service

ROUND_S = 30
"""Of each way, and of the quiet before it."""
PAUSE_S = 0.02
ADMIN_EVERY = 10
SLOWER = 2.0
HONEST = (
    f"{FORECASTS}/density?window=3",
    f"{FORECASTS}/hotspots?window=5",
    "/v1/regions/drill",
    BUNDLE,
    "/",
)


@dataclass
class Found:
    """What honest callers got."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        """99th percentile."""
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))]


def honest(target: Service, reader: str, admin: str, seconds: float) -> Found:
    """Ask as a reader, and now and then as an administrator, on connections that may end."""
    found, end = Found(), time.monotonic() + seconds
    for number, path in enumerate(cycle(HONEST)):
        if time.monotonic() >= end:
            return found
        is_admin = number % ADMIN_EVERY == 0
        asked, key = ("/v1/keys", admin) if is_admin else (path, reader)
        started = time.perf_counter()
        try:
            reply = target.call("GET", asked, headers={"X-API-Key": key})
            status = str(reply.status_code)
        except httpx.TransportError as error:
            status = type(error).__name__
        found.seconds.append(time.perf_counter() - started)
        if status != "200":
            found.failed.append(f"{asked}: {status}")
        time.sleep(PAUSE_S)
    return found


def hold_all() -> tuple[bool, str]:
    """X4: each way for a while, with p99 of honest requests before and during it."""
    told, passed = [], True
    seconds = max(2.0, repeats(ROUND_S))
    with service(workers=0) as target:
        trained(target)
        admin = make_key(target, None, "admin")
        reader = make_key(target, admin, "reader")
        with_admin = {"X-API-Key": admin}
        runs = "/v1/regions/drill/training-runs"
        run = target.call("POST", runs, json={"model": "uniform"}, headers=with_admin).json()
        for name in WAYS:
            holder = make_key(target, admin, "reader", rate_per_s=None)
            honest(target, reader, admin, 1.0)
            idle = honest(target, reader, admin, seconds)
            arguments = [name, str(target.port), holder, f"{runs}/{run['id']}/events"]
            command = [sys.executable, "-m", "tests.resilience.attacks.holders", *arguments]
            process = subprocess.Popen(command)
            try:
                time.sleep(2.0)
                held = honest(target, reader, admin, seconds)
                gone = target.call("DELETE", f"/v1/keys/{holder[4:16]}", headers=with_admin)
            finally:
                process.kill()
                process.wait()
            failed = [*held.failed, *([] if gone.status_code == 200 else ["revoking"])]
            passed = passed and not failed and held.p99_s <= SLOWER * idle.p99_s
            told.append(
                f"{name}: {len(failed)} of {len(held.seconds)} failed {sorted(set(failed))[:3]}, "
                f"p99 {1000 * held.p99_s:.1f} ms (idle {1000 * idle.p99_s:.1f})"
            )
        tracebacks = target.log().count("Traceback")
    return passed and not tracebacks, f"{'; '.join(told)}; {tracebacks} tracebacks in the log"


DRILLS = (
    Drill(
        "X4",
        "one reader, or none, holds all he can",
        "p99 of the others <= twice idle, 0 of 503, administration served",
        hold_all,
    ),
)
