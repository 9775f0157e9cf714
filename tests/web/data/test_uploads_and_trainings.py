"""Uploads, trainings and promotions by the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING

pytestmark = pytest.mark.browser
SITE = "changing_site"
TRAINING_MS = 150_000


def test_upload_training_to_the_end_and_promotion(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=run")
    lines = seen.site.csv.read_text().splitlines()
    place = lines[0].split(",")
    fresh = dict(zip(place, lines[1].split(","), strict=True)) | {
        "occurred_at": "2019-12-31T23:30:00Z"
    }
    body = "\n".join([lines[0], lines[1], ",".join(fresh[name] for name in place), ""])
    page.set_input_files(
        "#file", {"name": "more.csv", "mimeType": "text/csv", "buffer": body.encode()}
    )
    page.click("#store-upload")
    page.wait_for_selector("#upload-report")
    told = page.inner_text("#upload-report")
    assert re.search(r"Received\s+2\s+Accepted\s+1\s+Duplicates\s+1\s+Rejected\s+0", told)
    page.select_option("#train-model", "pooled-kde")
    page.uncheck("#validate")
    page.click("#start-training")
    # The worker may still be starting, and starts a process for the training.
    page.wait_for_selector("#training-status:is(.good, .bad)", timeout=TRAINING_MS)
    assert "Finished" in page.inner_text("#training-status")
    expect(page.locator(".models li")).to_have_count(2)
    assert "Finished" in page.inner_text("#training-status")
    version = page.get_attribute(".models li:not(:has(.badge))", "title")
    page.click(".models button")
    expect(page.locator("#models-status")).to_contain_text(version)
    assert page.get_attribute(".models li:has(.badge)", "title") == version
    page.click("#rollback")
    expect(page.locator("#models-status")).to_contain_text("Rolled back")
    assert page.get_attribute(".models li:has(.badge)", "title") != version


def test_an_upload_that_cannot_be_read_says_why(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&tab=run")
    bad = {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"colour,size\nred,3\n"}
    page.set_input_files("#file", bad)
    page.wait_for_selector("#upload-status.bad")
    assert "occurred_at" in page.inner_text("#upload-status")
    # The browser itself logs the refused request.
    seen.errors[:] = [line for line in seen.errors if "422" not in line and "400" not in line]
