"""The figure of a data report: volume, hours of the week, times of day, fate of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.output.plotting import drawing, file_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MAX_CODES = 8
MAX_MONTH_LABELS = 10
Report = Mapping[str, Any]


def data_report_plot(report: Report, file_format: str) -> bytes:
    """Draw volume by month, a heat map of the week, times of day and the fate of the rows."""
    with drawing(figsize=(12, 8), dpi=110, layout="constrained") as figure:
        (volume, week), (times, rows) = figure.subplots(2, 2, width_ratios=(3, 2))
        _volume(volume, report)
        _week(week, report)
        _times(times, report)
        _rows(rows, report["uploads"])
        upload = f", upload {report['upload']}" if report["upload"] is not None else ""
        figure.suptitle(f"{report['region']}{upload}: {report['incidents']['n']:,} incidents")
        return file_of(figure, file_format)


def _volume(axes: Axes, report: Report) -> None:
    months = report["months"]
    per_day = [m["n"] / m["days"] if m["days"] else 0.0 for m in months]
    axes.bar(range(len(months)), per_day, width=1.0, color="#4c78a8")
    place = {m["month"]: i for i, m in enumerate(months)}
    for found in report["breaks"]:
        axes.axvline(place[found["month"]] - 0.5, color="#e45756", lw=1.5, ls="--")
        axes.annotate(
            f"{found['before_per_day']:,.0f} > {found['after_per_day']:,.0f}",
            (place[found["month"]], axes.get_ylim()[1]),
            fontsize=8,
            color="#e45756",
            va="top",
        )
    step = -(-len(months) // MAX_MONTH_LABELS) or 1
    shown = range(0, len(months), step)
    axes.set_xticks(list(shown), [months[i]["month"] for i in shown], fontsize=8, rotation=30)
    axes.set_title("incidents a day, by month; dashed: the level breaks", fontsize=10)


def _week(axes: Axes, report: Report) -> None:
    counts = np.array(report["hour_of_week"], float).reshape(7, 24)
    image = axes.imshow(counts, aspect="auto", cmap="magma")
    axes.set_yticks(range(7), DAYS)
    axes.set_xticks(range(0, 24, 3))
    axes.set_title("incidents by hour of the local week", fontsize=10)
    axes.figure.colorbar(image, ax=axes)


def _times(axes: Axes, report: Report) -> None:
    axes.bar(range(24), report["times"]["by_hour"], color="#bab0ac", label="all of the hour")
    for time in report["times"]["told"]:
        if time["n"] == 0:
            continue
        hour, minute = map(int, time["at"].split(":"))
        colour = "#e45756" if time["spike"] else "#4c78a8"
        place = hour - 0.3 + 0.6 * minute / 60
        axes.bar([place], [time["n"]], width=0.12, color=colour)
        axes.annotate(time["at"], (place, time["n"]), fontsize=8, ha="center", va="bottom")
    axes.set_xticks(range(0, 24, 3))
    axes.set_xlabel("hour of the local day")
    axes.set_title("times of day; red: minutes that hold far too many", fontsize=10)


def _rows(axes: Axes, uploads: Report) -> None:
    shown = [("accepted", uploads["accepted"]), ("duplicates", uploads["duplicates"])]
    shown += list(uploads["rejected_by_code"].items())[:MAX_CODES]
    names = [name for name, _ in shown][::-1]
    numbers = [n for _, n in shown][::-1]
    colours = ["#e45756"] * (len(shown) - 2) + ["#bab0ac", "#54a24b"]
    bars = axes.barh(names, numbers, color=colours)
    axes.bar_label(bars, [f"{n:,}" for n in numbers], fontsize=8, padding=2)
    axes.set_xscale("symlog")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.15)
    axes.set_title(f"what became of {uploads['received']:,} rows (log scale)", fontsize=10)
