"""A region's champion: promotion, history and rollback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit import store as audit
from app.core.db.tables import champions, incidents, model_versions, promotions
from app.core.errors import Conflict, NotFound, NotReady
from app.core.texts import shortened
from app.regions.outdated import is_outdated
from app.registry.erasure_marks import marked_versions
from app.registry.store import check_version, get_version


@dataclass(frozen=True)
class Champion:
    """Which version a region serves; `revision` rises with every promotion."""

    version: str
    revision: int
    promoted_at: datetime


def get_champion(connection: Connection, region_key: int) -> Champion | None:
    """Return the region's champion, or None."""
    row = connection.execute(
        select(champions).where(champions.c.region_key == region_key)
    ).one_or_none()
    return None if row is None else Champion(row.version, row.revision, row.promoted_at)


def promote(
    connection: Connection,
    region_key: int,
    version: str,
    reason: str,
    expected_revision: int | None = None,
    action: str = "promoted",
) -> Champion:
    """Promote a version by compare-and-set on the champion's revision.

    Args:
        action: promoted, or rolled_back (see `roll_back`).
        expected_revision: the revision that the caller saw (0: no champion); None takes the
            present one.

    Raises:
        NotFound: no such version.
        ArtifactCorrupt: its stored parts are not what was registered.
        Conflict: a concurrent promotion came first.
    """
    record = get_version(connection, region_key, version)
    version = record.version
    _hold(connection, region_key, version)
    check_version(connection, record)
    current = get_champion(connection, region_key)
    revision = current.revision if current else 0
    is_stale = expected_revision is not None and expected_revision != revision
    statement = _set_champion(region_key, version, revision).returning(champions.c.revision)
    if is_stale or connection.execute(statement).one_or_none() is None:
        raise Conflict(
            "the champion has changed meanwhile; reload and try again", code="champion_changed"
        )
    previous = current.version if current else None
    _note_promotion(connection, region_key, (version, previous), reason, action)
    promoted = get_champion(connection, region_key)
    if promoted is None:
        raise Conflict("the champion vanished during its promotion")
    return promoted


def remove_champion(connection: Connection, region_key: int) -> None:
    """Remove a region's champion; the next registered version becomes champion."""
    connection.execute(champions.delete().where(champions.c.region_key == region_key))


def _hold(connection: Connection, region_key: int, version: str) -> None:
    """Protect a version from retention until this transaction ends.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    held = select(model_versions.c.version).where(
        model_versions.c.region_key == region_key, model_versions.c.version == version
    )
    if connection.scalar(held.with_for_update(read=True, key_share=True)) is None:
        raise NotFound(f"version {shortened(version)} no longer exists", field="model")


def _note_promotion(
    connection: Connection,
    region_key: int,
    versions: tuple[str, str | None],
    reason: str,
    action: str,
) -> None:
    """Record a promotion of the first of two versions over the second, also in the audit log."""
    version, previous = versions
    # The day suffices to judge a promotion, and does not reveal the time of a single incident.
    data_until = select(func.date_trunc("day", func.max(incidents.c.occurred_at), "UTC")).where(
        incidents.c.region_key == region_key
    )
    connection.execute(
        insert(promotions).values(
            region_key=region_key,
            version=version,
            previous_version=previous,
            reason=reason,
            action=action,
            data_until=data_until.scalar_subquery(),
        )
    )
    details = {"version": version, "previous": previous, "reason": reason}
    name = "rollback" if action == "rolled_back" else "promotion"
    audit.record_for(connection, name, region_key, **details)


def _set_champion(region_key: int, version: str, revision: int) -> Any:
    """Build the statement that succeeds only at this revision of the champion (0: none)."""
    if revision == 0:
        values = {"region_key": region_key, "version": version, "revision": 1}
        return upsert(champions).values(**values).on_conflict_do_nothing()
    return (
        update(champions)
        .where(champions.c.region_key == region_key, champions.c.revision == revision)
        .values(version=version, revision=revision + 1, promoted_at=func.now())
    )


@dataclass(frozen=True)
class Promotion:
    """One change of champion; `data_until` is the last incident that was known then."""

    version: str
    previous_version: str | None
    action: str
    reason: str
    data_until: datetime | None
    created_at: datetime


def all_promotions(connection: Connection, region_key: int) -> list[Promotion]:
    """List all changes of champion, oldest first."""
    columns = [promotions.c[name] for name in Promotion.__dataclass_fields__]
    query = select(*columns).where(promotions.c.region_key == region_key).order_by(promotions.c.id)
    return [Promotion(*row) for row in connection.execute(query)]


def promotions_in_force(changes: list[Promotion]) -> list[Promotion]:
    """Return the promotions still in force: a rollback cancels the one before it.

    >>> at = datetime(2024, 1, 1)
    >>> made = [Promotion(v, None, a, "", at, at) for v, a in
    ...         [("1", "promoted"), ("2", "promoted"), ("1", "rolled_back"), ("3", "promoted")]]
    >>> [promotion.version for promotion in promotions_in_force(made)]
    ['1', '3']
    """
    line: dict[str, Promotion] = {}
    for change in changes:
        if change.action == "rolled_back":
            while line and next(reversed(line)) != change.version:
                line.popitem()
        else:
            line.pop(change.version, None)
            line[change.version] = change
    return list(line.values())


def champion_history(connection: Connection, region_key: int) -> list[Promotion]:
    """Return the promotions in force whose versions may serve again, the champion's last.

    Those versions still exist and had learnt nothing that has been erased since, unless the champion had
    too: no rollback returns to what an erasure has replaced.
    """
    usable = set(
        connection.scalars(
            select(model_versions.c.version).where(
                model_versions.c.region_key == region_key, ~is_outdated()
            )
        )
    )
    current = get_champion(connection, region_key)
    marked = marked_versions(connection, region_key)
    if current is None or current.version not in marked:
        usable -= marked.keys()
    return [
        p
        for p in promotions_in_force(all_promotions(connection, region_key))
        if p.version in usable
    ]


def promote_by_hand(connection: Connection, region_key: int, version: str) -> Champion:
    """Promote a version because a person asked for it.

    Raises:
        NotFound, ArtifactCorrupt: see `promote`.
        Conflict: it had learnt from incidents erased since, unlike the champion; or the champion has
            changed.
    """
    chosen = get_version(connection, region_key, version).version
    current = get_champion(connection, region_key)
    marked = marked_versions(connection, region_key)
    if current is not None and chosen in marked and current.version not in marked:
        raise Conflict(
            f"{chosen} had learnt from incidents that are erased; train again instead",
            code="learnt_from_erased",
        )
    revision = current.revision if current else 0
    return promote(connection, region_key, chosen, "promoted by hand", revision)


def roll_back(
    connection: Connection, region_key: int, reason: str, expected_revision: int | None = None
) -> Champion:
    """Promote the champion's predecessor again.

    Raises:
        NotReady: the region has no champion.
        Conflict: it has no predecessor (see `champion_history`), or changed meanwhile.
    """
    if get_champion(connection, region_key) is None:
        raise NotReady("no model has been trained for this region yet", code="no_model")
    held = champion_history(connection, region_key)
    if len(held) < 2:
        raise Conflict("there is no earlier champion to go back to", code="no_earlier_champion")
    return promote(
        connection, region_key, held[-2].version, reason, expected_revision, "rolled_back"
    )
