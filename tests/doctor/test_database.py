"""A real server with one thing wrong after another; the doctor changes nothing."""

from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app.core.db.engine import open_to_look
from app.doctor import database, service, store
from app.doctor.database import check_schema, check_server, check_storage, check_upkeep
from app.doctor.service import examine
from app.monitoring import upkeep_limits as limits
from tests.support.databases.database_proxy import proxied
from tests.support.statistics import flush_statistics

USUAL = {"no_workers", "server_setting"}
"""Nobody works on a test's database, and its server writes without fsync."""


@contextmanager
def looking(settings):
    engine = open_to_look(settings, 5.0)
    with engine.connect() as connection:
        yield connection


def found(check, settings):
    with looking(settings) as connection:
        return {e.message.code: e.message.params for e in check(connection, settings)}


def all_codes(settings):
    wrong = {e.message.code for e in examine(settings) if e.level != "note"}
    return wrong - {"inodes_low", "disk_low", "temporary_folder_small", "unknown_setting"}


def raw(settings):
    return psycopg.connect(settings.database_url.get_secret_value(), autocommit=True)


def test_a_sound_database_and_nothing_is_changed(engine, settings):
    ids = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    files = sorted(settings.home.rglob("*"))
    for _ in range(5):  # the ids are the server's: its autovacuum may take some meanwhile
        with engine.connect() as connection:
            before = connection.scalar(text(ids))
        assert all_codes(settings) == USUAL
        with engine.connect() as connection:
            if connection.scalar(text(ids)) == before:
                break
    else:
        pytest.fail("a transaction of it has written")
    assert sorted(settings.home.rglob("*")) == files


def test_its_transactions_cannot_write(settings):
    with looking(settings) as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.execute(text("CREATE TABLE written (n int)"))


def test_nothing_of_it_stays_in_a_session_that_a_pooler_shares(settings):
    with looking(settings) as connection:
        connection.execute(text("SELECT 1"))
        connection.rollback()
        driver = connection.connection.driver_connection
        driver.autocommit = True
        shown = [
            driver.execute(f"SHOW {name}").fetchone()[0]
            for name in ("statement_timeout", "default_transaction_read_only")
        ]
    assert shown == ["0", "off"]


@pytest.mark.parametrize(
    ("revision", "code"), [("0001", "schema_behind"), (None, "schema_missing")]
)
def test_a_schema_that_is_not_current_skips_what_needs_it(settings, revision, code):
    with raw(settings) as admin:
        current = admin.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        admin.execute("DELETE FROM alembic_version")
        if revision:
            admin.execute("INSERT INTO alembic_version VALUES (%s)", (revision,))
        try:
            codes = {e.message.code for e in examine(settings)}
        finally:
            admin.execute("DELETE FROM alembic_version")
            admin.execute("INSERT INTO alembic_version VALUES (%s)", (current,))
    assert {code, "checks_skipped"} <= codes
    assert "no_workers" not in codes


def test_a_newer_schema_is_a_note(settings):
    with raw(settings) as admin:
        current = admin.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        admin.execute("UPDATE alembic_version SET version_num = '9999'")
        try:
            assert found(check_schema, settings) == {"schema_newer": {"found": "9999"}}
        finally:
            admin.execute("UPDATE alembic_version SET version_num = %s", (current,))


def test_a_user_without_rights(settings):
    with raw(settings) as admin:
        admin.execute("CREATE ROLE looker LOGIN PASSWORD 'secret'")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
        admin.execute("GRANT INSERT, UPDATE, DELETE ON incidents TO looker")
        url = make_url(settings.database_url.get_secret_value())
        theirs = url.set(username="looker", password="secret").render_as_string(False)
        lesser = settings.model_copy(update={"database_url": SecretStr(theirs)})
        try:
            lacking = found(check_schema, lesser)["rights_missing"]
            assert lacking["user"] == "looker"
            assert "INSERT UPDATE DELETE on uploads" in lacking["rights"]
            assert not any(" incidents" in right for right in lacking["rights"])
        finally:
            admin.execute("DROP OWNED BY looker")
            admin.execute("DROP ROLE looker")


def test_a_table_that_is_missing(settings):
    with raw(settings) as admin:
        admin.execute("ALTER TABLE presence RENAME TO elsewhere")
        try:
            assert found(check_schema, settings) == {"tables_missing": {"tables": ["presence"]}}
        finally:
            admin.execute("ALTER TABLE elsewhere RENAME TO presence")


def test_dead_rows_and_an_invalid_index(settings):
    with raw(settings) as admin:
        admin.execute("CREATE TABLE bloated (n int) WITH (autovacuum_enabled = off)")
        admin.execute("CREATE INDEX broken ON bloated (n)")
        admin.execute("INSERT INTO bloated SELECT generate_series(1, 30000)")
        admin.execute("DELETE FROM bloated WHERE n <= 15000")
        admin.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass"
        )
        flush_statistics(admin)
    try:
        wrong = found(check_upkeep, settings)
        assert wrong["dead_rows"] == {
            "table": "bloated", "share": 0.5, "dead": 15000, "vacuumed_at": "never",
        }  # fmt: skip
        assert wrong["index_invalid"] == {"index": "broken"}
        with raw(settings) as admin:
            admin.execute("REINDEX INDEX broken")
            admin.execute("VACUUM bloated")
            flush_statistics(admin)
        assert found(check_upkeep, settings) == {}
    finally:
        with raw(settings) as admin:
            admin.execute("DROP TABLE bloated")


def test_rooms_that_are_nearly_empty_and_old_statistics(settings, monkeypatch):
    monkeypatch.setattr(limits, "MIN_SPARE_BYTES", 256 << 10)
    monkeypatch.setattr(limits, "MIN_CHANGED_ROWS", 10_000)
    with raw(settings) as admin:
        admin.execute("CREATE TABLE grown (n int, word text) WITH (autovacuum_enabled = off)")
        admin.execute(
            "INSERT INTO grown SELECT k, 'some ' || k FROM generate_series(1, 30000) AS k"
        )
        admin.execute("CREATE INDEX grown_n ON grown (n)")
        flush_statistics(admin)
    try:
        old = found(check_upkeep, settings)["statistics_old"]
        assert old == {"table": "grown", "changed": 30000, "rows": 30000, "analyzed_at": "never"}
        with raw(settings) as admin:
            admin.execute("ANALYZE grown")
            flush_statistics(admin)
        assert found(check_upkeep, settings) == {}, "full ones are as large as they must be"
        with raw(settings) as admin:
            admin.execute("DELETE FROM grown WHERE n % 10 > 0")
            flush_statistics(admin)
        with raw(settings) as admin:
            admin.execute("VACUUM ANALYZE grown")
            flush_statistics(admin)
        wrong = found(check_upkeep, settings)
        assert wrong.keys() == {"table_bloated", "index_bloated"}
        assert 0.8 < wrong["table_bloated"]["share"] <= 0.95
        assert 0.8 < wrong["index_bloated"]["share"] <= 0.95
        assert wrong["index_bloated"]["index"] == "grown_n"
        with raw(settings) as admin:
            admin.execute("VACUUM FULL grown")
            admin.execute("ANALYZE grown")
        assert found(check_upkeep, settings) == {}
    finally:
        with raw(settings) as admin:
            admin.execute("DROP TABLE grown")


def test_statistics_of_a_partitioned_table_are_those_of_the_whole(settings, monkeypatch):
    """Autovacuum never makes them."""
    monkeypatch.setattr(limits, "MIN_CHANGED_ROWS", 1_000)
    with raw(settings) as admin:
        admin.execute("CREATE TABLE parted (n int) PARTITION BY HASH (n)")
        for number in range(2):
            admin.execute(
                f"CREATE TABLE parted_{number} PARTITION OF parted"
                f" FOR VALUES WITH (MODULUS 2, REMAINDER {number})"
            )
        admin.execute("INSERT INTO parted SELECT generate_series(1, 3000)")
        admin.execute("ANALYZE parted_0, parted_1")
        flush_statistics(admin)
    try:
        old = found(check_upkeep, settings)["statistics_old"]
        assert (old["table"], old["changed"], old["rows"]) == ("parted", 3000, 3000)
        with raw(settings) as admin:
            admin.execute("ANALYZE parted")
        assert found(check_upkeep, settings) == {}
    finally:
        with raw(settings) as admin:
            admin.execute("DROP TABLE parted")


def test_the_disk_of_a_server_on_this_machine_and_its_log(settings, monkeypatch):
    assert found(check_storage, settings).keys() <= {"disk_low", "inodes_low"}
    with looking(settings) as connection:
        folders = store.local_folders(connection)
        assert folders == [connection.scalar(text("SHOW data_directory"))]
    monkeypatch.setattr(database, "there", lambda _: Path("/proc"))
    full = settings.model_copy(update={"disk_reserve_bytes": 1 << 60})
    assert found(check_storage, full)["disk_full"]["path"] == folders[0]
    failed = text("SELECT '0A'::text AS file, now() AS since")
    monkeypatch.setattr(store, "_ARCHIVER", failed)
    assert found(check_storage, settings)["archiving_fails"]["file"] == "0A"


def test_texts_that_the_system_orders_otherwise_now(settings, monkeypatch):
    changed = "'2.31' AS collation_was, '2.36' AS collation"
    for name in ("_COLLATION", "_NO_COLLATION"):
        monkeypatch.setattr(store, name, changed)
    assert found(check_server, settings)["collation_changed"] == {"was": "2.31", "now": "2.36"}


def test_a_transaction_left_open_and_an_unused_slot(settings, monkeypatch):
    monkeypatch.setattr(limits, "IDLE_S", 0.0)
    monkeypatch.setattr(limits, "MAX_RETAINED_BYTES", -1)
    with psycopg.connect(
        settings.database_url.get_secret_value(), application_name="forgotten"
    ) as sleeper, raw(settings) as admin:  # fmt: skip
        sleeper.execute("SELECT 1")
        admin.execute("SELECT pg_create_physical_replication_slot('lonely', true)")
        try:
            wrong = found(check_upkeep, settings)
        finally:
            admin.execute("SELECT pg_drop_replication_slot('lonely')")
        assert wrong["open_transaction"]["application"] == "forgotten"
        assert wrong["open_transaction"]["pid"] == sleeper.info.backend_pid
        assert wrong["replication_slot"]["name"] == "lonely"


def test_settings_of_the_server_and_connections(settings, monkeypatch):
    monkeypatch.setattr(database, "MAX_USED", 0.0)
    many = settings.model_copy(update={"database_pool_size": 10_000})
    wrong = found(check_server, many)
    assert {"server_setting", "connections_scarce", "pool_too_large"} == set(wrong)
    assert wrong["server_setting"]["name"] == "fsync"
    assert wrong["pool_too_large"]["wanted"] == 20_000


def test_a_clock_that_is_off(settings, monkeypatch):
    monkeypatch.setattr(database, "MAX_CLOCK_S", -1.0)
    assert "clocks_differ" in all_codes(settings)


def test_a_transaction_pooler_is_named(settings, monkeypatch):
    monkeypatch.setattr("app.core.db.engine.PROBES", 1)

    def shared(_engine):
        raise service.InvalidInput("behind a transaction pooler")

    monkeypatch.setattr(service, "require_sessions", shared)
    assert "transaction_pooler" in all_codes(settings)


def test_without_the_database_the_rest_is_checked(settings):
    with proxied(settings.database_url.get_secret_value()) as (proxy, url):
        proxy.switch("cut")
        away = settings.model_copy(
            update={"database_url": SecretStr(url), "oidc_audience": "hotslot"}
        )
        codes = all_codes(away)
    assert codes == {"database_unreachable", "oidc_without_issuer"}


def test_a_check_that_fails_does_not_end_the_others(settings, monkeypatch):
    monkeypatch.setitem(service._OF_SERVER, "the clock", lambda c, _: c.execute(text("SELEKT")))
    wrong = {e.message.code: e.message.params for e in examine(settings)}
    assert wrong["check_failed"]["check"] == "the clock"
    assert "syntax error" in wrong["check_failed"]["reason"]
    assert wrong.keys() >= USUAL


def test_an_embedded_server_that_does_not_run_is_not_started(tmp_path, settings):
    home = tmp_path / "home"
    absent = settings.model_copy(update={"database_url": None, "home": home})
    codes = {e.message.code for e in examine(absent)}
    assert "database_not_running" in codes
    assert not home.exists()


def test_the_documentation_has_the_limits():
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for name, limit in (
        ("table_dead_share", limits.MAX_DEAD),
        ("table_spare_share", limits.MAX_SPARE),
        ("oldest_transaction_seconds", f"{limits.WORKING_S:.0f}"),
        ("transaction_ids_used", limits.MAX_IDS_USED),
    ):
        assert f"`hotslot_{name} > {limit}`" in page
