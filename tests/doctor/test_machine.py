"""The home's modes, full disks, and databases of homes that are gone."""

import os

import pytest

from app.core.settings import Settings
from app.doctor import machine
from app.doctor.findings import finding
from app.doctor.machine import check_disks, check_home, check_lost_clusters


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


def settings_on(home, **values):
    return Settings(home=home, database_url="postgresql://nobody@127.0.0.1/none", **values)


def found(check, home, **values):
    return {
        (e.message.code, e.message.params.get("path")) for e in check(settings_on(home, **values))
    }


def test_a_closed_home_and_one_that_is_not_there_are_fine(home):
    assert found(check_home, home) == set()
    assert found(check_home, home / "later") == set()


def test_what_others_can_read_is_named(home):
    beat, lock = home / "worker.beat", home / "postgres.lock"
    for path in (beat, lock):
        path.touch(mode=0o600)
    beat.chmod(0o644)
    home.chmod(0o755)
    assert found(check_home, home) == {("home_open", str(home)), ("file_open", str(beat))}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_files_of_another_user_and_a_home_that_is_closed(home):
    lock = home / "postgres.lock"
    lock.touch(mode=0o600)
    for path in home.parents:
        if not path.stat().st_mode & 0o001:
            path.chmod(0o755)
    settings = settings_on(home)

    def seen_by_nobody():
        os.seteuid(65534)
        try:
            return {each.message.code for each in check_home(settings)}
        finally:
            os.seteuid(0)

    os.chown(home, 65534, 65534)
    assert seen_by_nobody() == {"lock_not_ours"}
    os.chown(home, 0, 0)
    home.chmod(0o711)
    assert "home_not_writable" in seen_by_nobody()


def test_a_disk_is_low_before_it_is_full(home, monkeypatch):
    reserve = 256 << 20
    for free, code in ((reserve - 1, "disk_full"), (2 * reserve, "disk_low"), (5 * reserve, None)):
        usage = (10 * reserve, 0, free)
        monkeypatch.setattr(
            machine.shutil, "disk_usage", lambda _, u=usage: type("U", (), {"free": u[2]})
        )
        codes = {code for code, _ in found(check_disks, home / "not" / "there", max_body_bytes=1)}
        assert codes - {"inodes_low"} == ({code} if code else set())


def test_a_temporary_folder_too_small_for_an_upload(home):
    assert "temporary_folder_small" in {
        c for c, _ in found(check_disks, home, max_body_bytes=1 << 50)
    }


def test_databases_of_homes_that_are_gone(home, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT_CLUSTERS", tmp_path / "clusters")
    for name, of in (("gone", tmp_path / "gone"), ("there", home)):
        (tmp_path / "clusters" / name).mkdir(parents=True)
        (tmp_path / "clusters" / name / "home").write_text(str(of))
    lost = list(check_lost_clusters(settings_on(home)))
    path, gone = str(tmp_path / "clusters" / "gone"), str(tmp_path / "gone")
    assert lost == [finding("cluster_lost", path=path, home=gone)]
