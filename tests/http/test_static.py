"""The page's files as they go over the wire; needs no browser and no database."""

from __future__ import annotations

import re

import brotli
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.http import static
from app.http.problems import add_problem_handlers

LIBRARY = "/static/vendor/maplibre-gl/maplibre-gl.mjs"
MAX_LINES = 300


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    add_problem_handlers(app)
    app.include_router(static.router)
    return TestClient(app)


def test_files_are_compressed_and_not_sent_twice(client):
    plain = client.get(LIBRARY, headers={"Accept-Encoding": "identity"})
    with client.stream("GET", LIBRARY, headers={"Accept-Encoding": "br"}) as reply:
        packed = b"".join(reply.iter_raw())
        assert reply.headers["content-encoding"] == "br"
        etag = reply.headers["etag"]
    assert plain.headers["content-type"].startswith("text/javascript")
    assert len(packed) < len(plain.content) / 3
    assert brotli.decompress(packed) == plain.content
    assert client.get(LIBRARY, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize("path", ["none.js", "..%2Fconfig.py", "%00", "js", "x" * 5000])
def test_nothing_but_the_pages_files_is_served(client, path):
    reply = client.get(f"/static/{path}")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_modules_stay_short():
    lengths = {
        file.name: len(file.read_text().splitlines()) for file in (static.WEB / "js").iterdir()
    }
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_modules_are_asked_for_at_once():
    """A module that is found only when another is read costs a round trip of the first view."""
    page = (static.WEB / "index.html").read_text()
    told = set(re.findall(r'href="static/js/([^"]+)"', page))
    later = {
        "main.js",
        "plain-map.js",
        "basemap.js",
        "overview.js",
        "own-places.js",
        "data-report.js",
        "findings.js",
        "report-charts.js",
        "schedule.js",
        "columns.js",
        "key-admin.js",
        "worth.js",
    }
    assert told == {file.name for file in (static.WEB / "js").iterdir()} - later
