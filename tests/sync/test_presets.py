"""What presets make of a row as their portals publish it, read from a server that answers like them.

The rows are written after public copies of the portals' rows and descriptions (docs/connectors.md).
"""

import io
import zipfile
from dataclasses import replace

import pytest

from app.sync.presets import PRESETS
from tests.support.services.portals import LAYER_PATH, RESOURCE, SERVICE_PATH, SOCRATA_PATH, stamp

HALF_HOUR_S = 1800
MIDNIGHT_MS = 1_704_085_200_000  # 2024-01-01T05:00Z, midnight in Toronto
NYPD = {
    "cmplnt_num": "298765432H1", "cmplnt_fr_dt": "2024-07-04T00:00:00.000", "cmplnt_fr_tm": "23:45:00",
    "cmplnt_to_dt": "2024-07-05T00:00:00.000", "cmplnt_to_tm": "00:15:00",
    "ofns_desc": "ROBBERY", "latitude": "40.7", "longitude": "-73.9",
}  # fmt: skip
# preset: a row, the instant it means (UTC), its category
SOCRATA = {
    "chicago": (
        {"id": "13439000", "date": "2024-07-04T23:45:00.000", "primary_type": "BATTERY",
         "latitude": "41.87", "longitude": "-87.63"},
        "2024-07-05 04:45", "BATTERY",
    ),
    "new-york": (NYPD, "2024-07-05 03:45", "ROBBERY"),
    "new-york-historic": (NYPD, "2024-07-05 03:45", "ROBBERY"),
    "los-angeles": (
        {"uniquenibrno": "25-23F-1", "date_occ": "2025-01-08T00:00:00.000", "time_occ": "0905",
         "nibr_code": "23F", "hndrdth_lat": "34.05", "hndrdth_lon": "-118.25"},
        "2025-01-08 17:05", "23F",
    ),
    "los-angeles-historic": (
        {"dr_no": "190326475", "date_occ": "2020-03-01T00:00:00.000", "time_occ": "2130",
         "crm_cd_desc": "VEHICLE - STOLEN", "lat": "34.0375", "lon": "-118.3506"},
        "2020-03-02 05:30", "VEHICLE - STOLEN",
    ),
    "san-francisco": (
        {"row_id": "125373", "incident_datetime": "2023-03-13T23:41:00.000",
         "incident_category": "Larceny Theft", "latitude": "37.77", "longitude": "-122.42"},
        "2023-03-14 06:41", "Larceny Theft",
    ),
    "seattle": (
        {"offense_id": "1", "offense_date": "2025-04-26T15:45:00.000", "latitude": "47.6",
         "longitude": "-122.33", "offense_sub_category": "LARCENY-THEFT"},
        "2025-04-26 22:45", "LARCENY-THEFT",
    ),
    "cincinnati": (
        {"incident_no": "24013456", "datefrom": "2024-07-04T23:45:00.000",
         "dateto": "2024-07-05T00:15:00.000", "latitude_x": "39.1",
         "longitude_x": "-84.5", "stars_category": "Theft from Auto"},
        "2024-07-05 03:45", "Theft from Auto",
    ),
    "cincinnati-historic": (
        {"instanceid": "A-1", "date_from": "2019-07-04T23:45:00.000",
         "date_to": "2019-07-05T00:15:00.000", "latitude_x": "39.1",
         "longitude_x": "-84.5", "offense": "THEFT"},
        "2019-07-05 03:45", "THEFT",
    ),
    "montgomery-county": (
        {"incident_id": "201234567", "start_date": "2024-07-04T23:45:00.000",
         "end_date": "2024-07-05T00:15:00.000", "latitude": "39.084",
         "longitude": "-77.1528", "crimename2": "Theft From Motor Vehicle"},
        "2024-07-05 03:45", "Theft From Motor Vehicle",
    ),
}  # fmt: skip
ARCGIS = {
    "toronto": (
        {"OCC_DATE": MIDNIGHT_MS, "OCC_HOUR": 23, "LONG_WGS84": -79.4, "LAT_WGS84": 43.7,
         "CSI_CATEGORY": "Robbery"},
        "2024-01-02 04:00", "Robbery",
    ),
    "washington": (
        {"START_DATE": MIDNIGHT_MS, "END_DATE": MIDNIGHT_MS + 1_800_000,
         "LONGITUDE": -77.0, "LATITUDE": 38.9, "OFFENSE": "ROBBERY",
         "CCN": "24000001"},
        "2024-01-01 05:00", "ROBBERY",
    ),
    "denver": (
        {"FIRST_OCCURRENCE_DATE": MIDNIGHT_MS, "LAST_OCCURRENCE_DATE": MIDNIGHT_MS + 1_800_000,
         "REPORTED_DATE": MIDNIGHT_MS, "GEO_LON": -104.99,
         "GEO_LAT": 39.74, "OFFENSE_CATEGORY_ID": "burglary", "OFFENSE_ID": "2024329622220200"},
        "2024-01-01 05:00", "burglary",
    ),
}  # fmt: skip
CKAN = {
    # Its column HOUR reads 22.
    "boston": (
        {"INCIDENT_NUMBER": "232007173", "OCCURRED_ON_DATE": "2023-01-27 22:44:00+00",
         "OFFENSE_DESCRIPTION": "INVESTIGATE PERSON", "Lat": "42.27166", "Long": "-71.09953"},
        "2023-01-28 03:44", "INVESTIGATE PERSON",
    ),
    "pittsburgh": (
        {"ReportedDate": "2024-07-04", "Hour": 23, "XCOORD": "-79.99", "YCOORD": "40.44",
         "NIBRS_Coded_Offense": "13B SIMPLE ASSAULT"},
        "2024-07-05 03:00", "13B SIMPLE ASSAULT",
    ),
    "pittsburgh-historic": (
        {"PK": 2802309, "INCIDENTTIME": "2016-03-02T12:00:00", "X": -79.99, "Y": 40.44,
         "INCIDENTHIERARCHYDESC": "05 Burglary"},
        "2016-03-02 17:00", "05 Burglary",
    ),
}  # fmt: skip
FILES = {
    "philadelphia": (
        "/files/sql",
        (b"objectid,dispatch_date,dispatch_time,text_general_code,lng,lat\n"
         b"113,2011-09-27,06:41:00,Theft from Vehicle,-75.265,39.975\n"),
        "2011-09-27 10:41", "Theft from Vehicle",
    ),
    "vancouver": (
        "/files/all.zip",
        (b"TYPE,YEAR,MONTH,DAY,HOUR,MINUTE,HUNDRED_BLOCK,NEIGHBOURHOOD,X,Y\n"
         b"Theft of Bicycle,2020,1,9,4,30,10XX A ST,West End,491000.0,5458000.0\n"),
        "2020-01-09 12:30", "Theft of Bicycle",
    ),
}  # fmt: skip


def check(city, name, spec, instant, category):
    read = city(spec, timezone=PRESETS[name].timezone)
    run = read.sync()
    assert (run.status, run.metrics.get("accepted")) == ("succeeded", 1), run.message
    assert read.column("to_char(i.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')") == [
        instant
    ]
    lasts = read.column("extract(epoch FROM i.occurred_to - i.occurred_at)::integer")
    assert lasts == [HALF_HOUR_S if "occurred_to" in spec.columns else None]
    kept = "(SELECT c.name FROM categories c WHERE c.key = i.category_key)"
    assert read.column(kept) == [category]
    assert (None in read.stored()) != spec.has_ids


@pytest.mark.parametrize("name", SOCRATA)
def test_a_socrata_preset(portals, city, name):
    row, instant, category = SOCRATA[name]
    portals.rows = [{":id": "row-1", ":updated_at": stamp(0), **row}]
    spec = replace(PRESETS[name].spec, url=portals.url + SOCRATA_PATH)
    check(city, name, spec, instant, category)


@pytest.mark.parametrize("name", ARCGIS)
def test_an_arcgis_preset(portals, city, name):
    row, instant, category = ARCGIS[name]
    spec = PRESETS[name].spec
    dates = {column for column in row if column.endswith("DATE")}
    portals.features = [{"attributes": {"OBJECTID": 1, **row}, "geometry": {}}]
    portals.layers = [{"id": 0, "name": "Crime Incidents - Last 30 Days"}]
    portals.layer = {
        "fields": [
            {"name": c, "type": "esriFieldTypeDate" if c in dates else "esriFieldTypeString"}
            for c in row
        ]
    }
    path = LAYER_PATH if spec.dataset is None else SERVICE_PATH
    check(city, name, replace(spec, url=portals.url + path), instant, category)


@pytest.mark.parametrize("name", CKAN)
def test_a_ckan_preset(portals, city, name):
    row, instant, category = CKAN[name]
    portals.records = [{"_id": 1, **row}]
    spec = replace(PRESETS[name].spec, url=portals.url, dataset=RESOURCE)
    check(city, name, spec, instant, category)


@pytest.mark.parametrize("name", FILES)
def test_a_file_preset(portals, city, name):
    path, content, instant, category = FILES[name]
    if path.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            made.writestr("crimedata_csv_AllNeighbourhoods_AllYears.csv", content)
        content = buffer.getvalue()
    portals.files[path] = content
    check(city, name, replace(PRESETS[name].spec, url=portals.url + path), instant, category)


def test_every_preset_is_read_here_or_among_the_archives():
    assert {*SOCRATA, *ARCGIS, *CKAN, *FILES, "police-uk"} == set(PRESETS)
