"""`hotslot source add`, `list`, `remove`, `presets`; `hotslot sync`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.console import complain, console, echo_json, opened, progress_of, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.readers.columns.mapping import ColumnMapping
from app.runs.store import Run
from app.sync.presets import PRESETS
from app.sync.schedule import claim_here
from app.sync.service import (
    add_source,
    find_preset,
    preset,
    remove_source,
    sources_of,
)
from app.sync.spec import SourceSpec
from app.worker.jobs import run_claimed
from models.units import HOUR_S

MAX_HOURS = 366 * 24

NameOption = Annotated[
    str | None, typer.Option(help="Name of the source; default: that of the preset.")
]
PresetNameOption = Annotated[
    str | None, typer.Option("--preset", help="A preset city, see hotslot source presets.")
]
KindOption = Annotated[
    str | None, typer.Option(help="socrata, arcgis, ckan, file, police-archive, folder or sftp.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(help="Dataset, layer, portal, file, folder:NAME, sftp://USER@HOST/FOLDER."),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        help="CKAN resource or package; ArcGIS layer; police force; pattern of names in a folder."
    ),
]
ColumnsOption = Annotated[
    list[str] | None, typer.Option(help="field=column, repeated or with commas.")
]
CrsOption = Annotated[str | None, typer.Option(help="CRS of projected x, y.")]
TimeFormatOption = Annotated[str | None, typer.Option(help="strptime format of times.")]
ChangedOption = Annotated[
    str | None, typer.Option(help="Column that rises with each addition and edit.")
]
OverlapDaysOption = Annotated[
    float | None, typer.Option(help="Days that a sweep looks back for late edits.")
]
WhereOption = Annotated[str | None, typer.Option(help="A condition in the portal's language.")]
DeletedWhenOption = Annotated[
    str | None, typer.Option(help="COLUMN=VALUE that marks a withdrawn row.")
]
TokenOption = Annotated[str | None, typer.Option(help="Name of a token in HOTSLOT_SYNC_TOKENS.")]
HostKeyOption = Annotated[
    str | None, typer.Option(help="Fingerprint of an SFTP server's key, SHA256:...")
]
PageRowsOption = Annotated[int | None, typer.Option(help="Rows per request.")]
EsriDatesOption = Annotated[str | None, typer.Option(help="utc (documented) or local.")]
DateOnlyOption = Annotated[
    str | None, typer.Option(help="interval: a date without a time is an interval of that day.")
]
MonthTimesOption = Annotated[str | None, typer.Option(help="refuse or spread.")]
FirstMonthOption = Annotated[str | None, typer.Option(help="YYYY-MM, for {month} in a URL.")]
LicenceOption = Annotated[str | None, typer.Option(help="Licence text to show with the data.")]
EveryHoursOption = Annotated[float | None, typer.Option(help="Hours between two runs by a worker.")]
CronOption = Annotated[
    str | None, typer.Option(help="Or a cron expression for a worker: '15 4 * * *', local time.")
]


def add(
    region: str,
    name: NameOption = None,
    preset_name: PresetNameOption = None,
    kind: KindOption = None,
    url: UrlOption = None,
    dataset: DatasetOption = None,
    columns: ColumnsOption = None,
    crs: CrsOption = None,
    time_format: TimeFormatOption = None,
    changed: ChangedOption = None,
    overlap_days: OverlapDaysOption = None,
    where: WhereOption = None,
    deleted_when: DeletedWhenOption = None,
    token: TokenOption = None,
    host_key: HostKeyOption = None,
    page_rows: PageRowsOption = None,
    esri_dates: EsriDatesOption = None,
    date_only: DateOnlyOption = None,
    month_times: MonthTimesOption = None,
    first_month: FirstMonthOption = None,
    licence: LicenceOption = None,
    every_hours: EveryHoursOption = None,
    cron: CronOption = None,
) -> None:
    """Add a source; `hotslot sync` reads it, or a worker with --every-hours."""
    origin = _stated(kind=kind, url=url, dataset=dataset, token=token, licence=licence)
    origin |= _stated(host_key=host_key)
    rows = _stated(crs=crs, time_format=time_format, esri_dates=esri_dates, date_only=date_only)
    updates = _stated(
        where=where, changed=changed, overlap_days=overlap_days, deleted_when=deleted_when
    )
    pages = _stated(page_rows=page_rows, month_times=month_times, first_month=first_month)
    spec = _described(preset_name, {**origin, **rows, **updates, **pages}, columns)
    settings = Settings()
    if every_hours is not None and not 0 < every_hours < MAX_HOURS:
        raise InvalidInput(
            f"every-hours must lie within (0, {MAX_HOURS}), got {every_hours:g}",
            field="every_hours",
        )
    every_s = round(every_hours * HOUR_S) if every_hours is not None else None
    name = name or preset_name or spec.kind
    with opened(settings) as engine:
        add_source(engine, settings, region, name, spec, every_s=every_s, cron=cron)
    say(f"source {name} added ({spec.kind}, {spec.url})")
    if preset_name is not None:
        chosen = find_preset(preset_name)
        say(f"licence: {chosen.licence}")
        if chosen.note:
            say(chosen.note)


def _stated(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _described(
    preset_name: str | None, given: dict[str, Any], columns: list[str] | None
) -> SourceSpec:
    """Return a preset with changes, or a source from the options only."""
    pairs = [pair for text in columns or [] for pair in text.split(",")]
    own = ColumnMapping.parse(pairs).columns
    if preset_name is not None:
        known = preset(preset_name, **given)
        return replace(known, columns={**known.columns, **own})
    for name in ("kind", "url"):
        if name not in given:
            raise InvalidInput(f"give --preset or --{name}", field=name)
    return SourceSpec(**given, columns=dict(own))


def _ago(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def list_all(
    region: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sources as JSON.")] = False,
) -> None:
    """List a region's sources, with their progress and next run."""
    with opened(Settings()) as engine:
        sources = sources_of(engine, region)
    if as_json:
        rows = [
            {
                "name": s.name,
                "spec": s.spec.to_json(),
                "state": s.state,
                "counts": s.counts,
                "every_s": s.every_s,
                "cron": s.cron,
                "next_due_at": s.next_due_at and s.next_due_at.isoformat(),
                "last_success_at": s.last_success_at and s.last_success_at.isoformat(),
                "last_error": s.last_error,
            }
            for s in sources
        ]
        echo_json(rows)
        return
    table = Table("source", "kind", "every", "last success", "accepted", "rejected", "last error")
    for s in sources:
        table.add_row(
            s.name,
            s.spec.kind,
            s.cron or (f"{s.every_s / HOUR_S:g} h" if s.every_s else "on request"),
            _ago(s.last_success_at),
            f"{s.counts.get('accepted', 0):,}",
            f"{s.counts.get('rejected', 0):,}",
            s.last_error or "",
        )
    results().print(table)


def remove(region: str, name: str) -> None:
    """Remove a source; its incidents stay."""
    with opened(Settings()) as engine:
        remove_source(engine, region, name)
    say(f"source {name} removed; its incidents stay")


def presets() -> None:
    """List the preset cities with their licences."""
    table = Table("preset", "what", "kind", "time zone", "licence")
    for name, known in sorted(PRESETS.items()):
        table.add_row(name, known.title, known.spec.kind, known.timezone, known.licence)
    results().print(table)
    console.print("as published by the portals; not verified by requests")


def sync(
    region: str,
    source: Annotated[str | None, typer.Option(help="One source; default: all.")] = None,
    full: Annotated[bool, typer.Option(help="Read everything again, not only changes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON.")] = False,
) -> None:
    """Read new and edited incidents from a region's sources, in this process."""
    settings = Settings()
    runs: dict[str, Run] = {}
    with opened(settings) as engine:
        names = [source] if source else [s.name for s in sources_of(engine, region)]
        if not names:
            raise InvalidInput(
                "the region has no source; add one with hotslot source add", field="region"
            )
        for name in names:
            claimed = claim_here(engine, region, name, full=full)
            with progress_of(name) as update:
                runs[name] = run_claimed(engine, settings, "sync", claimed, update)
    if as_json:
        echo_json(
            {n: {"status": r.status, "message": r.message, **r.metrics} for n, r in runs.items()}
        )
    else:
        for name, run in runs.items():
            _print_run(name, run)
    if any(run.status != "succeeded" for run in runs.values()):
        raise typer.Exit(1)


def _print_run(name: str, run: Run) -> None:
    counts = {key: f"{run.metrics.get(key, 0):,}" for key in ("received", "accepted", "corrected")}
    counts |= {key: f"{run.metrics.get(key, 0):,}" for key in ("duplicates", "rejected", "deleted")}
    say(
        f"{name}: " + ", ".join(f"{key} {value}" for key, value in counts.items()),
    )
    if run.status != "succeeded":
        complain(f"{name}: {run.message}")
