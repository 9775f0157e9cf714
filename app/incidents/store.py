"""Read pages of incidents, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, false, or_, select, tuple_

from app.core.db.tables import categories, feeds, incidents
from app.regions.category_store import kinds_of
from app.regions.kinds import Kinds, folded
from app.regions.store import Region

LONGEST = timedelta(days=32)
"""No interval lasts longer: 31 days, and what a clock change adds."""


@dataclass(frozen=True)
class KindSpan:
    """A stored category, from an instant on or before it if it counts as a kind only then."""

    key: int
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class PageQuery:
    """Which incidents to list; `after` is the (time, id) of the last one on the page before."""

    bbox: tuple[float, float, float, float] | None = None
    start: datetime | None = None
    end: datetime | None = None
    categories: tuple[KindSpan, ...] | None = None
    after: tuple[datetime, int] | None = None
    limit: int = 100
    only: int | None = None
    """The id of the one to list."""


def page_statement(region_key: int, query: PageQuery) -> Select[Any]:
    """Select one page of incidents by keyset on (occurred_at, id), with category names.

    Intervals are of a time span if they overlap it.

    A page is a range of the (region, time) index, so the hundredth costs as much as the first. A
    category or a box filters that range.
    """
    c = incidents.c
    return (
        select(
            c.id,
            c.occurred_at,
            c.occurred_to,
            c.longitude,
            c.latitude,
            categories.c.name.label("category"),
            c.external_id,
            c.source,
            c.reference,
            feeds.c.name.label("feed"),
            c.revised_at,
        )
        .join(categories, categories.c.key == c.category_key)
        .outerjoin(feeds, feeds.c.key == c.feed_key)
        .where(*_conditions(region_key, query))
        .order_by(c.occurred_at, c.id)
        .limit(query.limit)
    )


def _conditions(region_key: int, query: PageQuery) -> list[ColumnElement[bool]]:
    c = incidents.c
    conditions = [c.region_key == region_key]
    if query.bbox is not None:
        west, south, east, north = query.bbox
        sides = (c.longitude >= west, c.longitude <= east)
        # A box whose west exceeds its east lies over the 180th meridian.
        across = and_(*sides) if west <= east else or_(*sides)
        conditions += [across, c.latitude.between(south, north)]
    if query.start is not None:
        begun, later = c.occurred_at >= query.start, c.occurred_to > query.start
        earliest = query.start - LONGEST if query.start.year > 1 else query.start
        conditions += [or_(begun, later), c.occurred_at >= earliest]
    if query.end is not None:
        conditions.append(c.occurred_at < query.end)
    if query.categories is not None:
        conditions.append(or_(false(), *(_within(span) for span in query.categories)))
    if query.only is not None:
        conditions.append(c.id == query.only)
    if query.after is not None:
        conditions.append(tuple_(c.occurred_at, c.id) > tuple_(*query.after))
    return conditions


def _within(span: KindSpan) -> ColumnElement[bool]:
    c = incidents.c
    conditions = [c.category_key == span.key]
    if span.since is not None:
        conditions.append(c.occurred_at >= span.since)
    if span.until is not None:
        conditions.append(c.occurred_at < span.until)
    return and_(*conditions)


def spans_of(connection: Connection, region: Region, asked: Sequence[str]) -> tuple[KindSpan, ...]:
    """Return which stored categories count as the named kinds, aliases or groups, and when."""
    wanted = {folded(name) for name in Kinds.of(region.settings).expanded(asked)}
    found = []
    for key, kind in kinds_of(connection, region).items():
        now, before = folded(kind.now), folded(kind.before or kind.now)
        since = datetime.fromtimestamp(kind.since_s, UTC)
        if now in wanted and before in wanted:
            found.append(KindSpan(key))
        elif now in wanted:
            found.append(KindSpan(key, since=since))
        elif before in wanted:
            found.append(KindSpan(key, until=since))
    return tuple(found)


def page(connection: Connection, region: Region, query: PageQuery) -> list[Row[Any]]:
    """Return one page of incidents; see `page_statement`."""
    return list(connection.execute(page_statement(region.key, query)))
