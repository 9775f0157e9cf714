"""`hotslot register`: a day is filed, shown, exported and verified; what was altered ends with status 1."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import app, main
from app.training.service import TrainingRequest
from app.worker.jobs import run_now


@pytest.fixture
def run(settings, monkeypatch):
    """Runs a command; answers its status and what it prints."""
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def done(*words: str) -> tuple[int, str]:
        told = CliRunner().invoke(app, list(words), catch_exceptions=False)
        return told.exit_code, told.stdout

    return done


@pytest.fixture
def fail(run, monkeypatch, capsys):
    """Runs a command that is to fail; answers its status and its line."""

    def done(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["hotslot", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return done


@pytest.mark.slow
def test_a_day_is_filed_shown_exported_and_verified(engine, settings, town, run, fail, tmp_path):
    assert fail("register", "file", town)[0] == 1  # no champion yet
    request = TrainingRequest("uniform", validate=False)
    assert run_now(engine, settings, town, request, lambda *_: None).status == "succeeded"
    status, told = run("register", "file", town)
    assert status == 0
    day = told.split(":")[0]
    status, again = fail("register", "file", town)
    assert status == 1
    assert "the first one stands" in again
    assert fail("register", "file", town, "--day", "2019-12-01")[0] == 1
    assert fail("register", "file", town, "--day", "tomorrow")[0] == 2
    listed = json.loads(run("register", "list", town, "--json")[1])
    assert listed["filed"] == 1
    assert listed["entries"][0]["day"] == day
    assert "1 days filed, 0 scored" in run("register", "list", town)[1]
    shown = json.loads(run("register", "show", town, day)[1])
    assert len(shown["lists"]) == 8
    assert fail("register", "show", town, "2019-12-01")[0] == 1
    file = tmp_path / "register.ndjson"
    assert run("register", "export", town, "-f", "ndjson", "-o", str(file))[0] == 0
    assert json.loads(file.read_text())["forecast"] == shown["forecast"]
    assert run("register", "export", town)[1].count("\n") == 2
    status, told = run("register", "verify")
    assert status == 0
    assert "1 forecasts and 0 scores" in told
    assert run("register", "verify", town)[0] == run("audit", "verify")[0] == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE register_entries SET expected = expected + 1"))
    assert run("register", "verify", town)[0] == run("audit", "verify")[0] == 1
