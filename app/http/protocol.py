"""Set deadlines for the headers of requests and for reading replies.

uvicorn waits for both without a limit: a few hundred sockets that send a byte now and then, or read
none, would occupy as many connections for ever, and endless headers would fill the memory. When there
are too many connections all the same, those that the server has waited for longest are closed.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections import OrderedDict
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.http.middleware.event_streams import STOPPING
from app.http.problems import problem

HEAD_S = 10.0
"""From the connection, or a request's first byte, to the end of its headers."""
MAX_HEAD_BYTES = 1 << 16
UNREAD_S = 20.0
"""How long what was sent may remain unread; see `chunking.py` for how much that is."""
MAX_PIPELINED = 32
"""Pipelined requests of a connection; one that sends more is closed."""
SEND_BUFFER_BYTES = 256 << 10
"""Kernel buffer of unread replies for each connection; the default is megabytes."""
MAX_CONNECTIONS = 1000
"""Connections of one process; `allow_connections` raises the limit of open files for them."""
_log = logging.getLogger("hotslot.api")


class _Waiting:
    """Connections that one server waits for, the longest waiting first."""

    def __init__(self) -> None:
        self.strangers: OrderedDict[DeadlineProtocol, None] = OrderedDict()
        self.callers: OrderedDict[DeadlineProtocol, None] = OrderedDict()
        """Connections that have sent a request with a valid key."""

    def add(self, connection: DeadlineProtocol) -> None:
        """Note that the server waits for a connection from now on."""
        self.remove(connection)
        (self.callers if connection.has_caller else self.strangers)[connection] = None

    def remove(self, connection: DeadlineProtocol) -> None:
        """Note that a connection has moved on, or is closed."""
        self.strangers.pop(connection, None)
        self.callers.pop(connection, None)

    def end_one(self) -> None:
        """Close the connection that was waited for longest; those without a key first."""
        for connections in (self.strangers, self.callers):
            if connections:
                connection, _ = connections.popitem(last=False)
                connection.transport.abort()
                return


_WAITING: WeakKeyDictionary[ServerState, _Waiting] = WeakKeyDictionary()


def allow_connections() -> None:
    """Raise the limit of open files to what the connections and their work need, where allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _last_words(status: HTTPStatus, code: str, detail: str) -> bytes:
    """Encode a problem+json reply after which the connection is closed."""
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


def _until_gone(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """Shield the application from clients that disconnect and from the server's shutdown.

    Writing to a closed connection raises, as does cancellation: both would be logged as tracebacks
    although nothing is wrong.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if cycle.transport.is_closing():
                cycle.disconnected = True
            try:
                await send(message)
            except RuntimeError:
                if not cycle.transport.is_closing():
                    raise
                cycle.disconnected = True

        try:
            await app(scope, receive, sending)
        except asyncio.CancelledError:
            cycle.disconnected = True
            cycle.transport.abort()
        if cycle.disconnected:
            _log.debug("client disconnected")

    return run


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP connection with deadlines, and a size limit for headers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unread: asyncio.TimerHandle | None = None
        self._waiting = _WAITING.setdefault(self.server_state, _Waiting())
        self.has_caller = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
        if len(self.connections) >= MAX_CONNECTIONS:
            self._waiting.end_one()
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of headers."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not an HTTP request."""
        del msg
        self._refuse(_NOT_HTTP)

    def on_message_begin(self) -> None:
        """Start the deadline of a further request on the connection."""
        super().on_message_begin()
        if self._patience is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Stop the deadline; the body that follows has its own."""
        self._stop_waiting()
        self._waiting.remove(self)
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            raise ConnectionAbortedError("too many requests at once")  # the rest is not even parsed
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all deadlines."""
        self._waiting.remove(self)
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the deadline for a client that does not read."""
        super().pause_writing()
        self._note_caller()
        self._waiting.add(self)
        self._await_reading()

    def resume_writing(self) -> None:
        """Stop the deadline of a client that reads again."""
        self._waiting.remove(self)
        self._stop_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Limit how long a closing connection waits for its last reply to be read."""
        self._note_caller()
        self._waiting.add(self)
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()  # uvicorn would read on and queue ever more requests
        self._end_in_time()

    def timeout_keep_alive_handler(self) -> None:
        """Limit the same for an idle connection."""
        super().timeout_keep_alive_handler()
        self._end_in_time()

    def shutdown(self) -> None:
        """End event streams when the service stops, as if their run were finished."""
        super().shutdown()
        if self.cycle is not None:
            self.cycle.scope["state"][STOPPING] = True

    def _should_upgrade(self) -> bool:
        """Never upgrade: the application answers such requests."""
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing beyond the line of the request."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Start a request whose client may disconnect at any moment."""
        self._waiting.remove(self)
        super()._start_asgi_task(cycle, _until_gone(cycle, app))  # type: ignore[arg-type]

    def _note_caller(self) -> None:
        if not self.has_caller and self.cycle is not None:
            self.has_caller = "caller" in self.cycle.scope["state"]

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
        self._waiting.add(self)
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
