"""`autograd.test_util.check_grads`, with steps that fit the function in place of a fixed one."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import builtins
from autograd.core import make_jvp, make_vjp, vspace
from autograd.misc import flatten
from autograd.test_util import check_grads as original

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import Fallback, cannot_run, compared, generator, refusal
from harness.drop_in.line_checks import check_forward
from harness.verdict.report import Report

NAME = "autograd.test_util.check_grads"


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
        fallback = Fallback(NAME, partial(original(f, argnum, list(modes), order), *args, **kwargs), _refuse)
        places = [argnum] if isinstance(argnum, int) else list(argnum)

        def of_chosen(chosen: tuple) -> Any:
            given = list(args)
            for place, value in zip(places, chosen):
                given[place] = value
            return f(*given, **kwargs)

        chosen = tuple(args[place] for place in places)
        if not flatten(chosen)[0].size:
            return fallback.ask()  # there is no derivative that could be undecided
        try:
            reports = _reports(*_of_real_arrays(of_chosen, chosen), modes, order)
        except (TypeError, ValueError, NotImplementedError) as reason:
            return fallback.ask_original(cannot_run(reason))
        return fallback.settle(reports)

    return check


def _refuse(report: Report) -> None:
    raise refusal(AssertionError, report)


def _of_real_arrays(f: Callable[[tuple], Any], chosen: tuple) -> tuple[Callable[[tuple], Any], tuple]:
    """The function and its arguments with an array for each number, of two parts where it is complex, in any tree."""
    complex_out = np.iscomplexobj(flatten(f(chosen))[0])

    def of_parts(parts: tuple) -> Any:
        output = f(_joined(parts, chosen))
        return anp.array([anp.real(output), anp.imag(output)]) if complex_out else output

    return of_parts, _parted(chosen)


def _is_of_real_arrays(tree: Any) -> bool:
    if isinstance(tree, (dict, list, tuple)):
        return all(map(_is_of_real_arrays, tree.values() if isinstance(tree, dict) else tree))
    return isinstance(tree, np.ndarray) and not np.iscomplexobj(tree)


def _parted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _parted(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_parted(value) for value in tree)
    return np.array([tree.real, tree.imag]) if np.iscomplexobj(tree) else np.asarray(tree)


def _joined(parts: Any, like: Any) -> Any:
    """What was parted, with other numbers; lists and all are in autograd's boxes, as it has them, where numbers are."""
    if _is_of_real_arrays(like):
        return parts
    if isinstance(like, dict):  # of which autograd has no forward mode
        return {key: _joined(parts[key], value) for key, value in like.items()}
    if isinstance(like, (list, tuple)):
        joined = [_joined(parts[i], value) for i, value in enumerate(like)]
        return builtins.list(joined) if isinstance(like, list) else builtins.tuple(joined)
    parts = parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts
    return type(like)(parts) if isinstance(parts, np.ndarray) and not isinstance(like, np.ndarray) else parts


def _reports(f: Callable[[Any], Any], x: Any, modes: Sequence[str], order: int, what: str = "outputs") -> list[Report]:
    """Of f, and of its derivatives as functions of x and of what they are applied to."""
    output = f(x)
    flat_output, rebuild = flatten(output)
    flat_x, rebuild_x = flatten(x)
    rng = generator(f"order {order}")
    weights = rebuild(rng.normal(size=flat_output.size))
    space = vspace(output)

    def cost(x: Any) -> float:
        return float(space.inner_prod(weights, f(x)))

    reports = []
    if "rev" in modes:
        report = check_gradient(cost, x, gradient=lambda x: make_vjp(f, x)[0](weights))
        reports.append(report.with_facts(compared("reverse mode", what)))
        if order > 1:
            pulled_back = lambda both: make_vjp(f, both[0])[0](both[1])  # noqa: E731
            reports += _reports(
                pulled_back, (x, weights), modes, order - 1, f"reverse mode's derivatives of the {what}"
            )
    if "fwd" in modes:
        report = _check_forward(cost, f, x, lambda jvp: space.inner_prod(weights, jvp))
        reports.append(report.with_facts(compared("forward mode", what)))
        if order > 1:
            tangent = rebuild_x(rng.normal(size=flat_x.size))
            pushed_forward = lambda both: make_jvp(f, both[0])(both[1])[1]  # noqa: E731
            reports += _reports(
                pushed_forward, (x, tangent), modes, order - 1, f"forward mode's derivatives of the {what}"
            )
    return reports


def _check_forward(cost: Callable[[Any], float], f: Callable[[Any], Any], x: Any, weighted: Callable) -> Report:
    flat, rebuild = flatten(x)
    direction = generator("direction").normal(size=flat.size) * np.maximum(np.abs(flat), 1.0)

    def slope(at: Any, tangent: np.ndarray) -> float:
        return float(weighted(make_jvp(f, at)(rebuild(tangent))[1]))

    def by_entry(at: Any) -> Any:
        return rebuild(np.array([slope(at, unit) for unit in np.eye(flat.size)]))

    return check_forward(
        lambda step: cost(rebuild(flat + step * direction)),
        lambda step: slope(rebuild(flat + step * direction), direction),
        flat.size,
        lambda: check_gradient(cost, x, gradient=by_entry),
    )
