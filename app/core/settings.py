"""Settings and limits, each set by an environment variable `HOTSLOT_<NAME>`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.bounds import MAX_KEYS, MAX_REGIONS
from app.core.roles import Role
from app.core.setting_values import (
    automatic,
    can_be_made,
    check_root_path,
    cron,
    days_of_reads,
    default_home,
    is_ours,
    network,
    not_empty,
    origin,
    temporary_home,
    tiles_url,
)
from app.core.source_settings import SourceSettings

_log = logging.getLogger("hotslot.settings")

_MAY_BE_ZERO = frozenset(
    [
        "audit_reads_retention_days",
        "backtest_processes",
        "body_min_bytes_per_s",
        "disk_reserve_bytes",
        "max_errors_echoed",
        "model_cache_bytes",
        "port",
        "rate_limit_keyless_per_s",
        "rate_limit_per_s",
        "shared_cache_bytes",
        "push_backoff_s",
        "retention_champion_days",
        "sync_backoff_s",
        "sync_max_retries",
        "training_threads",
        "worker_memory_bytes",
        "worker_slots",
        "workers",
    ]
)
_MOST = {
    "port": 65_535,
    "smtp_port": 65_535,
    "workers": 1_000,
    "worker_slots": 1_000,
    "backtest_processes": 1_000,
    "database_pool_size": 10_000,
    "database_timeout_s": 100_000,
}
_MOST_S, _MOST_OF_ALL = 1e8, 2**53


class Settings(SourceSettings, BaseSettings):
    """Read from the environment once, at the edge (CLI, API factory, worker); then passed along."""

    model_config = SettingsConfigDict(
        env_prefix="HOTSLOT_",
        secrets_dir=os.environ.get("HOTSLOT_SECRETS_DIR"),
        extra="ignore",
        hide_input_in_errors=True,  # it may be secret
    )

    home: Annotated[Path, BeforeValidator(not_empty)] = Field(default_factory=default_home)
    database_url: SecretStr | None = None
    """Any PostgreSQL >= 14; unset means hotslot's own embedded server in `home`."""
    read_database_url: SecretStr | None = None
    """A replica of it, from which the API reads where the replica knows all that was done."""
    read_max_lag_s: float = 10.0
    """A replica further behind is not used."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    host: str = "127.0.0.1"
    port: int = 8000
    root_path: Annotated[str, AfterValidator(check_root_path)] = ""
    """Path under which a proxy offers the service, such as `/hotslot`; the proxy may remove it or not."""
    trusted_proxies: list[Annotated[str, AfterValidator(network)]] = ["127.0.0.0/8", "::1"]
    """Addresses or networks of proxies whose `X-Forwarded-Proto`, `-Host`, `-Prefix` and `-For` count."""
    access: Literal["auto", "keys"] = "auto"
    """auto: no key is needed from localhost while no key was ever created and no token issuer is
    configured (docs/security.md); keys: a key is always needed."""
    allowed_hosts: list[str] = []
    """Further host names for keyless access; loopback names are always allowed."""
    cors_origins: list[str] = []
    """Origins of other sites whose pages may call the API with a key."""
    oidc_issuer: str | None = None
    """Also take bearer tokens of this OpenID Connect issuer."""
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None
    """Where the issuer's public keys are; None asks the issuer's discovery document."""
    oidc_roles_claim: str = "roles"
    """Claim with the roles; dots lead into objects (realm_access.roles)."""
    oidc_roles: dict[str, Role] = {role.value: role for role in Role}
    """Roles for the values of that claim."""
    oidc_regions_claim: str | None = None
    """Claim with the region ids that a token is limited to; None: tokens are not limited."""
    page_tiles_url: Annotated[str, AfterValidator(tiles_url)] | None = None
    """Raster tiles beneath the page's cells, as `https://tiles.example/{z}/{x}/{y}.png`: each viewer's
    browser then asks that host. None: the page fetches nothing from outside."""
    basemap: Path | None = None
    """A PMTiles file of streets, water and names, served at `/basemap` and drawn beneath and above the
    page's cells; nothing is asked of other hosts."""
    page_frame_ancestors: list[Annotated[str, AfterValidator(origin)]] = []
    """Origins of other sites that may show the page's view `?embed=1` in a frame."""
    page_tiles_attribution: str = ""
    """Attribution of the tiles or the base map; unset, a base map's own is shown."""
    workers: int = 1
    """Local worker processes that `hotslot serve` starts."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

    disk_reserve_bytes: int = 256 << 20
    """Uploads are rejected when the embedded server's disk has less free space."""
    database_pool_size: int = 8
    database_timeout_s: float = 10.0
    """Deadline of one statement, and of waiting for a connection."""

    max_body_bytes: int = 1 << 30
    """Decoded bytes of one upload."""
    max_gzip_expansion: int = 100
    """Decoded bytes per one that was sent; incident files reach 5 to 30."""
    body_idle_timeout_s: float = 15.0
    body_min_bytes_per_s: float = 1000.0
    """Of an upload, on average after the first `body_idle_timeout_s` of waiting for the client."""
    max_json_bytes: int = 16 << 20
    """Of any other body; all bodies being processed may have twice as many together."""
    max_samples: int = 10_000
    max_concurrent_requests: int = 64
    max_concurrent_per_key: int = 32
    """Upper limit; a key never gets more than half of the free ones."""
    max_concurrent_uploads: int = 8
    """Each holds a database connection while it is read; further ones wait `database_timeout_s`."""
    request_threads: int = 8
    """Per API process: how many forecasts are computed at once."""
    rate_limit_per_s: float = 50.0
    """Requests of one key in one API process; 0: no limit."""
    rate_limit_burst: int = 200
    rate_limit_keyless_per_s: float = 200.0
    """Public pages from one address; a quarter as many may be rejected for a missing key. 0: no limit."""
    audit_reads_every_s: float = 60.0
    """Forecast reads are counted by key and written to the audit log together."""
    audit_reads_retention_days: Annotated[int, AfterValidator(days_of_reads)] = Field(
        default=90, le=36_500
    )
    """Entries of reads are deleted from the audit log so many days later; 0: never."""
    max_field_chars: int = 4096
    max_unfinished_runs: int = 50
    """Trainings, and backtests, of a region that are queued or running; schedules and erasures add one
    each beyond it. Syncs: one for each source."""
    max_regions: int = MAX_REGIONS
    max_keys: int = MAX_KEYS
    """API keys; revoked and expired ones are removed to make room for new ones."""
    max_categories: int = Field(default=1000, ge=1, le=30_000)
    """Of a region; rows with another one are rejected."""
    max_upload_rows: int = 25_000_000
    parser_memory_bytes: int = Field(default=512 << 20, ge=64 << 20)
    """Of a process that reads a Parquet file, a workbook, a GeoPackage or an archive, beyond its
    libraries."""
    parser_cpu_s: float = Field(default=3.0, gt=0)
    parser_cpu_s_per_mib: float = Field(default=3.0, gt=0)
    """Its processor time: so much for any file, or so much for each MiB that was sent."""
    max_errors_echoed: int = 100
    upload_chunk_rows: int = 20_000

    model_cache_bytes: int = 256 << 20
    shared_cache_bytes: int = 256 << 20
    """Replies that the API processes of a machine share in files of `home`; 0: they share none."""
    job_heartbeat_s: float = 5.0
    job_stalled_s: float = 40.0
    """A running job without a heartbeat for this long is run again elsewhere."""
    job_max_attempts: int = 3
    backtest_processes: int = 0
    """Parallel fits of a backtest in each worker. 0: one per core of the machine, shared by its workers."""
    training_memory_bytes: int = Field(default=8 << 30, ge=512 << 20)
    """Cap on a fit's process; its libraries alone need nearly half a gigabyte."""
    training_precision: Literal["float32", "tf32", "bf16", "float64"] = "float32"
    """Of the networks' matrix products on CUDA."""
    training_cuda_graphs: bool = False
    """Record training steps on CUDA and replay them."""
    training_threads: int = 0
    """Of each training. 0: half of the machine's cores, shared by the worker's slots, at least one."""
    worker_slots: Annotated[int, BeforeValidator(automatic)] = 1
    """Jobs that one worker runs at once. 0 or `auto`: one per two cores and 2 GiB."""
    worker_memory_bytes: int = 0
    """Of all jobs of one worker. 0: the machine's or container's, less an eighth and at least 1 GiB."""
    worker_takes: Literal["all", "gpu", "cpu"] = "all"
    """gpu: only runs whose models use CUDA; cpu: not these while a worker with `gpu` is alive."""

    schedule_tick_s: float = 15.0
    """How often a worker looks for trainings that are due."""
    state_tick_s: float = 5.0
    """How often a worker looks whether forecasts are behind what was uploaded."""
    state_quiet_s: float = 10.0
    """Forecasts are brought up to date so long after the last of several uploads."""
    maintenance_cron: Annotated[str, AfterValidator(cron)] = "*/5 * * * *"
    """When upkeep runs (UTC): live scores, alarms, rollback, retention, collection."""
    auto_rollback: bool = True
    """Roll back to the previous champion when live scores show that the new one is worse."""
    retention_versions: int = Field(default=20, ge=1)
    """Number of newest versions to retain per region."""
    retention_champion_days: int = Field(default=90, ge=0)
    """Also retain versions that were champion within so many days."""
    retention_runs: int = 1000
    """Number of newest trainings, and backtests, to retain per region; also those that versions name."""

    register_at_hour: int = Field(default=20, ge=-1, le=23)
    """Hour of the local day from which on the next day's forecast is filed; -1: only by hand."""
    register_retention_days: int = Field(default=400, ge=100, le=36_500)
    """Filed forecasts and their scores are deleted so many days after their day."""
    presence_retention_days: int = Field(default=400, ge=1, le=36_500)
    """Rows of the presence log are deleted so many days after they ended."""

    push_key: Annotated[SecretStr, Field(min_length=32)] | None = None
    """The secrets of webhooks are derived from it; None: from a file in the home of the embedded server."""
    push_folder: Path | None = None
    """Subscriptions write their files into folders below it, nowhere else; None: nowhere."""
    push_tick_s: float = 5.0
    """How often a worker looks for deliveries that are due."""
    push_timeout_s: float = 30.0
    """Of one attempt to deliver, as a whole."""
    push_backoff_s: float = 30.0
    """Before the second attempt; doubled each time, at most an hour."""
    push_max_attempts: int = Field(default=10, ge=1, le=50)
    push_retention_days: int = Field(default=30, ge=1, le=3650)
    """Deliveries that have ended are deleted so many days later."""
    smtp_host: str | None = None
    """Mail server of subscriptions by e-mail; None: there are none."""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` without user and password only, or to this machine."""
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_sender: str | None = None
    """Address in From."""
    smtp_ca_file: Path | None = None
    """Certificates of the authorities that the mail server's may come from; None: the system's."""

    @model_validator(mode="after")
    def _home_that_can_be_written(self) -> Settings:
        """With a database of its own, a service needs no more than a temporary folder."""
        if self.database_url is None:
            if self.home == temporary_home() and "home" not in self.model_fields_set:
                raise ValueError(
                    "this user has no home folder: set HOTSLOT_HOME to a folder that it can write, or "
                    "HOTSLOT_DATABASE_URL to a PostgreSQL database"
                )
            return self
        if not can_be_made(self.home):
            _log.warning("home %s cannot be written, using %s", self.home, temporary_home())
            self.home = temporary_home()
        if self.home == temporary_home() and not is_ours(self.home):
            raise ValueError(f"{self.home} belongs to another user: set HOTSLOT_HOME")
        return self

    @model_validator(mode="after")
    def _one_base_map(self) -> Settings:
        if self.basemap is not None and self.page_tiles_url is not None:
            raise ValueError("set HOTSLOT_BASEMAP or HOTSLOT_PAGE_TILES_URL, not both")
        return self

    @model_validator(mode="after")
    def _numbers_in_range(self) -> Settings:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            most = _MOST.get(name, _MOST_S if name.endswith("_s") else _MOST_OF_ALL)
            enough = value >= 0 if name in _MAY_BE_ZERO else value > 0
            if not (enough and value <= most):  # NaN fails both comparisons
                least = "0" if name in _MAY_BE_ZERO else "more than 0"
                raise ValueError(f"HOTSLOT_{name.upper()} must be {least} to {most:g}")
        return self
