"""A webhook's receiver and a mail server on loopback, which keep what they get and refuse on cue."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.support.services.service import free_port

TOLERANCE_S = 300


@dataclass
class Received:
    """A request: its headers and its body as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A webhook's receiver. It answers 204, or what `faults` say: a status, "hold" or "drip"."""

    received: list[Received] = field(default_factory=list)
    faults: deque = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.received.append(Received(headers, body))
        status = self.faults.popleft() if self.faults else 204
        if status == "hold":
            self.held.set()
            while not self.release.is_set():
                await asyncio.sleep(0.02)
            status = 204
        more_headers = [(k.encode(), v.encode()) for k, v in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": more_headers})
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve a receiver on a free port until the block ends."""
    made = Receiver()
    config = uvicorn.Config(made, "127.0.0.1", 0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    made.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.release.set()
        server.should_exit = True
        thread.join(10)


def verifies(secret: str, received: Received, now: float | None = None) -> bool:
    """Whether a request is signed with a secret, as docs/push.md tells receivers to check."""
    sent_at = received.headers["webhook-timestamp"]
    if abs((now or time.time()) - int(sent_at)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.id}.{sent_at}.".encode() + received.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(one, f"v1,{wanted}")
        for one in received.headers["webhook-signature"].split(" ")
    )


@dataclass
class MailServer:
    """A mail server; `refusals` are its next replies to recipients."""

    messages: list[EmailMessage] = field(default_factory=list)
    refusals: deque = field(default_factory=deque)
    logins: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    certificate: Path | None = None

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self.refusals:
            return self.refusals.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        self.messages.append(parsed)
        return "250 OK"

    def authenticate(self, server, session, envelope, mechanism, data):
        user, password = data.login.decode(), data.password.decode()
        self.logins.append((user, password))
        return AuthResult(success=password == "right", handled=False)


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """Serve a mail server on a free port until the block ends; `tls_context` offers STARTTLS."""
    made = MailServer(port=free_port())
    controller = Controller(
        made,
        hostname="127.0.0.1",
        port=made.port,
        authenticator=made.authenticate,
        ready_timeout=60,
        **options,
    )
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
