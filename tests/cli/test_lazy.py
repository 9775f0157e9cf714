"""The command line imports a command when it is run or explained, and nothing of it before."""

import inspect
import subprocess
import sys

import pytest

from app.cli import LazyCommand
from app.cli.commands import COMMANDS, GROUPS
from app.cli.console import exit_status

CONTRACT = {
    "demo", "serve", "worker", "migrate", "region create", "ingest", "train", "forecast", "backtest",
    "paper-table",
}  # fmt: skip
"""Of the design's section on the command line; commands of this set never go."""
FURTHER = {
    "briefing", "region list", "region layer", "region policy", "region streets", "mapping list",
    "mapping remove", "sync", "source add", "source list",
    "source remove", "source presets", "data-report", "schedule", "models", "status",
    "fairness-report", "model-card", "erase", "key create", "key list", "key rotate", "key revoke",
    "audit list", "audit head", "audit verify", "region edit", "region remove", "categories show",
    "presence add", "presence list", "presence exposure", "presence erase",
    "subscription add", "subscription list", "subscription remove", "subscription rotate",
    "subscription test", "subscription deliveries", "subscription retry",
    "register file", "register list", "register show", "register export", "register verify",
    "assimilate", "evaluate", "worth", "contest", "doctor",
    "categories alias", "categories group", "categories weight",
}  # fmt: skip
HEAVY = (
    "alembic", "fastapi", "geopandas", "httpx", "matplotlib", "numpy", "pandas", "psycopg", "pyarrow",
    "rasterio", "scipy", "shapely", "sklearn", "sqlalchemy", "torch",
)  # fmt: skip


def heavy_after(*arguments):
    """Which heavy modules, and modules of commands, a call of `hotslot` has imported at its end."""
    code = f"""
import atexit, sys
from app.cli import main
atexit.register(lambda: print("imported", *(
    m for m in sys.modules
    if m in {HEAVY} or m.startswith("app.cli.") and m != "app.cli.commands"
)))
sys.argv = ["hotslot", *{arguments}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *output, last = done.stdout.splitlines()
    assert output
    return last.split()[1:]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([g, "--help"] for g in GROUPS)])
def test_help_and_version_import_nothing_heavy(arguments):
    assert heavy_after(*arguments) == []


@pytest.mark.slow
def test_a_commands_own_help_imports_that_command_alone():
    imported = heavy_after("migrate", "--help")
    assert "app.cli.serve" in imported
    assert {"app.cli.training", "app.cli.worker", "torch", "pandas"}.isdisjoint(imported)


def test_the_commands_are_those_of_the_contract_and_the_known_ones():
    assert set(COMMANDS) == CONTRACT | FURTHER
    assert {name.split()[0] for name in COMMANDS if " " in name} == set(GROUPS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_entry_leads_to_a_command_that_says_the_same_of_itself(name):
    target, summary = COMMANDS[name]
    command = LazyCommand(name.split()[-1], target, summary).load()
    assert command.name == name.split()[-1]
    assert inspect.getdoc(command.callback).splitlines()[0] == summary


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["train"], 2, "error region: give either a region or --due\n"),
        (
            ["schedule", "x", "--off", "--on-drift"],
            2,
            "error off: --off cannot be combined with other options\n",
        ),
    ],
)
def test_a_refusal_is_one_line_and_no_traceback(arguments, status, said):
    command = [sys.executable, "-m", "app.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_a_defect_is_not_explained_away(capsys):
    assert exit_status(ZeroDivisionError()) is None
    assert capsys.readouterr() == ("", "")
