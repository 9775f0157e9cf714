"""Title rows, separators, decimal commas and encodings of text files (case 20)."""

import codecs
import re

import pytest

NAMED = re.compile(r"(?:cp|euc_|gb|big|koi|windows-|mac_)[\w-]+")
SAME = {"gbk", "euc_kr"}
"""Named by encodings that contain them, gb18030 and cp949."""
ROW = "2026-03-05;22:15;{};4,601;-74,08\n"
HEADER = "FECHA;HORA;CONDUCTA;LATITUD;LONGITUD\n"
BODY = HEADER + ROW.format("HURTO")


def place(door):
    (stored,) = door.stored()
    return stored["occurred_at"][:16], stored["category"], stored["latitude"], stored["longitude"]


RIGHT = ("2026-03-05T22:15", "HURTO", 4.601, -74.08)
TITLES = {
    "none": ("", 1, []),
    "two and a blank line": ("DELITOS 2026\nFuente: Policia, 2026; preliminar\n\n", 4, ["1-3"]),
    "one": ("Crimes, city of X\n", 2, ["1"]),
    "a separator": ("sep=;\n", 2, []),
    "both": ("sep=;\nDELITOS\n", 3, ["2"]),
    "byte-order mark": ("\ufeffDELITOS\n", 2, ["1"]),
}


@pytest.mark.parametrize("title", TITLES)
def test_the_header_is_found_under_titles(door, title):
    above, row, aside = TITLES[title]
    sent = door.send("titled.csv", above + BODY)
    assert place(door) == RIGHT
    read = sent.body["read"]
    assert (read["format"], read["delimiter"], read["header_row"]) == ("csv", ";", row)
    assert [one["name"] for one in read["not_read"] if one["kind"] == "rows"] == aside


def test_a_header_row_is_obeyed(door):
    body = HEADER + "2026-01-01;01:00;X;1;1\n" + HEADER + ROW.format("HURTO")
    sent = door.send("a.csv", body, header_row=3)
    assert place(door) == RIGHT
    assert sent.body["read"]["header_row"] == 3
    sent = door.send("a.csv", body, header_row=2)
    assert sent.status == 422
    assert "header" in sent.error
    assert door.send("a.csv", body, header_row=90).status == 422


def test_titles_without_a_header_are_refused_with_the_way_out(door):
    sent = door.send("a.csv", "DELITOS 2026\nFuente: Policia\n1;2;3\n4;5;6\n")
    assert sent.status == 422
    assert "header_row=" in sent.error
    assert "columns=" in sent.error


def test_the_nearest_header_is_named(door):
    sent = door.send("a.csv", "Crimes by month\n\nMonth,Longitude,Latitude\n2026-05,-84.5,39.1\n")
    assert sent.status == 422
    assert "row 3" in sent.error
    assert "hour" in sent.error


def test_mapped_names_are_found_under_titles(door):
    body = "Crimes\nOffice\nD|T|K|LA|LO\n2026-03-05|22:15|HURTO|4.601|-74.08\n"
    columns = ["occurred_at=D+T", "category=K", "latitude=LA", "longitude=LO"]
    assert door.send("a.csv", body, columns=columns).body["read"]["delimiter"] == "|"
    assert place(door) == RIGHT


def test_a_quoted_decimal_comma_between_commas(door):
    door.send("a.csv", 'datetime,type,lat,lon\n2026-03-05 22:15,HURTO,"4,601","-74,08"\n')
    assert place(door) == RIGHT


KINDS = {
    "cp932": "自転車盗",
    "gbk": "入室盗窃",
    "big5": "汽車竊盜",
    "euc_kr": "절도",
    "windows-1255": "שוד מזוין",
    "windows-1251": "Грабёж",
    "windows-1256": "سطو مسلح",
    "windows-1253": "Ληστεία",
    "windows-1250": "Włamanie",
    "windows-1254": "Hırsızlık",
    "koi8-r": "Разбой",
    "cp437": "Lesión",
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", KINDS)
def test_a_foreign_encoding_is_refused_until_it_is_named(door, encoding):
    raw = (HEADER + ROW.format(KINDS[encoding])).encode(encoding)
    sent = door.send("a.csv", raw)
    assert sent.status == 422
    assert "encoding=" in sent.error
    assert (
        codecs.lookup(encoding).name
        in {codecs.lookup(n).name for n in NAMED.findall(sent.error)} | SAME
    )
    assert door.stored() == []
    sent = door.send("a.csv", raw, encoding=encoding)
    assert door.stored()[0]["category"] == KINDS[encoding]
    assert sent.body["read"]["encoding"]


@pytest.mark.parametrize(
    "kind", ["Lesión", "Riña «d’été»", "Überfall", "Vol à l’étalage", "Création", "10 €"]
)
def test_windows_1252_is_said(door, kind):
    sent = door.send("a.csv", (HEADER + ROW.format(kind)).encode("cp1252"))
    assert door.stored()[0]["category"] == kind
    read = sent.body["read"]
    assert read["encoding"] == "windows-1252"
    (assumption,) = [one for one in read["assumptions"] if one["code"] == "not_utf8"]
    assert "encoding=" in assumption["message"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_read(door, encoding):
    sent = door.send("a.csv", (HEADER + ROW.format("자転車 é")).encode(encoding))
    assert door.stored()[0]["category"] == "자転車 é"
    assert sent.body["read"]["encoding"].replace("-sig", "") in encoding.replace("-sig", "")
    assert sent.body["read"]["assumptions"] == []


def test_a_wrong_encoding_is_refused(door):
    sent = door.send("a.csv", (HEADER + ROW.format("Lesión")).encode("cp1252"), encoding="utf-8")
    assert sent.status == 422
    assert "utf-8" in sent.error
    assert "encoding=" in sent.error
