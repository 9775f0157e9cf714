"""What a subscription sends: on which occasions, where to, and which zones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from app.core.bounds import MAX_ADDRESS_CHARS, check_number, check_text
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.forecasts.zones.selection import DEFAULT_KM2, DEFAULT_ZONES, MAX_ZONES
from app.regions.shifts import SHIFT_NAMES, ShiftName

Occasion = Literal["state", "morning", "shift"]
Target = Literal["webhook", "email", "folder"]
FileFormat = Literal["pdf", "json", "geojson", "csv", "gpx", "gpkg"]
Language = Literal["en", "es"]
Paper = Literal["a4", "letter"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)
TARGETS: tuple[Target, ...] = get_args(Target)
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
DEFAULT_HOUR, DEFAULT_LEAD_MINUTES, MAX_LEAD_MINUTES = 6, 30, 720
MAX_KM2 = 1_000.0
MAX_MAIL_CHARS = 254
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_NAME = re.compile(NAME_PATTERN.removesuffix("$"))
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}(/[A-Za-z0-9][A-Za-z0-9._-]{0,62}){0,4}")


@dataclass(frozen=True)
class SubscriptionSpec:
    """A subscription without its name.

    Args:
        occasion: each new state of the forecast, each morning, or each shift.
        target: what `address` is: a URL, an e-mail address, or a folder below the administrator's.
        at_hour: local hour of the morning's delivery, which covers the 24 hours from then on.
        shifts: which ones; empty: all.
        lead_minutes: how long before a shift starts it is sent.
        n: zones at most, of `max_km2` together.
        lang: of the briefing and of e-mails.
        formats: of the files in a folder.
    """

    occasion: Occasion
    target: Target
    address: str
    at_hour: int = DEFAULT_HOUR
    shifts: tuple[ShiftName, ...] = ()
    lead_minutes: int = DEFAULT_LEAD_MINUTES
    n: int = DEFAULT_ZONES
    max_km2: float = DEFAULT_KM2
    lang: Language = "en"
    paper: Paper = "a4"
    formats: tuple[FileFormat, ...] = ("pdf", "json")

    def checked(self) -> SubscriptionSpec:
        """Return the specification after validating it; hosts and folders are looked at elsewhere.

        Raises:
            InvalidInput: names the invalid part.
        """
        _one_of(self.occasion, OCCASIONS, "occasion")
        _one_of(self.target, TARGETS, "target")
        _one_of(self.lang, get_args(Language), "lang")
        _one_of(self.paper, get_args(Paper), "paper")
        for shift in self.shifts:
            _one_of(shift, SHIFT_NAMES, "shifts")
        for fmt in self.formats:
            _one_of(fmt, FILE_FORMATS, "formats")
        if not self.formats:
            raise InvalidInput("name at least one format", field="formats")
        _within(self.at_hour, 0, 23, "at_hour")
        _within(self.lead_minutes, 0, MAX_LEAD_MINUTES, "lead_minutes")
        _within(self.n, 1, MAX_ZONES, "n")
        if not self.max_km2 > 0:
            raise InvalidInput("max_km2 must be above 0", field="max_km2")
        check_number(self.max_km2, MAX_KM2, f"max_km2 is {self.max_km2:g}", "max_km2")
        self._check_address()
        return self

    def _check_address(self) -> None:
        check_text(self.address, "address", MAX_ADDRESS_CHARS)
        if self.target == "email" and not (
            len(self.address) <= MAX_MAIL_CHARS and _MAIL.fullmatch(self.address)
        ):
            raise InvalidInput(
                f"address must be one e-mail address, got {shortened(self.address)}",
                field="address",
            )
        if self.target == "folder" and not _FOLDER.fullmatch(self.address):
            raise InvalidInput(
                "address must be a folder below HOTSLOT_PUSH_FOLDER: up to five names of letters, "
                f"digits and ._- between slashes, got {shortened(self.address)}",
                field="address",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**asdict(self), "shifts": list(self.shifts), "formats": list(self.formats)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SubscriptionSpec:
        """Restore from `to_json`, ignoring members that this version does not know."""
        known = {f.name for f in fields(cls)}
        found = {name: v for name, v in value.items() if name in known}
        for name in ("shifts", "formats"):
            if name in found:
                found[name] = tuple(found[name])
        return cls(**found)


def check_name(name: str) -> None:
    """Raise unless a text can name a subscription.

    Raises:
        InvalidInput: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("a subscription's name is 1-63 of a-z, 0-9, '-' and '_'", field="name")


def _one_of(value: str, known: tuple[str, ...], field: str) -> None:
    if value not in known:
        raise InvalidInput(
            f"{field} must be one of {', '.join(known)}, got {shortened(value)}", field=field
        )


def _within(value: int, least: int, most: int, field: str) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{field} must lie within {least}..{most}, got {value}", field=field)
