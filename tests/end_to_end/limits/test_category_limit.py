"""How many categories a region has, and how many equal rows an upload: limits, not breakdowns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from app.fitting.data import load_training_data
from app.incidents.column_store import read_columns
from app.regions.category_store import drop_unused_categories
from app.regions.store import get_region
from tests.support.simulated.incident_rows import row


def names(engine, region: str) -> list[str]:
    query = text(
        "SELECT categories.name FROM categories JOIN regions ON regions.key = region_key"
        " WHERE regions.id = :region ORDER BY 1"
    )
    with engine.connect() as connection:
        return list(connection.scalars(query, {"region": region.rsplit("/", 1)[1]}))


def test_rows_with_a_category_too_many_are_refused_one_by_one(engine, add, send):
    region = add("free-text")
    told = send(region, [row(i, f"c{i % 8}") for i in range(24)])
    assert (told["accepted"], told["rejected"]) == (15, 9)
    assert told["rejected_by_code"] == {"too_many_categories": 9}
    assert [e["row"] for e in told["errors"]] == [6, 7, 8, 14, 15, 16, 22, 23, 24]
    assert told["errors"][0]["field"] == "category"
    assert "has 5 categories" in told["errors"][0]["message"]
    assert names(engine, region) == ["c0", "c1", "c2", "c3", "c4"]
    again = send(region, [row(100, "c4"), row(101, "new")])
    assert (again["accepted"], again["rejected"]) == (1, 1)


def test_uploads_at_once_do_not_pass_the_limit_together(engine, address, add):
    region = add("together")

    def upload(n: int) -> dict:
        body = "occurred_at,longitude,latitude,category,external_id\n" + "".join(
            row(i, f"u{n}-{i}") + "\n" for i in range(4)
        )
        return httpx.post(
            f"{address}{region}/incidents",
            content=body.encode(),
            headers={"Content-Type": "text/csv"},
        ).json()

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(upload, range(4)))
    assert len(names(engine, region)) == 5
    assert sum(t["accepted"] for t in told) == 5


def test_names_that_nobody_has_go_with_the_upload(client, engine, add, send):
    region = add("gone")
    first = send(region, [row(1, "theft", "a")])
    second = send(region, [row(2, "arson", "b"), row(3, "fraud", "c")])
    send(region, [row(4, "robbery", "a")])
    assert client.delete(f"{region}/uploads/{second['upload_id']}").status_code == 200
    # What an earlier form of an incident was called is still needed to show that form.
    assert names(engine, region) == ["robbery", "theft"]
    assert client.delete(f"{region}/uploads/{first['upload_id']}").status_code == 200
    assert client.delete(f"{region}/incidents/a").status_code == 204
    assert names(engine, region) == []


def test_a_region_with_40_000_names_trains_and_can_be_rid_of_them(client, engine, add, send):
    region = add("legacy")
    send(region, [row(0, "theft")])
    with engine.begin() as connection:
        known = get_region(connection, "legacy")
        values = {"region": known.key}
        connection.execute(
            text(
                "INSERT INTO categories (region_key, name)"
                " SELECT :region, 'n' || n FROM generate_series(1, 40000) AS n"
            ),
            values,
        )
        connection.execute(
            text(
                'INSERT INTO incidents (region_key, occurred_at, longitude, latitude, x_m, y_m, "window",'
                " category_key, dedup_key, occurrence, upload_id)"
                " SELECT :region, i.occurred_at + (c.key % 5000) * interval '1 hour',"
                " longitude + c.key % 97 / 4000.0, latitude + c.key % 89 / 4000.0,"
                ' x_m + c.key % 97 * 27, y_m + c.key % 89 * 27, "window", c.key, gen_random_uuid(), 1,'
                " upload_id FROM incidents AS i, categories AS c"
                " WHERE i.region_key = :region AND c.region_key = :region AND c.name <> 'theft'"
            ),
            values,
        )
    with engine.connect() as connection:
        columns = read_columns(connection, known)
    assert columns.category.max() == 40_000
    assert columns.category_names[40_000] == "theft"
    assert len(np.unique(columns.category)) == 40_001
    until = datetime.now(UTC) + timedelta(days=1)
    data = load_training_data(engine, known.key, until=until)
    assert len(data.categories) == 40_001
    # A name more is still refused; the others go with their incidents.
    assert send(region, [row(5, "one more")])["rejected"] == 1
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM incidents WHERE region_key = :region AND occurred_at > :then"),
            {**values, "then": datetime(2024, 1, 5, 1, tzinfo=UTC)},
        )
        assert len(drop_unused_categories(connection, known.key)) > 39_000


@pytest.mark.parametrize("n_rows", [32_769])
def test_more_equal_rows_than_can_be_counted_are_refused_as_such(add, send, n_rows):
    told = send(add("equal"), [row(1, "theft")] * n_rows)
    assert (told["accepted"], told["rejected"]) == (32_767, 2)
    assert told["rejected_by_code"] == {"too_many_equal_rows": 2}
    assert [e["row"] for e in told["errors"]] == [32_768, 32_769]
    assert told["errors"][0]["field"] == "external_id"
