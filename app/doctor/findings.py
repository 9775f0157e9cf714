"""What can be wrong with an installation: each has a level, and says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.core.messages import Message, MessageTable

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
ERRORS = {
    "audit_broken": "the audit log does not verify: {faults}; run `hotslot audit verify`, and compare a "
    "backup",
    "basemap_missing": "HOTSLOT_BASEMAP {path} is not a file: correct it, or unset it",
    "champion_damaged": "the version {version} that {region} serves is not what was registered "
    "({reason}): roll back with `hotslot models {region} rollback`, train again, or restore a backup",
    "database_address": "{reason}",
    "database_is_replica": "the database is a replica that cannot be written: set HOTSLOT_DATABASE_URL "
    "to the primary, or promote it",
    "database_unreachable": "the database cannot be reached ({reason}): is it running, and are address, "
    "password and firewall right?",
    "disk_full": "the disk of {path} has {free_mb:,} MB left, and uploads are refused below "
    "{reserve_mb:,}: make room",
    "encoding": "the database's encoding is {encoding}: create one with UTF8 and restore a dump into it",
    "home_not_writable": "this user cannot write HOTSLOT_HOME {path}: give it to this user, or name "
    "another",
    "keys_missing": "{reason}",
    "language_missing": "the database lacks the language plpgsql: CREATE EXTENSION plpgsql",
    "no_zone_data": "the time zone {zone} is unknown here: install tzdata (of the system, or by pip)",
    "oidc_incomplete": "HOTSLOT_OIDC_ISSUER requires HOTSLOT_OIDC_AUDIENCE: set it to what tokens for "
    "hotslot name",
    "rights_missing": "the database user {user} lacks rights ({rights}): make it the owner of the "
    "tables, or grant SELECT, INSERT, UPDATE, DELETE on all tables and TEMPORARY on the database",
    "schema_behind": "the schema is at migration {found}, this version needs {needed}: run `hotslot "
    "migrate`",
    "schema_missing": "the database holds no schema of hotslot: run `hotslot migrate`",
    "server_too_old": "PostgreSQL {version} is too old: 14 or newer is needed",
    "setting_invalid": "{reason}",
    "settings_invalid": "the settings cannot be read: {reason}",
    "stalled_too_soon": "HOTSLOT_JOB_STALLED_S ({stalled_s:g}) is less than three times "
    "HOTSLOT_JOB_HEARTBEAT_S ({heartbeat_s:g}): running jobs would be taken from their workers; raise "
    "the one or lower the other",
    "tables_missing": "tables are missing ({tables}) though the schema is current: restore a backup",
    "transaction_pooler": "{reason}",
    "workers_missing": "{jobs:,} jobs wait or are marked as running, and no worker has a heartbeat: "
    "start `hotslot worker`, or `hotslot serve` with HOTSLOT_WORKERS above 0",
    "zone_unknown_to_database": "the database does not know the time zone {zone}: install its time zone "
    "data",
}
WARNINGS = {
    "archiving_fails": "the database cannot archive its log ({file}, since {since}), which fills its disk: "
    "repair archive_command",
    "check_failed": "the check of {check} failed ({reason}): it says nothing about the rest",
    "clocks_differ": "this machine's clock is {seconds:.0f} s off the database's: keys and tokens expire "
    "by this one, jobs by the other; synchronise both (chrony, systemd-timesyncd)",
    "collation_changed": "the system orders texts otherwise than when the database was made ({was}, now "
    "{now}): REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION",
    "connections_scarce": "{used} of the database's {places} connections are in use: raise "
    "max_connections, or run fewer processes",
    "copy_differs": "the copy of incidents into partitions was compared and differs, and rests: see the log, "
    "then run `hotslot migrate --copy-incidents`",
    "database_timeout_long": "HOTSLOT_DATABASE_TIMEOUT_S ({timeout_s:g}) exceeds HOTSLOT_JOB_STALLED_S "
    "({stalled_s:g}): a heartbeat that waits for the database counts as lost; lower the one, raise the other",
    "dead_rows": "{share:.0%} of the rows of {table} are dead ({dead:,}; last vacuum: {vacuumed_at}): is "
    "autovacuum on, does a transaction stay open? Then VACUUM {table}",
    "deliveries_dead": "{n:,} deliveries of {subscription} of {region} were given up in the last {days} days "
    "(the last: {reason}): remove the cause, then `hotslot subscription retry {region} {subscription}`",
    "disk_low": "the disk of {path} has only {free_mb:,} MB left: make room before it is full",
    "everybody_is_a_proxy": "HOTSLOT_TRUSTED_PROXIES has {network}: anyone can claim any address; name "
    "your proxies",
    "feed_failing": "source {source} of {region} was last read to its end {last}, though it is due "
    "{schedule}; its last run failed: {error}",
    "feed_stale": "source {source} of {region} was last read to its end {last}, though it is due "
    "{schedule}: see `hotslot source list {region}`, and whether a worker runs",
    "file_open": "other users can read {path}: chmod go= it",
    "folder_missing": "{name} {path} is not a folder: make it, or unset it",
    "forecast_old": "forecasts of {region} know incidents until {until} only: is its feed late? "
    "Otherwise run `hotslot train {region}`",
    "home_open": "other users can enter HOTSLOT_HOME {path}: chmod 700 it",
    "ids_run_out": "{share:.0%} of the transaction ids are used since the last freeze, and at 100 % the "
    "database stops: is autovacuum on? Then VACUUM (FREEZE)",
    "index_bloated": "{share:.0%} of the {mb:,} MB of the index {index} on {table} are empty: REINDEX INDEX "
    "CONCURRENTLY {index}",
    "index_invalid": "the index {index} is invalid and unused: REINDEX INDEX CONCURRENTLY {index}",
    "inodes_low": "the disk of {path} has hardly any room for further files: remove some",
    "job_waits": "the oldest job has waited {minutes:,.0f} min: run more workers, or see what they do",
    "jobs_lost": "{jobs:,} jobs are marked as running without a living worker: a running worker takes "
    "them over within a minute; see its log",
    "lock_not_ours": "{path} belongs to another user: run hotslot as that one, or give it to this one",
    "maintenance_late": "maintenance last ran {last}: is a worker running? See its log",
    "mail_incomplete": "{given} is set and {needed} is not: set it, or unset the other",
    "misspelt_setting": "{name} is not a setting: did you mean {nearest}?",
    "no_rate_limit": "{settings} is 0 and others can reach {host}: one caller can use all of the "
    "service; set a rate",
    "no_workers": "no worker has a heartbeat: nothing is trained, synchronised or maintained; start "
    "`hotslot worker`",
    "only_gpu_workers": "all workers have HOTSLOT_WORKER_TAKES=gpu: other trainings, syncs and states "
    "wait; start one with cpu or all",
    "oidc_without_issuer": "{settings} has no effect without HOTSLOT_OIDC_ISSUER: set it, or unset the "
    "others",
    "open_transaction": "a transaction of {application} (process {pid}, {state}) has been open for "
    "{minutes:,.0f} min: vacuum cannot remove what it may still read; end it (SELECT "
    "pg_terminate_backend({pid}))",
    "pool_too_large": "one API process may open {wanted} connections and the database has {places}: "
    "lower HOTSLOT_DATABASE_POOL_SIZE or raise max_connections",
    "prepared_transaction": "a prepared transaction ({name}) is {hours:,.0f} h old and holds back "
    "vacuum: ROLLBACK PREPARED it",
    "push_timeout_long": "HOTSLOT_PUSH_TIMEOUT_S ({timeout_s:g}) is not below {lease_s:g}, after which a "
    "delivery without an outcome is sent again: lower it",
    "replica_unused": "the replica is not read ({reason}): repair it, or correct or unset "
    "HOTSLOT_READ_DATABASE_URL",
    "replication_slot": "the replication slot {name} is unused and retains {mb:,} MB of log: start its "
    "replica, or drop it before the disk is full",
    "schedule_failing": "the schedule of {region} fails: {reason}",
    "scheduled_trainings_fail": "the last {n} scheduled trainings of {region} failed ({reason}): try "
    "`hotslot train {region}` by hand",
    "server_setting": "the database has {name} = {value}: {why}",
    "server_untested": "PostgreSQL {version} is newer than what hotslot was tested with ({newest})",
    "state_behind": "the forecast of {region} lacks {releases} releases of incidents, the oldest of "
    "{since}: see the worker's log, or run `hotslot assimilate {region}`",
    "statistics_old": "{changed:,} of the {rows:,} rows of {table} have changed since its statistics were "
    "made ({analyzed_at}), and plans of queries are for those before: is autovacuum on? Then ANALYZE {table}",
    "sync_reaches_this_machine": "HOTSLOT_SYNC_ALLOW_LOOPBACK is on and others can reach {host}: whoever "
    "adds sources reads services of this machine; it is meant for tests",
    "table_bloated": "{share:.0%} of the {mb:,} MB of {table} are empty, which is of use again only if it "
    "grows: at a quiet time VACUUM FULL {table} (which locks it), or pg_repack",
    "temporary_folder_small": "the temporary folder {path} has {free_mb:,} MB left, an upload may need "
    "{wanted_mb:,}: set TMPDIR to a larger one, or lower HOTSLOT_MAX_BODY_BYTES",
    "temporary_home": "the home is the temporary folder {path}, which is emptied at times: set "
    "HOTSLOT_HOME",
    "unknown_setting": "{name} is not a setting: remove it",
    "worker_clock_differs": "the clock of a worker on {machine} is {seconds:+.0f} s off the database's: keys "
    "and links expire by the one, jobs by the other; synchronise both (chrony, systemd-timesyncd)",
}
NOTES = {
    "checks_skipped": "checks of {checks} were skipped because of the errors above",
    "cluster_lost": "{path} holds the database of a home that is gone ({home}): remove it if nobody "
    "misses it",
    "copy_under_way": "incidents are being copied into partitions ({stage}, {share:.0%}): workers go on with "
    "it; `hotslot migrate --copy-incidents` does it at once",
    "database_not_running": "the embedded database of {home} does not run now: checks of it were "
    "skipped; start `hotslot serve` and run this again",
    "memory_short": "{workers} trainings may need {wanted_mb:,} MB and this machine has {memory_mb:,}: "
    "lower HOTSLOT_TRAINING_MEMORY_BYTES, so that one which needs too much fails alone",
    "schema_newer": "the schema is of a newer version of hotslot (migration {found}): replace this one "
    "soon",
    "unused_stored": "{n:,} stored artifacts and grids belong to no version: maintenance removes them",
}
DOCTOR_FINDINGS = MessageTable({**ERRORS, **WARNINGS, **NOTES})


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    level: Level
    message: Message

    def to_json(self) -> dict[str, Any]:
        """Return it as `hotslot doctor --json` prints it."""
        return {"level": self.level, **self.message.to_json()}


def finding(code: str, **params: Any) -> Finding:
    """Make a finding of a code in the tables above.

    Raises:
        KeyError: no such code, or a parameter is missing.
    """
    level: Level = "error" if code in ERRORS else "warning" if code in WARNINGS else "note"
    return Finding(level, DOCTOR_FINDINGS.make(code, **params))
