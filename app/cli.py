"""`hotslot`: the command line. Bad input ends in one line on standard error and a non-zero status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import __version__
from app.commands.lazy import lazy_group
from app.domain.access import sees_unreleased
from app.storage.private_files import write_privately

COMMANDS = {
    "serve": (
        "app.commands.service:serve",
        "Serve the HTTP API and the map, with a local worker; what dies is started again.",
    ),
    "worker": (
        "app.commands.worker:worker",
        "Run trainings, backtests and syncs from the queue, and upkeep.",
    ),
    "migrate": ("app.commands.service:migrate_command", "Bring the database's schema up to date."),
    "ingest": (
        "app.commands.data:ingest",
        "Read incidents from files; the same file twice adds nothing.",
    ),
    "sync": (
        "app.commands.syncing:sync",
        "Read a region's sources in this process: what is new or edited since the last time.",
    ),
    "data-report": (
        "app.commands.reporting:report",
        "Tell what is in a region's data: accepted, repeated, rejected, odd times and places.",
    ),
    "train": ("app.commands.training:train", "Train a model in this process and register it."),
    "schedule": (
        "app.commands.operations:schedule",
        "Show or set when a region is trained by itself.",
    ),
    "models": (
        "app.commands.operations:models",
        "List a region's versions, promote one, or go back to the champion before.",
    ),
    "status": (
        "app.commands.operations:status",
        "Regions, champions, queue, workers and alarms at a glance.",
    ),
    "forecast": (
        "app.commands.forecasting:forecast",
        "Forecast one slot; the output's suffix tells the format of a density.",
    ),
    "backtest": (
        "app.commands.backtesting:backtest",
        "Compare models: train before each origin, score the days after it.",
    ),
    "paper-table": (
        "app.commands.paper:paper_table",
        "The study's Table 1: one flow, KDE and GMM per hour of the week, and what pooling gives.",
    ),
    "fairness-report": (
        "app.commands.responsible:fairness",
        "Whom the flagged area falls on, by neighbourhood, per head and between groups.",
    ),
    "model-card": (
        "app.commands.responsible:card",
        "A version's card: data, limits, evaluation, whom it falls on, prohibited uses.",
    ),
    "erase": (
        "app.commands.responsible:erase",
        "Erase an incident or an upload for good; dependent versions are marked and replaced.",
    ),
    "demo": (
        "app.commands.demo:demo",
        "Create a region, ingest, compare the models on the last 28 days, retrain, serve.",
    ),
    "region create": ("app.commands.data:create", "Create a region."),
    "region list": ("app.commands.data:list_all", "List the regions."),
    "region layer": (
        "app.commands.responsible:layer",
        "Give a region's neighbourhoods their residents and groups, or take them away.",
    ),
    "region policy": (
        "app.commands.responsible:policy",
        "Show, change or remove what a region's models learn from.",
    ),
    "mapping list": ("app.commands.mappings:list_all", "List a region's column mappings."),
    "mapping remove": (
        "app.commands.mappings:remove",
        "Remove a column mapping; the incidents that it brought stay.",
    ),
    "source add": (
        "app.commands.syncing:add",
        "Keep a source; reading it is `hotslot sync`, or a worker's with --every-hours.",
    ),
    "source list": (
        "app.commands.syncing:list_all",
        "A region's sources: how far each is read, and when next.",
    ),
    "source remove": (
        "app.commands.syncing:remove",
        "Remove a source; the incidents that it brought stay.",
    ),
    "source presets": (
        "app.commands.syncing:presets",
        "The cities that are known by name, with the licence of each.",
    ),
    "key create": (
        "app.commands.access:create",
        "Make a key and print it, this once. The first key ends access without one.",
    ),
    "key list": ("app.commands.access:list_all", "List the keys; their secrets are kept nowhere."),
    "key rotate": (
        "app.commands.access:rotate",
        "Give a key a new secret and print it, this once.",
    ),
    "key revoke": (
        "app.commands.access:revoke",
        "End a key for good; services notice within seconds.",
    ),
    "audit list": ("app.commands.access:newest", "Show the newest entries."),
    "audit head": (
        "app.commands.access:head",
        "Print every chain's last entry: keep it elsewhere, as an anchor for `verify`.",
    ),
    "audit verify": (
        "app.commands.access:verify",
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
        from app.commands.failures import exit_status

        status = exit_status(error)
        if status is None:
            raise
        sys.exit(status)


if __name__ == "__main__":
    main()
