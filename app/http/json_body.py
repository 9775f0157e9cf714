"""Parse JSON bodies that may be large outside the event loop.

FastAPI parses bodies on the event loop; a hundred thousand incidents would hold up every other
request for as long as that takes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.core.errors import InvalidInput, LimitExceeded
from app.core.media_types import GEOJSON, JSON, media_type_of
from app.core.texts import shortened
from app.http.schemas import reference

JSON_TYPES = (JSON, GEOJSON)
MAX_CONTAINERS = 600_000
"""Lists and objects in one body."""
MAX_MEMBERS = 100
"""Members of the outermost object; each unknown one is an error, and a million take half a minute."""
T = TypeVar("T", bound=BaseModel)


async def json_body(request: Request, model: type[T], types: Collection[str] = JSON_TYPES) -> T:
    """Parse the request's body as a model.

    Raises:
        RequestValidationError: not JSON, or not of the model's shape.
        InvalidInput: another content type (415), or too many lists and objects.
    """
    kind = media_type_of(request.headers.get("content-type", ""))
    if kind not in types:
        raise InvalidInput(
            f"Content-Type {shortened(kind)} is not one of {', '.join(types)}",
            field="Content-Type",
            code="unsupported_media_type",
        )
    return await run_in_threadpool(parsed, model, await request.body())


def check_json_type(request: Request) -> None:
    """Raise unless a request declares JSON of any kind, or no content type at all.

    Raises:
        InvalidInput: another content type (415).
    """
    kind = media_type_of(request.headers.get("content-type", ""))
    if kind and not (kind.startswith("application/") and kind.endswith("json")):
        raise InvalidInput(
            f"Content-Type {shortened(kind)} is not application/json",
            field="Content-Type",
            code="unsupported_media_type",
        )


def check_containers(content: bytes | bytearray, limit: int) -> None:
    """Raise if a body has so many lists and objects that creating them takes seconds and gigabytes.

    Raises:
        LimitExceeded: more than `limit`.
    """
    asked = content.count(b"[") + content.count(b"{")
    if asked > limit:
        raise LimitExceeded(
            f"the body has {asked} lists and objects, the limit is {limit}",
            limit=limit,
            asked=asked,
        )


def parsed(model: type[T], content: bytes) -> T:
    """Parse JSON as a model; see `json_body`."""
    check_containers(content, MAX_CONTAINERS)
    _check_members(content)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        found: list[dict[str, Any]] = [
            {**one, "loc": ("body", *one["loc"])}
            for one in error.errors(include_url=False, include_context=True)
        ]
        raise RequestValidationError(found) from error


def _check_members(content: bytes) -> None:
    """Limit the members of the outermost object; the model reports what is not JSON.

    Raises:
        LimitExceeded: more than `MAX_MEMBERS`.
    """
    if content.count(b":") <= MAX_MEMBERS:  # each has one: an ordinary body is parsed once
        return
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return
    if isinstance(value, dict) and len(value) > MAX_MEMBERS:
        raise LimitExceeded(
            f"the body has {len(value)} members, the limit is {MAX_MEMBERS}",
            limit=MAX_MEMBERS,
            asked=len(value),
        )


def json_request(model: type[BaseModel], types: Collection[str] = JSON_TYPES) -> dict[str, Any]:
    """Describe such a body in the OpenAPI document."""
    content = {name: {"schema": reference(model, "validation")} for name in types}
    return {"requestBody": {"required": True, "content": content}}
