"""Simulation of runaway feedback between patrols and forecasts.

The urn of Ensign et al. 2018 ("Runaway feedback loops in predictive policing", FAT*): two places have
the same true rate, and each day one patrol visits one of them, drawn by the learned shares. Incidents
reported by the public do not depend on the patrol; those it discovers are recorded where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.base import Cells
from models.units import DAY_S, FloatArray


@dataclass(frozen=True)
class Urn:
    """Settings of the simulation.

    Args:
        n_days: number of days, with one patrol each.
        start: recorded incidents of the two places before the first day.
        discovery_rate: mean number of incidents that a patrol discovers per day.
        report_rate: mean number of incidents reported per place and day.
        discovered_weight: weight of discovered incidents in learning, 0..1.
        start_discovered: whether the start counts as discovered or as reported.
    """

    n_days: int = 1_000
    start: tuple[float, float] = (80.0, 20.0)
    discovery_rate: float = 1.0
    report_rate: float = 1.0
    discovered_weight: float = 0.0
    start_discovered: bool = True


def simulate(urn: Urn, n_runs: int, seed: int = 0) -> FloatArray:
    """Return the learned share (n_runs, n_days + 1) of the first place, day by day.

    Before anything is learned the share is one half.
    """
    rng = np.random.default_rng(seed)
    weight = urn.discovered_weight if urn.start_discovered else 1.0
    learned = np.tile(weight * np.array(urn.start), (n_runs, 1))
    shares = np.empty((n_runs, urn.n_days + 1))
    shares[:, 0] = _share(learned)
    for day in range(urn.n_days):
        first = rng.random(n_runs) < shares[:, day]
        found = rng.poisson(urn.discovery_rate, n_runs)
        learned += rng.poisson(urn.report_rate, (n_runs, 2))
        learned[:, 0] += urn.discovered_weight * found * first
        learned[:, 1] += urn.discovered_weight * found * ~first
        shares[:, day + 1] = _share(learned)
    return shares


def _share(learned: FloatArray) -> FloatArray:
    total = learned.sum(axis=1)
    result: FloatArray = np.where(total > 0, learned[:, 0] / np.where(total > 0, total, 1.0), 0.5)
    return result


def simulate_states(urn: Urn, cells: Cells, n_runs: int, seed: int = 0) -> FloatArray:
    """Return the share (n_runs, n_days + 1) of the first of two cells in the daily states of a version.

    The version learnt the start; its states follow what it would learn from since, every day, as between
    two trainings. Discovered incidents are drawn by their weight, as trainings draw them.
    """
    # Here, because it needs torch, which API processes do not load.
    from models.densities.refresh import Refresh

    rng = np.random.default_rng(seed)
    weight = urn.discovered_weight if urn.start_discovered else 1.0
    first = float(_share(weight * np.array([urn.start]))[0])
    refresh = Refresh(np.array([first, 1.0 - first]), cells)
    shares = np.full((n_runs, urn.n_days + 1), first)
    for run in range(n_runs):
        rows, days = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for day in range(urn.n_days):
            visited = int(rng.random() >= shares[run, day])
            n_found = rng.binomial(rng.poisson(urn.discovery_rate), urn.discovered_weight)
            new = np.repeat([0, 1, visited], [*rng.poisson(urn.report_rate, 2), n_found])
            rows = np.concatenate([rows, new])
            days = np.concatenate([days, np.full(len(new), day)])
            state = refresh.state(rows, days * DAY_S + DAY_S // 2, 0, (day + 1) * DAY_S)
            moved = refresh.base * state.ratio(0.5)
            shares[run, day + 1] = moved[0] / moved.sum()
    return shares


NAIVE = Urn(report_rate=0.0, discovered_weight=1.0)
"""Learns from discovered incidents, like the urn of the study: 8:2 remains 8:2, whatever the true rates."""
OURS = Urn(discovered_weight=0.0)
"""Learns from reports only and ignores the start, which patrols produced."""
