"""An autodiff cross-check research harness: is this hand-written gradient right?

Everything in `__all__` is imported when it is first used: `import harness` itself loads neither JAX nor matplotlib nor
Hypothesis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autodiff_cross_check import require_own_packages

if TYPE_CHECKING:
    from harness import strategies as strategies
    from harness.assertions import assert_derivatives_agree as assert_derivatives_agree
    from harness.assertions import assert_gradients_agree as assert_gradients_agree
    from harness.assertions import assert_hessian_agrees as assert_hessian_agrees
    from harness.assertions import assert_jacobian_agrees as assert_jacobian_agrees
    from harness.checks.activations.activation_check import check_activation as check_activation
    from harness.checks.functions.gradient_check import check_gradient as check_gradient
    from harness.checks.functions.jacobian_check import check_hessian as check_hessian
    from harness.checks.functions.jacobian_check import check_jacobian as check_jacobian
    from harness.checks.networks.case_files import load_case as load_case
    from harness.checks.networks.case_files import save_case as save_case
    from harness.checks.networks.many_networks import check_networks as check_networks
    from harness.checks.networks.network_check import cross_check as cross_check
    from harness.checks.networks.random_problems import random_problem as random_problem
    from harness.checks.traced.derivative_check import check_derivatives as check_derivatives
    from harness.digits.digits_data import load_digits as load_digits
    from harness.sources.bug_zoo import BUGS
    from harness.sources.source_table import SOURCES as SOURCES
    from harness.training.fmincg import fmincg as fmincg
    from harness.training.gated_training import GateClosed as GateClosed
    from harness.training.gated_training import TrainingResult as TrainingResult
    from harness.training.gated_training import predict as predict
    from harness.training.gated_training import train as train
    from harness.verdict.report import Report as Report
    from reference.activations import ACTIVATIONS as ACTIVATIONS
    from reference.activations import Activation as Activation
    from reference.activations import register as register
    from reference.measured import NotApplicable as NotApplicable
    from reference.network import Network as Network
    from reference.problem import Problem as Problem

    FAULTS = BUGS

__version__ = "1.0.0rc1"

require_own_packages()  # `reference` may be somebody else's

_HOMES = {
    "ACTIVATIONS": "reference.activations",
    "Activation": "reference.activations",
    "FAULTS": "harness.sources.bug_zoo:BUGS",
    "GateClosed": "harness.training.gated_training",
    "Network": "reference.network",
    "NotApplicable": "reference.measured",
    "Problem": "reference.problem",
    "Report": "harness.verdict.report",
    "SOURCES": "harness.sources.source_table",
    "TrainingResult": "harness.training.gated_training",
    "assert_derivatives_agree": "harness.assertions",
    "assert_gradients_agree": "harness.assertions",
    "assert_hessian_agrees": "harness.assertions",
    "assert_jacobian_agrees": "harness.assertions",
    "check_activation": "harness.checks.activations.activation_check",
    "check_derivatives": "harness.checks.traced.derivative_check",
    "check_gradient": "harness.checks.functions.gradient_check",
    "check_hessian": "harness.checks.functions.jacobian_check",
    "check_jacobian": "harness.checks.functions.jacobian_check",
    "check_networks": "harness.checks.networks.many_networks",
    "cross_check": "harness.checks.networks.network_check",
    "fmincg": "harness.training.fmincg",
    "load_case": "harness.checks.networks.case_files",
    "load_digits": "harness.digits.digits_data",
    "predict": "harness.training.gated_training",
    "random_problem": "harness.checks.networks.random_problems",
    "register": "reference.activations",
    "save_case": "harness.checks.networks.case_files",
    "train": "harness.training.gated_training",
}

__all__ = [*_HOMES, "strategies"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("harness.strategies")
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    require_own_packages()  # another `reference` may have been imported since
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
