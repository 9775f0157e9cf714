"""The document has what FastAPI does not see, is built once, and is served from memory."""

import orjson
import pytest
from fastapi.testclient import TestClient

from app.http.schemas import Reply, reference
from app.openapi import HotslotApi


class HandMade(Reply):
    """A reply that no route declares."""

    n: int = 1


@pytest.fixture
def api():
    made = HotslotApi(title="t", version="1")
    schema = reference(HandMade, "serialization")
    replies = {200: {"content": {"application/json": {"schema": schema}}}}

    @made.get("/x", responses=replies)
    async def _x() -> None:
        pass

    return made


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else ())
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def test_models_of_hand_made_replies_are_in_the_document(api):
    document = api.openapi()
    names = {one.removeprefix("#/components/schemas/") for one in references(document)}
    assert "HandMade" in names
    assert names <= document["components"]["schemas"].keys()


def test_a_key_is_described_and_optional(api):
    document = api.openapi()
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"
    assert document["security"] == [{}, {"ApiKey": []}]


def test_the_document_is_the_same_object_and_the_same_bytes(api):
    assert api.openapi() is api.openapi()
    with TestClient(api) as client:
        packed = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == orjson.loads(orjson.dumps(api.openapi()))
        etag = packed.headers["etag"]
        again = client.get(
            "/openapi.json", headers={"If-None-Match": etag, "Accept-Encoding": "gzip"}
        )
        assert (again.status_code, again.content) == (304, b"")
