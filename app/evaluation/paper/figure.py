"""The study's Figure 4: loss by number of MADE blocks, with the spread over seeds.

The study's flows (`paper_preset`) and ours for single windows (`window_preset`, with the same number of
blocks) are trained on the same windows; the loss is that on the half year after the origin. The
densities of the study's largest network and of ours are drawn beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from sqlalchemy import Engine

from app.core.errors import NotReady
from app.core.output.plotting import drawing, file_of
from app.core.settings import Settings
from app.evaluation.backtests.execute import held_out
from app.fitting.data import load_training_data
from app.fitting.device import choose_threads, thread_count, use_threads
from app.geo.grid import Grid
from app.regions.store import get_region
from models.base import FitContext, Progress
from models.flows.windows import WindowFlows, WindowSettings, paper_preset, window_preset
from models.incidents import Incidents
from models.times.aoristic import shared_out
from models.units import DAY_S, N_WINDOWS, FloatArray, IntArray

BLOCKS = (5, 10, 15, 20, 25)
LARGEST = (25, 1024)
PRESETS = ("paper", "ours")


@dataclass(frozen=True)
class FigureRequest:
    """What to fit: the `n_windows` windows with most incidents, each with `n_seeds` seeds.

    The loss is taken on the last `test_days`, more than elsewhere, because four weeks of one window
    have only about ten incidents.
    """

    n_windows: int = 4
    n_seeds: int = 5
    test_days: int = 182
    blocks: tuple[int, ...] = BLOCKS
    largest: tuple[int, int] | None = LARGEST
    """Blocks and width of the network whose density is drawn; None: do not draw it."""


@dataclass(frozen=True)
class _Case:
    """Incidents before and after the origin, all in a cell, and the windows to fit."""

    past: Incidents
    cell: IntArray
    test: Incidents
    test_cell: IntArray
    grid: Grid
    windows: tuple[int, ...]
    origin_s: int


def block_losses(
    incidents: Incidents,
    grid: Grid,
    request: FigureRequest,
    progress: Progress = lambda _share, _message: None,
) -> dict[str, Any]:
    """Return the loss by preset, number of blocks and seed; JSON-ready except for `density`.

    Returns:
        {"windows", "n_train", "n_test", "blocks", "losses": {preset: [[loss per seed] per number of
        blocks]}, "density": {preset: (N,) density per km2 of the fullest window}}; losses in nats
        per incident, minus the mean log density per km2 on the test incidents of the windows.
    """
    case = _case(incidents, grid, request)
    losses: dict[str, list[list[float]]] = {}
    steps = [(preset, n) for preset in PRESETS for n in request.blocks]
    for i, (preset, n_blocks) in enumerate(steps):
        progress(i / (len(steps) + 1), f"{preset}: {n_blocks} blocks")
        settings = _settings(preset, n_blocks, request.n_seeds, case.windows)
        losses.setdefault(preset, []).append(_loss_per_seed(settings, case))
    progress(len(steps) / (len(steps) + 1), "densities")
    return {
        "windows": list(case.windows),
        "n_train": len(case.past),
        "n_test": len(case.test),
        "blocks": list(request.blocks),
        "losses": losses,
        "density": _densities(case, request) if request.largest else {},
    }


def losses_of_region(
    engine: Engine,
    settings: Settings,
    region_id: str,
    request: FigureRequest,
    progress: Progress = lambda _share, _message: None,
) -> tuple[dict[str, Any], Grid]:
    """Return `block_losses` of a region's stored incidents, and the grid.

    Raises:
        NotFound: the region does not exist.
        NotReady: there are fewer than twice `request.test_days` days of incidents.
    """
    with engine.connect() as connection:
        key = get_region(connection, region_id).key
    data = load_training_data(engine, key)
    span_s = int(data.incidents.time_s[-1] - data.incidents.time_s[0])
    if span_s < 2 * request.test_days * DAY_S:
        raise NotReady(
            f"the figure needs {2 * request.test_days} days of incidents, got {span_s // DAY_S}",
            code="no_incidents",
        )
    use_threads(choose_threads(settings))
    return block_losses(data.incidents, data.grid, request, progress), data.grid


def _case(incidents: Incidents, grid: Grid, request: FigureRequest) -> _Case:
    origin_s = int(incidents.time_s[-1]) + 1 - request.test_days * DAY_S
    incidents = shared_out(incidents, incidents.before(origin_s))
    counts = np.bincount(incidents.before(origin_s).window, minlength=N_WINDOWS)
    windows = np.sort(np.argsort(-counts, kind="stable")[: request.n_windows])
    cell = grid.locate(incidents.x_m, incidents.y_m)
    mine = (cell >= 0) & np.isin(incidents.window, windows)
    chosen = incidents.take(mine)
    past, test = chosen.before(origin_s), held_out(chosen, origin_s, request.test_days)
    return _Case(
        past,
        grid.locate(past.x_m, past.y_m),
        test,
        grid.locate(test.x_m, test.y_m),
        grid,
        tuple(int(w) for w in windows),
        origin_s,
    )


def _settings(
    preset: str, n_blocks: int, n_seeds: int, windows: tuple[int, ...], width: int = 64
) -> WindowSettings:
    if preset == "paper":
        return replace(paper_preset(n_blocks, width, n_seeds), windows=windows)
    ours = window_preset(n_seeds)
    return replace(ours, flow=replace(ours.flow, n_blocks=n_blocks), windows=windows)


def _loss_per_seed(settings: WindowSettings, case: _Case) -> list[float]:
    fitted = _fit(settings, case)
    density = fitted[:, case.test.window, case.test_cell] / case.grid.area_km2[case.test_cell]
    return [float(v) for v in -np.log(density).mean(axis=1)]


def _fit(settings: WindowSettings, case: _Case) -> FloatArray:
    """Fit probabilities (R, 168, N), by seed."""
    context = FitContext(case.origin_s, n_threads=thread_count())
    return WindowFlows(settings).fit(case.past, case.cell, case.grid, context).probability_


def _densities(case: _Case, request: FigureRequest) -> dict[str, FloatArray]:
    """Fit the density of the fullest window with the study's largest network and with ours."""
    counts = np.bincount(case.past.window, minlength=N_WINDOWS)
    fullest = int(np.argmax(counts))
    n_blocks, width = request.largest or LARGEST
    largest = _settings("paper", n_blocks, 1, (fullest,), width)
    ours = replace(window_preset(1), windows=(fullest,))
    return {
        name: _fit(settings, case)[0, fullest] / case.grid.area_km2
        for name, settings in (("paper", largest), ("ours", ours))
    }


def block_plot(found: dict[str, Any], grid: Grid, file_format: str) -> bytes:
    """Draw losses by number of blocks, with a point per seed, and the two densities."""
    with drawing(figsize=(13, 4.5), dpi=110) as figure:
        losses, *maps = figure.subplots(1, 1 + len(found["density"]), squeeze=False)[0]
        for preset, colour in zip(PRESETS, ("tab:red", "tab:blue"), strict=True):
            values = np.array(found["losses"][preset])
            blocks = np.repeat(found["blocks"], values.shape[1])
            losses.scatter(blocks, values.ravel(), s=12, alpha=0.5, color=colour)
            losses.plot(found["blocks"], values.mean(1), color=colour, label=preset)
        losses.set_xlabel("blocks")
        losses.set_ylabel(f"loss on {found['n_test']} later incidents, nats")
        losses.legend()
        for axes, (preset, density) in zip(maps, found["density"].items(), strict=True):
            _draw(axes, grid, density)
            axes.set_title(f"{preset}: density per km2", fontsize=10)
        return file_of(figure, file_format, bbox_inches="tight")


def _draw(axes: Axes, grid: Grid, density: FloatArray) -> None:
    image = np.full((grid.ny, grid.nx), np.nan)
    image[grid.iy, grid.ix] = density
    low, high = np.quantile(density, [0.02, 0.999])
    shown = axes.imshow(image, origin="lower", norm=LogNorm(max(low, high / 1e4), high))
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)
    axes.set_axis_off()
