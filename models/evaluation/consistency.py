"""Tests of a joint forecast: number, space, and hour with space, as seismology tests its own.

The forecast is a rate for each hour and cell: expected counts times densities. Each test asks whether what
happened looks like what the forecast would bring about, by simulation: the N-test its number, the S-test
its places, the CL-test hours and places given the number (Zechar, Gerstenberger & Rhoades 2010,
"Likelihood-based tests for evaluating space-rate-magnitude earthquake forecasts"; Savran et al. 2022).

Seismology draws incidents independently. Crimes come in batches (several victims of one event, a
series of thefts in one street), and some places do better or worse for a month; a forecast of independent
incidents is then rejected however good its rates are. `Clustering` says how much of either there is; it is
estimated on forecasts of earlier periods (`clustering.py`), and `INDEPENDENT` gives the tests as seismology
defines them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from models.counts.model import CountModel
from models.units import DAY_S, HOUR_S, N_WINDOWS, FloatArray, IntArray

LEVEL = 0.05
"""A test fails if less than this share of the simulations is as unlikely as what happened."""
N_SIMULATIONS = 500
LEAST_SIMULATIONS = 100
"""Fewer are run than `N_SIMULATIONS` once no pass can change any more (Besag & Clifford 1991), and where
none of the first was as unlikely: of tests that would pass, one in 170 is lost so at most."""
_LEAST_RATE = 1e-300


@dataclass(frozen=True)
class Clustering:
    """How incidents of a period deviate from independent draws of a forecast's rates.

    `by_cell` is the squared coefficient of variation of a cell's true rate about the forecast one;
    `followers` the expected number of further incidents in the batch of an incident, all in its cell;
    `at_once` the share of these that fall into its hour.
    """

    by_cell: float = 0.0
    followers: float = 0.0
    at_once: float = 0.0


INDEPENDENT = Clustering()


@dataclass(frozen=True)
class CountErrors:
    """Variances of the errors of slots, days and the level, relative to the mean; see `CountModel`."""

    by_slot: float = 0.0
    by_day: float = 0.0
    by_level: float = 0.0


@dataclass(frozen=True)
class JointForecast:
    """Rates of a period's hours and cells.

    `mean` (K,) is the expected number of incidents in each slot and `window` (K,) its hour of the week;
    `probability` (168, N), or (1, N) if all windows are equal, is the share of each cell in a window's
    incidents; `time_s` (K,) are UTC starts of the slots. `counts` gives the dispersion of slots, days and
    the level.
    """

    mean: FloatArray
    window: IntArray
    time_s: IntArray
    probability: FloatArray
    counts: CountModel | CountErrors

    def cell_share(self, rate: FloatArray) -> FloatArray:
        """Return the share of each cell (N,) in the incidents of all slots with these rates (K,)."""
        if len(self.probability) == 1:
            return np.asarray(self.probability[0] / self.probability[0].sum(), np.float64)
        by_window = np.bincount(self.window, rate, N_WINDOWS)
        rate_of_cell = by_window @ self.probability
        share: FloatArray = rate_of_cell / rate_of_cell.sum()
        return share


@dataclass(frozen=True)
class Observed:
    """Incidents of the period: the slot (n,) and the cell (n,) of each."""

    slot: IntArray
    cell: IntArray

    def __len__(self) -> int:
        return len(self.slot)


@dataclass(frozen=True)
class Outcome:
    """Result of a test: the share of simulations at or below what happened, and the verdict.

    `upper` is the share at or above it, for the N-test, which has two sides.
    """

    quantile: float
    passed: bool
    upper: float | None = None


def number_test(forecast: JointForecast, n: int, seed: int = 0) -> Outcome:
    """Test the number of incidents of the period (N-test, both sides together at `LEVEL`)."""
    rng = np.random.default_rng(seed)
    # Counts need no cells: many draws cost nothing.
    totals = rng.poisson([rate.sum() for rate in _rates(forecast, rng, 20 * N_SIMULATIONS)])
    at_most, at_least = float((totals <= n).mean()), float((totals >= n).mean())
    return Outcome(at_most, min(at_most, at_least) > LEVEL / 2, at_least)


def likelihood_tests(
    forecast: JointForecast,
    observed: Observed,
    clustering: Clustering = INDEPENDENT,
    seed: int = 0,
) -> tuple[Outcome, Outcome]:
    """Test the incidents given their number, on the same simulations.

    Returns:
        the S-test, of their cells with all hours together, and the CL-test, of hours and cells together.
    """
    n = len(observed)
    n_cells = forecast.probability.shape[1]
    of_cell = np.log(np.maximum(n * forecast.cell_share(forecast.mean), _LEAST_RATE))
    of_slot = np.log(np.maximum(n * forecast.mean / forecast.mean.sum(), _LEAST_RATE))
    within_slot = np.log(np.maximum(forecast.probability, _LEAST_RATE))
    table_row = forecast.window % len(within_slot)

    def log_likelihoods(one: Observed) -> tuple[float, float]:
        joint = of_slot[one.slot] + within_slot[table_row[one.slot], one.cell]
        return (
            _log_likelihood(of_cell[one.cell], one.cell),
            _log_likelihood(joint, one.slot * n_cells + one.cell),
        )

    rng = np.random.default_rng(seed)
    drawn = simulations(forecast, n, clustering, rng, N_SIMULATIONS)
    found = np.array(log_likelihoods(observed))
    at_most, n_drawn = np.zeros(2), 0
    for one in drawn:
        at_most += np.array(log_likelihoods(one)) <= found
        n_drawn += 1
        decided = (at_most > LEVEL * N_SIMULATIONS) | (at_most == 0)
        if n_drawn >= LEAST_SIMULATIONS and decided.all():
            break
    space, joint = (Outcome(float(q), bool(q > LEVEL)) for q in at_most / n_drawn)
    return space, joint


def _log_likelihood(log_rate: FloatArray, bin_: IntArray) -> float:
    """Return the Poisson log-likelihood of n incidents in bins whose rates sum to n."""
    _, count = np.unique(bin_, return_counts=True)
    return float(log_rate.sum() - gammaln(count + 1.0).sum() - len(bin_))


def simulations(
    forecast: JointForecast,
    n: int,
    clustering: Clustering,
    rng: np.random.Generator,
    n_simulations: int,
) -> Iterator[Observed]:
    """Yield simulated periods of n incidents each: slots and cells, in batches where there are any."""
    for rate in _rates(forecast, rng, n_simulations):
        share = forecast.cell_share(rate)
        factor = _factors(rng, clustering.by_cell, share.shape)
        leader = _leaders(rng, n, clustering.followers)
        n_batches = int(leader[-1]) + 1 if n else 0
        cell = _drawn(rng, np.cumsum(share * factor), n_batches)[leader]
        slot = _slots_of(forecast, rate, cell, rng)
        if clustering.at_once > 0:
            first = np.searchsorted(leader, np.arange(n_batches))[leader]
            slot = np.where(rng.random(n) < clustering.at_once, slot[first], slot)
        yield Observed(slot, cell)


def _rates(
    forecast: JointForecast, rng: np.random.Generator, n_simulations: int
) -> Iterator[FloatArray]:
    """Yield the rate of each slot (K,): the mean times errors of the level, of days and of slots."""
    counts = forecast.counts
    _, day = np.unique(forecast.time_s // DAY_S, return_inverse=True)
    n_days = int(day.max(initial=-1)) + 1
    for _ in range(n_simulations):
        yield (
            forecast.mean
            * _factors(rng, counts.by_level, (1,))
            * _factors(rng, counts.by_day, (n_days,))[day]
            * _factors(rng, counts.by_slot, forecast.mean.shape)
        )


def _factors(rng: np.random.Generator, variance: float, shape: tuple[int, ...]) -> FloatArray:
    """Return gamma factors of mean one."""
    if variance <= 0:
        return np.ones(shape)
    return rng.gamma(1.0 / variance, variance, shape)


def _leaders(rng: np.random.Generator, n: int, followers: float) -> IntArray:
    """Return the batch (n,) of each incident, ascending from 0; sizes are geometric.

    An incident then lies in a batch with 2q / (1 - q) others on average, q the chance of one more.
    """
    chance = followers / (2.0 + followers)
    starts = rng.random(n) >= chance
    starts[:1] = True
    leader: IntArray = np.cumsum(starts) - 1
    return leader


def _drawn(rng: np.random.Generator, cumulative: FloatArray, n: int) -> IntArray:
    found = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
    drawn: IntArray = np.minimum(found, len(cumulative) - 1)
    return drawn


def _slots_of(
    forecast: JointForecast, rate: FloatArray, cell: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw a slot (n,) for incidents in these cells (n,): windows by place, then slots by rate."""
    order = np.argsort(forecast.window, kind="stable")
    start = np.searchsorted(forecast.window[order], np.arange(N_WINDOWS + 1))
    upto = np.concatenate([[0.0], np.cumsum(rate[order])])
    by_window = np.diff(upto[start])
    if len(forecast.probability) == 1:
        return order[_drawn(rng, upto[1:], len(cell))]
    places, place_of = np.unique(cell, return_inverse=True)
    weight = np.cumsum(by_window[:, None] * forecast.probability[:, places], axis=0)
    wanted = rng.random(len(cell)) * weight[-1][place_of]
    window = np.minimum((weight[:, place_of] <= wanted).sum(axis=0), N_WINDOWS - 1)
    within = upto[start[window]] + rng.random(len(cell)) * by_window[window]
    position = np.searchsorted(upto, within, side="right") - 1
    drawn: IntArray = order[np.clip(position, start[window], start[window + 1] - 1)]
    return drawn


def as_observed(
    cell: IntArray, time_s: IntArray, slot_start_s: IntArray
) -> tuple[Observed, NDArray[np.bool_]]:
    """Return incidents as slots and cells, and which (n,) of them lie in a slot and a cell."""
    slot = np.searchsorted(slot_start_s, time_s, side="right") - 1
    inside = (cell >= 0) & (slot >= 0)
    inside &= time_s < slot_start_s[np.maximum(slot, 0)] + HOUR_S
    return Observed(slot[inside], cell[inside]), inside
