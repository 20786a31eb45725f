"""`torch.autograd.gradcheck` and `gradgradcheck`, with steps that fit the function instead of one for all."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.autograd import gradcheck as original
from torch.autograd import gradgradcheck as original_of_second
from torch.autograd.gradcheck import GradcheckError

from harness.drop_in.settling import reasons, undecided, without_meaning
from harness.drop_in.tensors import Weighted, differentiable, every_output, random_like
from harness.verdict.report import Finding, Report

NAME, NAME_OF_SECOND = "torch.autograd.gradcheck", "torch.autograd.gradgradcheck"

APPROXIMATE = 1e-8
"""PyTorch's own functions are approximations, and so are their derivatives: what these are off by is none of the
caller's bugs, and values cannot tell whose it is."""

NUMBERS = ("eps", "atol", "rtol", "fast_mode")
"""What the originals take for their numerical Jacobians; all else that they take asks how autograd is used."""

ANY_NUMBERS = {"eps": 1e-30, "atol": float("inf"), "fast_mode": True}
"""With these the original has nothing to say of a derivative's numbers: steps of 1e-30 leave no domain."""


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
        Everything else that the original takes. Steps and tolerances are without meaning here, and handed on where the
        original has to decide; what asks for more than derivatives (`check_undefined_grad`, `check_grad_dtypes`,
        `check_batched_grad`) is answered by the original.

    Returns
    -------
    bool
        True; False for a wrong derivative where `raise_exception` is False.

    Raises
    ------
    GradcheckError
        When a derivative is wrong; the message is the report.
    """
    inputs = _as_tuple(inputs)
    options = {**options, "check_forward_ad": check_forward_ad, "check_backward_ad": check_backward_ad}
    ask = partial(original, func, inputs, nondet_tol=nondet_tol, raise_exception=raise_exception, **options)
    inspect.signature(original).bind(*ask.args, **ask.keywords)  # or TypeError, as the original raises it
    modes = check_backward_ad, check_forward_ad
    if not any(modes) or _is_refused_or_empty(inputs):
        return ask()
    without_meaning(NAME, **{name: value for name, value in options.items() if name in NUMBERS})
    masked = bool(options.get("masked"))
    return _settled(NAME, lambda: Weighted(func, inputs, differentiable, masked), modes, ask)


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, raise_exception: bool = True, **options: Any
) -> bool:
    """Check second derivatives: those of autograd's gradients, in the inputs and in the cotangents.

    Parameters, answer and errors are those of `gradcheck`; `grad_outputs` are the cotangents, random ones by default.
    """
    inputs = _as_tuple(inputs)
    ask = partial(original_of_second, func, inputs, grad_outputs, raise_exception=raise_exception, **options)
    every = inspect.signature(original_of_second).bind(*ask.args, **ask.keywords)
    every.apply_defaults()
    modes = every.arguments["check_rev_over_rev"], every.arguments["check_fwd_over_rev"]
    refused = not any(modes) or (every.arguments["check_undefined_grad"] and not modes[0])
    if refused or _is_refused_or_empty(inputs):
        return ask()
    without_meaning(NAME_OF_SECOND, **{name: value for name, value in options.items() if name in NUMBERS})

    def weighted() -> Weighted:
        outputs = every_output(func(*inputs))
        outputs = [outputs[k] for k in differentiable(outputs)]
        drawn = [v.to(y.dtype).requires_grad_() for v, y in zip(random_like(outputs, "cotangents"), outputs)]
        cotangents = tuple(drawn) if grad_outputs is None else _as_tuple(grad_outputs)
        gradients = _gradients(func, inputs)
        there = [k for k, g in enumerate(gradients(*inputs, *cotangents)) if g is not None]
        # one that has lost its graph counts, too: its second derivative is nothing, and ought to be something
        every_input, masked = (*inputs, *cotangents), every.arguments["masked"]
        chosen = lambda *given: [gradients(*given)[k] for k in there]  # noqa: E731
        return Weighted(chosen, every_input, _all_of_them, masked, "gradients")

    return _settled(NAME_OF_SECOND, weighted, modes, ask)


def _gradients(func: Callable[..., Any], inputs: tuple) -> Callable[..., tuple]:
    """func's gradients as a function of its inputs and the cotangents; None for an input that has no path."""
    places = [i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor) and x.requires_grad]

    def gradients(*given: Any) -> tuple:
        args, cotangents = list(given[: len(inputs)]), given[len(inputs) :]
        for i in places:  # which forward mode has taken out of any graph
            args[i] = args[i] if args[i].requires_grad else args[i].requires_grad_()
        outputs = every_output(func(*args))
        outputs = [outputs[k] for k in differentiable(outputs)]
        chosen = [args[i] for i in places]
        return torch.autograd.grad(outputs, chosen, cotangents, create_graph=True, allow_unused=True)

    return gradients


def _settled(name: str, weighted: Callable[[], Weighted], modes: tuple[bool, bool], ask: partial) -> bool:
    """What the originals answer and raise, by our reports in reverse and in forward mode."""
    try:
        checked = weighted()
        reports = [check() for check, wanted in zip((checked.check_backward, checked.check_forward), modes) if wanted]
    except (TypeError, ValueError, NotImplementedError) as reason:
        return undecided(name, f"{type(reason).__name__}: {reason}", ask, 4)
    for report in reports:
        if report.verdict == "disagree" and ask.keywords.get("nondet_tol", 0.0) > 0.0 and not report.findings:
            return undecided(name, reasons(report), ask, 4)  # it is not repeatable, as was said
        if report.findings and all(map(_slightly_off, report.findings)):
            return undecided(name, f"a derivative is off by less than {APPROXIMATE:.0e} of itself", ask, 4)
        if report.verdict == "disagree":
            return _refused(report, ask)
    undecided_ones = [report for report in reports if report.verdict == "inconclusive"]
    if doubts := [f"{reasons(report)} ({report.notes[-1]})" for report in undecided_ones]:
        return undecided(name, "; ".join(doubts), ask, 4)
    return _apart_from_numbers(ask)


def _refused(report: Report, ask: partial) -> bool:
    if ask.keywords["raise_exception"]:
        raise GradcheckError(str(report))
    return False


def _apart_from_numbers(ask: partial) -> bool:
    """What the original says of everything but the derivatives' numbers, which are right."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is not a double precision", category=UserWarning)
        return ask(**ANY_NUMBERS)


def _as_tuple(given: Any) -> tuple:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _all_of_them(outputs: Sequence[Any]) -> list[int]:
    return list(range(len(outputs)))


def _is_refused_or_empty(inputs: tuple) -> bool:
    """Whether the original refuses these inputs, or there is no derivative that could be undecided."""
    is_empty = bool(inputs) and all(isinstance(x, torch.Tensor) and not x.numel() for x in inputs)
    return is_empty or any(map(_overlaps_itself, inputs))


def _overlaps_itself(x: Any) -> bool:
    """Whether several entries of a tensor that requires a gradient are one number, so that none moves alone."""
    of_interest = isinstance(x, torch.Tensor) and x.requires_grad and x.layout == torch.strided
    return of_interest and any(not step and length > 1 for step, length in zip(x.stride(), x.shape))


def _slightly_off(finding: Finding) -> bool:
    return abs(finding.value - finding.expected) <= APPROXIMATE * abs(finding.expected)
