"""Workbooks that are small and unfold into much."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEET_TYPES}.worksheet+xml"/>'
    f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_SHEET_TYPES}.sharedStrings+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook {_NS} xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="r2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    "</Relationships>",
}
_HEADER = ("occurred_at", "longitude", "latitude", "category")
_CELLS = ("2024-01-01T10:00:00Z", "-74.05", "4.65")


def workbook(rows: str, *, strings: str = "", prolog: str = "", dimension: str = "A1:D9") -> bytes:
    """An .xlsx whose sheet holds a header row and these rows of XML."""
    header = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in _HEADER)
    sheet = (
        f'{prolog}<worksheet {_NS}><dimension ref="{dimension}"/><sheetData>'
        f'<row r="1">{header}</row>{rows}</sheetData></worksheet>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, content)
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        archive.writestr("xl/sharedStrings.xml", f"{prolog}<sst {_NS}>{strings}</sst>")
    return out.getvalue()


def row(number: int | str = "", category: str = "") -> str:
    """A good row, of this number where one is given."""
    cells = "".join(f'<c t="str"><v>{value}</v></c>' for value in _CELLS)
    told = f' r="{number}"' if number else ""
    return f"<row{told}>{cells}{category}</row>"


def excel_bodies(scale: float) -> Iterator[tuple[str, bytes]]:
    """Numbers of rows and columns far away, texts told many times, entities, endless rows."""
    yield "row 10^11", workbook(row(100_000_000_000))
    yield "row 20,000,000", workbook(row(20_000_000))
    yield "rows far apart", workbook("".join(row(k) for k in range(2, 1_048_576, 250_000)))
    yield "column ZZZ", workbook(row(2, '<c r="ZZZ2"><v>1</v></c>'))
    wide = workbook(
        "".join(row(k) for k in range(2, 300 + int(20_000 * scale))), dimension="A1:XFD1048576"
    )
    yield "wide dimension", wide
    told = row("", '<c t="s"><v>0</v></c>') * int(30_000 * scale + 20_000)
    yield "one text in every row", workbook(told, strings=f"<si><t>{'x' * 1_000_000}</t></si>")
    texts = "<si><t>abcdefgh</t></si>" * int(4_000_000 * scale + 100_000)
    yield "many texts", workbook(row(2), strings=texts)
    yield "endless row", workbook(f"<row r='2'>{'<c><v>1</v></c>' * int(6e6 * scale + 2e5)}</row>")
    yield "empty rows", workbook("<row/>" * int(15e6 * scale + 2e5))
    laughs = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 10))
    prolog = f'<!DOCTYPE x [<!ENTITY l0 "{"ha" * 50}">{laughs}]>'
    entity = '<c t="inlineStr"><is><t>&l9;</t></is></c>'
    yield "entities", workbook(row(2, entity), prolog=prolog)
    nested = "<x>" * 200_000 + "</x>" * 200_000
    yield "nested elements", workbook(f"<row r='2'>{nested}</row>")
