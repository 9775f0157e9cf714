"""The data report is made of any city: HTML, pictures and JSON too, and its counts add up."""

from datetime import UTC, datetime, timedelta
from itertools import count

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from app.data_quality.page import data_report_page
from app.data_quality.plots import data_report_plot
from app.data_quality.service import data_report
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region

_names = (f"random{n}" for n in count())
MINUTES = st.sampled_from(
    [
        st.just(0),  # all at midnight
        st.just(8 * 60),
        st.sampled_from([0, 480, 960]),  # shifts
        st.sampled_from(range(0, 1440, 60)),
        st.integers(0, 1439),
        st.integers(540, 1020),  # empty nights
    ]
).flatmap(lambda one: one)
DAYS = st.sampled_from(
    [st.just(0), st.integers(0, 6), st.integers(0, 400), st.sampled_from([0, 7_000])]
)
PLACES = st.sampled_from([1, 2, 12, 100_000])
KINDS = st.sampled_from([["a"], ["a", "A ", "b"], [f"kind {i}" for i in range(30)]])


@st.composite
def cities(draw):
    """Rows of a small city: one minute or all, one place or many, a day or twenty years."""
    clock = draw(st.sampled_from([st.just(0), st.just(1439), st.integers(0, 1439), MINUTES]))
    days, n_places, kinds = draw(DAYS), draw(PLACES), draw(KINDS)
    n = draw(st.sampled_from([0, 1, 2, 12, 40, 300]))
    draws = st.tuples(days, clock, st.integers(0, n_places - 1), st.sampled_from(kinds))
    rows = draw(st.lists(draws, min_size=min(n, 40), max_size=min(n, 40)))
    return [row for row in rows for _ in range(max(1, n // 40))]


def body(rows):
    start = datetime(2004, 3, 1, tzinfo=UTC)
    lines = ["occurred_at,longitude,latitude,category"]
    for day, minute, place, kind in rows:
        at = start + timedelta(days=day, minutes=minute)
        where = f"{-74 + place % 317 / 3e3:.6f},{4.6 + place // 317 / 3e3:.6f}"
        lines.append(f'{at:%Y-%m-%dT%H:%M:%S},{where},"{kind}"')
    return "\n".join(lines).encode()


@pytest.mark.slow
@tried(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=cities())
def test_any_city_has_a_report(engine, settings, rows):
    region = add_region(engine, next(_names), timezone="America/New_York").id
    if rows:
        ingest(engine, region, [body(rows)], UploadSource("text/csv"), settings=settings)
    report = data_report(engine, region)
    assert report["incidents"]["n"] == len(rows)
    assert sum(report["times"]["by_hour"]) == sum(report["hour_of_week"]) == len(rows)
    assert sum(report["incidents"]["categories"].values()) == len(rows)
    assert {report["verdicts"][name]["answer"] for name in ("hour", "place")} <= {
        "yes",
        "weakly",
        "no",
    }
    assert all(finding["message"] for finding in report["findings"])
    assert b"NaN" not in orjson.dumps(report)
    assert "</html>" in data_report_page(report)


@pytest.mark.slow
def test_extreme_cities_have_pictures(engine, settings):
    for rows in (
        [],
        [(0, 0, 0, "a")],
        [(0, 0, 0, "a")] * 300,
        [(0, 5, 1, "a"), (7_000, 5, 2, "b")],
    ):
        region = add_region(engine, next(_names), timezone="UTC").id
        if rows:
            ingest(engine, region, [body(rows)], UploadSource("text/csv"), settings=settings)
        report = data_report(engine, region)
        for form in ("png", "svg"):
            assert len(data_report_plot(report, form)) > 1_000
