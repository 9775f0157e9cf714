"""HTTP connections whose request line and headers must come, and whose replies be read, in time.

uvicorn waits for both as long as it takes, so a few hundred sockets that send a byte now and then, or
read none, hold as many connections for ever, and headers without an end fill the memory.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import problem

HEAD_S = 10.0
"""From the connection, or a request's first byte, to the end of its headers."""
MAX_HEAD_BYTES = 1 << 16
UNREAD_S = 20.0
"""How long what was sent may lie unread; see `pieces.py` for how much that is."""


def _last_words(status: HTTPStatus, code: str, detail: str) -> bytes:
    """A reply in problem+json, as the application's own, after which the connection ends."""
    reply = problem(status, detail, code)
    body = bytes(reply.body)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {reply.media_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


_TOO_SLOW = _last_words(
    HTTPStatus.REQUEST_TIMEOUT, "too_slow", f"the request's headers took over {HEAD_S:g} s"
)
_TOO_LONG = _last_words(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "too_large",
    f"request line and headers are longer than {MAX_HEAD_BYTES} bytes",
)
_NOT_HTTP = _last_words(
    HTTPStatus.BAD_REQUEST, "bad_request", "no valid HTTP request, or too long an address"
)


class PatientHttp(HttpToolsProtocol):
    """uvicorn's own connection, with a deadline and a bound for what comes before a body."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request's time begins."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers have ended."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to bytes that are no request."""
        del msg
        self._refuse(_NOT_HTTP)

    def on_message_begin(self) -> None:
        """A further request on a connection that is kept has its own time."""
        super().on_message_begin()
        if self._patience is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """In time: what follows is the body, which has deadlines of its own."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not keep up: it has so long to read on."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """It has."""
        self._stop_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """A connection that is to end does not wait for ever for its last reply to be read."""
        super().on_response_complete()
        self._end_in_time()

    def timeout_keep_alive_handler(self) -> None:
        """Nor does one that idles."""
        super().timeout_keep_alive_handler()
        self._end_in_time()

    def _end_in_time(self) -> None:
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_reading()

    def _await_reading(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(HEAD_S, self._refuse, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, reply: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(reply)
            self.transport.close()
