"""Settings of the served window flows and of the study's model: one implementation, two presets."""

from __future__ import annotations

from models.flows.flow import FlowSettings
from models.flows.minibatches import Ages, window_kernel
from models.flows.training_settings import TrainingSettings
from models.flows.windows import WindowSettings


def window_preset(n_restarts: int = 1) -> WindowSettings:
    """Independent flows per window, made fast and stable.

    They start from one city-wide flow, borrow from neighbouring hours and like days, stop early.
    """
    return WindowSettings(
        flow=FlowSettings(conditional="spline", n_blocks=2, hidden=(32, 32)),
        training=TrainingSettings(
            n_steps=100,
            batch_size=256,
            learning_rate=2e-3,
            warmup_steps=10,
            check_every=25,
            patience=2,
            ema=0.95,
        ),
        kernel=window_kernel(sd_hours=2.0, like_days=0.5, other_days=0.05),
        n_restarts=n_restarts,
        pooled=TrainingSettings(
            n_steps=500, batch_size=1024, learning_rate=5e-3, n_validation=2048
        ),
    )


def paper_preset(n_blocks: int = 5, width: int = 64, n_restarts: int = 1) -> WindowSettings:
    """The study's architecture: MADE blocks with batch normalisation, each window on its own.

    Args:
        n_blocks: 5 to 25 in the study.
        width: of the two hidden layers, up to 1024 in the study.
    """
    return WindowSettings(
        flow=FlowSettings(n_blocks=n_blocks, hidden=(width, width), normalisation="batchnorm"),
        training=TrainingSettings(
            n_steps=300,
            batch_size=256,
            learning_rate=1e-3,
            warmup_steps=1,
            clip_norm=1e9,
            ema=0.0,
            patience=5,
            defensive=0.0,
            n_restarts=0,
        ),
        kernel=window_kernel(sd_hours=0.0, like_days=0.0, other_days=0.0),
        n_restarts=n_restarts,
        ages=Ages(held_out_days=28.0),
    )
