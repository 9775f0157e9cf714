"""`hotslot backtest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import complain, opened, parse_time, progress_of, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.core.texts import shortened
from app.evaluation.backtests.consistency.joint_tables import PlainTable, plain_tables
from app.evaluation.backtests.plots import calibration_plot, cap_plot
from app.evaluation.backtests.report import html_report
from app.evaluation.backtests.request import DEFAULT_MODELS, BacktestRequest
from app.regions.store import get_region
from app.releases.disclosure import shown_backtest
from app.worker.jobs import run_now

_MODELS = ",".join(DEFAULT_MODELS)
SHOWN_PERCENT = 5
"""Of the streets' length, at which differences are shown."""


ModelsOption = Annotated[str, typer.Option(help="Names, separated by commas.")]
OriginsOption = Annotated[str | None, typer.Option(help="Times, separated by commas.")]
NOriginsOption = Annotated[int, typer.Option(help="The last N back-to-back periods.")]
HorizonDaysOption = Annotated[int, typer.Option(help="Length of each test period.")]
CellSizeMOption = Annotated[float | None, typer.Option(help="Side of a cell.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every random draw.")]
JsonFileOption = Annotated[Path | None, typer.Option("--json", help="Write the result here.")]
PlotOption = Annotated[Path | None, typer.Option(help="CAP plot, .png or .svg.")]
CalibrationOption = Annotated[Path | None, typer.Option(help="Calibration plot, .png or .svg.")]
ReportOption = Annotated[Path | None, typer.Option(help="Report as one HTML page.")]
NSeedsOption = Annotated[int, typer.Option(help="Fits of each model, for its spread.")]
RefreshOption = Annotated[
    str | None,
    typer.Option(help="daily: also score each model brought forward every day."),
]
DelayDaysOption = Annotated[int, typer.Option(help="With --refresh: incidents are known late.")]
AsKnownOption = Annotated[
    bool, typer.Option("--as-known", help="Know only what had arrived at each moment.")
]


def backtest(
    region: str,
    models: ModelsOption = _MODELS,
    origins: OriginsOption = None,
    n_origins: NOriginsOption = 4,
    horizon_days: HorizonDaysOption = 28,
    cell_size_m: CellSizeMOption = None,
    seed: SeedOption = 0,
    json_file: JsonFileOption = None,
    plot: PlotOption = None,
    calibration: CalibrationOption = None,
    report: ReportOption = None,
    n_seeds: NSeedsOption = 1,
    refresh: RefreshOption = None,
    delay_days: DelayDaysOption = 0,
    as_known: AsKnownOption = False,
) -> None:
    """Compare models: train on the time before each origin, score the days after it."""
    for picture in (plot, calibration):
        if picture is not None and picture.suffix not in (".png", ".svg"):
            raise InvalidInput(f"a plot must be .png or .svg, got {picture.name}", field="plot")
    settings = Settings()
    with opened(settings) as engine:
        with engine.connect() as connection:
            timezone = get_region(connection, region).timezone
        moments = None
        if origins:
            moments = tuple(parse_time(o.strip(), timezone, "origins") for o in origins.split(","))
        request = BacktestRequest(
            tuple(m.strip() for m in models.split(",") if m.strip()),
            moments,
            n_origins,
            horizon_days,
            cell_size_m,
            seed,
            n_seeds,
            _refresh(refresh),
            delay_days,
            as_known,
        )
        with progress_of(f"backtest of {region}") as update:
            run = run_now(engine, settings, region, request, update)
    if run.result is None:
        complain(run.message)
        raise typer.Exit(1)
    _write(run.result, json_file, plot, calibration, report)
    _print(run.result, region)


def _print(result: dict[str, Any], region: str) -> None:
    results().print(result_table(result, region))
    results().print(small_areas_table(result["small_areas"]))
    for one in plain_tables(result):
        results().print(rich_table(one))
    if "streets" in result:
        results().print(streets_table(result["streets"]))
    for row in result.get("refresh", {}).get("differences", []):
        say(
            f"{row['model']} minus {row['against']}: {row['log_score']:+.4f} nats per incident "
            f"[{row['lo']:+.4f}, {row['hi']:+.4f}]"
        )


def _write(
    result: dict[str, Any],
    json_file: Path | None,
    plot: Path | None,
    calibration: Path | None,
    report: Path | None,
) -> None:
    """Write the files that were asked for."""
    if json_file is not None:
        shown = shown_backtest(result, exact=True)
        json_file.write_bytes(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    if plot is not None:
        plot.write_bytes(cap_plot(result, plot.suffix[1:]))
    if calibration is not None:
        calibration.write_bytes(calibration_plot(result, calibration.suffix[1:]))
    if report is not None:
        report.write_text(html_report(result), encoding="utf-8")


def _refresh(given: str | None) -> Literal["daily"] | None:
    if given not in (None, "daily"):
        raise InvalidInput(f"--refresh must be daily, got {shortened(given)}", field="refresh")
    return None if given is None else "daily"


def result_table(result: dict[str, Any], region: str) -> Table:
    """Return a table of all models, worst first, with differences from pooled-kde and prior-counts."""
    against, past = (
        {d["model"]: d for d in result["differences"] if d["against"] == name}
        for name in ("pooled-kde", "prior-counts")
    )
    table = Table(
        title=f"{region}: {result['n']:,} incidents after {len(result['origins'])} "
        f"origin{'s' * (len(result['origins']) > 1)}",
        caption="log score: mean ln density per km2; minus pooled-kde: nats per incident [95 % over weeks]; "
        "prior-counts: last year's incidents per cell",
    )
    table.add_column("model")
    for heading in (
        "log score",
        "minus pooled-kde",
        "CAP-AUC",
        "hits 1 %",
        "5 %",
        "10 %",
        "20 %",
        "5 % minus prior-counts",
        "seconds",
    ):
        table.add_column(heading, justify="right")
    for name, scores in sorted(result["models"].items(), key=lambda item: item[1]["log_score"]):
        found = against.get(name)
        table.add_row(
            name,
            f"{scores['log_score']:.4f}",
            f"{found['log_score']:+.4f} [{found['lo']:+.4f}, {found['hi']:+.4f}]" if found else "",
            f"{scores['cap_auc']:.4f}",
            *(f"{100 * scores['hit_rate'][k]:.1f} %" for k in ("1", "5", "10", "20")),
            _points(past.get(name)),
            f"{scores['seconds']:.0f}",
        )
    return table


def small_areas_table(found: dict[str, Any]) -> Table:
    """Return a table of what the best places of small areas caught over whole test periods."""
    n_areas = len(found["areas_km2"])
    rows = {name: lists["periods"][-n_areas:] for name, lists in found["models"].items()}
    table = Table(
        title="the best places of a small area, one list for all hours",
        caption="hits, PAI; minus: hits more than those of prior-counts [95 % over days]",
    )
    table.add_column("model")
    for budget_km2 in found["areas_km2"]:
        table.add_column(f"{budget_km2:g} km2", justify="right")
        table.add_column("minus prior-counts", justify="right")
    for name, scores in sorted(rows.items(), key=lambda item: item[1][0]["hits"]):
        texts = []
        for row in scores:
            texts.append(f"{row['hits']:g}" + ("" if row["pai"] is None else f", {row['pai']:.1f}"))
            gap = row.get("difference")
            texts.append("{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**gap) if gap else "")
        table.add_row(name, *texts)
    return table


def streets_table(found: dict[str, Any]) -> Table:
    """Return a table of what the best streets of equal length caught, one list for all hours."""
    table = Table(
        title=f"the best of {found['length_km']:,.0f} km of streets, one list for all hours",
        caption="share of all incidents caught; minus: hits more than by last year's counts, and than "
        "the same cells on their streets by length alone [95 %]",
    )
    table.add_column("model")
    for percent in found["percents"]:
        table.add_column(f"{percent} % of length", justify="right")
    table.add_column("5 % minus counts", justify="right")
    table.add_column("minus cells", justify="right")
    at = found["percents"].index(SHOWN_PERCENT)
    lists = {name: scores["all_hours"] for name, scores in found["models"].items()}
    lists["last year's counts"] = found["counts"]
    for name, rows in sorted(lists.items(), key=lambda item: item[1][at]["hits"]):
        gaps = rows[at].get("differences", {})
        table.add_row(
            name,
            *(f"{100 * row['share']:.1f} %" for row in rows),
            *(
                "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**gaps[rival]) if gaps else ""
                for rival in ("counts", "cells")
            ),
        )
    return table


def rich_table(plain: PlainTable) -> Table:
    """Return a table for the terminal."""
    table = Table(caption=plain.caption)
    for place, heading in enumerate(plain.heads):
        table.add_column(heading, justify="right" if place else "left")
    for row in plain.rows:
        table.add_row(*(escape(text) for text in row))
    return table


def _points(difference: dict[str, Any] | None) -> str:
    """Return a difference of hit rates with its interval, in percentage points."""
    if difference is None:
        return ""
    mean, lo, hi = (100 * difference["hit_rate"]["5"][end] for end in ("mean", "lo", "hi"))
    return f"{mean:+.1f} [{lo:+.1f}, {hi:+.1f}]"
