"""Settings: every limit in one place, each set by an environment variable `HOTSLOT_<NAME>`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_home() -> Path:
    """`/var/lib/hotslot` for root, otherwise the user's data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/hotslot")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "hotslot"
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "hotslot"


class Settings(BaseSettings):
    """Read from the environment once, at the edge (CLI, API factory, worker); then passed along."""

    model_config = SettingsConfigDict(
        env_prefix="HOTSLOT_", secrets_dir=os.environ.get("HOTSLOT_SECRETS_DIR"), extra="ignore"
    )

    home: Path = Field(default_factory=default_home)
    database_url: SecretStr | None = None
    """Any PostgreSQL >= 14; unset means hotslot's own embedded server in `home`."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    host: str = "127.0.0.1"
    port: int = 8000
    allow_open_access: bool = False
    """Listen on an address that others can reach, although this version asks no key."""
    workers: int = 1
    """Local worker processes that `hotslot serve` starts."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    database_pool_size: int = 8
    database_timeout_s: float = 10.0
    """Deadline of one statement, and of waiting for a connection."""

    max_body_bytes: int = 1 << 30
    """Decoded bytes of one upload."""
    max_gzip_expansion: int = 100
    """Decoded bytes per compressed one; incident files reach 5 to 30."""
    body_idle_timeout_s: float = 15.0
    max_samples: int = 10_000
    max_concurrent_requests: int = 64
    max_field_chars: int = 4096
    max_errors_echoed: int = 100
    upload_chunk_rows: int = 50_000

    model_cache_bytes: int = 256 << 20
    job_heartbeat_s: float = 5.0
    job_stalled_s: float = 40.0
    """A running job without a heartbeat for this long is run again elsewhere."""
    job_max_attempts: int = 3
    training_memory_bytes: int = 8 << 30
    training_precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Of the networks' matrix products on CUDA."""
    training_cuda_graphs: bool = False
    """Record training steps on CUDA and replay them."""
    training_threads: int = 0
    """0: half of the machine's cores, at least one."""

    sync_tokens: dict[str, SecretStr] = {}
    """App tokens of open-data portals by name: `{"chicago": "..."}`; a source keeps the name alone."""
    sync_allow_loopback: bool = False
    """Let sources lie on this machine, also by plain http: for tests and local mirrors."""
    sync_request_timeout_s: float = 30.0
    sync_deadline_s: float = 6 * 3600.0
    """Of one run; the next goes on where it stopped."""
    sync_max_retries: int = 5
    sync_backoff_s: float = 1.0
    """Before the first retry; doubled each time, at most `sync_max_wait_s`."""
    sync_max_wait_s: float = 120.0
    sync_max_page_bytes: int = 128 << 20
    sync_max_archive_bytes: int = 4 << 30
    sync_tick_s: float = 30.0
    """How often a worker looks for sources that are due."""
