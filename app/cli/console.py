"""Console, database access, progress bars and error messages of all commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TimeElapsedColumn,
)
from rich.text import Text
from sqlalchemy import Engine
from sqlalchemy.exc import DataError

from app.core.db.engine import open_engine
from app.core.db.schema import migrate, schema_is_current
from app.core.errors import HotslotError, InvalidInput, Unavailable
from app.core.output.plain_text import json_for_terminals, on_one_line
from app.core.settings import Settings
from app.core.texts import shortened
from app.core.zones import localised


class PlainConsole(Console):
    """A console that prints text literally: no markup, no emoji codes, no terminal escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render text with visible control characters."""
        return super().render_str("\n".join(map(on_one_line, text.split("\n"))), **options)


console = PlainConsole(stderr=True)
"""Progress and messages; results go to standard output."""
FILE_COLUMNS = 140


def say(text: str) -> None:
    """Print a line of any length to standard output."""
    PlainConsole().print(on_one_line(text), soft_wrap=True)


def complain(text: str, kind: str = "error") -> None:
    """Print an error or a warning of any length to standard error."""
    style = "red" if kind == "error" else "yellow"
    console.print(Text(kind, style=style), on_one_line(text), soft_wrap=True)


def echo_json(value: Any) -> None:
    """Print a value as JSON that is safe for terminals."""
    typer.echo(json_for_terminals(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


class _Description(ProgressColumn):
    """Description of a bar, as plain text."""

    def render(self, task: Task) -> Text:
        return Text(on_one_line(task.description))


def results() -> Console:
    """Return standard output for tables, as wide as the terminal or `FILE_COLUMNS`."""
    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=FILE_COLUMNS)


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """Open an engine on a current schema; migrate that of the embedded server.

    Raises:
        Unavailable: an external database needs `hotslot migrate` first.
    """
    engine = open_engine(settings)
    try:
        with engine.connect() as connection:
            current = schema_is_current(connection)
        if not current:
            if settings.database_url is not None:
                raise Unavailable("the database's schema is not current: run `hotslot migrate`")
            migrate(engine)
        yield engine
    finally:
        engine.dispose()


def progress_bar() -> Progress:
    """Create the progress bar of long commands."""
    return Progress(
        SpinnerColumn(),
        _Description(),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@contextmanager
def progress_of(title: str) -> Iterator[Callable[[float, str], None]]:
    """Show a bar that follows (share, message) callbacks."""
    with progress_bar() as bar:
        task = bar.add_task(title, total=1.0)

        def update(share: float, message: str) -> None:
            bar.update(task, completed=share, description=f"{title}: {message}"[:100])

        yield update
        bar.update(task, completed=1.0, description=title)


def parse_time(value: str, timezone: str, field: str) -> datetime:
    """Parse an RFC 3339 time; without an offset it is local to the region.

    Raises:
        InvalidInput: the value is not such a time.
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidInput(
            f"{field} must be an RFC 3339 time, got {shortened(value)}", field=field
        ) from error
    return localised(moment, timezone)


def exit_status(error: Exception) -> int | None:
    """Print the message of an expected error and return the exit status; None for other errors."""
    match error:
        case InvalidInput():
            place = f"{error.field}: " if error.field else ""
            complain(f"{place}{error.message}")
        case HotslotError():
            complain(error.message)
            return 1
        case ValidationError() if error.title == Settings.__name__:
            for fault in settings_faults(error):
                complain(fault)
        case DataError() | UnicodeError():
            complain("a value is out of range, or contains characters that cannot be stored")
        case SettingsError():
            complain(f"settings: {error}")
        case _:
            return None
    return 2


def settings_faults(error: ValidationError) -> list[str]:
    """Return name and reason of each invalid setting, without the value, which may be secret."""
    found = []
    for fault in error.errors(include_url=False, include_input=False):
        reason = fault["msg"].removeprefix("Value error, ")
        if fault["loc"]:  # empty where several settings contradict each other
            name, *within = (str(part) for part in fault["loc"])
            reason = f"{'.'.join([f'HOTSLOT_{name.upper()}', *within])}: {reason}"
        found.append(reason)
    return found


def alone(option: str, *others: object) -> None:
    """Refuse other options beside one that stands alone."""
    if any(other is not None for other in others):
        raise InvalidInput(
            f"{option} cannot be combined with other options", field=option.lstrip("-")
        )
