"""The base class of all estimators, after scikit-learn's conventions."""

from __future__ import annotations

import inspect
from typing import Any, Self


class NotFittedError(ValueError, AttributeError):
    """Raised when an estimator is used before `fit`.

    Like scikit-learn's, it is both a `ValueError` and an `AttributeError`, so that `hasattr` works.
    """


class ConvergenceWarning(UserWarning):
    """Issued when an iterative fit reaches its maximum number of steps without converging."""


class Estimator:
    """Base class: `__init__` stores its arguments under their names; fitted attributes end in `_`.

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
        # Called only for missing attributes, which fitted ones are until `fit`.
        if name.endswith("_") and not name.startswith("_"):
            raise NotFittedError(
                f"{type(self).__name__} is not fitted: call fit before using {name}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
