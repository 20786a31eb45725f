"""`autograd.test_util.check_grads`, with steps that fit the function instead of one for all."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import autograd.numpy as anp
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

        chosen = tuple(args[place] for place in places)
        if not flatten(chosen)[0].size:
            return ask_original()  # there is no derivative that could be undecided
        try:
            reports = _reports(*_of_real_numbers(of_chosen, chosen), modes, order)
        except (TypeError, ValueError, NotImplementedError) as reason:
            return undecided(NAME, f"{type(reason).__name__}: {reason}", ask_original)
        for report in reports:
            if report.verdict == "disagree":
                raise AssertionError(str(report))
        if doubts := [reasons(report) for report in reports if report.verdict == "inconclusive"]:
            return undecided(NAME, "; ".join(doubts), ask_original)
        return None

    return check


def _of_real_numbers(f: Callable[[tuple], Any], chosen: tuple) -> tuple[Callable[[tuple], Any], tuple]:
    """The function and its arguments with a real and an imaginary part for each complex array."""
    complex_in = [np.iscomplexobj(x) for x in chosen]
    complex_out = np.iscomplexobj(flatten(f(chosen))[0])
    if not any(complex_in) and not complex_out:
        return f, chosen

    def of_parts(parts: tuple) -> Any:
        output = f(tuple(part[0] + 1j * part[1] if double else part for part, double in zip(parts, complex_in)))
        return anp.array([anp.real(output), anp.imag(output)]) if complex_out else output

    return of_parts, tuple(np.array([x.real, x.imag]) if double else x for x, double in zip(chosen, complex_in))


def _reports(f: Callable[[Any], Any], x: Any, modes: Sequence[str], order: int) -> list[Report]:
    output = f(x)
    flat_output, rebuild = flatten(output)
    flat_x, _ = flatten(x)
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
