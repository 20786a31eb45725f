"""`torch.autograd.gradcheck` and `gradgradcheck`, with steps that fit the function in place of a fixed one."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.autograd import gradcheck as original
from torch.autograd import gradgradcheck as original_of_second
from torch.autograd.gradcheck import GradcheckError

from harness.drop_in.fallback import (
    LIBRARY_ACCURACY,
    NothingToCheck,
    Result,
    fail,
    let_original_decide,
    log_notes,
    settle,
    stated_accuracy,
)
from harness.drop_in.line_looks import look
from harness.drop_in.reported_function import largest_of
from harness.drop_in.torch_function import TensorFunction, every_output, input_names, random_like
from harness.drop_in.torch_rules import batching_faults, functions_behind, is_of_library, notes_on
from harness.drop_in.whole_checks import check_unconfirmed
from harness.facts.kinds import Kind
from harness.verdict.report import Report

NAME, NAME_OF_SECOND = "torch.autograd.gradcheck", "torch.autograd.gradgradcheck"

SIGNATURE, SIGNATURE_OF_SECOND = inspect.signature(original), inspect.signature(original_of_second)

MORE = ("check_undefined_grad", "check_grad_dtypes", "check_batched_grad", "check_batched_forward_grad", "nondet_tol")
"""Options of the originals that check more than derivatives. The first is on by default, and is run here where a rule
is written in Python: only such a rule can meet an undefined gradient."""

TOLERANCES = {"atol": 1e-5, "rtol": 1e-3}
"""The originals' defaults; a wider one is the accuracy that the caller asks for."""

NUMBERS = ("eps", "atol", "rtol", "fast_mode")
"""Options of the originals for their numerical Jacobians; the others say what to check."""

ANY_NUMBERS = {"eps": 1e-30, "atol": 1e300}
"""With these the original accepts any finite derivative, and answers for the rest. Steps of 1e-30 leave no domain. An
infinite tolerance would be NaN for an empty tensor, whose size 0 multiplies it; 1e300 · 0 is 0."""

SCATTER_FACTOR = 16.0
"""Two calls show what many would scatter by to within such a factor: two that happen to be close say little."""

BLINDING_SCATTER = 1e-9
"""A scatter of values by so much is one of 1e-3, their tolerance, in the originals' differences: their step is 1e-6."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    raise_exception: bool = True,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    nondet_tol: float = 0.0,
    **options: Any,
) -> bool:
    """Check autograd's derivatives of func in all inputs that require a gradient.

    Parameters
    ----------
    func : callable
        Of tensors; answers a tensor or a tuple of tensors.
    inputs : tensor or tuple
        Of any floating or complex type, in single precision, too.
    raise_exception, check_forward_ad, check_backward_ad
        As the original takes them.
    nondet_tol, options
        Everything else that the original takes. A tolerance wider than its default is the accuracy of the derivatives.
        Steps and narrower tolerances are only handed on where the original has to decide. What checks more than
        derivatives (`check_undefined_grad`, `check_grad_dtypes`, `check_batched_grad`) is run by the original.

    Returns
    -------
    bool
        True; False for a wrong derivative where `raise_exception` is False.

    Raises
    ------
    GradcheckError
        When a derivative is wrong; the message is the report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    inputs = _as_tuple(inputs)
    options = {**options, "check_forward_ad": check_forward_ad, "check_backward_ad": check_backward_ad}
    ask = partial(original, func, inputs, nondet_tol=nondet_tol, raise_exception=raise_exception, **options)
    SIGNATURE.bind(*ask.args, **ask.keywords)  # or TypeError, as the original raises it
    modes = check_backward_ad, check_forward_ad
    # Whatever the original refuses, it refuses itself, in its own words.
    if not any(modes) or _is_refused_or_empty(inputs):
        return ask()
    names, masked = input_names(func, len(inputs)), bool(options.get("masked"))
    return _settled(NAME, partial(TensorFunction, func, inputs, names, masked=masked), modes, ask)


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, raise_exception: bool = True, **options: Any
) -> bool:
    """Check second derivatives: those of autograd's gradients, in the inputs and in the cotangents.

    Parameters, answer and errors are those of `gradcheck`; `grad_outputs` are the cotangents, random ones by default.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    inputs = _as_tuple(inputs)
    ask = partial(original_of_second, func, inputs, grad_outputs, raise_exception=raise_exception, **options)
    every = SIGNATURE_OF_SECOND.bind(*ask.args, **ask.keywords)
    every.apply_defaults()
    modes = every.arguments["check_rev_over_rev"], every.arguments["check_fwd_over_rev"]
    refused = not any(modes) or (every.arguments["check_undefined_grad"] and not modes[0])
    if refused or _is_refused_or_empty(inputs):
        return ask()

    def of_gradients() -> TensorFunction:
        """The gradients in the inputs as a function of inputs and cotangents, without those that are always None."""
        outputs = [y for y in every_output(func(*inputs)) if y.requires_grad]
        drawn = [random_like(y, f"cotangents {k}").requires_grad_() for k, y in enumerate(outputs)]
        cotangents = tuple(drawn) if grad_outputs is None else _as_tuple(grad_outputs)
        gradients = _gradients(func, inputs)
        places = [k for k, g in enumerate(gradients(*inputs, *cotangents)) if g is not None]
        if not places:
            raise NothingToCheck
        return TensorFunction(
            lambda *given: [g for k, g in enumerate(gradients(*given)) if k in places],
            (*inputs, *cotangents),
            [*input_names(func, len(inputs)), *(f"grad_outputs_{k}" for k in range(len(cotangents)))],
            masked=every.arguments["masked"],
            output_name="gradients",
            primal_size=sum(float((v * y).detach().abs().sum()) for v, y in zip(cotangents, outputs)),
        )

    return _settled(NAME_OF_SECOND, of_gradients, modes, ask)


def _gradients(func: Callable[..., Any], inputs: tuple) -> Callable[..., tuple]:
    """func's gradients as a function of its inputs and the cotangents; None for an input that has no path."""
    places = [i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor) and x.requires_grad]

    def gradients(*given: Any) -> tuple:
        args, cotangents = list(given[: len(inputs)]), given[len(inputs) :]
        for i in places:  # in forward mode, a tangent's primal comes without a graph
            args[i] = args[i] if args[i].requires_grad else args[i].requires_grad_()
        outputs = [y for y in every_output(func(*args)) if y.requires_grad]
        chosen = [args[i] for i in places]
        return torch.autograd.grad(outputs, chosen, cotangents, create_graph=True, allow_unused=True)

    return gradients


def _settled(name: str, function_of: Callable[[], TensorFunction], modes: tuple[bool, bool], ask: partial) -> bool:
    """What an original answers and raises, by this check in reverse and in forward mode."""
    __tracebackhide__ = True  # pytest shows the caller's line
    allowed_scatter = ask.keywords.get("nondet_tol", 0.0)

    def refuse(report: Report) -> bool:
        __tracebackhide__ = True  # pytest shows the caller's line
        # With a nondet_tol, "not repeatable" is no mistake: the original measures whether it is within that.
        if allowed_scatter > 0.0 and not report.findings and report.reasons[0].kind == Kind.NOT_REPEATABLE:
            return let_original_decide(name, ask, report.reasons)
        if ask.keywords["raise_exception"]:
            fail(GradcheckError, report)
        return False

    numbers = {key: value for key, value in ask.keywords.items() if key in NUMBERS}
    accuracy = stated_accuracy(name, numbers, TOLERANCES)
    rules: list[type] = []  # behind the outputs, once these are known

    def look_and_check() -> Iterator[Result]:
        function = function_of()
        rules.extend(functions_behind(function.outputs))
        notes = notes_on(function, rules)  # from the rules alone, whatever the derivatives are
        log_notes(name, notes)
        chosen = [mode for mode, is_asked in zip(("reverse", "forward"), modes) if is_asked]
        for result in _results(function, chosen, accuracy, allowed_scatter, rules):
            yield result._replace(report=result.report and result.report.with_facts(*notes))

    def check_the_rest() -> bool:
        asks_more = rules or any(ask.keywords.get(option) for option in MORE)
        return _apart_from_numbers(ask) if asks_more else True

    return settle(name, ask, look_and_check, refuse=refuse, accept=check_the_rest)


def _results(
    function: TensorFunction, modes: Sequence[str], accuracy: float, allowed_scatter: float, rules: Sequence[type]
) -> Iterator[Result]:
    """The results on all derivatives that no look accepts.

    A function of coarse inputs is checked in double precision if it is the same function there, to `nearness`: in
    float32, differences show errors above some 1e-3 alone.
    """
    of_library, faults = all(map(is_of_library, rules)), batching_faults(function, rules)
    accuracy = max(accuracy, LIBRARY_ACCURACY) if of_library else accuracy
    if function.is_coarse and (wide := function.in_double(modes)):
        function, accuracy = wide, max(accuracy, function.nearness)
    looks = look(function, modes, accuracy, faults)
    # A caller's nondet_tol allows for scatter, as of sums by atomic additions on a GPU: derivatives are compared within
    # it. Scatter beyond it is judged by the whole check, which calls it not repeatable.
    scattered = looks.scatter * largest_of(looks.reported.gradient)
    is_allowed = scattered <= allowed_scatter
    accuracy = max(accuracy, SCATTER_FACTOR * looks.scatter if is_allowed else 0.0)
    is_blind = function.is_coarse or (is_allowed and scattered > BLINDING_SCATTER)
    return check_unconfirmed(function, looks, accuracy, rules_of_library=of_library, is_blind=is_blind)


def _apart_from_numbers(ask: partial) -> bool:
    """What the original says of all that its caller asks for but the derivatives' numbers, which are right."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is not a double precision", category=UserWarning)
        # its fast mode gives one cotangent to two calls, which a rule may change in place
        return ask(**{**ANY_NUMBERS, "fast_mode": True, "raise_exception": False}) or ask(**ANY_NUMBERS)


def _as_tuple(given: Any) -> tuple:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _is_refused_or_empty(inputs: tuple) -> bool:
    """Whether the original refuses these inputs, or there is no derivative that could be undecided."""
    is_empty = bool(inputs) and all(isinstance(x, torch.Tensor) and not x.numel() for x in inputs)
    return is_empty or any(map(_overlaps_itself, inputs))


def _overlaps_itself(x: Any) -> bool:
    """Whether entries of a tensor that requires a gradient share memory, as after `expand`: none moves alone then."""
    of_interest = isinstance(x, torch.Tensor) and x.requires_grad and x.layout == torch.strided
    return of_interest and any(not step and length > 1 for step, length in zip(x.stride(), x.shape))
