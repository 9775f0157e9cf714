"""Webhooks: a signed POST, to such hosts only as sources may be read from."""

from __future__ import annotations

import time

import httpx

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.subscriptions.failures import FAILURES, PushFailed, reason_of
from app.subscriptions.notice import Notice
from app.subscriptions.signing import digest_of, headers_of, push_key, secret_of
from app.subscriptions.store import Subscription
from app.sync.connectors.address import checked_url
from app.sync.connectors.network import SourceTransport, route_to
from app.sync.connectors.portal import retry_after_s

CONNECT_TIMEOUT_S = 10.0


def check_receiver(url: str, settings: Settings) -> None:
    """Raise if a receiver's address is not allowed; unknown hosts pass.

    Raises:
        InvalidInput: not https, or in a private network that no setting allows.
    """
    address = checked_url(url, allow_loopback=settings.sync_allow_loopback)
    try:
        route_to(address.host, address.port or 443, settings)
    except SourceFailed as refusal:
        if refusal.code == "private_address":
            raise InvalidInput(refusal.message, field="address", code=refusal.code) from refusal


def secrets_of(subscription: Subscription, settings: Settings) -> list[str]:
    """Return the secrets that are valid now: after a rotation also the one before, for a while.

    Raises:
        PushFailed: the push key is missing, or not the one with which the secret was made.
    """
    if subscription.salt is None:
        return []
    try:
        key = push_key(settings)
    except InvalidInput as error:
        missing = FAILURES.make("push_not_set_up", setting="HOTSLOT_PUSH_KEY")
        raise PushFailed(missing) from error
    found = [secret_of(key, subscription.salt)]
    if digest_of(found[0]) != subscription.secret_sha256:
        raise PushFailed(FAILURES.make("push_secret_lost"))
    until = subscription.previous_until
    if (
        subscription.previous_salt is not None
        and until is not None
        and time.time() < until.timestamp()
    ):
        found.append(secret_of(key, subscription.previous_salt))
    return found


def post_notice(notice: Notice, settings: Settings, body: bytes) -> None:
    """Send a notice; any status from 200 to 299 says that the receiver has it. Nothing else is read.

    Raises:
        PushFailed: the receiver does not have it.
    """
    signing = secrets_of(notice.subscription, settings)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hotslot",
        **headers_of(signing, str(notice.delivery.id), int(time.time()), body),
    }
    limit = httpx.Timeout(settings.push_timeout_s, connect=CONNECT_TIMEOUT_S)
    try:
        url = checked_url(notice.spec.address, allow_loopback=settings.sync_allow_loopback)
        with (
            httpx.Client(
                transport=SourceTransport(settings), trust_env=False, timeout=limit
            ) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            status, asked = response.status_code, response.headers.get("Retry-After")
    except httpx.HTTPError as error:
        raise PushFailed(FAILURES.make("push_no_answer", reason=reason_of(error))) from error
    except (SourceFailed, InvalidInput) as refusal:
        made = FAILURES.make("push_address", reason=reason_of(refusal))
        raise PushFailed(made, final=refusal.code == "private_address") from refusal
    if status == httpx.codes.GONE:
        raise PushFailed(FAILURES.make("push_gone"), final=True)
    if not 200 <= status < 300:
        failure = FAILURES.make("push_status", status=status)
        raise PushFailed(failure, retry_after_s=retry_after_s(asked))
