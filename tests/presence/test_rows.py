"""Rows of the log in every format: read alike, and refused one by one."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
import shapely

from app.core.errors import InvalidInput, LimitExceeded
from app.presence import rows as module
from app.presence.rows import CSV, NDJSON, TYPES, parse_rows, polygon_of

SQUARE = shapely.geometry.mapping(shapely.box(-74.06, 4.65, -74.05, 4.66))
GOOD = {"from": "2024-01-05T22:00", "to": "2024-01-05T23:30-05:00", "activity": " foot patrol "}
SINCE = datetime(2023, 1, 1, tzinfo=UTC)


def shaper(name, value):
    return polygon_of(SQUARE if name == "cell" else value)


def read(content, kind="application/json"):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return parse_rows(content, kind, "America/Bogota", shaper, SINCE)


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def test_all_formats_say_the_same():
    row = {**GOOD, "unit": "car 3", "geometry": SQUARE}
    feature = {"type": "Feature", "properties": {**GOOD, "unit": "car 3"}, "geometry": SQUARE}
    flat = {**row, "geometry": json.dumps(SQUARE)}
    wkt = {**row, "geometry": shapely.geometry.shape(SQUARE).wkt}
    bodies = [
        (json.dumps([row]).encode(), "application/json"),
        (json.dumps(row).encode(), "application/json"),
        (json.dumps({"type": "FeatureCollection", "features": [feature]}).encode(), TYPES[1]),
        (json.dumps(row).encode() + b"\n\n", NDJSON),
        (as_csv([flat]), CSV),
        (as_csv([wkt]), CSV),
    ]
    found = [read(*body) for body in bodies]
    assert all(one.rejected == 0 and len(one.rows) == 1 for one in found), found
    assert len({one.rows[0].digest() for one in found}) == 1
    only = found[0].rows[0]
    assert only.started_at == datetime(2024, 1, 6, 3, tzinfo=UTC)
    assert only.ended_at == datetime(2024, 1, 6, 4, 30, tzinfo=UTC)
    assert (only.activity, only.unit) == ("foot patrol", "car 3")
    again = json.loads(shapely.to_geojson(shapely.from_wkb(only.shape)))
    assert read([{**row, "geometry": again}]).rows[0].digest() == only.digest()


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"to": "2024-01-05T22:00"}, "to", "bad_interval"),
        ({"to": "2024-01-08T22:00"}, "to", "too_long"),
        ({"from": "2099-01-05T22:00", "to": "2099-01-05T23:00"}, "to", "in_future"),
        ({"from": "2022-01-05T22:00", "to": "2022-01-05T23:00"}, "to", "too_old"),
        ({"from": "yesterday"}, "from", "bad_time"),
        ({"from": 5}, "from", "missing"),
        ({"activity": None}, "activity", "missing"),
        ({"activity": "x" * 201}, "activity", "bad_text"),
        ({"unit": "x" * 101}, "unit", "bad_text"),
        ({"geometry": SQUARE}, "geometry", "bad_place"),
        ({"cell": None}, "geometry", "bad_place"),
        ({"cell": None, "geometry": "POINT (1 2)"}, "geometry", "invalid_input"),
        ({"cell": None, "geometry": "nonsense"}, "geometry", "bad_place"),
        ({"cell": None, "geometry": {"type": "Polygon", "coordinates": []}}, "geometry", None),
    ],
)
def test_a_wrong_row_is_refused_by_itself(change, field, code):
    good = {**GOOD, "cell": 5}
    found = read([good, {**good, **change}, {**good, "activity": "other"}])
    assert (len(found.rows), found.rejected) == (2, 1)
    told = found.errors[0]
    assert (told["row"], told["field"]) == (2, field)
    assert code in (told["code"], None)


def test_names_of_persons_are_not_stored_and_that_is_told():
    found = read([{**GOOD, "cell": 5, "officer": "A. Person", "id": 7}])
    assert found.ignored == {"officer"}
    assert "Person" not in repr(found.rows)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"{", "application/json"), (b"5", "application/json"), (b"{]\n", NDJSON), (b"\xff", CSV)],
)
def test_what_is_not_of_its_type_is_refused(content, kind):
    with pytest.raises(InvalidInput):
        read(content, kind)


def test_a_polygon_of_too_many_corners_and_a_body_of_too_many_rows(monkeypatch):
    round_ = shapely.geometry.mapping(shapely.Point(-74, 4.6).buffer(0.01, quad_segs=600))
    assert "2000" in read([{**GOOD, "geometry": round_}]).errors[0]["message"]
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    with pytest.raises(LimitExceeded):
        read([{**GOOD, "cell": 5}] * 3)
