"""An empty service: the page leads from nothing to a region that waits for incidents."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
SITE = "empty_site"


def test_from_nothing_to_a_region(open_seen):
    seen = open_seen()
    page = seen.open()
    expect(page.locator("#pane-run .notice")).to_contain_text("There is no region yet")
    assert not page.is_visible("#time")
    assert page.evaluate(
        "document.querySelector('#panel').scrollWidth <= document.querySelector('#panel').clientWidth"
    )
    page.fill("#new-region [name=id]", "harbour")
    page.fill("#new-region [name=timezone]", "Europe/Atlantis")
    page.click("#new-region button")
    expect(page.locator("#new-region .bad")).not_to_be_empty()
    # The browser itself logs the refused request.
    seen.errors[:] = [line for line in seen.errors if "422" not in line]
    page.fill("#new-region [name=timezone]", "Europe/Madrid")
    page.click("#new-region button")
    expect(page.locator("#pane-run .notice")).to_contain_text("No incidents yet")
    assert page.is_disabled("#start-training")
    expect(page.locator("#when")).to_contain_text("No model yet")
    assert re.search("region=harbour", page.url)
