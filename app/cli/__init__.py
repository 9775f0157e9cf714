"""`hotslot`: the command line. Bad input ends in one line on standard error and a non-zero status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli.lazy import lazy_group
from app.core.private_files import write_privately
from app.core.roles import sees_unreleased

COMMANDS = {
    "serve": (
        "app.cli.serve:serve",
        "Serve the HTTP API and the map, with a local worker; what dies is started again.",
    ),
    "worker": (
        "app.cli.worker:worker",
        "Run trainings, backtests and syncs from the queue, and upkeep.",
    ),
    "migrate": ("app.cli.serve:migrate_command", "Bring the database's schema up to date."),
    "ingest": (
        "app.cli.incidents:ingest",
        "Read incidents from files; the same file twice adds nothing.",
    ),
    "sync": (
        "app.cli.sync:sync",
        "Read a region's sources in this process: what is new or edited since the last time.",
    ),
    "data-report": (
        "app.cli.data_quality:report",
        "Tell what is in a region's data: accepted, repeated, rejected, odd times and places.",
    ),
    "train": ("app.cli.training:train", "Train a model in this process and register it."),
    "schedule": (
        "app.cli.monitoring:schedule",
        "Show or set when a region is trained by itself.",
    ),
    "models": (
        "app.cli.monitoring:models",
        "List a region's versions, promote one, or go back to the champion before.",
    ),
    "status": (
        "app.cli.monitoring:status",
        "Regions, champions, queue, workers and alarms at a glance.",
    ),
    "forecast": (
        "app.cli.forecasts:forecast",
        "Forecast one slot; the output's suffix tells the format of a density.",
    ),
    "backtest": (
        "app.cli.backtests:backtest",
        "Compare models: train before each origin, score the days after it.",
    ),
    "paper-table": (
        "app.cli.paper:paper_table",
        "The study's Table 1: one flow, KDE and GMM per hour of the week, and what pooling gives.",
    ),
    "fairness-report": (
        "app.cli.responsible_use:fairness",
        "Whom the flagged area falls on, by neighbourhood, per head and between groups.",
    ),
    "model-card": (
        "app.cli.responsible_use:card",
        "A version's card: data, limits, evaluation, whom it falls on, prohibited uses.",
    ),
    "erase": (
        "app.cli.responsible_use:erase",
        "Erase an incident or an upload for good; dependent versions are marked and replaced.",
    ),
    "demo": (
        "app.cli.demo:demo",
        "Create a region, ingest, compare the models on the last 28 days, retrain, serve.",
    ),
    "region create": ("app.cli.incidents:create", "Create a region."),
    "region list": ("app.cli.incidents:list_all", "List the regions."),
    "region layer": (
        "app.cli.responsible_use:layer",
        "Give a region's neighbourhoods their residents and groups, or take them away.",
    ),
    "region policy": (
        "app.cli.responsible_use:policy",
        "Show, change or remove what a region's models learn from.",
    ),
    "mapping list": ("app.cli.mappings:list_all", "List a region's column mappings."),
    "mapping remove": (
        "app.cli.mappings:remove",
        "Remove a column mapping; the incidents that it brought stay.",
    ),
    "source add": (
        "app.cli.sync:add",
        "Keep a source; reading it is `hotslot sync`, or a worker's with --every-hours.",
    ),
    "source list": (
        "app.cli.sync:list_all",
        "A region's sources: how far each is read, and when next.",
    ),
    "source remove": (
        "app.cli.sync:remove",
        "Remove a source; the incidents that it brought stay.",
    ),
    "source presets": (
        "app.cli.sync:presets",
        "The cities that are known by name, with the licence of each.",
    ),
    "key create": (
        "app.cli.access:create",
        "Make a key and print it, this once. The first key ends access without one.",
    ),
    "key list": ("app.cli.access:list_all", "List the keys; their secrets are kept nowhere."),
    "key rotate": (
        "app.cli.access:rotate",
        "Give a key a new secret and print it, this once.",
    ),
    "key revoke": (
        "app.cli.access:revoke",
        "End a key for good; services notice within seconds.",
    ),
    "audit list": ("app.cli.access:newest", "Show the newest entries."),
    "audit head": (
        "app.cli.access:head",
        "Print every chain's last entry: keep it elsewhere, as an anchor for `verify`.",
    ),
    "audit verify": (
        "app.cli.access:verify",
        "Check the log; status 1 when an entry was changed, removed or moved.",
    ),
}
"""Where each command is and what its help lists; nothing of it is imported before it is run."""
GROUPS = {
    "region": "Regions: study area, time zone, cell size.",
    "mapping": "Column mappings of a region.",
    "source": "Open-data sources of a region's incidents.",
    "key": "API keys.",
    "audit": "The audit log.",
}

app = typer.Typer(
    name="hotslot",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _help in GROUPS.items():
    _group = typer.Typer(cls=lazy_group(COMMANDS, f"{_name} "), help=_help, no_args_is_help=True)
    app.add_typer(_group, name=_name)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        # Eager: before the parser misses a command.
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Forecasts where crime concentrates in which hour of the week."""


def main() -> None:
    """Entry point of the `hotslot` command."""
    write_privately()
    sees_unreleased.set(True)
    try:
        app()
    except Exception as error:
        # Only here: it imports libraries that help and version do without.
        from app.cli.failures import exit_status

        status = exit_status(error)
        if status is None:
            raise
        sys.exit(status)


if __name__ == "__main__":
    main()
