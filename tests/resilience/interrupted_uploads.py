"""Uploads whose server, database or reply is lost in the middle."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable

from tests.resilience.drill import Drill, repeats
from tests.support.services.service import Service, service
from tests.support.uploads import RETRY_FOR_S, ROWS, stored, upload

RESUME_S = 10.0


def _interrupted_uploads(
    kill: Callable[[Service], None], restart: bool, n_kills: int
) -> tuple[bool, str]:
    """Upload batch after batch; at a random moment of each, kill; retry until it is acknowledged."""
    rng = random.Random(1)
    lost = partial = wrong = 0
    slowest_s = 0.0
    with service(workers=0) as target:
        for place in range(n_kills):
            before = stored(target)
            key = str(uuid.uuid4())
            killer = threading.Timer(rng.uniform(0.0, 0.25), kill, [target])
            killer.start()
            told = upload(target, place, key)
            killer.join()
            killed_at = time.perf_counter()
            if restart:
                target.start()
            answer = None
            while answer is None and time.perf_counter() - killed_at < RETRY_FOR_S:
                answer = upload(target, place, key)
                if answer is None:
                    time.sleep(0.2)
            after = stored(target)
            # Until both writes and reads are answered again.
            slowest_s = max(slowest_s, time.perf_counter() - killed_at)
            lost += answer is None or (told is not None and after < before + ROWS)
            partial += (after - before) % ROWS != 0
            wrong += answer is not None and (
                answer["accepted"] != ROWS or answer["duplicates"] != 0 or after != before + ROWS
            )
    passed = lost == partial == wrong == 0 and slowest_s <= RESUME_S
    return passed, (
        f"{n_kills} kills: {lost} lost, {partial} partial, {wrong} doubled or misreported; "
        f"slowest resume {slowest_s:.1f} s"
    )


def database_killed() -> tuple[bool, str]:
    """D1."""
    return _interrupted_uploads(Service.kill_database, False, repeats(50))


def api_killed() -> tuple[bool, str]:
    """D3."""
    return _interrupted_uploads(Service.kill_group, True, repeats(50))


def reply_lost() -> tuple[bool, str]:
    """D2: the reply never arrives; the client sends the same body under the same key again."""
    n, doubled, differing = repeats(50), 0, 0
    with service(workers=0) as target:
        for place in range(n):
            key = str(uuid.uuid4())
            first = upload(target, place, key)
            again = upload(target, place, key)
            differing += first is None or first != again
            doubled += stored(target) != (place + 1) * ROWS
    return doubled == differing == 0, f"{n} retries: {doubled} doubled, {differing} other replies"


DRILLS = (
    Drill(
        "D1",
        "PostgreSQL killed (-9) during ingest",
        "0 lost, 0 partial, resume <= 10 s",
        database_killed,
    ),
    Drill("D2", "reply lost, client retries with the same key", "0 duplicates", reply_lost),
    Drill("D3", "API killed (-9) during an upload", "all or nothing, a retry succeeds", api_killed),
)
