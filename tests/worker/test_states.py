"""Workers find what is behind after uploads have come to rest, share it, and assimilate it in children."""

import asyncio
import csv
import threading
import time
from datetime import timedelta

import pytest

from app.core.db.locks import STATE_LOCK, transaction_lock
from app.incidents.service import ingest_file
from app.regions.service import add_region
from app.states import service
from app.states.store import last_number
from app.training.service import TrainingRequest
from app.worker import states
from app.worker.children import run_child
from app.worker.jobs import run_now
from app.worker.run_process import LEFT, run_assimilation
from app.worker.slots import Slots
from app.worker.states import Assimilation, StateWatch
from tests.support.simulated.small_region import BOX, START, place, row, train

__all__ = ["place"]


def upload(place, day, n=30):
    at = START + timedelta(days=day)
    rows = [row(at + timedelta(minutes=7 * k), (10.0505, 50.0205)) for k in range(n)]
    assert place("ingester", "POST", "/incidents", json=rows).json()["accepted"] == n


@pytest.fixture
def trained(engine, settings, place):
    version, _ = train(engine, settings, place, "trainer")
    return version


def test_a_region_is_due_once_after_its_uploads_have_come_to_rest(engine, settings, place, trained):
    hasty = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 0.0}))
    patient = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 3600.0}))
    assert hasty.due() == patient.due() == []
    upload(place, 31)
    assert patient.due() == [], "the upload may be the first of many"
    assert hasty.due() == ["small"]
    assert hasty.due() == [], "nothing new since"
    upload(place, 33)
    assert hasty.due() == ["small"]


def test_after_a_failure_the_region_is_due_again(engine, settings, place, trained):
    watch = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 0.0}))
    upload(place, 31)
    assert watch.due() == ["small"]
    watch.look_again(["small"])
    assert watch.due() == ["small"]


@pytest.mark.slow
def test_the_child_makes_the_state_that_the_next_look_finds(engine, settings, place, trained):
    upload(place, 31)
    status = asyncio.run(run_child(settings, "assimilate", "small,unknown"))
    assert status == 0
    with engine.connect() as connection:
        key = connection.exec_driver_sql("SELECT key FROM regions").scalar_one()
        assert last_number(connection, key, trained) is not None
    assert StateWatch(engine, settings).due() == []


@pytest.fixture
def three(engine, settings, tmp_path):
    """Regions a, b and c, whose champions are behind."""
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE regions CASCADE")

    def ingest(region, first_day, n_days, per_day):
        path = tmp_path / "rows.csv"
        with path.open("w") as file:
            out = csv.DictWriter(file, row(START))
            out.writeheader()
            for k in range(n_days * per_day):
                spot = (10.001 + k % 29 * 0.002, 50.001 + k % 19 * 0.002)
                out.writerow(row(START + timedelta(days=first_day + k / per_day), spot))
        ingest_file(engine, region, path, settings=settings)

    for region in "abc":
        add_region(engine, region, timezone="UTC", boundary=BOX, cell_size_m=500.0)
        ingest(region, 0, 30, 10)
        request = TrainingRequest("uniform", validate=False)
        assert run_now(engine, settings, region, request, lambda *_: None).status == "succeeded"
        ingest(region, 31, 3, 30)


def n_states(engine):
    with engine.connect() as connection:
        counts = "SELECT count(*) FROM forecast_states GROUP BY region_key"
        return list(connection.exec_driver_sql(counts).scalars())


def test_two_workers_share_the_regions_and_make_no_state_twice(
    engine, settings, three, monkeypatch
):
    made, both = [], threading.Barrier(2, timeout=60)
    make = service._assimilated

    def slowly(connection, region, *rest):
        made.append((region.id, threading.get_ident()))
        if len(made) <= 2:
            both.wait()  # holds its region until the other worker has one
        time.sleep(0.1)
        return make(connection, region, *rest)

    monkeypatch.setattr(service, "_assimilated", slowly)
    statuses = []
    workers = [
        threading.Thread(target=lambda: statuses.append(run_assimilation(engine, ["a", "b", "c"])))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert n_states(engine) == [1, 1, 1]
    assert len({thread for _, thread in made}) == 2
    assert LEFT in statuses, "one that found a region locked says so"


def test_a_region_of_another_process_is_left_and_looked_at_again(engine, settings, three):
    watch = StateWatch(engine, settings.model_copy(update={"state_quiet_s": 0.0}))
    with engine.begin() as connection:
        key = connection.exec_driver_sql("SELECT key FROM regions WHERE id = 'b'").scalar_one()
        transaction_lock(connection, STATE_LOCK, key)
        assert watch.due() == ["a", "c"]
        assert run_assimilation(engine, ["a", "b"]) == LEFT
        assert n_states(engine) == [1]
        watch.look_again(["a", "b"])
        assert watch.due() == []
    assert watch.due() == ["b"], "the other process has ended without making it"


def test_regions_are_shared_out_to_as_many_processes_as_slots_are_free(
    engine, settings, monkeypatch
):
    running, most, done = 0, [], []

    async def run_child(_settings, _kind, regions):
        nonlocal running
        running += 1
        most.append(running)
        await asyncio.sleep(0.05)
        running -= 1
        done.extend(regions.split(","))
        return 0

    monkeypatch.setattr(states, "run_child", run_child)
    monkeypatch.setattr(states, "LOOK_FOR_SLOTS_S", 0.01)
    regions = [f"r{n}" for n in range(120)]
    for taken, expected in ((0, 4), (1, 3), (2, 2), (3, 1)):
        slots = Slots(3, 100 << 30)
        for job in range(taken):
            slots.hold(job, "hotslot", 0)
        most.clear()
        done.clear()
        asyncio.run(Assimilation(engine, settings, slots).work_through(regions))
        assert max(most) == expected
        assert sorted(done) == sorted(regions)
        assert slots.running(states.STATES) == 0
