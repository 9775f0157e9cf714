"""Columns of real portals, the caller's own mapping, and what is never guessed."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.errors import InvalidInput
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.readers.columns.mapping import ColumnMapping
from app.regions.service import add_region

# header, one row, zone, the instant it means (UTC), category, external id
PORTALS = {
    "nypd": (
        "CMPLNT_NUM,CMPLNT_FR_DT,CMPLNT_FR_TM,OFNS_DESC,Latitude,Longitude",
        "77,07/04/2019,23:45:00,ROBBERY,40.7,-73.9",
        "America/New_York", "2019-07-05 03:45", "ROBBERY", "77",
    ),
    "chicago": (
        "ID,Case Number,Date,IUCR,Primary Type,X Coordinate,Y Coordinate,Latitude,Longitude",
        "9,HZ1,07/04/2019 11:45:00 PM,0430,BATTERY,1176096,1895678,41.87,-87.63",
        "America/Chicago", "2019-07-05 04:45", "BATTERY", "9",
    ),
    "los angeles": (
        "DR_NO,DATE OCC,TIME OCC,Crm Cd Desc,LAT,LON",
        "5,01/08/2020 12:00:00 AM,905,THEFT,34.05,-118.25",
        "America/Los_Angeles", "2020-01-08 17:05", "THEFT", "5",
    ),
    "san francisco": (
        "Incident Datetime,Row ID,Incident Category,Latitude,Longitude",
        "2023/03/13 11:41:00 PM,125373,Larceny,37.77,-122.42",
        "America/Los_Angeles", "2023-03-14 06:41", "Larceny", "125373",
    ),
    "seattle": (
        "Offense ID,Offense Start DateTime,Offense Parent Group,Longitude,Latitude",
        "1,02/05/2020 10:10:00 AM,LARCENY,-122.33,47.6",
        "America/Los_Angeles", "2020-02-05 18:10", "LARCENY", "1",
    ),
    "seattle today": (
        "Report Number,Offense ID,Offense Date,Offense Sub Category,Latitude,Longitude,Offense Category",
        "R1,1,2025 Apr 26 03:45:00 PM,LARCENY-THEFT,47.6,-122.33,PROPERTY CRIME",
        "America/Los_Angeles", "2025-04-26 22:45", "LARCENY-THEFT", "1",
    ),
    "los angeles, exported anew": (
        "DR_NO,DATE OCC,TIME OCC,Crm Cd Desc,LAT,LON",
        "5,2020 Jan 08 12:00:00 AM,905,THEFT,34.05,-118.25",
        "America/Los_Angeles", "2020-01-08 17:05", "THEFT", "5",
    ),
    "los angeles nibrs": (
        "CaseNo,UniqueNIBRNo,date_occ,time_occ,NIBR_Code,HNDRDTH_LAT,HNDRDTH_LON",
        "25,25-23F-1,01/08/2025 12:00:00 AM,0905,23F,34.05,-118.25",
        "America/Los_Angeles", "2025-01-08 17:05", "23F", "25-23F-1",
    ),
    "vancouver": (
        "TYPE,YEAR,MONTH,DAY,HOUR,MINUTE,HUNDRED_BLOCK,NEIGHBOURHOOD,X,Y",
        "Theft,2020,1,9,4,30,10XX A ST,West End,491000.0,5458000.0",
        "America/Vancouver", "2020-01-09 12:30", "Theft", None,
    ),
    "toronto": (
        "EVENT_UNIQUE_ID,OCC_DATE,OCC_HOUR,MCI_CATEGORY,LONG_WGS84,LAT_WGS84",
        "GO-1,2014/01/01 05:00:00+00,23,Assault,-79.4,43.7",
        "America/Toronto", "2014-01-02 04:00", "Assault", None,
    ),
    "toronto since 2026": (
        "EVENT_UNIQUE_ID,OCC_DATE,OCC_HOUR,CSI_CATEGORY,LONG_WGS84,LAT_WGS84",
        "GO-1,2014/01/01 05:00:00+00,23,Robbery,-79.4,43.7",
        "America/Toronto", "2014-01-02 04:00", "Robbery", None,
    ),
    "toronto before 2022": (
        "X,Y,event_unique_id,occurrencedate,occurrencehour,MCI,Long,Lat",
        "1,2,GO-1,2014/07/01 04:00:00+00,0,Assault,-79.4,43.7",
        "America/Toronto", "2014-07-01 04:00", "Assault", None,
    ),
    "washington": (
        "CCN,START_DATE,OFFENSE,LATITUDE,LONGITUDE",
        "8,2022/01/05 13:05:00+00,ROBBERY,38.9,-77.0",
        "America/New_York", "2022-01-05 13:05", "ROBBERY", "8",
    ),
    "philadelphia": (
        "objectid,dispatch_date_time,text_general_code,lat,lng,point_x,point_y",
        "3,2021-06-01 14:00:00+00,Thefts,39.95,-75.16,-75.16,39.95",
        "America/New_York", "2021-06-01 14:00", "Thefts", "3",
    ),
    "philadelphia, all columns": (
        "objectid,dispatch_date_time,dispatch_date,dispatch_time,hour,text_general_code,lat,lng",
        "113,2011-09-27 10:41:00+00,2011-09-27,06:41:00,6,Theft from Vehicle,39.98,-75.27",
        "America/New_York", "2011-09-27 10:41", "Theft from Vehicle", "113",
    ),
    "common names": (
        "Incident Date,Incident Time,Lat,Long,Crime Type",
        "2021-06-01,9:05,39.95,-75.16,theft",
        "UTC", "2021-06-01 09:05", "theft", None,
    ),
    "date and hour": (
        "date,hour,lat,lng",
        "2021-06-01,7,39.95,-75.16",
        "UTC", "2021-06-01 07:00", "unspecified", None,
    ),
}  # fmt: skip


def send(engine, settings, region, body, mapping=None, content_type="text/csv"):
    source = UploadSource(content_type, mapping=mapping or ColumnMapping())
    return ingest(engine, region, [body.encode()], source, settings=settings)


def stored(engine, region):
    query = text(
        "SELECT to_char(i.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), c.name,"
        " i.external_id, i.longitude, i.latitude FROM incidents i"
        " JOIN categories c ON c.key = i.category_key JOIN regions r ON r.key = i.region_key"
        " WHERE r.id = :region ORDER BY i.occurred_at"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"region": region})]


@pytest.mark.parametrize("portal", PORTALS)
def test_a_portals_own_columns_are_understood(engine, settings, portal):
    header, row, timezone, instant, category, external_id = PORTALS[portal]
    region = add_region(engine, portal.replace(",", "").replace(" ", "-"), timezone=timezone).id
    summary = send(engine, settings, region, f"{header}\n{row}\n")
    assert summary.accepted == 1, summary.errors
    assert [found[:3] for found in stored(engine, region)] == [(instant, category, external_id)]
    # The same row as JSON is the same incident.
    cells = ",".join(f'"{n}":"{v}"' for n, v in zip(header.split(","), row.split(","), strict=True))
    again = send(engine, settings, region, f"[{{{cells}}}]", content_type="application/json")
    assert again.duplicates == 1, again.errors


def test_projected_coordinates_land_where_they_are(engine, settings):
    region = add_region(engine, "crs", timezone="UTC").id
    body = "when,east,north\n2024-01-01T10:00Z,491000,5458000\n2024-01-01T11:00Z,0,0\n"
    mapping = ColumnMapping.parse(["occurred_at=when", "x=east", "y=north"], "EPSG:26910")
    summary = send(engine, settings, region, body, mapping)
    assert (summary.accepted, summary.rejected_by_code) == (1, {"zero": 1})
    ((_, _, _, longitude, latitude),) = stored(engine, region)
    # 9 km west of the meridian of 123 degrees, in Vancouver.
    assert longitude == pytest.approx(-123 - 9 / 72.7, abs=1e-3)
    assert latitude == pytest.approx(49.275, abs=2e-3)


def test_two_columns_and_a_format_of_ones_own(engine, settings):
    region = add_region(engine, "own", timezone="America/Chicago").id
    body = "D,T,P1,P2,K\n31.12.2023,17h30,-90.2,38.6,a\n32.12.2023,17h30,-90.2,38.6,a\n"
    mapping = ColumnMapping.parse(
        ["occurred_at=D+T", "longitude=P1", "latitude=P2", "category=K"],
        time_format="%d.%m.%Y %Hh%M",
    )
    summary = send(engine, settings, region, body, mapping)
    assert (summary.accepted, summary.rejected_by_code) == (1, {"bad_time": 1})
    assert stored(engine, region)[0][0] == "2023-12-31 23:30"


def test_a_date_whose_order_is_not_told_is_not_guessed(engine, settings):
    region = add_region(engine, "order", timezone="UTC").id
    body = "occurred_at,longitude,latitude\n03/04/2024 10:00,-79.4,43.7\n"
    summary = send(engine, settings, region, body)
    assert summary.rejected_by_code == {"ambiguous_date": 1}
    assert "time_format" in summary.errors[0]["message"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("Month,Longitude,Latitude,Crime type\n2024-05,-1.1,52.6,Drugs\n", "occurred_at"),
        ("date_only,longitude,latitude\n2024-05-01,-1.1,52.6\n", "occurred_at"),
        ("occurred_at,place\n2024-05-01T10:00Z,here\n", "longitude"),
    ],
)
def test_a_missing_column_is_named(engine, settings, body, names):
    region = add_region(engine, "missing", timezone="UTC").id
    with pytest.raises(InvalidInput) as caught:
        send(engine, settings, region, body)
    assert (caught.value.code, caught.value.field) == ("missing_column", names)


@pytest.mark.parametrize(
    ("columns", "crs", "time_format", "field"),
    [
        (["occurred_at"], None, None, "columns"),
        (["colour=a"], None, None, "columns"),
        ([], "EPSG:0", None, "crs"),
        ([], None, "no format", "time_format"),
    ],
)
def test_a_wrong_mapping_is_refused(columns, crs, time_format, field):
    with pytest.raises(InvalidInput) as caught:
        ColumnMapping.parse(columns, crs, time_format)
    assert caught.value.field == field


def test_a_mapping_is_kept_and_used_over_http(engine, settings):
    add_region(engine, "kept", timezone="UTC")
    with TestClient(create_app(settings)) as client:
        base = "/v1/regions/kept"
        mapping = {"columns": {"occurred_at": "T", "x": "E", "y": "N"}, "crs": "EPSG:26910"}
        made = client.put(f"{base}/mappings/portal", json=mapping)
        assert made.status_code == 200, made.text
        assert client.get(f"{base}/mappings").json()["mappings"]["portal"]["crs"] == "EPSG:26910"
        body = b"T,E,N,K\n2024-01-01T10:00Z,491000,5458000,a\n"
        upload = {"content": body, "headers": {"Content-Type": "text/csv"}}
        kept = client.post(f"{base}/incidents?mapping=portal&columns=category=K", **upload)
        assert kept.json()["accepted"] == 1, kept.text
        assert stored(engine, "kept")[0][1] == "a"
        unknown = client.post(f"{base}/incidents?mapping=other", **upload)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
        wrong = client.post(f"{base}/incidents?columns=x=Z", **upload)
        assert (wrong.status_code, wrong.json()["field"]) == (422, "columns")
