"""The real service with its worker on the synthetic city, and real Chromium in front of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import expect, sync_playwright

from app.main import create_app
from tests.support.services.serving import listening
from tests.support.services.site import Site, trained
from tests.support.simulated.town import draw_town, own_database

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PR_SET_PDEATHSIG = 1
WAIT_MS = 30_000
# What a page waits for takes longer than five seconds where other tests run beside it.
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    return str(CHROMIUM)


@pytest.fixture(scope="module")
def empty_site(chromium_path, engine, settings) -> Iterator[Site]:
    """The service before anything was put in."""
    with listening(create_app(settings, engine)) as url:
        yield Site(url, "", Path())


@pytest.fixture(scope="session")
def site(chromium_path, server_url, tmp_path_factory) -> Iterator[Site]:
    """One for all tests that only look."""
    csv = draw_town(tmp_path_factory.mktemp("page") / "town.csv")
    with (
        own_database(server_url, tmp_path_factory.mktemp("site")) as settings,
        trained(settings, csv) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def changing_site(chromium_path, settings, town_csv) -> Iterator[Site]:
    """One of the module's own, for tests that change what is served."""
    with trained(settings, town_csv) as made:
        yield made


@pytest.fixture(scope="session")
def chromium_address(chromium_path, tmp_path_factory) -> Iterator[str]:
    """One Chromium for all modules: a start takes as long as three tests."""
    config = tmp_path_factory.mktemp("chromium") / "launch.json"
    config.write_text(json.dumps({"executablePath": chromium_path, "args": FLAGS}))
    options = ["launch-server", "--browser", "chromium", "--config", str(config)]
    command = [*compute_driver_executable(), *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_end_with_tests,  # noqa: PLW1509 - one call that takes no lock
    ) as server:
        yield server.stdout.readline().strip()
        server.terminate()


def _end_with_tests() -> None:
    """Have Linux end this process, which ends Chromium, when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@pytest.fixture(scope="module")
def browser(chromium_address):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.connect(chromium_address)
        yield chromium
        chromium.close()


@dataclass
class Seen:
    """A page, and all that went wrong or out of it."""

    page: Any
    site: Site
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, query: str = "") -> Any:
        """The page when its first view is drawn."""
        self.page.goto(f"{self.site.url}/{query}")
        self.page.wait_for_selector("body[data-ready=true]", timeout=WAIT_MS)
        return self.page

    def outside(self) -> list[str]:
        """Requests to anywhere but the service itself."""
        own = (self.site.url, "data:", f"blob:{self.site.url}", *self.site.also)
        return [url for url in self.requests if not url.startswith(own)]


@pytest.fixture
def open_seen(browser, request) -> Iterator:
    """Pages of any size; whatever they do, none may err or ask anyone else."""
    opened: list[tuple[Seen, Any]] = []

    site = request.getfixturevalue(getattr(request.module, "SITE", "site"))

    def new(width: int = 1280, height: int = 800, **options) -> Seen:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="en-US", **options
        )
        context.set_default_timeout(WAIT_MS)
        seen = Seen(context.new_page(), site)
        seen.page.on(
            "console",
            lambda line: seen.errors.append(line.text) if line.type == "error" else None,
        )
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        opened.append((seen, context))
        return seen

    yield new
    for seen, context in opened:
        context.close()
        assert seen.errors == []
        assert seen.outside() == []
