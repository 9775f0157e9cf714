"""`hotslot key create|list|rotate|revoke` and `hotslot audit list|head|verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from app.access.service import (
    DEFAULT_EXPIRY_DAYS,
    DEFAULT_GRACE_HOURS,
    NewKey,
    ShownOnce,
    create_key,
    key_json,
    list_keys,
    revoke_key,
    rotate_key,
)
from app.audit import store as audit
from app.audit.verification import anchor_json, read_anchor, verify_audit
from app.cli.console import complain, console, echo_json, opened, results
from app.core.roles import Key, Role
from app.core.settings import Settings
from app.register.verification import verify_register

KeyId = Annotated[str, typer.Argument(help="Id of the key, as `hotslot key list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def create(
    name: Annotated[str, typer.Argument(help="Purpose or owner of the key.")],
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
    region: Annotated[
        list[str] | None, typer.Option(help="Restrict it to this region; may be repeated.")
    ] = None,
    expires_days: Annotated[
        float, typer.Option(help="Days until it expires; 0: never.")
    ] = DEFAULT_EXPIRY_DAYS,
    rate_per_s: Annotated[
        float | None, typer.Option(help="Requests a second; 0: no limit.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it once. The first key ends access without keys."""
    wanted = NewKey(name, role, region or None, expires_days or None, rate_per_s)
    settings = Settings()
    with opened(settings) as engine:
        _print_once(create_key(engine, wanted, settings.max_keys), as_json)


def list_all(as_json: AsJson = False) -> None:
    """List the keys; their secrets are not stored."""
    with opened(Settings()) as engine:
        keys = list_keys(engine)
    if as_json:
        echo_json([key_json(key) for key in keys])
        return
    table = Table("id", "name", "roles", "regions", "expires", "active")
    for key in keys:
        table.add_row(*_row(key))
    results().print(table)


def _row(key: Key) -> tuple[str, ...]:
    shown = key_json(key)
    expires = key.expires_at.isoformat(timespec="minutes") if key.expires_at else "never"
    regions = "all" if key.regions is None else ", ".join(key.regions)
    return key.id, key.name, ", ".join(key.roles), regions, expires, _yes(shown["active"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def rotate(
    key_id: KeyId,
    grace_hours: Annotated[
        float, typer.Option(help="Hours for which the old secret remains valid.")
    ] = DEFAULT_GRACE_HOURS,
    as_json: AsJson = False,
) -> None:
    """Replace the secret of a key and print the new key once."""
    with opened(Settings()) as engine:
        _print_once(rotate_key(engine, key_id, grace_hours), as_json)


def revoke(key_id: KeyId) -> None:
    """Revoke a key permanently; services apply it within seconds."""
    with opened(Settings()) as engine:
        key = revoke_key(engine, key_id)
    console.print(f"key {key.id} ({key.name}) revoked")


def _print_once(made: ShownOnce, as_json: bool) -> None:
    if as_json:
        shown = {**key_json(made.key), "key": made.text}
        echo_json(shown)
        return
    console.print("store this key now: it is shown only once")
    typer.echo(made.text)


def newest(
    region: Annotated[
        str | None, typer.Option(help="Only entries of this region; *: of the service.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """Show the newest entries."""
    with opened(Settings()) as engine, engine.connect() as connection:
        found = audit.newest(
            connection, chain=region, action=None, actor=None, before=None, limit=limit
        )
    table = Table("chain", "entry", "at", "actor", "action", "details")
    for entry in found:
        at = entry.at.isoformat(timespec="seconds")
        table.add_row(entry.chain, str(entry.seq), at, entry.actor, entry.action, entry.details)
    results().print(table)


def head() -> None:
    """Print the last entry of every chain; store it elsewhere as an anchor for `verify`."""
    with opened(Settings()) as engine:
        report = verify_audit(engine)
    echo_json(anchor_json(report))
    _fail_on(report.problems)


def verify(
    anchor: Annotated[
        Path | None, typer.Option(help="Earlier output of `hotslot audit head`.")
    ] = None,
) -> None:
    """Check the log, and filed forecasts against it; status 1 when one was changed, removed or moved."""
    with opened(Settings()) as engine:
        report = verify_audit(engine, read_anchor(anchor) if anchor else None)
        register = verify_register(engine)
    _fail_on([*report.problems, *register.problems])
    typer.echo(f"{report.n_entries} entries in {len(report.heads)} chains follow one another")
    for chain, n in report.pruned.items():
        typer.echo(f"{chain} {n} entries of reads were deleted by policy, after {report.days} days")
    for note in report.notes:
        console.print(note)
    for chain, (seq, digest) in report.heads.items():
        typer.echo(f"{chain} {seq} {digest}")


def _fail_on(problems: list[str]) -> None:
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
