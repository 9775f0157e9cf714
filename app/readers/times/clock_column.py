"""A table's column of times of day; what its numbers are is decided by the first rows that have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.readers.columns.portals import normalised_name
from app.readers.reading import Assumed
from app.readers.times.clocks import Clocks, NumberKind, read_clocks
from app.readers.times.formats import TimeFormat, parsed_by

_HOUR_WORDS = frozenset(
    "hour hours hr hrs hora horas heure heures stunde ora ore uur godzina godz franja hh".split()  # noqa: SIM905
)
_WIDE_SHARE = 0.05


class ClockColumn:
    """Reads the clocks that stand beside dates.

    Args:
        columns: {field or part: column of the file}.
        presumed: whether the format is a known portal's, not the caller's.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        form: TimeFormat | None,
        assumed: Assumed,
        *,
        presumed: bool,
    ) -> None:
        self.columns = columns
        self.form = form
        self.presumed = presumed
        self.assumed = assumed
        self.kind: NumberKind | None = None if form is None else form.number_kind
        self.is_given = self.kind is not None

    def read(self, clocks: Sequence[str | None], part: str) -> Clocks:
        """Read a block's clocks.

        Raises:
            InvalidInput: hours in earlier rows, HHMM in these.
        """
        column = self.columns.get(part, part)
        words = set(normalised_name(column).split("_"))
        are_hours = part == "hour" or bool(words & _HOUR_WORDS)
        read = read_clocks(clocks, self.kind, are_hours=are_hours)
        if self.form is not None and self.form.number_kind is None and self.form.clock:
            self._read_by_format(read, clocks, self.form)
        if self.kind is None and read.kind is not None:
            self.kind = read.kind
            if read.kind not in ("unclear", "hours_from_1") and not (
                read.kind == "hours" and are_hours
            ):
                value = clocks[int(np.argmax(read.number))]
                self.assumed.add(f"clock_{read.kind}", column=column, value=value)
        elif self.kind == "hours" and not self.is_given:
            self._check_hours(read, clocks, column)
        return read

    def _read_by_format(self, read: Clocks, clocks: Sequence[str | None], form: TimeFormat) -> None:
        texts = pd.Series(list(clocks), dtype=object)
        parsed = parsed_by(texts, TimeFormat(form.clock, is_part=True)).astype(object)
        moments = pd.to_datetime(parsed.str[:19], errors="coerce", format="ISO8601")
        seconds = moments.dt.hour * 3600 + moments.dt.minute * 60 + moments.dt.second
        others = read.seconds if self.presumed else np.full(len(texts), np.nan)
        read.seconds[:] = np.where(seconds.isna(), others, seconds)
        read.offset[:] = parsed.str[19:].where(seconds.notna(), pd.Series(read.offset))

    def _check_hours(self, read: Clocks, clocks: Sequence[str | None], column: str) -> None:
        later = [c or "" for c, is_number in zip(clocks, read.number, strict=True) if is_number]
        wide = [c for c in later if len(c) in (3, 4) and c.isdigit() and int(c) % 100 < 60]
        if len(wide) > _WIDE_SHARE * len(later):
            raise InvalidInput(
                f"column {shortened(column)} holds hours (0 to 23) in its first rows and {wide[0]} in "
                "later ones; give time_format with %H or %H%M",
                field="occurred_at",
                code="unclear_clock",
                params={"value": wide[0]},
            )
