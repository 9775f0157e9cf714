"""How long it takes to say why a place's forecast is what it is, and whether its parts sum to the whole.

Toronto (else the synthetic city), by HOTSLOT_BENCH_MODEL (default `cox`, whose parts are stored like those of
`stack`, and which trains in a minute), through the application, as somebody who may list incidents.
"""

from __future__ import annotations

import os
import tempfile
import time
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from app.cli.demo_data import prepare
from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.incidents.service import ingest_file
from app.main import create_app
from app.regions.service import add_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from benchmarks.cities import machine
from tests.support.services.service import remove_home

N_CELLS = 40
ZONE = 5
AT = "2022-01-07T23:00"
NIGHT = {"from": "2022-01-07T22:00", "to": "2022-01-08T06:00"}


def main() -> None:
    """Run it; ends with the `RESULT` line."""
    print(machine())
    home = Path(os.environ.get("HOTSLOT_BENCH_HOME") or tempfile.mkdtemp(prefix="hotslot-explain-"))
    made_here = "HOTSLOT_BENCH_HOME" not in os.environ
    try:
        settings = Settings(home=home)
        region = _trained(settings) if made_here else "toronto"
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            found = _measured(client, f"/v1/regions/{region}/forecasts")
    finally:
        if made_here:
            remove_home(home)
    print("RESULT explain " + " ".join(f"{name}={value:.3g}" for name, value in found.items()))


def _trained(settings: Settings) -> str:
    """Make a region with a trained version in a fresh home; returns its id."""
    data = prepare(os.environ.get("HOTSLOT_BENCH_DATA", "toronto"), settings.home / "cache")
    engine = open_engine(settings)
    migrate(engine)
    add_region(engine, data.region, timezone=data.timezone, boundary=data.boundary)
    ingest_file(engine, data.region, data.path, settings=settings)
    model = os.environ.get("HOTSLOT_BENCH_MODEL", "cox")
    request = TrainingRequest(model=model, seed=0, validate=False)
    run = run_now(engine, settings, data.region, request, lambda *_: None)
    engine.dispose()
    if run.status != "succeeded":
        raise RuntimeError(f"{data.region}: {run.message}")
    return data.region


def _measured(client: TestClient, base: str) -> dict[str, float]:
    """Return milliseconds of the first and of later questions, and the largest gap of a sum."""
    best = client.get(f"{base}/hotspots", params={"at": AT, "n_cells": N_CELLS}).json()
    ids = [feature["id"] for feature in best["features"]]
    zones = [ids[i : i + ZONE] for i in range(0, N_CELLS, ZONE)]
    gaps = []

    def ask(**params: Any) -> float:
        started = time.perf_counter()
        reply = client.get(f"{base}/explain", params=params)
        waited_ms = 1000 * (time.perf_counter() - started)
        found = reply.raise_for_status().json()
        whole = log(found["expected_count"] / found["average_count"])
        gaps.append(abs(sum(part["log_ratio"] for part in found["parts"]) - whole))
        return waited_ms

    first_ms = ask(at=AT, cell=ids[0])
    cells_ms = [ask(at=AT, cell=one) for one in ids]
    zones_ms = [ask(**NIGHT, cells=",".join(map(str, zone))) for zone in zones]
    print(f"{N_CELLS} cells of an hour: {np.median(cells_ms):.0f} ms, worst {max(cells_ms):.0f} ms")
    print(
        f"{len(zones)} zones of a night: {np.median(zones_ms):.0f} ms, worst {max(zones_ms):.0f} ms"
    )
    return {
        "first_ms": first_ms,
        "cell_ms": float(np.median(cells_ms)),
        "cell_p95_ms": float(np.quantile(cells_ms, 0.95)),
        "zone_ms": float(np.median(zones_ms)),
        "largest_gap": max(gaps),
    }


if __name__ == "__main__":
    main()
