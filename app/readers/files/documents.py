"""Parse untrusted documents about places: boundaries, requests for regions, population layers.

Runs in the isolated process (`app.readers.child`); elsewhere only on trusted documents.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import orjson
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from app.core.bounds import MAX_NEIGHBOURHOODS, check_length
from app.core.errors import InvalidInput, LimitExceeded
from app.core.texts import shortened
from app.geo.boundaries import boundary_shape, check_not_swapped, study_area_from_geojson
from app.geo.geojson import features_of
from app.geo.grid import build_grid, check_cell_size
from app.geo.neighbourhoods import number_of_people
from app.geo.study_area import study_area_of
from app.readers.columns.portals import normalised_name
from app.readers.files.area_layers import LAYER, area_features

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


MAX_NAME_CHARS = 200
NAME_PROPERTIES = ("name", "neighborhood", "neighbourhood", "district", "ward", "label")


@dataclass(frozen=True)
class Outline:
    """A study area (`boundary` GeoJSON, WGS 84; `crs` EPSG:...) and its named parts, if any."""

    crs: str | None = None
    boundary: dict[str, Any] | None = None
    neighbourhoods: dict[str, Any] | None = None


def outline_of(
    boundary: Mapping[str, Any] | None,
    cell_size_m: float,
    neighbourhoods: Mapping[str, Any] | None = None,
    timezone: str = "",
) -> Outline:
    """Dissolve a boundary and collect its named parts, or those of `neighbourhoods`.

    Raises:
        InvalidInput: not valid GeoJSON, not the area of a city, or near its time zone only with exchanged
            coordinates.
        LimitExceeded: more cells than hotslot serves.
    """
    if boundary is None:
        return Outline(neighbourhoods=neighbourhoods_of(neighbourhoods))
    check_cell_size(cell_size_m)
    shape = boundary_shape(boundary)
    check_not_swapped(shape, timezone)
    area = study_area_of(shape)
    build_grid(area, cell_size_m)
    return Outline(area.crs, area.to_geojson(), neighbourhoods_of(neighbourhoods or boundary))


def neighbourhoods_of(boundary: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the named parts of a boundary FeatureCollection, or None if there are fewer than two."""
    collection = boundary is not None and boundary.get("type") == "FeatureCollection"
    features = features_of(boundary, "boundary") if boundary and collection else []
    check_length(features, "neighbourhoods", MAX_NEIGHBOURHOODS)
    named = []
    for position, feature in enumerate(features):
        properties = feature.get("properties") or {}
        lowered = {str(k).lower(): v for k, v in properties.items()}
        found = next((lowered[k] for k in NAME_PROPERTIES if lowered.get(k)), None)
        people = lowered.get("population")
        named.append(
            {
                "type": "Feature",
                "properties": {
                    "name": str(found or f"part {position + 1}")[:MAX_NAME_CHARS],
                    **(
                        {"population": number_of_people(people, "population")}
                        if isinstance(people, int | float)
                        else {}
                    ),
                },
                "geometry": _geometry(feature.get("geometry")),
            }
        )
    return {"type": "FeatureCollection", "features": named} if len(named) > 1 else None


def _geometry(given: Any) -> dict[str, Any] | None:
    """Return a feature's geometry reduced to standard GeoJSON."""
    if not given:
        return None
    try:
        found = shapely.force_2d(shape(given))
        geometry: dict[str, Any] = json.loads(shapely.to_geojson(found))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ShapelyError) as error:
        raise InvalidInput(f"not a GeoJSON geometry: {error}", field="neighbourhoods") from error
    return geometry


MAX_MEMBERS_BYTES = 1 << 20
"""Of a request for a region without its boundary."""


def document_items(kind: str, file: IO[bytes], asked: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the document in JSON-compatible parts.

    Args:
        kind: `boundary`, `region`, `layer`, `streets`, `population/csv` or `population/geojson`.
        asked: `cell_size_m` and perhaps `timezone`, `name_property` of a layer, `groups` of a population
            layer, or the study area of streets.

    Raises:
        InvalidInput: it is unreadable.
        LimitExceeded: it is too large.
    """
    if kind == "streets":
        # Here, because GDAL takes a tenth of a second that other documents need not spend.
        from app.readers.files.streets import street_items

        yield from street_items(file, asked)
        return
    content = file.read()
    name, _, layer_kind = kind.partition("/")
    if name == "population":
        yield from layer_items(layer_kind, content, asked["groups"])
        return
    given = _json_object(content, "body" if name == "region" else kind)
    if name == LAYER:
        yield from area_features(given, asked["name_property"])
        return
    if name == "boundary":
        yield from _outline_items(given, asked["cell_size_m"], str(asked.get("timezone")))
        return
    boundary = given.get("boundary")
    is_there = isinstance(boundary, dict)
    members = {**given, "boundary": {}} if is_there else given
    if (n_bytes := len(json.dumps(members))) > MAX_MEMBERS_BYTES:
        raise LimitExceeded(
            f"a region without its boundary has at most {MAX_MEMBERS_BYTES} bytes",
            limit=MAX_MEMBERS_BYTES,
            asked=n_bytes,
        )
    yield members
    cell_size_m = given.get("cell_size_m", asked["cell_size_m"])
    if is_there and isinstance(cell_size_m, int | float):
        yield from _outline_items(boundary, float(cell_size_m), str(given.get("timezone")))


def _json_object(content: bytes, field: str) -> dict[str, Any]:
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "not valid"
        way_out = "; convert other formats: ogr2ogr -t_srs EPSG:4326 boundary.geojson FILE"
        advice = way_out if field == "boundary" else ""
        raise InvalidInput(f"{field} is not JSON: {reason}{advice}", field=field) from error
    if not isinstance(given, dict):
        raise InvalidInput(f"{field} must be a JSON object", field=field)
    return given


def _outline_items(boundary: Any, cell_size_m: float, timezone: str) -> Iterator[Any]:
    found = outline_of(boundary, cell_size_m, timezone=timezone)
    yield {"crs": found.crs, "geometry": found.boundary}
    yield from (found.neighbourhoods or {}).get("features", ())


def framed(item: Any) -> bytes:
    """Serialise an item for sending.

    Raises:
        InvalidInput: it holds a value that JSON does not support.
    """
    try:
        return orjson.dumps({"item": item})
    except TypeError as error:
        raise InvalidInput("a text or number in it cannot be stored", code="bad_text") from error
