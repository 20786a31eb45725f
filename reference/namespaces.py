"""Array namespaces: one formula, several arithmetics.

An activation or a loss is written once, as ``value(xp, z)``, over a namespace `xp` that has NumPy's functions plus
`erf` and `logsumexp`, which NumPy lacks. `NUMPY` serves float64 arrays and every array type that implements NumPy's
protocols, as this project's arrays with errors, tangents or increments do. JAX, complex numbers and balls have
namespaces of their own, beside the oracle that uses them.
"""

from types import ModuleType
from typing import Any

import numpy as np


class Namespace:
    """The functions of `module`, with some replaced or added."""

    def __init__(self, name: str, module: ModuleType, **functions: Any):
        self.name = name
        self._module = module
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        try:
            self.__dict__[name] = function = getattr(self._module, name)  # found at once the next time
            return function
        except AttributeError:
            raise AttributeError(
                f"the array namespace {self.name!r} has no function {name!r}; it has what {self._module.__name__} has, "
                "and erf and logsumexp"
            ) from None

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"


def _erf(z: Any) -> Any:
    from scipy.special import erf  # here, because `import harness` stays light

    return erf(z)


def _logsumexp(z: Any) -> Any:
    """log Σ exp(z) over the last axis, which is kept with length one."""
    # the shift is a plain number: it cancels, so its own error or increment is of no consequence
    value = z
    while hasattr(value, "companion"):  # a Tangent may hold a Rounded
        value = value.value
    # log Σ exp(z) = c + log Σ exp(z - c) for any c; the largest z keeps exp from overflowing
    shift = value.max(axis=-1, keepdims=True)
    return shift + np.log(np.sum(np.exp(z - shift), axis=-1))[..., np.newaxis]


NUMPY = Namespace("numpy", np, erf=_erf, logsumexp=_logsumexp)
