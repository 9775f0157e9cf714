"""The form of a request: each limit holds at its value and refuses one more."""

import pytest

from app.core.errors import InvalidInput, LimitExceeded
from app.http.request_limits import MAX_ADDRESS_BYTES, MAX_HEADERS, MAX_PARAMETERS, check_form
from tests.support.services.asgi import scope_of


def address(n_bytes):
    return scope_of(path="/", query_string=b"x" * (n_bytes - 1))


def parameters(n):
    return scope_of(query_string=b"&".join([b"a=1"] * n))


def headers(n):
    return scope_of(headers={f"x-{k}": "1" for k in range(n)})


@pytest.mark.parametrize(
    ("make", "limit", "code"),
    [
        (address, MAX_ADDRESS_BYTES, "limit_exceeded"),
        (parameters, MAX_PARAMETERS, "limit_exceeded"),
        (headers, MAX_HEADERS, "too_many_headers"),
    ],
)
def test_a_limit_itself_is_allowed_and_one_more_refused_with_both_numbers(make, limit, code):
    check_form(make(limit))
    with pytest.raises(LimitExceeded, match=f"{limit + 1} .*limit is {limit}") as refused:
        check_form(make(limit + 1))
    found = refused.value
    assert (found.limit, found.asked, found.code) == (limit, limit + 1, code)


def test_a_route_with_long_lists_takes_more_parameters():
    check_form(parameters(MAX_PARAMETERS + 5), MAX_PARAMETERS + 5)


def test_an_upgrade_to_a_websocket_is_told_where_events_are_and_others_pass():
    check_form(scope_of(headers={"upgrade": "h2c"}))
    with pytest.raises(InvalidInput, match="follow a run by its /events"):
        check_form(scope_of(headers={"upgrade": "WebSocket"}))
