"""Cursors lead to the row after, and nothing else is taken for one."""

import base64
from datetime import UTC, datetime

import pytest

from app.core.errors import InvalidInput
from app.http.cursors import after_cursor, cursor_of

AT = datetime(2026, 1, 9, 22, tzinfo=UTC)


def test_a_cursor_is_read_back():
    assert after_cursor(cursor_of(AT, 7)) == (AT, 7)
    assert after_cursor(None) is None


@pytest.mark.parametrize("text", ["", "x", "2026-01-09|7", "2026-01-09T22:00+00:00|-1"])
def test_other_texts_are_refused(text):
    for sent in (text, base64.urlsafe_b64encode(text.encode()).decode()):
        with pytest.raises(InvalidInput):
            after_cursor(sent)
