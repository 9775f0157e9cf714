"""Every route with parameters that no cache holds, from 16 threads at once, against a running service."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import httpx

from tests.resilience.drill import Drill, repeats
from tests.resilience.work.jobs import wait_until_done
from tests.support.hammer.requests import SPARE, Ask, difference, drawn, meaning
from tests.support.hammer.world import World
from tests.support.services.service import Service, service
from tests.support.uploads import upload

N_THREADS = 16
ROUND = 320
FULL_S, FULL_REPEATS = 600.0, 50
TIMEOUT_S = 120.0
FAULTHANDLER = {"PYTHONFAULTHANDLER": "1"}
HEAVY = re.compile(r"/(forecasts|tiles|cap|calibration|fairness-report|data-report|hour-of-week)\b")
"""Paths whose replies are made by native libraries."""
CRASHED = ("Fatal Python error", "Segmentation fault")

Got = httpx.Response | httpx.TransportError


def round_of(world: World, rng: Random, number: int, n: int = ROUND) -> list[Ask]:
    """Draw a round of requests: first one operation from all threads, then all in any order.

    What a process does for the first time is where threads collide; the first round begins with
    cells of other sizes, each later one with another operation.
    """
    reads = [o for o in world.operations if o.is_read]
    volley = [drawn(world, reads[number % len(reads)], rng) for _ in range(N_THREADS)]
    if number == 0:
        first = next(o for o in reads if o.path.endswith("/forecasts/density"))
        drawn_sizes = (drawn(world, first, rng) for _ in range(100 * N_THREADS))
        sized = (ask for ask in drawn_sizes if "cell_size_m" in ask.query)
        volley = [_of_cells_alone(ask) for ask in itertools.islice(sized, N_THREADS)]
    heavy = [o for o in reads if HEAVY.search(o.path)]
    others = [drawn(world, o, rng) for o in world.operations]
    while len(volley) + len(others) < n:
        kinds = rng.choice([heavy, heavy, heavy, reads, world.operations])
        others.append(drawn(world, rng.choice(kinds), rng))
    rng.shuffle(others)
    return [*volley, *others]


def _of_cells_alone(ask: Ask) -> Ask:
    """The request without what is no hour and no size, so that nothing keeps it from making cells."""
    kept = ("at", "window", "from", "to", "shift", "date", "cell_size_m")
    return replace(ask, query={n: v for n, v in ask.query.items() if n in kept})


def asked_at_once(base_url: str, headers: dict[str, str], asks: Sequence[Ask]) -> list[Got]:
    """The replies to requests that 16 threads send at once, in the order of the requests."""
    barrier = threading.Barrier(N_THREADS)

    def share(thread: int) -> list[Got]:
        with httpx.Client(base_url=base_url, headers=headers, timeout=TIMEOUT_S) as client:
            barrier.wait()
            return [_reply(client, ask) for ask in asks[thread::N_THREADS]]

    with ThreadPoolExecutor(N_THREADS) as pool:
        shares = list(pool.map(share, range(N_THREADS)))
    return [shares[place % N_THREADS][place // N_THREADS] for place in range(len(asks))]


def _reply(client: httpx.Client, ask: Ask) -> Got:
    try:
        return ask.send(client)
    except httpx.TransportError as error:
        return error


def fault(ask: Ask, got: Got, expected: httpx.Response | None) -> str | None:
    """What is wrong with a reply, next to that of a service that is asked one thing at a time."""
    if isinstance(got, httpx.TransportError):
        return f"{ask}: no reply ({type(got).__name__})"
    if got.status_code >= 500:
        return f"{ask}: {got.status_code} {got.text[:200]}"
    if expected is None:
        return None
    try:
        one, other = meaning(got), meaning(expected)
    except (ValueError, OSError) as error:
        return f"{ask}: cannot be read ({error})"
    return None if one == other else f"{ask}: {difference(one, other)}"


def hammered(
    target: Service, reference: httpx.Client, headers: dict[str, str], asks: Sequence[Ask]
) -> list[str]:
    """Start a service, ask it everything from all threads, compare, stop it; all that went wrong."""
    target.start()
    try:
        log_from = len(target.log())
        with ThreadPoolExecutor(1) as aside:
            address = f"http://127.0.0.1:{target.port}"
            at_once = aside.submit(asked_at_once, address, headers, asks)
            one_by_one = [ask.send(reference) if ask.exact else None for ask in asks]
            replies = at_once.result()
        log, lives = target.log()[log_from:], target.answers("/healthz")
    finally:
        target.stop()
        target.client.close()
    faults = [
        found
        for ask, got, expected in zip(asks, replies, one_by_one, strict=True)
        if (found := fault(ask, got, expected)) is not None
    ]
    crash = next((log[log.find(word) :][:400] for word in CRASHED if word in log), "")
    return faults if lives and not crash else [f"died: {crash}", *faults]


def _prepared(target: Service) -> dict[str, str]:
    """Give the region two versions and a backtest, a spare region to write to, and a key."""
    target.call("POST", "/v1/regions", json={"id": SPARE, "timezone": "UTC"}).raise_for_status()
    upload(target, 0, "first")
    helper = Service(target.home, workers=1)
    helper.start()
    base = "/v1/regions/drill"
    works: list[tuple[str, dict[str, object]]] = [
        (f"{base}/training-runs", {"model": "pooled-kde"}),
        (f"{base}/training-runs", {"model": "uniform"}),
        (f"{base}/backtests", {"models": ["uniform"], "n_origins": 1, "horizon_days": 7}),
    ]
    for path, asked in works:
        reply = target.call("POST", path, json=asked).raise_for_status()
        run = wait_until_done(target, reply.headers["Location"])
        if run["status"] != "succeeded":
            raise RuntimeError(f"{path}: {run['status']}: {run['message']}")
    helper.stop()
    helper.client.close()
    key = target.call(
        "POST", "/v1/keys", json={"name": "hammer", "roles": ["admin"], "rate_per_s": 0}
    ).raise_for_status()
    return {"X-API-Key": key.json()["key"]}


def hammer() -> tuple[bool, str]:
    """X1: a service started anew each round and hammered; another one is asked one by one."""
    seconds = FULL_S * repeats(FULL_REPEATS) / FULL_REPEATS
    faults: list[str] = []
    n_rounds = n_asked = deaths = 0
    covered: set[str] = set()
    with service(workers=0) as reference:
        headers = _prepared(reference)
        reference.client.headers.update(headers)
        reference.client.timeout = httpx.Timeout(TIMEOUT_S)
        world = World.seen(reference.client, "drill")
        started = time.perf_counter()
        while n_rounds == 0 or time.perf_counter() - started < seconds:
            asks = round_of(world, Random(n_rounds), n_rounds)
            target = Service(reference.home, workers=0, environment=FAULTHANDLER)
            found = hammered(target, reference.client, headers, asks)
            deaths += any(line.startswith("died") for line in found)
            faults += found
            covered |= {ask.operation for ask in asks}
            n_rounds, n_asked = n_rounds + 1, n_asked + len(asks)
    missing = {o.name for o in world.operations} - covered
    wrong = len(faults) - deaths
    told = f"{n_rounds} services, {n_asked} requests to {len(covered)} operations from {N_THREADS} threads"
    examples = f"; {'; '.join(faults[:3])}"[:1500] if faults else ""
    return not faults and not missing, f"{told}: {deaths} deaths, {wrong} wrong replies{examples}"


DRILLS = (
    Drill(
        "X1", "every route, uncached parameters, 16 threads", "0 deaths, 0 wrong replies", hammer
    ),
)
