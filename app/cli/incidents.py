"""`hotslot ingest` and `mapping list|remove`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import typer
from rich.table import Table
from sqlalchemy import Engine

from app.cli.console import complain, console, echo_json, opened, progress_bar, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.incidents.mappings import (
    list_mappings,
    remove_mapping,
    resolve_mapping,
    save_mapping,
)
from app.incidents.service import ingest_stream
from app.incidents.summary import IngestSummary, StoreChoices
from app.readers.columns.mapping import ColumnMapping
from app.regions.category_store import region_summary
from app.regions.store import get_region

ERRORS_SHOWN = 10
REASONS = {
    "personal": "about persons",
    "end_time": "end of a time span",
    "other_time": "another time",
    "count": "number of incidents",
    "other_kind": "another kind",
    "other_place": "another place",
    "other_meaning": "not reported or discovered",
    "title": "above the header",
    "hidden": "hidden",
    "other_columns": "other columns",
    "no_incidents": "no table of incidents",
    "not_asked": "not asked for",
}
_FACTS = ("format", "file", "sheet", "layer", "encoding", "delimiter", "header_row", "preset",
          "time_format", "zone", "crs")  # fmt: skip
_SHOWN = 12


FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        help="CSV, JSON, GeoJSON, Parquet, Excel, GeoPackage; also .gz and .zip; - is standard input."
    ),
]
FormatOption = Annotated[
    str,
    typer.Option("--format", help="Format of standard input: csv, ndjson, csv.gz, parquet, ..."),
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="field=column, repeated or with commas; occurred_at=DATE+TIME joins two, as "
        "occurred_from= and occurred_to= do."
    ),
]
CrsOption = Annotated[str | None, typer.Option(help="CRS of projected x, y: EPSG:26910.")]
TimeFormatOption = Annotated[
    str | None, typer.Option(help="strptime format of times that are not RFC 3339.")
]
MappingOption = Annotated[str | None, typer.Option(help="Name of a saved mapping.")]
SaveMappingOption = Annotated[str | None, typer.Option(help="Save these columns under a name.")]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        help="Zone of times without an offset, if not the region's; local: offsets are wrong."
    ),
]
PartOption = Annotated[str | None, typer.Option(help="Sheet, layer or archive member to read.")]
EncodingOption = Annotated[str | None, typer.Option(help="Encoding of a text file.")]
HeaderRowOption = Annotated[int | None, typer.Option(help="Row of the column names, from 1.")]
FeedOption = Annotated[str | None, typer.Option(help="Who numbers the incidents, such as campus.")]
DateOnlyOption = Annotated[
    Literal["interval"] | None,
    typer.Option(help="interval: a date without a time is an interval of that local day."),
]
ConflictOption = Annotated[
    Literal["refuse", "replace"],
    typer.Option(help="When an id comes with another time, place and category."),
]
NearDuplicatesOption = Annotated[
    Literal["add", "skip", "replace"] | None,
    typer.Option(help="What to do with rows that nearly equal stored incidents."),
]
ReplaceOption = Annotated[
    Literal["feed"] | None,
    typer.Option(help="feed: remove what the feed brought before and the file lacks."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Store a region's first file without asking.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summaries as JSON.")]


def ingest(
    region: str,
    files: FilesArgument,
    file_format: FormatOption = "csv",
    columns: ColumnsOption = None,
    crs: CrsOption = None,
    time_format: TimeFormatOption = None,
    mapping: MappingOption = None,
    save_mapping_as: SaveMappingOption = None,
    zone: ZoneOption = None,
    part: PartOption = None,
    encoding: EncodingOption = None,
    header_row: HeaderRowOption = None,
    feed: FeedOption = None,
    date_only: DateOnlyOption = None,
    on_conflict: ConflictOption = "refuse",
    near_duplicates: NearDuplicatesOption = None,
    replace: ReplaceOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read incidents from files; reading a file again adds nothing.

    On a terminal, what a region's first file would be read as is shown before it is stored.
    """
    settings = Settings()
    own = ColumnMapping.parse(
        [pair for text in columns or [] for pair in text.split(",")],
        crs,
        time_format,
        zone=zone,
        part=part,
        encoding=encoding,
        header_row=header_row,
        feed=feed,
        date_only=date_only,
    )
    choices = StoreChoices(on_conflict, near_duplicates, replace, dry_run)
    with opened(settings) as engine:
        with engine.connect() as connection:
            chosen = resolve_mapping(connection, region, mapping, own)
        if save_mapping_as is not None:
            chosen = save_mapping(engine, region, save_mapping_as, chosen)

        def read(path: Path, how: StoreChoices) -> IngestSummary:
            return _read(engine, region, (path, file_format), settings, chosen, how)

        ask = not (yes or as_json or dry_run) and _can_ask(files[0])
        if ask and _is_empty(engine, region):
            print_summary(str(files[0]), read(files[0], dataclasses.replace(choices, dry_run=True)))
            typer.confirm("These are the region's first incidents. Store them?", abort=True)
        summaries = {str(path): read(path, choices) for path in files}
    if as_json:
        echo_json({name: summary.to_json() for name, summary in summaries.items()})
    else:
        for name, summary in summaries.items():
            print_summary(name, summary)


def _read(
    engine: Engine,
    region: str,
    source: tuple[Path, str],
    settings: Settings,
    mapping: ColumnMapping,
    choices: StoreChoices,
) -> IngestSummary:
    """Send one file, or standard input in a format, with a progress bar."""
    with progress_bar() as bar, _opened_input(*source) as (file, name, size):
        task = bar.add_task(name, total=size)
        return ingest_stream(
            engine,
            region,
            file,
            name,
            settings=settings,
            mapping=mapping,
            choices=choices,
            progress=lambda n_bytes: bar.update(task, completed=n_bytes),
        )


def _is_empty(engine: Engine, region: str) -> bool:
    with engine.connect() as connection:
        return region_summary(connection, get_region(connection, region)).n_incidents == 0


def _can_ask(path: Path) -> bool:
    """Return whether a person at a terminal can see how a file would be read, and answer."""
    return str(path) != "-" and sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def _opened_input(path: Path, file_format: str) -> Iterator[tuple[IO[bytes], str, int | None]]:
    """Open a file or standard input; yield it with a name that has the format, and its size."""
    if str(path) == "-":
        yield sys.stdin.buffer, f"stdin.{file_format}", None
        return
    if not path.is_file():
        raise InvalidInput(f"no such file: {path}", field="files")
    with path.open("rb") as file:
        yield file, path.name, path.stat().st_size


def print_summary(name: str, summary: IngestSummary) -> None:
    """Print the counts of one file, how it was read, its first errors and its warnings."""
    say(
        f"{name}: received {summary.received:,} = accepted {summary.accepted:,} + duplicates "
        f"{summary.duplicates:,} + rejected {summary.rejected:,}",
    )
    if summary.dry_run:
        console.print("  nothing was stored: this was a dry run")
    for line in reading_lines(summary.read):
        console.print(f"  {line}")
    further = {n: getattr(summary, n) for n in ("corrected", "conflicts", "outdated", "removed")}
    if any(further.values()):
        console.print("  of these " + ", ".join(f"{n} {k:,}" for n, k in further.items() if k))
    for error in summary.errors[:ERRORS_SHOWN]:
        console.print(
            f"  row {error['row']}: {error['field']}: {error['message']} ({error['code']})",
        )
    if summary.rejected > ERRORS_SHOWN:
        console.print(f"  ... {summary.rejected - ERRORS_SHOWN:,} more")
    for warning in summary.warnings:
        complain(warning.message, "warning")


def reading_lines(read: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on what was taken as what, what was left aside and what was assumed."""
    if read is None:
        return
    facts = ", ".join(
        f"{name} {_plain(read[name])}" for name in _FACTS if read.get(name) is not None
    )
    yield f"read as {facts}"
    yield f"  columns: {', '.join(f'{field} = {column}' for field, column in read['columns'].items())}"
    aside = [_named(part) for part in read["not_read"]]
    if aside:
        more = f", and {len(aside) - _SHOWN} more" if len(aside) > _SHOWN else ""
        yield f"  not read: {', '.join(aside[:_SHOWN])}{more}"
    for assumption in read["assumptions"]:
        yield f"  assumed: {assumption['message']}"
    further = read.get("further") or []
    if further:
        names = (one["file"] or one["sheet"] or one["layer"] or "" for one in further)
        yield f"  also read: {', '.join(names)}"


def _plain(value: Any) -> str:
    return {"\t": "tab"}.get(value, str(value))


def _named(part: Mapping[str, str]) -> str:
    kind = "" if part["kind"] == "column" else f"{part['kind']} "
    reason = REASONS.get(part["reason"], "")
    return f"{kind}{part['name']}" + (f" ({reason})" if reason else "")


def list_saved_mappings(
    region: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print the mappings as JSON.")] = False,
) -> None:
    """List a region's column mappings."""
    with opened(Settings()) as engine, engine.connect() as connection:
        found = list_mappings(connection, region)
    if as_json:
        echo_json(found)
        return
    table = Table("mapping", "columns", "CRS", "time format")
    for name, mapping in found.items():
        columns = ", ".join(f"{field}={column}" for field, column in mapping["columns"].items())
        table.add_row(name, columns, mapping["crs"] or "", mapping["time_format"] or "")
    results().print(table)


def remove_saved_mapping(region: str, name: str) -> None:
    """Remove a column mapping; its incidents stay."""
    with opened(Settings()) as engine:
        remove_mapping(engine, region, name)
    say(f"mapping {name} removed")
