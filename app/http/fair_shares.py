"""Limit concurrent requests by pools that cannot starve each other, shared fairly within each.

A holder may have half as many places of a pool as are still free (dynamic thresholds: Choudhury and
Hahne, IEEE/ACM Transactions on Networking 6, 1998): one alone gets a third, two a quarter each. The last
quarter of a pool is for holders of none, so fewer busy holders than that leave a newcomer a place,
without a queue or a reservation per holder.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from app.core.errors import RateLimited, Unavailable
from app.core.roles import LOCAL_ACTOR, Caller, Role
from app.core.settings import Settings
from app.http.permissions import RoutePolicy

ADMIN_PLACES = 8
"""Places for routes that only an admin may use, when the general ones are taken."""
ADMIN_TURNS = 4
PUBLIC_PLACES = 32
"""Places for public routes, until their bytes are ready."""
ASKED_PLACES = 256
"""Places for requests whose caller is not known at once, shared by address."""
STREAM_PLACES = 64
STREAMS_PER_KEY = 8
_ADMIN_ONLY = frozenset({Role.ADMIN})


class Pool:
    """A pool of places that are taken or refused immediately.

    Args:
        size: number of places.
        most: largest number for one holder.
        shared: whether holders are limited to their share.
    """

    def __init__(self, size: int, most: int | None = None, *, shared: bool = True) -> None:
        self.size = size
        self.reserve = size // 4
        self.shared = shared
        self.most = size if most is None else most
        self.n_taken = 0
        self.held: dict[str, int] = {}

    def may(self, holder: str) -> bool:
        """Return whether there is a place for the holder; callers on this machine are not limited."""
        free = self.size - self.n_taken
        if holder == LOCAL_ACTOR or not self.shared:
            return free > 0
        held = self.held.get(holder, 0)
        if not held:
            return free > 0
        return free > max(2 * held, self.reserve) and held < self.most

    def take(self, holder: str) -> bool:
        """Take a place if there is one for the holder; return it with `give_back`."""
        if not self.may(holder):
            return False
        self.n_taken += 1
        self.held[holder] = self.held.get(holder, 0) + 1
        return True

    def give_back(self, holder: str) -> None:
        """Return a place that was taken."""
        self.n_taken -= 1
        left = self.held[holder] - 1
        if left:
            self.held[holder] = left
        else:
            del self.held[holder]

    def enter(self, holder: str) -> None:
        """Take a place.

        Raises:
            RateLimited: the holder has its share.
            Unavailable: all places are taken.
        """
        if not self.take(holder):
            raise self.refusal(holder)

    def refusal(self, holder: str) -> Unavailable:
        """Build the error that `enter` raises."""
        held = self.held.get(holder, 0)
        if held and self.shared and holder != LOCAL_ACTOR:
            return RateLimited(
                f"{held} requests of this caller are open already; wait for their replies",
                retry_after_s=1,
            )
        return Unavailable("too many requests at once", retry_after_s=1, code="overloaded")


class Turns(Pool):
    """A pool of places that are waited for; the holder with the fewest is served next."""

    def __init__(self, size: int, most: int | None = None) -> None:
        super().__init__(size, most)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def wait(self, holder: str, patience_s: float) -> None:
        """Take a place, waiting for it at most `patience_s`.

        Raises:
            RateLimited: timed out because of the holder's other requests.
            Unavailable: timed out because of others' requests.
        """
        if holder not in self._waiting and self.take(holder):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(holder, deque()).append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError as error:
            self._give_up(holder, turn)
            raise self.refusal(holder) from error
        except BaseException:
            self._give_up(holder, turn)
            raise

    def give_back(self, holder: str) -> None:
        """Return a place and admit the next holders."""
        super().give_back(holder)
        if not self._waiting:
            return
        for waiting in sorted(self._waiting, key=lambda name: self.held.get(name, 0)):
            turns = self._waiting[waiting]
            while turns and self.may(waiting):
                turn = turns.popleft()
                if not turn.done():  # else its waiter has just given up
                    self.take(waiting)
                    turn.set_result(None)
            if not turns:
                del self._waiting[waiting]

    def _give_up(self, holder: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.give_back(holder)
            return
        turns = self._waiting.get(holder)
        if turns is not None:
            with suppress(ValueError):
                turns.remove(turn)
            if not turns:
                del self._waiting[holder]


@dataclass(frozen=True)
class Places:
    """The pools of one process."""

    general: Pool = field(default_factory=lambda: Pool(64))
    admin: Pool = field(default_factory=lambda: Pool(ADMIN_PLACES))
    public: Pool = field(default_factory=lambda: Pool(PUBLIC_PLACES, shared=False))
    asked: Pool = field(default_factory=lambda: Pool(ASKED_PLACES))
    streams: Pool = field(default_factory=lambda: Pool(STREAM_PLACES, STREAMS_PER_KEY))
    turns: Turns = field(default_factory=lambda: Turns(8))
    """Requests whose replies are being computed; see `fair_queue.py`."""
    admin_turns: Turns = field(default_factory=lambda: Turns(ADMIN_TURNS))
    upload_turns: Turns = field(default_factory=lambda: Turns(8))

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """Create the pools with the sizes of the settings."""
        return cls(
            general=Pool(settings.max_concurrent_requests, settings.max_concurrent_per_key),
            turns=Turns(settings.request_threads, most=max(1, (os.cpu_count() or 1) // 2)),
            upload_turns=Turns(settings.max_concurrent_uploads),
        )

    def enter(self, caller: Caller, rule: RoutePolicy) -> Pool:
        """Take a place for a request; return the pool to give it back to.

        Raises:
            RateLimited, Unavailable: see `Pool.enter`.
        """
        if rule.lasting:
            self.streams.enter(caller.actor)
            return self.streams
        if self.general.take(caller.actor):
            return self.general
        if rule.roles == _ADMIN_ONLY and self.admin.take(caller.actor):
            return self.admin
        raise self.general.refusal(caller.actor)

    def turns_of(self, rule: RoutePolicy) -> Turns | None:
        """Return the pool in which a request waits; None for event streams."""
        if rule.lasting:
            return None
        if rule.streams:
            return self.upload_turns
        return self.admin_turns if rule.roles == _ADMIN_ONLY else self.turns
