"""Rows of a portal become pages: fields by the mapping, withdrawn rows apart, joined where ids lack."""

import json

import pytest

from app.sync.connectors.pages import Page, RowShaper, joined
from app.sync.spec import SourceSpec

COLUMNS = {
    "occurred_at": "day + clock",
    "category": "KIND",
    "longitude": "KIND",
    "external_id": "NR",
}


def shaper(**more):
    return RowShaper(SourceSpec("socrata", "https://x.org/a.json", columns=COLUMNS, **more))


def rows(page):
    return [json.loads(line) for line in b"".join(page.body or ()).splitlines()]


def test_two_columns_of_one_field_are_a_date_and_a_time():
    made = shaper()
    assert made.fields == {
        "date": "day", "time": "clock", "category": "KIND", "longitude": "KIND", "external_id": "NR",
    }  # fmt: skip
    assert dict(made.mapping.columns) == {name: name for name in made.fields}


def test_columns_are_asked_for_once_and_none_is_none():
    made = shaper(deleted_when="STATE=gone")
    assert made.columns("NR", None, ":id") == ["day", "clock", "KIND", "NR", "STATE", ":id"]


def test_missing_values_are_null_and_further_columns_left_out():
    page = shaper().page([{"KIND": "theft", "NR": 7, "other": 1}], {"s": 1}, 0.5, "m")
    assert rows(page) == [
        {"date": None, "time": None, "category": "theft", "longitude": "theft", "external_id": 7}
    ]
    assert (page.state, page.share, page.message, page.deleted) == ({"s": 1}, 0.5, "m", [])


@pytest.mark.parametrize(("value", "is_gone"), [("1", True), (1, True), (0, False), (None, False)])
def test_a_withdrawn_row_is_an_id_and_no_row(value, is_gone):
    page = shaper(deleted_when="STATE=1").page([{"NR": 7, "STATE": value}], {}, 1.0, "")
    assert list(page.deleted) == (["7"] if is_gone else [])
    assert (page.body is None) is is_gone


def test_joined_pages_are_one_with_the_last_cursor_and_all_rows():
    pages = (
        Page({"n": k}, [b"a%d\n" % k, b"b\n"] if k else None, message=f"m{k}") for k in range(3)
    )
    (page,) = made = list(_read(joined(pages)))
    assert len(made) == 1
    (state, body, message) = page
    assert (state, body, message) == ({"n": 2}, b"a1\nb\na2\nb\n", "m2")


def test_joined_pages_without_rows_have_no_body_and_none_are_none():
    assert list(_read(joined(iter([Page({"n": 1})])))) == [({"n": 1}, None, "")]
    assert list(joined(iter(()))) == []


def test_an_interrupted_sweep_gives_no_page():
    def broken():
        yield Page({}, [b"a\n"])
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(joined(broken()))


def _read(pages):
    """What is in each page while it is current."""
    for page in pages:
        yield (
            page.state,
            None if page.body is None else b"".join(page.body),
            str(page.message or ""),
        )
