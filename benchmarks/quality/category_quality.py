"""Forecasts of single categories: `stack`'s own density of each against the city's and its own KDE.

Two origins x 28 days per city, 250 m cells. For each category: nats per incident that `stack`'s
density of the category gains over (a) `stack`'s density of all categories and (b) `multi-kde` fitted
to the incidents of the category alone. `HOTSLOT_BENCH_CITIES` chooses fewer cities.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from benchmarks.cities import DATA, FILES, City, load_city, machine
from models.base import HORIZON_DAYS, DensityModel, FitContext
from models.catalog import create_model
from models.incidents import Incidents
from models.units import DAY_S, FloatArray

N_ORIGINS = 2


def gains_at(city: City, origin_s: int) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Category code, its gains over the city's density (n,) and over its own KDE (n,)."""
    past = city.incidents.before(origin_s)
    stack = create_model("stack").fit(past, city.grid, FitContext(origin_s))
    test = city.incidents.since(origin_s).before(origin_s + HORIZON_DAYS * DAY_S)
    rows = city.grid.locate(test.x_m, test.y_m)
    test, rows = test.take(rows >= 0), rows[rows >= 0]
    told = stack.log_density(rows, test.window, test.category)
    all_categories = stack.log_density(rows, test.window)
    for code in sorted(stack.category_density_):
        mine = test.category == code
        if mine.any():
            own = _own_kde(past, code, city, origin_s).log_density(rows[mine], test.window[mine])
            yield code, (told - all_categories)[mine], told[mine] - own


def _own_kde(past: Incidents, code: int, city: City, origin_s: int) -> DensityModel:
    chosen = past.take(past.category == code)
    return create_model("multi-kde").fit(chosen, city.grid, FitContext(origin_s))


def main() -> None:
    """Run all cities; ends with the `RESULT` line."""
    chosen = os.environ.get("HOTSLOT_BENCH_CITIES", "")
    cities = [c.strip() for c in chosen.split(",") if c.strip()] or list(FILES)
    print(machine())
    print(
        f"data: {', '.join(FILES[c][0] for c in cities)} in {DATA.name}; {N_ORIGINS} origins each"
    )
    over_city, over_own = {}, {}
    for name in cities:
        city = load_city(name)
        found: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
        for origin_s in city.origins(N_ORIGINS):
            for code, against_city, against_own in gains_at(city, origin_s):
                found.setdefault(code, []).append((against_city, against_own))
        if not found:
            print(f"\n{name}: one category only")
            continue
        print(f"\n{name}: code, held-out incidents, nats over the city's density, over its own KDE")
        pooled = [np.concatenate([np.stack(pair) for pair in v], axis=1) for v in found.values()]
        for code, pair in sorted(zip(found, pooled, strict=True), key=lambda p: -p[1].shape[1]):
            city_gain, own_gain = pair.mean(axis=1)
            print(f"{code:4d} {pair.shape[1]:6,d} {city_gain:+.4f} {own_gain:+.4f}")
        over_city[name], over_own[name] = np.concatenate(pooled, axis=1).mean(axis=1)
        print(
            f" all {sum(p.shape[1] for p in pooled):6,d} {over_city[name]:+.4f} {over_own[name]:+.4f}"
        )
    print(
        "RESULT category-quality",
        *(f"{name}_over_city={gain:.4f}" for name, gain in over_city.items()),
        *(f"{name}_over_own={gain:.4f}" for name, gain in over_own.items()),
    )
