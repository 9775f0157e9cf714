"""Settings that are unknown, contradict each other, or are unsafe."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from app.core.roles import is_loopback
from app.core.setting_values import temporary_home
from app.core.settings import Settings
from app.doctor.findings import Finding, finding
from app.subscriptions.delivery_store import LEASE

PREFIX = "HOTSLOT_"
MIN_BEATS = 3
_ELSEWHERE = re.compile(
    # The secrets' folder, what processes pass on, `make` and Compose read; Kubernetes' links to a service.
    r"SECRETS_DIR|PARENT_PID|PULSE_FD|TORCH|TAG|SHARED|ECOSYSTEM|DOCS_PICTURES|URL|KEY"
    r"|(BENCH|DRILL|TESTS)_.*"
    r"|(.+_)?SERVICE_(HOST|PORT)(_.+)?|(.+_)?PORT_\d+_.+"
)


def check_names(names: Iterable[str]) -> Iterator[Finding]:
    """Find names that look like settings and are none, with the nearest that is one.

    Args:
        names: of environment variables, and of files in the folder of secrets.
    """
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted({name for name in names if name.upper().startswith(PREFIX)}):
        bare = name.upper().removeprefix(PREFIX)
        if bare in known or _ELSEWHERE.fullmatch(bare):
            continue
        nearest = get_close_matches(bare, known, n=1, cutoff=0.7)
        if nearest:
            yield finding("misspelt_setting", name=name, nearest=PREFIX + nearest[0])
        else:
            yield finding("unknown_setting", name=name)


def names_given() -> list[str]:
    """Return the names of all environment variables, and of the files in the folder of secrets."""
    folder = os.environ.get("HOTSLOT_SECRETS_DIR")
    files = [path.name for path in Path(folder).iterdir()] if folder else []
    return [*os.environ, *files]


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Find contradictions and unsafe values; needs no database."""
    heartbeat_s, stalled_s = settings.job_heartbeat_s, settings.job_stalled_s
    if stalled_s < MIN_BEATS * heartbeat_s:
        yield finding("stalled_too_soon", stalled_s=stalled_s, heartbeat_s=heartbeat_s)
    if settings.database_timeout_s > stalled_s:
        limits = {"timeout_s": settings.database_timeout_s, "stalled_s": stalled_s}
        yield finding("database_timeout_long", **limits)
    lease_s = LEASE.total_seconds()
    if settings.push_timeout_s >= lease_s:
        yield finding("push_timeout_long", timeout_s=settings.push_timeout_s, lease_s=lease_s)
    if settings.basemap is not None and not settings.basemap.is_file():
        yield finding("basemap_missing", path=str(settings.basemap))
    if settings.home == temporary_home():
        yield finding("temporary_home", path=str(settings.home))
    for name in ("push_folder", "source_folder"):
        folder = getattr(settings, name)
        if folder is not None and not folder.is_dir():
            yield finding("folder_missing", name=_named(name), path=str(folder))
    yield from _check_mail(settings)
    yield from _check_tokens(settings)
    yield from _check_exposure(settings)
    yield from _check_memory(settings)


def _named(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def _check_mail(settings: Settings) -> Iterator[Finding]:
    """Find parts of the mail server's settings that lack what they need."""
    for given, needed in (
        ("smtp_host", "smtp_sender"),
        ("smtp_sender", "smtp_host"),
        ("smtp_user", "smtp_host"),
        ("smtp_user", "smtp_password"),
        ("smtp_password", "smtp_user"),
    ):
        if getattr(settings, given) is not None and getattr(settings, needed) is None:
            yield finding("mail_incomplete", given=_named(given), needed=_named(needed))


def _check_tokens(settings: Settings) -> Iterator[Finding]:
    if settings.oidc_issuer is None:
        lonely = {
            "HOTSLOT_OIDC_AUDIENCE": settings.oidc_audience,
            "HOTSLOT_OIDC_JWKS_URL": settings.oidc_jwks_url,
            "HOTSLOT_OIDC_REGIONS_CLAIM": settings.oidc_regions_claim,
        }
        named = [name for name, value in lonely.items() if value]
        if named:
            yield finding("oidc_without_issuer", settings=named)
    elif not settings.oidc_audience:
        yield finding("oidc_incomplete")


def _check_exposure(settings: Settings) -> Iterator[Finding]:
    """Find what is unsafe because of who can reach the service."""
    for proxy in settings.trusted_proxies:
        if ipaddress.ip_network(proxy).prefixlen == 0:
            yield finding("everybody_is_a_proxy", network=proxy)
    if is_loopback(settings.host):
        return
    rates = ("rate_limit_per_s", "rate_limit_keyless_per_s")
    unlimited = [_named(name) for name in rates if getattr(settings, name) == 0]
    if unlimited:
        yield finding("no_rate_limit", settings=unlimited, host=settings.host)
    if settings.sync_allow_loopback:
        yield finding("sync_reaches_this_machine", host=settings.host)


def _check_memory(settings: Settings) -> Iterator[Finding]:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    workers = max(1, settings.workers)
    wanted_bytes = workers * settings.training_memory_bytes
    if wanted_bytes > memory_bytes:
        sizes = {"wanted_mb": wanted_bytes >> 20, "memory_mb": memory_bytes >> 20}
        yield finding("memory_short", workers=workers, **sizes)
