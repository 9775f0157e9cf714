"""Trainings of a terminal that was closed or killed."""

from __future__ import annotations

from sqlalchemy import text

from app.regions.store import get_region
from app.runs.store import claim_run, create_run, get_run
from app.training.service import TrainingRequest, request_training
from app.worker.recovery import end_abandoned_runs


def test_a_run_whose_terminal_is_gone_ends_and_one_of_the_queue_is_left_to_its_worker(
    engine, settings, town
):
    with engine.begin() as connection:
        key = get_region(connection, town).key
        gone, living = (create_run(connection, "train", key, {}) for _ in range(2))
    queued = request_training(engine, settings, town, TrainingRequest("uniform"))
    with engine.begin() as connection:
        for run in (gone, living, queued):
            claim_run(connection, "train", run.id)
        connection.execute(
            text(
                "UPDATE training_runs SET heartbeat_at = now() - interval '2 h' WHERE id <> :living"
            ),
            {"living": living.id},
        )
    assert end_abandoned_runs(engine) == 1
    with engine.connect() as connection:
        runs = [get_run(connection, "train", run.id) for run in (gone, living, queued)]
    assert [run.status for run in runs] == ["failed", "running", "running"]
    assert runs[0].message == "its process vanished"
