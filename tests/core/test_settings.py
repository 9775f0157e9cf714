"""Settings: an empty home is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.core.settings import Settings, default_home


def test_an_empty_home_is_refused_and_not_taken_for_the_working_directory(monkeypatch):
    monkeypatch.setenv("HOTSLOT_HOME", "")
    with pytest.raises(ValidationError, match="the home is empty"):
        Settings()
    monkeypatch.delenv("HOTSLOT_HOME")
    assert Settings().home == default_home()
