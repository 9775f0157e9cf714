"""Columns about persons never reach the database, nor do values of a file its errors."""

import csv
import io

import pytest
from sqlalchemy import text

from app.core.errors import InvalidInput
from app.incidents.service import UploadSource, ingest
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.personal import is_personal
from app.readers.columns.plan import plan_columns
from app.readers.columns.portals import PORTALS
from app.regions.service import add_region


@pytest.fixture(scope="module")
def region(engine):
    return add_region(engine, "plain", timezone="America/Bogota").id


def csv_of(header, rows):
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


def send(engine, settings, region, body, kind="text/csv", mapping=None):
    source = UploadSource(kind, mapping=mapping or ColumnMapping())
    return ingest(engine, region, [body], source, settings=settings)


def everything_in(engine):
    """All rows of all tables, as one text."""
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        rows = [connection.execute(text(f'SELECT t::text FROM "{n}" AS t')).all() for n in names]
    return "\n".join(str(r[0]) for table in rows for r in table)


def test_columns_about_persons_are_named_and_not_read(engine, settings, region):
    header = ["occurred_at", "longitude", "latitude", "category", "Vict Age", "SUSP_RACE", "email"]
    row = ["2024-01-01T10:00:00Z", -74.05, 4.65, "theft", "Xq-age", "Xq-race", "Xq@example.org"]
    summary = send(engine, settings, region, csv_of(header, [row]))
    assert (summary.received, summary.accepted) == (1, 1)
    (warning,) = summary.warnings
    assert warning.message == "columns about persons were not read: Vict Age, SUSP_RACE, email"
    assert "Xq" not in everything_in(engine)


def test_json_properties_about_persons_are_named_too(engine, settings, region):
    body = (
        b'[{"occurred_at":"2024-01-02T10:00:00Z","longitude":-74.05,"latitude":4.65,'
        b'"category":"theft","victim_name":"Xq"}]'
    )
    summary = send(engine, settings, region, body, "application/json")
    (warning,) = summary.warnings
    assert warning.params == {"columns": ["victim_name"]}
    assert "Xq" not in everything_in(engine)


@pytest.mark.parametrize("field", ["category", "external_id", "source"])
def test_a_mapping_cannot_bring_them_in(engine, settings, region, field):
    header = ["occurred_at", "longitude", "latitude", "Vict Sex"]
    body = csv_of(header, [["2024-01-01T10:00:00Z", -74.05, 4.65, "F"]])
    with pytest.raises(InvalidInput) as caught:
        send(engine, settings, region, body, mapping=ColumnMapping({field: "Vict Sex"}))
    assert caught.value.code == "personal_column"


def test_fields_of_the_contract_and_of_known_portals_are_none_of_them():
    for portal in PORTALS:
        header = [*portal.signature, *portal.columns.values()]
        assert plan_columns(header, ColumnMapping()).personal == ()
    assert not any(is_personal(n) for n in ("occurred_at", "external_id", "source", "offense"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"2024-01-01,Jane Xq,555-1234\n2024-01-02,John Xq,555-9999\n", "text/csv"),
        (b"occurred_at,longitude,latitude,category\nXq,Xq,Xq,Xq\n", "text/csv"),
        (b'[{"occurred_at":"Xq","longitude":"Xq","latitude":[],"category":{"a":"Xq"}}]',
         "application/json"),
        (b'[{"occurred_at": Xq}]', "application/json"),
        (b'{"type":"FeatureCollection","features":[{"geometry":{"type":"Xq"}}]}',
         "application/geo+json"),
        (b"Xq{\n", "application/x-ndjson"),
        (b"Xq", "application/vnd.apache.parquet"),
    ],
)  # fmt: skip
def test_errors_do_not_repeat_values(engine, settings, region, body, kind, caplog):
    try:
        told = str(send(engine, settings, region, body, kind).to_json())
    except InvalidInput as error:
        told = error.message
    assert "Xq" not in told
    assert "Xq" not in caplog.text
