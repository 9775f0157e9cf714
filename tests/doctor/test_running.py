"""Workers, feeds, forecasts, stored models and the audit log of a service, one fault after another."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.core.db.engine import open_to_look
from app.doctor import running, store
from app.doctor.service import examine
from app.regions.store import get_region
from app.registry.artifacts import pack, store_artifact
from app.subscriptions.failures import FAILURES
from app.sync.spec import SourceSpec
from app.sync.store import insert_source
from app.training.service import TrainingRequest
from app.worker.jobs import run_now


@pytest.fixture(scope="module")
def version(engine, settings, town):
    run = run_now(
        engine, settings, town, TrainingRequest("uniform", validate=False), lambda *_: None
    )
    assert run.status == "succeeded", run.message
    return run.model_version


@pytest.fixture
def change(engine):
    def execute(statement, **values):
        with engine.begin() as connection:
            connection.execute(text(statement), values)

    return execute


def found(check, settings):
    with open_to_look(settings, 5.0).connect() as connection:
        return {e.message.code: e.message.params for e in check(connection, settings)}


def test_without_workers_it_matters_whether_jobs_wait(settings, change):
    assert found(running.check_queue, settings) == {"no_workers": {}}
    change(
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('hotslot', 'hotslot.train')"
    )
    assert found(running.check_queue, settings) == {"workers_missing": {"jobs": 1}}


def test_jobs_that_wait_or_were_lost_and_late_maintenance(settings, change):
    change("DELETE FROM procrastinate_jobs")
    change("INSERT INTO worker_processes (id, heartbeat_at) VALUES (gen_random_uuid(), now())")
    assert found(running.check_queue, settings) == {}
    change("UPDATE worker_processes SET takes = 'gpu'")
    assert found(running.check_queue, settings) == {"only_gpu_workers": {}}
    change("UPDATE worker_processes SET takes = 'cpu'")
    change(
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('hotslot', 'hotslot.train')"
    )
    change("UPDATE procrastinate_events SET at = now() - interval '2 h'")
    change(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
        " VALUES ('hotslot', 'hotslot.train', 'doing')"
    )
    change(
        "INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, periodic_id)"
        " VALUES ('hotslot.maintenance', extract(epoch FROM now() - interval '50 min'), 'maintenance')"
    )
    wrong = found(running.check_queue, settings)
    assert wrong.keys() == {"job_waits", "jobs_lost", "maintenance_late"}
    assert wrong["jobs_lost"] == {"jobs": 1}
    assert 119 < wrong["job_waits"]["minutes"] < 130


def test_workers_whose_clocks_are_off(settings, change):
    change("DELETE FROM procrastinate_jobs")
    change("DELETE FROM procrastinate_periodic_defers")
    change("DELETE FROM worker_processes")
    for machine, ahead_s, age_s in (("a", 1.5, 0), ("b", -90.0, 0), ("gone", 900.0, 600)):
        change(
            "INSERT INTO worker_processes (id, machine, clock_ahead_s, heartbeat_at)"
            " VALUES (gen_random_uuid(), :machine, :ahead, now() - make_interval(secs => :age))",
            machine=machine, ahead=ahead_s, age=age_s,
        )  # fmt: skip
    assert found(running.check_queue, settings) == {
        "worker_clock_differs": {"machine": "b", "seconds": -90.0}
    }


def test_feeds_that_are_late_twice(engine, settings, change, town):
    spec = SourceSpec("file", "https://portal.example/a.csv")
    with engine.begin() as connection:
        key = get_region(connection, town).key
        insert_source(connection, key, "hourly", spec, every_s=3600, cron=None)
        insert_source(connection, key, "nightly", spec, every_s=None, cron="0 3 * * *")
        insert_source(connection, key, "by-hand", spec, every_s=None, cron=None)
    assert found(running.check_feeds, settings) == {}
    late = "UPDATE sync_sources SET last_success_at = now() - make_interval(hours => :h) WHERE name = :name"
    change(late, h=2, name="hourly")
    change(late, h=20, name="nightly")
    change(late, h=9999, name="by-hand")
    assert found(running.check_feeds, settings) == {}, "one run may be late"
    change(late, h=4, name="hourly")
    change(late, h=75, name="nightly")
    change("UPDATE sync_sources SET last_error = 'it answered 503' WHERE name = 'nightly'")
    wrong = found(running.check_feeds, settings)
    assert wrong["feed_stale"]["source"] == "hourly"
    assert wrong["feed_failing"]["source"] == "nightly"
    assert wrong["feed_failing"]["error"] == "it answered 503"


def test_a_feed_that_never_succeeded_is_counted_from_its_creation(settings, change):
    change("UPDATE sync_sources SET last_success_at = now(), last_error = NULL")
    change(
        "UPDATE sync_sources SET last_success_at = NULL, created_at = now() - interval '1 day'"
        " WHERE name = 'hourly'"
    )
    assert found(running.check_feeds, settings)["feed_stale"]["last"] == "never"
    change("DELETE FROM sync_sources")


def test_scheduled_trainings_that_fail_again_and_again(engine, settings, change, town):
    with engine.begin() as connection:
        key = get_region(connection, town).key
    change(
        "INSERT INTO schedules (region_key, model, cron, counted_from)"
        " VALUES (:key, 'uniform', '0 3 * * *', now())",
        key=key,
    )
    for hours, status in ((9, "failed"), (8, "succeeded"), (3, "failed"), (2, "failed")):
        _tick(change, key, hours, status)
    assert found(running.check_feeds, settings) == {}, "one that succeeded clears those before"
    _tick(change, key, 1, "failed")
    _tick(change, key, 0, "queued")
    wrong = found(running.check_feeds, settings)["scheduled_trainings_fail"]
    assert wrong == {"region": town, "n": 3, "reason": "out of memory, 1 h ago"}
    change("DELETE FROM schedule_ticks")
    change("DELETE FROM training_runs WHERE message LIKE 'out of memory%'")
    change("DELETE FROM schedules")


def _tick(change, key, hours, status):
    change(
        "WITH run AS (INSERT INTO training_runs (id, region_key, status, message, request)"
        " VALUES (gen_random_uuid(), :key, :status, :message, '{}') RETURNING id)"
        " INSERT INTO schedule_ticks (region_key, tick_at, cause, run_id)"
        " SELECT :key, now() - make_interval(hours => :hours), 'cron', id FROM run",
        key=key, hours=hours, status=status, message=f"out of memory, {hours} h ago",
    )  # fmt: skip


def test_deliveries_that_were_given_up(engine, settings, change, town):
    with engine.begin() as connection:
        key = get_region(connection, town).key
    change(
        "INSERT INTO subscriptions (region_key, name, spec, owner) VALUES (:key, 'night', '{}', 'x')",
        key=key,
    )
    failure = FAILURES.make("push_status", status=503).to_json()
    for occasion, hours, status in (
        ("a", 1, "dead"),
        ("b", 9, "dead"),
        ("c", 1, "delivered"),
        ("d", 999, "dead"),
    ):
        change(
            "INSERT INTO deliveries (id, region_key, subscription_key, occasion, status, failure, ended_at)"
            " SELECT gen_random_uuid(), :key, key, :occasion, :status, CAST(:failure AS jsonb),"
            " now() - make_interval(hours => :hours) FROM subscriptions",
            key=key, occasion=occasion, hours=hours, status=status, failure=json.dumps(failure),
        )  # fmt: skip
    assert found(running.check_deliveries, settings)["deliveries_dead"] == {
        "region": town, "subscription": "night", "n": 2, "days": 7,
        "reason": "the receiver answered with status 503",
    }  # fmt: skip
    change("DELETE FROM subscriptions")
    assert found(running.check_deliveries, settings) == {}


def test_how_far_the_copy_into_partitions_is(settings, change):
    assert found(running.check_copy, settings) == {}
    change("INSERT INTO incident_copy (copied, total) VALUES (250, 1000)")
    assert found(running.check_copy, settings) == {
        "copy_under_way": {"stage": "copying", "share": 0.25}
    }
    change("UPDATE incident_copy SET stage = 'differs'")
    assert found(running.check_copy, settings) == {"copy_differs": {}}
    change("DELETE FROM incident_copy")


def test_forecasts_of_old_data_and_states_that_do_not_follow(engine, settings, change, version):
    wrong = found(running.check_forecasts, settings)
    assert wrong.keys() == {"forecast_old"}, "the town's year is long ago"
    with engine.connect() as connection:
        served = store.served_versions(connection, running.STATE_LATE_S)
    assert [(s.region, s.version, s.releases) for s in served] == [("town", version, 0)]
    recent = datetime.now(UTC) - timedelta(days=3)
    for seq in (901, 902):
        change(
            "INSERT INTO releases (region_key, seq, until, created_at) VALUES (:key, :seq, :until, :until)",
            key=served[0].region_key, seq=seq, until=recent + timedelta(hours=seq - 900),
        )  # fmt: skip
        lacking = found(running.check_forecasts, settings).get("state_behind")
        assert (lacking is not None) == (seq == 902)
    assert lacking["releases"] == 2
    change("DELETE FROM releases WHERE seq > 900")


def test_an_artifact_with_other_bytes_and_one_of_no_version(engine, settings, change, version):
    assert found(running.check_models, settings) == {}
    change("UPDATE artifacts SET content = content || '\\x00'::bytea")
    wrong = found(running.check_models, settings)["champion_damaged"]
    assert (wrong["region"], wrong["version"]) == ("town", version)
    with engine.connect() as connection:
        assert store.damaged_artifacts(connection, 10) == [], "no more is read than allowed"
    change("UPDATE artifacts SET content = substring(content FROM 1 FOR length(content) - 1)")
    with engine.begin() as connection:
        store_artifact(connection, *pack({"of": "nothing"}, {}))
    assert found(running.check_models, settings) == {"unused_stored": {"n": 1}}
    change("UPDATE model_versions SET n_incidents = n_incidents + 1")
    assert "champion_damaged" in found(running.check_models, settings)
    change("UPDATE model_versions SET n_incidents = n_incidents - 1")


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_log SET actor = 'somebody' WHERE chain = 'town' AND seq = :last",
        "DELETE FROM audit_log WHERE chain = 'town' AND seq = :last",
        "UPDATE audit_log SET previous_hash = hash WHERE chain = 'town' AND seq = :last",
    ],
)
def test_the_end_of_the_audit_log(engine, settings, version, tampering):
    assert found(running.check_audit, settings) == {}
    with engine.connect() as connection:
        last = connection.scalar(text("SELECT max(seq) FROM audit_log WHERE chain = 'town'"))
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        connection.execute(text(tampering), {"last": last})
        assert len(running.check_tails(connection, 3)) == 1
        connection.rollback()
    assert found(running.check_audit, settings) == {}


def test_time_zones_that_are_unknown(settings, change, town):
    assert found(running.check_zones, settings) == {}
    change("UPDATE regions SET timezone = 'Mars/Olympus'")
    wrong = found(running.check_zones, settings)
    assert wrong["no_zone_data"] == wrong["zone_unknown_to_database"] == {"zone": "Mars/Olympus"}
    change("UPDATE regions SET timezone = 'America/Bogota'")


def test_incidents_are_never_read(engine, settings, version):
    reads = text(
        "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'incidents'"
    )
    others = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'hotslot' AND pid <> pg_backend_pid()"
    )
    engine.dispose()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        before = connection.scalar(reads)
        codes = {each.message.code for each in examine(settings)}
        while connection.scalar(others):  # a session counts its reads when it ends
            time.sleep(0.05)
        assert connection.scalar(reads) == before
    assert "forecast_old" in codes
    assert "check_failed" not in codes
