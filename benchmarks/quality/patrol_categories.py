"""St. Louis: what leaving out categories that mostly reflect patrols does, both sides as found.

Two origins x 28 days, 250 m cells. The same model is fitted twice on what came before, with and
without the categories of `app/regions/learning_policy.py`, and both are scored on the held-out incidents
of the other categories. Flagged shares (the top 5 % of every hour) by neighbourhood stand side by side.
"""

from __future__ import annotations

import json
import os

import numpy as np
from numpy.typing import NDArray

from app.geo.neighbourhoods import divide
from app.readers.files.documents import neighbourhoods_of
from app.regions.learning_policy import patrol_categories
from benchmarks.cities import DATA, City, load_city, machine
from models.base import HORIZON_DAYS, DensityModel, FitContext
from models.catalog import create_model
from models.evaluation.hotspot_area import flagged_cells, shares_by_part
from models.evaluation.metrics import area_shares, score_incidents, summarise
from models.evaluation.significance import paired_difference
from models.units import DAY_S, FloatArray

CITY = "st-louis"
N_ORIGINS = 2
N_SHOWN = 12


def pair_at(city: City, kept: NDArray[np.bool_], origin_s: int, name: str) -> list[DensityModel]:
    """The model fitted with and without the categories of patrols, on what came before."""
    past = city.incidents.before(origin_s)
    without = past.take(kept[: len(past)])
    return [
        create_model(name).fit(data, city.grid, FitContext(origin_s)) for data in (past, without)
    ]


def shares(city: City, model: DensityModel) -> tuple[list[str], FloatArray]:
    """Names of the neighbourhoods and their shares of the flagged area."""
    outline = json.loads((DATA / "boundaries" / f"{CITY}.geojson").read_text())
    parts = divide(city.grid, neighbourhoods_of(outline))
    names = list(parts.names)
    tables = [flagged_cells(model)]
    return names, shares_by_part(tables, parts.part, len(names), city.grid.area_km2)


def main() -> None:
    """Run it; ends with the `RESULT` line. `HOTSLOT_BENCH_MODEL` takes another model than `maf`."""
    name = os.environ.get("HOTSLOT_BENCH_MODEL", "maf")
    city = load_city(CITY)
    left_out = patrol_categories(city.categories)
    codes = [city.categories.index(category) for category in left_out]
    kept = ~np.isin(city.incidents.category, codes)
    share_out = float(1 - kept.mean())
    print(machine())
    print(f"{CITY}, {name}; left out: {', '.join(left_out)}")
    print(f"{int((~kept).sum()):,} of {len(kept):,} incidents, {share_out:.1%}")
    gains, times, flagged = [], [], []
    for origin_s in city.origins(N_ORIGINS):
        pair = pair_at(city, kept, origin_s, name)
        test = city.incidents.take(kept).since(origin_s).before(origin_s + HORIZON_DAYS * DAY_S)
        rows = city.grid.locate(test.x_m, test.y_m)
        test, rows = test.take(rows >= 0), rows[rows >= 0]
        scored = [score_incidents(model, rows, test.window) for model in pair]
        for label, model, found in zip(("with", "without"), pair, scored, strict=True):
            told = summarise(found, area_shares(model, test.window))
            print(
                f"{label:8} n {told['n']:,} log score {told['log_score']:.4f} "
                f"CAP-AUC {told['cap_auc']:.4f} hit rate @5 {told['hit_rate']['5']:.4f}"
            )
        gains.append(np.stack([s.log_density for s in scored]))
        times.append(test.time_s)
        flagged.append([shares(city, model)[1] for model in pair])
    both = np.concatenate(gains, axis=1)
    gain = paired_difference(both[1], both[0], np.concatenate(times), 0, block_s=DAY_S)
    names = shares(city, pair[0])[0]
    before, after = np.mean(flagged, axis=0)
    moved = after - before
    print("neighbourhood: flagged share with, without, change (largest changes)")
    for i in np.argsort(-np.abs(moved), kind="stable")[:N_SHOWN].tolist():
        print(f"{names[i][:32]:32} {before[i]:.4f} {after[i]:.4f} {moved[i]:+.4f}")
    print(
        f"RESULT patrol-categories left_out={share_out:.4f} gain={gain.mean:.4f} lo={gain.lo:.4f} "
        f"hi={gain.hi:.4f} moved={np.abs(moved).sum() / 2:.4f}"
    )


if __name__ == "__main__":
    main()
