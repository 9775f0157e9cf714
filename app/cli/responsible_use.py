"""`hotslot fairness-report`, `model-card`, `erase`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from app.cli.console import opened, results, say
from app.core.errors import InvalidInput
from app.core.output.plain_text import on_one_line, with_bounds
from app.core.settings import Settings
from app.erasure.service import NamedBy, erase_incident, erase_upload
from app.evaluation.backtests.checkpoints import delete_saved_tasks
from app.evaluation.fairness.plots import fairness_plot
from app.evaluation.fairness.service import fairness_report, parse_rates
from app.evaluation.model_card.contents import model_card
from app.evaluation.model_card.documents import card_as
from app.forecasts.replies.shared_replies import shared_files

MAX_ROWS = 25


def fairness(
    region: str,
    model: Annotated[str | None, typer.Option(help="Model name or version.")] = None,
    reporting: Annotated[
        list[str] | None, typer.Option(help="neighbourhood=share that is reported, repeated.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write its picture: .png, .svg.")
    ] = None,
) -> None:
    """Report the flagged area by neighbourhood, per head and between groups."""
    suffix = output.suffix.lower().removeprefix(".") if output else "png"
    if suffix not in ("png", "svg"):
        raise InvalidInput(f"the picture must be .png or .svg, got .{suffix}", field="output")
    with opened(Settings()) as engine:
        found = fairness_report(engine, region, model, parse_rates(reporting or []))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if output is not None:
        output.write_bytes(fairness_plot(found, suffix))
    _print(found)


def _print(found: dict[str, Any]) -> None:
    rows = found["neighbourhoods"]
    left = f"; {len(rows) - MAX_ROWS} more with --json" if len(rows) > MAX_ROWS else ""
    table = Table(
        "neighbourhood",
        "incidents",
        "flagged",
        "ratio [95 %]",
        "km2 h per 1,000",
        caption="shares of incidents and of the flagged area, and flagged over incidents; flagged km2 "
        f"times hours a week per 1,000 residents, with a population layer{left}",
    )
    for row in rows[:MAX_ROWS]:
        per_head = row["flagged_km2_hours_per_1000"]
        shown = row["incident_share"] is not None
        table.add_row(
            row["name"],
            f"{100 * row['incident_share']:.1f} %" if shown else "hidden",
            f"{100 * row['flagged_share']:.1f} %",
            with_bounds(row["ratio"], row["ratio_lo"], row["ratio_hi"]),
            "" if per_head is None else f"{per_head:.2f}",
        )
    results().print(table)
    moved = found["under_reporting"]
    if moved is not None:
        say(
            f"with these reporting rates, flagged cells overlap by {100 * moved['overlap']:.1f} %",
        )
        for name, share in moved["flagged_share"].items():
            if moved["reporting"][name] < 1:
                say(
                    f"{name}: {100 * share['now']:.1f} % of the flagged area, "
                    f"then {100 * share['then']:.1f} %",
                )
    for name, comparison in found["groups"].items():
        if r := comparison["ratio"]:
            bounds = with_bounds(r["value"], r["lo"], r["hi"])
            say(f"flagged where {name} live, over everyone else: {bounds}")
    if found["presence"] is not None:
        _print_presence(found["presence"])


def _print_presence(report: dict[str, Any]) -> None:
    share = report["share_in_hotspots"]
    inside = "none" if share is None else f"{100 * share:.1f} %"
    say(f"presence: {report['unit_hours']:,.0f} unit hours, {inside} of them in flagged cells")
    for name, rates in report["rates"].items():
        bounds = with_bounds(rates["ratio"], rates["ratio_lo"], rates["ratio_hi"]) or "unknown"
        counts = ", ".join(
            f"{rates[where]['incidents']:,.0f} {text}"
            for where, text in (
                ("present", "with"),
                ("absent", "without"),
                ("elsewhere", "elsewhere"),
            )
        )
        say(f"{name} incidents: {counts}; with over without presence in the same cells: {bounds}")
    say(report["warnings"][0]["message"])


def card(
    region: str,
    version: Annotated[
        str | None, typer.Argument(help="Version or model; default: the champion.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=".md, .html or .json; default: Markdown.")
    ] = None,
) -> None:
    """Print a version's model card: data, limits, evaluation, fairness, prohibited uses."""
    with opened(Settings()) as engine:
        found = model_card(engine, region, version)
    name = "md" if output is None else output.suffix.lower().removeprefix(".")
    text = (
        orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
        if name == "json"
        else card_as(found, name)
    )
    if output is None:
        lines = map(on_one_line, text.splitlines())
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        output.write_text(text, encoding="utf-8")


def erase(
    region: str,
    external_id: Annotated[
        str | None,
        typer.Argument(
            help="The incident's external id, the id that the listing shows, or its reference."
        ),
    ] = None,
    upload: Annotated[int | None, typer.Option(help="All incidents of this upload.")] = None,
    by: Annotated[
        NamedBy | None, typer.Option(help="Which of them it is, where it could be several.")
    ] = None,
    feed: Annotated[str | None, typer.Option(help="Feed of the external id or reference.")] = None,
) -> None:
    """Erase an incident or an upload permanently; dependent versions are marked and replaced."""
    if (external_id is None) == (upload is None):
        raise InvalidInput("give either an external id or --upload", field="external_id")
    settings = Settings()
    with opened(settings) as engine:
        if upload is not None:
            found = erase_upload(engine, region, upload)
        else:
            found = erase_incident(engine, region, str(external_id), by=by, feed=feed)
    delete_saved_tasks(settings)
    shared_files(settings).drop()
    queued = f", training {found.run_id} is queued" if found.run_id else ""
    say(
        f"erased {found.n_incidents:,}; {len(found.versions)} versions were trained on it{queued}",
    )
    if found.dropped:
        serving = found.serves or "no version until the training is done"
        say(f"{len(found.dropped)} versions of few incidents were deleted; {serving} serves")
