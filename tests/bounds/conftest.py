"""The application behind a real server, on a database of the module's own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from app.main import create_app

HEAD = "occurred_at,longitude,latitude,category,external_id\n"


@pytest.fixture(scope="module")
def settings(settings):
    """Few categories, so that a test reaches the limit soon."""
    return settings.model_copy(update={"max_categories": 5, "rate_limit_per_s": 0})


@pytest.fixture(scope="module")
def address(settings, engine) -> Iterator[str]:
    """Where the application listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(create_app(settings, engine), port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    """Asks it."""
    with httpx.Client(base_url=address, timeout=60) as made:
        yield made


@pytest.fixture
def add(client):
    """Adds a region without a boundary."""

    def made(name: str) -> str:
        told = client.post("/v1/regions", json={"id": name, "timezone": "UTC"})
        assert told.status_code == 201, told.text
        return f"/v1/regions/{name}"

    return made


@pytest.fixture
def send(client):
    """Uploads CSV rows; answers what is told of them."""

    def sent(region: str, rows: list[str]) -> dict:
        body = (HEAD + "".join(f"{row}\n" for row in rows)).encode()
        told = client.post(
            f"{region}/incidents", content=body, headers={"Content-Type": "text/csv"}
        )
        assert told.status_code == 200, told.text
        return told.json()

    return sent


def row(minute: int, category: str, external_id: str = "") -> str:
    """An incident of 5 January 2024."""
    return (
        f"2024-01-05T{minute // 60:02d}:{minute % 60:02d}:00Z,-74.06,4.65,{category},{external_id}"
    )
