"""The history of a region's champions, promotion by hand, and rollback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from app.core.db.tables import model_versions, promotions
from app.core.errors import Conflict, NotReady
from app.regions.outdated import is_outdated
from app.registry import store as registry
from app.registry.erasure_marks import marked_versions


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
    current = registry.champion(connection, region_key)
    marked = marked_versions(connection, region_key)
    if current is None or current.version not in marked:
        usable -= marked.keys()
    return [
        p
        for p in promotions_in_force(all_promotions(connection, region_key))
        if p.version in usable
    ]


def promote_by_hand(connection: Connection, region_key: int, version: str) -> registry.Champion:
    """Promote a version because a person asked for it.

    Raises:
        NotFound, ArtifactCorrupt: see `registry.promote`.
        Conflict: it had learnt from incidents erased since, unlike the champion; or the champion has
            changed.
    """
    chosen = registry.get_version(connection, region_key, version).version
    current = registry.champion(connection, region_key)
    marked = marked_versions(connection, region_key)
    if current is not None and chosen in marked and current.version not in marked:
        raise Conflict(
            f"{chosen} had learnt from incidents that are erased; train again instead",
            code="learnt_from_erased",
        )
    revision = current.revision if current else 0
    return registry.promote(connection, region_key, chosen, "promoted by hand", revision)


def roll_back(
    connection: Connection, region_key: int, reason: str, expected_revision: int | None = None
) -> registry.Champion:
    """Promote the champion's predecessor again.

    Raises:
        NotReady: the region has no champion.
        Conflict: it has no predecessor (see `champion_history`), or changed meanwhile.
    """
    if registry.champion(connection, region_key) is None:
        raise NotReady("no model has been trained for this region yet", code="no_model")
    held = champion_history(connection, region_key)
    if len(held) < 2:
        raise Conflict("there is no earlier champion to go back to", code="no_earlier_champion")
    return registry.promote(
        connection, region_key, held[-2].version, reason, expected_revision, "rolled_back"
    )
