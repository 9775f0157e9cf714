"""One request through a pure ASGI application, without a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Reply:
    """The messages that an application sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode().lower(): v.decode() for k, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def scope_of(method: str = "GET", path: str = "/", **more: Any) -> Scope:
    """A request without query; `headers` is a mapping."""
    headers = [(k.encode(), v.encode()) for k, v in more.pop("headers", {}).items()]
    return {
        "type": "http", "method": method, "path": path, "query_string": b"", "headers": headers,
        "state": {}, **more,
    }  # fmt: skip


async def answered(app: ASGIApp, scope: Scope, body: bytes = b"") -> Reply:
    """The reply to a request with this body."""
    reply = Reply()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        reply.messages.append(message)

    await app(scope, receive, send)
    return reply


def answer(app: ASGIApp, scope: Scope, body: bytes = b"") -> Reply:
    """`answered`, in an event loop of its own."""
    return asyncio.run(answered(app, scope, body))


def saying(body: bytes = b"", status: int = 200, **headers: str) -> ASGIApp:
    """An application that answers always alike; underscores in names of headers are hyphens."""
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(raw)})
        await send({"type": "http.response.body", "body": body})

    return app
