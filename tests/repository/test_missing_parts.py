"""What a machine lacks is named at the end of a run; any other skip fails it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.missing_parts import PARTS

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = "from tests.support.missing_parts import pytest_sessionfinish, pytest_terminal_summary\n"


@pytest.fixture
def run(tmp_path):
    """Run tests that skip for these reasons; return the exit status and the output."""

    def ran(*reasons, may_skip=None):
        (tmp_path / "conftest.py").write_text(CONFTEST)
        body = "import pytest\ndef test_passes(): pass\n"
        for n, reason in enumerate(reasons):
            body += f"def test_{n}(): pytest.skip({reason!r})\n"
        (tmp_path / "test_it.py").write_text(body)
        settings = {} if may_skip is None else {"HOTSLOT_TESTS_MAY_SKIP": may_skip}
        others = {k: v for k, v in os.environ.items() if k != "HOTSLOT_TESTS_MAY_SKIP"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", tmp_path,
             "-c", os.devnull, tmp_path],
            env={**others, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **settings},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    return ran


def test_a_whole_run_says_nothing(run):
    status, output = run()
    assert status == 0
    assert "NOT TESTED" not in output


def test_what_is_missing_is_named_with_what_to_do(run):
    status, output = run(*(f"{part.reason} here" for part in PARTS.values()))
    assert status == 0
    assert "NOT TESTED ON THIS MACHINE" in output
    for part in PARTS.values():
        assert f"{part.what}: 1 tests skipped. To run them: {part.remedy}." in output


def test_any_other_skip_fails_the_run(run):
    status, output = run("later", "there is no Chromium at /usr/bin/chromium")
    assert status == 1
    assert "UNEXPECTED SKIP of 1 tests: later" in output


def test_continuous_integration_names_what_may_be_missing(run):
    reasons = [PARTS["data"].reason, PARTS["chromium"].reason]
    assert run(*reasons, may_skip="data,chromium")[0] == 0
    status, output = run(*reasons, may_skip="data")
    assert status == 1
    assert f"UNEXPECTED SKIP of 1 tests: {PARTS['chromium'].reason}" in output
    assert run(PARTS["data"].reason, may_skip="")[0] == 1
