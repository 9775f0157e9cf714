"""A region's life at random (hypothesis): ingest, replay, train, promote, roll back, erase."""

from hypothesis import HealthCheck
from hypothesis import settings as lives
from hypothesis.stateful import run_state_machine_as_test

from tests.support.services.region_machine import RegionMachine


def test_short_lives_keep_every_promise(engine, settings):
    machine = type("Machine", (RegionMachine,), {"engine": engine, "settings": settings})
    run_state_machine_as_test(
        machine,
        settings=lives(
            max_examples=6,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
