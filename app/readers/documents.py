"""Parse untrusted documents about places; runs in the isolated process (`app.readers.child`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

import orjson

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.outlines import outline_of
from app.readers.population_layers import layer_items

MAX_MEMBERS_BYTES = 1 << 20
"""Of a request for a region without its boundary."""


def document_items(kind: str, file: IO[bytes], asked: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the document in JSON-compatible parts.

    Args:
        kind: `boundary`, `region`, `population/csv` or `population/geojson`.
        asked: `cell_size_m`, or `groups` of a population layer.

    Raises:
        InvalidInput: it is unreadable.
        LimitExceeded: it is too large.
    """
    content = file.read()
    name, _, layer_kind = kind.partition("/")
    if name == "population":
        yield from layer_items(layer_kind, content, asked["groups"])
        return
    given = _json_object(content, "body" if name == "region" else "boundary")
    if name == "boundary":
        yield from _outline_items(given, asked["cell_size_m"])
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
        yield from _outline_items(boundary, float(cell_size_m))


def _json_object(content: bytes, field: str) -> dict[str, Any]:
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, json.JSONDecodeError) else "not valid"
        raise InvalidInput(f"{field} is not JSON: {reason}", field=field) from error
    if not isinstance(given, dict):
        raise InvalidInput(f"{field} must be a JSON object", field=field)
    return given


def _outline_items(boundary: Any, cell_size_m: float) -> Iterator[Any]:
    found = outline_of(boundary, cell_size_m)
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
