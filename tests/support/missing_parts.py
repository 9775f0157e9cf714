"""Say at the end of a test run what it could not test and how to get it; fail on any other skip.

`HOTSLOT_TESTS_MAY_SKIP` (set by `.ci/run`) names the parts that may be missing; without it all may.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Part:
    """Something that tests need and a machine may lack.

    Args:
        reason: how the reason of its skips begins.
        what: what is not tested without it.
        remedy: how to get it.
    """

    reason: str
    what: str
    remedy: str


PARTS = {
    "chromium": Part(
        "there is no Chromium",
        "the page in a browser",
        "install Chromium (apt-get install chromium), or name its path in CHROMIUM",
    ),
    "pgbouncer": Part(
        "PgBouncer IS NOT TESTED",
        "a database behind PgBouncer",
        "install PgBouncer (apt-get install pgbouncer)",
    ),
    "nginx": Part(
        "there is no nginx",
        "the service behind a proxy",
        "install nginx (apt-get install --no-install-recommends nginx-light)",
    ),
    "gdal": Part(
        "there is no ogr2ogr",
        "GDAL's drivers of OGC API",
        "install GDAL's programs (apt-get install gdal-bin)",
    ),
    "owslib": Part(
        "there is no OWSLib",
        "OWSLib's clients of OGC API",
        "install it in the virtual environment (pip install owslib)",
    ),
    "qgis": Part(
        "there is no QGIS",
        "QGIS's providers, the project file and the styles",
        "install QGIS's Python (apt-get install --no-install-recommends python3-qgis qgis-providers)",
    ),
    "r": Part(
        "there is no R",
        "the recipes for R",
        "install R (apt-get install --no-install-recommends r-cran-sf r-cran-httr2 r-cran-jsonlite)",
    ),
    "data": Part(
        "the shared data is not here",
        "files of real cities",
        "name the folder that holds data/ in HOTSLOT_SHARED",
    ),
    "root": Part("only root", "files of other users of the machine", "run the tests as root"),
}


def reasons_of(reports: list[pytest.TestReport]) -> Counter[str]:
    """Return how many tests were skipped for each reason."""
    found: Counter[str] = Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found[reason.removeprefix("Skipped: ")] += 1
    return found


def unexpected(reasons: Counter[str]) -> list[str]:
    """Return the reasons of skips that no part explains, or whose part may not be missing."""
    named = os.environ.get("HOTSLOT_TESTS_MAY_SKIP")
    may = PARTS if named is None else {n: PARTS[n] for n in named.split(",") if n}
    allowed = tuple(part.reason for part in may.values())
    return [reason for reason in reasons if not reason.startswith(allowed or "\x00")]


def _skipped(config: pytest.Config) -> Counter[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reasons_of(reporter.stats.get("skipped", []) if reporter else [])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that passed but skipped what it should not."""
    if exitstatus == pytest.ExitCode.OK and unexpected(_skipped(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was not tested, why, and what to do about it."""
    if terminalreporter.config.option.markexpr == "not slow":
        terminalreporter.section("LEFT OUT", sep="!", bold=True)
        terminalreporter.line(
            "slow tests (the page in Chromium, whole services, long fits): `make test-slow` runs them."
        )
    reasons = _skipped(terminalreporter.config)
    if not reasons:
        return
    terminalreporter.section("NOT TESTED ON THIS MACHINE", sep="!", red=True, bold=True)
    for part in PARTS.values():
        n = sum(count for reason, count in reasons.items() if reason.startswith(part.reason))
        if n:
            terminalreporter.line(f"{part.what}: {n} tests skipped. To run them: {part.remedy}.")
    for reason in unexpected(reasons):
        terminalreporter.line(f"UNEXPECTED SKIP of {reasons[reason]} tests: {reason}", red=True)
