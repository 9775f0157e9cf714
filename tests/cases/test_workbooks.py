"""Title rows, several and hidden sheets, epochs, formulas and merged cells of workbooks (cases 20, 36)."""

import io
from datetime import datetime, time

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

HEADER = ["datetime", "longitude", "latitude", "type"]


def saved(book):
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def workbook(sheets, hidden=()):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name in hidden:
            sheet.sheet_state = "hidden"
    return saved(book)


def month(number, n=2):
    return [
        HEADER,
        *([datetime(2026, number, day, 22, 15), -84.5, 39.1, "Theft"] for day in range(1, n + 1)),
    ]


def aside(sent, kind="sheet"):
    return {
        one["name"]: one["reason"] for one in sent.body["read"]["not_read"] if one["kind"] == kind
    }


def test_titles_above_the_header(door):
    rows = [["MINISTERIO"], ["POLICIA"], ["DELITOS 2026"], [],
            ["FECHA", "HORA", "CONDUCTA", "LATITUD", "LONGITUD"],
            [datetime(2026, 3, 5), time(22, 15), "HURTO A PERSONAS", 4.6, -74.08]]  # fmt: skip
    sent = door.send("titled.xlsx", workbook({"Sheet": rows}))
    (stored,) = door.stored()
    assert (stored["occurred_at"][:16], stored["category"]) == (
        "2026-03-05T22:15",
        "HURTO A PERSONAS",
    )
    read = sent.body["read"]
    assert (read["format"], read["sheet"], read["header_row"]) == ("excel", "Sheet", 5)
    assert aside(sent, "rows") == {"1-4": "title"}


def test_all_sheets_of_the_same_columns_are_read(door):
    sent = door.send("months.xlsx", workbook({"Jan": month(1), "Feb": month(2), "Mar": month(3)}))
    assert sent.body["accepted"] == 6
    assert [hour[:7] for hour in door.hours()] == ["2026-01"] * 2 + ["2026-02"] * 2 + [
        "2026-03"
    ] * 2
    read = sent.body["read"]
    assert [read["sheet"], *(one["sheet"] for one in read["further"])] == ["Jan", "Feb", "Mar"]
    (said,) = [one for one in read["assumptions"] if one["code"] == "sheets_joined"]
    assert said["params"] == {"n": 3, "names": ["Jan", "Feb", "Mar"]}


def test_other_and_hidden_sheets_are_named(door):
    arrests = [
        ["datetime", "longitude", "latitude", "charge"],
        [datetime(2026, 2, 1, 9), -84.5, 39.1, "x"],
    ]
    sheets = {
        "Pivot": [["kind", "n"], ["Theft", 2]],
        "Data": month(1),
        "Arrests": arrests,
        "Old": month(2),
    }
    sent = door.send("a.xlsx", workbook(sheets, hidden=["Old"]))
    assert sent.body["accepted"] == 2
    assert sent.body["read"]["sheet"] == "Data"
    assert aside(sent) == {"Pivot": "no_incidents", "Arrests": "other_columns", "Old": "hidden"}


def test_a_named_sheet_is_read_alone(door):
    raw = workbook({"Jan": month(1), "Feb": month(2)}, hidden=["Feb"])
    sent = door.send("a.xlsx", raw, part="Feb")
    assert [hour[:7] for hour in door.hours()] == ["2026-02"] * 2
    assert aside(sent) == {"Jan": "not_asked"}
    sent = door.send("a.xlsx", raw, part="March")
    assert sent.status == 422
    assert "March" in sent.error
    assert "Jan, Feb" in sent.error


def test_a_workbook_without_a_table_names_its_sheets(door):
    sent = door.send("a.xlsx", workbook({"Notes": [["x"]], "Codes": [["a", "b"]]}))
    assert sent.status == 422
    assert "Notes, Codes" in sent.error


def test_dates_of_the_1904_system_are_read(door):
    book = openpyxl.load_workbook(io.BytesIO(workbook({"a": [HEADER]})))
    book.epoch = CALENDAR_MAC_1904
    book["a"].append([datetime(2026, 3, 5, 22, 15), -84.5, 39.1, "Theft"])
    door.send("a.xlsx", saved(book))
    assert door.hours() == ["2026-03-05T22:15"]


def test_a_formula_without_its_value_is_refused_by_its_cell(door):
    sent = door.send("a.xlsx", workbook({"a": [HEADER, ["=NOW()", -84.5, 39.1, "Theft"]]}))
    assert sent.status == 422
    assert "A2" in sent.error
    assert "formula" in sent.error
    assert door.stored() == []


@pytest.mark.parametrize(("merged", "stored"), [("A2:A3", 0), ("A1:D1", 2), ("F2:F3", 2)])
def test_cells_merged_over_rows_are_refused_where_they_are_read(door, merged, stored):
    book = openpyxl.load_workbook(io.BytesIO(workbook({"a": [["Crimes"], *month(1)]})))
    sheet = book["a"]
    rows = {"A2:A3": "A3:A4", "A1:D1": "A1:D1", "F2:F3": "F3:F4"}
    sheet["F3"] = "note"
    sheet.merge_cells(rows[merged])
    sent = door.send("a.xlsx", saved(book))
    assert len(door.stored()) == stored
    if not stored:
        assert rows[merged] in sent.error
        assert "unmerge" in sent.error
