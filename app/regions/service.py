"""Create regions, and change what their models learn from.

Untrusted input is parsed in an isolated process (`read_boundary`, `read_region`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.bounds import MAX_REGIONS
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.core.zones import zone
from app.geo.grid import check_cell_size
from app.readers.blocks import ReadOptions
from app.readers.files.documents import MAX_NAME_CHARS, Outline, outline_of
from app.readers.isolated import damaged, isolated_items
from app.readers.limits import KNOWN_CRS
from app.regions import store
from app.regions.category_store import categories_of
from app.regions.learning_policy import SAME_PLACE_DEG, SETTINGS_PATH, LearningPolicy, Place
from app.regions.store import Region, get_region, remove_setting, set_setting
from app.runs.cancelling import request_cancel
from app.runs.kinds import KINDS
from app.runs.store import Run, get_run

REGION_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DEFAULT_CELL_SIZE_M = 250.0


def add_region(
    engine: Engine,
    region_id: str,
    *,
    timezone: str,
    name: str | None = None,
    boundary: Mapping[str, Any] | None = None,
    cell_size_m: float = DEFAULT_CELL_SIZE_M,
    neighbourhoods: Mapping[str, Any] | None = None,
    outline: Outline | None = None,
    limit: int = MAX_REGIONS,
) -> Region:
    """Create a region; its boundary is dissolved, its parts become neighbourhoods.

    Args:
        boundary: trusted GeoJSON; untrusted input is passed as `outline`.
        neighbourhoods: GeoJSON features with a `name`, if the boundary does not name its parts.

    Raises:
        InvalidInput: id, zone, boundary or cell size is wrong.
        LimitExceeded: more cells than hotslot serves, or more regions than `limit`.
        Conflict: another region has that id.
    """
    if not REGION_ID.fullmatch(region_id):
        raise InvalidInput(
            "a region id is 1-63 of a-z, 0-9, '-' and '_', starting with a letter or digit",
            field="id",
        )
    name = name or region_id.replace("-", " ").replace("_", " ").title()
    if len(name) > MAX_NAME_CHARS or "\x00" in name:
        raise InvalidInput(f"name must be at most {MAX_NAME_CHARS} characters", field="name")
    zone(timezone)
    check_cell_size(cell_size_m)
    if outline is None:
        outline = outline_of(boundary, cell_size_m, neighbourhoods, timezone)
    with engine.begin() as connection:
        made = store.create_region(
            connection,
            region_id=region_id,
            name=name,
            timezone=timezone,
            crs=outline.crs,
            cell_size_m=cell_size_m,
            boundary=outline.boundary,
            neighbourhoods=outline.neighbourhoods,
            limit=limit,
        )
        audit.record(connection, "region.created", chain=region_id, cell_size_m=cell_size_m)
        return made


def read_boundary(
    chunks: Iterable[bytes], cell_size_m: float, timezone: str, options: ReadOptions
) -> Outline:
    """Parse a GeoJSON boundary in an isolated process.

    Raises:
        InvalidInput, LimitExceeded: see `outline_of`; it is not JSON, or exceeds the parser's limits.
    """
    asked = {"cell_size_m": cell_size_m, "timezone": timezone}
    return _outline(isolated_items("boundary", chunks, options, asked))


def read_region(chunks: Iterable[bytes], options: ReadOptions) -> Generator[Any, None, None]:
    """Parse a complete request for a region in an isolated process.

    Yields first its members, with an empty object for the boundary, then the boundary's outline.

    Raises:
        InvalidInput, LimitExceeded: see `read_boundary`.
    """
    items = isolated_items("region", chunks, options, {"cell_size_m": DEFAULT_CELL_SIZE_M})
    yield next(items)
    yield _outline(items)


def _outline(items: Iterator[Any]) -> Outline:
    """Build an outline from the parser's messages, and reject messages of the wrong form."""
    made, features = Outline(), []
    for item in items:
        if "crs" in item:
            if not KNOWN_CRS.fullmatch(item["crs"]):
                raise damaged()
            made = Outline(item["crs"], geometry_of(item["geometry"]))
        else:
            features.append(feature_of(item))
    if not features:
        return made
    return replace(made, neighbourhoods={"type": "FeatureCollection", "features": features})


def geometry_of(value: Any) -> dict[str, Any]:
    """Return a GeoJSON geometry reduced to its standard members."""
    found = {name: value[name] for name in ("type", "coordinates", "geometries") if name in value}
    if not isinstance(found.get("type"), str) or len(found) != 2:
        raise damaged()
    return found


def feature_of(value: Any) -> dict[str, Any]:
    """Return a neighbourhood reduced to its name, population and geometry."""
    properties: dict[str, Any] = {"name": str(value["properties"]["name"])[:MAX_NAME_CHARS]}
    people = value["properties"].get("population")
    if people is not None:
        properties["population"] = float(people)
    geometry = value["geometry"]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": None if geometry is None else geometry_of(geometry),
    }


def run_of_region(engine: Engine, kind: str, region_id: str, run_id: UUID) -> Run:
    """Read one run of a region.

    Raises:
        NotFound: no such region or run.
    """
    with engine.connect() as connection:
        return get_run(connection, kind, run_id, store.get_region(connection, region_id).key)


def cancel_run(engine: Engine, kind: str, region_id: str, run_id: UUID) -> Run:
    """Cancel a run of a region; a running one stops at its next step.

    Raises:
        NotFound: no such region or run.
        Conflict: it is already finished.
    """
    with engine.begin() as connection:
        region = store.get_region(connection, region_id)
        run = get_run(connection, kind, run_id, region.key)
        cancelled = request_cancel(connection, kind, run)
        action = f"{KINDS[kind].subject}.cancelled"
        audit.record(connection, action, chain=region.id, run=str(run.id))
        return cancelled


def policy_of(engine: Engine, region_id: str) -> LearningPolicy:
    """Return a region's policy.

    Raises:
        NotFound: no such region.
    """
    with engine.connect() as connection:
        return LearningPolicy.of(get_region(connection, region_id).settings)


def set_policy(engine: Engine, region_id: str, policy: LearningPolicy) -> LearningPolicy:
    """Store a region's policy; the next training follows it.

    Raises:
        NotFound: no such region.
        InvalidInput: a value is out of range, or the region has no such category, or no incident at a place.
    """
    policy.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        _check_names(connection, region, policy)
        set_setting(connection, region.key, SETTINGS_PATH, policy.to_json())
        audit.record(connection, "learning_policy.changed", chain=region.id, **policy.to_json())
    return policy


def _check_names(connection: Connection, region: Region, policy: LearningPolicy) -> None:
    """Refuse names that the policy newly gives and the region does not have: they would have no effect."""
    before = LearningPolicy.of(region.settings)
    known = {*categories_of(connection, region.key).values()}
    known.update(before.include_categories, before.exclude_categories)
    for field in ("include_categories", "exclude_categories"):
        for name in getattr(policy, field):
            if name not in known:
                raise InvalidInput(
                    f"the region has no category {shortened(name)}; names are case-sensitive",
                    field=field,
                )
    for field in ("keep_places", "drop_places"):
        for place in getattr(policy, field):
            if place not in (*before.keep_places, *before.drop_places):
                _check_place(connection, region, field, place)


def _check_place(connection: Connection, region: Region, field: str, place: Place) -> None:
    if not store.has_incidents_at(
        connection, region.key, place.longitude, place.latitude, SAME_PLACE_DEG
    ):
        raise InvalidInput(
            f"no incidents lie at {place.label}; copy longitude and latitude from the data report",
            field=field,
        )


def remove_policy(engine: Engine, region_id: str) -> None:
    """Reset a region's policy to the defaults.

    Raises:
        NotFound: no such region.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        remove_setting(connection, region.key, SETTINGS_PATH)
        audit.record(
            connection, "learning_policy.changed", chain=region.id, **LearningPolicy().to_json()
        )
