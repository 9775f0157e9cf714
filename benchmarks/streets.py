"""Streets of Toronto: what the best street segments catch, beside those with most incidents last year.

No street file is at hand without the internet: the network is drawn (`app.geo.synthetic_streets`), a bent
grid of 150 m with diagonal avenues over the study area. Toronto gives its incidents at the nearest crossing
of the real streets, so that figures of real streets will differ. At past origins, 28 days apart, a density is
fitted on what came before and shared among the streets; the incidents of the 28 days after are counted on the
best segments of 1 to 20 % of the length. `HOTSLOT_BENCH_MODEL` takes another model than `cox`,
`HOTSLOT_BENCH_ORIGINS` another number of origins than 13.
"""

from __future__ import annotations

import io
import json
import os
import time

import numpy as np

from app.geo.synthetic_streets import synthetic_streets
from app.readers.files.streets import street_items
from app.streets.layer import layer_of
from app.streets.snapping import StreetGround
from benchmarks.cities import City, load_city, machine
from models.base import HORIZON_DAYS, FitContext
from models.catalog import create_model
from models.streets.ranking import ranked_segments
from models.streets.scoring import ALL_HOURS, BY_HOUR, COUNTS, EVEN, PERCENTS, score_streets
from models.streets.shares import Snapped, street_shares
from models.units import DAY_S

CITY = "toronto"
N_ORIGINS = 13
SHOWN_PERCENT = 5.0


def streets_of(city: City) -> StreetGround:
    """The drawn streets over the city's cells, read and split as a file would be."""
    content = json.dumps(synthetic_streets(city.area)).encode()
    asked = {"boundary": city.area.to_geojson(), "crs": city.area.crs}
    *blocks, _ = street_items(io.BytesIO(content), asked)
    return StreetGround(layer_of(blocks, city.area.crs).network(city.area.crs), city.grid)


def snapped_of(city: City, streets: StreetGround) -> tuple[Snapped, np.ndarray]:
    """The city's incidents on streets, and their hours of the week."""
    incidents = city.incidents
    x_m, y_m = incidents.x_m.astype(np.float64), incidents.y_m.astype(np.float64)
    lixel, cell = streets.lixel_of(x_m, y_m), city.grid.locate(x_m, y_m)
    on = lixel >= 0
    return Snapped(lixel[on], cell[on], incidents.time_s[on]), incidents.window[on].astype(np.int64)


def main() -> None:
    """Run it; ends with the `RESULT` line."""
    name = os.environ.get("HOTSLOT_BENCH_MODEL", "cox")
    n_origins = int(os.environ.get("HOTSLOT_BENCH_ORIGINS", str(N_ORIGINS)))
    city = load_city(CITY)
    streets = streets_of(city)
    known, window = snapped_of(city, streets)
    ground = streets.ground
    km = ground.network.length_m.sum() / 1_000
    print(machine())
    print(f"{CITY}, drawn streets: {len(ground.network):,} segments, {km:,.0f} km; {name}")
    print(f"{len(known):,} of {len(city.incidents):,} incidents lie within reach of a street")
    scores = []
    tables = np.ones((1, len(city.grid)))
    for origin_s in city.origins(n_origins):
        model = create_model(name).fit(
            city.incidents.before(origin_s), city.grid, FitContext(origin_s)
        )
        tables = model.probability_
        end_s = origin_s + HORIZON_DAYS * DAY_S
        mine = (known.time_s >= origin_s) & (known.time_s < end_s)
        test = known.between(origin_s, end_s)
        scores.append(score_streets(ground, known, origin_s, test, window[mine], tables))
        at = PERCENTS.index(SHOWN_PERCENT)
        found = ", ".join(f"{k} {v[at]:.0f}" for k, v in scores[-1].hits.items())
        print(f"{scores[-1].n} incidents, {scores[-1].bandwidth_m:.0f} m: {found}", flush=True)
    n = sum(score.n for score in scores)
    totals = {
        k: np.sum([score.hits[k] for score in scores], axis=0)
        for k in (BY_HOUR, ALL_HOURS, EVEN, COUNTS)
    }
    print(f"{'hits at % of length':20}" + "".join(f"{p:>8g}" for p in PERCENTS))
    for k, row in totals.items():
        print(f"{k:20}" + "".join(f"{value:8.0f}" for value in row) + f" of {n:,}")
    shares = street_shares(ground, known, scores[-1].bandwidth_m)
    started = time.perf_counter()
    ranked_segments(shares @ tables.mean(axis=0), ground.network.length_m)
    seconds = time.perf_counter() - started
    at = PERCENTS.index(SHOWN_PERCENT)
    ratio = {k: totals[k][at] / totals[COUNTS][at] for k in (BY_HOUR, ALL_HOURS)}
    worst = min(float((totals[ALL_HOURS] / totals[COUNTS]).min()), 99.0)
    print(
        f"RESULT streets rank_seconds={seconds:.4f} hits_by_hour={totals[BY_HOUR][at]:.0f} "
        f"hits={totals[ALL_HOURS][at]:.0f} hits_even={totals[EVEN][at]:.0f} "
        f"hits_counts={totals[COUNTS][at]:.0f} ratio_to_counts={ratio[ALL_HOURS]:.4f} "
        f"ratio_by_hour={ratio[BY_HOUR]:.4f} worst_ratio={worst:.4f} n={n}"
    )


if __name__ == "__main__":
    main()
