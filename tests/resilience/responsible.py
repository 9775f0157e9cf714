"""Privacy, feedback, fairness and odd data: samples, erasure, the urn, random calls on a region."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck
from hypothesis import settings as lives
from hypothesis.stateful import run_state_machine_as_test
from matplotlib.figure import Figure
from sqlalchemy import Engine, text

from app.core.db.engine import conninfo
from app.core.devserver.cluster import _binaries
from app.core.settings import Settings
from app.erasure.service import erase_incident
from app.evaluation.fairness.service import fairness_report
from app.fitting.sample_privacy import ALL
from app.forecasts.plan import Selector
from app.forecasts.samples import draw_samples
from app.forecasts.service import ForecastService
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import UploadSource, ingest
from app.regions.service import add_region
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.erasure_marks import marked_versions
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from tests.resilience.drill import Drill, repeats
from tests.support.databases.database import database
from tests.support.services.region_machine import RegionMachine
from tests.support.simulated.feedback import NAIVE, OURS, simulate, simulate_states
from tests.support.simulated.square_grid import square_grid

REGION = "drill"
N_SAMPLES = 10_000
PLACES = text("SELECT longitude, latitude FROM incidents WHERE region_key = :key")
FUZZ_S = 600
STATE_DAYS, STATE_RUNS = 365, 12
FEEDBACK_PICTURE = Path("docs") / "feedback.png"


def _city(engine: Engine, settings: Settings, days: int = 365) -> int:
    """A region with a year of the synthetic city; its key."""
    area = synthetic_city().area.to_geojson()
    add_region(engine, REGION, timezone=TIMEZONE, boundary=area, cell_size_m=250.0)
    frame = synthetic_city().draw(days, 40, seed=11)
    frame["occurred_at"] = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame["external_id"] = [f"case-{n:06d}-x" for n in range(len(frame))]
    body = frame.to_csv(index=False).encode()
    ingest(engine, REGION, [body], UploadSource("text/csv"), settings=settings)
    with engine.connect() as connection:
        return get_region(connection, REGION).key


def _train(engine: Engine, settings: Settings, model: str) -> str:
    request = TrainingRequest(model=model, seed=0, validate=False)
    run = run_now(engine, settings, REGION, request, lambda _share, _message: None)
    if run.status != "succeeded":
        raise RuntimeError(run.message)
    return str(run.model_version)


def sampled_places() -> tuple[bool, str]:
    """P1: samples of several hours against every place in the database."""
    found = outside = 0
    n_hours = repeats(24)
    with database() as (engine, settings):
        key = _city(engine, settings)
        _train(engine, settings, "maf")
        service = ForecastService(engine, settings)
        with engine.connect() as connection:
            rows = connection.execute(PLACES, {"key": key}).all()
        taken = {(row.longitude, row.latitude) for row in rows}
        for window in range(0, 168, 168 // n_hours):
            forecast = service.forecast(REGION, Selector(window=window))
            places = draw_samples(forecast, N_SAMPLES, window)
            found += sum(
                place in taken for place in zip(*(v.tolist() for v in places), strict=True)
            )
            outside += int((~forecast.version.area.contains(*places)).sum())
    n = N_SAMPLES * len(range(0, 168, 168 // n_hours))
    return (
        found == outside == 0,
        f"{n:,} samples: {found} at an incident's place, {outside} outside",
    )


def memorised() -> tuple[bool, str]:
    """P2: each kind of model, trained on a year."""
    told = []
    passed = True
    with database() as (engine, settings):
        key = _city(engine, settings)
        for model in ("stack", "maf", "pooled-kde", "window-kde", "gmm"):
            version = _train(engine, settings, model)
            with engine.connect() as connection:
                found = registry.get_version(connection, key, version).report["memorisation"][ALL]
            passed &= found["hi"] is not None and found["hi"] <= 1.5
            told.append(f"{model} {found['ratio']:.2f} [{found['lo']:.2f}, {found['hi']:.2f}]")
    return passed, "; ".join(told)


def erased() -> tuple[bool, str]:
    """P3: incidents erased one by one; every table is searched for id and place."""
    traces = unmarked = 0
    n = repeats(50)
    with database() as (engine, settings):
        key = _city(engine, settings)
        version = _train(engine, settings, "pooled-kde")
        for place in range(n):
            name = f"case-{place:06d}-x"
            with engine.connect() as connection:
                row = connection.execute(
                    text(
                        "SELECT longitude::text, latitude::text FROM incidents"
                        " WHERE region_key = :key AND external_id = :name"
                    ),
                    {"key": key, "name": name},
                ).one()
            erase_incident(engine, REGION, name)
            traces += _traces(engine, name, f"{row[0]}%{row[1]}")
        with engine.connect() as connection:
            unmarked = int(version not in marked_versions(connection, key))
            queued = connection.scalar(
                text("SELECT count(*) FROM training_runs WHERE status = 'queued'")
            )
        planted, left = _planted(engine, settings)
    passed = traces == unmarked == 0 and queued == 1 and not left
    told = (
        f"{n} erased: {traces} traces, {unmarked} versions unmarked, {queued} training queued; "
        f"{planted} alone in their categories, with a version each: {len(left)} marks in dumps {left[:3]}"
    )
    return passed, told


def _planted(engine: Engine, settings: Settings) -> tuple[int, list[str]]:
    """Incidents alone in a category, each learnt by a version of its own and then erased.

    Returns:
        How many, and what of them a dump of the database held afterwards.
    """
    n, left = repeats(10), []
    for k in range(n):
        name, key = f"CatZXQ{k:04d}", f"key-ZXQ-{k:04d}"
        place = synthetic_city().draw(1, 1, seed=k + 1).iloc[0]
        longitude, latitude = f"{place.longitude:.6f}17", f"{place.latitude:.6f}19"
        row = f"2019-11-{k % 28 + 1:02d}T23:41:07Z,{longitude},{latitude},{name},zxq/{k}\n"
        body = f"occurred_at,longitude,latitude,category,external_id\n{row}".encode()
        ingest(engine, REGION, [body], UploadSource("text/csv", None, key), settings=settings)
        request = TrainingRequest("pooled-kde", categories=[name], seed=0, validate=False)
        run_now(engine, settings, REGION, request, lambda _share, _message: None)
        erase_incident(engine, REGION, f"zxq/{k}")
        marks = (name, key, f"zxq/{k}", longitude, latitude, sha256(body).hexdigest())
        dumped = _dump(engine)
        left += [mark for mark in marks if mark in dumped]
    return n, left


def _dump(engine: Engine) -> str:
    """The whole database as text."""
    binary = _binaries() / "bin" / "pg_dump"
    command = [str(binary), "--inserts", conninfo(engine)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _traces(engine: Engine, *needles: str) -> int:
    """Rows of any table of ours whose text holds a needle."""
    found = 0
    with engine.connect() as connection:
        names = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        for name in names:
            for needle in needles:
                query = text(f'SELECT count(*) FROM "{name}" AS t WHERE t::text LIKE :needle')
                found += int(connection.scalar(query, {"needle": f"%{needle}%"}) or 0)
    return found


def feedback() -> tuple[bool, str]:
    """F1: the urn of Ensign et al., a thousand days; the picture goes to docs/."""
    naive, ours = simulate(NAIVE, 500, seed=1), simulate(OURS, 500, seed=1)
    figure = Figure(figsize=(8, 4), dpi=110)
    axes = figure.subplots()
    for name, shares, colour in (("naive", naive, "tab:red"), ("reports only", ours, "tab:blue")):
        low, high = np.quantile(shares, [0.025, 0.975], axis=0)
        days = np.arange(shares.shape[1])
        axes.plot(days, shares.mean(axis=0), color=colour, label=name)
        axes.fill_between(days, low, high, color=colour, alpha=0.2, lw=0)
    axes.axhline(0.5, color="grey", lw=0.8, ls=":")
    axes.set_xlabel("days, one patrol a day; both places have the same true rate")
    axes.set_ylabel("share of the first place (start 8:2)")
    axes.legend()
    figure.savefig(FEEDBACK_PICTURE, bbox_inches="tight")
    last = ours[:, -1]
    # A state follows chance for weeks: with one report a day it may be far from one half.
    daily = {
        rate: simulate_states(
            replace(OURS, n_days=STATE_DAYS, report_rate=rate),
            square_grid(2, 1),
            STATE_RUNS,
            seed=1,
        )[:, -1]
        for rate in (1.0, 10.0)
    }
    fair = [last, daily[10.0], np.array([daily[1.0].mean()])]
    passed = all(bool(np.all((s >= 0.45) & (s <= 0.55))) for s in fair)
    return passed and abs(naive[:, -1].mean() - 0.8) < 0.02, (
        f"naive ends at {naive[:, -1].mean():.3f}; ours within "
        f"[{last.min():.3f}, {last.max():.3f}] in {len(last)} runs; {STATE_DAYS} daily states within "
        f"[{daily[10.0].min():.3f}, {daily[10.0].max():.3f}] with 10 reports a day, with one "
        f"[{daily[1.0].min():.3f}, {daily[1.0].max():.3f}], mean {daily[1.0].mean():.3f}"
    )


def flagged() -> tuple[bool, str]:
    """F2: validation and fairness report of a region without named parts still tell shares."""
    with database() as (engine, settings):
        _city(engine, settings)
        request = TrainingRequest(model="pooled-kde", seed=0)
        run = run_now(engine, settings, REGION, request, lambda _share, _message: None)
        told = run.metrics["scores"]["neighbourhoods"]["rows"]
        found = fairness_report(engine, REGION)
    complete = all(r["flagged_share"] is not None for r in found["neighbourhoods"])
    return len(told) == 9 and complete, (
        f"{len(told)} parts in the validation, {len(found['neighbourhoods'])} in the report, "
        f"{100 * found['disparity']['misplaced']:.1f} % of the flagged area misplaced"
    )


def lives_at_random() -> tuple[bool, str]:
    """Hypothesis lives of a region."""
    n = repeats(200)
    with database() as (engine, settings):
        machine = type("Machine", (RegionMachine,), {"engine": engine, "settings": settings})
        run_state_machine_as_test(
            machine,
            settings=lives(
                max_examples=n,
                stateful_step_count=30,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return True, f"{n} lives of up to 30 steps: every guarantee holds"


def parsers() -> tuple[bool, str]:
    """Bytes at random into the readers of uploads."""
    seconds = min(FUZZ_S, 20 * repeats(FUZZ_S // 20))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.inputs.parser_fuzz", str(seconds)],
            capture_output=True,
            text=True,
            timeout=seconds * 2 + 120,
            env={**os.environ, "TMPDIR": folder},
            check=False,
        )
    output = done.stdout + done.stderr
    runs = re.findall(r"Done (\d+) runs|(\d+) mutated bodies", output)
    number = sum(int(a or b) for a, b in runs)
    told = "atheris and mutations" if "Done" in output else "mutations only, atheris not installed"
    return done.returncode == 0 and number > 0, f"{number:,} bodies in {seconds} s ({told})"


DRILLS = (
    Drill("P1", "raw coordinates in samples", "0 in 10,000 an hour", sampled_places),
    Drill("P2", "samples that reveal training points", "upper 95 % <= 1.5", memorised),
    Drill("P3", "erasure of incidents", "0 traces, versions marked, one training", erased),
    Drill("F1", "patrols feed the model", "share in [0.45, 0.55]; naive 0.80", feedback),
    Drill("F2", "flagged shares in every evaluation", "always present", flagged),
    Drill(
        "fuzz-life",
        "random sequences of calls on a region",
        "every guarantee holds",
        lives_at_random,
    ),
    Drill("fuzz-parsers", "random bytes into the readers", "rows or InvalidInput", parsers),
)
