"""`autograd.test_util.check_grads`, with steps that fit the function instead of one for all."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from autograd.core import make_jvp, make_vjp, vspace
from autograd.misc import flatten
from autograd.test_util import check_grads as original

from harness.checks.functions.gradient_checking import check_gradient
from harness.drop_in.settling import reasons, undecided
from harness.verdict.report import Report

NAME = "autograd.test_util.check_grads"

FORWARD_ENTRIES = 300  # inputs up to which forward mode, which takes one pass for each, is checked


def check_grads(
    f: Callable[..., Any], argnum: int | Sequence[int] = 0, modes: Sequence[str] = ("fwd", "rev"), order: int = 2
) -> Callable[..., None]:
    """A function of f's arguments that checks autograd's derivatives of f there, of every order up to `order`.

    Raises
    ------
    AssertionError
        When a derivative is wrong; the message is the report.
    """
    assert all(mode in ("fwd", "rev") for mode in modes), f"modes must be some of fwd and rev, not {modes}"

    def check(*args: Any, **kwargs: Any) -> None:
        ask_original = partial(original(f, argnum, list(modes), order), *args, **kwargs)
        places = [argnum] if isinstance(argnum, int) else list(argnum)

        def of_chosen(chosen: tuple) -> Any:
            given = list(args)
            for place, value in zip(places, chosen):
                given[place] = value
            return f(*given, **kwargs)

        try:
            reports = _reports(of_chosen, tuple(args[place] for place in places), modes, order)
        except (TypeError, ValueError, NotImplementedError) as reason:
            return undecided(NAME, f"{type(reason).__name__}: {reason}", ask_original)
        for report in reports:
            if report.verdict == "disagree":
                raise AssertionError(str(report))
        if doubts := [reasons(report) for report in reports if report.verdict == "inconclusive"]:
            return undecided(NAME, "; ".join(doubts), ask_original)
        return None

    return check


def _reports(f: Callable[[Any], Any], x: Any, modes: Sequence[str], order: int) -> list[Report]:
    output = f(x)
    flat_output, rebuild = flatten(output)
    flat_x, _ = flatten(x)
    if np.iscomplexobj(flat_output) or np.iscomplexobj(flat_x):
        raise TypeError("complex numbers cannot be checked here")
    rng = np.random.default_rng(0)
    weights = rebuild(rng.normal(size=flat_output.size))
    space = vspace(output)

    def cost(x: Any) -> float:
        return float(space.inner_prod(weights, f(x)))

    reports = []
    if "rev" in modes:
        reports.append(check_gradient(cost, x, gradient=lambda x: make_vjp(f, x)[0](weights)))
        if order > 1:
            reports += _reports(lambda x: make_vjp(f, x)[0](weights), x, modes, order - 1)
    if "fwd" in modes:
        if flat_x.size > FORWARD_ENTRIES:
            raise NotImplementedError(f"forward mode is checked for up to {FORWARD_ENTRIES} inputs")

        def pushed_forward(x: Any) -> Any:
            flat, rebuild_x = flatten(x)
            jvp = make_jvp(f, x)
            return rebuild_x(
                np.array([space.inner_prod(weights, jvp(rebuild_x(e))[1]) for e in np.eye(flat.size)], dtype=float)
            )

        reports.append(check_gradient(cost, x, gradient=pushed_forward))
        if order > 1:
            tangent = flatten(x)[1](rng.normal(size=flat_x.size))
            reports += _reports(lambda x: make_jvp(f, x)(tangent)[1], x, modes, order - 1)
    return reports
