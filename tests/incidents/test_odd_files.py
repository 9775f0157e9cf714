"""Files that are unusual, not wrong: empty, header only, several gzip members, mixed zones, from a pipe."""

import gzip
import json

import pytest
from typer.testing import CliRunner

from app.cli import app as command_line
from app.core.errors import InvalidInput
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region

HEADER = "occurred_at,longitude,latitude,category\n"
ROW = "2024-05-04T22:10:00,-79.38,43.65,theft\n"


@pytest.fixture
def region(engine, request):
    name = f"odd{abs(hash(request.node.name)) % 10**9}"
    add_region(engine, name, timezone="America/Toronto", cell_size_m=500.0)
    return name


def send(engine, settings, region, body, content_type="text/csv", encoding=None):
    source = UploadSource(content_type, encoding, name="odd")
    return ingest(engine, region, [body], source, settings=settings)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", HEADER),
        ("application/json", "[]"),
        ("application/x-ndjson", "\n\n"),
        ("application/geo+json", '{"type": "FeatureCollection", "features": []}'),
    ],
)
def test_files_without_rows_are_received_as_none(engine, settings, region, content_type, body):
    summary = send(engine, settings, region, body.encode(), content_type)
    assert (summary.received, summary.accepted, summary.rejected) == (0, 0, 0)


def test_a_file_without_a_byte_is_refused(engine, settings, region):
    with pytest.raises(InvalidInput) as caught:
        send(engine, settings, region, b"")
    assert caught.value.code == "empty"


def test_gzip_of_several_members_is_one_file(engine, settings, region):
    body = gzip.compress(HEADER.encode()) + gzip.compress(ROW.encode()) + gzip.compress(b"")
    assert send(engine, settings, region, body, encoding="gzip").accepted == 1


def test_offsets_of_many_zones_and_none_are_one_instant(engine, settings, region):
    times = [
        "2024-05-04T22:10:00",
        "2024-05-04T22:10:00-04:00",
        "2024-05-05T02:10:00Z",
        "2024-05-05T07:40:00+05:30",
        "2024-05-05t02:10:00z",
        "2024-05-04 22:10:00",
    ]
    rows = [
        {"occurred_at": t, "longitude": -79.38, "latitude": 43.65, "category": str(k)}
        for k, t in enumerate(times)
    ]
    assert (
        send(engine, settings, region, json.dumps(rows).encode(), "application/json").accepted == 6
    )
    with engine.connect() as connection:
        seen = connection.exec_driver_sql(
            "SELECT DISTINCT occurred_at FROM incidents i JOIN regions r ON r.key = i.region_key "
            "WHERE r.id = %s",
            (region,),
        ).all()
    assert len(seen) == 1


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_integers_of_any_length_are_bad_rows(engine, settings, region, content_type):
    digits = "9" * 5_000
    row = f'{{"occurred_at": "2024-05-04T22:10:00", "longitude": {digits}, "latitude": 43.65}}'
    good = '{"occurred_at": "2024-05-04T22:10:00", "longitude": -79.38, "latitude": 43.65}'
    body = f"[{row}, {good}]" if content_type == "application/json" else f"{row}\n{good}\n"
    summary = send(engine, settings, region, body.encode(), content_type)
    assert (summary.accepted, summary.rejected) == (1, 1), summary


def test_a_pipe_is_read_and_its_format_is_said(settings, engine, region, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("HOTSLOT_HOME", str(settings.home))
    zipped = gzip.compress((HEADER + ROW).encode())

    def piped(*arguments):
        return CliRunner().invoke(
            command_line, ["ingest", region, "-", "--json", *arguments], input=zipped
        )

    run = piped("--format", "csv.gz")
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["-"]["accepted"] == 1
    refused = piped("--format", "doc")
    assert "use one of .csv" in str(refused.exception)
