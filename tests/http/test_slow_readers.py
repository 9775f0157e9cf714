"""Sockets that ask for large replies and do not read them, on a real server."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from app.http import protocol
from app.http.middleware.chunking import PIECE_BYTES, Chunking
from app.http.protocol import DeadlineProtocol

UNREAD_S = 0.5
SMALL, LARGE = 32 << 10, 16 << 20


class Server:
    """Answers `/N` with N bytes, and counts the requests that it is still at."""

    def __init__(self):
        self.n_open = 0

    async def __call__(self, scope, receive, send):
        size = int(scope["path"][1:])
        self.n_open += 1
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})
        self.n_open -= 1


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setattr(protocol, "UNREAD_S", UNREAD_S)
    app = Server()
    config = uvicorn.Config(
        Chunking(app), port=0, http=DeadlineProtocol, lifespan="off", log_config=None,
        timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server, app
    server.should_exit = True
    thread.join(10)


def asked(server, size, more=""):
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(server.servers[0].sockets[0].getsockname())
    line.sendall(f"GET /{size} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
    line.settimeout(10)
    return line


def until(holds):
    end = time.monotonic() + 10
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


def test_a_reply_that_nobody_reads_counts_as_open_and_ends(served):
    server, app = served
    with asked(server, LARGE) as line:
        assert line.recv(15) == b"HTTP/1.1 200 OK"
        assert app.n_open == 1, "else no limit would count it"
        until(lambda: app.n_open == 0 and not server.server_state.connections)


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
def test_a_last_piece_that_nobody_reads_holds_no_connection(served, more):
    server, _ = served
    lines = [asked(server, SMALL * 100, more) for _ in range(3)]
    until(lambda: not server.server_state.connections)
    for line in lines:
        line.close()


def test_a_slow_reader_gets_all_of_it(served):
    server, _ = served
    with asked(server, 10 * PIECE_BYTES + 1, "Connection: close\r\n") as line:
        read = 0
        while piece := line.recv(PIECE_BYTES):
            read += len(piece)
            time.sleep(UNREAD_S / 500)
    assert read > 10 * PIECE_BYTES


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_pieces_are_the_body(size):
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.body", "body": bytes(range(256)) * (size // 256 + 1)})

    async def send(message):
        sent.append(message)

    asyncio.run(Chunking(app)({"type": "http"}, None, send))
    assert b"".join(m["body"] for m in sent) == bytes(range(256)) * (size // 256 + 1)
    assert [m.get("more_body", False) for m in sent] == [True] * (len(sent) - 1) + [False]
    assert max(len(m["body"]) for m in sent) <= PIECE_BYTES
