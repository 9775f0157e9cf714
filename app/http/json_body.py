"""JSON bodies that may be large: parsed outside the event loop.

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
from app.core.texts import shortened

JSON_TYPES = ("application/json", "application/geo+json")
MAX_CONTAINERS = 600_000
"""Lists and objects of one body; millions of empty ones take seconds and gigabytes to make."""
MAX_MEMBERS = 100
"""Of the outermost object; each that is unknown is an error, and a million of them take half a minute."""
T = TypeVar("T", bound=BaseModel)


async def json_body(request: Request, model: type[T], types: Collection[str] = JSON_TYPES) -> T:
    """The request's body as a model.

    Raises:
        RequestValidationError: not JSON, or not of the model's shape.
        InvalidInput: another content type (415), or too many lists and objects.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in types:
        raise InvalidInput(
            f"Content-Type {shortened(kind)} is not one of {', '.join(types)}",
            field="Content-Type",
            code="unsupported_media_type",
        )
    return await run_in_threadpool(parsed, model, await request.body())


def check_json_type(request: Request) -> None:
    """Pass a request whose body is said to be JSON of any kind, or of which nothing is said.

    Raises:
        InvalidInput: another content type (415).
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind and not (kind.startswith("application/") and kind.endswith("json")):
        raise InvalidInput(
            f"Content-Type {shortened(kind)} is not application/json",
            field="Content-Type",
            code="unsupported_media_type",
        )


def parsed(model: type[T], content: bytes) -> T:
    """JSON as a model; see `json_body`."""
    asked = content.count(b"[") + content.count(b"{")
    if asked > MAX_CONTAINERS:
        raise LimitExceeded(
            f"the body has {asked} lists and objects, the limit is {MAX_CONTAINERS}",
            limit=MAX_CONTAINERS,
            asked=asked,
        )
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
    """Nothing when the outermost object has few members; of what is no JSON the model tells.

    Raises:
        LimitExceeded: it has more.
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
    """What a route says of such a body in the OpenAPI document."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    examples = model.model_config.get("json_schema_extra")
    given = examples.get("examples", []) if isinstance(examples, dict) else []
    example = {"example": given[0]} if isinstance(given, list) and given else {}
    content = {name: {"schema": schema, **example} for name in types}
    return {"requestBody": {"required": True, "content": content}}
