"""Population layers: how many people, and of which groups, live in each neighbourhood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine

from app.audit import store as audit
from app.core.bounds import MAX_LAYER_BYTES, limited
from app.core.errors import InvalidInput, NotFound, NotReady
from app.geo.neighbourhoods import number_of_people
from app.readers.blocks import ReadOptions
from app.readers.columns.portals import normalised_name
from app.readers.files.documents import People
from app.readers.isolated import isolated_items
from app.regions.service import feature_of
from app.regions.store import get_region, outlined, set_neighbourhoods

MAX_NAMED = 5
MAX_GROUP_CHARS = 100


def set_population(
    engine: Engine,
    region_id: str,
    content: Iterable[bytes],
    kind: str,
    groups: Sequence[str] | None,
    options: ReadOptions,
) -> dict[str, Any]:
    """Store a population layer with a region's neighbourhoods and return them.

    Args:
        content: CSV with a column of names, `population`, and a column for each group's members; or
            a GeoJSON FeatureCollection with such properties, whose polygons become the neighbourhoods.
        kind: `csv` or `geojson`.
        groups: columns of groups; None: all other columns of a CSV, the member `groups` of GeoJSON.
        options: limits of the process that parses the layer.

    Raises:
        NotFound: no such region.
        InvalidInput: unreadable, or names or numbers do not match.
        LimitExceeded: too many bytes or neighbourhoods, or the parser's limits are exceeded.
        NotReady: a CSV for a region without neighbourhoods.
    """
    with engine.connect() as connection:
        get_region(connection, region_id)
    digest = sha256()
    own, people = _read(kind, _hashed(content, digest.update), groups, options)
    with engine.begin() as connection:
        region = outlined(connection, get_region(connection, region_id))
        collection = own or region.neighbourhoods
        if collection is None:
            raise NotReady("the region has no neighbourhoods; give the layer as GeoJSON")
        peopled = _joined(collection, people)
        set_neighbourhoods(connection, region.key, peopled)
        audit.record(connection, "population.changed", chain=region.id, sha256=digest.hexdigest())
    return peopled


def remove_population(engine: Engine, region_id: str) -> None:
    """Remove the population from a region's neighbourhoods; the neighbourhoods stay.

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


def _read(
    kind: str, content: Iterable[bytes], groups: Sequence[str] | None, options: ReadOptions
) -> tuple[dict[str, Any] | None, People]:
    """Return the layer's neighbourhoods, if it has any, and its people."""
    features: list[dict[str, Any]] = []
    people: People = {}
    chosen = None if groups is None else list(groups)
    for item in isolated_items(f"population/{kind}", content, options, {"groups": chosen}):
        if "geometry" in item:
            features.append(feature_of(item))
            continue
        members = {
            str(group)[:MAX_GROUP_CHARS]: number_of_people(n, str(group))
            for group, n in item["groups"].items()
        }
        people[str(item["name"])] = (number_of_people(item["population"], "population"), members)
    if kind == "csv":
        return None, people
    return {"type": "FeatureCollection", "features": features}, people


def _hashed(content: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield the layer's bytes up to the limit, hashing them."""
    for chunk in limited(content, MAX_LAYER_BYTES, f"a layer has at most {MAX_LAYER_BYTES} bytes"):
        update(chunk)
        yield chunk


def _joined(collection: Mapping[str, Any], people: People) -> dict[str, Any]:
    """Add people to the collection; of several features with one name the first gets them."""
    wanted = {normalised_name(name): found for name, found in people.items()}
    names = [str(f["properties"]["name"]) for f in collection["features"]]
    known = {normalised_name(n) for n in names}
    missing = sorted({n for n in names if normalised_name(n) not in wanted})
    unknown = sorted({n for n in people if normalised_name(n) not in known})
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
