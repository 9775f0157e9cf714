"""`hotslot subscription`: who is sent which forecasts, and what became of each delivery."""

from __future__ import annotations

from typing import Annotated, Any, get_args
from uuid import UUID

import typer
from rich.table import Table

from app.cli.console import echo_json, opened, results, say
from app.core.errors import InvalidInput
from app.core.settings import Settings
from app.forecasts.zones.selection import DEFAULT_KM2, DEFAULT_ZONES, MAX_ZONES
from app.subscriptions.delivery_store import Delivery, Status
from app.subscriptions.schemas import DeliveryReply, SubscriptionReply
from app.subscriptions.sending import Sender
from app.subscriptions.service import (
    DEFAULT_GRACE_HOURS,
    MAX_STORED,
    Added,
    add_subscription,
    deliveries_of,
    find_delivery,
    remove_subscription,
    request_test,
    retry_deliveries,
    rotate_secret,
    subscriptions_of,
)
from app.subscriptions.spec import (
    DEFAULT_HOUR,
    DEFAULT_LEAD_MINUTES,
    MAX_LEAD_MINUTES,
    SubscriptionSpec,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add(
    region: str,
    name: str,
    address: Annotated[
        str, typer.Argument(help="URL, e-mail address, or folder below HOTSLOT_PUSH_FOLDER.")
    ],
    occasion: Annotated[str, typer.Option("--on", help="state, morning or shift.")],
    target: Annotated[
        str | None, typer.Option(help="webhook, email or folder; default: by the address.")
    ] = None,
    at_hour: Annotated[
        int, typer.Option(help="Local hour of mornings.", min=0, max=23)
    ] = DEFAULT_HOUR,
    shift: Annotated[
        list[str] | None, typer.Option(help="early, late or night; repeat it; default: all.")
    ] = None,
    lead_minutes: Annotated[
        int, typer.Option(help="Before a shift starts.", min=0, max=MAX_LEAD_MINUTES)
    ] = DEFAULT_LEAD_MINUTES,
    n: Annotated[int, typer.Option(help="Zones at most.", min=1, max=MAX_ZONES)] = DEFAULT_ZONES,
    max_km2: Annotated[float, typer.Option(help="Area of all zones together.")] = DEFAULT_KM2,
    lang: Annotated[str, typer.Option(help="en or es.")] = "en",
    paper: Annotated[str, typer.Option(help="a4 or letter.")] = "a4",
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Of files: pdf, json, geojson, csv, gpx, gpkg; repeat it."),
    ] = None,
) -> None:
    """Send zones at each new state, each morning or each shift; print a webhook's secret once."""
    given: dict[str, Any] = {
        "occasion": occasion,
        "target": target or _target_of(address),
        "address": address,
        "at_hour": at_hour,
        "shifts": tuple(dict.fromkeys(shift or ())),
        "lead_minutes": lead_minutes,
        "n": n,
        "max_km2": max_km2,
        "lang": lang,
        "paper": paper,
        **({"formats": tuple(dict.fromkeys(formats))} if formats else {}),
    }
    spec = SubscriptionSpec(**given)
    settings = Settings()
    with opened(settings) as engine:
        added = add_subscription(engine, settings, region, name, spec)
    say(f"subscription {name} added ({spec.target}, {spec.occasion})")
    _print_secret(added)


def _target_of(address: str) -> str:
    if "://" in address:
        return "webhook"
    return "email" if "@" in address else "folder"


def _print_secret(added: Added) -> None:
    if added.secret is not None:
        say(f"secret (shown only once; store it now): {added.secret}")


def list_all(region: str, as_json: AsJson = False) -> None:
    """List what is sent where, with numbers of deliveries."""
    with opened(Settings()) as engine:
        found = [one.to_json() for one in subscriptions_of(engine, region)]
    if as_json:
        echo_json([SubscriptionReply.model_validate(one).model_dump(mode="json") for one in found])
        return
    table = Table("name", "on", "target", "address", "owner", "active", "waiting", "sent", "dead")
    for one in found:
        counts = one["deliveries"]
        table.add_row(
            *(one[name] for name in ("name", "occasion", "target", "address", "owner")),
            "yes" if one["active"] else "no",
            *(f"{counts[status]:,}" for status in ("waiting", "delivered", "dead")),
        )
    results().print(table)


def remove(region: str, name: str) -> None:
    """Remove a subscription with its deliveries."""
    with opened(Settings()) as engine:
        remove_subscription(engine, region, name)
    say(f"subscription {name} removed")


def rotate(
    region: str,
    name: str,
    grace_hours: Annotated[
        float, typer.Option(help="Messages are also signed with the former secret for so long.")
    ] = DEFAULT_GRACE_HOURS,
) -> None:
    """Give a webhook a new secret and print it once."""
    settings = Settings()
    with opened(settings) as engine:
        _print_secret(rotate_secret(engine, settings, region, name, grace_hours))


def test(region: str, name: str) -> None:
    """Send the next 24 hours now, from this process; status 1 if that fails."""
    settings = Settings()
    with opened(settings) as engine:
        made = request_test(engine, region, name)
        Sender(engine, settings).send_one(made.id)
        found = find_delivery(engine, region, name, made.id)
    say(_line(found))
    if found.status != "delivered":
        raise typer.Exit(1)


def deliveries(
    region: str,
    name: str,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_STORED)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest deliveries, with the reason of the last failure."""
    status = next((one for one in get_args(Status) if one == state), None)
    if status != state:
        raise InvalidInput("state must be waiting, delivered or dead", field="state")
    with opened(Settings()) as engine:
        found = deliveries_of(engine, region, name, status, limit)
    if as_json:
        echo_json([DeliveryReply.of(one).model_dump(mode="json", by_alias=True) for one in found])
        return
    for one in found:
        say(_line(one))


def _line(one: Delivery) -> str:
    why = "" if one.failure is None else f": {one.failure.message}"
    return f"{one.id}  {one.occasion}  {one.status}, attempt {one.attempts}{why}"


def retry(
    region: str,
    name: str,
    delivery: Annotated[UUID | None, typer.Argument(help="Its id; default: all dead.")] = None,
) -> None:
    """Let dead deliveries wait again; a worker sends them."""
    with opened(Settings()) as engine:
        revived = retry_deliveries(engine, region, name, delivery)
    say(f"{len(revived)} deliveries wait again")
