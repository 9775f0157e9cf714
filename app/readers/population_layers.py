"""Parse population layers (CSV or GeoJSON): who lives in each neighbourhood.

Runs in the isolated process (`app.readers.child`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from app.core.bounds import MAX_NEIGHBOURHOODS, check_length
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.geo.geojson import features_of
from app.geo.neighbourhoods import number_of_people
from app.geo.study_area import study_area_from_geojson
from app.readers.outlines import NAME_PROPERTIES, neighbourhoods_of
from app.readers.portals import normalised_name

MAX_GROUPS = 50
People = dict[str, tuple[float, dict[str, float]]]
"""{neighbourhood: (residents, {group: members})}."""


def layer_items(kind: str, content: bytes, groups: Sequence[str] | None) -> Iterator[Any]:
    """Yield a layer's features, if it is GeoJSON, and then the people of each name.

    Args:
        kind: `csv` or `geojson`.

    Raises:
        InvalidInput: unreadable.
        LimitExceeded: too many rows or features.
    """
    people: People
    if kind == "csv":
        people = _from_csv(content, groups)
    else:
        collection, people = _from_geojson(content, groups)
        yield from collection["features"]
    for name, (total, members) in people.items():
        yield {"name": name, "population": total, "groups": members}


def _from_csv(content: bytes, groups: Sequence[str] | None) -> People:
    try:
        found = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        rows = list(islice(found, MAX_NEIGHBOURHOODS + 1))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("the layer is not valid CSV in UTF-8", field="population") from error
    check_length(rows, "population", MAX_NEIGHBOURHOODS)
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
        raise InvalidInput("the layer is not JSON", field="population") from error
    if not isinstance(given, dict) or given.get("type") != "FeatureCollection":
        raise InvalidInput("the layer must be a FeatureCollection", field="population")
    study_area_from_geojson(given)
    collection = neighbourhoods_of(given)
    if collection is None:
        raise InvalidInput("the layer needs at least two neighbourhoods", field="population")
    people: People = {}
    for feature, part in zip(features_of(given, "population"), collection["features"], strict=True):
        properties = feature.get("properties") or {}
        own = properties.get("groups") or {}
        values = own if groups is None else {g: properties.get(g) for g in groups}
        if not isinstance(values, Mapping):
            raise InvalidInput("groups must be an object of numbers", field="groups")
        lowered = {str(k).lower(): v for k, v in properties.items()}
        found = _people(lowered.get("population"), values, list(values))
        before = people.get(part["properties"]["name"], (0.0, {}))
        people[part["properties"]["name"]] = _sum(before, found)
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
