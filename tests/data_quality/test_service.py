"""The report counts every fault that was planted, exactly, and names what stands out."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app as command_line
from app.core.errors import NotFound
from app.data_quality.checks.volume import first_proper_month, level_breaks
from app.data_quality.page import data_report_page
from app.data_quality.service import data_report, feed_uploads
from app.data_quality.store import DayCounts
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.geo.time_heaping import clock_times
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.regions.service import add_region
from tests.support.inputs.messy import PILE, messy_corpus, with_more

N_PILE = 100
N_SPIKE = 150


@pytest.fixture(scope="module")
def corpus():
    made = messy_corpus(n_good=1_500, per_fault=5)
    place = str(PILE[0]), str(PILE[1])
    good = [row for row, code in zip(made.rows, made.codes, strict=True) if code is None]
    piled = [(row[0], *place, row[3]) for row in good[:N_PILE]]
    spiked = [
        ("2019-04-05T00:01:00", f"{-74.05 - i / 1e5:.6f}", "4.65", "x") for i in range(N_SPIKE)
    ]
    return with_more(made, [*piled, *spiked, *made.rows[:1], *piled[:3]])


@pytest.fixture(scope="module")
def region(engine, settings, corpus) -> str:
    area = synthetic_city().area.to_geojson()
    made = add_region(engine, "messy", timezone=TIMEZONE, boundary=area).id
    send(engine, settings, made, corpus.csv())
    return made


@pytest.fixture(scope="module")
def report(engine, region):
    return data_report(engine, region)


def send(engine, settings, region, body):
    return ingest(engine, region, [body], UploadSource("text/csv"), settings=settings)


def test_rows_are_counted_by_what_became_of_them(report, corpus):
    uploads = report["uploads"]
    n_again = 3 + (corpus.codes[0] is None)
    assert uploads["received"] == len(corpus.rows)
    assert uploads["accepted"] == corpus.n_good == report["incidents"]["n"]
    assert uploads["rejected_by_code"] == corpus.by_code
    assert uploads["swapped_coordinates"] == uploads["outside_study_area"] == 5
    assert uploads["implausible_years"] == {"1900": 5, "2999": 5}
    assert report["repeated_incidents"] >= n_again
    first = uploads["errors"][0]
    refused = next(i for i, code in enumerate(corpus.codes) if code)
    assert (first["row"], first["code"]) == (refused + 1, corpus.codes[refused])
    assert len(uploads["errors"]) == 100


def test_repeated_rows_count_refused_ones_too(engine, settings):
    region = add_region(engine, "again", timezone="UTC").id
    head = "occurred_at,longitude,latitude,external_id\n"
    body = head + "2024-01-01T10:00Z,1,2,\n" * 3 + "1900-01-01T10:00Z,1,2,\n" * 4
    send(engine, settings, region, (body + "2024-01-01T10:00Z,1,2,a\n" * 2).encode())
    send(engine, settings, region, (body + "2024-01-01T10:00Z,1,2,a\n" * 2).encode())
    uploads = data_report(engine, region)["uploads"]
    # 2 of 3, 3 of 4, 1 of 2; the same body sent again repeats no further row.
    assert uploads["repeated_rows"] == 6
    assert (uploads["accepted"], uploads["duplicates"], uploads["rejected"]) == (4, 6, 8)


def test_odd_places_and_times_are_named(report):
    (pile,) = report["places"]["piles"]
    assert (pile["longitude"], pile["latitude"], pile["n"]) == (*PILE, N_PILE + 5 + 3)
    spikes = {t["at"]: t["n"] for t in report["times"]["told"] if t["spike"]}
    assert list(spikes) == ["00:01"]
    assert spikes["00:01"] == pytest.approx(N_SPIKE, abs=8)
    assert {"00:00", "00:01", "12:00", "12:01"} <= {t["at"] for t in report["times"]["told"]}
    assert sum(report["hour_of_week"]) == sum(m["n"] for m in report["months"])
    text = " ".join(finding["message"] for finding in report["findings"])
    for word in ("12:01 a.m.", "1900 (5)", "default geocode", "swapped", "of an earlier row"):
        assert word in text, word


def test_one_upload_has_a_report_of_its_own(engine, settings, region):
    body = b"occurred_at,longitude,latitude\n2019-06-07T08:09:10Z,-74.06,4.66\n12345,-74.06,4.66\n"
    upload = send(engine, settings, region, body).upload_id
    mine = data_report(engine, region, upload)
    assert (mine["incidents"]["n"], mine["uploads"]["rejected"]) == (1, 1)
    assert [e["code"] for e in mine["uploads"]["errors"]] == ["epoch_not_accepted"]
    with pytest.raises(NotFound):
        data_report(engine, region, upload + 1)


def test_lags_are_told_of_feeds_and_not_of_bulk_loads(engine, settings, report):
    assert report["late_reports"]["median_hours"] is None
    assert report["late_reports"]["note"]["code"] == "bulk_loads_only"
    region = add_region(engine, "feed", timezone="UTC").id
    now = datetime.now(UTC)
    rows = [f"{(now - timedelta(hours=h)).isoformat()},-74.0,4.6" for h in (1, 5, 9)]
    send(engine, settings, region, "\n".join(["occurred_at,longitude,latitude", *rows]).encode())
    late = data_report(engine, region)["late_reports"]
    assert late["median_hours"] == pytest.approx(5, abs=0.1)
    assert late["note"] is None


def test_an_empty_region_has_a_report(engine, region):
    add_region(engine, "empty", timezone="UTC")
    report = data_report(engine, "empty")
    assert (report["incidents"]["n"], report["months"], report["findings"]) == (0, [], [])
    assert [report["verdicts"][name]["code"] for name in ("hour", "place", "next_step")] == [
        "no_incidents",
        "no_incidents",
        "next_send",
    ]
    assert "Nothing stands out" in data_report_page(report)


@pytest.mark.slow
def test_http_and_command_line_give_the_same_report(settings, region, monkeypatch, tmp_path):
    with TestClient(create_app(settings)) as client:
        path = f"/v1/regions/{region}/data-report"
        told = client.get(path).json()
        page = client.get(path, params={"f": "html"})
        assert page.headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)=[\"']?http|url\(http|<script", page.text)
        assert client.get(path, params={"f": "png"}).content.startswith(b"\x89PNG")
        assert client.get(path, params={"upload": 10**9}).status_code == 404
        assert client.get(path, params={"upload": 0}).status_code == 422
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    files = {name: tmp_path / name for name in ("a.json", "a.html", "a.svg")}
    run = CliRunner().invoke(
        command_line,
        [
            "data-report",
            region,
            "--json",
            files["a.json"],
            "--html",
            files["a.html"],
            "-o",
            files["a.svg"],
        ],
    )
    assert run.exit_code == 0, run.output
    mine = orjson.loads(files["a.json"].read_bytes())
    assert {**mine, "generated_at": ""} == {**told, "generated_at": ""}
    assert files["a.svg"].read_text().startswith("<?xml")
    assert "12:01 a.m." in run.output


def test_a_steady_series_has_no_break_and_a_planted_one_is_found():
    days = np.full(84, 30.4)
    false_alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        season = 1 + 0.2 * np.sin(2 * np.pi * np.arange(84) / 12)
        steady = rng.poisson(900 * season)
        false_alarms += bool(level_breaks(steady, days))
        dropped = np.where(np.arange(84) < 50, steady, steady * 0.6).astype(np.int64)
        (found,) = level_breaks(dropped, days)
        assert abs(found.place - 50) <= 1
        assert found.after_per_day / found.before_per_day == pytest.approx(0.6, abs=0.05)
    assert false_alarms <= 3


def test_a_gap_is_a_break_and_stray_early_months_are_not_the_beginning():
    counts = np.array([1, 0, 2] + [500] * 12 + [0] * 5 + [500] * 12)
    start = first_proper_month(counts)
    assert start == 3
    places = [b.place for b in level_breaks(counts[start:], np.full(len(counts) - start, 30.0))]
    assert places == [12, 17]


@pytest.mark.parametrize("n", [12, 40])
def test_noise_of_few_incidents_is_no_break(n):
    rng = np.random.default_rng(n)
    days = np.full(24, 30.4)
    months = [rng.multinomial(n, np.full(24, 1 / 24)) for _ in range(200)]
    assert sum(bool(level_breaks(counts, days)) for counts in months) <= 2
    assert level_breaks(np.array([12] + [0] * 12), days[:13]) == []


@pytest.mark.parametrize("favoured", [0, 30])
def test_a_habit_of_all_hours_is_no_spike(favoured):
    by_minute = np.full(1440, 10)
    by_minute[favoured::60] = 900
    by_minute[1] = 700
    assert [t.label for t in clock_times(by_minute) if t.spike] == ["00:01"]


def test_an_upload_with_few_old_rows_is_still_a_feed():
    days = DayCounts(
        np.array([1, 1, 1, 2, 2]),
        np.array([0, 19_000, 19_005, 0, 19_000]),
        np.array([1, 300, 300, 50, 50]),
    )
    assert feed_uploads(days) == [1]
