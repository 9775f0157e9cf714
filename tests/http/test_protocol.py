"""Sockets that send their headers a byte at a time, or without an end, on a real server."""

import json
import re
import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest
import uvicorn

from app.http import protocol
from app.http.protocol import MAX_HEAD_BYTES, DeadlineProtocol

HEAD_S = 0.5


async def answer(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", HEAD_S)
    config = uvicorn.Config(answer, port=0, http=DeadlineProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(10)


def reply_of(line):
    """What comes at once; of a reply of 200, head and body, which may come apart."""
    line.settimeout(10)
    found = line.recv(1000)
    while found.startswith(b"HTTP/1.1 200 ") and not found.endswith(b"ok"):
        found += line.recv(1000)
    return found


def all_of(line):
    line.settimeout(10)
    found = b""
    while part := line.recv(1000):
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("sent", [b"\0\r\n\r\n", b"GET /" + 70_000 * b"a" + b" HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_gets_a_problem(address, sent):
    with socket.create_connection(address) as line:
        line.sendall(sent)
        head, body = all_of(line)
    assert re.match(rb"HTTP/1.1 4(00|31) ", head)
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    assert json.loads(body)["code"] in ("bad_request", "too_large")


@pytest.mark.parametrize("beginning", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\nA: "])
def test_headers_that_do_not_end_are_given_up(address, beginning):
    with socket.create_connection(address) as line:
        line.sendall(beginning)
        started = time.perf_counter()
        assert reply_of(line).startswith(b"HTTP/1.1 408 ")
        assert time.perf_counter() - started >= HEAD_S / 2
        assert reply_of(line) == b""


def test_dripping_does_not_buy_time(address):
    with socket.create_connection(address) as line:
        line.sendall(b"GET / HTTP/1.1\r\nA: ")
        with pytest.raises(OSError):  # noqa: PT011, PT012  broken pipe or reset, as the system likes
            for _ in range(100):
                time.sleep(HEAD_S / 10)
                line.sendall(b"x")
                line.setblocking(False)
                with suppress(BlockingIOError):
                    if line.recv(100) == b"":
                        raise BrokenPipeError
                line.setblocking(True)


def test_headers_without_an_end_are_refused(address):
    with socket.create_connection(address) as line:
        line.sendall(b"GET / HTTP/1.1\r\n")
        line.sendall(b"A: " + b"x" * MAX_HEAD_BYTES)
        assert reply_of(line).startswith(b"HTTP/1.1 431 ")


def test_others_and_later_requests_are_served(address, monkeypatch):
    with ExitStack() as slow:
        for _ in range(50):
            slow.enter_context(socket.create_connection(address))
        # However long it takes until the first request is sent.
        monkeypatch.setattr(protocol, "HEAD_S", 600.0)
        line = slow.enter_context(socket.create_connection(address))
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        monkeypatch.setattr(protocol, "HEAD_S", HEAD_S)
        assert reply_of(line).startswith(b"HTTP/1.1 200 ")
        for _ in range(2):
            time.sleep(HEAD_S)
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reply_of(line).startswith(b"HTTP/1.1 200 ")
        line.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert reply_of(line).startswith(b"HTTP/1.1 408 ")


def test_a_body_has_more_time_than_its_headers(address):
    with socket.create_connection(address) as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        time.sleep(2 * HEAD_S)
        line.sendall(b"b")
        assert reply_of(line).startswith(b"HTTP/1.1 200 ")
