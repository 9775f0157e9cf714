"""Pictures of a backtest's result."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
from matplotlib.figure import Figure

STRONG = ("stack", "maf", "pooled-kde")
_lock = threading.Lock()


def cap_plot(result: dict[str, Any], file_format: str) -> bytes:
    """CAP curves of all models (png or svg): share of incidents caught against share of cells.

    Left the whole curve, right the first fifth, where patrols are planned.
    """
    with _lock:
        figure = Figure(figsize=(11, 5), dpi=110)
        whole, first = figure.subplots(1, 2)
        models = sorted(result["models"].items(), key=lambda item: -(item[1]["cap_auc"] or 0))
        for name, scores in models:
            curve = np.array(scores["cap_curve"])
            width = 2.2 if name in STRONG else 1.0
            for axes in (whole, first):
                axes.plot(
                    np.arange(len(curve)),
                    100 * curve,
                    lw=width,
                    label=f"{name}  AUC {scores['cap_auc']:.3f}",
                )
        for axes, limit in ((whole, 100), (first, 20)):
            axes.plot([0, 100], [0, 100], color="grey", lw=0.8, ls=":")
            axes.set_xlim(0, limit)
            axes.set_ylim(0, 100)
            axes.set_xlabel("% of cells flagged, best first")
            axes.set_ylabel("% of incidents caught")
            axes.grid(alpha=0.25)
        whole.legend(fontsize=8, loc="lower right")
        figure.suptitle(
            f"{result.get('region', '')}: {result['n']} incidents after {len(result['origins'])} "
            f"origins, {result['horizon_days']} days each"
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format=file_format, bbox_inches="tight")
        return buffer.getvalue()
