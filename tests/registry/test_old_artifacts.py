"""Artifacts of before digests were keyed: the plain digest in their headers goes, and they still serve."""

import hashlib
import importlib
from datetime import timedelta

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from app.regions.store import get_region
from app.registry.artifacts import load_artifact, pack, store_artifact
from app.registry.integrity import seal_version
from tests.support.simulated.small_region import START, row, train

PLAIN = hashlib.sha256(b"incidents").hexdigest()


@pytest.fixture
def old(engine, settings, place):
    """A champion in the old form: its header holds a plain digest, its name ends with its digits."""
    known = [{**row(START + timedelta(days=3, minutes=k)), "id": f"a/{k}"} for k in range(25)]
    place("ingester", "POST", "/incidents", json=known)
    made, _ = train(engine, settings, place, "trainer")
    with engine.begin() as connection:
        key = get_region(connection, "small").key
        before = connection.scalar(text("SELECT artifact_sha256 FROM model_versions"))
        header, tensors = load_artifact(connection, before)
        content, sha256 = pack({**header, "data_hash": PLAIN}, tensors)
        store_artifact(connection, content, sha256)
        name = made[:-10] + sha256[:10]
        connection.execute(text("SET session_replication_role = replica"))
        for table, column in (
            ("model_versions", "version"),
            ("champions", "version"),
            ("forecast_grids", "version"),
            ("promotions", "version"),
        ):
            connection.execute(text(f"UPDATE {table} SET {column} = :name"), {"name": name})
        connection.execute(
            text(
                "UPDATE forecast_grids SET digest = sha256(convert_to(concat_ws(':', region_key,"
                " version, category_code, \"window\", ''), 'UTF8') || cell_values)"
            )
        )
        connection.execute(text("UPDATE training_runs SET model_version = NULL"))
        connection.execute(text("UPDATE model_versions SET artifact_sha256 = :s"), {"s": sha256})
        connection.execute(text("DELETE FROM artifacts WHERE sha256 = :s"), {"s": before})
        connection.execute(text("SET session_replication_role = origin"))
    with engine.begin() as connection:
        from app.registry.integrity import _DIGESTS, forecasts_sha256

        rows = connection.execute(_DIGESTS, {"region": key, "version": name})
        whole = forecasts_sha256([(int(c), int(w), bytes(d)) for c, w, d in rows])
        connection.execute(
            text("UPDATE model_versions SET forecasts_sha256 = :whole"), {"whole": whole}
        )
        seal_version(connection, key, name)
    assert holds(engine, PLAIN)
    return name


def holds(engine, digest):
    """Whether any row of the database holds it, as text."""
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).all()
        stored = connection.scalars(text("SELECT content FROM artifacts")).all()
        shown = [
            line
            for table in tables
            for line in connection.scalars(text(f'SELECT t::text FROM "{table}" AS t'))
        ]
    return any(digest in line for line in shown) or any(digest.encode() in bytes(s) for s in stored)


def serves(place, name):
    """Whether a version can be read, promoted and asked for forecasts."""
    promoted = place("admin", "POST", f"/models/{name}/promote")
    asked = f"/forecasts/density?at=2024-02-01T10:00&model={name}"
    return (promoted.status_code, place("reader", "GET", asked).status_code)


def test_an_upgrade_puts_the_keyed_digest_into_old_artifacts(engine, old, place):
    assert serves(place, old) == (200, 200)
    migration = importlib.import_module("migrations.versions.0023_keyed_artifacts")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        migration.upgrade()
    assert not holds(engine, PLAIN)
    assert serves(place, old) == (200, 200)
    told = place("analyst", "GET", f"/models/{old}").json()
    with engine.connect() as connection:
        header, _ = load_artifact(connection, told["artifact_sha256"])
    assert header["data_hash"] == told["data_hash"] != PLAIN


def test_an_erasure_takes_the_plain_digest_out_of_what_stays(engine, old, place):
    assert place("admin", "DELETE", "/incidents/a%2F4").status_code == 204
    assert not holds(engine, PLAIN)
    assert serves(place, old) == (200, 200)


@pytest.mark.parametrize("role", ["reader", "trainer", "ingester", "analyst", "admin"])
def test_no_door_serves_the_header_of_an_artifact(old, place, role):
    doors = (
        "",
        "/models",
        f"/models/{old}",
        *(f"/models/{old}/card?f={f}" for f in ("json", "md", "html")),
    )
    for door in (*doors, "/training-runs", "/forecasts/density?at=2024-02-01T10:00"):
        reply = place(role, "GET", door)
        assert PLAIN not in reply.text + str(reply.headers), door


def test_a_name_binds_no_other_artifact(engine, old, place):
    """What an erasure notes of the name is no way to slip in another artifact."""
    place("admin", "DELETE", "/incidents/a%2F4")
    with engine.begin() as connection:
        connection.execute(text("UPDATE model_versions SET gate = gate - 'named_by'"))
    assert place("admin", "POST", f"/models/{old}/promote").status_code == 409
