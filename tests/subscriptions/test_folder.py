"""Files below the administrator's folder only, whole or not at all, under the delivery's id."""

from __future__ import annotations

import json
import threading

import pytest

from app.core.errors import InvalidInput
from app.subscriptions.failures import PushFailed
from app.subscriptions.folder import folder_of, write_files


@pytest.mark.slow
def test_files_of_the_chosen_formats(office):
    formats = ["pdf", "json", "geojson", "csv", "gpx", "gpkg"]
    office.subscribe("files", "folder", formats=formats)
    sent_id = office.test("files")
    assert office.send().delivered == 1
    folder = office.folder / "shift" / "desk"
    files = sorted(folder.iterdir())
    assert sorted(f.suffix[1:] for f in files) == sorted(formats)
    assert all(f.name.startswith("town-") and sent_id in f.name for f in files)
    # Whoever reads the administrator's folder reads what is in it.
    assert {f.stat().st_mode & 0o777 for f in files} == {0o640}
    assert folder.stat().st_mode & 0o777 == 0o750
    (told,) = folder.glob("*.json")
    assert json.loads(told.read_bytes())["id"] == sent_id
    (again,) = folder.glob("*.geojson")
    assert json.loads(again.read_bytes())["type"] == "FeatureCollection"


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_tried_again(office):
    office.subscribe("files", "folder")
    office.test("files")
    (office.folder / "shift").write_text("in the way")
    assert office.send(push_backoff_s=600.0).failed == 1
    (waiting,) = office.deliveries("files")
    assert (waiting["state"], waiting["failure"]["code"]) == ("waiting", "push_folder")
    (office.folder / "shift").unlink()
    office.sql("UPDATE deliveries SET next_at = now()")
    assert office.send().delivered == 1
    assert len(list((office.folder / "shift" / "desk").iterdir())) == 2


def test_a_reader_of_the_folder_sees_whole_files_only(settings, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    allowed = settings.model_copy(update={"push_folder": root})
    content, seen, done = b"x" * (8 << 20), set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(len(f.read_bytes()) for f in root.glob("desk/*.bin"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(20):
        write_files("desk", allowed, {"a.bin": content})
    done.set()
    watcher.join()
    assert seen <= {len(content)}
    assert [f.name for f in (root / "desk").iterdir()] == ["a.bin"]


def test_a_link_out_of_the_folder_is_refused(settings, tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "desk").symlink_to(outside)
    allowed = settings.model_copy(update={"push_folder": root})
    for address in ("desk", "desk/more"):
        with pytest.raises(InvalidInput, match="leads out"):
            folder_of(address, allowed)
        with pytest.raises(PushFailed, match="leads out"):
            write_files(address, allowed, {"a": b""})
    assert list(outside.iterdir()) == []


def test_the_administrators_folder_must_exist(settings, tmp_path):
    allowed = settings.model_copy(update={"push_folder": tmp_path / "missing"})
    with pytest.raises(PushFailed, match="cannot be written"):
        write_files("desk", allowed, {"a": b""})
    for work in (folder_of, lambda a, s: write_files(a, s, {})):
        with pytest.raises((InvalidInput, PushFailed), match="HOTSLOT_PUSH_FOLDER"):
            work("desk", settings.model_copy(update={"push_folder": None}))
