"""An autodiff cross-check research harness: is this hand-written gradient right?

Everything in `__all__` is imported when it is first used: `import harness` itself loads neither JAX nor matplotlib nor
Hypothesis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness import strategies as strategies
    from harness.assertions import assert_gradients_agree as assert_gradients_agree
    from harness.cases import load_case as load_case
    from harness.cases import save_case as save_case
    from harness.conjugate_gradients import fmincg as fmincg
    from harness.cross_checking import cross_check as cross_check
    from harness.digits import load_digits as load_digits
    from harness.faults import FAULTS as FAULTS
    from harness.gate import GateClosed as GateClosed
    from harness.gradient_checking import check_gradient as check_gradient
    from harness.many import check_networks as check_networks
    from harness.random_problems import random_problem as random_problem
    from harness.report import Report as Report
    from harness.sources import SOURCES as SOURCES
    from harness.training import TrainingResult as TrainingResult
    from harness.training import predict as predict
    from harness.training import train as train
    from reference.activations import ACTIVATIONS as ACTIVATIONS
    from reference.activations import Activation as Activation
    from reference.activations import register as register
    from reference.measured import NotApplicable as NotApplicable
    from reference.network import Network as Network
    from reference.problem import Problem as Problem

__version__ = "0.1.0"

_HOMES = {
    "ACTIVATIONS": "reference.activations",
    "Activation": "reference.activations",
    "FAULTS": "harness.faults",
    "GateClosed": "harness.gate",
    "Network": "reference.network",
    "NotApplicable": "reference.measured",
    "Problem": "reference.problem",
    "Report": "harness.report",
    "SOURCES": "harness.sources",
    "TrainingResult": "harness.training",
    "assert_gradients_agree": "harness.assertions",
    "check_gradient": "harness.gradient_checking",
    "check_networks": "harness.many",
    "cross_check": "harness.cross_checking",
    "fmincg": "harness.conjugate_gradients",
    "load_case": "harness.cases",
    "load_digits": "harness.digits",
    "predict": "harness.training",
    "random_problem": "harness.random_problems",
    "register": "reference.activations",
    "save_case": "harness.cases",
    "train": "harness.training",
}

__all__ = [*_HOMES, "strategies"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("harness.strategies")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
