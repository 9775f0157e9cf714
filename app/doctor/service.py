"""Examine an installation: one check after another, each on its own; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.access.service import require_keys_for_others
from app.core.db.engine import open_to_look, require_sessions
from app.core.db.replica import fault_of, position
from app.core.errors import HotslotError, InvalidInput
from app.core.settings import Settings
from app.core.texts import cut
from app.doctor import database, machine, running
from app.doctor.findings import Finding, finding
from app.doctor.settings import check_names, check_settings, names_given

TIMEOUT_S = 5.0
"""Limit of one question to the database."""
MAX_REASON_CHARS = 200
_OF_MACHINE = {
    "settings": check_settings,
    "the home": machine.check_home,
    "disks": machine.check_disks,
    "lost databases": machine.check_lost_clusters,
}
_OF_SERVER = {
    "the server": database.check_server,
    "the clock": database.check_clock,
    "the schema": database.check_schema,
    "upkeep": database.check_upkeep,
    "storage": database.check_storage,
}
_OF_SERVICE = {
    "partitions": running.check_copy,
    "time zones": running.check_zones,
    "the queue": running.check_queue,
    "feeds": running.check_feeds,
    "deliveries": running.check_deliveries,
    "forecasts": running.check_forecasts,
    "models": running.check_models,
    "the audit log": running.check_audit,
}
_NO_SCHEMA = frozenset(("schema_missing", "schema_behind", "tables_missing"))


def examine(settings: Settings) -> list[Finding]:
    """Return all that is wrong with an installation; without its database, all that can be seen."""
    found = list(_guarded("the environment", lambda: check_names(names_given())))
    for name, check in _OF_MACHINE.items():
        found += _guarded(name, partial(check, settings))
    return [*found, *_guarded("the database", lambda: _examine_database(settings))]


def _examine_database(settings: Settings) -> Iterator[Finding]:
    try:
        engine = open_to_look(settings, TIMEOUT_S)
    except InvalidInput as error:
        yield finding("database_address", reason=error.message)
        return
    if engine is None:
        yield finding("database_not_running", home=str(settings.home))
        return
    try:
        with engine.connect():
            pass
    except DBAPIError as error:
        yield finding("database_unreachable", reason=_reason(error))
        return
    found = [*_guarded("a pooler", lambda: _check_pooler(engine, settings))]
    for name, check in _OF_SERVER.items():
        found += _guarded(name, partial(_connected, engine, settings, check))
    yield from found
    if _NO_SCHEMA & {each.message.code for each in found}:
        yield finding("checks_skipped", checks=["keys", "the replica", *_OF_SERVICE])
        return
    yield from _guarded("keys", lambda: _check_keys(engine, settings))
    yield from _guarded("the replica", lambda: _check_replica(engine, settings))
    for name, check in _OF_SERVICE.items():
        yield from _guarded(name, partial(_connected, engine, settings, check))


def _connected(
    engine: Engine,
    settings: Settings,
    check: Callable[[Connection, Settings], Iterator[Finding]],
) -> Iterator[Finding]:
    """Run a check in a transaction of its own."""
    with engine.connect() as connection:
        yield from check(connection, settings)


def _check_pooler(engine: Engine, settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None:
        return
    try:
        require_sessions(engine)
    except InvalidInput as error:
        yield finding("transaction_pooler", reason=error.message)


def _check_keys(engine: Engine, settings: Settings) -> Iterator[Finding]:
    try:
        require_keys_for_others(engine, settings)
    except InvalidInput as error:
        yield finding("keys_missing", reason=error.message)


def _check_replica(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """Find out why reads would not use the replica."""
    if settings.read_database_url is None:
        return
    there = settings.model_copy(update={"database_url": settings.read_database_url})
    replica = open_to_look(there, TIMEOUT_S)
    if replica is None:  # only an embedded server is not there
        return
    with engine.connect() as connection:
        known = position(connection, None)
    try:
        with replica.connect() as connection:
            found = position(connection, None, of_replica=True)
    except DBAPIError as error:
        fault: str | None = _reason(error)
    else:
        fault = fault_of(known, found, settings.read_max_lag_s)
    if fault is not None:
        yield finding("replica_unused", reason=fault)


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; a check that fails is a finding, and does not end the others."""
    try:
        yield from check()
    except HotslotError as error:
        yield finding("check_failed", check=name, reason=error.message)
    except (SQLAlchemyError, psycopg.Error, OSError, ValueError) as error:
        yield finding("check_failed", check=name, reason=_reason(error))


def _reason(error: Exception) -> str:
    """Return what a library says, on one line; of the database's errors without the statement."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return cut(" ".join(str(cause).split()) or type(cause).__name__, MAX_REASON_CHARS)
