"""Settings: where the home is, and for users without one (case 48: containers with any user id)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core import setting_values as module
from app.core.setting_values import default_home, temporary_home
from app.core.settings import Settings


def test_an_empty_home_is_refused_and_not_taken_for_the_working_directory(monkeypatch):
    monkeypatch.setenv("HOTSLOT_HOME", "")
    with pytest.raises(ValidationError, match="the home is empty"):
        Settings()
    monkeypatch.delenv("HOTSLOT_HOME")
    assert Settings().home == default_home()


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user id that passwd does not know, without HOME; temporary files in a folder of the test."""
    for name in ("HOME", "XDG_DATA_HOME", "HOTSLOT_HOME", "HOTSLOT_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(module.os, "geteuid", lambda: 54321)

    def nobody(_uid):
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    return tmp_path


URL = "postgresql://db.example/hotslot"


def test_a_user_without_a_home_needs_a_database_or_a_folder(homeless, monkeypatch):
    with pytest.raises(ValidationError, match="set HOTSLOT_HOME to a folder"):
        Settings()
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", URL)
    assert Settings().home == temporary_home() == homeless / "hotslot-54321"
    monkeypatch.setenv("HOTSLOT_HOME", str(homeless / "mine"))
    assert Settings().home == homeless / "mine"


def test_a_home_that_cannot_be_written_gives_way_when_there_is_a_database(homeless, monkeypatch):
    monkeypatch.setenv("HOTSLOT_HOME", "/proc/nowhere")
    assert str(Settings().home) == "/proc/nowhere", "its own database says what is wrong"
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", URL)
    monkeypatch.setattr(
        module.os, "access", lambda path, mode, **_: (mode, str(path)) == (os.F_OK, "/proc")
    )
    assert Settings().home == homeless / "hotslot-54321"


def test_a_home_in_a_closed_folder_gives_way_too(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir(mode=0)
    monkeypatch.setenv("HOTSLOT_HOME", str(tmp_path / "closed" / "inner" / "home"))
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", URL)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(54321)
    try:
        made, expected = Settings(), temporary_home()
    finally:
        if is_root:
            os.seteuid(0)
    assert made.home == expected


def test_a_temporary_folder_of_somebody_else_is_refused(homeless, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", URL)
    temporary_home().mkdir()  # by the user who runs the tests
    with pytest.raises(ValidationError, match="belongs to another user"):
        Settings()


@pytest.mark.slow
def test_the_command_line_says_it_in_one_line(tmp_path):
    """Without a traceback: Python itself cannot find a home for this user."""
    code = (
        "import os, pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "os.geteuid = lambda: 54321\n"
        "from app.cli import main\n"
        "import sys\n"
        "sys.argv = ['hotslot', 'region', 'list']\n"
        "main()\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path.cwd()),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "HOTSLOT_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
