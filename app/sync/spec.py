"""Specifications of open-data sources, with their validation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from app.core.bounds import MAX_ADDRESS_CHARS, MAX_TEXT_CHARS, check_text
from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.personal import is_personal

Kind = Literal["socrata", "arcgis", "ckan", "file", "police-archive", "folder", "sftp"]
KINDS: tuple[str, ...] = get_args(Kind)
SOCRATA_CHANGED = ":updated_at"
MAX_OVERLAP_DAYS = 366.0
MAX_PAGE_ROWS = 50_000
MONTH = "{month}"
TEXT_LIMITS = {
    "url": MAX_ADDRESS_CHARS,
    "where": MAX_ADDRESS_CHARS,
    "licence": MAX_ADDRESS_CHARS,
    **dict.fromkeys(
        ("dataset", "changed", "deleted_when", "token", "preset", "host_key"), MAX_TEXT_CHARS
    ),
}


@dataclass(frozen=True)
class SourceSpec:
    """Where incidents come from and how they are read.

    Args:
        kind: the API that answers at `url`.
        url: Socrata's `.../resource/ID.json`, an ArcGIS layer (or service), a CKAN portal, a file, an
            archive (an archive's may hold `{month}`); `folder:NAME/...`, a drop folder; or
            `sftp://USER@HOST/FOLDER`.
        dataset: CKAN's resource or package; the name of an ArcGIS service's layer; an archive's force; a
            pattern for names of dropped files, such as `incidents-*.csv`.
        columns: {field or part: column of the portal}; ArcGIS geometry is `geometry.x`, `geometry.y`.
        crs: of `x`, `y`; ArcGIS geometry is always asked for in degrees.
        time_format: of times that are not ISO 8601, as `strptime` takes it.
        changed: column that increases whenever a row is added or edited; without one (and without
            Socrata's own) every sweep reads all rows.
        overlap_days: how far a sweep looks back before the newest change that an earlier one saw.
        where: a further condition, in the portal's own language.
        deleted_when: `COLUMN=VALUE` that marks a withdrawn row.
        token: name of the app token (SFTP: password or key) in the setting `sync_tokens`; never its value.
        host_key: fingerprint of an SFTP server's key, `SHA256:...`.
        page_rows: rows requested at once.
        esri_dates: `utc` as the API documents; `local` for publishers that store wall time there.
        month_times: `refuse` rows dated by month alone, or `spread` them over the month.
        first_month: `YYYY-MM`, where an archive's URL holds `{month}`.
        feed: of the incidents' ids; sources that earlier releases stored have none.
        date_only: `interval`: a date without a time is an interval of that local day.
    """

    kind: Kind
    url: str
    dataset: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    time_format: str | None = None
    changed: str | None = None
    overlap_days: float = 7.0
    where: str | None = None
    deleted_when: str | None = None
    token: str | None = None
    page_rows: int = 10_000
    esri_dates: Literal["utc", "local"] = "utc"
    month_times: Literal["refuse", "spread"] = "refuse"
    first_month: str | None = None
    licence: str | None = None
    preset: str | None = None
    feed: str = ""
    date_only: str | None = None
    host_key: str | None = None

    @property
    def mapping(self) -> ColumnMapping:
        """The columns as uploads of the same portal's files take them."""
        return ColumnMapping(self.columns, self.crs, self.time_format, date_only=self.date_only)

    @property
    def has_ids(self) -> bool:
        """Whether rows have an id of their own; without one a sweep is stored as a whole."""
        return "external_id" in self.columns or self.kind == "police-archive"

    @property
    def changed_column(self) -> str | None:
        """The column that says what is new."""
        if self.kind == "socrata" and self.has_ids:
            return self.changed or SOCRATA_CHANGED
        return self.changed

    def checked(self) -> SourceSpec:
        """Return the specification after validating it.

        Raises:
            InvalidInput: names the invalid part.
        """
        if self.kind not in KINDS:
            raise InvalidInput(
                f"unknown kind {shortened(self.kind)}; one of {', '.join(KINDS)}", field="kind"
            )
        for name, limit in TEXT_LIMITS.items():
            check_text(getattr(self, name), name, limit)
        if not 0 <= self.overlap_days <= MAX_OVERLAP_DAYS:
            raise InvalidInput(
                f"overlap_days must lie within 0..{MAX_OVERLAP_DAYS:.0f}", field="overlap_days"
            )
        if not 1 <= self.page_rows <= MAX_PAGE_ROWS:
            raise InvalidInput(f"page_rows must lie within 1..{MAX_PAGE_ROWS}", field="page_rows")
        if self.esri_dates not in ("utc", "local"):
            raise InvalidInput("esri_dates must be utc or local", field="esri_dates")
        self._check_columns()
        self._check_kind()
        return self

    def _check_columns(self) -> None:
        ColumnMapping(self.columns, self.crs, self.time_format, date_only=self.date_only)
        personal = [c for c in self.columns.values() if any(map(is_personal, c.split("+")))]
        if personal:
            raise InvalidInput(
                f"{shortened(personal[0])} is about persons and is never read",
                field="columns",
                code="personal_column",
            )
        if self.deleted_when is not None:
            column, sign, value = self.deleted_when.partition("=")
            if not (column and sign and value):
                raise InvalidInput("deleted_when must be COLUMN=VALUE", field="deleted_when")
            if "external_id" not in self.columns:
                raise InvalidInput(
                    "deleted_when requires a column for external_id", field="deleted_when"
                )
        if self.kind in ("socrata", "arcgis", "ckan") and not self.columns:
            raise InvalidInput("columns are required: field=column", field="columns")

    def _check_kind(self) -> None:
        if self.kind in ("ckan", "police-archive") and not self.dataset:
            raise InvalidInput(f"a source of kind {self.kind} requires dataset", field="dataset")
        if self.kind == "arcgis" and self.changed is not None and self.overlap_days < 1:
            # Some layers read the times of a condition in their own zone.
            raise InvalidInput("a layer needs overlap_days of at least 1", field="overlap_days")
        if self.kind == "police-archive" and self.month_times != "spread":
            raise InvalidInput(
                "these archives give the month of an incident, not its hour, so they cannot support a "
                "forecast by hour of the week; month_times=spread accepts them for places and monthly "
                "volumes only",
                field="month_times",
                code="month_resolution",
            )

        if self.kind == "sftp":
            self._check_sftp()
        months = MONTH in self.url
        if months and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", self.first_month or ""):
            raise InvalidInput(
                f"a URL with {MONTH} requires first_month, YYYY-MM", field="first_month"
            )

    def _check_sftp(self) -> None:
        if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", self.host_key or ""):
            raise InvalidInput(
                "a source of kind sftp requires host_key, SHA256:... as `ssh-keygen -lf` prints it",
                field="host_key",
            )
        if self.token is None:
            raise InvalidInput(
                "a source of kind sftp requires token, the name of a password or key in sync_tokens",
                field="token",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**asdict(self), "columns": dict(self.columns)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SourceSpec:
        """Restore from `to_json`, ignoring members that this version does not know."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: v for name, v in value.items() if name in known})
