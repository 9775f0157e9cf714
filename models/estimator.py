"""What every estimator shares, by scikit-learn's conventions: parameters, text, refusal before `fit`."""

from __future__ import annotations

import inspect
from typing import Any, Self


class NotFittedError(ValueError, AttributeError):
    """An estimator was used before `fit`.

    Both a `ValueError` and an `AttributeError`, as scikit-learn's is, so that `hasattr` works.
    """


class ConvergenceWarning(UserWarning):
    """An iterative fit ended at its limit of steps, not because it had converged."""


class Estimator:
    """Base class: `__init__` stores its arguments under their names, and fitted state ends in `_`.

    See Also:
        scikit-learn, "Developing scikit-learn estimators".
    """

    def get_params(self) -> dict[str, Any]:
        """Return the arguments of `__init__` by name, as they were given.

        >>> from models.catalog import create_model
        >>> create_model("pooled-kde", bandwidth_m=80.0).get_params()
        {'bandwidth_m': 80.0, 'n_folds': 3}
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def clone(self) -> Self:
        """Return a new, unfitted estimator with the same parameters."""
        return type(self)(**self.get_params())

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"

    def __getattr__(self, name: str) -> Any:
        # Called only for what is missing: fitted state is, until `fit`.
        if name.endswith("_") and not name.startswith("_"):
            raise NotFittedError(
                f"{type(self).__name__} is not fitted: call fit before using {name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
