"""Settings and the documentation name the same environment variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OF_NO_SETTING = {
    "SECRETS_DIR",
    "SHARED",
    "DOCS_PICTURES",
    "URL",  # of the client's examples
    "KEY",
    "BENCH_READERS",
    "BENCH_REGIONS",
    "BENCH_ROWS",
    "BENCH_SECONDS",
    "BENCH_TRAININGS",
    "BENCH_THINK_S",
    "BENCH_WARM_S",
    "BENCH_CELLS",
    "BENCH_CITIES",
    "BENCH_HOME",
    "BENCH_REPEATS",
    "BENCH_MAX_INCIDENTS",
    "BENCH_MODELS",
    "BENCH_ORIGINS",
    "BENCH_OUT",
    "DRILL_REPEATS",
    "TESTS_DATABASE_URL",
}


@pytest.fixture(scope="module")
def told() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_told(told, name):
    # In the table of limits without the prefix, in running text by its small name, too.
    assert re.search(rf"HOTSLOT_{name.upper()}\b|`{name.upper()}`|`{name}`", told), name


def test_what_is_told_is_a_setting(told):
    named = set(re.findall(r"HOTSLOT_([A-Z_]*[A-Z])\b", told)) - OF_NO_SETTING
    assert named - {"SYNC"} <= {name.upper() for name in Settings.model_fields}
