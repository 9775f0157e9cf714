"""Random numbers as a function of (member, step, place), equal in any batch and on any device.

With a stateful generator, a member's draws would depend on its batch and device. Hashing a counter
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") makes a member's fit depend on its
own key only, and needs no synchronisation with the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer, like the two below
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB
_MANTISSA_BITS = 24


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Shift logically; torch's operator shifts arithmetically."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """Apply the finaliser of splitmix64 (Steele et al. 2014), wrapping around on overflow."""
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def member_keys(seed: int, members: Tensor) -> Tensor:
    """Return int64 keys (M,) of members (M,) under a seed."""
    return _mix(_mix(members.to(torch.int64) + 1) * _GOLDEN + seed)


def hashed_uniform(keys: Tensor, step: int | Tensor, n: int) -> Tensor:
    """Return float32 numbers (M, n), uniform in (0, 1), for keys (M,) and a step.

    >>> keys = member_keys(0, torch.arange(3))
    >>> bool((hashed_uniform(keys, 5, 4)[1:2] == hashed_uniform(keys[1:2], 5, 4)).all())
    True
    """
    place = torch.arange(n, dtype=torch.int64, device=keys.device)
    # The step is mixed in before the place, so that they cannot be confused.
    offset = step * _GOLDEN
    if isinstance(offset, int):  # wrap around like the device
        offset = (offset + 2**63) % 2**64 - 2**63
    row = _mix(keys + offset)
    bits = _shift_right(_mix(row[:, None] + place * _GOLDEN), 64 - _MANTISSA_BITS)
    uniform = (bits.to(torch.float32) + 0.5) * 2.0**-_MANTISSA_BITS
    return uniform.clamp(max=1 - 2.0**-_MANTISSA_BITS)  # the largest would round to one


class InitialDraws:
    """Successive draws for the initial weights of members with the given keys (M,)."""

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self.step = -1

    def __len__(self) -> int:
        return len(self.keys)

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 numbers (M, *shape), uniform in (-1, 1)."""
        n = 1
        for size in shape:
            n *= size
        self.step -= 1
        return (2 * hashed_uniform(self.keys, self.step, n) - 1).reshape(len(self.keys), *shape)
