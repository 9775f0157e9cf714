"""What of the database's upkeep is worth a word: the doctor, the metrics and the documentation share it."""

from __future__ import annotations

MIN_DEAD_ROWS = 10_000
"""Fewer dead rows are not worth a word, and their number could reveal single corrections."""
MAX_DEAD = 0.3
"""Autovacuum begins at a fifth; a third means that it does not come, or cannot remove anything."""
MIN_CHANGED_ROWS = 50_000
MAX_CHANGED = 0.5
"""Autovacuum makes statistics anew at a tenth, uploads those of all partitions when they grow twofold."""
MIN_SPARE_BYTES = 256 << 20
MAX_SPARE = 0.6
"""B-trees of random keys are a third empty, and a table that was half emptied fills again."""
MAX_IDS_USED = 0.35
"""Autovacuum freezes at a tenth (autovacuum_freeze_max_age, 200 million)."""
IDLE_S, WORKING_S, PREPARED_S = 900.0, 7200.0, 3600.0
"""Longest transactions that wait for their client, that work, and that are prepared."""
MAX_RETAINED_BYTES = 1 << 30
"""Of the log, by a replication slot that nobody reads."""
SHARE_STEP, BYTES_STEP = 0.05, 16 << 20
"""Steps of the metrics: readers see them, and finer ones could reveal single incidents."""
MAX_TABLES = 200
"""As many have metrics, the largest ones; the schema has about eighty with its partitions."""
