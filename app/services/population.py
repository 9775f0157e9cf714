"""Population layers: how many people, and of which groups, live in each neighbourhood."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine

from app.domain.errors import InvalidInput, NotFound, NotReady
from app.domain.geojson import features_of
from app.domain.neighbourhoods import number_of_people
from app.domain.portals import normalised_name
from app.domain.study_area import study_area_from_geojson
from app.domain.texts import shortened
from app.services.regions import NAME_PROPERTIES, neighbourhoods_of
from app.storage import audit
from app.storage.regions import get_region, outlined, set_neighbourhoods

MAX_LAYER_BYTES = 32 << 20
MAX_GROUPS = 50
MAX_NAMED = 5
People = dict[str, tuple[float, dict[str, float]]]
"""{neighbourhood: (residents, {group: members})}."""


def set_population(
    engine: Engine, region_id: str, content: bytes, kind: str, groups: Sequence[str] | None
) -> dict[str, Any]:
    """Keep a population layer with a region's neighbourhoods; returns them.

    Args:
        content: CSV with a column of names, `population`, and a column for each group's members; or
            a GeoJSON FeatureCollection with such properties, whose polygons become the neighbourhoods.
        kind: `csv` or `geojson`.
        groups: columns of groups; None: all other columns of a CSV, the member `groups` of GeoJSON.

    Raises:
        NotFound: no such region.
        InvalidInput: unreadable, or names and numbers do not fit.
        NotReady: a CSV for a region without neighbourhoods.
    """
    if len(content) > MAX_LAYER_BYTES:
        raise InvalidInput(f"a layer has at most {MAX_LAYER_BYTES} bytes", code="too_large")
    with engine.connect() as connection:
        get_region(connection, region_id)
    own, people = (
        (None, _from_csv(content, groups)) if kind == "csv" else _from_geojson(content, groups)
    )
    with engine.begin() as connection:
        region = outlined(connection, get_region(connection, region_id))
        collection = own or region.neighbourhoods
        if collection is None:
            raise NotReady("the region has no neighbourhoods; give the layer as GeoJSON")
        peopled = _joined(collection, people)
        set_neighbourhoods(connection, region.key, peopled)
        audit.record(
            connection, "population.changed", chain=region.id, sha256=sha256(content).hexdigest()
        )
    return peopled


def remove_population(engine: Engine, region_id: str) -> None:
    """Forget who lives in a region's neighbourhoods; the neighbourhoods stay.

    Raises:
        NotFound: no such region, or it has no population layer.
    """
    with engine.begin() as connection:
        region = outlined(connection, get_region(connection, region_id))
        features = (region.neighbourhoods or {}).get("features", [])
        if not any("population" in feature["properties"] for feature in features):
            raise NotFound(f"{region.id} has no population layer", code="no_population")
        bare = [{**f, "properties": {"name": f["properties"]["name"]}} for f in features]
        collection = {"type": "FeatureCollection", "features": bare}
        set_neighbourhoods(connection, region.key, collection)
        audit.record(connection, "population.removed", chain=region.id)


def _from_csv(content: bytes, groups: Sequence[str] | None) -> People:
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("the layer is no readable CSV in UTF-8", field="population") from error
    header = list(rows[0]) if rows else []
    by_name = {normalised_name(name): name for name in header if name is not None}
    named = next((by_name[n] for n in NAME_PROPERTIES if n in by_name), None)
    if named is None or "population" not in by_name:
        raise InvalidInput("the layer needs columns name and population", field="population")
    everyone = by_name["population"]
    chosen = [n for n in header if n not in (named, everyone)] if groups is None else groups
    missing = [g for g in chosen if g not in header]
    if missing:
        raise InvalidInput(f"the layer has no column {shortened(missing[0])}", field="groups")
    return {str(row[named]).strip(): _people(row[everyone], row, chosen) for row in rows}


def _from_geojson(content: bytes, groups: Sequence[str] | None) -> tuple[dict[str, Any], People]:
    try:
        given = json.loads(content)
    except ValueError as error:
        raise InvalidInput("the layer is no JSON", field="population") from error
    if not isinstance(given, dict) or given.get("type") != "FeatureCollection":
        raise InvalidInput("the layer must be a FeatureCollection", field="population")
    study_area_from_geojson(given)
    collection = neighbourhoods_of(given)
    if collection is None:
        raise InvalidInput("the layer needs two neighbourhoods at least", field="population")
    people: People = {}
    for feature, kept in zip(features_of(given, "population"), collection["features"], strict=True):
        properties = feature.get("properties") or {}
        own = properties.get("groups") or {}
        values = own if groups is None else {g: properties.get(g) for g in groups}
        if not isinstance(values, Mapping):
            raise InvalidInput("groups must be an object of numbers", field="groups")
        lowered = {str(k).lower(): v for k, v in properties.items()}
        found = _people(lowered.get("population"), values, list(values))
        before = people.get(kept["properties"]["name"], (0.0, {}))
        people[kept["properties"]["name"]] = _sum(before, found)
    return collection, people


def _sum(
    one: tuple[float, dict[str, float]], other: tuple[float, dict[str, float]]
) -> tuple[float, dict[str, float]]:
    names = {**one[1], **other[1]}
    return one[0] + other[0], {n: one[1].get(n, 0.0) + other[1].get(n, 0.0) for n in names}


def _people(
    everyone: Any, values: Mapping[str, Any], groups: Sequence[str]
) -> tuple[float, dict[str, float]]:
    if len(groups) > MAX_GROUPS:
        raise InvalidInput(f"at most {MAX_GROUPS} groups", field="groups")
    total = number_of_people(everyone, "population")
    members = {str(g)[:100]: number_of_people(values.get(g), str(g)) for g in groups}
    for name, n in members.items():
        if n > total * (1 + 1e-9):
            raise InvalidInput(
                f"group {shortened(name)} has more members than residents", field="groups"
            )
    return total, members


def _joined(collection: Mapping[str, Any], people: People) -> dict[str, Any]:
    """The collection with its people; a name in several features has its people on the first."""
    wanted = {normalised_name(name): found for name, found in people.items()}
    names = [str(f["properties"]["name"]) for f in collection["features"]]
    missing = sorted({n for n in names if normalised_name(n) not in wanted})
    unknown = sorted({n for n in people if normalised_name(n) not in map(normalised_name, names)})
    for what, found in (("has no row for", missing), ("names no neighbourhood:", unknown)):
        if found:
            shown = ", ".join(found[:MAX_NAMED])
            raise InvalidInput(f"the layer {what} {shown}", field="population")
    features = []
    for name, feature in zip(names, collection["features"], strict=True):
        total, members = wanted.pop(normalised_name(name), (0.0, {}))
        properties = {"name": name, "population": total, "groups": members}
        features.append({**feature, "properties": properties})
    return {"type": "FeatureCollection", "features": features}
