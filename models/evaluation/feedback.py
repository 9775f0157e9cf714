"""Runaway feedback: a patrol finds incidents where it is sent, and is sent where incidents were found.

The urn of Ensign et al. 2018 ("Runaway feedback loops in predictive policing", FAT*): two places of
the same true rate; each day one patrol goes to one of them, drawn by the shares that the model has
learnt. Incidents that the public reports do not depend on the patrol; those that the patrol
discovers are recorded where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.base import FloatArray


@dataclass(frozen=True)
class Urn:
    """The simulation's setting.

    Args:
        n_days: patrols, one a day.
        start: recorded incidents of the two places before the first day.
        discovery_rate: incidents that a patrol discovers in a day where it is, on average.
        report_rate: incidents that the public of each place reports in a day, on average.
        discovered_weight: how much of a discovered incident the model learns from, 0..1.
        start_discovered: whether the start counts as discovered or as reported.
    """

    n_days: int = 1_000
    start: tuple[float, float] = (80.0, 20.0)
    discovery_rate: float = 1.0
    report_rate: float = 1.0
    discovered_weight: float = 0.0
    start_discovered: bool = True


def simulate(urn: Urn, n_runs: int, seed: int = 0) -> FloatArray:
    """(n_runs, n_days + 1) share of the first place in what the model has learnt, day by day.

    Without anything learnt the share is one half.
    """
    rng = np.random.default_rng(seed)
    weight = urn.discovered_weight if urn.start_discovered else 1.0
    learnt = np.tile(weight * np.array(urn.start), (n_runs, 1))
    shares = np.empty((n_runs, urn.n_days + 1))
    shares[:, 0] = _share(learnt)
    for day in range(urn.n_days):
        first = rng.random(n_runs) < shares[:, day]
        found = rng.poisson(urn.discovery_rate, n_runs)
        learnt += rng.poisson(urn.report_rate, (n_runs, 2))
        learnt[:, 0] += urn.discovered_weight * found * first
        learnt[:, 1] += urn.discovered_weight * found * ~first
        shares[:, day + 1] = _share(learnt)
    return shares


def _share(learnt: FloatArray) -> FloatArray:
    total = learnt.sum(axis=1)
    result: FloatArray = np.where(total > 0, learnt[:, 0] / np.where(total > 0, total, 1.0), 0.5)
    return result


NAIVE = Urn(report_rate=0.0, discovered_weight=1.0)
"""Learns from what patrols discover, as the study's urn does: 8:2 stays 8:2, whatever is true."""
OURS = Urn(discovered_weight=0.0)
"""Learns from reports only: the start, which patrols made, is not believed."""
