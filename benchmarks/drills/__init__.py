"""Faults and abuse, acted out against the real service: real processes, PostgreSQL and signals."""
