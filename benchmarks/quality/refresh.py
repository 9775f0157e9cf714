"""What it is worth to bring the forecast forward every day, by how late the data are.

`stack` is fitted at origins 28 days apart. Each of the 28 days after an origin is forecast by the fit
(frozen), and by its state of what had happened `delay` days before the day's start (daily); both see the
same data at the origin, so that with a delay the days start that much after the end of the data. Beside it,
the state after 28 days against a new fit at that moment; the share of hours within their intervals by how far
ahead they lie; and the seconds and memory of `assimilate` on a
region in PostgreSQL with all of Toronto and the 28 days after its training.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.fitting.hourly_counts import counted_slots
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.states.service import assimilate
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from benchmarks.cities import DATA, FILES, City, load_city, machine
from benchmarks.service.ingest import fresh_home
from models.base import HORIZON_DAYS, FitContext
from models.counts.model import CountModel
from models.densities.refresh import USUAL_STRENGTH, Refresh
from models.densities.stack import Stack
from models.densities.state import log_gain, mean_over_hours
from models.evaluation.memorisation import judge, places_in_cells
from models.evaluation.significance import Difference, paired_difference
from models.units import DAY_S, HOUR_S, N_WINDOWS, FloatArray, IntArray
from tests.support.services.processes import peak_memory_mb

N_ORIGINS = 4
DELAYS_DAYS = (0, 1, 7, 14, 45)
LEADS_DAYS = (1, 7, 28, 90)
N_SAMPLES = 10_000
N_COUNT_ORIGINS, MIN_HISTORY_DAYS = 12, 200


@dataclass(frozen=True)
class Gains:
    """Log densities minus those of the fit, by incident, and the incidents' times."""

    by_delay: dict[int, FloatArray]
    time_s: dict[int, IntArray]
    minus_new_fit: float | None
    samples_near: dict[str, float | None]
    """How much more often samples lie near what was learnt than new incidents do: frozen, after 28 days."""


def last_origin(city: City) -> int:
    """The last origin whose days are known with every delay."""
    return city.origins(1)[0] - max(DELAYS_DAYS) * DAY_S


def gains_of(name: str, place: int) -> Gains:
    """Fit at one origin, and score its states."""
    torch.set_num_threads(1)
    city = load_city(name)
    origin = last_origin(city) - place * HORIZON_DAYS * DAY_S
    fitted = Stack().fit(city.incidents, city.grid, FitContext(origin))
    table = fitted.probability_
    since = city.incidents.since(origin)
    rows, window = city.grid.locate(since.x_m, since.y_m), since.window.astype(np.int64)
    past = city.incidents.before(origin)
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS).astype(np.float64)
    base = mean_over_hours(table, rates)
    strength = fitted.state_strength_
    refresh = Refresh(base, city.grid, strength=USUAL_STRENGTH if strength is None else strength)
    day = (since.time_s - origin) // DAY_S

    def gain(of_day: int, lead_days: float, n_known: int) -> FloatArray:
        known = slice(0, n_known)
        end_s = origin + (of_day - int(lead_days)) * DAY_S
        state = refresh.state(rows[known], since.time_s[known], origin, end_s)
        mine = day == of_day
        return log_gain(table, state.ratio(lead_days + 0.5), rows[mine], window[mine])

    by_delay, times = {}, {}
    for delay in DELAYS_DAYS:
        days = range(delay, delay + HORIZON_DAYS)
        known = [int(np.searchsorted(since.time_s, origin + (d - delay) * DAY_S)) for d in days]
        parts = [gain(d, float(delay), n) for d, n in zip(days, known, strict=True)]
        by_delay[delay] = np.concatenate(parts)
        chosen = (day >= delay) & (day < delay + HORIZON_DAYS)
        times[delay] = since.time_s[chosen]
    minus = _minus_new_fit(city, origin, refresh, table) if place > 0 else None
    near = {
        name: _samples_near(city, origin, table, ratio)
        for name, ratio in (("frozen", None), ("state", _after_28_days(city, origin, refresh)))
    }
    return Gains(by_delay, times, minus, near)


def _after_28_days(city: City, origin: int, refresh: Refresh) -> FloatArray:
    """The factors of the state after 28 days."""
    now = origin + HORIZON_DAYS * DAY_S
    known = city.incidents.since(origin).before(now)
    rows = city.grid.locate(known.x_m, known.y_m)
    return refresh.state(rows, known.time_s, origin, now).ratio(0.5)


def _samples_near(
    city: City, origin: int, table: FloatArray, ratio: FloatArray | None
) -> float | None:
    """The ratio of `memorisation.judge`, on the 28 days after those that the state knows."""
    now = origin + HORIZON_DAYS * DAY_S
    learnt = city.incidents.before(origin if ratio is None else now)
    later = city.incidents.since(now).before(now + HORIZON_DAYS * DAY_S)
    places = [np.column_stack([i.x_m, i.y_m]).astype(np.float64) for i in (learnt, later)]
    rng = np.random.default_rng(0)
    mean = table.mean(axis=0) * (1.0 if ratio is None else ratio)
    drawn = places_in_cells(mean, city.grid, N_SAMPLES, rng)
    return judge(drawn, places[0], places[1], later.time_s // DAY_S).ratio


def _minus_new_fit(city: City, origin: int, refresh: Refresh, table: FloatArray) -> float:
    """The state after 28 days minus a fit at that moment, on the 28 days that follow."""
    now = origin + HORIZON_DAYS * DAY_S
    known = city.incidents.since(origin).before(now)
    rows = city.grid.locate(known.x_m, known.y_m)
    state = refresh.state(rows, known.time_s, origin, now)
    test = city.incidents.since(now).before(now + HORIZON_DAYS * DAY_S)
    rows, window = city.grid.locate(test.x_m, test.y_m), test.window.astype(np.int64)
    new = Stack().fit(city.incidents, city.grid, FitContext(now))
    lead = (test.time_s - now) // DAY_S
    moved = np.empty(len(rows))
    for days in np.unique(lead).tolist():
        mine = lead == days
        gain = log_gain(table, state.ratio(days + 0.5), rows[mine], window[mine])
        moved[mine] = np.log(table[window[mine], rows[mine]]) + gain
    return float((moved - np.log(new.probability_[window, rows])).mean())


def compare(name: str, found: list[Gains]) -> dict[int, Difference]:
    """Print one city's table; {delay: daily minus frozen}."""
    worth = {}
    for delay in DELAYS_DAYS:
        gains = np.concatenate([g.by_delay[delay] for g in found])
        time_s = np.concatenate([g.time_s[delay] for g in found])
        worth[delay] = paired_difference(gains, np.zeros(len(gains)), time_s, 0)
    against = [g.minus_new_fit for g in found if g.minus_new_fit is not None]
    print(
        f"{name}: "
        + "; ".join(
            f"{delay} days late {d.mean:+.4f} [{d.lo:+.4f}, {d.hi:+.4f}]"
            for delay, d in worth.items()
        )
        + f"; state after 28 days minus a new fit {np.mean(against):+.4f}; "
        "samples near what was learnt, over new incidents: "
        + ", ".join(
            f"{kind} {np.mean([g.samples_near[kind] or 0.0 for g in found]):.3f}"
            for kind in ("frozen", "state")
        ),
        flush=True,
    )
    return worth


def held_by_lead(city: City) -> dict[int, float]:
    """{days ahead: share of hours within their 90 % intervals}, of fits at origins 28 days apart."""
    times = city.incidents.time_s
    first, last = int(times[0]), int(times[-1]) // HOUR_S * HOUR_S
    held: dict[int, list[float]] = {lead: [] for lead in LEADS_DAYS}
    for place in range(N_COUNT_ORIGINS):
        origin = last - (max(LEADS_DAYS) + 2 + HORIZON_DAYS * place) * DAY_S
        if origin - first < MIN_HISTORY_DAYS * DAY_S:
            break
        slots, count = counted_slots(times[times < origin], city.timezone, first, origin)
        model = CountModel.fit(slots, count)
        for lead, shares in held.items():
            for day in range(max(lead - 2, 0), lead + 1):
                start = origin + day * DAY_S
                later, seen = counted_slots(times, city.timezone, start, start + DAY_S)
                low, high = model.at_lead(start + DAY_S // 2).interval(model.mean(later))
                shares.append(float(((seen >= low) & (seen <= high)).mean()))
    found = {lead: float(np.mean(shares)) for lead, shares in held.items()}
    told = ", ".join(f"day {lead} {share:.3f}" for lead, share in found.items())
    print(f"{city.name}: 90 % intervals of hours hold {told}", flush=True)
    return found


def assimilation() -> tuple[float, float, int]:
    """Seconds, memory and incidents of one assimilation of Toronto, 28 days after its training."""
    file, timezone = FILES["toronto"]
    frame = pd.read_csv(DATA / file, parse_dates=["occurred_at"])
    cut = frame["occurred_at"].max() - pd.Timedelta(days=HORIZON_DAYS)
    with fresh_home() as home:
        settings = Settings(home=home, training_threads=2)
        engine = open_engine(settings)
        migrate(engine)
        boundary = json.loads((DATA / "boundaries" / "toronto.geojson").read_text())
        add_region(engine, "toronto", timezone=timezone, boundary=boundary)
        for part, rows in (
            ("old", frame["occurred_at"] < cut),
            ("new", frame["occurred_at"] >= cut),
        ):
            frame[rows].to_csv(home / f"{part}.csv", index=False)
        ingest_file(engine, "toronto", home / "old.csv", settings=settings)
        request = TrainingRequest(validate=False)
        run = run_now(engine, settings, "toronto", request, lambda _share, _message: None)
        if run.status != "succeeded":
            raise RuntimeError(run.message)
        ingest_file(engine, "toronto", home / "new.csv", settings=settings)
        before_mb = peak_memory_mb(os.getpid())
        started = time.perf_counter()
        _, state = assimilate(engine, "toronto")
        seconds = time.perf_counter() - started
        grown_mb = peak_memory_mb(os.getpid()) - before_mb
        engine.dispose()
    if state is None:
        raise RuntimeError("nothing was assimilated")
    return seconds, max(grown_mb, 0.0), state.n_incidents


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    print(machine(), f"{datetime.now(UTC):%Y-%m-%d}")
    daily, worst = {}, []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        pending = {
            name: [pool.submit(gains_of, name, place) for place in range(N_ORIGINS)]
            for name in FILES
        }
        for name, tasks in pending.items():
            worth = compare(name, [task.result() for task in tasks])
            daily[name] = worth[0].mean
            worst.append(min(d.mean for d in worth.values()))
    held = [share for name in FILES for share in held_by_lead(load_city(name)).values()]
    seconds, grown_mb, n = assimilation()
    print(f"assimilate, Toronto: {n:,} new incidents in {seconds:.1f} s, memory +{grown_mb:.0f} MB")
    print(
        "RESULT refresh",
        *(f"{name}={gain:.4f}" for name, gain in daily.items()),
        f"daily_mean={np.mean(list(daily.values())):.4f}",
        f"daily_worst={min(daily.values()):.4f}",
        f"late_worst={min(worst):.4f}",
        f"held_lowest={min(held):.3f}",
        f"held_highest={max(held):.3f}",
        f"assimilate_s={seconds:.1f}",
    )
