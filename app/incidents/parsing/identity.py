"""Deduplication keys (128 bits) of incidents."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from app.incidents.parsing.rules import ParsedBlock


def _mixed(state: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply one step of splitmix64's finaliser to state ^ word (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = (state ^ word) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def dedup_keys(block: ParsedBlock) -> NDArray[np.bytes_]:
    """Return (n,) keys of 32 hex digits; rows with equal keys are the same incident.

    With an external id, that id; otherwise time, place to 1e-7 degrees and category. Two lanes of 64
    bits, mixed word by word, so a billion rows collide with a probability below 1e-20.
    """
    kinds = block.category if block.hashed is None else block.hashed
    names, inverse = np.unique(kinds.astype(str), return_inverse=True)
    digests = [hashlib.blake2b(n.encode(), digest_size=16).digest() for n in names]
    named = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)[inverse]
    words = (
        block.time_s.astype(np.uint64),
        np.round(block.longitude * 1e7).astype(np.int64).astype(np.uint64),
        np.round(block.latitude * 1e7).astype(np.int64).astype(np.uint64),
    )
    lanes = np.empty((len(block.row), 2), ">u8")
    for lane, seed in enumerate((0x686F74736C6F7431, 0x686F74736C6F7432)):
        state = np.full(len(block.row), seed, np.uint64)
        for word in (*words, named[:, lane]):
            state = _mixed(state, word)
        lanes[:, lane] = state
    keys = np.frombuffer(lanes.tobytes().hex().encode(), "S32").copy()
    for row in np.flatnonzero(block.external_id != np.array(None)):
        text = f"external\x00{block.external_id[row]}".encode()
        keys[row] = hashlib.blake2b(text, digest_size=16).hexdigest().encode()
    return keys
