"""What one key may ask for at a time: so many requests a second, so many at once.

Counted in each API process by itself: a shared count would cost a database write per request. With
n processes a key may therefore reach n times the limit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from app.domain.access import Caller
from app.domain.errors import RateLimited

MAX_TRACKED = 10_000


@dataclass
class _Use:
    tokens: float
    at: float
    n_open: int = 0


class RateLimiter:
    """Token buckets and counts of open requests by actor.

    Args:
        per_s: requests a second where a caller has no rate of its own; 0: no limit.
        burst: how many may come at once after a pause.
        max_open: requests of one caller that may be open at once.
    """

    def __init__(self, per_s: float, burst: int, max_open: int) -> None:
        self.per_s = per_s
        self.burst = float(burst)
        self.max_open = max_open
        self._uses: dict[str, _Use] = {}

    def enter(self, caller: Caller) -> None:
        """Count a request in; `leave` counts it out.

        Raises:
            RateLimited: too many at once, or in this second.
        """
        rate = self.per_s if caller.rate_per_s is None else caller.rate_per_s
        if rate <= 0:
            return
        now = time.monotonic()
        use = self._uses.get(caller.actor)
        if use is None:
            self._make_room(now)
            use = self._uses[caller.actor] = _Use(self.burst, now)
        if use.n_open >= self.max_open:
            raise RateLimited(f"this key has {use.n_open} requests open already", retry_after_s=1)
        use.tokens = min(self.burst, use.tokens + rate * (now - use.at))
        use.at = now
        if use.tokens < 1:
            wait_s = math.ceil((1 - use.tokens) / rate)
            raise RateLimited(
                f"this key sends more than {rate:g} requests a second", retry_after_s=wait_s
            )
        use.tokens -= 1
        use.n_open += 1

    def leave(self, caller: Caller) -> None:
        """Count a request out that was counted in."""
        use = self._uses.get(caller.actor)
        if use is not None and use.n_open:
            use.n_open -= 1

    def _make_room(self, now: float) -> None:
        """Forget callers who have been quiet so long that their bucket is full anyway."""
        if len(self._uses) < MAX_TRACKED:
            return
        quiet_s = self.burst / self.per_s if self.per_s else 0.0
        self._uses = {a: u for a, u in self._uses.items() if u.n_open or now - u.at < quiet_s}
