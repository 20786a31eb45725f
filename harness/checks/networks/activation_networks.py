"""What random networks with an activation need, once its record was checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.sources.source_names import as_source
from harness.sources.source_table import JAX, SOURCES
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS, Activation, register
from reference.measured import GradientSource


def usable_sources(
    reports: Sequence[Report], asked: Mapping[str, GradientSource] | None = None
) -> Mapping[str, GradientSource] | None:
    """Of the sources asked for, those that can take part in networks with the activations; None for all by default."""
    if not any("jax" in report.left_out for report in reports):
        return asked
    return {name: source for name, source in (asked or SOURCES).items() if as_source(name, source).family != JAX}


def needs_plain_differences(report: Report) -> bool:
    """Whether differences of plain values are the only ones: in networks, they cannot follow extreme θ and X."""
    return any(row.name == "finite-difference" and row.notes for row in report.sources)


def register_checked(f: Activation, report: Report) -> Activation:
    """Register an activation, unless JAX cannot run it: one program of JAX serves all that are registered.

    Answers the record to use in networks: one whose name another has already is registered under a name of its own.
    """
    if "jax" in report.left_out:
        return f
    while ACTIVATIONS.get(f.name, f) is not f:
        f = replace(f, name=f"{f.name} of yours")
    return register(f)


def mixed_with_others(activations: list[Activation]) -> list[Activation]:
    """The activations and all others that are registered, so that half of the draws fall on either."""
    others = [f for f in ACTIVATIONS.values() if f not in activations]
    times = max(1, round(len(others) / len(activations)))
    return [*activations * times, *others]
