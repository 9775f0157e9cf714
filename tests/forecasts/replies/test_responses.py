"""Headers of forecasts' replies say what the JSON heading says, for every format."""

import json

import pytest

from app.forecasts.replies.responses import (
    PROVENANCE,
    ResponseSpec,
    provenance_headers,
    single_reply,
)
from tests.support.simulated.made_forecasts import forecast_of


def test_headers_are_the_members_of_the_heading():
    head = forecast_of().heading()
    headers = provenance_headers(head)
    assert {name: headers.pop(name) for name in PROVENANCE} == {
        name: str(head[member]) for name, member in PROVENANCE.items()
    }
    assert headers.keys() == {"X-Hotslot-Warnings"}
    assert json.loads(headers["X-Hotslot-Warnings"]) == head["warnings"]


def test_missing_members_have_no_header_and_letters_of_any_script_fit_in_one():
    warning = {"code": "c", "message": "Größe – 量\n"}
    headers = provenance_headers({"model": None, "warnings": [warning]})
    assert headers.keys() == {"X-Hotslot-Warnings"}
    text = headers["X-Hotslot-Warnings"]
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == [warning]


@pytest.mark.parametrize(
    ("fmt", "name", "saved"),
    [
        ("csv", "town-density", {"Content-Disposition": 'inline; filename="town-density.csv"'}),
        ("json", "town-density", {}),
        ("png", None, {}),
    ],
)
def test_browsers_save_files_under_a_name(fmt, name, saved):
    assert ResponseSpec((), fmt, len, name).disposition() == saved


def test_a_reply_that_is_not_cached_is_known_by_its_bytes():
    one, same, other = (single_reply(b, {"warnings": []}, "csv") for b in (b"a", b"a", b"b"))
    assert one.headers["etag"] == same.headers["etag"] != other.headers["etag"]
    assert one.headers["cache-control"] == "no-store"
    assert one.headers["content-type"].startswith("text/csv")
