"""The checks as assertions, for tests."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from harness.checks.functions.gradient_check import check_gradient
from harness.checks.functions.jacobian_check import check_hessian, check_jacobian
from harness.checks.networks.network_check import check as check_network
from harness.facts import message_table
from harness.facts.fact import Fact
from harness.named_objects import hide_from_hypothesis
from harness.sources.source_names import Sources, named_sources
from harness.verdict.report import Report
from reference.problem import Problem

Function = Callable[..., Any]
Reference = Callable[..., Any]


def check(
    subject: Problem | Function,
    theta: Any,
    sources: Sources | Reference | None = None,
    reference: Reference | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    explained: bool = True,
) -> Report:
    """`cross_check` of a problem, or `check_gradient` of a function: the report, whatever the verdict.

    `options` are those of `check_gradient`. Without ``explained``, no bugs are looked for that explain a problem's
    wrong answer.
    """
    if isinstance(subject, Problem):
        if reference is not None:
            raise TypeError("a reference goes with a function; a Problem has sources")
        if options:
            raise TypeError(f"{', '.join(options)} goes with a function; a Problem has sources")
        return check_network(subject, theta, sources, explained=explained)  # pyright: ignore[reportArgumentType]
    if callable(sources) and reference is None:  # the third argument of check_gradient
        sources, reference = None, sources
    if sources is not None:
        raise TypeError("sources go with a Problem; a function has a reference, a cost that JAX can trace")
    return check_gradient(subject, theta, reference, **options)


def own_sources_left_out(report: Report, sources: Sources | Reference | None) -> dict[str, Fact]:
    """The user's own sources that could not answer, and why. The agreement of the others says nothing about them."""
    if sources is None or callable(sources):  # the reference of a function stands in this place, too
        return {}
    own = [source.name for source in named_sources(sources).values() if not source.is_of_the_harness]
    return {name: report.left_out[name] for name in own if name in report.left_out}


def describe_absence(left_out: Mapping[str, Fact]) -> str:
    """Why sources take no part, in words."""
    return "; ".join(f"{name} takes no part: {message_table.say(fact)}" for name, fact in left_out.items())


def assert_gradients_agree(
    subject: Problem | Function,
    theta: Any,
    sources: Sources | Reference | None = None,
    reference: Reference | None = None,
    **options: Any,
) -> Report:
    """`cross_check` of a problem, or `check_gradient` of a function, as an assertion.

    Parameters
    ----------
    subject : Problem or callable
        A `Problem`, or anybody's ``fun(theta) -> (cost, gradient)``.
    theta : array, number or tree
        Where to check. A problem takes an (n,) array, a function any tree that it accepts.
    sources : names, or mapping from name to source, optional
        With a problem: as for `cross_check`. With a function the third argument may be the reference.
    reference : callable, optional
        With a function only: as for `check_gradient`.
    **options
        With a function only: ``gradient``, ``jac``, ``args``, ``has_aux`` and other options of `check_gradient`.

    Returns
    -------
    Report
        The report, whose verdict is "agree".

    Raises
    ------
    AssertionError
        The verdict is another, or one of the user's own sources takes no part. The message is the whole report.
    ValueError, TypeError
        As `cross_check` and `check_gradient` do, for `sources` with a function, and for `reference` or options with a
        problem.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    report = check(subject, theta, sources, reference, options)
    _agreed(report, "gradients do not agree")
    if absent := own_sources_left_out(report, sources):
        raise AssertionError(f"not all gradients were checked: {describe_absence(absent)}\n{report}")
    return report


def assert_jacobian_agrees(fun: Callable[..., Any], theta: Any, *args: Any, **options: Any) -> Report:
    """`harness.check_jacobian` as an assertion, with the same arguments; returns the report, which agrees.

    Raises
    ------
    AssertionError
        The verdict is another. The message is the whole report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    return _agreed(check_jacobian(fun, theta, *args, **options), "the Jacobian does not agree")


def assert_hessian_agrees(gradient: Callable[..., Any], theta: Any, *args: Any, **options: Any) -> Report:
    """`harness.check_hessian` as an assertion, with the same arguments; returns the report, which agrees.

    Raises
    ------
    AssertionError
        The verdict is another. The message is the whole report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    return _agreed(check_hessian(gradient, theta, *args, **options), "the Hessian does not agree")


def assert_derivatives_agree(f: Callable[..., Any], *args: Any, **options: Any) -> Report:
    """`harness.check_derivatives` as an assertion, with the same arguments; returns the report, which agrees.

    Raises
    ------
    AssertionError
        The verdict is another. The message is the whole report.
    ValueError, TypeError
        As `check_derivatives` does.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    from harness.checks.traced.derivative_check import check_derivatives  # imports JAX

    return _agreed(check_derivatives(f, *args, **options), "derivatives do not agree")


def _agreed(report: Report, otherwise: str) -> Report:
    __tracebackhide__ = True
    if report.verdict != "agree":
        hide_from_hypothesis()
        raise AssertionError(f"{otherwise}\n{report}")
    return report
