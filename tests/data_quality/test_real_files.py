"""The real files of `../shared/data`, where they are: what their reports must name."""

import json

import pytest

from app.data_quality.service import data_report
from app.incidents.service import ingest_file
from app.regions.service import add_region
from benchmarks.cities import DATA, FILES

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")


def reported(engine, settings, city):
    file, timezone = FILES[city]
    boundary = json.loads((DATA / "boundaries" / f"{city}.geojson").read_text())
    add_region(engine, city, timezone=timezone, boundary=boundary)
    summary = ingest_file(engine, city, DATA / file, settings=settings)
    assert summary.received == summary.accepted + summary.duplicates + summary.rejected
    return data_report(engine, city)


@pytest.mark.slow
def test_st_louis_names_its_spike_its_repeated_rows_and_its_old_dates(engine, settings):
    report = reported(engine, settings, "st-louis")
    assert report["uploads"]["received"] == 237_043
    assert report["uploads"]["repeated_rows"] == 8_358
    assert report["uploads"]["implausible_years"] == {"1900": 4, "1916": 1, "1930": 1}
    assert [t["at"] for t in report["times"]["told"] if t["spike"]] == ["00:01"]
    text = " ".join(one["message"] for one in report["findings"])
    assert all(word in text for word in ("12:01 a.m.", "8,358 rows", "1900 (4)"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("city", "n_rows", "finding"),
    [
        ("toronto", 240_992, "full hours only"),
        ("chicago", 148_636, "rounded to 4 decimals"),
        ("vancouver", 33_761, "breaks in 2020-04"),
    ],
)
def test_the_other_cities_go_in_and_tell_what_they_are(engine, settings, city, n_rows, finding):
    report = reported(engine, settings, city)
    assert report["uploads"]["received"] == n_rows
    assert any(finding in one["message"] for one in report["findings"])
