"""What the default is worth over last year's list and over `pooled-kde`, by number of incidents and delay.

Each city is thinned at random to so many past incidents, and a feed that is `delay` days late lacks the last
days before an origin. Every fit is scored on all incidents of the 28 days after it, not on a thinned part: a
thinned city would have the same scores on average, and wider bounds. As few incidents are left of a year, a
list of all years stands beside that of the last one. `stack` has no delay here, because its fits are slow;
what a delay changes is measured with `cox`, on the same incidents, and added to `stack`.
Bounds resample the origins of each city and the weeks of an origin, and cities count alike; a thinned past is
drawn anew at each origin. `app/evaluation/worth/table.json` is what this writes to the file that
`HOTSLOT_BENCH_OUT` names. Fits that are done are kept beside it (`.fits`): a run that was stopped goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cities import FILES, City, load_city, machine
from models.base import HORIZON_DAYS, DensityModel, FitContext
from models.catalog import create_model
from models.densities.prior_counts import PriorCounts
from models.evaluation.bootstrap import interval
from models.evaluation.metrics import ScoredIncidents, score_incidents
from models.evaluation.worth import (
    DENSITY_RIVAL,
    LIST_RIVAL,
    OVER_ALL_YEARS,
    TYPICAL_GAINS,
    gains_by_incident,
    score_all_hours,
)
from models.incidents import Incidents
from models.units import DAY_S, WEEK_S, FloatArray

SIZES = (300, 1_000, 3_000, 10_000, 30_000, 100_000)
DELAYS_DAYS = (0, 7, 28, 90)
MODEL, FAST, ALL_YEARS = "stack", "cox", "all years"
N_ORIGINS = 2
N_WEEKS = HORIZON_DAYS // 7
N_RESAMPLES = 2_000
LISTED, LONG_LISTED = "list_share", "all_years_share"
Weeks = dict[str, FloatArray]
"""Sums by origin and week (O, 4) of each gain, of what last year's list caught, and `n` incidents."""


@dataclass(frozen=True, order=True)
class Unit:
    """One model, or the list of all years, on one thinned city; `n` 0: not thinned."""

    n: int
    delay_days: int
    model: str


def units_of(city: City) -> list[Unit]:
    """What is fitted on a city: the default without a delay, and a faster model with each delay."""
    sizes = [n for n in SIZES if n <= len(city.incidents.before(city.origins(N_ORIGINS)[0]))]
    found = [Unit(n, 0, name) for name in (MODEL, ALL_YEARS) for n in (*sizes, 0)]
    found += [Unit(n, days, FAST) for n in sizes for days in DELAYS_DAYS]
    return found + [Unit(n, days, ALL_YEARS) for n in sizes for days in DELAYS_DAYS[1:]]


class Origin:
    """A city at one origin: its past, thinned in one order, and what came after."""

    def __init__(self, city: City, place: int) -> None:
        self.city, self.origin_s = city, city.origins(N_ORIGINS)[place]
        self.past = city.incidents.before(self.origin_s)
        end_s = self.origin_s + HORIZON_DAYS * DAY_S
        self.test = city.incidents.between(self.origin_s, end_s)
        self.rows = city.grid.locate(self.test.x_m, self.test.y_m)
        # One order for all sizes: a smaller city is a part of a larger one.
        self.order = np.random.default_rng([place, len(self.past)]).permutation(len(self.past))
        self.rivals: dict[tuple[int, int, str], ScoredIncidents] = {}

    def known(self, unit: Unit) -> Incidents:
        """What of the thinned past is known at the origin."""
        kept = np.sort(self.order[: unit.n or None])
        return self.past.take(kept).before(self._cutoff(unit))

    def gains(self, unit: Unit) -> Weeks:
        """Fit and score; sums by week."""
        known = self.known(unit)
        if unit.model == ALL_YEARS:
            context = FitContext(self._cutoff(unit))
            years = PriorCounts(days=36_500).fit(known, self.city.grid, context)
            listed = score_all_hours(years, self.rows, known.window).hits
            return self._by_week({LONG_LISTED: listed})
        model = self._fitted(unit, unit.model, known)
        own = self._scored(model)
        flat = score_all_hours(model, self.rows, known.window)
        kde, last_year = (self._rival(unit, name, known) for name in (DENSITY_RIVAL, LIST_RIVAL))
        found = gains_by_incident(own, flat, kde, last_year)
        found[LISTED] = flat.hits - found["places_hits"]
        return self._by_week(found)

    def _by_week(self, scores: Mapping[str, FloatArray]) -> Weeks:
        found = {**scores, "n": np.ones(len(self.rows))}
        week = (self.test.time_s - self.origin_s) // WEEK_S
        sums = {name: np.bincount(week, v, N_WEEKS) for name, v in found.items()}
        return {name: one.astype(np.float64)[None] for name, one in sums.items()}

    def _cutoff(self, unit: Unit) -> int:
        return self.origin_s - unit.delay_days * DAY_S

    def _fitted(self, unit: Unit, name: str, known: Incidents) -> DensityModel:
        return create_model(name).fit(known, self.city.grid, FitContext(self._cutoff(unit)))

    def _scored(self, model: DensityModel) -> ScoredIncidents:
        return score_incidents(model, self.rows, self.test.window)

    def _rival(self, unit: Unit, name: str, known: Incidents) -> ScoredIncidents:
        key = unit.n, unit.delay_days, name
        if key not in self.rivals:
            self.rivals[key] = self._scored(self._fitted(unit, name, known))
        return self.rivals[key]


class Fits:
    """Fits that are done, in a file of a line each; without a file they are not kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.done: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                key, weeks = json.loads(line)
                self.done[key] = weeks

    def of(self, origin: Origin, place: int, unit: Unit) -> Weeks:
        """Its weeks, as done before or now."""
        key = f"{origin.city.name} {place} {unit.n} {unit.delay_days} {unit.model}"
        if key not in self.done:
            weeks = origin.gains(unit)
            self.done[key] = {name: values.tolist() for name, values in weeks.items()}
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, self.done[key]]) + "\n")
        return {name: np.array(values) for name, values in self.done[key].items()}


def measured(cities: Sequence[City], fits: Fits) -> dict[str, dict[Unit, Weeks]]:
    """All units of the cities, by origin; the whole city at the last origin only."""
    found: dict[str, dict[Unit, list[Weeks]]] = {city.name: {} for city in cities}
    origins = [(place, Origin(city, place)) for place in range(N_ORIGINS) for city in cities]
    for model in (MODEL, FAST, ALL_YEARS):
        for place, origin in origins:
            for unit in units_of(origin.city):
                if unit.model != model or (unit.n == 0 and place < N_ORIGINS - 1):
                    continue
                weeks = fits.of(origin, place, unit)
                found[origin.city.name].setdefault(unit, []).append(weeks)
                n = weeks["n"].sum()
                told = " ".join(f"{name} {v.sum() / n:+.4f}" for name, v in weeks.items())
                print(f"{origin.city.name} {place} {unit}: {told}", flush=True)
    return {
        city: {
            unit: {name: np.concatenate([w[name] for w in weeks]) for name in weeks[0]}
            for unit, weeks in units.items()
        }
        for city, units in found.items()
    }


def delayed(found: Mapping[Unit, Weeks], n: int, days: int) -> Weeks:
    """The default's weeks, plus what a delay changes in those of the faster model."""
    own, now, late = (
        found[unit] for unit in (Unit(n, 0, MODEL), Unit(n, 0, FAST), Unit(n, days, FAST))
    )
    both = {name: own[name] if name == "n" else own[name] + late[name] - now[name] for name in own}
    return beside_all_years(both, found[Unit(n, days, ALL_YEARS)])


def beside_all_years(own: Weeks, all_years: Weeks) -> Weeks:
    """Add what one list of the model catches over a list of all years."""
    one_list = own["places_hits"] + own[LISTED]
    return {**own, OVER_ALL_YEARS: one_list - all_years[LONG_LISTED]}


def pooled(cities: Mapping[str, Weeks], name: str, seed: int = 0) -> dict[str, float]:
    """Mean over cities with its 95 % bounds, and the lowest and the highest city."""
    rng = np.random.default_rng(seed)
    means, drawn = [], []
    for weeks in cities.values():
        total, count = weeks[name], weeks["n"]
        means.append(float(total.sum() / count.sum()))
        origin = rng.integers(0, len(total), (N_RESAMPLES, len(total), 1))
        week = rng.integers(0, N_WEEKS, (N_RESAMPLES, len(total), N_WEEKS))
        sums = (one[origin, week].sum(axis=(1, 2)) for one in (total, count))
        drawn.append(np.divide(*sums))
    lo, hi = interval(np.mean(drawn, axis=0))
    values = (float(np.mean(means)), lo, hi, min(means), max(means))
    return {
        key: round(value, 5)
        for key, value in zip(("mean", "lo", "hi", "lowest", "highest"), values, strict=True)
    }


def table_of(found: Mapping[str, Mapping[Unit, Weeks]]) -> Iterator[dict[str, Any]]:
    """Rows by size and delay, then the whole cities (`n` is theirs)."""
    for n in SIZES:
        for days in DELAYS_DAYS:
            cities = {
                city: delayed(units, n, days)
                for city, units in found.items()
                if Unit(n, 0, MODEL) in units
            }
            if cities:
                yield row_of(cities, n, days)


def row_of(cities: Mapping[str, Weeks], n: int, days: int) -> dict[str, Any]:
    """One row of the table."""
    return {
        "n": n,
        "delay_days": days,
        "cities": list(cities),
        "list_share": pooled(cities, LISTED)["mean"],
        "gains": {gain: pooled(cities, gain) for gain in TYPICAL_GAINS},
    }


def main() -> None:
    """Measure and write the table; ends with the `RESULT` line."""
    print(machine())
    chosen = [c for c in os.environ.get("HOTSLOT_BENCH_CITIES", "").split(",") if c]
    started = time.process_time()
    cities = [load_city(name) for name in chosen or FILES]
    out = os.environ.get("HOTSLOT_BENCH_OUT")
    fits = Fits(Path(out).with_suffix(".fits") if out else None)
    found = measured(cities, fits)
    rows = list(table_of(found))
    whole = []
    for city in cities:
        own, all_years = (found[city.name][Unit(0, 0, name)] for name in (MODEL, ALL_YEARS))
        weeks = {city.name: beside_all_years(own, all_years)}
        whole.append(row_of(weeks, len(city.incidents), 0))
    table = {
        "command": "make bench PART=worth",
        "model": MODEL,
        "delay_model": FAST,
        "n_origins": N_ORIGINS,
        "horizon_days": HORIZON_DAYS,
        "rows": rows,
        "whole": whole,
    }
    for row in (*rows, *whole):
        print(json.dumps(row))
    if out:
        Path(out).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(
        f"RESULT worth rows={len(rows)} cities={len(cities)} "
        f"minutes={(time.process_time() - started) / 60:.1f}",
        *(
            f"{gain}_{row['n']}={row['gains'][gain]['mean']:.4f}"
            for row in rows
            if row["delay_days"] == 0
            for gain in ("places_hits", "hour_hits")
        ),
    )
