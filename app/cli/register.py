"""`hotslot register`: forecasts filed before their day, scored after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.audit.verification import read_anchor, verify_audit
from app.cli.console import complain, echo_json, opened, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.forecasts.service import ForecastService
from app.register.documents import as_sent, entry_in_full, register_csv
from app.register.service import (
    Page,
    all_entries,
    file_next,
    find_day,
    get_entry,
    list_entries,
)
from app.register.verification import verify_register

Anchor = Annotated[Path | None, typer.Option(help="Earlier output of `hotslot audit head`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


class Format(StrEnum):
    """What to export as."""

    CSV = "csv"
    NDJSON = "ndjson"


def file(
    region: str,
    day: Annotated[str | None, typer.Option(help="The region's next day, YYYY-MM-DD.")] = None,
) -> None:
    """File the forecast of the region's next day; refused once the day has begun."""
    settings = Settings()
    with opened(settings) as engine:
        filed = file_next(ForecastService(engine, settings), region, _day(day, "day"))
    entry = filed.entry
    say(
        f"{entry.day}: filed {entry.version} in state {entry.state}, expecting {entry.expected:.1f} "
        f"incidents; SHA-256 {filed.digest.hex()}"
    )


def show_all(
    region: str,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 30,
    as_json: AsJson = False,
) -> None:
    """List what was filed, the newest first, and what it caught beside last year's list."""
    with opened(Settings()) as engine:
        page = list_entries(engine, region, limit, exact=True)
    if as_json:
        entries = [as_sent(entry) for entry in page.entries]
        echo_json({"filed": page.filed, "record": page.totals, "entries": entries})
        return
    results().print(_record_table(page))
    results().print(_entries_table(page.entries))


def show(region: str, day: Annotated[str, typer.Argument(help="YYYY-MM-DD")]) -> None:
    """Print what was filed of a day, as JSON."""
    wanted = _day(day, "day")
    with opened(Settings()) as engine:
        entry_id = find_day(engine, region, wanted or date.min)
        _, entry, parts = get_entry(engine, region, entry_id, exact=True)
    echo_json(as_sent(entry_in_full(entry, parts)))


def export(
    region: str,
    fmt: Annotated[
        Format, typer.Option("--format", "-f", help="NDJSON has all that was filed.")
    ] = Format.CSV,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; missing: standard output.")
    ] = None,
) -> None:
    """Export the whole register: scores as CSV, or all that was filed as NDJSON."""
    with opened(Settings()) as engine:
        found = all_entries(engine, region)
        if fmt is Format.CSV:
            content = register_csv([entry for entry, _ in found])
        else:
            lines = (orjson.dumps(as_sent(entry_in_full(*one))) for one in found)
            content = b"".join(line + b"\n" for line in lines)
    if output is None:
        typer.echo(content.decode(), nl=False)
    else:
        output.write_bytes(content)


def verify(
    region: Annotated[str | None, typer.Argument(help="One region; missing: all.")] = None,
    anchor: Anchor = None,
) -> None:
    """Check register and audit log; status 1 when a forecast or score was altered, removed or added."""
    with opened(Settings()) as engine:
        log = verify_audit(engine, read_anchor(anchor) if anchor else None)
        found = verify_register(engine, region)
    for problem in (*log.problems, *found.problems):
        complain(problem)
    if log.problems or found.problems:
        raise typer.Exit(1)
    say(
        f"{found.n_entries} forecasts and {found.n_scores} scores are as the audit log says, "
        f"whose {log.n_entries} entries follow one another"
    )


def _day(text: str | None, field: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{shortened(text)} is no day; write YYYY-MM-DD", field=field) from error


def _record_table(page: Page) -> Table:
    record = page.totals["last"]
    title = f"{page.region.id}: {page.filed} days filed, {record['days']} scored, {record['n']} incidents"
    table = Table("cells", "forecast caught", "last year's list", "difference (95 %)", title=title)
    for percent, one in record["shares"].items():
        gap = one["difference"]
        table.add_row(
            f"{percent} %",
            *(_caught(one[name]) for name in ("champion", "prior_counts")),
            f"{gap['hits']:+.0f} ({gap['lo']:+.0f} to {gap['hi']:+.0f})",
        )
    return table


def _caught(share: Mapping[str, Any]) -> str:
    if share["share"] is None:
        return "-"
    return f"{share['hits']:.0f} = {share['share']:.1%} ({share['lo']:.1%} to {share['hi']:.1%})"


def _entries_table(entries: list[dict[str, Any]]) -> Table:
    table = Table("day", "filed", "version", "state", "expected", "happened", "SHA-256")
    for entry in entries:
        last = entry["scores"][-1] if entry["scores"] else None
        bounds = f"{entry['expected_lo']:.0f} to {entry['expected_hi']:.0f}"
        table.add_row(
            entry["day"],
            entry["filed_at"][:16],
            entry["model_version"],
            entry["state"],
            f"{entry['expected']:.1f} ({bounds})",
            "" if last is None else str(last["n"]),
            entry["sha256"][:12],
        )
    return table
