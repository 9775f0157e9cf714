"""Monthly police archives: months without hours, new months, late rows."""

import io
import zipfile
from collections import Counter

import pytest

from app.core.errors import InvalidInput
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
