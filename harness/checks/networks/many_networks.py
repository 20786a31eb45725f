"""Cross-check many random networks, and count; find the first on which a bug shows.

Activations that were checked by themselves come in random networks, too: with which sources, which problems and what
company. `ActivationNetworks` is what `harness check` reports of these.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from typing import Any, NamedTuple

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.checks.activations.slope_answers import ONE_SIDED
from harness.checks.networks.network_check import check, cross_check
from harness.checks.networks.network_summary import Checked, Summary
from harness.checks.networks.random_problems import ANY, Like, random_problem
from harness.exit_codes import worst_verdict
from harness.facts.fact import Fact, doubt, kinds_of
from harness.facts.kinds import Kind
from harness.progress import Progress, silent
from harness.sources.bug_zoo import Bug
from harness.sources.source_names import Sources, as_source, named_sources
from harness.sources.source_table import JAX, SOURCES
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS, Activation, register
from reference.measured import GradientSource
from reference.user_input import of_type, whole_number

KEPT = 5  # failures that a summary keeps with their reports, and of which the bugs are looked for

VERDICTS = ("agree", "disagree", "inconclusive")


class NetworkOutcome(NamedTuple):
    """What is remembered of each report, so that many networks fit into memory."""

    verdict: str
    sources: tuple[str, ...]
    outliers: tuple[str, ...]
    left_out: Mapping[str, Fact]
    margin: float
    reasons: tuple[Fact, ...]
    hides_bugs: bool


def check_networks(
    networks: int = 200,
    seed: int = 0,
    activations: Sequence[str | Activation] | None = None,
    sources: Sources | None = None,
    extremes: bool = True,
    progress: Progress = silent,
    step: str = "cross-check",
    like: Like = ANY,
    *,
    until_wrong: bool = False,
) -> Summary:
    """Cross-check many random problems, and count the verdicts.

    Should all of them be degenerate (λ = 0, zero weights or a single example, which hide bugs), more are drawn until
    one is not. A source that could take none of the networks was not checked, so the verdict is not "agree".

    Parameters
    ----------
    networks : int
        How many problems. Problem number i is ``random_problem((seed, i))``.
    seed : int
        The seed of all of them.
    activations : activations or names, optional
        Those that hidden layers draw from; by default all that are registered.
    sources : names, or mapping from name to source, optional
        As for `cross_check`.
    extremes : bool
        Whether some θ and X are zero, hold ties, or are large enough to saturate.
    progress : callable, optional
        Called as ``progress(step, done, total)`` after each problem.
    step : str
        The name of this step for `progress`.
    like : Like
        Layer sizes, output and λ, where they are not to be drawn.
    until_wrong : bool
        Stop at the first that disagrees, for callers who know that something is wrong and want to see it in a network.

    Returns
    -------
    Summary
        The counts, and the reports of the first disagreements.

    Raises
    ------
    ValueError, TypeError
        For fewer than one network, no whole number of them, or activations or sources that do not exist.
    """
    started = time.perf_counter()
    networks = whole_number("the number of networks", networks, at_least=1)
    of_type("progress", progress, Callable, "a function")
    of_type("like", like, Like, "of the type Like")
    # the arguments of `random_problem`, which a report states where they are not the usual ones
    given: dict[str, Any] = {"extremes": extremes} | ({} if like == ANY else {"like": like})
    outcomes: list[NetworkOutcome] = []
    failures: list[Checked] = []
    for index in count():
        # Networks that all hide bugs would not show a missing regulariser, or a missing 1/m. With λ = 0 for all, every
        # network hides the regulariser, and drawing more would not end.
        if index >= networks and (like.l2 == 0.0 or not all(outcome.hides_bugs for outcome in outcomes)):
            break
        problem, theta = random_problem((seed, index), activations, **given)
        # the bugs behind further failures would not be reported, and take longer to find than the verdict
        ask = cross_check if len(failures) < KEPT else partial(check, explained=False)
        report = ask(problem, theta, sources)
        outcomes.append(_outcome(report))
        if report.verdict == "disagree" and len(failures) < KEPT:
            failures.append(Checked(index, report, problem, theta))
        progress(step, min(index + 1, networks), networks)
        if failures and until_wrong:
            break
    return _summarise(
        outcomes,
        () if sources is None else tuple(named_sources(sources)),
        seed=seed,
        failures=tuple(failures),
        seconds=time.perf_counter() - started,
        drawn="".join(f", {name}={value}" for name, value in given.items() if value is not True),
        skipped=max(0, networks - len(outcomes)),
    )


def _outcome(report: Report) -> NetworkOutcome:
    return NetworkOutcome(
        report.verdict,
        sources=tuple(row.name for row in report.sources if row.name != ONE_SIDED),  # which is no source
        outliers=report.outliers,
        left_out=report.left_out,
        margin=report.margin,
        reasons=report.reasons if report.verdict == "inconclusive" else (),
        hides_bugs=bool(report.blind_to),
    )


def _summarise(outcomes: Sequence[NetworkOutcome], asked: Sequence[str], **others: Any) -> Summary:
    """The verdict and the counts of some outcomes; a source that was asked and never took part leaves it undecided."""
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    took_part = Counter(chain.from_iterable(outcome.sources for outcome in outcomes))
    # a source that raises NotApplicable for every network was not checked, and must not pass as right
    never = [name for name in asked if name not in took_part]
    verdict, reasons = _verdict(outcomes, asked, never)
    return Summary(
        verdict,
        networks=len(outcomes),
        sources=tuple(took_part),
        left_out=dict(Counter(chain.from_iterable(outcome.left_out for outcome in outcomes))),
        counts={name: verdicts[name] for name in VERDICTS},
        outliers=dict(Counter(chain.from_iterable(outcome.outliers for outcome in outcomes))),
        reasons=reasons,
        margin=max((outcome.margin for outcome in outcomes), default=0.0),
        doubts=dict(Counter(kind for outcome in outcomes for kind in kinds_of(outcome.reasons)).most_common()),
        **others,
    )


def _verdict(
    outcomes: Sequence[NetworkOutcome], asked: Sequence[str], never: Sequence[str]
) -> tuple[str, tuple[Fact, ...]]:
    """The verdict on all of them, and why it is "inconclusive" if it is."""
    if any(outcome.verdict == "disagree" for outcome in outcomes):
        return "disagree", ()
    if never:
        why_left_out = {name: fact for outcome in outcomes for name, fact in outcome.left_out.items()}
        absent = [(doubt(Kind.SOURCE_NEVER_TOOK_PART, name), why_left_out[name]) for name in never]
        return "inconclusive", tuple(chain.from_iterable(absent))
    # of networks that a source does not take, the verdict says nothing about it
    for name in asked or [""]:
        taken = [outcome for outcome in outcomes if not name or name in outcome.sources]
        doubtful = [outcome for outcome in taken if outcome.verdict == "inconclusive"]
        if len(doubtful) > INCONCLUSIVE_SHARE * len(taken):
            # the first of them stands for the others
            number, percent = outcomes.index(doubtful[0]), round(100 * INCONCLUSIVE_SHARE)
            source = name if len(taken) < len(outcomes) else ""
            reason = doubt(Kind.INCONCLUSIVE_NETWORK, f"network {number}", percent=percent, source=source)
            return "inconclusive", (reason, *doubtful[0].reasons)
    return "agree", ()


def plant(bug: Bug, seed: int = 0, tries: int = 100) -> Checked:
    """The first ordinary random problem (seed, index) on which a bug shows.

    A bug need not show everywhere: without a hidden layer, no slope can be wrong. Raises ValueError when it shows on
    none of so many tries.
    """
    for index in range(tries):
        problem, theta = random_problem((seed, index), extremes=False)
        report = cross_check(problem, theta, bug.sources)
        if report.verdict == "disagree":
            return Checked(index, report, problem, theta)
    raise ValueError(f"{bug.name} shows on none of {tries} problems with seed {seed}; try another seed")


# -- activations that were checked by themselves -----------------------------------------------------------------------


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
