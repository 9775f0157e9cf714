"""Pictures of a backtest's result (PNG or SVG)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.output.plotting import drawing, file_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRONG = ("stack", "maf", "cox", "pooled-kde", "prior-counts")


def cap_plot(result: dict[str, Any], file_format: str) -> bytes:
    """Draw CAP curves of all models: share of incidents caught against share of cells.

    The left plot shows the whole curve, the right one the first fifth, which is relevant for patrols.
    """
    with drawing(figsize=(11, 5), dpi=110) as figure:
        whole, first = figure.subplots(1, 2)
        for name, scores, width in _models(result):
            curve = np.array(scores["cap_curve"])
            label = f"{name}  AUC {scores['cap_auc']:.3f}"
            for axes in (whole, first):
                axes.plot(np.arange(len(curve)), 100 * curve, lw=width, label=label)
        for axes, limit in ((whole, 100), (first, 20)):
            axes.plot([0, 100], [0, 100], color="grey", lw=0.8, ls=":")
            _frame(axes, "% of cells flagged, best first", "% of incidents caught")
            axes.set_xlim(0, limit)
            axes.set_ylim(0, 100)
        _legend(whole)
        figure.suptitle(_title(result))
        return file_of(figure, file_format, bbox_inches="tight")


def calibration_plot(result: dict[str, Any], file_format: str) -> bytes:
    """Draw the calibration of forecasts, in space (left) and in number (right).

    Left: forecast probability of the densest places against the share of incidents found there; below
    the diagonal the forecast is overconfident. Right: randomised probability integral transform of
    hourly counts; a hump means that intervals are too wide, a trough that they are too narrow.
    """
    with drawing(figsize=(11, 5), dpi=110) as figure:
        places, numbers = figure.subplots(1, 2)
        forecast = np.linspace(0, 100, 11)
        for name, scores, width in _models(result):
            found = np.concatenate([[0.0], np.cumsum(scores["calibration"]["pit"])])
            places.plot(forecast, 100 * found, lw=width, marker=".", label=name)
        places.plot([0, 100], [0, 100], color="grey", lw=0.8, ls=":")
        _frame(places, "% forecast probability, densest places first", "% of incidents found")
        _legend(places)
        counts = result.get("counts")
        if counts:
            edges = np.linspace(0, 1, len(counts["pit"]) + 1)
            numbers.bar(edges[:-1], counts["pit"], np.diff(edges), align="edge", edgecolor="white")
            numbers.axhline(1 / len(counts["pit"]), color="grey", lw=0.8, ls=":")
            numbers.set_title(
                f"{100 * counts['nominal']:.0f} % intervals held "
                f"{100 * counts['coverage']:.1f} % of {counts['n_slots']:,} hours",
                fontsize=10,
            )
        _frame(numbers, "randomised PIT of hourly counts", "share of hours")
        figure.suptitle(_title(result))
        return file_of(figure, file_format, bbox_inches="tight")


def _models(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Yield name, scores and line width of the scored models, best CAP-AUC first."""
    scored = [item for item in result["models"].items() if item[1]["n"]]
    for name, scores in sorted(scored, key=lambda item: -item[1]["cap_auc"]):
        yield name, scores, 2.2 if name in STRONG else 1.0


def _legend(axes: Axes) -> None:
    """Add a legend if there are curves; readers see none of few incidents."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="lower right")


def _title(result: dict[str, Any]) -> str:
    return (
        f"{result.get('region', '')}: {result['n']:,} incidents after {len(result['origins'])} "
        f"origins, {result['horizon_days']} days each"
    )


def _frame(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
