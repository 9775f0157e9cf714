"""Digests of all that a database holds, whatever the order of its rows."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Partitions count with their whole.
_TABLES = text(
    """
    SELECT c.relname, array_agg(quote_ident(a.attname) ORDER BY a.attname) AS columns
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
    GROUP BY c.relname ORDER BY c.relname
    """
)
_SEQUENCES = text(
    "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema() ORDER BY 1"
)
_DIGEST = """
    SELECT count(*), sum(hash_record_extended(ROW({columns}), 0)::numeric)::text
    FROM {table} WHERE {condition}
"""


Digest = tuple[int, str | None]
"""Of a table: rows, and the sum of their hashes (None: no row); of a sequence: its last value."""


def digests(connection: Connection) -> dict[str, Digest]:
    """Return the digests of all tables and sequences by name, of any number of rows in little memory.

    Servers of one major version have the same hashes.
    """
    found = {
        name: digest(connection, name, columns)
        for name, columns in columns_by_table(connection).items()
    }
    sequences = {name: (int(last or 0), None) for name, last in connection.execute(_SEQUENCES)}
    return found | sequences


def columns_by_table(connection: Connection) -> dict[str, list[str]]:
    """Return the columns of each table, as quoted names."""
    return {str(row.relname): list(row.columns) for row in connection.execute(_TABLES)}


def digest(
    connection: Connection, table: str, columns: list[str], condition: str = "true"
) -> Digest:
    """Return the digest of some columns (quoted names) of a table's rows."""
    query = _DIGEST.format(columns=", ".join(columns), table=f'"{table}"', condition=condition)
    n, value = connection.execute(text(query)).one()
    return int(n), value
