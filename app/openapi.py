"""The OpenAPI document, completed with what FastAPI does not see, and served from memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from app.core.media_types import JSON
from app.http.links import prefix_of
from app.http.permissions import RouteTable
from app.http.schemas import referenced_schemas
from app.http.static import StaticReplies


class HotslotApi(FastAPI):
    """FastAPI whose document also has the models of hand-made replies, and who needs a key."""

    table: RouteTable | None = None
    """Who may use which route."""

    def openapi(self) -> dict[str, Any]:
        """Build the document once."""
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(referenced_schemas())
            key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
            components["securitySchemes"] = {"ApiKey": key}
            # On loopback no key is needed until there is one.
            document["security"] = [{}, {"ApiKey": []}]
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _describe(operation, is_public=self._is_public(method.upper(), path))
        return self.openapi_schema or {}

    def _is_public(self, method: str, path: str) -> bool:
        rule = None if self.table is None else self.table.find(method, path).rule
        return rule is not None and rule.roles is None

    def setup(self) -> None:
        """Serve the document from memory: building it takes ten milliseconds."""
        replies = StaticReplies()

        async def document(request: Request) -> Response:
            prefix = prefix_of(request.scope)
            read = partial(self._content, prefix)
            return await replies.reply(request, ("openapi", prefix), read, JSON)

        self.add_route("/openapi.json", document, include_in_schema=False)

    def _content(self, prefix: str) -> bytes:
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return orjson.dumps({**self.openapi(), **servers})


def _describe(operation: dict[str, Any], *, is_public: bool) -> None:
    """Give an operation the first line of its description as summary; a public one needs no key."""
    first, _, rest = operation.get("description", "").partition("\n")
    if first:
        operation.update(summary=first.rstrip("."), description=rest.strip() or first)
    if is_public:
        operation["security"] = []
