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
MAX_KINDS = 12
MAX_NAME = 28
PRECISIONS = {
    "exact_share": ("exact", "#4c78a8"),
    "interval_share": ("interval", "#72b7b2"),
    "date_only_share": ("date alone", "#eeca3b"),
    "placeholder_share": ("placeholder", "#e45756"),
}
"""Label and colour of each share."""
MAX_MONTH_LABELS = 10
Report = Mapping[str, Any]


def data_report_plot(report: Report, file_format: str) -> bytes:
    """Draw volume by month, a heat map of the week, times of day and the fate of the rows.

    Where some times are not exact, also how many, by kind, and the week with and without their spread.
    """
    precision = report["time_precision"]
    n_rows = 2 if precision["all"]["exact_share"] == 1 or not report["incidents"]["n"] else 3
    with drawing(figsize=(12, 4 * n_rows), dpi=110, layout="constrained") as figure:
        axes = figure.subplots(n_rows, 2, width_ratios=(3, 2))
        (volume, week), (times, rows) = axes[:2]
        for curve, kinds in axes[2:]:
            _spread_week(curve, precision)
            _precision(kinds, precision)
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


def _spread_week(axes: Axes, precision: Report) -> None:
    start, spread = precision["week_by_start"], precision["week_spread"]
    edges = np.arange(len(start) + 1)
    axes.stairs(start, edges, baseline=None, color="#9d9d9d", label="by start alone")
    axes.stairs(spread, edges, baseline=None, color="#4c78a8", lw=1.6, label="spread over hours")
    axes.set_xticks(range(0, len(start), 24), DAYS, ha="left")
    axes.set_xlim(0, len(start))
    axes.set_ylim(0)
    axes.grid(axis="x", color="#dddddd")
    axes.legend(fontsize=8)
    known = f"{precision['all']['hour_information']:.0%}"
    axes.set_title(f"incidents by hour of the week; {known} of the hour is known", fontsize=10)


def _precision(axes: Axes, precision: Report) -> None:
    kinds = precision["kinds"]
    shown = [("all", precision["all"])]
    if len(kinds) > 1:
        # Those of many inexact times first: they are what the picture is about.
        by_number = sorted(kinds, key=lambda one: (one["exact_share"] - 1) * one["n"])
        shown += [(one["category"] or "all others", one) for one in by_number[:MAX_KINDS]]
    shown.reverse()
    names = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name, _ in shown]
    left = np.zeros(len(shown))
    for member, (label, colour) in PRECISIONS.items():
        share = np.array([one[member] for _, one in shown])
        axes.barh(range(len(shown)), share, left=left, color=colour, label=label)
        left += share
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    axes.set_title("what is known of times, by kind", fontsize=10)
