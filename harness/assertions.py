"""The check as an assertion, for tests."""

from collections.abc import Callable
from typing import Any

from harness.checks.functions.gradient_checking import check_gradient
from harness.checks.networks.cross_checking import cross_check
from harness.sources.by_name import Sources
from harness.verdict.report import Report
from reference.problem import Problem

Function = Callable[[Any], tuple[Any, Any]]
Reference = Callable[[Any], Any]


def check(
    subject: Problem | Function, theta: Any, sources: Sources | None = None, reference: Reference | None = None
) -> Report:
    """`cross_check` of a problem, or `check_gradient` of a function: the report, whatever the verdict."""
    if isinstance(subject, Problem):
        if reference is not None:
            raise TypeError("a reference goes with a function; a Problem has sources")
        return cross_check(subject, theta, sources)
    if sources is not None:
        raise TypeError("sources go with a Problem; a function has a reference, a cost that JAX can trace")
    return check_gradient(subject, theta, reference)


def assert_gradients_agree(
    subject: Problem | Function, theta: Any, sources: Sources | None = None, reference: Reference | None = None
) -> Report:
    """`cross_check` of a problem, or `check_gradient` of a function, as an assertion.

    Parameters
    ----------
    subject : Problem or callable
        A `Problem`, or anybody's ``fun(theta) -> (cost, gradient)``.
    theta : array, or dict of arrays
        Where to check. A problem takes an (n,) array, a function whatever it is called with.
    sources : names, or mapping from name to source, optional
        With a problem only: as for `cross_check`.
    reference : callable, optional
        With a function only: as for `check_gradient`.

    Returns
    -------
    Report
        The report, whose verdict is "agree".

    Raises
    ------
    AssertionError
        The verdict is another; the message is the whole report.
    ValueError, TypeError
        As `cross_check` and `check_gradient` do, and for `sources` of a function or the `reference` of a problem.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    report = check(subject, theta, sources, reference)
    if report.verdict != "agree":
        raise AssertionError(f"gradients do not agree\n{report}")
    return report


def assert_derivatives_agree(f: Callable[..., Any], *args: Any, **options: Any) -> Report:
    """`harness.check_derivatives` as an assertion, with the same arguments.

    Returns
    -------
    Report
        The report, whose verdict is "agree".

    Raises
    ------
    AssertionError
        The verdict is another; the message is the whole report.
    ValueError, TypeError
        As `check_derivatives` does.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    from harness.checks.traced.checking import check_derivatives  # which imports JAX

    report = check_derivatives(f, *args, **options)
    if report.verdict != "agree":
        raise AssertionError(f"derivatives do not agree\n{report}")
    return report
