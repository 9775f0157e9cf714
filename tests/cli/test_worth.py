"""`hotslot worth` says what the service says."""

from __future__ import annotations

import orjson
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.evaluation.worth.service import region_worth
from tests.support.services.served import served

__all__ = ["served"]


def test_its_lines_are_the_services(served, settings, monkeypatch, tmp_path):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    result = tmp_path / "worth.json"
    words = ["worth", "town", "--delay-days", "28", "--json", str(result)]
    told = CliRunner().invoke(app, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    found = region_worth(served.engine, "town", 28)
    assert orjson.loads(result.read_bytes()) == found
    for verdict in found["typical"]["verdicts"]:
        assert verdict["message"] in told.output
    for note in found["notes"]:
        assert note["message"] in told.output
    row = next(line for line in told.stdout.splitlines() if line.strip(" │").startswith("10,000"))
    mean = 1_000 * found["by_size"][3]["gains"]["places_hits"]["mean"]
    assert f"{mean:+.0f} [" in row


@pytest.mark.parametrize("days", ["-1", "366"])
def test_an_impossible_delay_is_refused(served, settings, monkeypatch, days):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())
    told = CliRunner().invoke(app, ["worth", "town", "--delay-days", days])
    assert told.exit_code != 0
    assert "delay_days must lie within 0..365" in str(told.exception)
