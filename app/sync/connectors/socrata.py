"""Socrata (SODA 2.x): pages in the order of `:id`, filtered by what changed since the last sweep.

Offsets are the documented way to page. Rows added or removed meanwhile would shift them, so each page
begins with the last row of the one before; if another row is there, the sweep starts again (rows stored
already are recognised).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from app.core.errors import SourceFailed
from app.core.texts import shortened
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.pages import Page, RowShaper, State
from app.sync.connectors.portal import PortalClient
from app.sync.spec import SourceSpec

MAX_RESTARTS = 3
MAX_LIMIT = 50_000


def socrata_pages(portal: PortalClient, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield pages of a dataset; `state` holds `since`, `high` and, within a sweep, `offset`, `last_id`."""
    shaper = RowShaper(spec)
    since, high = state.get("since"), state.get("high")
    offset, last_id = int(state.get("offset", 0)), state.get("last_id")
    total = _total(portal, spec, since)
    restarts = 0
    while True:
        records = _records(portal, spec, shaper, since, max(0, offset - 1))
        if offset:
            if not records or records[0][":id"] != last_id:
                restarts += 1
                if restarts > MAX_RESTARTS:
                    raise SourceFailed("the dataset changes faster than it can be read")
                offset, last_id = 0, None
                continue
            records = records[1:]
        high = _highest(spec, records, high)
        if not records:
            yield Page(
                _ended(spec, high),
                share=1.0,
                message=RUN_MESSAGES.make("source_rows_read", n=offset),
            )
            return
        offset += len(records)
        last_id = records[-1][":id"]
        now = {"since": since, "high": high, "offset": offset, "last_id": last_id}
        yield shaper.page(
            records,
            now,
            min(1.0, offset / max(total, 1)),
            RUN_MESSAGES.make("source_rows", n=offset, total=total),
        )


def _where(spec: SourceSpec, since: str | None) -> dict[str, str]:
    parts = [f"({spec.where})"] if spec.where else []
    if since is not None:
        parts.append(f"{spec.changed_column} >= '{since}'")
    return {"$where": " AND ".join(parts)} if parts else {}


def _total(portal: PortalClient, spec: SourceSpec, since: str | None) -> int:
    answer = portal.json(spec.url, {"$select": "count(*) AS n", **_where(spec, since)})
    try:
        return int(answer[0]["n"])
    except (LookupError, TypeError, ValueError) as error:
        raise SourceFailed("the count of rows is missing in the answer") from error


def _records(
    portal: PortalClient, spec: SourceSpec, shaper: RowShaper, since: str | None, offset: int
) -> list[dict[str, Any]]:
    answer = portal.json(
        spec.url,
        {
            "$select": ",".join(shaper.columns(":id", spec.changed_column)),
            **_where(spec, since),
            "$order": ":id",
            "$limit": str(min(spec.page_rows + 1, MAX_LIMIT)),
            "$offset": str(offset),
        },
    )
    if not isinstance(answer, list) or not all(isinstance(r, dict) and ":id" in r for r in answer):
        raise SourceFailed("the answer is not a list of rows with :id")
    return answer


def _highest(spec: SourceSpec, records: list[dict[str, Any]], high: str | None) -> str | None:
    column = spec.changed_column
    seen = [str(r[column]) for r in records if r.get(column)] if column else []
    return max([*seen, *([high] if high else [])], default=None)


def _ended(spec: SourceSpec, high: str | None) -> State:
    """Return the state after a sweep; the next one starts `overlap_days` before the newest change."""
    if high is None:
        return {}
    try:
        moment = datetime.fromisoformat(high) - timedelta(days=spec.overlap_days)
    except ValueError as error:
        raise SourceFailed(
            f"{spec.changed_column} holds {shortened(high)}, which is not a time"
        ) from error
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return {"since": text + ("Z" if moment.tzinfo else ""), "high": high}
