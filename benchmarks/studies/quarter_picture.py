"""The timeline of the simulated quarter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.studies.quarter_city import BAD_DAY, MORE_DAYS, MOVED_FROM_DAY, N_DAYS

COLOURS = {"volume": "#b2182b", "place": "#7b3294", "calibration": "#e08214", "rollback": "#1b7837"}
PLANTED = "#f4e3c1"


def draw(facts: dict[str, Any], path: Path) -> None:
    """Volume, live score and champions by day, with what was planted and what was noticed."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    volume, score, versions = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [2, 2, 1.6]}
    )
    days = np.arange(N_DAYS)
    volume.bar(days, facts["counts"], color="#9ab", width=0.9)
    volume.set_ylabel("incidents a day")
    _line(score, days, facts["scores"], "champion's live log score", "#234")
    _line(score, days, facts["expected"], "what its forecast expected", "#9ab")
    score.set_ylabel("nats per incident")
    score.legend(loc="lower left", fontsize=8)
    _champions(versions, facts)
    for axes in (volume, score, versions):
        axes.axvspan(MORE_DAYS[0] - 0.5, MORE_DAYS[-1] + 0.5, color=PLANTED, zorder=0)
        axes.axvspan(MOVED_FROM_DAY - 0.5, N_DAYS - 0.5, color=PLANTED, alpha=0.5, zorder=0)
        axes.axvline(BAD_DAY - 0.5, color="#555", linestyle=":")
        for day, kind, _ in facts["alarms"]:
            axes.axvline(day, color=COLOURS[kind], linewidth=1.2)
    top = volume.get_ylim()[1]
    volume.text(MORE_DAYS[0], top, "more incidents", va="bottom", fontsize=8)
    volume.text(MOVED_FROM_DAY, top, "incidents move", va="bottom", fontsize=8)
    volume.text(BAD_DAY, top, "bad model promoted", va="bottom", fontsize=8)
    for kind in dict.fromkeys(kind for _, kind, _ in facts["alarms"]):
        name = "rolled back" if kind == "rollback" else f"{kind} alarm"
        volume.plot([], [], color=COLOURS[kind], label=name)
    volume.legend(loc="upper left", fontsize=8)
    versions.set_xlabel(f"day of the quarter, from {facts['first']}")
    figure.suptitle(f"{facts['city']}: a quarter left alone with a schedule")
    figure.savefig(path, dpi=110)


def _line(axes: Axes, days: Any, values: list[float | None], label: str, colour: str) -> None:
    known = np.array([np.nan if v is None else v for v in values])
    axes.plot(days, known, label=label, color=colour, linewidth=1.2)


def _champions(axes: Axes, facts: dict[str, Any]) -> None:
    """A step for each champion; trainings as marks: filled when promoted."""
    order = list(dict.fromkeys(facts["champions"]))
    places = [order.index(version) for version in facts["champions"]]
    axes.step(np.arange(N_DAYS), places, where="mid", color="#234")
    for day, cause, outcome in facts["trained"]:
        promoted = outcome.startswith("promoted")
        axes.plot(
            day - 1,
            -0.9,
            marker="D" if cause == "drift" else "o",
            color="#234",
            fillstyle="full" if promoted else "none",
            markersize=5,
        )
    axes.set_yticks(range(len(order)), [version.partition("T")[0] for version in order], fontsize=6)
    axes.set_ylabel("champion (from below:\ntrainings, filled: promoted)", fontsize=8)
