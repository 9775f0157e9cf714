"""J2, J5, R2, D4 in short: late workers, jobs that take their workers along, no room, no half version."""

import pytest
from sqlalchemy import text

from app.core.db.engine import conninfo
from app.core.devserver.server import require_room
from app.core.errors import Unavailable
from app.core.retry import retry_outages
from app.regions.store import get_region
from app.registry import champions
from app.registry.champions import get_champion
from app.runs.kinds import TRAIN
from app.runs.store import Superseded, claim_run, get_run
from app.training.service import TrainingRequest, execute_training, request_training
from app.worker.recovery import GIVEN_UP, give_up, requeue_lost_runs
from app.worker.tasks import build_app

REQUEST = TrainingRequest(model="uniform", validate=False)
KEPT = ("artifacts", "grids", "model_versions", "forecast_grids", "champions", "promotions")


def count(engine):
    with engine.connect() as connection:
        return [connection.scalar(text(f"SELECT count(*) FROM {name}")) for name in KEPT]


@pytest.mark.slow
def test_what_a_late_worker_writes_is_refused_whole(engine, settings, town):
    run = request_training(engine, settings, town, REQUEST)
    with engine.begin() as connection:
        late = claim_run(connection, "train", run.id)
        claim_run(connection, "train", run.id)
    before = count(engine)
    with pytest.raises(Superseded):
        execute_training(engine, settings, late, lambda _share, _message: None, lambda: False)
    assert count(engine) == before


def test_a_training_cut_off_while_it_registers_leaves_nothing(engine, settings, town, monkeypatch):
    run = request_training(engine, settings, town, REQUEST)
    with engine.begin() as connection:
        claimed = claim_run(connection, "train", run.id)
        key = get_region(connection, town).key
    before = count(engine)

    def cut(connection, *_args):
        pid = connection.connection.driver_connection.info.backend_pid
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return get_champion(connection, key)

    with monkeypatch.context() as patch:
        patch.setattr(retry_outages, "__defaults__", (2.0, 0.2))
        patch.setattr(champions, "get_version", cut)
        with pytest.raises(Unavailable):
            execute_training(engine, settings, claimed, lambda _s, _m: None, lambda: False)
    assert count(engine) == before


def test_a_run_whose_job_is_gone_is_queued_again_and_given_up_in_the_end(engine, settings, town):
    run = request_training(engine, settings, town, REQUEST)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE training_runs SET status = 'failed' WHERE id <> :i"), {"i": run.id}
        )
        claim_run(connection, "train", run.id)
        connection.execute(text("DELETE FROM procrastinate_jobs"))
    assert requeue_lost_runs(engine, 3600.0) == 0
    assert requeue_lost_runs(engine, 0.0) == 1
    assert requeue_lost_runs(engine, 0.0) == 0
    give_up(engine, TRAIN.task, str(run.id))
    with engine.connect() as connection:
        ended = get_run(connection, "train", run.id)
    assert (ended.status, ended.message) == ("failed", GIVEN_UP.message)
    assert build_app(conninfo(engine), settings, engine).tasks[TRAIN.task].queue == "hotslot"


def test_uploads_end_before_the_embedded_servers_disk_is_full(settings, monkeypatch):
    monkeypatch.setattr("app.core.devserver.server.data_directory", lambda home: home)
    embedded = settings.model_copy(update={"database_url": None, "disk_reserve_bytes": 1 << 60})
    with pytest.raises(Unavailable) as caught:
        require_room(embedded)
    assert caught.value.code == "disk_full"
    require_room(settings)
