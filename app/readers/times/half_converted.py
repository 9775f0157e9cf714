"""Find dates that a spreadsheet converted by half: it exchanged day and month where it could."""

from __future__ import annotations

from typing import Any

import pandas as pd

from app.core.errors import Conflict

SLASHED = r"^\s*(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d{2})\b"
_ISO_DAY = r"^\s*\d{4}-\d{2}-(\d{2})"


class HalfConversions:
    """Counts the ISO dates and the slashed ones of a table.

    A spreadsheet with another order of day and month converts 05/03 and leaves 13/03 as text: then no
    ISO date has a day over 12, and every slashed one has a number over 12.
    """

    def __init__(self) -> None:
        self.n_iso = self.n_text = self.n_other = 0

    @property
    def is_clear(self) -> bool:
        """Whether some date shows that they were not converted by half."""
        return self.n_other > 0

    def note(self, texts: pd.Series[Any]) -> None:
        """Count a block's dates, until one shows that they were not converted by half."""
        if self.is_clear:
            return
        slashed = texts.str.extract(SLASHED).dropna().astype(int)
        days = texts.str.extract(_ISO_DAY)[0].dropna().astype(int)
        self.n_iso += len(days)
        self.n_text += len(slashed)
        self.n_other += int((days > 12).sum()) + int((slashed <= 12).all(axis=1).sum())

    def check(self) -> None:
        """Raise if only a half conversion explains the dates.

        Raises:
            Conflict: `half_converted_dates`.
        """
        if self.n_iso and self.n_text and not self.n_other:
            raise Conflict(
                f"a spreadsheet converted {self.n_iso} dates of this file and exchanged their day and "
                f"month: all of them have a day up to 12, and the {self.n_text} that stayed text a "
                "number over 12; export the original again, or import it with the dates as text, and "
                "send that",
                field="occurred_at",
                code="half_converted_dates",
                params={"converted": self.n_iso, "text": self.n_text},
            )
