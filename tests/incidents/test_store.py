"""What went in comes out: every page, every format, every filter, in order of time."""

import io
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import geopandas as gpd
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.geo.synthetic import TIMEZONE
from app.incidents.service import UploadSource, ingest
from app.incidents.store import KindSpan, PageQuery, page, page_statement
from app.main import create_app
from app.regions.service import add_region
from app.regions.store import get_region

N_ROWS = 137


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    # Three incidents at each instant, so that a page's end falls between equal times.
    minutes = pd.to_timedelta([i // 3 * 50 for i in range(N_ROWS)], unit="min")
    return pd.DataFrame(
        {
            "occurred_at": pd.Timestamp("2024-03-01T00:00Z") + minutes,
            "longitude": [round(-74.0 - i / 1000, 6) for i in range(N_ROWS)],
            "latitude": [round(4.6 + i / 2000, 6) for i in range(N_ROWS)],
            "category": ["theft" if i % 4 else "=1+1" for i in range(N_ROWS)],
            "external_id": [f"+id{i}" if i % 2 else None for i in range(N_ROWS)],
        }
    )


@pytest.fixture(scope="module")
def client(engine, settings, frame):
    add_region(engine, "back", timezone=TIMEZONE)
    shuffled = frame.sample(frac=1, random_state=1)
    body = shuffled.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ").encode()
    assert ingest(engine, "back", [body], UploadSource("text/csv"), settings=settings).accepted
    with TestClient(create_app(settings)) as made:
        yield made


def pages(client, **query):
    """Bodies of all pages, following the links."""
    path = "/v1/regions/back/incidents"
    reply = client.get(path, params=query)
    while True:
        assert reply.status_code == 200, reply.text
        yield reply
        if "next" not in reply.links:
            return
        link = urlsplit(reply.links["next"]["url"])
        reply = client.get(f"{link.path}?{link.query}")


def read(client, f, **query) -> pd.DataFrame:
    """All pages of a format as one frame."""
    parts = []
    for reply in pages(client, f=f, **query):
        if f == "parquet":
            part = gpd.read_parquet(io.BytesIO(reply.content))
            part = part.assign(longitude=part.geometry.x, latitude=part.geometry.y)
        elif f == "csv":
            part = pd.read_csv(io.BytesIO(reply.content), keep_default_na=False)
            for name in ("category", "external_id"):
                part[name] = part[name].str.removeprefix("'")
        else:
            found = reply.json()
            assert found["next"] == reply.links.get("next", {}).get("url")
            part = pd.DataFrame([x["properties"] for x in found["features"]])
            points = [x["geometry"]["coordinates"] for x in found["features"]]
            part[["longitude", "latitude"]] = points
        parts.append(part)
    whole = pd.concat(parts)
    whole["occurred_at"] = pd.to_datetime(whole["occurred_at"], utc=True)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("f", ["geojson", "csv", "parquet"])
def test_all_pages_hold_each_incident_once_in_order_of_time(client, frame, f):
    found = read(client, f, limit=10)
    assert found["occurred_at"].is_monotonic_increasing
    found = found.sort_values("longitude", ascending=False).reset_index(drop=True)
    assert found["occurred_at"].tolist() == frame["occurred_at"].tolist()
    for name in ("longitude", "latitude", "category"):
        assert found[name].tolist() == frame[name].tolist(), name
    ids = found["external_id"].where(found["external_id"].notna(), "").tolist()
    assert ids == frame["external_id"].fillna("").tolist()


@pytest.mark.parametrize("limit", [7, 1000])
def test_filters_hold_together(client, frame, limit):
    start, end = frame["occurred_at"].iloc[[20, 110]]
    wanted = frame[
        frame["longitude"].between(-74.1, -74.03)
        & (frame["occurred_at"] >= start)
        & (frame["occurred_at"] < end)
        & (frame["category"] == "theft")
    ]
    found = read(
        client,
        "geojson",
        limit=limit,
        bbox="-74.1,4,-74.03,5",
        datetime=f"{start.isoformat()}/{end.isoformat()}",
        category="theft",
    )
    assert sorted(found["longitude"]) == sorted(wanted["longitude"])


def test_a_local_time_zone_reads_the_same_instants(client, frame):
    # Midnight of Bogota is 5 in UTC.
    found = read(client, "csv", datetime="2024-03-02T00:00/2024-03-03T00:00", limit=1000)
    day = frame["occurred_at"].between("2024-03-02T05:00Z", "2024-03-03T05:00Z", inclusive="left")
    assert len(found) == day.sum()


def test_no_incident_is_an_empty_page_of_any_format(client):
    for f in ("geojson", "csv", "parquet"):
        (reply,) = pages(client, f=f, category="none such")
        assert reply.status_code == 200
    assert len(gpd.read_parquet(io.BytesIO(reply.content))) == 0


def test_no_text_of_the_csv_is_a_formula(client):
    for reply in pages(client, f="csv", limit=50):
        found = pd.read_csv(io.BytesIO(reply.content), keep_default_na=False)
        for name in ("category", "external_id", "source"):
            assert not found[name].str.match(r"[=+\-@\t\r]").any(), name


def test_a_later_page_starts_where_the_index_says(client, engine):
    """The keyset is a range of the index, not a filter on all that went before."""
    query = PageQuery(
        after=(datetime(2024, 3, 2, tzinfo=UTC), 5), categories=(KindSpan(1),), limit=10
    )
    statement = page_statement(1, query).compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SET enable_bitmapscan = off"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN {statement}")).scalars())
    ranges = [line for line in plan.splitlines() if "Index Cond" in line]
    assert any("ROW(" in line for line in ranges), plan


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bbox=1,2,3", "bbox"),
        ("bbox=1,nan,3,4", "bbox"),
        ("bbox=3,2,1,4", "bbox"),
        ("datetime=2024-01-01", "datetime"),
        ("datetime=x/y", "datetime"),
        ("cursor=abc", "cursor"),
        ("cursor=MjAyNC0wMS0wMXwx", "cursor"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("f=xlsx", "f"),
    ],
)
def test_wrong_queries_are_named(client, query, field):
    reply = client.get(f"/v1/regions/back/incidents?{query}")
    assert (reply.status_code, reply.json()["field"]) == (422, field)


def partition_of(connection, key):
    query = text("SELECT tableoid::regclass::text FROM incidents WHERE region_key = :key LIMIT 1")
    return connection.scalar(query, {"key": key})


def test_a_large_upload_is_known_to_the_planner_at_once(engine, settings, monkeypatch):
    """Without statistics a page after a million rows sorted all that follow it."""
    monkeypatch.setattr("app.incidents.uploads.storing.STATISTICS_FROM_ROWS", 1_000)
    add_region(engine, "large", timezone="America/Toronto", cell_size_m=500.0)
    with engine.begin() as connection:
        for partition in connection.scalars(
            text("SELECT relname FROM pg_class WHERE relname ~ '^incidents_p[0-9]+$'")
        ).all():
            connection.execute(text(f"ALTER TABLE {partition} SET (autovacuum_enabled = false)"))
    rows = "".join(
        f"2024-0{1 + k % 9}-{1 + k % 28:02d}T{k % 24:02d}:{k % 60:02d}:00,-79.4,{43.6 + k / 1e5}\n"
        for k in range(5_000)
    )
    body = ("occurred_at,longitude,latitude\n" + rows).encode()
    ingest(engine, "large", [body], UploadSource("text/csv"), settings=settings)
    with engine.connect() as connection:
        key = get_region(connection, "large").key
        known, whole = (
            connection.scalar(
                text("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)"),
                {"table": table},
            )
            for table in (partition_of(connection, key), "incidents")
        )
        query = PageQuery(after=(datetime(2024, 1, 2, tzinfo=UTC), 0), limit=10)
        statement = page_statement(key, query).compile(
            engine, compile_kwargs={"literal_binds": True}
        )
        plan = "\n".join(connection.execute(text(f"EXPLAIN {statement}")).scalars())
    assert known >= 5_000
    assert whole >= 5_000, "all partitions together, which autovacuum never looks at"
    assert re.search(r"Index Scan using incidents_p\d+_region_key_occurred_at_id_idx", plan), plan
    assert "Bitmap" not in plan, plan


def test_an_hour_is_read_from_its_own_pages(engine, settings, monkeypatch):
    """Not from those of the 32 days before, in which an interval may have begun that lasts into it."""
    monkeypatch.setattr("app.incidents.uploads.storing.STATISTICS_FROM_ROWS", 1_000)
    add_region(engine, "hours", timezone="UTC", cell_size_m=500.0)
    begin = datetime(2024, 3, 1, tzinfo=UTC)
    rows = [f"{begin + timedelta(minutes=15 * k):%Y-%m-%dT%H:%MZ},," for k in range(6_000)]
    for days in ((20, 31), (38, 39)):
        ends = (f"{begin + timedelta(days=day):%Y-%m-%dT%H:%MZ}" for day in days)
        rows.append(",".join(ends) + ",")
    places = [f"{one}-79.4,{43.6 + k / 1e5}" for k, one in enumerate(rows)]
    body = "\n".join(["occurred_at,occurred_to,longitude,latitude", *places]).encode()
    ingest(engine, "hours", [body], UploadSource("text/csv"), settings=settings)
    start = begin + timedelta(days=30)
    query = PageQuery(start=start, end=start + timedelta(hours=1), limit=100)
    with engine.connect() as connection:
        region = get_region(connection, "hours")
        found = page(connection, region, query)
        statement = page_statement(region.key, query).compile(
            engine, compile_kwargs={"literal_binds": True}
        )
        explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        plan = explained.scalar_one()[0]["Plan"]
    assert [row.occurred_to is not None for row in found] == [True, False, False, False, False]
    scans = [node for node in nodes_of(plan) if "incidents_p" in node.get("Relation Name", "")]
    assert len({node["Relation Name"] for node in scans}) == 1
    assert sum(node["Actual Rows"] for node in scans) == len(found)
    assert sum(node.get("Rows Removed by Filter", 0) for node in scans) == 0


def nodes_of(plan):
    """A plan's nodes, from the top."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)
