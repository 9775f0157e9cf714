"""Files of real people come in by two doors, HTTP and the command line; every case is tried at both."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app as command_line
from app.main import create_app
from app.readers.formats import SUFFIX_TYPES

_names = (f"case{n}" for n in itertools.count())
_SWITCHES = ("dry_run",)


@dataclass(frozen=True)
class Sent:
    """The answer to an upload: `body` if it was accepted, else `status` (HTTP) and `error`."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Door:
    """Sends files to a region of this test's own by one of the two ways.

    Args:
        way: `http` or `command line`.
    """

    way: str
    client: TestClient
    folder: Path
    region: str

    @property
    def root(self) -> str:
        """The region's path."""
        return f"/v1/regions/{self.region}"

    def send(self, name: str, content: str | bytes, **choices: Any) -> Sent:
        """Send a file; `columns` is a list of `field=column`, other choices are as over HTTP."""
        raw = content.encode() if isinstance(content, str) else content
        sender = self._post if self.way == "http" else self._ingest
        return sender(name, raw, choices)

    def _post(self, name: str, raw: bytes, choices: dict[str, Any]) -> Sent:
        kind = SUFFIX_TYPES[Path(name).suffix]
        reply = self.client.post(
            f"{self.root}/incidents", content=raw, headers={"Content-Type": kind}, params=choices
        )
        if reply.status_code == 200:
            return Sent(200, reply.json())
        return Sent(reply.status_code, reply.json(), reply.json()["detail"])

    def _ingest(self, name: str, raw: bytes, choices: dict[str, Any]) -> Sent:
        path = self.folder / name
        path.write_bytes(raw)
        words = ["ingest", self.region, str(path), "--json"]
        for choice, value in choices.items():
            option = f"--{choice.replace('_', '-')}"
            if choice in _SWITCHES:
                words += [option] if value else []
                continue
            for one in value if isinstance(value, list) else [value]:
                words += [option, str(one)]
        run = CliRunner().invoke(command_line, words)
        if run.exit_code:
            # `main` prints the error; the runner calls what is below it.
            return Sent(422, {}, " ".join(f"{run.stderr} {run.exception}".split()))
        return Sent(200, json.loads(run.stdout)[str(path)])

    def stored(self) -> list[dict[str, Any]]:
        """Return the stored incidents in order of time: properties, longitude, latitude, id."""
        found = self.client.get(f"{self.root}/incidents", params={"limit": 10_000}).json()
        return [
            {
                "id": one["id"],
                **one["properties"],
                "longitude": one["geometry"]["coordinates"][0],
                "latitude": one["geometry"]["coordinates"][1],
            }
            for one in found["features"]
        ]

    def hours(self) -> list[str]:
        """Return the local wall times of the stored incidents, `YYYY-MM-DDTHH:MM`."""
        return [one["occurred_at"][:16] for one in self.stored()]


@pytest.fixture(scope="module")
def client(engine, settings):
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


@pytest.fixture(params=["http", "command line"])
def doors(request, client, settings, tmp_path, monkeypatch):
    """Return a function that makes a region and the door to it: `doors(timezone=..., boundary=...)`."""
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def made(timezone: str = "America/New_York", boundary: Any = None, **more: Any) -> Door:
        region = next(_names)
        asked = {"id": region, "name": region, "timezone": timezone, "boundary": boundary, **more}
        reply = client.post("/v1/regions", json=asked)
        assert reply.status_code == 201, reply.text
        return Door(request.param, client, tmp_path, region)

    return made


@pytest.fixture
def door(doors):
    """A door to a new region in New York's time zone, without a boundary."""
    return doors()
