"""The report on a check: what was found, as values, and its ways out to a person, a program and a notebook."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from harness.facts import message_table
from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from reference.user_input import printable

SCHEMA = "harness.report/3"  # version 3: facts (kind, severity, where, data, text) in the place of sentences

COLOURS = {"agree": "#1a7f37", "disagree": "#cf222e", "inconclusive": "#9a6700"}
"""The colours of the verdicts in notebooks; `harness/pages/style.css` has those of pages."""

SAME = 1e-9  # relative: sources whose answers differ by less are wrong for one reason, and share a line


@dataclass(frozen=True)
class SourceRow:
    """One source's part in a check."""

    name: str
    family: str
    cost: float
    seconds: float | None
    outlier: bool
    ulps: tuple[float, float] | None = None  # median and largest true error, where balls have enclosed the gradient
    notes: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class PairRow:
    """Two sources compared; `ratio` is the largest difference in units of what rounding and truncation allow."""

    first: str
    second: str
    verdict: str
    ratio: float
    difference: float
    coordinates_at_odds: int
    coordinates_decided: int


@dataclass(frozen=True)
class Finding:
    """A disagreement, located: which source, against which, where, both values, the bound, and which mistake fits."""

    source: str
    against: str
    what: str  # "cost", "gradient" or "end to end"
    where: str
    value: float
    expected: float
    bound: float
    coordinates: int = 1
    blocks: tuple[str, ...] = ()
    diagnosis: tuple[Fact, ...] = ()
    perhaps_more: bool = False  # coordinates that could not be compared may differ as well

    def __post_init__(self):
        if self.coordinates < 1:
            raise ValueError(f"a finding about {self.source} needs a place where it differs from {self.against}")

    @property
    def ratio(self) -> float:
        difference = abs(self.value - self.expected)
        return difference / self.bound if self.bound > 0.0 and math.isfinite(difference) else math.inf

    @property
    def fact(self) -> Fact:
        """The disagreement as a fact."""
        kinds = {"cost": Kind.COST_DIFFERS, "end to end": Kind.DIRECTION_DIFFERS}
        numbers = {
            name: getattr(self, name) for name in ("value", "expected", "bound", "ratio", "coordinates", "perhaps_more")
        }
        names = {"source": self.source, "against": self.against}
        kind = kinds.get(self.what, Kind.DERIVATIVE_DIFFERS)
        return Fact(kind, Severity.WRONG, (self.where, *self.blocks), names | numbers)


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes
    ----------
    verdict : str
        "agree", "disagree" or "inconclusive".
    subject : dict
        What was checked: sizes, activations, λ, numbers of examples and parameters.
    sources, pairs : tuples of SourceRow and of PairRow
        Each source's part, and every two of them compared.
    outliers : tuple of str
        The sources that contradict the rest; empty when all agree, and when a tie names nobody.
    tie : bool
        Whether the sources split into camps of equal support.
    findings : tuple of Finding
        The disagreements, worst first.
    facts : tuple of Fact
        What else was found: broken rules, then doubts, then notes.
    blind_to : tuple of Fact
        Kinds of bug that could not have shown here.
    left_out : dict from name to Fact
        Sources that could not take part, and why.
    decided_share : float
        The share of the coordinates in which every source could be judged.
    margin : float
        The largest difference between sources that agree, over what was allowed.
    smallest_visible : (float, float)
        The smallest error that would have been seen, at the most and at the least sensitive coordinate.
    seconds : float
        What the check took.
    details : dict
        What only this kind of subject has to tell.
    picture : object or None
        What `plot` draws: its ``figure(report)`` is a Matplotlib figure. None where no two answers were compared.
    """

    verdict: str
    subject: dict[str, Any]
    sources: tuple[SourceRow, ...]
    pairs: tuple[PairRow, ...]
    outliers: tuple[str, ...]
    tie: bool
    findings: tuple[Finding, ...]
    facts: tuple[Fact, ...]
    blind_to: tuple[Fact, ...]
    left_out: dict[str, Fact]
    decided_share: float
    margin: float
    smallest_visible: tuple[float, float]
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)
    picture: Any = field(default=None, compare=False, repr=False)

    @property
    def reasons(self) -> tuple[Fact, ...]:
        """The facts that keep the verdict from being "agree"."""
        return tuple(fact for fact in self.facts if fact.severity != Severity.NOTE)

    @property
    def notes(self) -> tuple[Fact, ...]:
        """The facts that are worth knowing and change no verdict."""
        return tuple(fact for fact in self.facts if fact.severity == Severity.NOTE)

    def with_facts(self, *facts: Fact) -> "Report":
        """The same report with more facts, which change no verdict."""
        return replace(self, facts=(*self.facts, *facts))

    def with_data(self, **data: Any) -> "Report":
        """The same report, whose facts hold more data, as what it is that was checked."""

        def more(facts: Sequence[Fact]) -> tuple[Fact, ...]:
            return tuple(replace(fact, data={**fact.data, **data}) for fact in facts)

        findings = tuple(replace(each, diagnosis=more(each.diagnosis)) for each in self.findings)
        return replace(self, findings=findings, facts=more(self.facts), blind_to=more(self.blind_to))

    def every_fact(self) -> Iterator[Fact]:
        """All facts of the report: disagreements with what explains them, all others, and why sources were left out."""
        for finding in self.findings:
            yield finding.fact
            yield from finding.diagnosis
        yield from (*self.facts, *self.blind_to, *self.left_out.values())

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of all facts."""
        return frozenset(fact.kind for fact in self.every_fact())

    def to_dict(self) -> dict[str, Any]:
        """A document of dicts, lists, strings and numbers, as `json.dumps` takes it; what is not finite is a string."""
        fields = [name for name in self.__dataclass_fields__ if name != "picture"]
        document = {"schema": SCHEMA} | {name: getattr(self, name) for name in fields}
        document["sources"] = [vars(row) for row in self.sources]
        document["pairs"] = [vars(row) for row in self.pairs]
        document["findings"] = [vars(finding) | {"ratio": finding.ratio} for finding in self.findings]
        return json_ready(document)

    def __str__(self) -> str:
        return report_text(self)

    def _repr_html_(self) -> str:
        colour = COLOURS[self.verdict]
        first, *rest = html.escape(str(self)).split("\n")
        return (
            f'<div style="border-left:4px solid {colour};padding-left:1em"><strong style="color:{colour}">{first}'
            f'</strong><pre style="margin:0.5em 0">{chr(10).join(rest)}</pre></div>'
        )

    def figure(self) -> Any:
        """The check as a Matplotlib figure.

        Raises
        ------
        ValueError
            Where nothing was compared, there is nothing to draw.
        """
        if self.picture is None:
            raise ValueError("there is no picture, for no two answers were compared; add another source")
        return self.picture.figure(self)

    def plot(self) -> bytes:
        """The same as a PNG file."""
        from harness.figure_style import png

        return png(self.figure())


def json_ready(value: Any) -> Any:
    """A value as JSON takes it: facts with their text, and what is not finite as a string."""
    if isinstance(value, Fact):
        fields = {"kind": value.kind, "severity": value.severity, "where": value.where, "data": value.data}
        return json_ready(fields) | {"text": message_table.say(value)}
    if isinstance(value, Mapping):
        return {str(key): json_ready(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(content) for content in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return str(value) if isinstance(value, StrEnum) else value


def report_text(report: Report) -> str:
    """The whole report, a line for each fact."""
    lines = [headline(report), "  " + ", ".join(f"{key} {value}" for key, value in report.subject.items())]
    lines += [f"  {message_table.say(fact)}" for fact in report.reasons]
    for finding in share_lines(report.findings):
        lines.append(f"  {message_table.say(finding.fact)}")
        lines += [f"    {message_table.say(fact)}" for fact in finding.diagnosis]
    if report.verdict == "agree":
        lines += [f"  largest difference: {report.margin:.2g} of its error bound", f"  {_sensitivity(report)}"]
    share = math.floor(1e3 * report.decided_share + 1e-9) / 1e3  # rounded down: 100.0% are all
    lines.append(f"  decided: {share:.1%} of the coordinates, in {report.seconds:.2g} s")
    if known := [f"{row.name} {row.ulps[0]:.2g} and {row.ulps[1]:.2g}" for row in report.sources if row.ulps]:
        lines.append(f"  true error in ulps, median and largest: {', '.join(known)}")
    if report.verdict != "disagree":  # a bug that was found is fixed before others are looked for
        lines += [f"  cannot be detected here: {message_table.say(fact)}" for fact in report.blind_to]
    lines += [f"  left out: {name}. {message_table.say(fact)}" for name, fact in report.left_out.items()]
    lines += [f"  note: {message_table.say(fact)}" for fact in report.notes]
    return printable("\n".join(lines), keep="\n")


def headline(report: Report) -> str:
    """The verdict, and which sources are the odd ones out."""
    names = ", ".join(row.name for row in report.sources)
    if report.verdict == "agree":
        return f"AGREE: {names}"
    if not report.sources:
        return f"{report.verdict.upper()}: no source could answer"
    if report.outliers and len(report.sources) > 1:
        named = "odd one out is" if len(report.outliers) == 1 else "odd ones out are"
        return f"{report.verdict.upper()}: the {named} {', '.join(report.outliers)} (of {names})"
    if report.tie:
        return f"{report.verdict.upper()}: {names}; a tie, so nobody is named"
    if report.verdict == "disagree" and not report.findings:
        return f"DISAGREE: {names} {'do not differ' if report.pairs else 'cannot be compared'}; something else is wrong"
    return f"{report.verdict.upper()}: {names}"


def share_lines(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, where sources that answer the same, up to rounding, share one."""
    sources: dict[Finding, list[str]] = {}  # by the first finding of those that are alike
    for finding in findings:
        first = next((other for other in sources if _are_alike(finding, other)), finding)
        sources.setdefault(first, []).append(finding.source)
    return [replace(finding, source=", ".join(names)) for finding, names in sources.items()]


def _are_alike(finding: Finding, other: Finding) -> bool:
    is_close = math.isclose(finding.value, other.value, rel_tol=SAME)
    return is_close and replace(finding, source=other.source, value=other.value) == other


def _sensitivity(report: Report) -> str:
    best, worst = report.smallest_visible
    if not worst:
        return "smallest detectable error: none is too small"
    limit = f" to {worst:.1e} (worst)" if math.isfinite(worst) else "; in the worst, no error can be detected"
    return f"smallest detectable error: {best:.1e} (best coordinate){limit}"
