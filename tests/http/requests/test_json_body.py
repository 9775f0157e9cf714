"""Bodies of JSON are parsed by their model, and refused by type, size and shape before that."""

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from app.core.errors import InvalidInput, LimitExceeded
from app.http.json_body import (
    MAX_CONTAINERS,
    MAX_MEMBERS,
    check_json_type,
    json_request,
    parsed,
)
from tests.support.services.asgi import scope_of


class Place(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    points: list[list[float]] = []


def of_type(content_type):
    return Request(scope_of("POST", headers={"content-type": content_type}))


def test_a_body_becomes_its_model():
    place = parsed(Place, b'{"name": "x", "points": [[1, 2.5]]}')
    assert (place.name, place.points) == ("x", [[1.0, 2.5]])


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'{"points": []}', ("body", "name")),
        (b'{"name": "x", "points": [[1, "y"]]}', ("body", "points", 0, 1)),
        (b"{", ("body",)),
        (b"[]", ("body",)),
        (b"\xff", ("body",)),
    ],
)
def test_errors_name_the_place_in_the_body(content, where):
    with pytest.raises(RequestValidationError) as refused:
        parsed(Place, content)
    assert refused.value.errors()[0]["loc"] == where


def test_too_many_lists_and_objects_are_refused_unparsed():
    content = b'{"name": "x", "points": [' + b"[]," * MAX_CONTAINERS
    with pytest.raises(LimitExceeded, match=f"the limit is {MAX_CONTAINERS}") as refused:
        parsed(Place, content)
    assert refused.value.asked == MAX_CONTAINERS + 2


def test_members_are_limited_in_the_outermost_object_only():
    def members(n):
        return ", ".join(f'"m{i}": 1' for i in range(n))

    most = f'{{"name": "x", "a": {{"b": 1}}, {members(MAX_MEMBERS - 2)}}}'
    assert parsed(Place, most.encode()).name == "x"
    inner = f'{{"name": "x", "more": {{{members(MAX_MEMBERS + 1)}}}}}'
    assert parsed(Place, inner.encode()).name == "x"
    with pytest.raises(LimitExceeded, match=f"has {MAX_MEMBERS + 1} members") as refused:
        parsed(Place, f'{{"name": "x", {members(MAX_MEMBERS)}}}'.encode())
    assert (refused.value.limit, refused.value.asked) == (MAX_MEMBERS, MAX_MEMBERS + 1)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "Application/JSON; charset=utf-8", "application/geo+json"],
)
def test_json_of_any_kind_is_taken(content_type):
    check_json_type(of_type(content_type))


@pytest.mark.parametrize("content_type", ["text/plain", "text/json", "application/x-www-form"])
def test_other_types_are_refused_by_name(content_type):
    with pytest.raises(InvalidInput, match=content_type) as refused:
        check_json_type(of_type(content_type))
    assert (refused.value.code, refused.value.field) == ("unsupported_media_type", "Content-Type")


def test_the_document_describes_the_body_by_its_model():
    content = json_request(Place, ("application/json",))["requestBody"]["content"]
    assert list(content) == ["application/json"]
    assert content["application/json"]["schema"]["$ref"].endswith("/Place")
