"""Zips as portals make them, layers of GeoPackages, structs of Parquet (cases 28, 32, 36)."""

import io
import zipfile

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

HEADER = "datetime,longitude,latitude,type\n"
GOOD = HEADER + "2026-0{}-01T10:00:00,-84.51,39.1,Theft\n"


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def months(door):
    return [hour[5:7] for hour in door.hours()]


def aside(sent, kind="file"):
    return {
        one["name"]: one["reason"] for one in sent.body["read"]["not_read"] if one["kind"] == kind
    }


def frame(crs="EPSG:4326", **columns):
    given = {"OCC_DATE": ["2026-03-01"], "OCC_TIME": ["22:15"], "OFFENSE": ["Theft"], **columns}
    point = gpd.GeoSeries([shapely.Point(-84.51, 39.1)], crs="EPSG:4326").to_crs(crs)
    return gpd.GeoDataFrame(given, geometry=point.values, crs=crs)


def shapefile(tmp_path, crs="EPSG:32616"):
    frame(crs).to_file(tmp_path / "crimes.shp", encoding="utf-8")
    return {path.name: path.read_bytes() for path in tmp_path.glob("crimes.*")}


README = "Crimes of the city, licence CC BY\nsee https://example.org\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["README.txt", "data_description.txt", "metadata.csv", "docs/about.md", "info.xml"]
)
def test_a_readme_beside_the_data_is_passed_over(door, name):
    sent = door.send("a.zip", zipped(**{"crimes.csv": GOOD.format(3), name: README}))
    assert months(door) == ["03"]
    assert sent.body["read"]["file"] == "crimes.csv"
    assert aside(sent) == {name: "no_incidents"}


def test_a_text_file_that_is_a_table_is_read(door):
    door.send("a.zip", zipped(**{"crimes.txt": GOOD.format(3)}))
    assert months(door) == ["03"]


def test_a_shapefile_is_read_beside_its_readme(door, tmp_path):
    parts = shapefile(tmp_path)
    sent = door.send("shp.zip", zipped(**parts, **{"readme.txt": README, "crimes.shp.xml": "<a/>"}))
    (stored,) = door.stored()
    assert stored["occurred_at"][:16] == "2026-03-01T22:15"
    assert (stored["longitude"], stored["latitude"]) == pytest.approx((-84.51, 39.1), abs=1e-6)
    read = sent.body["read"]
    assert (read["format"], read["file"], read["crs"]) == ("shapefile", "crimes.shp", "EPSG:32616")
    assert aside(sent) == {"readme.txt": "no_incidents", "crimes.shp.xml": "no_incidents"}


def test_a_shapefile_in_metres_without_its_crs_is_refused(door, tmp_path):
    parts = {name: held for name, held in shapefile(tmp_path).items() if not name.endswith(".prj")}
    sent = door.send("shp.zip", zipped(**parts))
    assert sent.body["rejected_by_code"] == {"not_degrees": 1}
    door.send("shp.zip", zipped(**parts), crs="EPSG:32616")
    assert len(door.stored()) == 1


def test_a_zip_of_monthly_zips_is_read(door):
    inner = {f"{month}.zip": zipped(**{"a.csv": GOOD.format(month)}) for month in (1, 2)}
    sent = door.send("year.zip", zipped(**inner))
    assert months(door) == ["01", "02"]
    read = sent.body["read"]
    assert [read["file"], read["further"][0]["file"]] == ["1.zip/a.csv", "2.zip/a.csv"]


def test_a_zip_three_deep_is_refused(door):
    deep = zipped(**{"b.zip": zipped(**{"c.zip": zipped(**{"a.csv": GOOD.format(1)})})})
    sent = door.send("a.zip", deep)
    assert sent.status == 422
    assert "b.zip/c.zip" in sent.error


def test_what_police_uk_packs_beside_the_crimes_is_left_aside(door):
    search = "Type,Date,Latitude,Longitude\nPerson,2026-01-03T10:00:00+00:00,51.5,-0.1\n"
    crimes = "Crime ID,Month,Longitude,Latitude,Crime type\na,2026-01,-0.1,51.5,Burglary\n"
    names = {"2026-01-x-street.csv": crimes, "2026-01-x-stop-and-search.csv": search}
    sent = door.send("uk.zip", zipped(**names))
    assert sent.status == 422
    assert "hour" in sent.error
    assert door.stored() == []
    timed = crimes.replace("Month", "Date").replace("2026-01,", "2026-01-03T11:00:00,")
    sent = door.send("uk.zip", zipped(**{**names, "2026-01-x-street.csv": timed}))
    assert sent.body["accepted"] == 1
    assert aside(sent) == {"2026-01-x-stop-and-search.csv": "no_incidents"}


def test_the_same_data_in_two_formats_is_asked_about(door):
    raw = zipped(**{"crimes.csv": GOOD.format(3), "crimes.json": "[]"})
    sent = door.send("a.zip", raw)
    assert sent.status == 422
    assert "part=" in sent.error
    assert "crimes.json" in sent.error
    sent = door.send("a.zip", raw, part="*.csv")
    assert months(door) == ["03"]
    assert aside(sent) == {"crimes.json": "not_asked"}
    sent = door.send("a.zip", raw, part="crimes.xlsx")
    assert sent.status == 422
    assert "crimes.csv" in sent.error


def test_another_table_in_a_zip_is_refused_with_the_way_out(door):
    sent = door.send("a.zip", zipped(**{"a.csv": GOOD.format(3), "b.csv": "code,text\n1,a\n"}))
    assert sent.status == 422
    assert "b.csv" in sent.error
    assert "part=" in sent.error
    assert door.stored() == []


def geopackage(tmp_path, **layers):
    for name, layer in layers.items():
        layer.to_file(tmp_path / "a.gpkg", layer=name, driver="GPKG")
    return (tmp_path / "a.gpkg").read_bytes()


def at(hour, **more):
    found = frame(**more).drop(columns=["OCC_DATE", "OCC_TIME"])
    return found.assign(occurred_at=f"2026-03-01T{hour}:00:00")


def test_all_layers_of_the_same_columns_are_read(door, tmp_path):
    sent = door.send(
        "a.gpkg", geopackage(tmp_path, jan=at(10), feb=at(11), codes=at(12, code=["x"]))
    )
    assert [hour[11:13] for hour in door.hours()] == ["10", "11"]
    read = sent.body["read"]
    assert [read["layer"], read["further"][0]["layer"]] == ["jan", "feb"]
    assert aside(sent, "layer") == {"codes": "other_columns"}


def test_a_named_layer_is_read_alone(door, tmp_path):
    raw = geopackage(tmp_path, jan=at(10), feb=at(11))
    sent = door.send("a.gpkg", raw, part="feb")
    assert [hour[11:13] for hour in door.hours()] == ["11"]
    assert aside(sent, "layer") == {"jan": "not_asked"}
    assert door.send("a.gpkg", raw, part="mar").status == 422


@pytest.mark.parametrize("suffix", ["gpkg", "parquet"])
def test_only_points_are_places(door, tmp_path, suffix):
    rows = gpd.GeoDataFrame(
        {"occurred_at": [f"2026-03-01T1{i}:00:00" for i in range(4)]},
        geometry=[
            shapely.Point(-84.51, 39.1),
            shapely.MultiPoint([(-84.52, 39.1)]),
            shapely.box(-84.53, 39.1, -84.52, 39.11),
            None,
        ],
        crs="EPSG:4326",
    )
    path = tmp_path / f"a.{suffix}"
    rows.to_file(path, driver="GPKG") if suffix == "gpkg" else rows.to_parquet(path)
    sent = door.send(path.name, path.read_bytes())
    assert [hour[11:13] for hour in door.hours()] == ["10", "11"]
    assert sent.body["rejected_by_code"] == {"no_place": 2}
    assert "Polygon" in sent.body["errors"][0]["message"]


def test_fields_of_a_parquet_struct_are_read(door):
    table = pa.table(
        {
            "when": ["2026-03-01T10:00:00"],
            "location": [{"latitude": 39.1, "longitude": -84.51}],
            "what": [{"kind": "Theft"}],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    sent = door.send(
        "a.parquet", buffer.getvalue(), columns=["occurred_at=when", "category=what.kind"]
    )
    (stored,) = door.stored()
    assert (stored["longitude"], stored["latitude"], stored["category"]) == (-84.51, 39.1, "Theft")
    assert sent.body["read"]["columns"]["longitude"] == "location.longitude"
