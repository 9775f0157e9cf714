"""`hotslot doctor`."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.cli.console import echo_json, say, settings_faults
from app.core.settings import Settings
from app.doctor.findings import LEVELS, Finding, finding
from app.doctor.service import examine
from app.doctor.settings import check_names, names_given

STATUS = {"error": 2, "warning": 1, "note": 0}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what is wrong with this installation, and what to do; status 1: warnings, 2: errors."""
    try:
        found = examine(Settings())
    except ValidationError as error:
        found = [finding("setting_invalid", reason=fault) for fault in settings_faults(error)]
        found += check_names(names_given())
    except SettingsError as error:
        found = [finding("settings_invalid", reason=str(error)), *check_names(names_given())]
    found.sort(key=lambda each: LEVELS.index(each.level))
    if as_json:
        echo_json({"findings": [each.to_json() for each in found]})
    else:
        _print(found)
    raise typer.Exit(max((STATUS[each.level] for each in found), default=0))


def _print(found: list[Finding]) -> None:
    for each in found:
        say(f"{each.level}: {each.message.message} [{each.message.code}]")
    if not found:
        say("nothing is wrong")
    elif not any(STATUS[each.level] for each in found):
        say("nothing is wrong with what was checked")
