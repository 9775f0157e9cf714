"""Kinds stored under several spellings become one; the files they came from stay duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.db.schema import migrate
from app.incidents.parsing.identity import dedup_keys
from app.incidents.parsing.rules import ParsedBlock
from app.incidents.service import ingest_file
from app.main import create_app
from tests.support.databases.old_schema import database_at

BEFORE = "0023"
# Time (s after 2024-03-01T00:00Z), place, kind as stored by the release before; two differ only in case.
ROWS = [
    (0, -84.5, 39.1, "Theft", None), (60, -84.5, 39.1, "Theft", None), (120, -84.51, 39.12, "THEFT", None),
    (60, -84.5, 39.1, "THEFT", None), (180, -84.5, 39.1, "theft", "a-1"), (240, -84.5, 39.1, "Robo", None),
]  # fmt: skip
START_S = 1_709_251_200


@pytest.fixture(scope="module")
def upgraded(server_url: str, tmp_path_factory: pytest.TempPathFactory):
    with database_at(BEFORE, server_url, tmp_path_factory.mktemp("kinds")) as made:
        with made.engine.begin() as connection:
            store(connection)
        migrate(made.engine)
        yield made.settings, made.engine


def store(connection):
    """Store `ROWS` with the keys that the release before gave them, and a correction."""
    connection.execute(
        text(
            "INSERT INTO regions (id, name, timezone, crs, cell_size_m)"
            " VALUES ('old', 'Old', 'UTC', 'EPSG:32616', 500)"
        )
    )
    connection.execute(text("INSERT INTO uploads (region_key, summary) VALUES (1, '{}')"))
    for kind in ("THEFT", "Theft", "theft", "Robo"):
        connection.execute(
            text("INSERT INTO categories (region_key, name) VALUES (1, :k)"), {"k": kind}
        )
    block = ParsedBlock(
        np.arange(len(ROWS)),
        np.array([START_S + row[0] for row in ROWS], np.int64),
        np.array([row[1] for row in ROWS]),
        np.array([row[2] for row in ROWS]),
        np.array([row[3] for row in ROWS], object),
        np.array([row[4] for row in ROWS], object),
        np.array(["reported"] * len(ROWS), object),
    )
    for row, key in zip(ROWS, dedup_keys(block), strict=True):
        connection.execute(
            text(
                "INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m,"
                ' "window", category_key, external_id, dedup_key, occurrence, upload_id)'
                " SELECT 1, to_timestamp(:at), :lon, :lat, 0, 0, 0, key, :id, CAST(:key AS uuid), 1, 1"
                " FROM categories WHERE name = :kind"
            ),
            {
                "at": START_S + row[0], "lon": row[1], "lat": row[2], "kind": row[3], "id": row[4],
                "key": key.decode() if isinstance(key, bytes) else key,
            },
        )  # fmt: skip
    connection.execute(
        text(
            "INSERT INTO incident_history (region_key, external_id, action, before) SELECT 1, 'a-1',"
            " 'corrected', jsonb_build_object('category_key', key) FROM categories WHERE name = 'theft'"
        )
    )


def test_one_kind_is_left_and_nothing_is_lost(upgraded):
    _, engine = upgraded
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT c.name, count(*) FROM incidents AS i JOIN categories AS c"
                " ON c.key = i.category_key GROUP BY 1 ORDER BY 1"
            )
        ).all()
        before = connection.execute(
            text(
                "SELECT c.name FROM incident_history AS h JOIN categories AS c"
                " ON c.key = CAST(before ->> 'category_key' AS integer)"
            )
        ).scalar_one()
        names = connection.scalars(text("SELECT name FROM categories ORDER BY name")).all()
    # THEFT and Theft have two each; the one stored first stays.
    assert [tuple(row) for row in found] == [("Robo", 1), ("THEFT", 5)]
    assert (before, names) == ("THEFT", ["Robo", "THEFT"])


def test_the_old_file_and_the_own_one_add_nothing(upgraded, tmp_path):
    settings, engine = upgraded
    old = tmp_path / "old.csv"
    lines = [
        f"2024-03-01T00:{row[0] // 60:02d}:00Z,{row[1]},{row[2]},{row[3]},{row[4] or ''}"
        for row in ROWS
    ]
    old.write_text(
        "occurred_at,longitude,latitude,category,external_id\n" + "\n".join(lines) + "\n"
    )
    summary = ingest_file(engine, "old", old, settings=settings)
    assert (summary.received, summary.accepted, summary.duplicates) == (6, 0, 6)
    own = tmp_path / "own.csv"
    with TestClient(create_app(settings, engine)) as client:
        own.write_text(client.get("/v1/regions/old/incidents?f=csv&limit=100").text)
    summary = ingest_file(engine, "old", own, settings=settings)
    assert (summary.received, summary.accepted, summary.duplicates) == (6, 0, 6)
    new = tmp_path / "new.csv"
    new.write_text(
        "occurred_at,longitude,latitude,category\n2024-03-01T00:01:00Z,-84.5,39.1,tHeft\n"
    )
    assert ingest_file(engine, "old", new, settings=settings).accepted == 0
