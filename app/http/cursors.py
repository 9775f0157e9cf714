"""Cursors of listings: the time and id of the last row of the page before, as opaque text."""

from __future__ import annotations

import base64
from datetime import datetime

from app.core.errors import InvalidInput


def cursor_of(at: datetime, row_id: int) -> str:
    """Return the cursor of the page after a row."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{row_id}".encode()).decode()


def after_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """Decode a cursor: time and id of the last row of the page before.

    Raises:
        InvalidInput: it is none.
    """
    if cursor is None:
        return None
    unknown = InvalidInput("not a cursor of this service; follow `next` instead", field="cursor")
    try:
        at, _, last_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        moment = datetime.fromisoformat(at)
        number = int(last_id)
    except ValueError as error:
        raise unknown from error
    if moment.tzinfo is None or not 0 <= number < 2**63:
        raise unknown
    return moment, number
