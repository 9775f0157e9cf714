"""A drop folder: each file is read once, when it is complete, and nothing outside the root is."""

import gzip
import os
from pathlib import Path

import openpyxl
import pytest
from pydantic import ValidationError

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.sync.connectors import drops, folder
from app.sync.connectors.folder import folder_pages, folder_parts
from app.sync.connectors.visit import Visit
from app.sync.service import add_source
from app.sync.spec import SourceSpec
from tests.support.services.portals import COLUMNS
from tests.sync.conftest import City

HEAD = "date,longitude,latitude,kind,nr\n"


def rows(*numbers: int) -> list[str]:
    return [
        f"2024-03-{n % 28 + 1:02d}T10:30,-79.4,{43.6 + n / 10_000:.4f},theft,{n}" for n in numbers
    ]


def csv_of(*numbers: int) -> bytes:
    return (HEAD + "\n".join(rows(*numbers)) + "\n").encode()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "drop" / "rms" / "daily").mkdir(parents=True)
    return tmp_path / "drop"


@pytest.fixture
def inbox(root):
    return root / "rms" / "daily"


@pytest.fixture
def drop_settings(sync_settings, root):
    return sync_settings.model_copy(update={"source_folder": root, "source_settle_s": 0.01})


@pytest.fixture
def dropped(engine, drop_settings):
    """A city that reads the drop folder."""

    def make(**more) -> City:
        spec = SourceSpec("folder", "folder:rms/daily", columns=COLUMNS, **more)
        return City(engine, drop_settings, spec)

    return make


def pages(root: Path, state=None, *, alive=lambda: None, url="folder:rms/daily", **settings):
    """[(file's name, bytes)] of a look, and the cursor after it."""
    known = {"source_folder": root, "source_settle_s": 0.01, **settings}
    spec = SourceSpec("folder", url, columns=COLUMNS)
    found, last = [], state or {}
    for page in folder_pages(Visit(Settings(**known), alive), spec, last):
        last = page.state
        if page.body is not None:
            found.append((page.name, b"".join(page.body)))
    return found, last


def test_each_file_is_read_once_whatever_its_name_or_time(dropped, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1, 2))
    city = dropped()
    first = city.sync()
    assert (first.status, first.metrics["accepted"]) == ("succeeded", 2)
    assert city.sync().metrics["received"] == 0
    os.utime(inbox / "a.csv", ns=(1, 1))
    (inbox / "a.csv").rename(inbox / "b.csv")
    again = city.sync()
    assert (again.metrics["received"], "read before" in again.message) == (0, True)
    (inbox / "b.csv").write_bytes(csv_of(2, 3, 4))
    assert city.sync().metrics["accepted"] == 2
    assert city.stored() == {"1": 1, "2": 1, "3": 1, "4": 1}
    full = city.sync(full=True)
    assert (full.metrics["received"], full.metrics["accepted"]) == (3, 0)


def test_formats_are_those_of_uploads(dropped, inbox):
    book = openpyxl.Workbook()
    for line in [HEAD.strip(), *rows(1, 2)]:
        book.active.append(line.split(","))
    book.save(inbox / "a.xlsx")
    (inbox / "b.csv.gz").write_bytes(gzip.compress(csv_of(3)))
    (inbox / "notes.pdf").write_bytes(b"%PDF")
    city = dropped()
    run = city.sync()
    assert (run.status, run.message) == ("succeeded", "files: 2 read")
    assert set(city.stored()) == {"1", "2", "3"}


def test_a_pattern_chooses_among_the_names(dropped, inbox):
    (inbox / "incidents-1.csv").write_bytes(csv_of(1))
    (inbox / "persons-1.csv").write_bytes(csv_of(2))
    city = dropped(dataset="incidents-*.csv")
    assert city.sync().status == "succeeded"
    assert set(city.stored()) == {"1"}


def test_a_file_that_still_grows_is_left_to_the_next_look(root, inbox):
    file = inbox / "a.csv"
    file.write_bytes(csv_of(1))

    def grow():
        with file.open("ab") as more:
            more.write(b"x")

    assert pages(root, alive=grow) == ([], {})
    whole = file.read_bytes()
    found, state = pages(root)
    assert found == [("a.csv", whole)]
    assert pages(root, state) == ([], state)


def test_a_file_that_changes_while_it_is_copied_is_left_too(root, inbox, monkeypatch):
    file = inbox / "a.csv"
    file.write_bytes(csv_of(*range(100)))
    monkeypatch.setattr(folder, "READ_BYTES", 500)
    calls = iter(range(1000))

    def alive():
        if next(calls) == 4:  # within the copy: one sign of life while waiting, one for the file
            file.write_bytes(csv_of(*range(100, 200)))

    assert pages(root, alive=alive) == ([], {})
    assert next(calls) > 4


@pytest.mark.parametrize("name", [".a.csv.Xy12", ".a.csv", "a.csv.part", "~$a.xlsx", "a.tmp", "a"])
def test_temporary_names_wait_for_their_final_one(root, inbox, name):
    (inbox / name).write_bytes(csv_of(1))
    assert pages(root) == ([], {})
    (inbox / name).rename(inbox / "final.csv")
    assert pages(root)[0] == [("final.csv", csv_of(1))]


def test_an_empty_file_waits(root, inbox):
    (inbox / "a.csv").touch()
    assert pages(root) == ([], {})


def test_links_pipes_and_folders_are_no_files(dropped, inbox, tmp_path):
    (tmp_path / "secret.csv").write_bytes(csv_of(9))
    (inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()
    (inbox / "a.csv").write_bytes(csv_of(1))
    city = dropped()
    assert city.sync().message == "files: 1 read, 3 refused, which are links or no files"
    assert set(city.stored()) == {"1"}


def test_a_file_that_becomes_a_link_before_it_is_opened_is_not_followed(root, inbox, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_bytes(csv_of(1))
    (inbox / "a.csv").write_bytes(csv_of(1))
    calls = iter(range(1000))

    def alive():
        if next(calls) == 1:  # after both looks
            (inbox / "a.csv").unlink()
            (inbox / "a.csv").symlink_to(secret)

    assert pages(root, alive=alive) == ([], {})


def test_a_folder_that_is_a_link_is_refused(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_bytes(csv_of(1))
    (root / "way").symlink_to(tmp_path / "elsewhere")
    for url in ("folder:way", "folder:missing"):
        with pytest.raises(SourceFailed, match="cannot be opened") as refused:
            pages(root, url=url)
        assert refused.value.code == "no_folder"


@pytest.mark.parametrize(
    "url",
    ["folder:..", "folder:rms/../..", "folder:", "folder:/etc", "folder://rms", "folder:rms//a",
     "folder:./rms", "folder:.ssh", "folder:a\nb", "file:///etc", "https://a.example/x",
     "folder:" + "/".join("a" * 11)],
)  # fmt: skip
def test_other_addresses_are_no_drop_folders(url):
    with pytest.raises(InvalidInput) as refused:
        folder_parts(url)
    assert refused.value.field == "url"


def test_without_the_setting_there_are_no_drop_folders(dropped, engine, settings, inbox):
    city = dropped()
    spec = SourceSpec("folder", "folder:rms/daily", columns=COLUMNS)
    with pytest.raises(InvalidInput, match="HOTSLOT_SOURCE_FOLDER") as refused:
        add_source(engine, settings, city.id, "other", spec)
    assert refused.value.code == "folder_not_allowed"
    (inbox / "a.csv").write_bytes(csv_of(1))
    run = city.sync(source_folder=None)
    assert (run.status, "HOTSLOT_SOURCE_FOLDER" in run.message) == ("failed", True)
    assert city.stored() == {}


@pytest.mark.parametrize("path", ["drop", "/", ""])
def test_the_root_is_an_absolute_folder(path):
    with pytest.raises(ValidationError, match="absolute path of a folder"):
        Settings(source_folder=path)


def test_a_file_that_cannot_be_read_is_named_and_the_earlier_ones_are_stored(dropped, inbox):
    (inbox / "a.csv").write_bytes(csv_of(1))
    (inbox / "b.parquet").write_bytes(b"no parquet at all")
    os.utime(inbox / "a.csv", (1, 1))
    city = dropped()
    run = city.sync()
    assert (run.status, "b.parquet: " in run.message) == ("failed", True)
    assert city.stored() == {"1": 1}
    (inbox / "b.parquet").unlink()
    assert (city.sync().status, city.stored()) == ("succeeded", {"1": 1})


def test_limits_on_bytes_and_entries(root, inbox, monkeypatch):
    (inbox / "a.csv").write_bytes(csv_of(*range(50)))
    with pytest.raises(SourceFailed, match=r"a\.csv is over 100 bytes"):
        pages(root, max_body_bytes=100)
    monkeypatch.setattr(drops, "MAX_FILES", 2)
    monkeypatch.setattr(folder, "MAX_FILES", 2)
    for n in range(3):
        (inbox / f"{n}.txt").touch()
    with pytest.raises(SourceFailed, match="over 2 entries"):
        pages(root)


def test_a_cursor_of_many_files_can_be_stored_and_forgets_the_oldest(monkeypatch):
    monkeypatch.setattr(drops, "MAX_FILES", 3)
    known, state = drops.Known({}), {}
    for n in range(5):
        state = known.with_file(drops.DroppedFile(f"{n}.csv", 1, n), f"{n}" * 64)
    assert [row[0] for row in state["files"]] == ["2.csv", "3.csv", "4.csv"]
    again = drops.Known(state)
    assert (again.has("4" * 64), again.has("0" * 64)) == (True, False)
    assert again.seen(drops.DroppedFile("4.csv", 1, 4))
