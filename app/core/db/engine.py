"""The database connection: one engine per process, deadlines on every statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from app.core.db.deadlines import (
    GRACE_S,
    PING_TIMEOUT_S,
    DeadlineConnection,
    DeadlinePool,
    NoAnswerInTime,
)
from app.core.devserver.cluster import close_if_there
from app.core.devserver.server import ensure_running, running_url
from app.core.errors import InvalidInput, Unavailable
from app.core.settings import Settings

MIN_SERVER_VERSION = 140000
NEWEST_TESTED_VERSION = 18
CONNECT_TIMEOUT_S = 3
PROBES = 3


def open_engine(settings: Settings) -> Engine:
    """Open an engine on the configured database, or on the embedded server of `settings.home`.

    Every statement has a deadline (`database_timeout_s`); see `long_statements` for work that may
    take longer. Connections are tested before use, so a server restart needs no action.

    Raises:
        InvalidInput: the address is not PostgreSQL's, the server is older than 14, or a pooler of
            transactions is in front of it.
        Unavailable: the server cannot be reached.
    """
    address = _address(settings)
    engine = engine_on(address, settings)
    event.listen(engine, "handle_error", _translate)
    try:
        _require_version(engine)
        if settings.database_url is not None:
            require_sessions(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def engine_on(address: str, settings: Settings, field: str = "database_url") -> Engine:
    """Create an engine whose statements, and waits for connections, have a deadline.

    Args:
        field: the setting that an invalid address comes from.

    Raises:
        InvalidInput: the address is not PostgreSQL's.
    """
    timeout_ms = int(settings.database_timeout_s * 1000)
    engine = create_engine(
        _as_psycopg(address, field),
        poolclass=DeadlinePool,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_size,
        pool_timeout=settings.database_timeout_s,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args=network_options(settings),
    )
    session = {
        "statement_timeout": str(timeout_ms),
        "lock_timeout": str(timeout_ms),
        "idle_in_transaction_session_timeout": str(10 * timeout_ms),
        "timezone": "UTC",
    }
    _bound_waits(engine, settings.database_timeout_s + GRACE_S, session)
    return engine


def _address(settings: Settings) -> str:
    if settings.database_url is None:
        return ensure_running(settings.home)
    close_if_there(settings.home)
    return settings.database_url.get_secret_value()


def _as_psycopg(address: str, field: str = "database_url") -> URL:
    if not address.startswith(("postgres://", "postgresql://", "postgresql+psycopg://")):
        raise InvalidInput(f"HOTSLOT_{field.upper()} must start with postgresql://", field=field)
    return make_url("postgresql+psycopg://" + address.split("://", 1)[1])


def open_to_look(settings: Settings, timeout_s: float) -> Engine | None:
    """Open an engine whose transactions read only and leave no trace in sessions that a pooler shares.

    Nothing is connected yet, started, created or closed to others.

    Args:
        timeout_s: limit of each statement and of each wait.

    Returns:
        None: the embedded server of `settings.home` does not run.

    Raises:
        InvalidInput: the address is not PostgreSQL's.
    """
    given = settings.database_url
    address = running_url(settings.home) if given is None else given.get_secret_value()
    if address is None:
        return None
    engine = create_engine(
        _as_psycopg(address),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args=network_options(settings),
        execution_options={"postgresql_readonly": True},
    )

    def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        made = DeadlineConnection.connect(*args, **options)
        made.limit_waits(timeout_s + GRACE_S)
        return made

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}")

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", begin)
    return engine


def network_options(settings: Settings) -> dict[str, Any]:
    """Return libpq options that detect a dead peer; the engine and the queue share them."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(settings.database_timeout_s * 1000),
        "application_name": "hotslot",
        "client_encoding": "utf8",
    }


def _bound_waits(engine: Engine, timeout_s: float, session: Mapping[str, str]) -> None:
    """Create connections that wait at most `timeout_s` in use, and less while they are tested.

    Args:
        session: settings of each, set by a statement, since PgBouncer rejects or drops `options`.
    """
    wanted = ", ".join("set_config(%s, %s, false)" for _ in session)
    values = [part for setting in session.items() for part in setting]

    def connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        made = DeadlineConnection.connect(*args, **options)
        made.limit_waits(PING_TIMEOUT_S)
        made.autocommit = True
        made.execute(f"SELECT {wanted}", values)
        made.autocommit = False
        return made

    def lent(connection: DeadlineConnection, _record: Any, _proxy: Any) -> None:
        connection.limit_waits(timeout_s)

    def returned(connection: DeadlineConnection | None, _record: Any) -> None:
        if connection is not None:
            connection.limit_waits(PING_TIMEOUT_S)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", lent)
    event.listen(engine, "checkin", returned)


def _require_version(engine: Engine) -> None:
    with engine.connect() as connection:
        version = int(connection.scalar(text("SHOW server_version_num")) or 0)
    if version < MIN_SERVER_VERSION:
        raise InvalidInput(
            f"PostgreSQL 14 or newer is needed, the server is {version // 10000}",
            field="database_url",
        )


def require_sessions(engine: Engine) -> None:
    """Raise if a pooler gives each transaction another of the server's connections.

    Locks of a session (syncs), LISTEN (the queue) and every session's deadlines would be lost, or
    apply to others' work. A pooler is detected when two open connections share one server process.

    Raises:
        InvalidInput: it pools transactions or statements.
    """
    asked = text("SELECT pg_backend_pid()")
    with engine.connect() as one, engine.connect() as other:
        one.execution_options(isolation_level="AUTOCOMMIT")
        for _ in range(PROBES):
            first = one.scalar(asked)
            if other.scalar(asked) == first or one.scalar(asked) != first:
                raise InvalidInput(
                    "the database is behind a transaction pooler; hotslot needs sessions: set "
                    "pool_mode = session in PgBouncer, or connect to PostgreSQL directly",
                    field="database_url",
                )
            other.rollback()


def _translate(context: Any) -> None:
    """Turn faults of the database, as opposed to faults of a query, into `Unavailable`."""
    error = context.original_exception
    if context.is_pre_ping and not isinstance(error, NoAnswerInTime):
        return  # The server closed an idle connection: the pool opens a new one.
    found = unavailable(error)
    if found is not None:
        raise found


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise `Unavailable` for database faults outside the engine's hook: pool waits, raw COPY."""
    try:
        yield
    except (PoolTimeout, psycopg.Error, OperationalError) as error:
        found = unavailable(error)
        if found is None:
            raise
        raise found from error


def unavailable(error: BaseException) -> Unavailable | None:
    """Return what a fault of the database means for the caller; None for faults of a query."""
    if isinstance(error, PoolTimeout):
        return Unavailable("all database connections are busy", code="database_busy")
    if isinstance(error, psycopg.errors.DiskFull):
        return Unavailable("the database's disk is full", retry_after_s=30, code="disk_full")
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return Unavailable("the database did not answer in time", code="database_timeout")
    if isinstance(error, psycopg.errors.DeadlockDetected):
        return Unavailable("another transaction was in the way", code="database_timeout")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | OperationalError):
        return Unavailable("the database cannot be reached", code="database_unavailable")
    return None


def long_statements(connection: Connection, timeout_s: float = 3600.0) -> None:
    """Let this transaction's statements take up to `timeout_s` (ingest, training, migrations)."""
    connection.execute(
        text("SELECT set_config('statement_timeout', :limit, true)"),
        {"limit": str(int(timeout_s * 1000))},
    )
    driver = connection.connection.driver_connection
    if isinstance(driver, DeadlineConnection):
        driver.limit_waits(timeout_s + GRACE_S, long_work=True)


def conninfo(engine: Engine) -> str:
    """Return the engine's address for libpq (used by procrastinate's own pool)."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
