"""The page in Spanish speaks Spanish: on every tab, with all that opens, before and after a training."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.page_texts import EVENING

pytestmark = pytest.mark.browser
SITE = "changing_site"
TABS = ("plan", "forecast", "trust", "run", "take")
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the of and with from are is was were for this that which to by not have than at been its an or it"
        " on be as when where what who how all more most only since until each their they there will would",
    )
)
"""Words without which no English sentence of the service does, and which Spanish does not have."""
SHOWN = """() => {
  const lines = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) {
      const holder = node.parentElement;
      const seen = holder.checkVisibility() || holder.tagName === "OPTION";
      if (seen && !["SCRIPT", "STYLE", "CODE", "PRE"].includes(holder.tagName)) lines.push(node.data);
    } else {
      const names = ["aria-label", "title", "placeholder", "alt"];
      lines.push(...names.map((name) => node.getAttribute(name) ?? ""));
    }
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}"""


def english(page) -> list[str]:
    """Lines of the page, or names of its parts, that have English words."""
    lines = dict.fromkeys(page.evaluate(SHOWN))
    return [line for line in lines if ENGLISH & set(re.findall(r"\w+", line.lower()))]


def open_all(page, pane: str) -> None:
    """Open what can be opened in a pane, and wait for what that fetches."""
    for _ in range(3):
        page.evaluate(
            "pane => document.querySelectorAll(`#pane-${pane} details`).forEach((d) => { d.open = true; })",
            pane,
        )
        page.wait_for_timeout(300)
        page.wait_for_load_state("networkidle")


def found_on_tabs(page) -> dict[str, list[str]]:
    found = {}
    for tab in TABS:
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f"#pane-{tab}:not([hidden]) :is(p, h3)")
        open_all(page, tab)
        if lines := english(page):
            found[tab] = lines
    return found


def test_every_tab_speaks_spanish(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&lang=es")
    expect(page.locator("#total")).to_contain_text("esperados")
    page.click("#top-cells tbody tr:nth-child(2) button")
    expect(page.locator("#card")).to_be_visible()
    assert found_on_tabs(page) == {}
    # The browser itself logs a request for what is not there.
    seen.errors[:] = [line for line in seen.errors if "404" not in line]


def test_a_training_speaks_spanish_from_start_to_end(open_seen):
    seen = open_seen()
    page = seen.open(f"{EVENING}&lang=es")
    page.click("#tab-run")
    page.select_option("#train-model", "pooled-kde")
    page.click("#start-training")
    status = page.locator("#training-status")
    said = []
    while not re.search("Terminado|Falló", status.inner_text()):
        said.append(status.inner_text())
        assert english(page) == []
        page.wait_for_timeout(200)
    expect(status).to_contain_text("Terminado: ")
    expect(status).to_contain_text("en servicio")
    steps = {line.partition("· ")[2] for line in said} - {""}
    assert steps <= {
        "en espera",
        "comenzado",
        "leyendo incidentes",
        "probando con semanas pasadas",
        "aprendiendo",
        "buscando incidentes memorizados",
        "aprendiendo cuántos esperar",
        "guardando la versión",
    }
    assert found_on_tabs(page) == {}
    # The browser itself logs a request for what is not there.
    seen.errors[:] = [line for line in seen.errors if "404" not in line]
