"""Monthly police archives: months without hours, new months, late rows."""

import io
import json
import zipfile
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput, SourceFailed
from app.sync.connectors.archives import _shifted, archive_pages, spread_time
from app.sync.spec import SourceSpec

HEADER = "Crime ID,Month,Longitude,Latitude,LSOA code,Crime type\n"


def archive(months):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for month, rows in months.items():
            made.writestr(f"{month}/{month}-west-street.csv", HEADER + "\n".join(rows) + "\n")
            made.writestr(f"{month}/{month}-east-street.csv", HEADER + f"x,{month},0,51,,Drugs\n")
            made.writestr(f"{month}/{month}-west-outcomes.csv", "nothing\n")
    return buffer.getvalue()


def crimes(month, n, first=0):
    known = [f"id{month}{i},{month},-1.5,53.8,E0,Drugs" for i in range(first, first + n)]
    return [*known, *[f",{month},-1.5,53.8,E0,Anti-social behaviour"] * 3]


def test_an_archive_without_hours_is_refused_unless_told(portals, city):
    spec = SourceSpec("police-archive", portals.url + "/files/latest.zip", "west")
    with pytest.raises(InvalidInput) as caught:
        city(spec)
    assert caught.value.code == "month_resolution"


def test_an_archives_months_and_equal_rows(portals, city):
    path = "/files/latest.zip"
    months = {"2024-01": crimes("2024-01", 400), "2024-02": crimes("2024-02", 5)}
    portals.files[path] = archive(months)
    leeds = city(
        SourceSpec(
            "police-archive", portals.url + path, "west", month_times="spread", overlap_days=20
        )
    )
    run = leeds.sync()
    assert (run.status, run.metrics["accepted"], run.metrics["pages"]) == ("succeeded", 411, 2)
    assert leeds.sync().message == "unchanged"
    months["2024-02"].append("late,2024-02,-1.5,53.8,E0,Drugs")
    months["2024-03"] = crimes("2024-03", 2)
    portals.files[path] = archive(months)
    run = leeds.sync()
    assert (run.metrics["accepted"], run.metrics["duplicates"]) == (6, 8)
    # Spread times favour no hour of the week and stay within their month.
    by_month = Counter(leeds.column("to_char(i.occurred_at AT TIME ZONE 'America/Toronto', 'MM')"))
    assert by_month == {"01": 403, "02": 9, "03": 5}
    assert max(Counter(leeds.column('i."window"')).values()) < 20


def test_months_that_are_files_of_their_own(portals, city):
    for month in ("2024-01", "2024-02"):
        portals.files[f"/files/{month}.zip"] = archive({month: crimes(month, 3)})
    leeds = city(
        SourceSpec(
            "police-archive",
            portals.url + "/files/{month}.zip",
            "west",
            month_times="spread",
            first_month="2024-01",
            overlap_days=0,
        )
    )
    assert leeds.sync().metrics["accepted"] == 12
    portals.files["/files/2024-03.zip"] = archive({"2024-03": crimes("2024-03", 3)})
    portals.requests.clear()
    assert leeds.sync().metrics["accepted"] == 6
    assert [path for path, _, _ in portals.requests] == ["/files/2024-03.zip", "/files/2024-04.zip"]


def of_file(portals, **more):
    url = portals.url + "/files/latest.zip"
    return SourceSpec("police-archive", url, "west", month_times="spread", **more)


def read(client, spec, state):
    """State and rows of each page."""
    return [
        (page.state, [json.loads(line) for line in b"".join(page.body or ()).splitlines()])
        for page in archive_pages(client, spec, state)
    ]


@given(st.integers(1, 12), st.text("ab\x00é", max_size=8))
def test_a_spread_time_is_a_minute_of_its_month_and_always_the_same(month, key):
    name = f"2024-{month:02d}"
    drawn = spread_time(name, key)
    assert drawn == spread_time(name, key)
    assert (len(drawn), drawn[:7]) == (16, name)
    assert datetime.fromisoformat(drawn).month == month


def test_spread_times_favour_no_hour_and_no_day():
    drawn = [datetime.fromisoformat(spread_time("2024-03", str(k))) for k in range(7_440)]
    by_hour, by_day = (
        Counter(one).values() for one in zip(*((t.hour, t.day) for t in drawn), strict=True)
    )
    assert (len(by_hour), len(by_day)) == (24, 31)
    # Poisson: 310 an hour and 240 a day, at most five deviations off.
    assert max(abs(n - 310) for n in by_hour) < 90
    assert max(abs(n - 240) for n in by_day) < 80


@given(st.integers(0, 3_000), st.integers(1, 12), st.integers(-40, 40))
def test_months_are_counted_over_the_turn_of_years(year, month, by):
    name = f"{year + 10:04d}-{month:02d}"
    later = _shifted(name, by)
    assert _shifted(later, -by) == name
    assert (later > name) == (by > 0)
    assert 1 <= int(later[5:]) <= 12


@pytest.mark.parametrize(
    ("overlap_days", "months"),
    [(0, ["2024-03"]), (31, ["2024-02", "2024-03"]), (32, ["2024-01", "2024-02", "2024-03"])],
)
def test_months_of_the_overlap_are_read_again(portals, client, overlap_days, months):
    made = {f"2024-{m:02d}": crimes(f"2024-{m:02d}", 1) for m in range(1, 4)}
    portals.files["/files/latest.zip"] = archive(made)
    pages = read(client, of_file(portals, overlap_days=overlap_days), {"month": "2024-02"})
    assert [rows[0]["occurred_at"][:7] for _, rows in pages] == months
    assert [state["month"] for state, _ in pages] == [max(m, "2024-02") for m in months]
    assert ["known" in state for state, _ in pages] == [m == "2024-03" for m in months]


def test_rows_without_an_id_are_told_apart_by_their_number(portals, client):
    portals.files["/files/latest.zip"] = archive({"2024-01": crimes("2024-01", 0)})
    ((_, rows),) = read(client, of_file(portals), {})
    assert {row["external_id"] for row in rows} == {None}
    assert len({row["occurred_at"] for row in rows}) == 3
    assert rows == read(client, of_file(portals), {})[0][1]


def test_a_row_of_another_month_keeps_its_text_which_the_rules_refuse(portals, client):
    portals.files["/files/latest.zip"] = archive({"2024-01": ["a,2023-12,0,51,E0,Drugs"]})
    ((_, rows),) = read(client, of_file(portals), {})
    assert rows[0]["occurred_at"] == "2023-12"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK nothing", "not a readable zip archive"),
        (archive({}), "no month of the force 'west'"),
        (None, r"does not exist \(404\)"),
    ],
)
def test_what_is_no_archive_of_the_force_fails_the_sweep(portals, client, content, message):
    if content is not None:
        portals.files["/files/latest.zip"] = content
    with pytest.raises(SourceFailed, match=message):
        read(client, of_file(portals), {})


def test_an_archive_that_expands_implausibly_is_refused_unread(portals, client):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("2024-01/2024-01-west-street.csv", HEADER + "x" * 1_000_000)
    portals.files["/files/latest.zip"] = buffer.getvalue()
    with pytest.raises(SourceFailed, match="expands implausibly"):
        read(client, of_file(portals), {})
