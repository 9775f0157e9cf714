"""ArcGIS layers, CKAN resources and files behind a URL."""

import gzip

import pytest

from app.sync.spec import SourceSpec
from tests.support.services.portals import LAYER_PATH, RESOURCE, SERVICE_PATH

MARCH_MS = 1_709_978_400_000  # 2024-03-09T10:00Z
DAY_MS = 86_400_000
LAYER_COLUMNS = {
    "occurred_at": "OCC",
    "longitude": "geometry.x",
    "latitude": "geometry.y",
    "category": "KIND",
    "external_id": "ID",
}
CSV = b"when,lon,lat,kind,id\n2024-03-01T10:00,-79.4,43.7,a,1\n2024-03-02T10:00,-79.4,43.7,b,2\n"
CSV_COLUMNS = {
    "occurred_at": "when",
    "longitude": "lon",
    "latitude": "lat",
    "category": "kind",
    "external_id": "id",
}


def feature(n, *, edited=None, oid=None):
    return {
        "attributes": {
            "OBJECTID": oid or n + 1,
            "OCC": MARCH_MS + n * 60_000,
            "EDITED": MARCH_MS + DAY_MS * (n if edited is None else edited),
            "ID": f"case-{n}",
            "KIND": "theft",
            "STATUS": "open",
        },
        "geometry": {"x": -79.4, "y": 43.6 + n / 1000},
    }


def utc_times(city):
    return city.column("to_char(i.occurred_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')")


def layer(portals, **more):
    return SourceSpec("arcgis", portals.url + LAYER_PATH, columns=LAYER_COLUMNS, **more)


def test_a_layer_is_read_by_pages_of_its_own_size_then_by_edits(portals, city):
    portals.features = [feature(n) for n in range(8)]
    toronto = city(layer(portals, changed="EDITED", overlap_days=1.0))
    run = toronto.sync()
    assert (run.status, run.metrics["accepted"], run.metrics["pages"]) == ("succeeded", 8, 3)
    # Dates are milliseconds of UTC: 10:00 there is 10:00 here.
    assert utc_times(toronto)[0] == "03-09 10:00"
    portals.features[1] = feature(1, edited=99)
    portals.features.append(feature(8, edited=100))
    run = toronto.sync()
    assert (run.metrics["received"], run.metrics["accepted"]) == (4, 1)
    assert len(toronto.stored()) == 9
    assert all(p == "4326" for p in portals.asked(f"{LAYER_PATH}/query", "outSR"))


def test_dates_of_a_publisher_that_stores_wall_time(portals, city):
    portals.features = [feature(0)]
    toronto = city(layer(portals, esri_dates="local"))
    toronto.sync()
    assert utc_times(toronto) == ["03-09 15:00"]


def test_a_layer_without_edits_is_not_read(portals, city):
    portals.features, portals.edited_ms = [feature(n) for n in range(4)], 5
    toronto = city(layer(portals))
    toronto.sync()
    run = toronto.sync()
    assert (run.message, run.metrics["received"]) == ("unchanged", 0)
    portals.features.append(feature(4))
    portals.edited_ms = 6
    assert toronto.sync().metrics["accepted"] == 1


def test_a_layers_errors_have_status_200(portals, city):
    portals.features = [feature(n) for n in range(4)]
    portals.needs_token = True
    refused = city(layer(portals)).sync()
    assert (refused.status, "token" in refused.message) == ("failed", True)
    assert city(layer(portals, token="portal")).sync().status == "succeeded"
    wrong = city(SourceSpec("arcgis", portals.url + LAYER_PATH, columns={"category": "NONE"}))
    portals.needs_token = False
    assert "no field NONE" in wrong.sync().message


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"code": 400, "message": "Cannot query.", "details": ["'Invalid field: X'"]},
         "error 400: Cannot query.; 'Invalid field: X'"),
        ({"code": 429, "message": "Too many requests."}, "gave up after 6 attempts: error 429"),
        ({"code": 498, "message": "Invalid token."}, "error 498: a valid token is needed"),
    ],
)  # fmt: skip
def test_a_layers_error_within_status_200_is_told_in_its_words(portals, city, error, shown):
    portals.features, portals.error = [feature(0)], error
    run = city(layer(portals)).sync()
    assert (run.status, shown in run.message) == ("failed", True), run.message


def test_a_layer_without_paging_is_read_by_object_id_alone(portals, city):
    portals.features = [feature(n) for n in range(8)]
    portals.layer = {"advancedQueryCapabilities": {"supportsPagination": False}}
    run = city(layer(portals)).sync()
    assert (run.status, run.metrics["accepted"], run.metrics["pages"]) == ("succeeded", 8, 3)


def test_a_layer_that_cannot_be_paged_safely_is_refused(portals, city):
    portals.features, portals.sorts = [feature(n) for n in range(8)], False
    town = city(layer(portals))
    assert "does not sort by its object id" in town.sync().message
    portals.sorts = True
    portals.layer = {"uniqueIdInfo": {"OIDFieldContainsHashValue": True}}
    assert "no lasting object id" in town.sync().message
    assert town.stored() == {}


def test_dates_of_no_known_zone_are_wall_time(portals, city):
    portals.features = [feature(0)]
    portals.layer = {"datesInUnknownTimezone": True}
    toronto = city(layer(portals))
    assert toronto.sync().status == "succeeded"
    assert utc_times(toronto) == ["03-09 15:00"]


def test_a_layer_is_found_by_its_name_whatever_its_number(portals, city):
    portals.features = [feature(n) for n in range(4)]
    portals.layers = [
        {"id": 7, "name": "Crimes - 2025"},
        {"id": 0, "name": "Crimes - Last 30 Days"},
    ]
    url = portals.url + SERVICE_PATH

    def named(name):
        return city(SourceSpec("arcgis", url, name, LAYER_COLUMNS)).sync()

    assert named("last 30 days").metrics["accepted"] == 4
    assert named("Crimes - Last 30 Days").status == "succeeded"
    assert "2 layers are called 'Crimes'" in named("Crimes").message
    assert "there are Crimes - 2025, Crimes - Last 30 Days" in named("Crimes - 2031").message


def test_a_datastore_that_gives_fewer_rows_than_asked_is_read_whole(portals, city):
    portals.records = [
        {"_id": n, "when": f"2024-03-{n + 1:02d}T10:00:00", "lon": -79.4, "lat": 43.7, "id": n}
        for n in range(7)
    ]
    portals.rows_max = 2
    boston = city(SourceSpec("ckan", portals.url, RESOURCE, CSV_COLUMNS, page_rows=5))
    assert boston.sync().metrics["accepted"] == 7
    asked = portals.asked("/api/3/action/datastore_search", "offset")
    assert asked == ["0", "2", "4", "6", "7"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"__type": "Not Found Error", "message": "Not found: no such resource"},
         "resource_show: Not found: no such resource"),
        ({"__type": "Validation Error", "limit": ["Invalid integer"]},
         "resource_show: limit: ['Invalid integer']"),
        ({"__type": "Authorization Error"}, "resource_show: Authorization Error"),
        ({}, "resource_show: failed without a reason"),
    ],
)  # fmt: skip
def test_a_portals_error_within_status_200_fails_the_run(portals, city, error, shown):
    portals.error = error
    run = city(SourceSpec("ckan", portals.url, RESOURCE, CSV_COLUMNS)).sync()
    assert (run.status, run.message) == ("failed", f"source_failed: {shown}")


def test_a_datastore_is_read_once_per_modification(portals, city):
    portals.records = [
        {"_id": n, "when": f"2024-03-{n + 1:02d}T10:00:00", "lon": -79.4, "lat": 43.7, "id": n}
        for n in range(7)
    ]
    spec = SourceSpec("ckan", portals.url, "incidents", CSV_COLUMNS | {"category": "kind"})
    boston = city(SourceSpec(**{**spec.__dict__, "page_rows": 3}))
    portals.faults.extend(["cut", (500, {})])
    run = boston.sync()
    assert (run.status, run.metrics["accepted"]) == ("succeeded", 7), run.message
    assert boston.sync().message == "unchanged"
    portals.records[3]["lat"] = 43.75
    portals.modified = "2024-05-02T00:00:00"
    run = boston.sync()
    assert (run.metrics["corrected"], run.metrics["duplicates"]) == (1, 6)


def test_a_broken_datastore_sweep_goes_on_where_it_stopped(portals, city):
    portals.records = [
        {"_id": n, "when": f"2024-03-{n + 1:02d}T10:00:00", "lon": -79.4, "lat": 43.7, "id": n}
        for n in range(7)
    ]
    boston = city(SourceSpec("ckan", portals.url, RESOURCE, CSV_COLUMNS, page_rows=3))
    portals.faults.extend(["pass", *[(503, {})] * 6])
    assert boston.sync().status == "failed"
    assert len(boston.stored()) == 3
    portals.requests.clear()
    assert boston.sync().metrics["accepted"] == 4
    assert portals.asked("/api/3/action/datastore_search", "offset") == ["3", "6", "7"]


def test_a_resource_without_a_datastore_is_its_file(portals, city):
    portals.files["/files/incidents.csv"] = CSV
    boston = city(SourceSpec("ckan", portals.url, RESOURCE, CSV_COLUMNS))
    assert boston.sync().metrics["accepted"] == 2
    assert boston.sync().message == "unchanged"


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_when_it_changed(portals, city, packed):
    pack = gzip.compress if packed else bytes
    path = "/files/incidents.csv.gz" if packed else "/files/incidents"
    portals.files[path] = pack(CSV)
    spec = SourceSpec("file", portals.url + path, columns=CSV_COLUMNS)
    town = city(spec)
    portals.faults.append("cut")
    assert town.sync().metrics["accepted"] == 2
    assert town.sync().message == "unchanged"
    assert portals.requests[-1][2]["if-none-match"]
    portals.files[path] = pack(
        CSV.replace(b"43.7,b", b"43.8,b") + b"2024-03-03T10:00,-79.4,43.7,c,3\n"
    )
    run = town.sync()
    assert (run.metrics["accepted"], run.metrics["corrected"], run.metrics["duplicates"]) == (
        2,
        1,
        1,
    )
    del portals.files[path]
    assert "404" in town.sync().message
