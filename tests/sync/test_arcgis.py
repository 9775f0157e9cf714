"""Pages of an ArcGIS layer: each continues after the last id, and a sweep ends with its newest edit."""

import json
from itertools import islice

import pytest

from app.core.errors import SourceFailed
from app.sync.connectors.arcgis import DAY_MS, _date_text, _id_field, arcgis_pages
from app.sync.spec import SourceSpec
from tests.support.services.portals import LAYER_PATH, SERVICE_PATH

COLUMNS = {"occurred_at": "OCC", "category": "KIND", "external_id": "ID"}
QUERY = f"{LAYER_PATH}/query"
EDIT_MS = 1_709_978_400_500


@pytest.fixture
def layer(portals):
    portals.features = [
        {"attributes": {"OBJECTID": k, "OCC": 0, "EDITED": EDIT_MS + k, "ID": f"c{k}", "KIND": "x"}}
        for k in range(1, 8)
    ]

    def make(path=LAYER_PATH, **more):
        return SourceSpec("arcgis", portals.url + path, columns=COLUMNS, **more)

    return make


def ids(page):
    return [json.loads(line)["external_id"] for line in b"".join(page.body or ()).splitlines()]


def test_a_sweep_goes_on_after_the_last_id_of_any_page(portals, client, layer):
    spec = layer(changed="EDITED", overlap_days=1.0)
    whole = list(arcgis_pages(client, spec, {}))
    assert [ids(page) for page in whole] == [["c1", "c2", "c3"], ["c4", "c5", "c6"], ["c7"]]
    assert [page.share for page in whole] == [pytest.approx(3 / 7), pytest.approx(6 / 7), 1.0]
    first = next(iter(arcgis_pages(client, spec, {})))
    assert first.state["after"] == 3
    rest = list(arcgis_pages(client, spec, first.state))
    assert [ids(page) for page in rest] == [["c4", "c5", "c6"], ["c7"]]
    assert rest[-1].state == whole[-1].state


def test_the_next_sweep_begins_the_overlap_before_the_newest_edit(portals, client, layer):
    spec = layer(changed="EDITED", overlap_days=1.0)
    *_, last = arcgis_pages(client, spec, {})
    assert last.state == {"high_ms": EDIT_MS + 7, "since_ms": EDIT_MS + 7 - DAY_MS}
    list(islice(arcgis_pages(client, spec, last.state), 1))
    assert portals.asked(QUERY, "where")[-1] == "EDITED >= timestamp '2024-03-08 10:00:00'"


def test_a_condition_of_the_source_stands_in_every_query(portals, client, layer):
    list(arcgis_pages(client, layer(where="KIND = 'x' OR 1=0"), {}))
    asked = portals.asked(QUERY, "where")
    assert asked[0] == "(KIND = 'x' OR 1=0)"
    assert asked[-1] == "(KIND = 'x' OR 1=0) AND OBJECTID > 6"


def test_only_needed_columns_are_asked_for_and_no_geometry(portals, client, layer):
    list(arcgis_pages(client, layer(), {}))
    assert set(portals.asked(QUERY, "outFields")) == {"OCC,KIND,ID,OBJECTID"}
    assert set(portals.asked(QUERY, "returnGeometry")) == {"false"}


def test_an_edit_of_the_layer_during_a_sweep_is_noticed_by_the_next(portals, client, layer):
    portals.edited_ms = 5
    pages = arcgis_pages(client, layer(), {})
    next(pages)
    portals.edited_ms = 6
    *_, last = pages
    assert last.state == {"edited_ms": 5}
    assert len(list(arcgis_pages(client, layer(), last.state))) == 3
    (same,) = arcgis_pages(client, layer(), {"edited_ms": 6})
    assert (same.body, str(same.message)) == (None, "unchanged")


def test_an_empty_layer_ends_at_once(portals, client, layer):
    portals.features = []
    (page,) = arcgis_pages(client, layer(), {})
    assert (page.body, page.share, str(page.message)) == (None, 1.0, "0 rows read")


def test_a_layer_is_found_by_its_whole_name_before_a_part_of_it(portals, client, layer):
    portals.layers = [{"id": 3, "name": "Crimes 2024"}, {"id": 0, "name": " crimes "}]
    assert len(list(arcgis_pages(client, layer(SERVICE_PATH, dataset="CRIMES"), {}))) == 3
    portals.layers = [{"id": 3, "name": "Crimes 2024"}, {"id": 4, "name": "Crimes 2025"}]
    with pytest.raises(
        SourceFailed, match=r"2 layers are called 'crimes'; there are Crimes 2024, Crimes"
    ):
        list(arcgis_pages(client, layer(SERVICE_PATH, dataset="crimes"), {}))


def test_a_changed_column_must_be_a_date(client, layer):
    with pytest.raises(SourceFailed, match="KIND is not a date field"):
        list(arcgis_pages(client, layer(changed="KIND", overlap_days=1.0), {}))


@pytest.mark.parametrize(
    ("value", "dates", "text"),
    [
        (0, "utc", "1970-01-01T00:00:00Z"),
        (-1, "local", "1969-12-31T23:59:59"),
        (1_709_330_700_999.0, "utc", "2024-03-01T22:05:00Z"),
        (1e30, "utc", "not a date: 1e+30"),
        ("2024-03-01", "utc", "2024-03-01"),
        (None, "utc", None),
        (True, "utc", True),
    ],
)
def test_milliseconds_are_instants_and_all_else_is_left_to_the_rules(value, dates, text):
    assert _date_text(value, dates) == text


def test_an_object_id_is_named_or_typed_and_never_a_hash():
    typed = {"FID": "esriFieldTypeOID", "X": "esriFieldTypeString"}
    assert _id_field({"objectIdField": "OID"}, typed) == "OID"
    assert _id_field({}, typed) == "FID"
    hashed = {"objectIdField": "OID", "uniqueIdInfo": {"OIDFieldContainsHashValue": True}}
    for about, named in ((hashed, typed), ({}, {"X": "esriFieldTypeString"})):
        with pytest.raises(SourceFailed, match="no lasting object id"):
            _id_field(about, named)
