"""Faults and abuse, acted out against the real service: real processes, PostgreSQL and signals.

`make drills` runs them and rewrites docs/drills.md; `make test` does not collect them.
"""

from app.core.roles import sees_unreleased

sees_unreleased.set(True)
