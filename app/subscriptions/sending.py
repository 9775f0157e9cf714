"""Send what is due: at least once, each attempt bounded, later attempts ever rarer."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine

from app.audit import store as audit
from app.core.errors import Unavailable
from app.core.roles import UPKEEP_ACTOR, acting_as
from app.core.settings import Settings
from app.forecasts.service import ForecastService
from app.regions.store import Region, get_region_by_key
from app.subscriptions.delivery_store import (
    Delivery,
    claim,
    note_delivered,
    note_failure,
    pin_forecast,
)
from app.subscriptions.failures import FAILURES, PushFailed, reason_of
from app.subscriptions.folder import file_name, write_files
from app.subscriptions.mail import message_of, send_mail
from app.subscriptions.notice import Notice, notice_of
from app.subscriptions.planning import owner_may
from app.subscriptions.store import Subscription, find_subscription
from app.subscriptions.webhook import post_notice

BATCH = 4
"""Deliveries that are claimed, and sent at the same time: a slow receiver delays few others."""
LONGEST_WAIT_S = 3600.0
_log = logging.getLogger("hotslot.push")


@dataclass
class Sent:
    """How many deliveries receivers have, and how many attempts failed."""

    delivered: int = 0
    failed: int = 0


class Attempt:
    """One attempt in a thread of its own, which is given up when it takes too long.

    Timeouts of a socket restart with each byte; a receiver that drips would hold a worker for ever.
    """

    def __init__(self, work: Callable[[], None], limit_s: float) -> None:
        self._work = work
        self._limit_s = limit_s
        self._failure: Exception | None = None
        self._until = time.monotonic() + limit_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._failure = error

    def finish(self) -> None:
        """Wait for the end.

        Raises:
            PushFailed: it failed, or took too long.
        """
        self._thread.join(max(0.0, self._until - time.monotonic()))
        if self._thread.is_alive():
            raise PushFailed(FAILURES.make("push_too_slow", limit_s=self._limit_s))
        if self._failure is None:
            return
        if isinstance(self._failure, PushFailed):
            raise self._failure
        _log.error("delivery failed", exc_info=self._failure)
        fault = FAILURES.make("push_fault", reason=reason_of(self._failure))
        raise PushFailed(fault) from self._failure


class Sender:
    """Sends deliveries; one instance per process."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.forecasts = ForecastService(engine, settings)
        self.sent = Sent()

    def send_due(self) -> Sent:
        """Send until nothing is due.

        Raises:
            Unavailable: the database is not available; claimed deliveries are made again.
        """
        while claimed := self._claimed(BATCH):
            self._send_all(claimed)
        return self.sent

    def send_one(self, delivery_id: UUID) -> None:
        """Send one delivery now, if it waits and no other process sends it."""
        self._send_all(self._claimed(1, delivery_id))

    def _claimed(self, limit: int, delivery_id: UUID | None = None) -> list[Delivery]:
        with self.engine.begin() as connection:
            return claim(connection, limit, self.settings.push_max_attempts, delivery_id)

    def _send_all(self, claimed: list[Delivery]) -> None:
        started: list[tuple[Delivery, Region, Subscription, Attempt]] = []
        for delivery in claimed:
            with self.engine.connect() as connection:
                subscription = find_subscription(connection, delivery.subscription_key)
                if subscription is None:
                    continue
                region = get_region_by_key(connection, delivery.region_key)
            try:
                work = self._prepared(delivery, subscription, region)
            except PushFailed as error:
                self._note_failure(delivery, region, subscription, error)
                continue
            attempt = Attempt(work, self.settings.push_timeout_s)
            started.append((delivery, region, subscription, attempt))
        for delivery, region, subscription, attempt in started:
            try:
                attempt.finish()
            except PushFailed as error:
                self._note_failure(delivery, region, subscription, error)
                continue
            self._note_delivered(delivery, region, subscription)

    def _prepared(
        self, delivery: Delivery, subscription: Subscription, region: Region
    ) -> Callable[[], None]:
        """Return what sends a delivery, with its content made.

        Raises:
            PushFailed: its owner's key has ended, or there is no forecast.
        """
        with self.engine.connect() as connection:
            if not owner_may(connection, subscription.owner, region):
                ended = FAILURES.make("push_owner_ended", owner=subscription.owner)
                raise PushFailed(ended, final=True)
        try:
            notice = notice_of(self.forecasts, subscription, delivery, region)
            if delivery.forecast is None:
                with self.engine.begin() as connection:
                    pin_forecast(connection, delivery, notice.pinned())
            return self._work_of(notice)
        except (PushFailed, Unavailable):
            raise
        except Exception as error:  # a fault in one plan must not stop the other deliveries
            _log.exception("making a delivery failed", extra={"delivery": str(delivery.id)})
            raise PushFailed(FAILURES.make("push_fault", reason=reason_of(error))) from error

    def _work_of(self, notice: Notice) -> Callable[[], None]:
        """Make the content in this thread: attempts only send."""
        spec, settings = notice.spec, self.settings
        if spec.target == "webhook":
            body = notice.json()
            return lambda: post_notice(notice, settings, body)
        if spec.target == "email":
            sender = settings.smtp_sender or "hotslot"
            message = message_of(notice, sender, notice.file("pdf"))
            return lambda: send_mail(message, settings)
        files = {file_name(notice, fmt): notice.file(fmt) for fmt in spec.formats}
        return lambda: write_files(spec.address, settings, files)

    def _note_delivered(
        self, delivery: Delivery, region: Region, subscription: Subscription
    ) -> None:
        with self.engine.begin() as connection, acting_as(UPKEEP_ACTOR):
            note_delivered(connection, delivery)
            audit.record(
                connection,
                "forecast.pushed",
                chain=region.id,
                subscription=subscription.name,
                delivery=str(delivery.id),
                occasion=delivery.occasion,
            )
        self.sent.delivered += 1

    def _note_failure(
        self, delivery: Delivery, region: Region, subscription: Subscription, error: PushFailed
    ) -> None:
        self.sent.failed += 1
        last = error.final or delivery.attempts >= self.settings.push_max_attempts
        wait = None if last else timedelta(seconds=self._wait_s(delivery, error))
        about = {"subscription": subscription.name, "delivery": str(delivery.id)}
        said = {**about, "region": region.id, "reason": error.failure.message}
        _log.warning("not delivered", extra={**said, "attempt": delivery.attempts, "dead": last})
        with self.engine.begin() as connection, acting_as(UPKEEP_ACTOR):
            if note_failure(connection, delivery, error.failure, wait) and last:
                code = error.failure.code
                audit.record(connection, "delivery.dead", chain=region.id, reason=code, **about)

    def _wait_s(self, delivery: Delivery, error: PushFailed) -> float:
        """Return the seconds until the next attempt, with jitter, so that those who failed together part."""
        if error.retry_after_s is not None:
            return min(error.retry_after_s, LONGEST_WAIT_S)
        doubled = self.settings.push_backoff_s * 2.0 ** (delivery.attempts - 1)
        return min(doubled, LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
