"""Which requests are repeated, and after how long."""

from __future__ import annotations

import itertools
import random

import httpx

from hotslot_client.errors import ClientError, Refused, Unreachable, refusal
from hotslot_client.steps import Send, Steps, Wait

MAX_WAIT_S = 30.0
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
GONE_SOON = (502, 503, 504)


def attempts(request: Send, retries: int, *, idempotent: bool) -> Steps[httpx.Response]:
    """Send a request until it succeeds, at most `retries` times more.

    Pauses last what `Retry-After` asks or 1, 2, 4, ... s, with up to a quarter more by chance, so that
    clients that failed together do not come back together. A pause over 30 s is left to the caller.

    Args:
        idempotent: whether a request that may have been carried out can be repeated.
    """
    for attempt in itertools.count():
        answer: httpx.Response | httpx.TransportError = yield request
        if isinstance(answer, httpx.Response) and answer.is_success:
            return answer
        error = _error(answer)
        asked_s = error.retry_after_s if isinstance(error, Refused) else None
        pause_s = min(2.0**attempt, MAX_WAIT_S) if asked_s is None else asked_s
        if attempt >= retries or pause_s > MAX_WAIT_S or not _is_worth(answer, idempotent):
            raise error from (answer if isinstance(answer, httpx.TransportError) else None)
        yield Wait(pause_s * (1 + random.random() / 4))
    raise AssertionError


def _error(answer: httpx.Response | httpx.TransportError) -> ClientError:
    if isinstance(answer, httpx.Response):
        return refusal(answer)
    return Unreachable(str(answer) or type(answer).__name__)


def _is_worth(answer: httpx.Response | httpx.TransportError, idempotent: bool) -> bool:
    """Whether a repetition may succeed and does no harm.

    A request that was not sent, or was refused before any work (429), is repeated in any case. A
    time-out while waiting for the reply is not: the service is at work.
    """
    if isinstance(answer, httpx.Response):
        return answer.status_code == 429 or (idempotent and answer.status_code in GONE_SOON)
    return isinstance(answer, NOT_SENT) or (idempotent and isinstance(answer, CUT_OFF))
