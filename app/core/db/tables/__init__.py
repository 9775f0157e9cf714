"""The schema, as SQLAlchemy Core tables. Alembic's migrations create it; nothing else does.

Spatial work that SQL must do uses the projected `x_m`, `y_m` columns with ordinary indexes, so plain
PostgreSQL is enough. Times are `timestamptz` (UTC); windows are stored beside them, since the local
hour of the week is what every fit and every slot query asks for.
"""

from app.core.db.tables.access import api_keys, audit_heads, audit_log
from app.core.db.tables.base import metadata
from app.core.db.tables.erasure import erased_keys, erased_versions, erasures
from app.core.db.tables.incident import feeds, incident_copy, incident_history, incidents, uploads
from app.core.db.tables.monitoring import (
    alarms,
    drift_checks,
    live_scores,
    schedule_ticks,
    schedules,
)
from app.core.db.tables.presence import presence
from app.core.db.tables.region import categories, region_layers, regions, secrets
from app.core.db.tables.register import register_entries, register_periods, register_scores
from app.core.db.tables.release import release_groups, released_scores, releases, withheld_versions
from app.core.db.tables.run import (
    backtest_data,
    backtest_units,
    backtests,
    training_runs,
    worker_processes,
)
from app.core.db.tables.state import forecast_states
from app.core.db.tables.street import street_layers, street_shares
from app.core.db.tables.subscription import deliveries, subscriptions
from app.core.db.tables.sync import sync_runs, sync_sources
from app.core.db.tables.version import (
    artifacts,
    champions,
    forecast_grids,
    grids,
    model_versions,
    outdated_versions,
    promotions,
)

__all__ = [
    "alarms",
    "api_keys",
    "artifacts",
    "audit_heads",
    "audit_log",
    "backtest_data",
    "backtest_units",
    "backtests",
    "categories",
    "champions",
    "deliveries",
    "drift_checks",
    "erased_keys",
    "erased_versions",
    "erasures",
    "feeds",
    "forecast_grids",
    "forecast_states",
    "grids",
    "incident_copy",
    "incident_history",
    "incidents",
    "live_scores",
    "metadata",
    "model_versions",
    "outdated_versions",
    "presence",
    "promotions",
    "region_layers",
    "regions",
    "register_entries",
    "register_periods",
    "register_scores",
    "release_groups",
    "released_scores",
    "releases",
    "schedule_ticks",
    "schedules",
    "secrets",
    "street_layers",
    "street_shares",
    "subscriptions",
    "sync_runs",
    "sync_sources",
    "training_runs",
    "uploads",
    "withheld_versions",
    "worker_processes",
]
