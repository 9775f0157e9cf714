"""The format by `f`, then by the weights of `Accept`; an ETag matches weakly."""

import pytest

from app.http.content_negotiation import matches, negotiated

OFFERED = ("json", "geojson", "csv", "png")


@pytest.mark.parametrize(
    ("f", "accept", "chosen"),
    [
        (None, None, "json"),
        (None, "", "json"),
        ("csv", "image/png", "csv"),
        (None, "text/csv", "csv"),
        (None, "TEXT/CSV ; Q=0.2, image/png; q=0.1", "csv"),
        (None, "image/png;q=0.1, text/csv;q=0.9", "csv"),
        (None, "image/*", "png"),
        (None, "text/*;q=0.4, */*;q=0.3", "csv"),
        (None, "*/*", "json"),
        (None, "text/csv;q=0, image/png", "png"),
        (None, "text/csv;q=no, image/png;q=0.1", "png"),
        (None, "application/pdf", "json"),
        (None, "imag/*", "json"),
        (None, ",;,", "json"),
    ],
)
def test_the_format_is_the_clients_wish_where_it_is_offered(f, accept, chosen):
    assert negotiated(f, accept, OFFERED) == chosen


def test_of_equal_weights_the_clients_first_is_taken():
    assert negotiated(None, "image/png, text/csv", OFFERED) == "png"
    assert negotiated(None, "text/csv, image/png", OFFERED) == "csv"


@pytest.mark.parametrize(
    ("if_none_match", "held"),
    [
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ('"b"', False),
        ("a", False),
        ("", False),
        (None, False),
    ],
)
def test_a_reply_that_the_client_holds_is_known_by_its_etag(if_none_match, held):
    assert matches(if_none_match, 'W/"a"') is held
