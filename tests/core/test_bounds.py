"""Limits of texts, lists and instants: at the limit accepted, one beyond refused with both numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bounds import check_length, check_text
from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import cut, shortened
from app.core.zones import EARLIEST, LATEST, check_moment


@given(st.integers(0, 300))
def test_one_more_than_allowed_is_refused(limit):
    for check, value in ((check_text, "x" * limit), (check_length, [0] * limit)):
        check(value, "name", limit)
        check(None, "name", limit)
        with pytest.raises(LimitExceeded) as refused:
            check(
                value + value[:1] if value else ("x" if check is check_text else [0]), "name", limit
            )
        assert (refused.value.field, refused.value.limit, refused.value.asked) == (
            "name", limit, limit + 1,
        )  # fmt: skip


@given(st.text(), st.integers(4, 50))
def test_messages_repeat_at_most_the_beginning(text, limit):
    assert len(cut(text, limit)) <= limit
    assert cut(text, limit) == text or cut(text, limit).endswith("...")
    quoted = shortened(text, limit)
    assert quoted == repr(text) if len(text) <= limit else f"({len(text)} characters)" in quoted


@pytest.mark.parametrize(
    "moment",
    [
        EARLIEST - timedelta(microseconds=1), LATEST, datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime(2024, 1, 1),
    ],
)  # fmt: skip
def test_instants_beyond_calendars_or_without_offset_are_refused(moment):
    with pytest.raises(InvalidInput) as refused:
        check_moment(moment, "until")
    assert refused.value.field == "until"


def test_instants_within_are_accepted():
    for moment in (EARLIEST, LATEST - timedelta(microseconds=1), datetime.now(UTC)):
        check_moment(moment, "until")
