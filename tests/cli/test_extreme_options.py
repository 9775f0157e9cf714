"""Every option of every command at its extremes: served or refused in a line, never a traceback."""

import io
import sys
from collections import Counter

import pytest
import typer

from app.cli import app, main
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

COMMANDS = typer.main.get_command(app)
NUMBERS = ["-1", "nan", "1e308", "9223372036854775808"]
TEXTS = ["9999-12-31T23:59:59-23:59", "\x1b[31m[red]\udcff"]
BASE = {
    "backtest": ["town", "--models", "uniform", "--n-origins", "1"],
    "data-report": ["town"], "fairness-report": ["town"], "model-card": ["town"],
    "erase": ["town", "none"], "forecast": ["town", "density", "--at", "2019-12-31T23:00"],
    "forecast samples": ["town", "samples", "--at", "2019-12-31T23:00"],
    "forecast hotspots": ["town", "hotspots", "--at", "2019-12-31T23:00"],
    "ingest": ["town", "-"], "key create": ["k", "--role", "reader"], "key rotate": ["none"],
    "key revoke": ["none"], "audit list": [], "models": ["town"], "schedule": ["town"],
    "region create": ["made", "--timezone", "UTC"], "region policy": ["town"],
    "region layer": ["town", "--population", "none.csv"], "status": [], "sync": ["town"],
    "source add": ["town", "--kind", "file", "--url", "https://a.example/x.csv"],
    "source list": ["town"], "source remove": ["town", "none"],
    "train": ["town", "--model", "uniform", "--no-validate"],
    "worth": ["town"], "presence list": ["town"], "presence erase": ["town"], "presence exposure": ["town"],
    "subscription add": ["town", "x", "files", "--on", "shift"], "subscription list": ["town"],
    "subscription deliveries": ["town", "none"], "subscription rotate": ["town", "none"],
    "register list": ["town"], "register show": ["town", "2019-12-31"], "register file": ["town"],
    "register export": ["town"], "register verify": ["town"],
}  # fmt: skip
FILES = {
    *("json_file", "output", "plot", "calibration", "report", "html", "figure", "boundary"),
    *("population", "anchor", "files"),
}


def options():
    for name, base in BASE.items():
        command = COMMANDS
        for part in name.split():
            command = getattr(command, "commands", {}).get(part, command)
        command = command.load()
        kinds = [
            p
            for p in command.params
            if p.name not in FILES and p.type_descriptor.annotation is not bool
        ]
        for parameter in kinds:
            yield name, command.name, base, parameter


@pytest.fixture(scope="module")
def home(engine, settings, town):
    run = run_now(
        engine, settings, town, TrainingRequest("uniform", validate=False), lambda *_: None
    )
    assert run.status == "succeeded", run.message
    return settings


def run(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["hotslot", *arguments])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n1\n")))
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def values_for(parameter, times):
    """All values where an option's name is met first; elsewhere one, each time another."""
    times[parameter.name] += 1
    values = NUMBERS if parameter.type_descriptor.annotation in (int, float) else TEXTS
    again = times[parameter.name] - 1
    return [values[again % len(values)]] if again else values


@pytest.mark.slow
def test_options_at_their_extremes(home, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOTSLOT_HOME", str(home.home))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", home.database_url.get_secret_value())
    monkeypatch.chdir(tmp_path)
    faults, times = [], Counter()
    for name, own, base, parameter in options():
        for value in values_for(parameter, times):
            path = ["forecast"] if own == "forecast" else name.split()
            if parameter.param_type_name == "argument":
                arguments = [*path, value, *base[1:]]
            else:
                arguments = [*path, *base, parameter.opts[0], value]
            try:
                code = run(monkeypatch, arguments)
            except BaseException as error:
                faults.append((name, parameter.name, value[:30], repr(error)[:90]))
                continue
            told = capsys.readouterr()
            if code not in (0, 1, 2) or "\x1b" in told.out + told.err or "Traceback" in told.err:
                faults.append((name, parameter.name, value[:30], code))
    assert faults == []
