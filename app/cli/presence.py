"""`hotslot presence`: where somebody was, when, and what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.console import complain, echo_json, opened, parse_time, say
from app.core.errors import InvalidInput
from app.core.output.plain_text import json_for_terminals
from app.core.settings import Settings
from app.presence.rows import CSV, NDJSON
from app.presence.service import erase_presence, exposure_of, list_presence, store_presence
from app.presence.store import PresenceQuery
from app.presence.views import presence_csv, presence_geojson
from app.readers.context import chunks_of
from app.regions.store import get_region

KINDS = {".csv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".json": "application/json",
         ".geojson": "application/geo+json"}  # fmt: skip
ERRORS_SHOWN = 5
From = Annotated[str | None, typer.Option("--from", help="Rows that end later.")]
To = Annotated[str | None, typer.Option("--to", help="Rows that start earlier.")]
Unit = Annotated[str | None, typer.Option(help="Rows of this unit.")]


def add(
    region: str,
    files: Annotated[list[Path], typer.Argument(help=".csv, .json, .ndjson or .geojson.")],
) -> None:
    """Store where somebody was; a row that is sent again adds nothing."""
    settings = Settings()
    with opened(settings) as engine:
        for path in files:
            kind = KINDS.get(path.suffix.lower())
            if kind is None or not path.is_file():
                raise InvalidInput(
                    f"{path} must be an existing file of {', '.join(KINDS)}", field="files"
                )
            with path.open("rb") as file:
                found = store_presence(engine, region, chunks_of(file), kind, settings)
            say(
                f"{path.name}: received {found.received:,} = accepted {found.accepted:,} + duplicates "
                f"{found.duplicates:,} + rejected {found.rejected:,}"
            )
            for error in found.errors[:ERRORS_SHOWN]:
                complain(f"row {error['row']}: {error['field']}: {error['message']}")
            if found.ignored:
                complain(f"not stored: {', '.join(found.ignored)}", "warning")


def show(
    region: str,
    start: From = None,
    end: To = None,
    unit: Unit = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of GeoJSON.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1_000,
) -> None:
    """Print the log in order of time."""
    with opened(Settings()) as engine:
        query = _query(engine, region, start, end, unit)
        fmt = "csv" if as_csv else "geojson"
        found, rows = list_presence(engine, region, query, limit, fmt)
    content = presence_csv(rows, found) if as_csv else presence_geojson(rows, found, None)
    text = content.decode()
    typer.echo(text if as_csv else json_for_terminals(text), nl=not as_csv)


def exposure(region: str, start: From = None, end: To = None) -> None:
    """Print hours of presence by cell as JSON; without --from those of the last 28 days."""
    with opened(Settings()) as engine:
        query = _query(engine, region, start, end, None)
        echo_json(exposure_of(engine, region, query.start, query.end))


def erase(
    region: str,
    start: From = None,
    end: To = None,
    unit: Unit = None,
    row: Annotated[int | None, typer.Option("--id", help="The row of this id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole log.")] = False,
) -> None:
    """Erase rows for good."""
    named = any(given is not None for given in (start, end, unit, row))
    if everything == named:
        raise InvalidInput("give --from, --to, --unit or --id; or --all", field="all")
    with opened(Settings()) as engine:
        query = _query(engine, region, start, end, unit, row)
        say(f"{erase_presence(engine, region, query):,} rows erased")


def _query(
    engine: Engine,
    region: str,
    start: str | None,
    end: str | None,
    unit: str | None,
    row: int | None = None,
) -> PresenceQuery:
    with engine.connect() as connection:
        timezone = get_region(connection, region).timezone
    first = None if start is None else parse_time(start, timezone, "from")
    last = None if end is None else parse_time(end, timezone, "to")
    return PresenceQuery(first, last, unit, row)
