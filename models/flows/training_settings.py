"""How flows are trained: settings, where points come from, what comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.flows.flow import Flow


class Source(Protocol):
    """Where members' minibatches come from.

    `n_uniforms` numbers in (0, 1) make one point; `log_defensive` (M,) is the log density of the
    defensive component in the points' coordinates.
    """

    n_uniforms: int
    log_defensive: Tensor

    def draw(
        self, members: Tensor, uniforms: Tensor, *, held_out: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Points of members (m,) from uniforms (m, B, U).

        Args:
            held_out: draw from the latest weeks instead of those before them.

        Returns:
            (m, B, D) points, (m, B, C) context or None.
        """
        ...


@dataclass(frozen=True)
class TrainingSettings:
    """How members are trained.

    Args:
        n_steps: of the cosine schedule.
        batch_size: points of a member in one step.
        learning_rate: of AdamW at its height.
        warmup_steps: of linear growth.
        clip_norm: bound of each member's gradient norm.
        ema: decay of the averaged weights that are judged and kept; 0 takes the weights as they
            are.
        check_every: steps between looks at the held-out score.
        patience: looks without improvement after which a member stops.
        n_validation: held-out points of a look.
        defensive: share of the defensive component (Hesterberg 1995), in training and use.
        chunk: members trained together; None: 16 on a CPU (its caches), all on CUDA.
        n_restarts: fresh starts of a member that diverged, each at a third of the learning rate.
        constant_rate: no warm-up, no cosine.
    """

    n_steps: int = 600
    batch_size: int = 256
    learning_rate: float = 6e-3
    warmup_steps: int = 40
    weight_decay: float = 0.0
    clip_norm: float = 5.0
    ema: float = 0.98
    check_every: int = 50
    patience: int = 4
    n_validation: int = 512
    defensive: float = 0.02
    chunk: int | None = None
    n_restarts: int = 1
    constant_rate: bool = False

    def rate(self, step: int) -> float:
        """Learning rate: warm-up, then cosine."""
        if self.constant_rate:
            return self.learning_rate
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / self.n_steps))


@dataclass
class TrainingResult:
    """The members at their best looks.

    `score` and `initial_score` (M,) mean held-out nats at the best look and before the first step;
    `n_steps` (M,) steps to the best look; `n_diverged` (M,) starts that diverged. A member whose
    last start diverged stands at its best look before that, at worst where it began.
    """

    flow: Flow
    score: Tensor
    initial_score: Tensor
    n_steps: Tensor
    n_diverged: Tensor


def defended(log_p: Tensor, log_defensive: Tensor, share: float) -> Tensor:
    """Log of (1 - share) p + share q, for log p (m, B) and log q (m,)."""
    if share <= 0:
        return log_p
    other = (log_defensive + math.log(share))[:, None]
    return torch.logaddexp(log_p + math.log1p(-share), other)
