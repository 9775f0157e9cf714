"""names that differ only in case and spacing become one category

The most frequent spelling stays. Incidents without an id that had another one get the deduplication
key that they would get today, so that the file they came from adds nothing when it is sent again.

Revision ID: 0024
Revises: 0023
"""

import hashlib
import unicodedata
from collections import defaultdict

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

BATCH = 20_000
COUNTS = sa.text(
    "SELECT category_key, count(*) FROM incidents WHERE region_key = :region"
    " AND category_key = ANY(:keys) GROUP BY 1"
)
ROWS = sa.text(
    "SELECT id, extract(epoch FROM occurred_at)::bigint AS time_s, longitude, latitude FROM incidents"
    " WHERE region_key = :region AND category_key = :key AND external_id IS NULL AND id > :after"
    " ORDER BY id LIMIT :batch"
)
# Equal incidents under two spellings stay two: the next free number distinguishes them.
REKEY = sa.text(
    """
    UPDATE incidents AS i SET dedup_key = n.dedup_key, occurrence = n.occurrence FROM (
        SELECT fresh.id, fresh.key::uuid AS dedup_key,
            row_number() OVER (PARTITION BY fresh.key ORDER BY fresh.id) + coalesce((
                SELECT max(there.occurrence) FROM incidents AS there
                WHERE there.region_key = :region AND there.dedup_key = fresh.key::uuid), 0) AS occurrence
        FROM unnest(CAST(:ids AS bigint[]), CAST(:hex AS text[])) AS fresh (id, key)
    ) AS n WHERE i.id = n.id
    """
)
MOVE = sa.text(
    "UPDATE incidents SET category_key = :to WHERE region_key = :region AND category_key = :key"
)
MOVE_HISTORY = sa.text(
    "UPDATE incident_history SET before = jsonb_set(before, '{category_key}', to_jsonb(CAST(:to AS integer)))"
    " WHERE region_key = :region AND before ->> 'category_key' = CAST(:key AS text)"
)


def upgrade() -> None:
    op.add_column("categories", sa.Column("hashed", sa.Text(), nullable=True))
    name = op.f("ck_categories_hashed_bound")
    op.create_check_constraint(name, "categories", "char_length(hashed) <= 200")
    kinds: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    rows = op.get_bind().execute(
        sa.text("SELECT region_key, key, name FROM categories ORDER BY key")
    )
    for region, key, name in rows:
        kinds[region, folded(name)].append((key, name))
    for (region, _), same in kinds.items():
        if len(same) > 1:
            merge(region, dict(same))


def merge(region: int, same: dict[int, str]) -> None:
    """Move the incidents of all spellings to the most frequent one."""
    connection = op.get_bind()
    counted = connection.execute(COUNTS, {"region": region, "keys": list(same)}).all()
    counts = {row[0]: row[1] for row in counted}
    to = max(same, key=lambda key: (counts.get(key, 0), -key))
    for key in same:
        if key == to:
            continue
        values = {"region": region, "key": key, "to": to}
        rekey(region, key, same[to])
        connection.execute(MOVE, values)
        connection.execute(MOVE_HISTORY, values)
        connection.execute(sa.text("DELETE FROM categories WHERE key = :key"), {"key": key})


def rekey(region: int, key: int, name: str) -> None:
    """Give incidents without an id the keys of another spelling."""
    connection = op.get_bind()
    after = 0
    while True:
        values = {"region": region, "key": key, "after": after, "batch": BATCH}
        rows = connection.execute(ROWS, values).all()
        if not rows:
            return
        ids, time_s, longitude, latitude = (list(column) for column in zip(*rows, strict=True))
        found = keys(np.array(time_s, np.int64), np.array(longitude), np.array(latitude), name)
        connection.execute(REKEY, {"region": region, "ids": ids, "hex": found})
        after = ids[-1]


def folded(name: str) -> str:
    """As in app/regions/kinds.py."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    found = " ".join(plain.split())
    return found if 0 < len(found) <= 200 else name


def keys(time_s, longitude, latitude, name: str) -> list[str]:
    """As in app/incidents/parsing/identity.py."""
    named = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), np.uint64)
    places = (np.round(v * 1e7).astype(np.int64).astype(np.uint64) for v in (longitude, latitude))
    words = (time_s.astype(np.uint64), *places)
    lanes = np.empty((len(time_s), 2), ">u8")
    for lane, seed in enumerate((0x686F74736C6F7431, 0x686F74736C6F7432)):
        state = np.full(len(time_s), seed, np.uint64)
        for word in (*words, named[lane : lane + 1]):
            state = mixed(state, word)
        lanes[:, lane] = state
    text = lanes.tobytes().hex()
    return [text[start : start + 32] for start in range(0, len(text), 32)]


def mixed(state, word):
    with np.errstate(over="ignore"):
        z = (state ^ word) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def downgrade() -> None:
    op.drop_constraint(op.f("ck_categories_hashed_bound"), "categories", type_="check")
    op.drop_column("categories", "hashed")
