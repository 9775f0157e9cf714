"""What is known of times: planted shares come back, and PostgreSQL counts what NumPy counts."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.core.errors import NotFound
from app.data_quality.store import Scope
from app.data_quality.time_store import KindRows, rows_of
from app.data_quality.times import DAY_INFORMATION, known_times
from app.geo.hour_of_week import minute_of_hour, touched_hours, windows_of
from app.incidents.service import UploadSource, ingest
from app.main import create_app
from app.regions.kinds import KindKey
from app.regions.service import add_region
from app.regions.store import get_region
from models.times.aoristic import Aoristic
from tests.support.simulated.hidden_times import exact_times

HOUR_S = 3_600
DAY = timedelta(days=1)
MONDAY = datetime(2024, 1, 8)
HEAD = "occurred_from,occurred_to,category,longitude,latitude"


def known(engine, settings, region, rows, timezone="UTC", **options):
    """What is known of rows of start, end and kind, in wall time."""
    add_region(engine, region, timezone=timezone)
    lines = [
        f"{start.isoformat()},{end.isoformat()},{kind},{-74 + i % 700 / 1e4:.4f},4.6{i // 700:03d}"
        for i, (start, end, kind) in enumerate(rows)
    ]
    body = "\n".join([HEAD, *lines]).encode()
    done = ingest(engine, region, [body], UploadSource("text/csv"), settings=settings)
    assert done.accepted == len(rows)
    with engine.connect() as connection:
        found = get_region(connection, region)
        scope = Scope(found.key, found.timezone)
        return known_times(connection, found, scope, **options)


def exact(n, kind="theft", minute=None):
    """Instants of n hours after another, to the minute."""
    minutes = range(n) if minute is None else [minute] * n
    times = [MONDAY + timedelta(hours=i, minutes=7 + m % 50) for i, m in enumerate(minutes)]
    return [(time, time, kind) for time in times]


def test_planted_shares_come_back(engine, settings):
    midnights = [(MONDAY + i * DAY, MONDAY + i * DAY, "theft") for i in range(150)]
    dates = [(MONDAY + i * DAY, MONDAY + (i + 1) * DAY, "theft") for i in range(50)]
    nights = [(s + timedelta(hours=8), s + timedelta(hours=18), "theft") for s, _, _ in dates]
    fortnights = [
        (s + timedelta(hours=1), s + timedelta(days=14), "burglary") for s, _, _ in midnights
    ]
    rows = exact(150) + midnights + dates + nights + fortnights
    found = known(engine, settings, "planted", rows, "America/New_York")
    assert found.kinds == ["theft", "burglary"]
    theft, burglary, total = found.facts(0), found.facts(1), found.facts()
    names = ("exact_share", "interval_share", "date_only_share", "placeholder_share")
    assert [theft[name] for name in names] == [0.375, 0.125, 0.125, 0.375]
    assert [burglary[name] for name in names] == [0, 1, 0, 0]
    assert [total[name] for name in names] == pytest.approx(
        [150 / 550, 200 / 550, 50 / 550, 150 / 550], abs=1e-4
    )
    assert (theft["median_interval_hours"], theft["over_day_share"]) == (17.0, 0.0)
    assert (burglary["median_interval_hours"], burglary["over_day_share"]) == (14 * 24 - 1, 1.0)
    ten_hours = 1 - np.log(10) / np.log(168)
    told = (150 + 50 * ten_hours + 200 * DAY_INFORMATION) / 400
    assert theft["hour_information"] == pytest.approx(told, abs=2e-3)  # days of 23 and 25 hours
    assert burglary["hour_information"] == 0
    assert found.placeholders.sum(axis=0)[::24].sum() == 150


def of_all_sorts(n=3_000):
    """Rows of instants, intervals to the minute of up to a month, and whole days, in UTC."""
    rng = np.random.default_rng(5)
    start = rng.integers(0, 300 * 1440, n)
    length = np.choose(rng.integers(0, 5, n), [
        np.zeros(n, np.int64), rng.integers(1, 70, n), rng.integers(1, 1440, n),
        rng.integers(1440, 31 * 1440, n), np.full(n, 1440)])  # fmt: skip
    is_day = length == 1440
    start[is_day] = start[is_day] // 1440 * 1440
    return start, length


def test_the_database_counts_what_numpy_counts(engine, settings):
    start, length = of_all_sorts()
    rows = [
        (MONDAY + timedelta(minutes=int(s)), MONDAY + timedelta(minutes=int(s + d)), "a")
        for s, d in zip(start, length, strict=True)
    ]
    found = known(engine, settings, "numpy", rows)
    monday_s = int(MONDAY.replace(tzinfo=ZoneInfo("UTC")).timestamp())
    start_s, end_s = monday_s + start * 60, monday_s + (start + length) * 60
    n_hours, window, overlap = touched_hours(start_s, end_s, "UTC")
    of = np.repeat(np.arange(len(start)), n_hours)
    share = overlap / np.bincount(of, overlap, len(start))[of]
    np.testing.assert_allclose(found.intervals(), np.bincount(window, share, 168), rtol=1e-5)
    np.testing.assert_array_equal(
        found.counts.exact[0], np.bincount(windows_of(start_s[n_hours == 0], "UTC"), minlength=168)
    )
    np.testing.assert_array_equal(
        found.counts.starts[0], np.bincount(windows_of(start_s, "UTC"), minlength=168)
    )
    table = np.zeros((len(start), 168))
    np.add.at(table, (of, window), share)
    entropy = -np.where(table > 0, table * np.log(np.maximum(table, 1e-300)), 0).sum(axis=1)
    told = 1 - entropy[n_hours > 0] / np.log(168)
    # From 167 hours on an interval counts as telling nothing, where up to 1 % is left.
    told[length[n_hours > 0] >= 167 * 60] = 0
    assert found.counts.information[0] == pytest.approx(told.sum(), rel=1e-6)
    hours = length[n_hours > 0] / 60
    np.testing.assert_allclose(found.counts.lengths_h[0], np.quantile(hours, [0.5, 0.9]))
    assert found.counts.days[0] == (length == 1440).sum()
    assert found.counts.long[0] == (length > 1440).sum()
    assert found.spread().sum() == pytest.approx(len(start))


def test_placeholders_are_those_of_a_training(engine, settings):
    incidents = exact_times(4_000)
    time_s = incidents.time_s.copy()
    unknown = np.random.default_rng(2).random(len(time_s)) < 0.2
    time_s[unknown] = time_s[unknown] // 86_400 * 86_400 + 60
    order = np.argsort(time_s, kind="stable")
    utc = [
        datetime.fromtimestamp(int(s), ZoneInfo("UTC")).replace(tzinfo=None) for s in time_s[order]
    ]
    utc = [time.replace(year=time.year + 48) for time in utc]
    found = known(engine, settings, "heaped", [(time, time, "a") for time in utc])
    at_s = np.array([int(time.replace(tzinfo=ZoneInfo("UTC")).timestamp()) for time in utc])
    changed = incidents.__class__(
        incidents.x_m, incidents.y_m, at_s, windows_of(at_s, "UTC"), incidents.category,
        minute=minute_of_hour(at_s, "UTC"),
    )  # fmt: skip
    chances = Aoristic().fit(changed).placeholder_[0]
    early = (at_s % 86_400 < 120).sum()
    assert found.placeholders.sum() == pytest.approx(chances[0] * early)
    assert found.placeholders.sum() == pytest.approx(unknown.sum(), rel=0.03)


def test_rare_kinds_are_folded_and_kinds_are_chosen_with_their_aliases(engine, settings):
    rows = exact(120, "theft") + exact(20, "fraud", 1) + exact(30, "arson", 2)
    found = known(engine, settings, "rare", rows)
    assert found.kinds == ["theft", None]
    assert found.facts(1)["n"] == 50
    with engine.connect() as connection:
        region = get_region(connection, "rare")
        scope = Scope(region.key, region.timezone)
        assert known_times(connection, region, scope, ["ARSON"]).facts()["n"] == 30
        with pytest.raises(NotFound, match="no category 'nowhere'"):
            known_times(connection, region, scope, ["arson", "nowhere"])


def test_the_week_of_a_kind_follows_aliases_and_sums_to_its_incidents(engine, settings):
    days = [(MONDAY + i * DAY, MONDAY + (i + 1) * DAY, "arson") for i in range(14)]
    known(
        engine, settings, "week", exact(120, "theft") + exact(30, "larceny", 1) + days, "Asia/Tokyo"
    )
    with TestClient(create_app(settings)) as client:
        root = "/v1/regions/week"
        alias = {"aliases": {"larceny": {"category": "theft"}}}
        assert client.put(f"{root}/categories/aliases", json=alias).status_code == 200
        both = client.get(f"{root}/hour-of-week", params={"category": "theft"}).json()
        dates = client.get(f"{root}/hour-of-week", params={"category": "arson"}).json()
        total = client.get(f"{root}/hour-of-week").json()
        assert client.get("/v1/regions/nowhere/hour-of-week").status_code == 404
        unknown = client.get(f"{root}/hour-of-week", params={"category": ["theft", "fraud"]})
        assert unknown.status_code == 404
        assert "fraud" in unknown.json()["detail"]
    assert (both["n_incidents"], sum(both["exact"])) == (150, 150)
    assert (both["exact"][:2], both["exact"][120:]) == ([2, 2], [0] * 48)
    np.testing.assert_allclose(dates["interval"], 14 / 168, atol=1e-3)
    assert (total["n_incidents"], total["timezone"]) == (164, "Asia/Tokyo")
    assert dates["hour_information"] == pytest.approx(DAY_INFORMATION, abs=1e-4)


def test_a_kind_that_was_renamed_half_way_counts_as_both():
    keys = {1: KindKey("theft"), 2: KindKey("larceny", "theft", 1_700_000_000), 3: KindKey("arson")}
    found = rows_of(keys, {"theft": 0, "larceny": 1})
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    assert found == [
        KindRows(1, 0),
        KindRows(2, 1, since=at),
        KindRows(2, 0, until=at),
    ]
