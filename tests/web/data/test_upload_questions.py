"""How a person says how a file is to be read, and answers what the service asks about it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openpyxl
import pytest
from playwright.sync_api import expect

from app.main import create_app
from tests.support.page_texts import assert_accessible
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "untrained_site"
OPEN = "?region=town&tab=run"
N_REPEATED = 300
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def untrained_site(chromium_path, engine, settings, town, town_csv) -> Iterator[Site]:
    """A region with incidents and no model."""
    with listening(create_app(settings, engine)) as url:
        yield Site(url, town, town_csv)


def _rows(site: Site, n: int) -> list[dict[str, str]]:
    header, *lines = site.csv.read_text().splitlines()[: n + 1]
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def _csv(name: str, rows: list[dict[str, str]]) -> dict[str, object]:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    return {"name": name, "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}


def _forgive(seen, *statuses: str) -> None:
    """The browser itself logs refused requests."""
    seen.errors[:] = [line for line in seen.errors if not any(s in line for s in statuses)]


def _renamed(site: Site) -> list[dict[str, str]]:
    rows = _rows(site, N_REPEATED)
    return [
        {
            "occurred_at": row["occurred_at"],
            "longitude": row["longitude"],
            "latitude": row["latitude"],
            "category": f"{row['category']} (other)",
        }
        for row in rows
    ]


@pytest.mark.parametrize(
    ("language", "answer", "counts"),
    [("en", "skip", "Accepted0Duplicates300"), ("es", "skip", "Aceptados0Duplicados300")],
)
def test_a_file_that_is_stored_in_another_form_is_asked_about(open_seen, language, answer, counts):
    seen = open_seen()
    page = seen.open(f"{OPEN}&lang={language}")
    page.set_input_files("#file", _csv("again.csv", _renamed(seen.site)))
    asked = page.locator("#upload-status .questions")
    expect(asked).to_contain_text("300")
    assert asked.locator("button").count() == 3
    _forgive(seen, "409")
    assert_accessible(page, "#upload-status")
    asked.locator(f"button[value={answer}]").click()
    expect(page.locator("#upload-preview")).to_contain_text(counts)
    expect(page.locator("#upload-more")).to_contain_text("300")
    assert page.locator(".questions button").count() == 0
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text(counts)


def test_ids_of_other_incidents_are_asked_about(open_seen):
    seen = open_seen()
    page = seen.open(OPEN)
    first = {
        "external_id": "A-1",
        "occurred_at": "2019-10-01T10:00:00Z",
        **{k: _rows(seen.site, 1)[0][k] for k in ("longitude", "latitude", "category")},
    }
    far = max(
        _rows(seen.site, 50), key=lambda r: abs(float(r["latitude"]) - float(first["latitude"]))
    )
    place = {k: far[k] for k in ("longitude", "latitude")}
    other = first | place | {"occurred_at": "2019-11-05T22:00:00Z", "category": "x"}
    page.set_input_files("#file", _csv("ids.csv", [first]))
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Accepted1")
    page.set_input_files("#file", _csv("ids.csv", [other]))
    preview = page.locator("#upload-preview")
    expect(preview).to_contain_text("Rejected1")
    page.locator("#upload-more button[name=on_conflict]").click()
    expect(page.locator("#upload-more")).to_contain_text(
        "As you answered: They correct what is stored."
    )
    expect(preview).to_contain_text("Corrected1")
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Corrected1")


def test_withdrawn_incidents_are_asked_about(open_seen):
    seen = open_seen()
    page = seen.open(OPEN)
    rows = [
        row | {"external_id": f"W-{k:02}", "occurred_at": f"2019-03-{k:02}T10:00:00Z"}
        for k, row in enumerate(_rows(seen.site, 20), 1)
    ]
    page.click("#columns-part > summary")
    page.click("#choices > summary")
    page.fill("[name=feed]", "withdrawn")
    page.set_input_files("#file", _csv("all.csv", rows))
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Accepted20")
    page.set_input_files("#file", _csv("fewer.csv", rows[:9] + rows[10:]))
    page.locator("#upload-more button[name=replace]").click()
    expect(page.locator("#upload-preview")).to_contain_text("Removed1")
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Removed1")


def _workbook(rows: list[dict[str, str]]) -> dict[str, object]:
    book = openpyxl.Workbook()
    for title, shown in (("2023", rows[:2]), ("2024", rows[2:])):
        sheet = book.create_sheet(title)
        sheet.append(["Police of the town"])
        sheet.append([*shown[0], *(["Beat"] if title == "2024" else [])])
        for row in shown:
            sheet.append([*row.values()])
    del book["Sheet"]
    raw = io.BytesIO()
    book.save(raw)
    return {"name": "years.xlsx", "mimeType": XLSX, "buffer": raw.getvalue()}


@pytest.mark.parametrize("width", [1280, 390])
def test_a_sheet_that_is_not_there_is_asked_for(open_seen, width):
    seen = open_seen(width, 844)
    page = seen.open(OPEN)
    rows = [
        row | {"occurred_at": f"2019-09-0{k}T10:00:00Z"}
        for k, row in enumerate(_rows(seen.site, 5), 1)
    ]
    part = page.locator("#columns-part")
    page.click("#columns-part > summary")
    expect(part.locator("[name=part]")).to_be_hidden()
    page.click("#choices > summary")
    part.locator("[name=part]").fill("2025")
    page.set_input_files("#file", _workbook(rows))
    expect(page.locator("#upload-status.bad")).to_contain_text("2023, 2024")
    _forgive(seen, "422")
    expect(part.locator("[name=part]")).to_be_focused()
    assert_accessible(page, "#columns-part")
    part.locator("[name=part]").fill("2024")
    page.click("#send-again")
    preview = page.locator("#upload-preview")
    expect(preview).to_contain_text("Received3")
    expect(preview).to_contain_text("sheet 2023 (not asked for)")
    preview.scroll_into_view_if_needed()
    part.locator("[name=header_row]").fill("1")
    page.click("#send-again")
    expect(page.locator("#upload-status.bad")).to_be_visible()
    _forgive(seen, "422")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390])
def test_choices_are_saved_with_the_columns(open_seen, width):
    seen = open_seen(width, 844)
    page = seen.open(OPEN)
    row = _rows(seen.site, 1)[0]
    at = f"({row['latitude']}, {row['longitude']})"
    title = "Policía del pueblo\n"
    text = f"{title}Cuándo;Dónde;Qué;Cuántos;Id\n2019-08-0{width % 7 + 1} 10:00;{at};robo;3;7\n"
    file = {"name": "a.csv", "mimeType": "text/csv", "buffer": text.encode("cp1252")}
    part = page.locator("#columns-part")
    page.click("#columns-part > summary")
    page.select_option("#mapping", "own:")
    given = {"occurred_at": "Cuándo", "location": "Dónde", "category": "Qué", "count": "Cuántos"}
    for name, column in {**given, "external_id": "-"}.items():
        part.locator(f"[name={name}]").fill(column)
    page.click("#choices > summary")
    for name, value in {
        "encoding": "cp1252",
        "header_row": "2",
        "zone": "UTC",
        "feed": "f",
    }.items():
        part.locator(f"[name={name}]").fill(value)
    part.locator("[name=mapping-name]").fill("pueblo")
    page.click("#save-mapping")
    expect(page.locator("#columns-status.good")).to_contain_text("pueblo")
    page.reload()
    page.click("#columns-part > summary")
    page.select_option("#mapping", "pueblo")
    assert part.locator("[name=external_id]").input_value() == "-"
    assert part.locator("[name=header_row]").input_value() == "2"
    page.set_input_files("#file", file)
    expect(page.locator("#upload-preview")).to_contain_text("location ← Dónde")
    expect(page.locator("#upload-preview")).to_contain_text("Accepted3")
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Accepted3")


@pytest.mark.parametrize(
    ("language", "button"), [("en", "Anytime that day"), ("es", "A cualquier hora")]
)
def test_dates_without_a_time_are_asked_about(open_seen, language, button):
    seen = open_seen()
    page = seen.open(f"{OPEN}&lang={language}")
    day = "2019-07-01" if language == "en" else "2019-07-02"
    rows = [row | {"occurred_at": day} for row in _rows(seen.site, 3)]
    page.set_input_files("#file", _csv("days.csv", rows))
    asked = page.locator("#upload-more button[name=date_only]")
    expect(asked).to_contain_text(button)
    asked.click()
    expect(page.locator("#upload-more button[name=date_only]")).to_have_count(0)
    page.click("#store-upload")
    expect(page.locator("#upload-report dd").nth(1)).to_have_text("3")


def test_both_ends_of_an_interval_are_named(open_seen):
    seen = open_seen()
    page = seen.open(OPEN)
    row = _rows(seen.site, 1)[0]
    sent = {"a": "2019-06-01", "b": "22:00", "c": "2019-06-02", "d": "06:00"}
    sent |= {name: row[name] for name in ("longitude", "latitude", "category")}
    part = page.locator("#columns-part")
    page.click("#columns-part > summary")
    page.select_option("#mapping", "own:")
    for name, column in zip(
        ("occurred_from", "from_clock", "occurred_to", "to_clock"), "abcd", strict=True
    ):
        part.locator(f"[name={name}]").fill(column)
    page.click("#choices > summary")
    part.locator("[name=date_only]").select_option("interval")
    assert_accessible(page, "#columns-part")
    part.locator("[name=mapping-name]").fill("nights")
    page.click("#save-mapping")
    expect(page.locator("#columns-status.good")).to_contain_text("nights")
    page.reload()
    page.click("#columns-part > summary")
    page.select_option("#mapping", "nights")
    assert part.locator("[name=occurred_to]").input_value() == "c"
    assert part.locator("[name=to_clock]").input_value() == "d"
    assert part.locator("[name=date_only]").input_value() == "interval"
    page.set_input_files("#file", _csv("nights.csv", [sent]))
    expect(page.locator("#upload-preview")).to_contain_text("end_time ← d")
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Accepted1")


@pytest.mark.parametrize("order", ["%d/%m/%Y", "%m/%d/%Y"])
def test_the_order_of_day_and_month_is_asked(open_seen, order):
    seen = open_seen()
    page = seen.open(OPEN)
    place = {k: _rows(seen.site, 1)[0][k] for k in ("longitude", "latitude", "category")}
    rows = [{"occurred_at": f"0{day}/03/2019 22:3{day}", **place} for day in range(1, 10)]
    page.set_input_files("#file", _csv("dates.csv", rows))
    asked = page.locator("#upload-more .questions")
    expect(asked).to_contain_text("9 rows would be rejected")
    assert asked.locator("button").all_inner_texts() == ["Day first", "Month first"]
    assert_accessible(page, "#upload-more")
    with page.expect_response(lambda r: "time_format=" in r.url) as got:
        asked.locator(f"button[value='{order}']").click()
    assert got.value.json()["accepted"] == 9
    expect(page.locator("#upload-preview")).to_contain_text("Accepted9")
    expect(page.locator("#upload-preview")).to_contain_text("Rejected0")
    assert page.locator(".questions button").count() == 0
