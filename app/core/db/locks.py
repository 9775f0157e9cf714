"""Advisory locks: every key stands here, so that no two subjects share one."""

from __future__ import annotations

from sqlalchemy import Connection, text

AUDIT_PRUNING_LOCK = 0x686F7470
COUNT_LOCK = 0x686F7463
IDEMPOTENCY_LOCK = 0x686F746B
INGEST_LOCK = 0x686F7469
MONITOR_LOCK = 0x686F746D
REGISTER_LOCK = 0x686F7472
"""Held shared while versions are registered, exclusively while unnamed bytes are collected."""
RELEASE_LOCK = 0x686F7479
STATE_LOCK = 0x686F7461
"""With a region's key: one process assimilates a region at a time."""
STREET_LOCK = 0x686F7477
"""With a region's key: one process computes shares of streets at a time."""
SYNC_LOCK = 0x686F7379
"""With a source's key; held by a session while it reads the source."""
TRAIN_LOCK = 0x686F7473
"""With a region's key: one training of a region writes at a time."""
UNITS_LOCK = 0x686F7475
"""With a region's key: held while data of a backtest's units are stored, and by erasures."""
MIGRATION_LOCK = 0x686F74736C6F74


def transaction_lock(
    connection: Connection, lock: int, key: int | None = None, *, shared: bool = False
) -> None:
    """Wait for an advisory lock and hold it until the transaction ends.

    Args:
        key: what the lock is limited to, such as a region; None: the whole service.
    """
    name = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    if key is None:
        connection.execute(text(f"SELECT {name}(:lock)"), {"lock": lock})
    else:
        connection.execute(text(f"SELECT {name}(:lock, :key)"), {"lock": lock, "key": key})


def try_transaction_lock(connection: Connection, lock: int, key: int) -> bool:
    """Take an advisory lock until the transaction ends if it is free; return whether it was."""
    found = text("SELECT pg_try_advisory_xact_lock(:lock, :key)")
    return bool(connection.scalar(found, {"lock": lock, "key": key}))


def count_lock(connection: Connection, region_key: int = 0) -> None:
    """Lock the right to add something whose number is limited, until the transaction ends.

    Args:
        region_key: the region whose runs, sources or mappings are counted; 0: regions and keys.
    """
    transaction_lock(connection, COUNT_LOCK, region_key)
