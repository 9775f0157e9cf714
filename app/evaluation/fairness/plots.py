"""The picture of a fairness report (PNG or SVG)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.output.plotting import drawing, file_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 30
MAX_GROUPS = 12


def fairness_plot(report: dict[str, Any], file_format: str) -> bytes:
    """Draw flagged and incident shares by neighbourhood (left), ratios between groups (right).

    Bars are shares of the flagged area, dots are shares of incidents with 95 % bounds. A bar beyond the
    bounds means that more is flagged than the incidents explain.
    """
    rows = [r for r in report["neighbourhoods"] if r["incident_share"] is not None][:MAX_ROWS]
    groups = [(g, v["ratio"]) for g, v in report["groups"].items() if v["ratio"]][:MAX_GROUPS]
    size = (13 if groups else 9, max(4.0, 0.32 * len(rows) + 1.8))
    with drawing(figsize=size, dpi=110) as figure:
        axes = figure.subplots(1, 2 if groups else 1, squeeze=False)[0]
        _shares(axes[0], rows, report["flagged_percent"])
        if groups:
            _ratios(axes[1], groups)
        figure.suptitle(
            f"{report['region']}: distribution of the flagged area ({report['model']}, "
            f"{report['n_incidents']:,} incidents)"
        )
        figure.tight_layout()
        return file_of(figure, file_format)


def _shares(axes: Axes, rows: list[dict[str, Any]], percent: float) -> None:
    place = np.arange(len(rows))
    share = np.array([100 * r["incident_share"] for r in rows])
    low = np.array([100 * r["incident_share_lo"] for r in rows])
    high = np.array([100 * r["incident_share_hi"] for r in rows])
    axes.barh(place, [100 * r["flagged_share"] for r in rows], color="#9db8d2", label="flagged")
    errors = np.maximum(np.stack([share - low, high - share]), 0.0)
    axes.errorbar(share, place, xerr=errors, fmt="o", ms=4, color="#b3402a", label="incidents")
    if all(r["population_share"] is not None for r in rows):
        people = [100 * r["population_share"] for r in rows]
        axes.plot(people, place, "|", ms=11, color="black", label="population")
    axes.set_yticks(place, [r["name"][:32] for r in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"% of the top {percent:g} % of area, of incidents, of residents")
    axes.legend(fontsize=8)


def _ratios(axes: Axes, groups: list[tuple[str, dict[str, float]]]) -> None:
    place = np.arange(len(groups))
    value = np.array([r["value"] for _, r in groups])
    errors = np.array([[r["value"] - r["lo"], r["hi"] - r["value"]] for _, r in groups]).T
    axes.errorbar(value, place, xerr=np.maximum(errors, 0.0), fmt="o", color="#34567a")
    axes.axvline(1.0, color="grey", lw=0.8, ls=":")
    axes.set_yticks(place, [name[:32] for name, _ in groups], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("flagged share of where the group lives / of where everyone else lives")
