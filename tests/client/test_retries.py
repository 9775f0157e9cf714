"""Which requests are repeated, when, and which errors end them."""

import asyncio
import email.utils
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pytest

from app.http.problems import PROBLEMS
from hotslot_client import (
    AsyncClient,
    Client,
    LimitExceeded,
    NoModel,
    RateLimited,
    Refused,
    TooManyRuns,
    Unavailable,
    Unreachable,
)
from hotslot_client.errors import KIND_OF_STATUS, refusal
from hotslot_client.retries import attempts
from hotslot_client.steps import Send, Wait

REQUEST = Send("GET", "/", {})


def carried_out(answers, *, retries=3, idempotent=True):
    """Answer the requests of `attempts` in turn; return its pauses, and its result or error."""
    steps, pauses, answer = attempts(REQUEST, retries, idempotent=idempotent), [], None
    left = iter(answers)
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            assert next(left, None) is None
            return pauses, end.value
        except Exception as error:
            assert next(left, None) is None
            return pauses, error
        if isinstance(step, Wait):
            pauses.append(step.seconds)
            answer = None
        else:
            assert step is REQUEST
            answer = next(left)


def reply(status, retry_after=None, **problem):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return httpx.Response(status, headers=headers, json=problem)


GOOD = httpx.Response(200, json={})
BROKEN = httpx.ReadError("cut off")
NOBODY = httpx.ConnectError("nobody there")


@pytest.mark.parametrize("failed", [reply(429), reply(502), reply(503), reply(504), BROKEN, NOBODY])
def test_pauses_double_with_a_quarter_by_chance(failed):
    pauses, found = carried_out([failed, failed, failed, GOOD])
    assert found is GOOD
    for pause_s, least_s in zip(pauses, (1, 2, 4), strict=True):
        assert least_s <= pause_s <= 1.25 * least_s


def test_jitter_differs():
    assert len({carried_out([reply(503), GOOD])[0][0] for _ in range(5)}) == 5


def test_retry_after_is_honoured_and_never_undercut():
    (pause_s,), found = carried_out([reply(503, 7), GOOD])
    assert found is GOOD
    assert 7 <= pause_s <= 7 * 1.25
    at = datetime.now(UTC) + timedelta(seconds=20)
    (pause_s,), _ = carried_out([reply(429, email.utils.format_datetime(at, usegmt=True)), GOOD])
    assert 15 < pause_s <= 25
    (pause_s,), _ = carried_out([reply(503, "soon"), GOOD])
    assert 1 <= pause_s <= 1.25


def test_a_long_pause_is_left_to_the_caller():
    pauses, error = carried_out([reply(429, 31)])
    assert pauses == []
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 31


def test_attempts_are_bounded():
    pauses, error = carried_out([reply(503, 0)] * 3, retries=2)
    assert pauses == [0, 0]
    assert isinstance(error, Unavailable)
    pauses, error = carried_out([BROKEN], retries=0)
    assert pauses == []
    assert isinstance(error, Unreachable)
    assert error.__cause__ is BROKEN


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 507])
def test_other_errors_end_at_once(status):
    assert carried_out([reply(status)])[0] == []


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_slow_reply_is_not_asked_for_again(idempotent):
    pauses, error = carried_out([httpx.ReadTimeout("")], idempotent=idempotent)
    assert pauses == []
    assert str(error) == "ReadTimeout"


@pytest.mark.parametrize(
    ("answer", "repeated"),
    [(reply(429), True), (NOBODY, True), (reply(503), False), (reply(502), False), (BROKEN, False)],
)
def test_what_may_have_been_done_is_not_done_twice(answer, repeated):
    pauses, _ = carried_out([answer, GOOD] if repeated else [answer], idempotent=False)
    assert len(pauses) == repeated


ROWS = pd.DataFrame({"occurred_at": ["2026-01-01T00:00Z"], "longitude": [0.0], "latitude": [0.0]})


@pytest.mark.parametrize(
    ("call", "n_requests"),
    [
        (lambda c: c.regions(), 2),
        (lambda c: c.score("town", ROWS), 2),
        (lambda c: c.evaluate("town", [1], "2026-01-01", "2026-01-02"), 2),
        (lambda c: c.priced_zones("town", [[1]]), 2),
        (lambda c: c.upload("town", ROWS), 2),
        (lambda c: c.record_presence("town", ROWS), 2),
        (lambda c: c.train("town"), 1),
        (lambda c: c.backtest("town", ["maf"]), 1),
        (lambda c: c.create_region("town", "UTC"), 1),
        (lambda c: c.request("POST", "/v1/keys"), 1),
        (lambda c: c.request("DELETE", "/v1/keys/1"), 2),
    ],
)
def test_calls_know_whether_they_can_be_repeated(call, n_requests):
    sent = []

    def overloaded(request):
        sent.append((request.headers.get("Idempotency-Key"), request.content))
        return reply(503, 0, code="overloaded")

    with (
        Client(retries=1, transport=httpx.MockTransport(overloaded)) as client,
        pytest.raises(Unavailable),
    ):
        call(client)
    assert len(sent) == n_requests
    assert len(set(sent)) == 1


def test_an_upload_has_a_key_of_its_own():
    sent = []

    def stored(request):
        sent.append(request.headers["Idempotency-Key"])
        return httpx.Response(200, json={})

    with Client(transport=httpx.MockTransport(stored)) as client:
        for key in (None, None, "mine"):
            client.upload("town", ROWS, key)
    assert len({*sent}) == 3
    assert sent[2] == "mine"


def test_both_clients_pause(monkeypatch):
    paused, sent = [], []
    monkeypatch.setattr("time.sleep", paused.append)

    async def pause(seconds):
        paused.append(seconds)

    monkeypatch.setattr("hotslot_client.clients.asyncio.sleep", pause)

    def busy_once(_request):
        sent.append(1)
        return reply(503, 2) if len(sent) % 2 else httpx.Response(200, json={"regions": []})

    async def asked():
        async with AsyncClient(transport=httpx.MockTransport(busy_once)) as client:
            return await client.regions()

    with Client(transport=httpx.MockTransport(busy_once)) as client:
        assert client.regions().empty
    assert asyncio.run(asked()).empty
    assert len(paused) == 2
    assert min(paused) >= 2


@pytest.mark.parametrize("status", sorted(PROBLEMS))
def test_every_status_of_the_service_has_a_class(status):
    kind = type(refusal(reply(status, code="other")))
    assert kind is KIND_OF_STATUS[status]
    assert kind is not Refused


def test_problems_become_attributes():
    problem = {"detail": "n is 9", "code": "limit_exceeded", "field": "n", "limit": 8, "asked": 9}
    error = refusal(reply(422, **problem, params={"unit": "cells"}))
    assert isinstance(error, LimitExceeded)
    assert str(error) == "n is 9"
    assert (error.code, error.field, error.limit, error.asked) == ("limit_exceeded", "n", 8, 9)
    assert error.params == {"unit": "cells"}
    assert error.retry_after_s is None
    assert error.problem == {**problem, "params": {"unit": "cells"}}
    assert isinstance(refusal(reply(409, code="no_model")), NoModel)
    busy = refusal(reply(429, 30, code="too_many_runs"))
    assert isinstance(busy, TooManyRuns)
    assert busy.retry_after_s == 30


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b""])
def test_replies_of_proxies_are_errors_too(body):
    error = refusal(httpx.Response(502, content=body))
    assert isinstance(error, Unavailable)
    assert (str(error), error.code, error.params) == ("status 502", "error", {})
