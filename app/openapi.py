"""The OpenAPI document, completed with what FastAPI does not see, and served from memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from app.core.media_types import JSON
from app.http.links import prefix_of
from app.http.schemas import referenced_schemas
from app.http.static import StaticReplies


class HotslotApi(FastAPI):
    """FastAPI whose document also has the models of hand-made replies, and the key."""

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
        return self.openapi_schema or {}

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
