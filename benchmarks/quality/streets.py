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

from app.evaluation.backtests.checkpoints import Protocol
from app.evaluation.backtests.streets import StreetTests, street_tests
from app.geo.synthetic_streets import synthetic_streets
from app.readers.files.streets import street_items
from app.streets.layer import StreetLayer, layer_of
from benchmarks.cities import City, load_city, machine
from models.base import HORIZON_DAYS, FitContext
from models.catalog import create_model
from models.densities.state import mean_over_hours
from models.streets.ranking import ranked_segments
from models.streets.scoring import ALL_HOURS, BY_HOUR, CELLS, COUNTS, PERCENTS
from models.units import DAY_S, N_WINDOWS, FloatArray

CITY = "toronto"
N_ORIGINS = 13
SHOWN_PERCENT = 5
KINDS = (BY_HOUR, ALL_HOURS, COUNTS, CELLS)


def drawn_streets(city: City) -> StreetLayer:
    """The drawn streets, read and split as a file would be."""
    content = json.dumps(synthetic_streets(city.area)).encode()
    asked = {"boundary": city.area.to_geojson(), "crs": city.area.crs}
    *blocks, _ = street_items(io.BytesIO(content), asked)
    return layer_of(blocks, city.area.crs)


def hits_of(city: City, name: str, origin_s: int, streets: StreetTests) -> dict[str, np.ndarray]:
    """Incidents that each ranking caught at one origin, and the number of all."""
    past = city.incidents.before(origin_s)
    model = create_model(name).fit(past, city.grid, FitContext(origin_s))
    test = city.incidents.between(origin_s, origin_s + HORIZON_DAYS * DAY_S)
    rates = 1.0 + np.bincount(past.window, minlength=N_WINDOWS).astype(np.float64)
    on = streets.by_origin[origin_s]
    found = on.caught(model.probability_, rates, test.by_hour())
    started = time.perf_counter()
    expected: FloatArray = on.shares @ mean_over_hours(model.probability_, rates)
    ranked_segments(expected, on.length_m)
    seconds = time.perf_counter() - started
    return {
        **{kind: parts.sum(axis=0) for kind, parts in found.items()},
        "n": np.array([len(on.segment), (on.segment < 0).sum()]),
        "seconds": np.array([seconds]),
    }


def main() -> None:
    """Run it; ends with the `RESULT` line."""
    name = os.environ.get("HOTSLOT_BENCH_MODEL", "cox")
    n_origins = int(os.environ.get("HOTSLOT_BENCH_ORIGINS", str(N_ORIGINS)))
    city = load_city(CITY)
    layer = drawn_streets(city)
    protocol = Protocol((name,), tuple(city.origins(n_origins)))
    print(machine())
    started = time.perf_counter()
    streets = street_tests(layer, "", city.grid, city.incidents, protocol, 0)
    seconds = time.perf_counter() - started
    print(f"{CITY}, drawn streets: {len(layer):,} segments, {streets.length_km:,.0f} km; {name}")
    print(f"{seconds:.1f} s to snap all incidents and to learn the shares of {n_origins} origins")
    found = []
    at = PERCENTS.index(SHOWN_PERCENT)
    for origin_s in protocol.origins_s:
        found.append(hits_of(city, name, origin_s, streets))
        shown = ", ".join(f"{kind} {found[-1][kind][at]:.0f}" for kind in KINDS)
        bandwidth_m = streets.by_origin[origin_s].bandwidth_m
        print(f"{found[-1]['n'][0]} incidents, {bandwidth_m:.0f} m: {shown}", flush=True)
    total = {key: np.sum([one[key] for one in found], axis=0) for key in found[0]}
    n, n_far = total["n"].tolist()
    print(f"{n_far:,} of {n:,} incidents lie far from every street")
    print(f"{'hits at % of length':20}" + "".join(f"{p:>8g}" for p in PERCENTS))
    for kind in KINDS:
        print(f"{kind:20}" + "".join(f"{value:8.0f}" for value in total[kind]) + f" of {n:,}")
    ratio = {kind: total[kind] / total[COUNTS] for kind in (BY_HOUR, ALL_HOURS)}
    better = sum(one[ALL_HOURS][at] > one[COUNTS][at] for one in found)
    print(
        f"RESULT streets rank_seconds={total['seconds'][0] / len(found):.4f} prepare_seconds={seconds:.2f} "
        f"hits_by_hour={total[BY_HOUR][at]:.0f} hits={total[ALL_HOURS][at]:.0f} "
        f"hits_cells={total[CELLS][at]:.0f} hits_counts={total[COUNTS][at]:.0f} "
        f"ratio_to_counts={ratio[ALL_HOURS][at]:.4f} ratio_by_hour={ratio[BY_HOUR][at]:.4f} "
        f"worst_ratio={ratio[ALL_HOURS].min():.4f} better_origins={better} n={n}"
    )


if __name__ == "__main__":
    main()
