"""Change a region's aliases, groups and weights of categories."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, func, select

from app.audit import store as audit
from app.core.bounds import check_text
from app.core.db.locks import count_lock
from app.core.db.tables import api_keys, categories, incidents, model_versions
from app.core.errors import Conflict, InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.incidents.releases import minimum_of
from app.regions.category_store import categories_of, kinds_of
from app.regions.kinds import SETTINGS, TABLES, Kinds, folded
from app.regions.store import Region, get_region, put_setting
from app.releases.small_counts import OTHER

MAX_NAMES = 500
MAX_TABLE_BYTES = 200_000
MAX_WEIGHT = 1e9
Names = dict[str, Any]


def stored_names(region: Region, table: str) -> Names:
    """Return a table of a region's choices: {name: value}."""
    found: Names = region.settings.get(SETTINGS, {}).get(table, {}).get("names", {})
    return dict(sorted(found.items()))


def describe_kinds(
    connection: Connection, region: Region, shown: Collection[str] | None
) -> dict[str, Any]:
    """Return a region's kinds and choices; of names that not everyone may see, nothing.

    Args:
        shown: names that the caller may see; None: all.
    """
    stored = categories_of(connection, region.key)
    names: dict[str, list[str]] = {}
    for key, kind in kinds_of(connection, region).items():
        for counts_as in filter(None, (kind.now, kind.before)):
            names.setdefault(counts_as, []).append(stored[key])
    known = None if shown is None else {folded(name) for name in shown}

    def visible(name: str) -> bool:
        return known is None or folded(name) in known

    aliases, groups, weights = (stored_names(region, table) for table in TABLES)
    return {
        "categories": [
            {"category": kind, "names": [n for n in names[kind] if visible(n)]}
            for kind in sorted(names)
            if visible(kind)
        ],
        "aliases": {n: a for n, a in aliases.items() if visible(n) and visible(a["category"])},
        "groups": {n: [m for m in members if visible(m)] for n, members in groups.items()},
        "weights": {n: w for n, w in weights.items() if visible(n)},
    }


def change_kinds(
    engine: Engine, region_id: str, table: str, change: Callable[[Names], Names]
) -> Region:
    """Replace a table of a region's choices.

    Args:
        table: one of `TABLES`.
        change: returns the new table for the present one.

    Raises:
        NotFound: no such region.
        InvalidInput: a name or value is wrong.
        LimitExceeded: there are too many of them.
        Conflict: readers could work out few incidents by comparing forecasts.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        count_lock(connection, region.key)
        region = get_region(connection, region_id)
        before = stored_names(region, table)
        names = change(dict(before))
        _check_size(table, names)
        _CHECKS[table](connection, region, names)
        value: Names = {"names": names}
        if table == "aliases":
            _check_few(connection, region, before, names)
            value["revision"] = Kinds.of(region.settings).revision + (names != before)
        put_setting(connection, region.key, (SETTINGS, table), value)
        audit.record(
            connection, "categories.changed", chain=region.id, table=table, names=len(names)
        )
        return get_region(connection, region_id)


def _check_size(table: str, names: Names) -> None:
    size = len(orjson.dumps(names))
    if len(names) > MAX_NAMES or size > MAX_TABLE_BYTES:
        raise LimitExceeded(
            f"{table} may have {MAX_NAMES} names and {MAX_TABLE_BYTES} bytes; "
            f"these are {len(names)} and {size}",
            field=table,
            limit=MAX_NAMES,
            asked=len(names),
        )


def _checked_name(name: str, field: str) -> str:
    check_text(name, field)
    if not name.strip() or "\x00" in name:
        raise InvalidInput(f"{shortened(name)} is no category", field=field)
    if folded(name) == folded(OTHER):
        raise InvalidInput(
            f"{OTHER!r} stands for the rare categories together; choose another name", field=field
        )
    return name


def _refuse(message: str, field: str) -> InvalidInput:
    return InvalidInput(message, field=field, code="bad_kinds")


def _check_aliases(connection: Connection, region: Region, names: Names) -> None:
    aliased = {folded(_checked_name(name, "aliases")) for name in names}
    if len(aliased) < len(names):
        raise _refuse("two aliases differ only in case or spacing", "aliases")
    groups = {folded(name) for name in stored_names(region, "groups")}
    for name, alias in names.items():
        category = _checked_name(alias["category"], "aliases")
        if folded(category) in aliased:
            raise _refuse(
                f"{shortened(name)} counts as {shortened(category)}, which is an alias; "
                "name the category that it counts as",
                "aliases",
            )
        if groups & {folded(name), folded(category)}:
            raise _refuse(f"{shortened(name)} or its category is a group", "aliases")
        if alias.get("from") is not None:
            _checked_day(alias["from"])


def _checked_day(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise _refuse(f"from must be a date such as 2026-09-01, not {text}", "aliases") from error


def _check_groups(connection: Connection, region: Region, names: Names) -> None:
    kinds = Kinds.of(region.settings)
    stored = {folded(name) for name in categories_of(connection, region.key).values()}
    grouped = {folded(_checked_name(name, "groups")) for name in names}
    for name, members in names.items():
        if folded(name) in stored or folded(name) in kinds.aliases:
            raise _refuse(f"{shortened(name)} is a category; name the group otherwise", "groups")
        if not members:
            raise _refuse(f"group {shortened(name)} has no category", "groups")
        for member in members:
            if folded(_checked_name(member, "groups")) in grouped:
                raise _refuse(f"{shortened(member)} is a group; list its categories", "groups")


def _check_weights(_connection: Connection, region: Region, names: Names) -> None:
    kinds = Kinds.of(region.settings)
    for name, weight in names.items():
        _checked_name(name, "weights")
        if folded(name) in kinds.groups or folded(name) in kinds.aliases:
            raise _refuse(
                f"{shortened(name)} is a group or an alias; weigh its categories", "weights"
            )
        if not (math.isfinite(weight) and 0 <= weight <= MAX_WEIGHT):
            raise _refuse(
                f"the weight of {shortened(name)} must lie within 0..{MAX_WEIGHT:g}", "weights"
            )


_CHECKS: Mapping[str, Callable[[Connection, Region, Names], None]] = {
    "aliases": _check_aliases,
    "groups": _check_groups,
    "weights": _check_weights,
}


def _check_few(connection: Connection, region: Region, before: Names, after: Names) -> None:
    """Raise if few incidents would move to another kind while others read forecasts.

    Raises:
        Conflict: the difference of the forecasts before and after would reveal them.
    """
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    served = select(model_versions.c.version).where(model_versions.c.region_key == region.key)
    if connection.scalar(served.limit(1)) is None:
        return
    if connection.scalar(select(api_keys.c.id).limit(1)) is None:
        return
    keys = {folded(name): key for key, name in categories_of(connection, region.key).items()}
    minimum = minimum_of(region)
    for name in changed:
        n = _count(connection, region, keys.get(folded(name)))
        if 0 < n < minimum:
            raise Conflict(
                f"{shortened(name)} has {n} incidents: by comparing forecasts before and after, readers "
                f"could work out fewer than {minimum}. Send these incidents again with their ids and the "
                "right category, or set aliases before the first training",
                field="aliases",
                code="few_incidents",
                params={"name": name, "n": n, "minimum": minimum},
            )


def _count(connection: Connection, region: Region, key: int | None) -> int:
    if key is None:
        return 0
    query = (
        select(func.count())
        .select_from(incidents.join(categories, incidents.c.category_key == categories.c.key))
        .where(incidents.c.region_key == region.key, categories.c.key == key)
    )
    return int(connection.scalar(query) or 0)
