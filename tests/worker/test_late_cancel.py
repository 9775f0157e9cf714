"""Cancelling a training in its last steps."""

from app.regions.store import get_region
from app.runs.cancelling import request_cancel
from app.runs.store import list_runs
from app.training.service import TrainingRequest
from app.worker import jobs
from app.worker.jobs import run_now


def test_a_run_that_is_cancelled_before_it_is_registered_promotes_nothing(
    engine, settings, town, monkeypatch
):
    monkeypatch.setattr(jobs, "BEAT_EVERY_S", 0.0)
    asked = []

    def watch(_share: float, message: str) -> None:
        if str(message) == "fitting counts" and not asked:
            with engine.begin() as connection:
                (run,) = list_runs(connection, "train", get_region(connection, town).key)
                asked.append(request_cancel(connection, "train", run))

    run = run_now(engine, settings, town, TrainingRequest("uniform"), watch)
    assert (run.status, run.model_version) == ("cancelled", None)
