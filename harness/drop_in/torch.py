"""`torch.autograd.gradcheck` and `gradgradcheck`, with steps that fit the function instead of one for all.

Outputs are added up with random weights, so that one cost carries all of them: a wrong entry of the Jacobian is wrong
in its gradient, but for weights that have probability zero.
"""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.autograd import gradcheck as original
from torch.autograd import gradgradcheck as original_of_second
from torch.autograd.gradcheck import GradcheckError

from harness.checks.functions.gradient_checking import check_gradient
from harness.drop_in.settling import reasons, undecided, without_meaning
from harness.verdict.report import Finding

NAME = "torch.autograd.gradcheck"

APPROXIMATE = 1e-8
"""PyTorch's own functions are approximations, and so are their derivatives: what these are off by is none of the
caller's bugs, and values cannot tell whose it is."""

FORWARD_ENTRIES = 300  # inputs up to which forward mode, which takes one pass for each, is checked


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
        Everything else that the original takes: without meaning here, and handed on where the original has to decide.

    Returns
    -------
    bool
        True; False for a wrong derivative where `raise_exception` is False.

    Raises
    ------
    GradcheckError
        When a derivative is wrong; the message is the report.
    """
    without_meaning(NAME, **options)
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    handed_on = {"check_forward_ad": check_forward_ad, "check_backward_ad": check_backward_ad, "nondet_tol": nondet_tol}
    ask_original = partial(original, func, inputs, raise_exception=raise_exception, **handed_on, **options)
    if not (check_forward_ad or check_backward_ad) or any(map(_overlaps_itself, inputs)):
        return ask_original()  # which refuses
    if inputs and all(isinstance(x, torch.Tensor) and not x.numel() for x in inputs):
        return ask_original()  # there is no derivative that could be undecided
    try:
        checked = _Weighted(func, inputs)
        reports = [check_gradient(checked.cost, checked.theta)] if check_backward_ad else []
        if check_forward_ad:
            reports.append(check_gradient(checked.value, checked.theta, gradient=checked.pushed_forward))
    except (TypeError, ValueError, NotImplementedError) as reason:
        return undecided(NAME, f"{type(reason).__name__}: {reason}", ask_original)
    for report in reports:
        if report.verdict == "disagree" and nondet_tol > 0.0 and not report.findings:
            return undecided(NAME, reasons(report), ask_original)  # it is not repeatable, as was said
        if report.findings and all(map(_slightly_off, report.findings)):
            return undecided(NAME, f"a derivative is off by less than {APPROXIMATE:.0e} of itself", ask_original)
        if report.verdict == "disagree":
            if raise_exception:
                raise GradcheckError(str(report))
            return False
    if doubts := [reasons(report) for report in reports if report.verdict == "inconclusive"]:
        return undecided(NAME, "; ".join(doubts), ask_original)
    return True


def _overlaps_itself(x: Any) -> bool:
    """Whether several entries of a tensor that requires a gradient are one number, so that none moves alone."""
    of_interest = isinstance(x, torch.Tensor) and x.requires_grad and x.layout == torch.strided
    return of_interest and any(not step and length > 1 for step, length in zip(x.stride(), x.shape))


def _slightly_off(finding: Finding) -> bool:
    return abs(finding.value - finding.expected) <= APPROXIMATE * abs(finding.expected)


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, raise_exception: bool = True, **options: Any
) -> bool:
    """Check second derivatives: those of autograd's gradients, in the inputs and in the cotangents.

    Parameters, answer and errors are those of `gradcheck`; `grad_outputs` are the cotangents, random ones by default.
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = [output.detach() for output in _differentiable(func(*inputs))]
    if grad_outputs is None:
        cotangents = tuple(weights.requires_grad_() for weights in _random_like(outputs))
    else:
        cotangents = tuple(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
    if options.get("check_fwd_over_rev") or not options.get("check_rev_over_rev", True):
        ask_original = partial(original_of_second, func, inputs, grad_outputs, raise_exception=raise_exception)
        return undecided(NAME, "forward over reverse mode is not checked here", partial(ask_original, **options))
    nothing_here = ("gen_non_contig_grad_outputs", "check_fwd_over_rev", "check_rev_over_rev")
    options = {name: value for name, value in options.items() if name not in nothing_here}

    def gradients(*all_inputs: Any) -> tuple[Any, ...]:
        given = all_inputs[: len(inputs)]
        chosen = [x for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        found = torch.autograd.grad(
            _differentiable(func(*given)), chosen, all_inputs[len(inputs) :], create_graph=True, allow_unused=True
        )
        return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(chosen, found))

    return gradcheck(gradients, (*inputs, *cotangents), raise_exception=raise_exception, **options)


class _Weighted:
    """A function's outputs, added up with random weights: a real cost of real tensors.

    Attributes
    ----------
    theta : list of tensors that require a gradient
        The inputs that do; a complex one by its real and imaginary parts, along a last axis.
    """

    def __init__(self, func: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.func, self.inputs = func, inputs
        self.places = [i for i, x in enumerate(inputs) if isinstance(x, torch.Tensor) and x.requires_grad]
        if not self.places:
            raise ValueError("no input requires a gradient; set requires_grad=True on those to check")
        chosen = [inputs[i].detach() for i in self.places]
        if any(x.layout != torch.strided for x in chosen):
            raise TypeError("sparse inputs cannot be checked here")
        self.is_complex = [x.is_complex() for x in chosen]
        reals = [torch.view_as_real(x) if x.is_complex() else x for x in chosen]
        self.theta = [x.clone().requires_grad_() for x in reals]
        outputs = _differentiable(func(*inputs))
        if not outputs:
            raise ValueError("no output depends on an input that requires a gradient")
        self.weights = _random_like(outputs)

    def cost(self, theta: Sequence[Any]) -> Any:
        """Re Σ w·output, with autograd's graph."""
        given = list(self.inputs)
        for i, x, double in zip(self.places, theta, self.is_complex):
            given[i] = torch.view_as_complex(x) if double else x
        outputs = _differentiable(self.func(*given), like=self.weights)
        return sum(
            (w.conj() * y).real.sum() if w.is_complex() else (w * y).sum() for w, y in zip(self.weights, outputs)
        )

    def value(self, theta: Sequence[Any]) -> float:
        """The same as a number."""
        return float(self.cost([x.detach() for x in theta]))

    def pushed_forward(self, theta: Sequence[Any]) -> list[Any]:
        """The gradient of the cost by forward mode, one pass for each entry."""
        if sum(x.numel() for x in theta) > FORWARD_ENTRIES:
            raise NotImplementedError(f"forward mode is checked for up to {FORWARD_ENTRIES} inputs")
        gradients = [torch.zeros_like(x) for x in theta]
        for which, gradient in enumerate(gradients):
            for entry in range(gradient.numel()):
                tangent = torch.zeros_like(gradient)
                tangent.view(-1)[entry] = 1.0
                with forward_ad.dual_level():
                    dual = [x.detach() for x in theta]
                    dual[which] = forward_ad.make_dual(dual[which], tangent)
                    slope = forward_ad.unpack_dual(self.cost(dual)).tangent
                gradient.view(-1)[entry] = 0.0 if slope is None else slope
        return gradients


def _differentiable(outputs: Any, like: Sequence[Any] | None = None) -> list[Any]:
    """The outputs that have a gradient; without a graph, as many as there are of `like`, of their types."""
    every = [y for y in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)) if isinstance(y, torch.Tensor)]
    floating = [y for y in every if y.is_floating_point() or y.is_complex()]
    if like is not None and len(floating) == len(like):
        return floating
    return [y for y in floating if y.requires_grad]


def _random_like(outputs: Sequence[Any]) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(y.shape, generator=generator, dtype=y.dtype).to(y.device) for y in outputs]
