"""Activations that were checked by themselves, in random networks: with which sources, which problems and what company.

`ActivationNetworks` is what `harness check` reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checks.networks.many_networks import check_networks
from harness.checks.networks.network_summary import Checked, Summary
from harness.exit_codes import worst_verdict
from harness.facts.kinds import Kind
from harness.sources.source_names import as_source
from harness.sources.source_table import JAX, SOURCES
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS, Activation, register
from reference.measured import GradientSource


@dataclass(frozen=True)
class ActivationNetworks:
    """Reports on activations by themselves, and on random networks of them."""

    reports: Sequence[Report] = ()  # of each activation alone
    # "networks" of these activations alone, or of all where none is given, and "mixed" with others
    summaries: Mapping[str, Summary] = field(default_factory=dict)
    limited: Sequence[str] = ()  # the activations about which networks with extreme θ and X decide nothing
    failed: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by source of one's own, what it raised

    @property
    def verdict(self) -> str:
        """The worst. A source that raised was not compared there: that the others agree says nothing of it."""
        worst = worst_verdict(found.verdict for found in (*self.reports, *self.summaries.values()))
        return "inconclusive" if self.failed and worst == "agree" else worst

    @property
    def first_failure(self) -> Checked | None:
        """The first network that disagrees."""
        return next((failure for summary in self.summaries.values() for failure in summary.failures), None)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document: the fields of the first summary, and more."""
        more = {step: summary.to_dict() for step, summary in self.summaries.items()}
        return {
            **more.pop("networks", {}),
            "verdict": self.verdict,
            "activations": [report.to_dict() for report in self.reports],
            **more,
            "failed": {name: {"networks": len(raised), "why": raised[0]} for name, raised in self.failed.items()},
        }

    def __str__(self) -> str:
        """The networks alone: a report on an activation is a text of its own."""
        names = ", ".join(report.subject["activation"] for report in self.reports)
        titles = {"networks": f"{names} alone: ", "mixed": f"{names} and others: "} if names else {"networks": ""}
        lines = [f"{titles[step]}{summary}" for step, summary in self.summaries.items()]
        if names and "mixed" not in self.summaries:
            lines.append(f"Networks that mix {names} with other activations were left out: the record alone is wrong.")
        if self.limited:
            lines.append(
                f"Networks with extreme θ and X were left out: they decide nothing about {' and '.join(self.limited)} "
                "(see the notes)."
            )
        return "\n".join(lines)


def check_in_networks(activations: Sequence[Activation], reports: Sequence[Report], **how: Any) -> dict[str, Summary]:
    """Check random networks of these activations alone and then mixed with others; or of all, if none is given.

    If an activation is wrong by itself, one network that shows it is enough. `how` goes to `check_networks`.
    """
    is_wrong = any(report.verdict == "disagree" for report in reports)
    steps = {"networks": activations or None}
    if activations and not is_wrong:
        steps["mixed"] = mixed_with_others(activations)
    return {
        step: check_networks(activations=among, step=step, until_wrong=is_wrong, **how) for step, among in steps.items()
    }


def usable_sources(
    reports: Sequence[Report], chosen: Mapping[str, GradientSource] | None = None
) -> Mapping[str, GradientSource] | None:
    """Of the chosen sources, those that can run networks with the activations in the reports.

    None stands for all sources of the harness, as in `cross_check`.
    """
    if not any("jax" in report.left_out for report in reports):
        return chosen
    # a formula that JAX cannot trace, as one of SciPy's functions, runs in no source of JAX
    return {name: source for name, source in (chosen or SOURCES).items() if as_source(name, source).family != JAX}


def needs_ordinary_problems(report: Report) -> bool:
    """Whether networks with extreme θ and X decide nothing.

    The formula allows differences of plain values only, or is not finite for large z, as log(1 + exp(z)) from 710 on.
    """
    allows_little = any(fact.kind == Kind.PLAIN_DIFFERENCES for row in report.sources for fact in row.notes)
    return allows_little or any(fact.data.get("at_large") for fact in report.facts)


def register_checked(f: Activation, report: Report) -> Activation:
    """Register an activation that was checked, and return the record to use in networks.

    A record whose name is taken is registered under another name.
    """
    # one program of JAX serves all registered activations, and one of them that it cannot trace would break it for all
    if "jax" in report.left_out:
        return f
    while ACTIVATIONS.get(f.name, f) is not f:
        f = replace(f, name=f"{f.name} of yours")
    return register(f)


def mixed_with_others(activations: Sequence[Activation]) -> list[Activation]:
    """The activations, repeated, and all others that are registered, so that half of the draws fall on either."""
    others = [f for f in ACTIVATIONS.values() if f not in activations]
    times = max(1, round(len(others) / len(activations)))
    return [*activations] * times + others
