"""The application behind a real server, on a database of the module's own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.main import create_app
from tests.support.services.serving import listening
from tests.support.simulated.incident_rows import HEAD


@pytest.fixture(scope="module")
def settings(settings):
    """Few categories, so that a test reaches the limit soon."""
    return settings.model_copy(update={"max_categories": 5, "rate_limit_per_s": 0})


@pytest.fixture(scope="module")
def address(settings, engine) -> Iterator[str]:
    """Where the application listens."""
    with listening(create_app(settings, engine)) as url:
        yield url


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
