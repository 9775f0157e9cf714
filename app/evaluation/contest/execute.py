"""A contest on past periods: the learned selection, last year's counts and the pooled kernel density."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.core.errors import NotReady
from app.core.processes.task_pool import run_tasks
from app.evaluation.backtests.counts import iso
from app.fitting.data import TrainingData, load_training_data
from app.geo.grid import Grid, cover
from app.regions.store import get_region
from models.base import HORIZON_DAYS, FitContext, Progress
from models.catalog import create_model
from models.contest.rules import AREAS_KM2, CELL_KM2, HORIZONS_DAYS, SIDE_M
from models.contest.scoring import ListHits, model_hits, selection_hits
from models.contest.selection import fit_selection
from models.evaluation.significance import paired_difference
from models.evaluation.small_areas import ListScore
from models.incidents import Incidents
from models.units import DAY_S

LEARNED, RIVAL = "learned", "prior-counts"
CONTESTANTS = (LEARNED, RIVAL, "pooled-kde")
MIN_PAST = 100
"""Incidents before the first origin."""
POLL_S = 0.5


@dataclass(frozen=True)
class Contest:
    """What is asked of a contest.

    Args:
        n_origins: number of back-to-back periods of 28 days, the last ones.
        categories: names of kinds, aliases or groups; None: all.
        one_grid: the rows of the learned selection's cells are not shifted against each other.
    """

    n_origins: int = 4
    categories: tuple[str, ...] | None = None
    one_grid: bool = False


@dataclass(frozen=True)
class Task:
    """One contestant at one origin (UTC seconds)."""

    contestant: str
    origin_s: int


@dataclass(frozen=True)
class _Shared:
    incidents: Incidents
    grid: Grid
    one_grid: bool


def contest_data(engine: Engine, region_id: str, contest: Contest) -> TrainingData:
    """Read what the contest is about: all reported incidents, or those of some categories.

    Raises:
        NotFound: the region does not exist.
        NotReady: it has no incidents.
    """
    with engine.connect() as connection:
        key = get_region(connection, region_id).key
    return load_training_data(engine, key, contest.categories)


def hold_contest(
    data: TrainingData,
    contest: Contest,
    progress: Progress = lambda _share, _message: None,
) -> dict[str, Any]:
    """Let all contestants choose cells at past origins, and score them on what came after.

    Returns:
        JSON-ready: the rules, the origins, and `scores`, a row for each contestant, horizon and area.

    Raises:
        NotReady: there are hardly any incidents before the first origin.
        LimitExceeded: the study area has over 300,000 cells.
    """
    step_s = HORIZON_DAYS * DAY_S
    origins = [data.cutoff_s - k * step_s for k in range(contest.n_origins, 0, -1)]
    n_past = len(data.incidents.before(origins[0]))
    if n_past < MIN_PAST:
        raise NotReady(
            f"{n_past} incidents before the first of {len(origins)} periods of {HORIZON_DAYS} days, "
            f"a contest needs {MIN_PAST}: ask for fewer periods",
            code="no_incidents",
        )
    grid = cover(data.area, SIDE_M)
    tasks = [Task(name, origin_s) for origin_s in origins for name in CONTESTANTS]
    shared = _Shared(data.incidents, grid, contest.one_grid)
    found: dict[Task, ListHits] = {}
    n_jobs = min(os.cpu_count() or 1, len(tasks))
    with closing(run_tasks(_hits_of, shared, tasks, n_jobs, POLL_S)) as results:
        for finished in results:
            if finished is not None:
                found[finished[0]] = finished[1]
                progress(len(found) / len(tasks), f"{len(found)} of {len(tasks)} lists")
    return {
        "region": data.region.id,
        "categories": None if contest.categories is None else list(contest.categories),
        "one_grid": contest.one_grid,
        "cell_km2": CELL_KM2,
        "areas_km2": list(AREAS_KM2),
        "horizons_days": list(HORIZONS_DAYS),
        "origins": [iso(origin_s) for origin_s in origins],
        "end": iso(data.cutoff_s),
        "scores": _scores(data, origins, found),
    }


def _hits_of(shared: _Shared, task: Task) -> tuple[Task, ListHits]:
    """Let a contestant choose by what came before an origin, and judge its lists."""
    past, test = shared.incidents.before(task.origin_s), _after(shared.incidents, task.origin_s)
    context = FitContext(task.origin_s)
    if task.contestant == LEARNED:
        selection = fit_selection(past, context, shifted_rows=not shared.one_grid)
        return task, selection_hits(selection, test, task.origin_s)
    model = create_model(task.contestant).fit(past, shared.grid, context)
    return task, model_hits(model, shared.grid, past, test, task.origin_s)


def _after(incidents: Incidents, origin_s: int) -> Incidents:
    return incidents.between(origin_s, origin_s + HORIZONS_DAYS[-1] * DAY_S)


def judged_origins(origins_s: Sequence[int], days: int, end_s: int) -> list[int]:
    """Return the origins whose periods are over and do not overlap, from the last one back.

    >>> judged_origins([0, 28 * 86400, 56 * 86400], 56, 84 * 86400)
    [2419200]
    """
    chosen: list[int] = []
    latest_s = end_s
    for origin_s in reversed(origins_s):
        if origin_s + days * DAY_S <= latest_s:
            chosen.append(origin_s)
            latest_s = origin_s
    return chosen[::-1]


def _scores(
    data: TrainingData, origins: Sequence[int], found: dict[Task, ListHits]
) -> list[dict[str, Any]]:
    """Return the rows of all horizons that are over, areas and contestants."""
    rows = []
    for horizon, days in enumerate(HORIZONS_DAYS):
        judged = judged_origins(origins, days, data.cutoff_s)
        if not judged:
            continue
        tests = [_after(data.incidents, origin_s) for origin_s in judged]
        within = [t.time_s < o + days * DAY_S for t, o in zip(tests, judged, strict=True)]
        time_s = np.concatenate([t.time_s[w] for t, w in zip(tests, within, strict=True)])
        for place in range(len(AREAS_KM2)):
            rival = _hits([found[Task(RIVAL, o)] for o in judged], within, place)
            for name in CONTESTANTS:
                lists = [found[Task(name, o)] for o in judged]
                hits = _hits(lists, within, place)
                score = ListScore(
                    len(hits),
                    float(hits.sum()),
                    float(np.mean([one.area_km2[place] for one in lists])),
                    data.area.area_km2,
                    float(sum(one.best[horizon, place] for one in lists)),
                )
                row = {"contestant": name, "days": days, "periods": len(judged)}
                row |= {"budget_km2": AREAS_KM2[place], **score.to_json()}
                rows.append({**row, "difference": _difference(hits, rival, time_s)})
    return rows


def _difference(
    hits: NDArray[np.float64], rival: NDArray[np.float64], time_s: NDArray[np.int64]
) -> dict[str, float]:
    """Return by how many hits a list is ahead of the rival's, with an interval over days."""
    gap = paired_difference(hits, rival, time_s, block_s=DAY_S)
    return {"hits": len(hits) * gap.mean, "lo": len(hits) * gap.lo, "hi": len(hits) * gap.hi}


def _hits(
    lists: Sequence[ListHits], within: Sequence[NDArray[np.bool_]], place: int
) -> NDArray[np.float64]:
    caught = [one.in_list[w, place] for one, w in zip(lists, within, strict=True)]
    return np.concatenate(caught).astype(np.float64)
