"""Limit the requests a second of one key, or of one address without a key.

Every request counts, refused ones too. Each API process counts for itself: a shared count would cost a
database write for each request. With n processes a key may therefore reach n times the limit.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope

from app.core.errors import RateLimited
from app.core.roles import Caller

MAX_TRACKED = 10_000
SLOW_NO_S = 0.02
REFUSED_PER_S = 250.0
"""Refusals a second for exceeded rates, of all senders together, so that floods cost little."""
REFUSED_PER_S_OF_ONE = 25.0
"""Of one sender: a refusal takes the event loop about a millisecond, which others wait for."""
REFUSAL_COST = 4.0
"""Cost of a request without a valid key, in requests for public pages."""


@dataclass
class _Use:
    tokens: float
    at: float
    rate: float


class RateLimiter:
    """Token buckets by actor or address.

    Args:
        per_s: requests a second of callers without their own rate; 0: no limit.
        burst: how many may come at once after a pause.
    """

    def __init__(self, per_s: float, burst: int) -> None:
        self.per_s = per_s
        self.burst = float(burst)
        self._uses: dict[str, _Use] = {}

    def charge(self, caller: Caller) -> None:
        """Count a request of a caller.

        Raises:
            RateLimited: too many requests.
        """
        rate = self.per_s if caller.rate_per_s is None else caller.rate_per_s
        wait_s = self._wait_s(caller.actor, rate)
        if wait_s:
            raise RateLimited(
                f"this key sends more than {rate:g} requests a second", retry_after_s=wait_s
            )

    def charge_address(self, address: str) -> None:
        """Count a request for a public page.

        Raises:
            RateLimited: too many requests.
        """
        wait_s = self._wait_s(address, self.per_s)
        if wait_s:
            raise RateLimited(f"too many requests from {address}", retry_after_s=wait_s)

    def charge_refused(self, address: str) -> None:
        """Count a request without a valid key; other requests of the address count separately.

        Raises:
            RateLimited: too many requests.
        """
        wait_s = self._wait_s(f"refused {address}", self.per_s, REFUSAL_COST)
        if wait_s:
            raise RateLimited(
                f"too many requests without a valid key from {address}", retry_after_s=wait_s
            )

    def _wait_s(self, who: str, rate: float, cost: float = 1.0) -> int:
        """Count a request; return 0, or the seconds until there is room for the next one."""
        if rate <= 0:
            return 0
        now = time.monotonic()
        use = self._uses.get(who)
        if use is None:
            self._make_room(now)
            use = self._uses[who] = _Use(self.burst, now, rate)
        use.tokens = min(self.burst, use.tokens + rate * (now - use.at))
        use.at, use.rate = now, rate
        if use.tokens < cost:
            return math.ceil((cost - use.tokens) / rate)
        use.tokens -= cost
        return 0

    def _make_room(self, now: float) -> None:
        """Forget senders whose bucket is full again, then the oldest ones."""
        if len(self._uses) < MAX_TRACKED:
            return
        self._uses = {
            who: use
            for who, use in self._uses.items()
            if use.tokens + use.rate * (now - use.at) < self.burst
        }
        while len(self._uses) >= MAX_TRACKED:
            del self._uses[next(iter(self._uses))]


def address_of(scope: Scope) -> str:
    """Return the address of a request; for IPv6 the /64 network, which one subscriber has."""
    client = scope.get("client")
    return _network(client[0]) if client else "unknown"


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class Brake:
    """Delay replies to senders that exceed their rate, so that a connection waits before it retries."""

    def __init__(self) -> None:
        self.n_waiting = 0
        self._n_of: Counter[str] = Counter()

    def is_full(self) -> bool:
        """Return whether one more would have to wait for over a second."""
        return self.n_waiting >= REFUSED_PER_S

    async def wait(self, sender: str = "") -> None:
        """Wait, the longer the more others wait, and the more of the same sender.

        Args:
            sender: actor or address; empty: only the others count.
        """
        self.n_waiting += 1
        if sender:
            self._n_of[sender] += 1
        of_one_s = self._n_of[sender] / REFUSED_PER_S_OF_ONE
        try:
            await asyncio.sleep(min(1.0, max(SLOW_NO_S, self.n_waiting / REFUSED_PER_S, of_one_s)))
        finally:
            self.n_waiting -= 1
            if sender:
                self._n_of[sender] -= 1
                if not self._n_of[sender]:
                    del self._n_of[sender]
