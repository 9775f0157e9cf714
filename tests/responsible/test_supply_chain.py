"""What `make check` says of packages and of our own tree can fail."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("supply_chain", ROOT / ".ci" / "supply_chain.py")
supply_chain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supply_chain)


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
