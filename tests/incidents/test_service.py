import gzip
import threading
import time

import pytest
from sqlalchemy import text

from app.core.errors import InvalidInput, LimitExceeded
from app.erasure.service import erase_incident
from app.incidents.service import UploadSource, ingest, received
from app.incidents.summary import IngestSummary
from app.regions.service import add_region

ROWS = (
    "occurred_at,longitude,latitude,category\n"
    "2024-03-10T02:30,-79.4,43.7,theft\n"
    "2024-01-01T10:00:00Z,-79.4,43.7,theft\n"
    "2024-01-01T10:00:00Z,-79.4,43.7,theft\n"
    "12345,-79.4,43.7,theft\n"
    "2024-01-01T10:00,43.7,-179.4,theft\n"
    "2024-01-01T10:00,0,0,theft\n"
    "1900-01-01T00:00,-79.4,43.7,theft\n"
    "2024-01-01T10:00,nan,43.7,theft\n"
    "2024-01-01T10:00,-79.4\n"
)


@pytest.fixture(scope="module")
def region(engine) -> str:
    return add_region(engine, "r", timezone="America/Toronto").id


def send(engine, settings, region, body, content_type="text/csv", **more):
    return ingest(engine, region, [body], UploadSource(content_type, **more), settings=settings)


def test_counts_add_up_codes_are_told_and_a_repeat_adds_nothing(engine, settings, region):
    first = send(engine, settings, region, ROWS.encode())
    assert (first.received, first.accepted, first.duplicates, first.rejected) == (9, 3, 0, 6)
    assert [e["code"] for e in first.errors] == [
        "epoch_not_accepted",
        "looks_swapped",
        "zero",
        "too_old",
        "not_a_number",
        "unreadable_row",
    ]
    assert [e["row"] for e in first.errors] == [4, 5, 6, 7, 8, 9]
    lines = ROWS.splitlines()
    shuffled = "\n".join([lines[0], *reversed(lines[1:])]).encode()
    again = send(engine, settings, region, shuffled)
    assert (again.received, again.accepted, again.duplicates, again.rejected) == (9, 0, 3, 6)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_and_semicolons_and_decimal_commas(engine, settings, encoding):
    region = add_region(engine, f"e-{encoding}", timezone="America/Toronto").id
    body = "occurred_at;longitude;latitude;category\n2024-01-01T10:00;-79,4;43,7;thé\n"
    summary = send(engine, settings, region, body.encode(encoding))
    assert (summary.accepted, summary.rejected) == (1, 0)


def test_formats_agree(engine, settings):
    region = add_region(engine, "formats", timezone="America/Toronto").id
    row = '{"occurred_at":"2024-01-01T10:00:00Z","longitude":-79.4,"latitude":43.7,"category":"a"}'
    feature = (
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":'
        '{"occurred_at":"2024-01-01T10:00:00Z","category":"a"},'
        '"geometry":{"type":"Point","coordinates":[-79.4,43.7]}}]}'
    )
    bodies = {
        "application/json": f"[{row}]",
        "application/x-ndjson": f"{row}\n",
        "application/geo+json": feature,
    }
    added = [
        send(engine, settings, region, body.encode(), kind).accepted
        for kind, body in bodies.items()
    ]
    assert added == [1, 0, 0]


def test_a_key_replays_and_refuses_another_body(engine, settings):
    region = add_region(engine, "keys", timezone="America/Toronto").id
    body = b"occurred_at,longitude,latitude\n2024-01-01T10:00Z,-79.4,43.7\n"
    first = send(engine, settings, region, body, idempotency_key="k")
    assert send(engine, settings, region, body, idempotency_key="k") == first
    with pytest.raises(InvalidInput) as caught:
        send(engine, settings, region, body + b"\n", idempotency_key="k")
    assert caught.value.code == "idempotency_key_reused"


def test_a_summary_of_the_release_before_is_replayed():
    """It had its warnings as texts, and its errors no parameters."""
    error = {"row": 1, "field": "latitude", "code": "zero", "message": "0/0 is no place"}
    warning = "longitude and latitude look swapped in most rows"
    found = IngestSummary.from_json({"received": 1, "errors": [error], "warnings": [warning]})
    shown = found.to_json()
    assert shown["errors"] == [{**error, "params": {}}]
    assert shown["warnings"] == [{"code": "unspecified", "params": {}, "message": warning}]


def test_an_external_id_corrects(engine, settings):
    region = add_region(engine, "ids", timezone="America/Toronto").id
    head = "occurred_at,longitude,latitude,external_id\n"
    send(engine, settings, region, f"{head}2024-01-01T10:00Z,-79.4,43.7,a1\n".encode())
    second = send(engine, settings, region, f"{head}2024-01-01T11:00Z,-79.4,43.7,a1\n".encode())
    assert (second.accepted, second.corrected, second.duplicates) == (1, 1, 0)


def test_a_bomb_is_capped(engine, settings, region):
    small = settings.model_copy(update={"max_body_bytes": 1 << 20})
    with pytest.raises(LimitExceeded):
        send(
            engine,
            small,
            region,
            gzip.compress(b"occurred_at,longitude,latitude\n" + b"x,,\n" * (1 << 20)),
            content_encoding="gzip",
        )


def test_what_expands_implausibly_is_refused_before_it_is_read(engine, settings, region):
    row = b"2024-01-01T00:00:00Z,-79.4,43.7\n"
    bomb = gzip.compress(b"occurred_at,longitude,latitude\n" + row * 400_000)
    with pytest.raises(LimitExceeded, match="expands"):
        send(engine, settings, region, bomb, content_encoding="gzip")


def test_an_erasure_waits_for_a_correction_and_leaves_no_trace(engine, settings):
    add_region(engine, "race", timezone="UTC")
    row = b"external_id,occurred_at,longitude,latitude\nA1,2024-01-01T10:0%d:00Z,-79.4,43.7\n"
    source = UploadSource("text/csv")
    ingest(engine, "race", [row % 1], source, settings=settings)
    with (
        received(engine, "race", [row % 2], source, settings=settings) as upload,
        engine.begin() as correcting,
    ):
        told = upload.store(correcting)
        erasing = threading.Thread(target=erase_incident, args=(engine, "race", "A1"))
        erasing.start()
        _wait_for_a_waiter(engine)
    erasing.join()
    assert told.corrected == 1
    with engine.connect() as connection:
        for table in ("incidents", "incident_history"):
            left = text(f"SELECT count(*) FROM {table} WHERE external_id = 'A1'")
            assert connection.scalar(left) == 0, table


def _wait_for_a_waiter(engine):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with engine.connect() as connection:
            if connection.scalar(waiting):
                return
        time.sleep(0.02)
    raise AssertionError("the erasure did not wait")
