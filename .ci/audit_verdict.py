"""What pip-audit's JSON says of the locked packages, in one line: `audit_verdict.py REPORT N_LOCKED`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def verdict(report: str, n_locked: int) -> tuple[int, str]:
    """Exit status and the words: 1 for a known vulnerability, 0 otherwise, reached or not."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, f"pip-audit: NOT AUDITED, no answer from its database (0 of {n_locked} packages)"
    answered = [d for d in dependencies if "skip_reason" not in d]
    faults = [
        f"{d['name']} {d['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or '-'}"
        for d in answered
        for found in d.get("vulns", [])
    ]
    if faults:
        return 1, "\n".join(["pip-audit: known vulnerabilities", *faults])
    if not answered:
        return 0, (
            f"pip-audit: NOT AUDITED, its database knows none of the {n_locked} locked packages "
            "(a mirror without advisories?)"
        )
    unknown = n_locked - len(answered)
    more = f", {unknown} NOT AUDITED (unknown to its database)" if unknown > 0 else ""
    return (
        0,
        f"pip-audit: database reached, {len(answered)} of {n_locked} without a known fault{more}",
    )


if __name__ == "__main__":
    status, words = verdict(Path(sys.argv[1]).read_text(encoding="utf-8"), int(sys.argv[2]))
    print(words)
    sys.exit(status)
