"""The command line by itself: its version and its help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app import __version__
from app.cli import app, main

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_version():
    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0
    assert told.stdout.strip() == __version__


def test_help_says_what_it_is():
    assert "which hour of the week" in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOTSLOT_PAGE_TILES_URL", "https://tiles.example/x.png"),
        ("HOTSLOT_PORT", "harbour"),
        ("HOTSLOT_PORT", "123456"),
        ("HOTSLOT_WORKERS", "-5432"),
        ("HOTSLOT_DATABASE_TIMEOUT_S", "nan"),
        ("HOTSLOT_MAX_BODY_BYTES", "-98765"),
        ("HOTSLOT_SYNC_TICK_S", "1e308"),
        ("HOTSLOT_AUDIT_READS_EVERY_S", "-inf"),
        ("HOTSLOT_REQUEST_THREADS", "-12345"),
        ("HOTSLOT_MAINTENANCE_CRON", "every so often"),
        ("HOTSLOT_ALLOWED_HOSTS", "map.example"),
    ],
)
def test_a_wrong_setting_is_one_line_without_its_value(monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["hotslot", "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert name.removeprefix("HOTSLOT_").lower() in told.lower()
    assert value not in told


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help(name):
    told = CliRunner().invoke(app, [name, "--help"])
    assert told.exit_code == 0
    assert "Usage:" in told.stdout


def test_one_version_number_everywhere():
    root = Path(__file__).parents[2]
    places = {
        "CITATION.cff": r'^version: "(.+)"$',
        "CHANGELOG.md": r"^## (\S+)",
        "client/hotslot_client/__init__.py": r'^__version__ = "(.+)"$',
        "docs/kubernetes/kustomization.yaml": r'newTag: "(.+)"',
    }
    for name, pattern in places.items():
        found = re.search(pattern, (root / name).read_text(), re.MULTILINE)
        assert found, name
        assert found[1] == __version__, name
