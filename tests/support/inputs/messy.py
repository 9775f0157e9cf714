"""A messy file of incidents whose every fault is known: for tests and drills of ingest.

Places are those of the synthetic city (`app.geo.synthetic`), so that its boundary decides which
rows lie outside or look swapped.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from app.geo.synthetic import synthetic_city
from app.readers.formats import EXCEL_TYPE

HEADER = ("occurred_at", "longitude", "latitude", "category")
PILE = (-74.0512345, 4.6512345)
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Fault:
    """What is done to a good row.

    Args:
        code: with which the row must be refused; None when it must be accepted.
        values: {column: text} in place of the row's own; `swap` exchanges the coordinates instead.
    """

    name: str
    code: str | None
    values: tuple[tuple[int, str], ...] = ()
    swap: bool = False


FAULTS = (
    Fault("epoch seconds", "epoch_not_accepted", ((0, "1704067200"),)),
    Fault("epoch milliseconds", "epoch_not_accepted", ((0, "1704067200000"),)),
    Fault("small number", "epoch_not_accepted", ((0, "12345"),)),
    Fault("fraction", "epoch_not_accepted", ((0, "45292.5"),)),
    Fault("compact date", "epoch_not_accepted", ((0, "20240101"),)),
    Fault("exponent", "bad_time", ((0, "1.7e9"),)),
    Fault("date only", "bad_time", ((0, "2019-03-04"),)),
    Fault("hour 25", "bad_time", ((0, "2019-03-04T25:00:00Z"),)),
    Fault("day 31 of June", "bad_time", ((0, "2019-06-31T10:00:00Z"),)),
    Fault("offset of 99 hours", "bad_time", ((0, "2019-03-04T10:00:00+99:00"),)),
    Fault("words", "bad_time", ((0, "yesterday noon"),)),
    Fault("NUL in time", "bad_time", ((0, "2019-03-04T10:00\x00Z"),)),
    Fault("day or month", "ambiguous_date", ((0, "03/04/2019 10:00"),)),
    Fault("no time", "missing", ((0, ""),)),
    Fault("1900", "too_old", ((0, "1900-01-01T00:00:00"),)),
    Fault("far future", "in_the_future", ((0, "2999-01-01T00:00:00Z"),)),
    Fault("swapped", "looks_swapped", swap=True),
    Fault("0/0", "zero", ((1, "0"), (2, "0.0"))),
    Fault("metres", "not_degrees", ((1, "604000.5"), (2, "514000.5"))),
    Fault("outside", "outside_study_area", ((1, "-73.5"), (2, "4.6"))),
    Fault("beyond the globe", "out_of_range", ((1, "-274.05"), (2, "4.65"))),
    Fault("not a number", "not_a_number", ((1, "nan"),)),
    Fault("infinite", "not_a_number", ((2, "1e999"),)),
    Fault("words as place", "not_a_number", ((2, "unknown"),)),
    Fault("NUL in category", "bad_text", ((3, "the\x00ft"),)),
    Fault("endless category", "bad_text", ((3, "x" * 900),)),
    Fault("default geocode", None, ((1, str(PILE[0])), (2, str(PILE[1])))),
    Fault("local time", None, ((0, "2019-05-06T07:08:09"),)),
    Fault("formula", None, ((3, '=HYPERLINK("http://example.org")'),)),
    Fault("quotes and line end", None, ((3, 'he said "stop",\nthen left'),)),
    Fault("SQL", None, ((3, "'; DROP TABLE incidents; --"),)),
)


@dataclass(frozen=True)
class Corpus:
    """Rows in order; `codes[i]` is what row i must be refused with, or None."""

    rows: list[Row]
    codes: list[str | None]

    @property
    def by_code(self) -> dict[str, int]:
        """How many rows each code must refuse."""
        return dict(sorted(Counter(code for code in self.codes if code).items()))

    @property
    def n_good(self) -> int:
        """Rows that must be accepted."""
        return sum(code is None for code in self.codes)

    def csv(self, delimiter: str = ",", encoding: str = "utf-8", *, ragged: bool = False) -> bytes:
        """As a CSV file; decimals have commas where fields do not.

        Args:
            ragged: every refused row also loses its last field, so that only its shape counts.
        """
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(HEADER)
        for row, code in zip(self.rows, self.codes, strict=True):
            cells = list(row)
            if delimiter != ",":
                cells[1:3] = [cell.replace(".", ",") for cell in cells[1:3]]
            writer.writerow(cells[:3] if ragged and code else cells)
        return text.getvalue().encode(encoding)

    def objects(self) -> list[dict[str, str]]:
        """As JSON objects."""
        return [dict(zip(HEADER, row, strict=True)) for row in self.rows]


def messy_corpus(n_good: int = 500, per_fault: int = 5, seed: int = 0) -> Corpus:
    """Good rows of the synthetic city with `per_fault` rows of every fault strewn in."""
    rng = np.random.default_rng(seed)
    needed = n_good + per_fault * len(FAULTS)
    frame = synthetic_city().draw(400, 1 + needed / 350, seed=seed).head(needed)
    times = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    good: list[Row] = [
        (str(at), f"{x:.6f}", f"{y:.6f}", str(kind))
        for at, x, y, kind in zip(
            times, frame["longitude"], frame["latitude"], frame["category"], strict=True
        )
    ]
    pairs: list[tuple[Row, str | None]] = [(row, None) for row in good[:n_good]]
    spare = iter(good[n_good:])
    pairs += [
        (_broken(next(spare), fault), fault.code) for fault in FAULTS for _ in range(per_fault)
    ]
    order = rng.permutation(len(pairs))
    return Corpus([pairs[i][0] for i in order], [pairs[i][1] for i in order])


def _broken(row: Row, fault: Fault) -> Row:
    cells = list(row)
    if fault.swap:
        cells[1], cells[2] = cells[2], cells[1]
    for column, text in fault.values:
        cells[column] = text
    return cells[0], cells[1], cells[2], cells[3]


def with_more(corpus: Corpus, rows: list[Row]) -> Corpus:
    """The corpus with further good rows at its end."""
    return replace(corpus, rows=corpus.rows + rows, codes=corpus.codes + [None] * len(rows))


Body = tuple[str, str | None, bytes]
"""Content-Type, Content-Encoding, content."""
_INSERTS = (
    b"\x00",
    b'"',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e999",
    b"\\ud800",
    b"\r",
    b",",
    b"[" * 900,
)


def seed_bodies(corpus: Corpus) -> list[Body]:
    """The corpus in every format that an upload may have."""
    objects = corpus.objects()
    table = pd.DataFrame(objects)
    sheet, columns, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    # A workbook cannot hold control characters.
    table.replace(r"[\x00-\x1f]", "", regex=True).to_excel(sheet, index=False)
    table.to_parquet(columns)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("incidents.csv", corpus.csv())
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [o["longitude"], o["latitude"]]},
            "properties": o,
        }
        for o in objects
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return [
        ("text/csv", None, corpus.csv()),
        ("text/csv", None, corpus.csv(";", "utf-16")),
        ("text/csv", "gzip", gzip.compress(corpus.csv())),
        ("application/json", None, json.dumps(objects).encode()),
        ("application/x-ndjson", None, "\n".join(json.dumps(o) for o in objects).encode()),
        ("application/geo+json", None, json.dumps(collection).encode()),
        ("application/vnd.apache.parquet", None, columns.getvalue()),
        (EXCEL_TYPE, None, sheet.getvalue()),
        ("application/zip", None, packed.getvalue()),
    ]


def mutated(content_type: str, encoding: str | None, body: bytes, rng: np.random.Generator) -> Body:
    """The body with one to six bytes, pieces or its end changed; sometimes under another type."""
    content = bytearray(body)
    for _ in range(int(rng.integers(1, 7))):
        at = int(rng.integers(0, len(content) + 1))
        match int(rng.integers(0, 6)):
            case 0:
                content[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                del content[at : at + int(rng.integers(1, 60))]
            case 2:
                content[at:at] = _INSERTS[int(rng.integers(0, len(_INSERTS)))]
            case 3:
                content[at:at] = content[: int(rng.integers(0, 400))]
            case 4:
                content[at:at] = b"x" * int(rng.integers(1, 9_000))
            case _:
                content = content[: max(at, 1)]
    if rng.random() < 0.05:
        content_type = "text/csv"
    return content_type, encoding, bytes(content)
