"""What an analyst, an ingester and a trainer do about data: reports, columns, the schedule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from app.main import create_app
from tests.support.page_texts import assert_accessible
from tests.support.services.serving import listening
from tests.support.services.site import Site

pytestmark = pytest.mark.browser
SITE = "untrained_site"
OPEN = "?region=town&tab=run"


@pytest.fixture(scope="module")
def untrained_site(chromium_path, engine, settings, town, town_csv) -> Iterator[Site]:
    """A region with incidents and no model; nothing here trains one."""
    with listening(create_app(settings, engine)) as url:
        yield Site(url, town, town_csv)


def test_the_report_of_an_upload_says_what_to_do_and_is_found_again(open_seen):
    seen = open_seen()
    page = seen.open(OPEN)
    header, good = seen.site.csv.read_text().splitlines()[:2]
    row = dict(zip(header.split(","), good.split(","), strict=True))
    fresh = [row | {"occurred_at": f"2019-11-{day:02d}T12:01:00Z"} for day in range(1, 29)]
    wrong = [
        row | {"occurred_at": "1900-01-01T00:00:00Z"},
        row | {"longitude": "0", "latitude": "0"},
    ]
    rows = [",".join(line[name] for name in row) for line in (*fresh, *wrong)]
    body = "\n".join([header, *rows, ""]).encode()
    page.set_input_files("#file", {"name": "m.csv", "mimeType": "text/csv", "buffer": body})
    told = page.locator("#upload-more")
    expect(told).to_contain_text("Rows dated before 1970: 1. Dates such as 1900 are placeholders")
    expect(told).to_contain_text("Rows at 0/0")
    assert "too_old" in told.locator("table.words tbody tr").first.inner_text()
    page.click("#store-upload")
    page.wait_for_selector("#upload-report")
    expect(told).to_contain_text("Rows at 0/0")
    expect(told.locator("svg rect[fill]")).to_have_count(168)
    page.click("#report-part > summary")
    expect(page.locator("#report .figures")).to_contain_text("2 Rejected")
    bars = page.locator("#report svg").first
    assert bars.locator("rect").count() == 12
    assert "most in" in bars.get_attribute("aria-label")
    page.select_option("#report-upload", index=1)
    expect(page.locator("#report .figures")).to_contain_text("28 Accepted")
    assert_accessible(page, "#pane-run")


def test_a_schedule_is_set_shown_and_removed_by_keyboard(open_seen):
    seen = open_seen(390, 844)
    page = seen.open(OPEN)
    page.focus("#schedule-part > summary")
    page.keyboard.press("Enter")
    expect(page.locator("#schedule-part")).to_contain_text("only when somebody asks")
    # The browser itself logs that there is none.
    seen.errors[:] = [line for line in seen.errors if "404" not in line]
    page.select_option("[name=when]", "cron")
    page.fill("[name=cron]", "99 3 * * *")
    page.keyboard.press("Enter")
    expect(page.locator("#schedule-status.bad")).to_contain_text("99 3 * * *")
    seen.errors[:] = [line for line in seen.errors if "422" not in line]
    page.select_option("[name=when]", "weekly")
    page.select_option("[name=day]", "SAT")
    page.fill("[name=time]", "04:05")
    page.fill("[name=new_incidents]", "500")
    page.press("[name=new_incidents]", "Enter")
    expect(page.locator("#schedule-now")).to_contain_text("every week on Sat at 04:05")
    expect(page.locator("#schedule-now")).to_contain_text("after 500 new incidents")
    assert_accessible(page, "#schedule-part")
    page.reload()
    page.click("#schedule-part > summary")
    assert page.input_value("[name=day]") == "SAT"
    page.click("#remove-schedule")
    expect(page.locator("#schedule-part")).to_contain_text("only when somebody asks")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_columns_that_are_not_recognised_are_named_and_kept(open_seen):
    seen = open_seen()
    page = seen.open(OPEN)
    rows = seen.site.csv.read_text().splitlines()[1:4]
    names = seen.site.csv.read_text().splitlines()[0].split(",")
    at, x, y = (names.index(name) for name in ("occurred_at", "longitude", "latitude"))
    lines = ["Tag;Uhr;Ost;Nord"]
    for number, row in enumerate(rows):
        cells = row.split(",")
        lines.append(f"{cells[at][:10]};0{number}:30;{cells[x]};{cells[y]}")
    file = {"name": "wache.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    page.set_input_files("#file", file)
    expect(page.locator("#upload-status.bad")).to_contain_text("not recognised")
    seen.errors[:] = [line for line in seen.errors if "422" not in line]
    part = page.locator("#columns-part")
    expect(part).to_contain_text("In the file: Tag, Uhr, Ost, Nord")
    given = {"occurred_at": "Tag", "clock": "Uhr", "longitude": "Ost", "latitude": "Nord"}
    for name, column in given.items():
        part.locator(f"[name={name}]").fill(column)
    assert_accessible(page, "#columns-part")
    page.click("#send-again")
    expect(page.locator("#upload-preview")).to_contain_text("Nothing is stored yet")
    expect(page.locator("#upload-preview")).to_contain_text("date ← Tag")
    assert_accessible(page, "#upload-preview")
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Accepted3")
    expect(page.locator("#pane-run")).to_contain_text("Nothing stands out")
    part.locator("[name=mapping-name]").fill("wache")
    page.click("#save-mapping")
    expect(page.locator("#columns-status.good")).to_contain_text("wache")
    page.reload()
    page.click("#columns-part > summary")
    page.select_option("#mapping", "wache")
    assert part.locator("[name=clock]").input_value() == "Uhr"
    page.set_input_files("#file", file)
    page.click("#store-upload")
    expect(page.locator("#upload-report")).to_contain_text("Duplicates3")


def test_before_there_is_a_model_the_incidents_are_on_the_map(open_seen):
    seen = open_seen()
    page = seen.open("?region=town")
    expect(page.locator("#total")).to_contain_text("incidents are on the map")
    assert "2,000 of" in page.inner_text("#total")
    page.wait_for_timeout(500)
    shot = page.locator("#map").screenshot()
    pink = page.evaluate(
        """async (bytes) => {
          const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
          const c = new OffscreenCanvas(image.width, image.height).getContext("2d");
          c.drawImage(image, 0, 0);
          const d = c.getImageData(0, 0, image.width, image.height).data;
          let n = 0;
          for (let i = 0; i < d.length; i += 4) if (d[i] > 190 && d[i + 1] < 140 && d[i + 2] > 100) n++;
          return n;
        }""",
        list(shot),
    )
    assert pink > 200
