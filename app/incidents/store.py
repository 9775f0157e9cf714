"""Read pages of incidents, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    false,
    or_,
    select,
    tuple_,
    union_all,
)

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
    category or a box filters that range. Intervals that began before the span have an index of their own.
    """
    if query.start is None:
        c = _first(incidents, region_key, query).subquery().c
    else:
        begun = _first(incidents, region_key, query, incidents.c.occurred_at >= query.start)
        lasting = _first(_lasting_into(region_key, query.start), region_key, query)
        c = union_all(begun, lasting).subquery().c
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
        # With the region, so that no other's names are read.
        .join(categories, _named_by(categories, c.category_key, region_key))
        .outerjoin(feeds, _named_by(feeds, c.feed_key, region_key))
        .order_by(c.occurred_at, c.id)
        .limit(query.limit)
    )


def _named_by(names: Table, key: ColumnElement[Any], region_key: int) -> ColumnElement[bool]:
    return and_(names.c.key == key, names.c.region_key == region_key)


def _first(
    source: FromClause, region_key: int, query: PageQuery, *more: ColumnElement[bool]
) -> Select[Any]:
    """Select the first incidents that meet all conditions, by (occurred_at, id)."""
    c = source.c
    wanted = (c.region_key == region_key, *_conditions(c, query), *more)
    return select(source).where(*wanted).order_by(c.occurred_at, c.id).limit(query.limit)


def _lasting_into(region_key: int, start: datetime) -> FromClause:
    """Select intervals that begin before an instant and end after it.

    Apart from all other conditions (OFFSET 0): with a category, plans for any values read all its incidents
    of the days before.
    """
    c = incidents.c
    earliest = start - LONGEST if start.year > 1 else start
    span = c.occurred_at < start, c.occurred_to > start, c.occurred_at >= earliest
    return select(incidents).where(c.region_key == region_key, *span).offset(0).subquery()


def _conditions(c: Any, query: PageQuery) -> list[ColumnElement[bool]]:
    """Return what a query demands of columns, besides where its span starts."""
    conditions: list[ColumnElement[bool]] = []
    if query.bbox is not None:
        west, south, east, north = query.bbox
        sides = (c.longitude >= west, c.longitude <= east)
        # A box whose west exceeds its east lies over the 180th meridian.
        across = and_(*sides) if west <= east else or_(*sides)
        conditions += [across, c.latitude.between(south, north)]
    if query.end is not None:
        conditions.append(c.occurred_at < query.end)
    if query.categories is not None:
        conditions.append(or_(false(), *(_within(c, span) for span in query.categories)))
    if query.only is not None:
        conditions.append(c.id == query.only)
    if query.after is not None:
        conditions.append(tuple_(c.occurred_at, c.id) > tuple_(*query.after))
    return conditions


def _within(c: Any, span: KindSpan) -> ColumnElement[bool]:
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
