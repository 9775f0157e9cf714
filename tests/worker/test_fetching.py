"""Jobs that a worker's slots take from the queue of a real database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from app.core.db.engine import conninfo
from app.core.processes.memory import peak_memory_bytes
from app.core.roles import acting_as
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.service import request_backtest
from app.regions.service import add_region
from app.runs.kinds import BACKTEST, HELP_TASK, TASK_QUEUE, TRAIN
from app.runs.queue import invite_helper
from app.runs.store import get_run
from app.runs.taking import Taker, others_wait, take_job, waiting_jobs
from app.training.service import TrainingRequest, request_training
from app.worker import estimates, tasks
from app.worker.active_jobs import ActiveJobs
from app.worker.fetching import SlotManager
from app.worker.jobs import run_now
from app.worker.main import serve_queue
from app.worker.slots import Slots
from app.worker.tasks import build_app

GB = 1 << 30
ALL = Taker("all", ("stack",), 40.0)


@pytest.fixture
def regions(engine):
    with engine.begin() as connection:
        connection.execute(
            text(
                "TRUNCATE regions, procrastinate_jobs, worker_processes, procrastinate_workers CASCADE"
            )
        )
    for region in "abcd":
        add_region(engine, region, timezone="UTC")


@pytest.fixture
def train(engine, settings, regions):
    def ask(region, model="uniform"):
        return request_training(engine, settings, region, TrainingRequest(model))

    return ask


@pytest.fixture
def test_back(engine, settings, regions):
    return lambda region, model="uniform": request_backtest(
        engine, settings, region, BacktestRequest((model,))
    )


@pytest.fixture
def took(engine):
    """Record that a region's succeeded training took so much memory."""

    def record(region, n_bytes, model="uniform"):
        query = text(
            "INSERT INTO training_runs (id, region_key, status, request, peak_memory_bytes)"
            " SELECT gen_random_uuid(), key, 'succeeded',"
            " jsonb_build_object('model', CAST(:model AS text)), :n"
            " FROM regions WHERE id = :region"
        )
        with engine.begin() as connection:
            connection.execute(query, {"region": region, "n": n_bytes, "model": model})

    return record


@pytest.fixture
def worker(engine):
    with engine.begin() as connection:
        return connection.scalar(
            text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        )


@pytest.fixture
def take(engine, settings, worker):
    """Take what a worker of so many slots may run at once; return its regions in order."""

    def run(slots, **changed):
        changed = settings.model_copy(update={"worker_slots": slots.n, **changed})
        app = build_app(conninfo(engine), changed, engine, ActiveJobs(slots))
        assert isinstance(app.job_manager, SlotManager)
        started = []

        async def fetch():
            while slots.running(TASK_QUEUE) < slots.n:
                job = await app.job_manager.fetch_job([TASK_QUEUE], worker)
                if job is None:
                    return
                started.append(region_of(engine, job))

        asyncio.run(fetch())
        return "".join(started)

    return run


def region_of(engine, job):
    query = text(
        "SELECT id FROM regions WHERE key IN (SELECT region_key FROM training_runs WHERE id = :run"
        " UNION SELECT region_key FROM backtests WHERE id = :run)"
    )
    with engine.connect() as connection:
        return connection.scalar(query, {"run": job.task_kwargs["run_id"]})


def test_the_caller_with_the_fewest_running_jobs_is_first(test_back, take):
    for caller, regions in (("many", "abc"), ("one", "dd")):
        with acting_as(caller):
            for region in regions:
                test_back(region)
    assert take(Slots(6, 100 * GB)) == "adbdc", "one's second came before the third of many"


def test_as_many_jobs_as_memory_allows_by_what_they_took_before(train, took, take):
    for region, n_bytes in (("a", 3 * GB), ("b", 5 * GB), ("c", GB), ("d", 2 * GB)):
        took(region, n_bytes)
        took(region, 50 * GB, model="stack")
        train(region)
    assert take(Slots(4, 8 * GB)) == "ac", "b waits, and what passes it leaves it room"
    assert take(Slots(4, 16 * GB)) == "bd"


def test_what_never_ran_is_estimated_by_incidents_and_cells(engine, settings, town, worker):
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
    request_training(engine, settings, town, TrainingRequest("stack"))
    with engine.begin() as connection:
        (job,) = waiting_jobs(connection, TASK_QUEUE, [TRAIN.task], ALL)
        assert 0.4 * GB < estimates.estimated_bytes(connection, job, 1) < GB
        assert take_job(connection, job.id, worker)["worker_id"] == worker
        assert take_job(connection, job.id, worker) is None, "it runs already"
    quick = TrainingRequest("uniform", validate=False)
    assert run_now(engine, settings, town, quick, lambda *_: None).status == "succeeded"
    request_training(engine, settings, town, quick)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs WHERE status = 'doing'"))
        jobs = waiting_jobs(connection, TASK_QUEUE, [TRAIN.task], ALL)
        measured = estimates.estimated_bytes(connection, jobs[0], 1)
    assert 0.9 < measured / (1.1 * peak_memory_bytes()) <= 1.001


@pytest.mark.parametrize(
    ("n_incidents", "n_cells", "peak_mb"),
    [
        (20_037, 1_008, 636),
        (20_037, 6_300, 699),
        (240_990, 6_300, 1_485),
        (1_000_000, 6_300, 1_796),
    ],
)
def test_the_formula_is_near_what_trainings_took(n_incidents, n_cells, peak_mb):
    found_mb = estimates.formula_bytes(n_incidents, n_cells) / (1 << 20)
    assert 0.9 < found_mb / peak_mb < 1.1


def test_a_region_with_many_jobs_leaves_slots_to_the_others(engine, test_back, take):
    for region in "aaaaab":
        test_back(region)
    assert take(Slots(3, 100 * GB)) == "ab", "the third slot is left to trainings"
    slots = Slots(9, 100 * GB)
    assert take(slots) == "aaaa"


def test_the_first_in_turn_yields_to_the_region_with_fewer_running(engine, test_back, take):
    for region in "aaa":
        test_back(region)
    assert take(Slots(2, 100 * GB)) == "a"
    test_back("b")
    assert take(Slots(2, 100 * GB)) == "b", "of the same turn as a's second, and after it"


def test_trainings_take_the_slot_that_backtests_leave(train, test_back, take):
    for region in "ab":
        test_back(region)
    slots = Slots(2, 100 * GB)
    assert take(slots) == "a"
    train("c")
    assert take(slots) == "c"


def test_only_one_of_two_jobs_with_a_lock_is_taken(engine, train, worker):
    for _ in range(2):
        train("a")
    with engine.begin() as connection:
        first, second = connection.scalars(text("SELECT id FROM procrastinate_jobs ORDER BY id"))
        assert [job.id for job in waiting_jobs(connection, TASK_QUEUE, [TRAIN.task], ALL)] == [
            first
        ]
        assert take_job(connection, first, worker)["id"] == first
        assert waiting_jobs(connection, TASK_QUEUE, [TRAIN.task], ALL) == []
        assert take_job(connection, second, worker) is None


def test_a_helper_stays_while_only_backtests_wait_for_which_no_slot_is_left(
    engine, test_back, train, worker
):
    run = test_back("a")
    test_back("b")
    with engine.begin() as connection:
        invite_helper(connection, run.id)
        jobs = waiting_jobs(connection, TASK_QUEUE, [BACKTEST.task, HELP_TASK], ALL)
        assert [job.task_name for job in jobs] == [BACKTEST.task, BACKTEST.task, HELP_TASK]
        for job in (jobs[0], jobs[2]):
            take_job(connection, job.id, worker)
        helper = jobs[2].id
        assert not others_wait(connection, ALL, job_id=helper, n_slots=2)
        assert others_wait(connection, ALL, job_id=helper, n_slots=3)
    train("c")
    with engine.begin() as connection:
        assert others_wait(connection, ALL, job_id=helper, n_slots=2)


@pytest.mark.parametrize(("gpu_age_s", "left_to_cpu"), [(None, "abc"), (5, "bc"), (60, "abc")])
def test_runs_worth_a_gpu_wait_for_a_living_worker_that_has_one(
    engine, train, test_back, take, gpu_age_s, left_to_cpu
):
    train("a", "stack")
    test_back("b", "pooled-kde")
    train("c")
    if gpu_age_s is not None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO worker_processes (id, takes, heartbeat_at)"
                    " VALUES (gen_random_uuid(), 'gpu', now() - make_interval(secs => :age))"
                ),
                {"age": gpu_age_s},
            )
    assert "".join(sorted(take(Slots(4, 100 * GB), worker_takes="cpu"))) == left_to_cpu


def test_a_worker_for_the_gpu_takes_nothing_else(train, test_back, take):
    train("a", "cox")
    test_back("b", "maf-window")
    train("c")
    test_back("d", "gmm")
    assert take(Slots(4, 100 * GB), worker_takes="gpu") == "ab"
    assert take(Slots(4, 100 * GB), worker_takes="all") == "cd"


def test_two_slots_work_on_two_jobs_at_once_until_none_can_start(
    engine, settings, train, monkeypatch
):
    runs = [train(region) for region in "aab"]
    working, most, ended = set(), [], []

    async def run_child(_settings, kind, run_id, _until):
        working.add(run_id)
        while len(ended) == 0 and len(working) < 2:
            await asyncio.sleep(0.01)
        most.append(len(working))
        await asyncio.sleep(0.3)
        working.discard(run_id)
        ended.append(run_id)
        with engine.begin() as connection:
            status = text("UPDATE training_runs SET status = 'succeeded' WHERE id = :run")
            connection.execute(status, {"run": run_id})
        return 0

    monkeypatch.setattr(tasks, "run_child", run_child)
    two = settings.model_copy(update={"worker_slots": 2})
    asyncio.run(asyncio.wait_for(serve_queue(two, engine, wait=False), 60))
    assert most[:2] == [2, 2]
    assert len(ended) == 3, "a's second started when its first had ended, without being waited for"
    with engine.connect() as connection:
        assert {get_run(connection, "train", run.id).status for run in runs} == {"succeeded"}
        assert (
            connection.scalar(
                text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'hotslot.train'")
            )
            == 0
        )
