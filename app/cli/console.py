"""What all commands share: one console, one way to open the database, one way to show progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import typer
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

from app.core.db.engine import open_engine
from app.core.db.schema import migrate, schema_is_current
from app.core.errors import InvalidInput, Unavailable
from app.core.plain_text import json_for_terminals, on_one_line
from app.core.settings import Settings
from app.core.texts import shortened
from app.core.zones import zone


class PlainConsole(Console):
    """A console that shows every text as it is: no markup, no emoji codes, no terminal escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, its control characters spelt out."""
        return super().render_str("\n".join(map(on_one_line, text.split("\n"))), **options)


console = PlainConsole(stderr=True)
"""Progress and messages; results go to standard output."""
FILE_COLUMNS = 140


def say(text: str) -> None:
    """Print a line to standard output, however long."""
    PlainConsole().print(on_one_line(text), soft_wrap=True)


def complain(text: str, kind: str = "error") -> None:
    """Print an error, or a warning, to standard error, however long."""
    style = "red" if kind == "error" else "yellow"
    console.print(Text(kind, style=style), on_one_line(text), soft_wrap=True)


def echo_json(value: Any) -> None:
    """Print a value as JSON that terminals show as it is."""
    typer.echo(json_for_terminals(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


class _Description(ProgressColumn):
    """What a bar is for, in plain text."""

    def render(self, task: Task) -> Text:
        return Text(on_one_line(task.description))


def results() -> Console:
    """Standard output for tables: as wide as the terminal, or wide enough for all in a file."""
    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=FILE_COLUMNS)


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """An engine on a current schema; the embedded server's schema is migrated by itself.

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
    """The bar of every long command."""
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
    """A bar that follows (share, message) callbacks."""
    with progress_bar() as bar:
        task = bar.add_task(title, total=1.0)

        def update(share: float, message: str) -> None:
            bar.update(task, completed=share, description=f"{title}: {message}"[:100])

        yield update
        bar.update(task, completed=1.0, description=title)


def parse_time(value: str, timezone: str, field: str) -> datetime:
    """An RFC 3339 time; without an offset it is the region's local time.

    Raises:
        InvalidInput: not such a time.
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidInput(
            f"{field} must be an RFC 3339 time, got {shortened(value)}", field=field
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))
