"""The study of PyTorch's operators: a drop-in beside the original, on the samples of PyTorch's own gradient tests.

The samples come from `torch.testing._internal.common_methods_invocations.op_db`, which needs the package `expecttest`.
"""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.exit_codes import InconclusiveGradient
from harness.progress import Progress, silent
from harness.study.checkers import ALARM, PASS
from harness.study.study_display import trial_table
from harness.study.trials import RIGHT, Case, Response, Study, conduct

SCHEMA = "harness.study.operators/1"

DTYPES = ("float64", "complex128")

LARGEST = 400  # samples with more numbers than this are left out: a slow Jacobian of theirs takes minutes


class Mode(NamedTuple):
    """A mode of differentiation: what an operator has to support, and what a checker is asked."""

    supported: str
    second: bool
    options: dict[str, bool]


MODES = {
    "reverse": Mode("supports_autograd", False, {"check_undefined_grad": True}),
    "forward": Mode("supports_forward_ad", False, {"check_forward_ad": True, "check_backward_ad": False}),
    "second": Mode("supports_gradgrad", True, {"check_undefined_grad": False}),
    "forward over reverse": Mode(
        "supports_fwgrad_bwgrad",
        True,
        {"check_undefined_grad": False, "check_fwd_over_rev": True, "check_rev_over_rev": False},
    ),
}


class Operator(NamedTuple):
    """An operator in one type and mode."""

    name: str
    dtype: str
    mode: str

    def samples(self) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
        """Functions of those inputs that require a gradient, and these inputs; drawn anew, and the same each time."""
        torch, operator = import_module("torch"), _operators()[self.name]
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  PyTorch's samples draw from it
        for sample in operator.sample_inputs("cpu", getattr(torch, self.dtype), requires_grad=True):
            function, inputs = _of_differentiated(operator, sample)
            if inputs and sum(x.numel() for x in inputs) <= LARGEST:
                yield function, inputs

    def options(self) -> dict[str, Any]:
        """What PyTorch's own tests ask of a checker."""
        operator = _operators()[self.name]
        asked = {"check_grad_dtypes": True, "fast_mode": operator.gradcheck_fast_mode is not False}
        return {**asked, "nondet_tol": operator.gradcheck_nondet_tol, **MODES[self.mode].options}


def operator_cases(step: int = 1) -> Iterator[Case]:
    """One in `step` operators, drawn at random, in all types and modes that it supports."""
    torch, every = import_module("torch"), list(_operators().items())
    chosen = sorted(np.random.default_rng(0).permutation(len(every))[: math.ceil(len(every) / step)].tolist())
    for name, operator in (every[k] for k in chosen):
        supported = operator.supported_backward_dtypes("cpu") if operator.supports_autograd else ()
        dtypes = [dtype for dtype in DTYPES if getattr(torch, dtype) in supported]
        modes = [mode for mode, needs in MODES.items() if getattr(operator, needs.supported)]
        for dtype, mode in product(dtypes, modes):
            yield Case(f"{name}, {dtype}, {mode}", RIGHT, Operator(name, dtype, mode))


@cache
def _operators() -> dict[str, Any]:
    try:
        database = import_module("torch.testing._internal.common_methods_invocations").op_db
    except ImportError as error:
        raise ValueError(f"PyTorch's operator database needs {error.name}: pip install torch expecttest") from None
    return {f"{op.name}.{op.variant_test_name}".rstrip("."): op for op in database}


def _of_differentiated(operator: Any, sample: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The operator as a function of the tensors that require a gradient, wherever they are among its arguments."""
    first = [*sample.input] if isinstance(sample.input, (list, tuple)) else [sample.input]
    every = [*first, *sample.args, *sample.kwargs.values()]
    places = [i for i, x in enumerate(every) if getattr(x, "requires_grad", False) is True]

    def function(*inputs: Any) -> Any:
        given = list(every)
        for i, x in zip(places, inputs):
            given[i] = x
        head, rest = given[: len(first)], given[len(first) :]
        named = dict(zip(sample.kwargs, rest[len(sample.args) :]))
        whole = type(sample.input)(head) if isinstance(sample.input, (list, tuple)) else head[0]
        output = operator.gradcheck_wrapper(operator.op, whole, *rest[: len(sample.args)], **named)
        return sample.output_process_fn_grad(output) if sample.output_process_fn_grad else output

    return function, tuple(every[i] for i in places)


# -- the run -----------------------------------------------------------------------------------------------------------

SAMPLES = 4  # of each operator, so many samples are checked

QUICK = {"step": 60, "samples": 1}

FELL_BACK = "asked the original"  # what a trial says where a drop-in warned that it could not decide


class OperatorChecker(NamedTuple):
    """A checker of first derivatives, such as `gradcheck`, and its own of second ones."""

    first: Callable[..., bool]
    second: Callable[..., bool]


def run_study(
    progress: Progress = silent,
    *,
    step: int = 1,
    samples: int = SAMPLES,
    store: Path | None = None,
    checkers: Mapping[str, OperatorChecker],
) -> Study:
    """Show one in `step` operators of PyTorch to the checkers; with a store, what it holds is not done again."""
    responses = {name: partial(_respond, checker, samples) for name, checker in checkers.items()}
    parts, size = {"operators": operator_cases(step)}, {"samples": samples}
    return conduct(SCHEMA, parts, responses, progress, store=store, size=size, naming="decided")


def _respond(checker: OperatorChecker, samples: int, case: Case) -> Response:
    """Whether all samples of an operator pass."""
    operator: Operator = case.subject
    check = checker.second if MODES[operator.mode].second else checker.first
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        passes = all(
            check(function, inputs, raise_exception=False, **operator.options())
            for function, inputs in islice(operator.samples(), samples)
        )
    fell_back = any(issubclass(warning.category, InconclusiveGradient) for warning in warned)
    return Response(PASS if passes else ALARM, FELL_BACK if fell_back else "")


# -- as text -----------------------------------------------------------------------------------------------------------


def table_of(study: Study) -> str:
    """A row for each checker, and each operator on which they differ."""
    differ = [
        f"  {case}: {', '.join(f'{checker} {outcome}' for checker, outcome in outcomes.items())}"
        for case, outcomes in disagreements(study).items()
    ]
    return trial_table(study, differ and ["They differ on", *differ])


def disagreements(study: Study) -> dict[str, dict[str, str]]:
    """By case, the outcome of each checker, where these differ."""
    by_case: dict[str, dict[str, str]] = {}
    for trial in study.trials:
        by_case.setdefault(trial.case, {})[trial.checker] = trial.outcome
    return {case: outcomes for case, outcomes in by_case.items() if len(set(outcomes.values())) > 1}
