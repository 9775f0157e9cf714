"""One real PostgreSQL for the whole run, a fresh database for every module that asks."""

from __future__ import annotations

import gc
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    # Test processes run side by side: more threads than cores make small fits ten times slower.
    os.environ.setdefault(_name, "1")
# Else each process that tests start compiles the application anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from app.core.db.engine import open_engine
from app.core.devserver.server import ensure_running, release
from app.core.roles import sees_unreleased
from app.core.settings import Settings
from tests.support.databases.lost_clusters import remove_lost_clusters
from tests.support.forked_pools import forked_pools, new_pools
from tests.support.forked_readers import forked_readers, new_readers
from tests.support.missing_parts import pytest_sessionfinish, pytest_terminal_summary
from tests.support.simulated.town import add_town, draw_town, own_database

__all__ = [
    "forked_pools",
    "new_pools",
    "new_readers",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

collect_ignore = ["platforms", "rehearsal", "resilience", "support"]
"""`make platforms`, `make rehearse`, `make drills`, and what tests import."""
if os.environ.get("HOTSLOT_ECOSYSTEM") != "1":
    collect_ignore.append("ecosystem")  # `make ecosystem`

LONG = frozenset(("web", "end_to_end"))
"""Folders of tests with browsers and services: slow, but for `QUICK`."""
QUICK = frozenset(
    (
        "test_contract.py",
        "test_database_away.py",
        "test_service_messages.py",
    )
)
"""Their modules that `make test` runs: no part of the product is without a test there."""

# A loaded machine may take any time for one example.
hypothesis.settings.register_profile("hotslot", deadline=None)
hypothesis.settings.load_profile("hotslot")

# Tests call services as the command line does; requests to the API say what they may see themselves.
sees_unreleased.set(True)


@pytest.hookimpl(tryfirst=True)  # before those are left out that a run does not want
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with them at the end."""
    for item in items:
        if LONG.intersection(item.path.parts) and item.path.name not in QUICK:
            item.add_marker("slow")
    items.sort(key=lambda item: 0 if LONG.intersection(item.path.parts) else 1)


def pytest_collection_finish() -> None:
    """Exclude all modules and tests from garbage collections, which took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def readers() -> Iterator[None]:
    """Reader processes start quickly; modules that test their start use `new_readers`."""
    with forked_readers():
        yield


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory):
    """A superuser's address of the server on which modules get their databases."""
    if url := os.environ.get("HOTSLOT_TESTS_DATABASE_URL"):
        yield url
        return
    home = tmp_path_factory.mktemp("home")
    remove_lost_clusters()
    yield ensure_running(home)
    release(home)
    remove_lost_clusters(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def settings(server_url: str, tmp_path_factory: pytest.TempPathFactory):
    """Settings on a database of this module's own, migrated."""
    with own_database(server_url, tmp_path_factory.mktemp("work")) as made:
        yield made


@pytest.fixture(scope="module")
def engine(settings: Settings):
    opened = open_engine(settings)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def town_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of the synthetic city, 14 incidents a day."""
    return draw_town(tmp_path_factory.mktemp("data") / "town.csv")


@pytest.fixture(scope="module")
def town(engine, settings: Settings, town_csv: Path) -> str:
    """A region with the synthetic city's boundary and incidents."""
    return add_town(engine, settings, town_csv)
