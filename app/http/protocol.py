"""HTTP connections whose request line and headers must come, and whose replies be read, in time.

uvicorn waits for both as long as it takes, so a few hundred sockets that send a byte now and then, or
read none, hold as many connections for ever, and headers without an end fill the memory. Where there
are too many connections all the same, those end that have kept the server waiting longest.
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
"""How long what was sent may lie unread; see `chunking.py` for how much that is."""

MAX_PIPELINED = 32
"""Requests of a connection that wait for the one before; whoever sends more is hung up on."""
SEND_BUFFER_BYTES = 256 << 10
"""What the system holds of replies that are not read, for each connection: by itself it takes megabytes."""
MAX_CONNECTIONS = 1000
"""Of one process; `allow_connections` sees that the system allows as many."""
_log = logging.getLogger("hotslot.api")


class _Waiting:
    """Connections of one server that it waits for, those that it has waited for longest first."""

    def __init__(self) -> None:
        self.strangers: OrderedDict[PatientHttp, None] = OrderedDict()
        self.callers: OrderedDict[PatientHttp, None] = OrderedDict()
        """Those on which a request with a good key has come."""

    def add(self, connection: PatientHttp) -> None:
        """From now on it is waited for."""
        self.remove(connection)
        (self.callers if connection.has_caller else self.strangers)[connection] = None

    def remove(self, connection: PatientHttp) -> None:
        """It moves, or is gone."""
        self.strangers.pop(connection, None)
        self.callers.pop(connection, None)

    def end_one(self) -> None:
        """End the one that was waited for longest; those without a key first."""
        for connections in (self.strangers, self.callers):
            if connections:
                connection, _ = connections.popitem(last=False)
                connection.transport.abort()
                return


_WAITING: WeakKeyDictionary[ServerState, _Waiting] = WeakKeyDictionary()


def allow_connections() -> None:
    """Let this process have as many open files as its connections and their work take, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MAX_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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


def _until_gone(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """The application, which need not know that its client has gone or that the server stops.

    Writing to a connection that has just been closed is an error, as is being cancelled: both came out
    as tracebacks, though nothing is wrong.
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
            _log.debug("the client left")

    return run


class PatientHttp(HttpToolsProtocol):
    """uvicorn's own connection, with a deadline and a bound for what comes before a body."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unread: asyncio.TimerHandle | None = None
        self._waiting = _WAITING.setdefault(self.server_state, _Waiting())
        self.has_caller = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request's time begins."""
        if len(self.connections) >= MAX_CONNECTIONS:
            self._waiting.end_one()
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
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
        self._waiting.remove(self)
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            raise ConnectionAbortedError("too many requests at once")  # the rest is not even parsed
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._waiting.remove(self)
        self._stop_waiting()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not keep up: it has so long to read on."""
        super().pause_writing()
        self._note_caller()
        self._waiting.add(self)
        self._await_reading()

    def resume_writing(self) -> None:
        """It has."""
        self._waiting.remove(self)
        self._stop_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """A connection that is to end does not wait for ever for its last reply to be read."""
        self._note_caller()
        self._waiting.add(self)
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()  # uvicorn reads on, and so keeps ever more of them
        self._end_in_time()

    def timeout_keep_alive_handler(self) -> None:
        """Nor does one that idles."""
        super().timeout_keep_alive_handler()
        self._end_in_time()

    def shutdown(self) -> None:
        """The service stops: a stream of events ends as one does whose run is finished."""
        super().shutdown()
        if self.cycle is not None:
            self.cycle.scope["state"][STOPPING] = True

    def _should_upgrade(self) -> bool:
        """Never: the application answers such requests itself."""
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """The line of the request itself will do."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Begin a request whose client may leave at any moment."""
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
