"""`hotslot`: the command line. Bad input ends in one line on standard error and a non-zero status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import DataError

from app import __version__
from app.commands import (
    access,
    backtesting,
    data,
    demo,
    forecasting,
    mappings,
    operations,
    paper,
    reporting,
    responsible,
    service,
    syncing,
    training,
)
from app.commands.common import complain
from app.config import Settings
from app.domain.errors import HotslotError, InvalidInput
from app.storage.private_files import write_privately

app = typer.Typer(
    name="hotslot",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
region_app = typer.Typer(help="Regions: study area, time zone, cell size.", no_args_is_help=True)
app.add_typer(region_app, name="region")

service.add_to(app)
data.add_to(app, region_app)
mappings.add_to(app)
syncing.add_to(app)
reporting.add_to(app)
training.add_to(app)
operations.add_to(app)
forecasting.add_to(app)
backtesting.add_to(app)
paper.add_to(app)
responsible.add_to(app, region_app)
demo.add_to(app)
access.add_to(app)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        # Eager: before the parser misses a command.
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Forecasts where crime concentrates in which hour of the week."""


def main() -> None:
    """Entry point of the `hotslot` command."""
    write_privately()
    try:
        app()
    except InvalidInput as error:
        place = f"{error.field}: " if error.field else ""
        complain(f"{place}{error.message}")
        sys.exit(2)
    except HotslotError as error:
        complain(error.message)
        sys.exit(1)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        # By name and reason alone: a value may be a secret.
        for fault in error.errors(include_url=False, include_input=False):
            reason = fault["msg"].removeprefix("Value error, ")
            if fault["loc"]:  # none of what the settings say together
                name, *within = (str(part) for part in fault["loc"])
                reason = f"{'.'.join([f'HOTSLOT_{name.upper()}', *within])}: {reason}"
            complain(reason)
        sys.exit(2)
    except (DataError, UnicodeError):
        complain("a value is out of range, or holds characters that cannot be stored")
        sys.exit(2)
    except SettingsError as error:
        complain(f"settings: {error}")
        sys.exit(2)


if __name__ == "__main__":
    main()
