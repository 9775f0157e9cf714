"""Parts of OGC API by themselves: intervals, boxes, parameters, replies, listings that are audited."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.core.db.tables import audit_log
from app.core.errors import InvalidInput
from app.main import PARTS
from app.ogc.collections import PARAMETERS, whole
from app.ogc.coverages import parse_names
from app.ogc.parameters import LONGEST, interval_text, parse_datetime, utc_text
from app.ogc.project import LayerPlan, project
from app.ogc.route_class import OgcRoute
from app.ogc.schemas import CollectionList, Coverage, Items, Landing, TileMatrixSet, TileSetList
from app.ogc.styles import Step
from tests.ogc.conftest import AT

moments = st.datetimes(datetime(1971, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)


@given(moments, st.integers(1, 169))
def test_intervals_are_read_as_they_are_written(start, hours):
    end = start + timedelta(hours=hours)
    found = parse_datetime(interval_text(start, end, hours))
    if hours == 1:
        assert found.selected() == {"at": start}
    else:
        assert found.selected() == {"start": start, "end": end}
    assert parse_datetime(f"{utc_text(start)}/..").selected()["end"] == start + LONGEST
    assert parse_datetime(f"../{utc_text(end)}").selected()["start"] == end - LONGEST


@given(st.text("0123456789-:TZ/.+ ", max_size=19))
def test_other_texts_are_no_intervals(text):
    with pytest.raises(InvalidInput) as refused:
        parse_datetime(text)
    assert refused.value.field == "datetime"


boxes = st.tuples(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90)
)


@given(st.lists(boxes.map(lambda b: [b[0], min(b[1], b[3]), b[2], max(b[1], b[3])]), min_size=2))
def test_the_first_box_contains_the_others(several):
    first, *others = whole(several)
    assert others == several
    for west, south, east, north in others:
        assert first[1] <= south <= north <= first[3]
        assert first[0] <= min(west, east) <= max(west, east) <= first[2]


def test_parameters_by_name():
    assert parse_names(None) == tuple(PARAMETERS)
    assert parse_names("probability,expected_count") == ("probability", "expected_count")
    with pytest.raises(InvalidInput, match="no parameter 'speed'"):
        parse_names("speed")


def test_names_of_regions_cannot_break_a_project():
    name = """<x> & "Saint's" ]]>"""
    layer = LayerPlan("zones", name, [Step(None, None, (1, 2, 3))])
    text = project(("a", name), "https://city.example/h", [-74, 4, -73, 5], [layer], keyed=True)
    found = ET.fromstring(text.partition("\n")[2])
    assert found.findtext("title") == f"hotslot: {name}"
    assert found.findtext(".//layername") == name
    assert "url='https://city.example/h/ogc'" in (found.findtext(".//datasource") or "")


def test_all_routes_answer_mistakes_with_400():
    every = [route for part in PARTS for route in part.router.routes]
    routes = [route for route in every if route.path.startswith("/ogc")]
    assert len(routes) > 15
    assert [r.path for r in routes if not isinstance(r, OgcRoute)] == []


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("", Landing),
        ("/", Landing),
        ("/collections", CollectionList),
        ("/collections/town.zones/items", Items),
        ("/collections/town.incidents/items?limit=2", Items),
        ("/collections/town.density/cube?bbox=-75,4,-73,5", Coverage),
        ("/collections/town.density/map/tiles", TileSetList),
        ("/tileMatrixSets/WebMercatorQuad", TileMatrixSet),
    ],
)
def test_replies_are_as_documented(ogc, path, model):
    body = ogc.get(f"/ogc{path}").json()
    assert set(body) - set(model.model_fields) <= {"hotslot"}
    model.model_validate(body)


def test_a_listing_is_recorded_without_its_filters(ogc, served):
    query = select(func.count()).select_from(audit_log).where(audit_log.c.action == "export")
    with served.engine.connect() as connection:
        before = connection.scalar(query)
    asked = {"datetime": f"{AT}/..", "limit": 3, "f": "csv"}
    assert len(ogc.get("/v1/regions/town/incidents", params=asked).text.splitlines()) == 1 + 3
    with served.engine.connect() as connection:
        assert connection.scalar(query) == before + 1
        last = select(audit_log.c.details).where(audit_log.c.chain == "town")
        found = connection.scalar(last.order_by(audit_log.c.seq.desc()).limit(1))
        assert json.loads(found) == {"incidents": 3, "filters": 1, "format": "csv"}
