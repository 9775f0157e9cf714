"""Zip archives: which members are data, which are about them, and when that must be said."""

import io
import zipfile

import pytest

from app.core.errors import InvalidInput, LimitExceeded
from app.readers.blocks import Block
from app.readers.files import archives
from app.readers.files.archives import zip_reader
from app.readers.files.delimited import read_csv
from tests.support.file_reading import blocks_of, rows_of

HEAD = "date,time,longitude,latitude,category\n"
ABOUT = "Crimes of the city, licence CC BY\nsee https://example.org\n"


def text(kind="theft"):
    return f"{HEAD}2024-03-01,22:05,-74.06,4.65,{kind}\n"


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return out.getvalue()


def csv_reader(file, context):
    return read_csv(iter(lambda: file.read(1 << 16), b""), context.options)


READ = zip_reader(dict.fromkeys((".csv", ".txt", ".parquet"), csv_reader))


def read(members, **options):
    return blocks_of(READ, zipped(members), **options)


def kinds(blocks: list[Block]):
    return [row["category"] for row in rows_of(blocks)]


def aside(blocks):
    return {one.name: one.reason for one in blocks[0].plan.reading.not_read}


def test_all_files_of_one_format_are_read_in_the_order_of_their_names():
    blocks = read({"b/2.csv": text("b2"), "a/1.csv": text("a1"), "b/1.csv": text("b1")})
    assert kinds(blocks) == ["a1", "b1", "b2"]
    assert [block.plan.reading.file for block in blocks] == ["a/1.csv", "b/1.csv", "b/2.csv"]


def test_files_about_the_data_and_of_systems_are_left_aside():
    members = {
        "data.csv": text(),
        "README.txt": ABOUT,
        "data_dictionary.csv": "name,meaning\ndate,day\n",
        "picture.png": "x",
        "__MACOSX/._data.csv": "x",
        ".DS_Store": "x",
        "folder/": "",
    }
    blocks = read(members)
    assert kinds(blocks) == ["theft"]
    assert aside(blocks) == dict.fromkeys(
        ("README.txt", "data_dictionary.csv", "picture.png"), "no_incidents"
    )


def test_a_table_of_incidents_is_read_even_if_it_is_called_after_its_licence():
    assert kinds(read({"licence_crimes.txt": text("a"), "data.csv": text("b")})) == ["b", "a"]
    assert kinds(read({"readme.csv": text("alone")})) == ["alone"]


def test_archives_in_an_archive_are_unpacked_once():
    inner = zipped({"x.csv": text("inner"), "y.zip": zipped({"z.csv": text("deep")})})
    blocks = read({"march.zip": inner, "april.csv": text("outer")})
    assert kinds(blocks) == ["outer", "inner"]
    assert blocks[1].plan.reading.file == "march.zip/x.csv"


def test_police_archives_give_their_crimes_alone():
    members = {f"2024-03-force-{what}.csv": text(what) for what in ("street", "outcomes")}
    assert kinds(read(members)) == ["street"]


@pytest.mark.parametrize(
    ("part", "wanted"),
    [("a/1.csv", ["a1"]), ("1.csv", ["a1", "b1"]), ("b/*", ["b1", "b2"]), ("*2.csv", ["b2"])],
)
def test_a_part_is_a_name_a_last_name_or_a_pattern(part, wanted):
    members = {f"{name[0]}/{name[1]}.csv": text(name) for name in ("a1", "b1", "b2")}
    blocks = read(members, part=part)
    assert kinds(blocks) == wanted
    assert set(aside(blocks).values()) <= {"not_asked"}
    assert len(aside(blocks)) == 3 - len(wanted)


def test_a_part_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(InvalidInput, match=r"no data file 'may\.csv'; it holds a\.csv, b\.csv"):
        read({"a.csv": text(), "b.csv": text()}, part="may.csv")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"a.csv": text(), "b.parquet": "x"},
            r"it holds a\.csv, b\.parquet; name those to read by part=",
        ),
        ({"a.shp": "", "b.shp": ""}, r"it holds a\.shp, b\.shp; name those"),
        ({"a.csv": text(), "b.shp": ""}, "one format or one shapefile"),
        ({"x.png": ""}, r"it holds x\.png$"),
        ({}, "it holds none$"),
    ],
)
def test_what_is_ambiguous_or_nothing_is_refused_with_the_names(members, message):
    with pytest.raises(InvalidInput, match=message) as refused:
        read(members)
    assert refused.value.code == "archive"


def test_an_error_names_its_file_where_there_are_several():
    with pytest.raises(InvalidInput) as refused:
        read({"a.csv": text(), "b.csv": "date,kind\n2024-03-01,x\n"})
    assert refused.value.message.startswith("b.csv: ")
    assert refused.value.message.endswith("name the files to read by part=")
    with pytest.raises(InvalidInput) as alone:
        read({"b.csv": "date,kind\n2024-03-01,x\n"})
    assert not alone.value.message.startswith("b.csv")


def test_numbers_of_files_are_limited_read_and_listed(monkeypatch):
    members = {f"{k}.csv": "" for k in range(archives.MAX_MEMBERS + 1)}
    with pytest.raises(LimitExceeded, match=r"1001 files, the limit of an archive is 1000"):
        read(members)
    monkeypatch.setattr(archives, "MAX_LISTED", 3)
    few = {"a.csv": text(), "a.png": "", "b.png": ""}
    assert kinds(read(few)) == ["theft"]
    with pytest.raises(LimitExceeded, match="4 files, the limit of an archive is 3"):
        read({**few, "c.png": ""})


def test_members_expand_together_within_one_limit():
    members = {f"{k}.csv": HEAD + "x" * 600_000 for k in range(2)}
    with pytest.raises(LimitExceeded, match="implausible"):
        read(members, max_expansion=1)


def test_what_is_no_archive_is_said_to_be_none():
    with pytest.raises(InvalidInput, match="not a readable zip archive"):
        blocks_of(READ, b"PK\x03\x04 not really")
