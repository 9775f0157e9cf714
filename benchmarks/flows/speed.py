"""All 168 windows: ours as one batch against a plain loop of zuko fits, one CPU thread for both.

Toronto and the synthetic city; every flow learns what came before the last 84 days and is scored on
them. The loop is timed on every 14th window and extrapolated to 168.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from app.geo.grid import build_grid
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.geo.synthetic import CRS, TIMEZONE, synthetic_city
from benchmarks.cities import load_city, machine
from benchmarks.flows.rivals import (
    BATCH,
    BLOCKS,
    LIBRARIES,
    STEPS,
    mean_score,
    seconds_of_a_fit,
    zuko_loop,
)
from models.base import Cells, DensityModel, FitContext
from models.densities.maf import Maf
from models.densities.maf_window import MafWindow
from models.flows.flow import Flow, FlowSettings
from models.flows.randomness import member_keys
from models.flows.training import train
from models.flows.training_settings import TrainingSettings
from models.incidents import Incidents
from models.units import DAY_S, N_WINDOWS

TEST_DAYS = 84
N_BATCHED = 16
SAMPLED = tuple(range(0, N_WINDOWS, 14))


def synthetic() -> tuple[Incidents, Cells]:
    """A generated city with about 2,000 incidents per window."""
    city = synthetic_city(0)
    frame = city.draw(n_days=1_000, per_day=336, seed=1)
    x_m, y_m = to_metres(frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), CRS)
    time_s = frame["occurred_at"].dt.as_unit("s").astype("int64").to_numpy()
    incidents = Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s,
        windows_of(time_s, TIMEZONE),
        np.zeros(len(time_s), np.int16),
    )
    return incidents, build_grid(city.area, 250.0)


def compare(name: str, incidents: Incidents, cells: Cells) -> dict[str, float]:
    """Seconds and scores of both sides on one city."""
    origin_s = int(incidents.time_s[-1]) + 1 - TEST_DAYS * DAY_S
    rows = cells.locate(incidents.x_m, incidents.y_m)
    incidents = incidents.take(rows >= 0)
    past, test = incidents.before(origin_s), incidents.since(origin_s)
    loop = zuko_loop(past, cells, SAMPLED)
    score_zuko, n = mean_score(loop.probability, test, cells)
    print(
        f"\n{name}: {len(past):,} incidents before, {n:,} after in {len(SAMPLED)} windows, "
        f"{len(cells.area_km2):,} cells\n"
        f"zuko MAF 5 x 64, loop: {loop.seconds:.1f} s for {len(SAMPLED)} windows, "
        f"{loop.seconds_all:.0f} s for 168; score {score_zuko:.3f}; {loop.diverged} diverged"
    )
    found = {"score_zuko": score_zuko}
    models: list[DensityModel] = [MafWindow(), Maf()]
    for model in models:
        started = time.perf_counter()
        model.fit(past, cells, FitContext(origin_s))
        seconds = time.perf_counter() - started
        tables = {w: model.cell_probability(w) for w in SAMPLED}
        score = mean_score(tables, test, cells)[0]
        found[f"{model.name}_ratio"] = loop.seconds_all / seconds
        found[f"{model.name}_score"] = score
        print(
            f"{model.name}, all 168 windows: {seconds:.1f} s, {loop.seconds_all / seconds:.1f} times "
            f"faster; score {score:.3f} ({score - score_zuko:+.3f})"
        )
    return found


class Clouds:
    """Minibatches of members that each learn a Gaussian cloud of their own."""

    n_uniforms = 2

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.log_defensive = torch.full((len(points),), -1e3)

    def draw(self, members: Tensor, uniforms: Tensor, *, held_out: bool) -> Tensor:
        """See `models.flows.training_settings.Source`."""
        del held_out
        row = (uniforms[..., 0] * self.points.shape[1]).long()
        return self.points[members[:, None], row]


def batch_alone() -> dict[int, float]:
    """{width: how many times faster a member of our batch is than a zuko fit of the same size}.

    Equal architecture (affine, 5 blocks), equal steps (840 of 256), no early stop; median of three. The
    other libraries' seconds are printed beside it.
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(N_BATCHED, 2_000, 2, generator=generator)
    everyone = member_keys(0, torch.arange(N_BATCHED))
    ratios = {}
    for width in (64, 32):
        settings = FlowSettings(n_blocks=BLOCKS, hidden=(width, width))
        training = TrainingSettings(
            n_steps=STEPS, batch_size=BATCH, check_every=STEPS, patience=STEPS, defensive=0.0
        )
        ours, theirs = [], []
        for seed in range(3):
            started = time.perf_counter()
            train(Flow(everyone, settings), Clouds(points), training, FitContext(0, seed), everyone)
            ours.append((time.perf_counter() - started) / N_BATCHED)
            theirs.append(seconds_of_a_fit("zuko", width, points[seed], seed) or float("nan"))
        ratios[width] = float(np.median(theirs) / np.median(ours))
        others = {name: seconds_of_a_fit(name, width, points[0], 0) for name in LIBRARIES}
        print(
            f"\n5 blocks of width {width}, 840 steps of 256: ours {np.median(ours):.2f} s a member in a "
            f"batch of {N_BATCHED}, {ratios[width]:.1f} times faster than zuko; "
            + ", ".join(
                f"{name} {'not installed' if s is None else f'{s:.2f} s'}"
                for name, s in others.items()
            ),
            flush=True,
        )
    return ratios


def main() -> None:
    """Run both cities; ends with the `RESULT` line."""
    torch.set_num_threads(1)
    print(machine())
    batch = batch_alone()
    toronto = load_city("toronto")
    results = [compare("Toronto", toronto.incidents, toronto.grid)]
    results.append(compare("synthetic", *synthetic()))
    worst = min(results, key=lambda r: r["maf-window_score"] - r["score_zuko"])
    print(
        "RESULT flows-speed",
        f"ratio={min(r['maf-window_ratio'] for r in results):.2f}",
        f"score={worst['maf-window_score']:.4f}",
        f"score_zuko={worst['score_zuko']:.4f}",
        f"maf_ratio={min(r['maf_ratio'] for r in results):.2f}",
        f"batch_ratio_32={batch[32]:.2f}",
        f"maf_gain={min(r['maf_score'] - r['score_zuko'] for r in results):.4f}",
    )
