"""`hotslot doctor`: a line for each finding, JSON, and its exit status."""

import json

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli import doctor as command
from app.doctor.findings import DOCTOR_FINDINGS, ERRORS, NOTES, WARNINGS, finding


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ([], 0),
        (["database_is_replica", "no_workers"], 2),
        (["no_workers"], 1),
    ],
)
def test_the_status_is_that_of_the_worst_finding(monkeypatch, codes, status):
    monkeypatch.setattr(command, "examine", lambda _: [finding(code) for code in codes])
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == status
    lines = done.stdout.splitlines()
    assert len(lines) == max(1, len(codes))
    for line, code in zip(lines, codes, strict=False):
        assert line.endswith(f"[{code}]")
    as_json = CliRunner().invoke(app, ["doctor", "--json"])
    assert as_json.exit_code == status
    found = json.loads(as_json.stdout)["findings"]
    assert [each["code"] for each in found] == codes
    assert all(set(each) == {"level", "code", "params", "message"} for each in found)


def test_notes_do_not_fail(monkeypatch):
    note = finding("unused_stored", n=3)
    monkeypatch.setattr(command, "examine", lambda _: [note])
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "nothing is wrong with what was checked"


def test_settings_that_cannot_be_read_are_findings(monkeypatch):
    monkeypatch.setenv("HOTSLOT_PORT", "harbour")
    monkeypatch.setenv("HOTSLOT_WORKRES", "2")
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 2
    codes = [each["code"] for each in json.loads(done.stdout)["findings"]]
    assert codes == ["setting_invalid", "misspelt_setting"]
    assert "harbour" not in done.stdout


def test_each_code_has_one_level():
    assert len(DOCTOR_FINDINGS.templates) == len(ERRORS) + len(WARNINGS) + len(NOTES)
