"""Release incidents to readers, and limit their trainings to released incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from app.core.caching.cache import TTLCache
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import zone
from app.regions.category_store import kinds_of
from app.regions.kinds import Kinds, folded
from app.regions.learning_policy import LearningPolicy
from app.regions.store import Region
from app.releases import store
from app.releases.small_counts import OTHER, fold_categories
from app.releases.span_store import begin_of_data
from app.releases.store import LONG_AGO, MIN_GROUP, Release

NO_RELEASE = 0
"""Number that stands for no release: a run that requests it fails with the reason."""
ADVANCE_EVERY_S = 1.0
_ADVANCED = TTLCache()
"""Uploads that waited for a release when a region was last advanced for readers."""


def minimum_of(region: Region) -> int:
    """Return the minimum number of incidents of a category that readers may see figures of."""
    return max(MIN_GROUP, LearningPolicy.of(region.settings).minimum_count)


def advance(connection: Connection, region: Region, now: datetime | None = None) -> Release | None:
    """Release what has arrived, by whole local days with enough new incidents; returns the last one.

    A remainder at the end joins the last day; fewer than `MIN_GROUP` incidents wait.
    """
    store.lock(connection, region.key)
    last = store.latest(connection, region.key)
    unreleased = store.unreleased_uploads(connection, region.key)
    until = last.until if last else LONG_AGO
    days = store.new_by_day(connection, region.key, region.timezone, until, unreleased)
    steps = _steps(days, until, now or datetime.now(UTC))
    if not steps:
        return last
    made = store.append(connection, region.key, [(instant, None) for instant, _ in steps])
    store.assign(connection, unreleased, made.seq)
    newest = replace(made, seq=made.seq + len(steps) - 1, until=steps[-1][0])
    held = store.summarise(connection, region.key, region.timezone, newest)
    for seq, (_, n) in reversed(list(enumerate(steps, start=made.seq))):
        store.change(connection, region.key, seq, n_incidents=held)
        held -= n
    return store.latest(connection, region.key)


def _steps(
    days: Sequence[tuple[object, datetime | None, int]], until: datetime, now: datetime
) -> list[tuple[datetime, int]]:
    """Return (instant, new incidents) of the releases that whole days make."""
    steps: list[tuple[datetime, int]] = []
    waiting, end = 0, until
    for _, ends, n in days:
        if ends is not None and ends > now:
            break
        waiting, end = waiting + n, max(end, ends) if ends else end
        # Late arrivals are released with a day, or at the old instant if no day follows.
        if waiting >= MIN_GROUP and ends is not None:
            steps.append((end, waiting))
            waiting = 0
    if waiting and steps:
        steps[-1] = (end, steps[-1][1] + waiting)
    elif waiting >= MIN_GROUP and end > LONG_AGO:
        steps.append((end, waiting))
    return steps


def settle_exact(connection: Connection, region: Region, until: datetime | None = None) -> bool:
    """Return whether readers may see results made from all incidents (before `until`).

    True if a release holds exactly these, or can be made to: `MIN_GROUP` or more are new, or the last
    release has not been used yet and can be extended.
    """
    last = advance(connection, region)
    if until is not None:
        known = store.latest(connection, region.key, until)
        if known is None or known.until != until:
            return False
        total = store.count_before(connection, region.key, until)
        return _use(connection, region, known, total)
    end = store.data_end(connection, region.key)
    if end is None:
        return False
    total = store.count_before(connection, region.key, end)
    new = total - (store.count_held(connection, region.key, last) if last else 0)
    if last is not None and new == 0:
        return _use(connection, region, last, total)
    unreleased = store.unreleased_uploads(connection, region.key)
    if new >= MIN_GROUP:
        made = store.append(connection, region.key, [(end, total)])
        store.assign(connection, unreleased, made.seq)
        store.summarise(connection, region.key, region.timezone, made)
        return _use(connection, region, made, total)
    if last is not None and not last.used:
        store.assign(connection, unreleased, last.seq)
        until = max(end, last.until)
        store.change(connection, region.key, last.seq, until=until, n_incidents=total)
        return _use(connection, region, replace(last, until=until), total)
    return False


def _use(connection: Connection, region: Region, release: Release, total: int) -> bool:
    same = store.count_held(connection, region.key, release) == total
    if same:
        store.change(connection, region.key, release.seq, used=True)
    return same


def released_until(
    connection: Connection,
    region: Region,
    until: datetime | None,
    categories: Sequence[str] | None = None,
) -> Release | None:
    """Find the last release up to `until`; of some categories, the last with enough new ones of them.

    Returns None if too few incidents are released.

    Raises:
        InvalidInput: a category is unknown, or has too few incidents.
    """
    advance(connection, region)
    found = store.latest(connection, region.key, until)
    if found is None:
        return None
    if categories is not None:
        found = _of_categories(connection, region, found, categories)
    store.change(connection, region.key, found.seq, used=True)
    return found


def _of_categories(
    connection: Connection, region: Region, release: Release, categories: Sequence[str]
) -> Release:
    counts = store.by_step(connection, region.key, release)
    by_name = _public_steps(connection, region, counts)
    minimum = minimum_of(region)
    kinds, asked = Kinds.of(region.settings), set()
    for name in categories:
        members = {folded(kind) for kind in kinds.expanded([name])}
        asked |= members
        if not members <= by_name.keys():
            raise InvalidInput(
                f"category {shortened(name)} has fewer than {minimum} released incidents, or does not exist; "
                "name others, or train on all",
                field="categories",
                code="too_few_of_category",
            )
    merged: dict[int, int] = {}
    for fold in asked:
        for step, n in by_name[fold]:
            merged[step] = merged.get(step, 0) + n
    seq = last_step(sorted(merged.items()))
    found = store.get(connection, region.key, seq) if seq else None
    return found or release


def _public_steps(
    connection: Connection, region: Region, counts: Mapping[int, Sequence[tuple[int, int]]]
) -> dict[str, list[tuple[int, int]]]:
    """Return the steps of each kind (folded), of its stored categories that everyone may see."""
    minimum = minimum_of(region)
    found: dict[str, list[tuple[int, int]]] = {}
    for key, kind in kinds_of(connection, region).items():
        steps = counts.get(key, [])
        if sum(n for _, n in steps) >= minimum:
            found.setdefault(folded(kind.now), []).extend(steps)
    return found


def last_step(counts: Sequence[tuple[int, int]]) -> int:
    """Return the last release at which enough new incidents had accumulated (0: never).

    >>> last_step([(1, 25), (2, 5), (3, 16), (4, 1)])
    3
    """
    found = waiting = 0
    for step, n in counts:
        waiting += n
        if waiting >= MIN_GROUP:
            found, waiting = step, 0
    return found


def released_view(connection: Connection, region: Region) -> dict[str, object]:
    """Describe a region's released incidents to readers: by day, with rare categories merged."""
    _advance_if_new(connection, region)
    last = store.last_summary(connection, region.key)
    if last is None or last.categories is None or last.first_day is None:
        never = dict.fromkeys(("first_at", "last_at", "begins_at"))
        return {"incidents": 0, **never, "categories": {}}
    if not last.used:
        store.change(connection, region.key, last.seq, used=True)
    local = zone(region.timezone)
    days = last.first_day, (last.until - timedelta(seconds=1)).astimezone(local).date()
    first, end = (datetime.combine(day, time(), local).astimezone(UTC) for day in days)
    n = sum(last.categories.values())
    begins = begin_of_data(
        connection,
        region.key,
        zone=region.timezone,
        n=n,
        last_at=last.until,
        release=(last.until, last.seq),
    )
    if begins is not None:
        day = begins.astimezone(local).date()
        begins = datetime.combine(day, time(), local).astimezone(UTC)
    return {
        "incidents": n,
        "begins_at": begins,
        "first_at": first.isoformat(),
        "last_at": end.isoformat(),
        "categories": _by_kind(region, fold_categories(last.categories, minimum_of(region))),
    }


def _advance_if_new(connection: Connection, region: Region) -> None:
    """Advance, unless this process just did with the same uploads: readers' pages ask all the time."""
    place = f"{connection.engine.url}/{region.key}"
    waiting = tuple(sorted(store.unreleased_uploads(connection, region.key)))
    if _ADVANCED.recall("uploads", place, tuple) != waiting:
        advance(connection, region)
        _ADVANCED.keep("uploads", place, waiting, ADVANCE_EVERY_S)


def known_categories(connection: Connection, region: Region) -> frozenset[str]:
    """Return the categories, and the kinds that they count as, whose figures everyone may see."""
    last = store.last_summary(connection, region.key)
    if last is None:
        advance(connection, region)
        last = store.last_summary(connection, region.key)
    held = (last.categories or {}) if last else {}
    shown = fold_categories(held, minimum_of(region))
    return frozenset({*shown, *map(Kinds.of(region.settings).kind, shown), OTHER})


def _by_kind(region: Region, counts: Mapping[str, int]) -> dict[str, int]:
    """Sum up counts of categories that everyone may see by kind, whatever the days of aliases."""
    kinds = Kinds.of(region.settings)
    found: dict[str, int] = {}
    for name, n in counts.items():
        kind = kinds.kind(name)
        found[kind] = found.get(kind, 0) + n
    return found
