"""Errors that end a command in one line on standard error, without a traceback."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import DataError

from app.cli.console import complain
from app.core.errors import HotslotError, InvalidInput
from app.core.settings import Settings


def exit_status(error: Exception) -> int | None:
    """Print what is wrong and return the exit status; None, and nothing printed, for a defect."""
    match error:
        case InvalidInput():
            place = f"{error.field}: " if error.field else ""
            complain(f"{place}{error.message}")
        case HotslotError():
            complain(error.message)
            return 1
        case ValidationError() if error.title == Settings.__name__:
            _complain_of_settings(error)
        case DataError() | UnicodeError():
            complain("a value is out of range, or holds characters that cannot be stored")
        case SettingsError():
            complain(f"settings: {error}")
        case _:
            return None
    return 2


def _complain_of_settings(error: ValidationError) -> None:
    """Print each wrong setting by its name and the reason alone: a value may be a secret."""
    for fault in error.errors(include_url=False, include_input=False):
        reason = fault["msg"].removeprefix("Value error, ")
        if fault["loc"]:  # empty where several settings contradict each other
            name, *within = (str(part) for part in fault["loc"])
            reason = f"{'.'.join([f'HOTSLOT_{name.upper()}', *within])}: {reason}"
        complain(reason)
