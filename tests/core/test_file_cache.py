"""The cache in files: what is damaged is refused, what is too much goes fairly, and failures stay outside."""

import logging
import os
import stat
import threading
import time

import pytest

from app.core.caching import file_cache
from app.core.caching.file_cache import IDLE_S, RETRY_S, FileCache


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "replies"


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_another_process_finds_what_one_has_put_in_private_files(folder):
    FileCache(folder, 1 << 20).put("1-0-0", "a", b"content")
    assert FileCache(folder, 1 << 20).get("1-0-0", "a") == b"content"
    assert FileCache(folder, 1 << 20).get("2-0-0", "a") is None
    (file,) = files_of(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, file.parent)} == {0o700}


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-1], lambda b: b[:40], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])],
)
def test_damaged_and_truncated_files_are_refused_and_deleted(folder, damage):
    cache = FileCache(folder, 1 << 20)
    cache.put("1", "a", b"content" * 9)
    (file,) = files_of(folder)
    file.write_bytes(damage(file.read_bytes()))
    assert cache.get("1", "a") is None
    assert files_of(folder) == []


def test_a_file_under_another_name_or_owner_is_refused(folder):
    cache = FileCache(folder, 1 << 20)
    cache.put("1", "a", b"of one")
    cache.put("2", "b", b"of two")
    (folder / "1" / "a").replace(folder / "2" / "a")
    (folder / "2" / "b").replace(folder / "2" / "c")
    assert cache.get("2", "a") is None
    assert cache.get("2", "c") is None


def test_a_link_is_not_followed(folder, tmp_path):
    cache = FileCache(folder, 1 << 20)
    cache.put("1", "a", b"content")
    (folder / "1" / "a").rename(tmp_path / "elsewhere")
    (folder / "1" / "a").symlink_to(tmp_path / "elsewhere")
    assert cache.get("1", "a") is None


def test_the_owner_with_the_most_loses_what_it_used_longest_ago(folder):
    cache = FileCache(folder, 1 << 20)
    for number in range(9):
        cache.put("flood", str(number), bytes(1_000))
        os.utime(folder / "flood" / str(number), (0, time.time() - 1_000 + number))
    cache.put("quiet", "one", bytes(1_000))
    os.utime(folder / "quiet" / "one", (0, time.time() - 2_000))
    cache.limit_bytes = 5_200
    cache.sweep({"flood", "quiet"})
    assert cache.get("quiet", "one") is not None
    kept = [number for number in range(9) if cache.get("flood", str(number)) is not None]
    assert kept == [5, 6, 7, 8]


def test_a_sweep_deletes_what_is_nobodys_or_idle_or_left_behind(folder, tmp_path):
    cache = FileCache(folder, 1 << 20)
    for owner, name in [("1", "new"), ("1", "old"), ("gone", "a")]:
        cache.put(owner, name, b"content")
    (folder / "1" / "9-9.tmp").write_bytes(b"half")
    for name, age_s in [("old", IDLE_S), ("9-9.tmp", RETRY_S)]:
        os.utime(folder / "1" / name, (0, time.time() - age_s - 1))
    (folder / "link").symlink_to(tmp_path)
    cache.sweep({"1"})
    assert [path.name for path in files_of(folder)] == ["new"]
    assert not (folder / "gone").exists()
    assert not (folder / "link").is_symlink()
    assert tmp_path.exists()


def test_owners_are_dropped_by_how_they_begin(folder):
    cache = FileCache(folder, 1 << 20)
    for owner in ("1-0", "1-7", "11-0"):
        cache.put(owner, "a", b"content")
    cache.drop("1-")
    assert [path.name for path in folder.iterdir()] == ["11-0"]
    cache.drop()
    assert list(folder.iterdir()) == []


def test_a_process_writes_a_part_of_the_limit_between_two_sweeps(folder):
    cache = FileCache(folder, 8 * 10_000)
    for number in range(20):
        cache.put("1", str(number), bytes(1_000))
    assert len(files_of(folder)) == 9
    cache.sweep({"1"})
    cache.put("1", "20", bytes(1_000))
    assert cache.get("1", "20") is not None


def test_a_failing_disk_is_said_once_and_nothing_is_half_written(folder, monkeypatch, caplog):
    cache = FileCache(folder, 1 << 20)
    cache.put("1", "before", b"content")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_cache.os, "fdopen", full)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            monkeypatch.setattr(cache, "_no_writes_until_s", 0.0)
            cache.put("1", str(number), b"content")
    monkeypatch.undo()
    assert [record.message for record in caplog.records] == [
        "the shared cache cannot be written; serving goes on without it"
    ]
    assert [path.name for path in files_of(folder)] == ["before"]
    assert cache.get("1", "before") == b"content"


def test_a_folder_that_cannot_be_made_and_a_full_disk_stop_writing(folder, caplog):
    folder.parent.mkdir()
    folder.write_bytes(b"a file where the folder should be")
    cache = FileCache(folder, 1 << 20)
    cache.put("1", "a", b"content")
    cache.sweep({"1"})
    assert cache.get("1", "a") is None
    folder.unlink()
    folder.mkdir()
    full = FileCache(folder, 1 << 20, reserve_bytes=1 << 62)
    full.sweep({"1"})
    full.put("1", "a", b"content")
    assert files_of(folder) == []
    assert len(caplog.records) == 2


def test_without_bytes_there_is_no_cache(folder):
    FileCache(folder, 1 << 20).put("1", "a", b"content")
    none = FileCache(folder, 0)
    none.put("1", "b", b"content")
    assert none.get("1", "a") is None
    none.sweep({"1"})
    assert files_of(folder) == []


def test_threads_and_caches_that_put_get_and_sweep_at_once_never_see_half_a_file(folder):
    caches = [FileCache(folder, 300_000) for _ in range(2)]
    wrong, until_s = [], time.monotonic() + 0.5

    def work(number):
        cache, turn = caches[number % 2], 0
        while time.monotonic() < until_s:
            turn += 1
            name = str(turn % 7)
            cache.put("1", name, name.encode() * 2_000)
            found = cache.get("1", name)
            if found not in (None, name.encode() * 2_000):
                wrong.append(found)
            if turn % 20 == number:
                cache.sweep({"1"} if turn % 40 else set())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
