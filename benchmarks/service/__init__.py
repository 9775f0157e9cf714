"""Benchmarks of the service: ingest, reads, replies, page, sizes."""
