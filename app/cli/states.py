"""`hotslot assimilate`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.console import console, echo_json, opened, say
from app.core.settings import Settings
from app.regions.store import get_region
from app.states.routes import state_reply
from app.states.service import assimilate, why_as_trained
from app.states.store import FROZEN


def bring_up_to_date(
    region: Annotated[str, typer.Argument(help="Region.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
) -> None:
    """Bring a region's forecasts up to date with what has arrived, without training."""
    with opened(Settings()) as engine, console.status("assimilating"):
        version, state = assimilate(engine, region)
        with engine.connect() as connection:
            reason = why_as_trained(get_region(connection, region), version)
    shown = state_reply(version, state)
    if as_json:
        echo_json(shown.model_dump(mode="json"))
    elif shown.state == FROZEN:
        say(f"{shown.version} serves as trained: {reason}")
    else:
        say(
            f"state {shown.state} of {shown.version}: data until {shown.data_until:%Y-%m-%d %H:%M} UTC, "
            f"{shown.assimilated_incidents:,} incidents since its training"
        )
