"""What a check found, for a person, a program and a notebook."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reference.printable import printable

SCHEMA = "harness.report/2"

SAME = 1e-9  # relative: two sources that answer this much alike are wrong for one reason, and are told together

COLOURS = {"agree": "#1a7f37", "disagree": "#cf222e", "inconclusive": "#9a6700"}
"""The verdicts' colours on every page."""


@dataclass(frozen=True)
class SourceRow:
    """One source's part in a check."""

    name: str
    family: str
    cost: float
    seconds: float | None
    outlier: bool
    ulps: tuple[float, float] | None = None  # median and largest true error, where balls have enclosed the gradient
    note: str = ""


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
    """A disagreement, pinned down: who, against whom, where, both values, the bound, and how far beyond it."""

    source: str
    against: str
    what: str  # "cost", "gradient" or "end to end"
    where: str
    value: float
    expected: float
    bound: float
    coordinates: int = 1
    blocks: tuple[str, ...] = ()
    diagnosis: str = ""

    def __post_init__(self):
        if self.coordinates < 1:
            raise ValueError(f"a finding about {self.source} needs a place where it is at odds with {self.against}")

    @property
    def ratio(self) -> float:
        difference = abs(self.value - self.expected)
        return difference / self.bound if self.bound > 0.0 and math.isfinite(difference) else math.inf

    def __str__(self) -> str:
        beyond = f"{self.ratio:.2g} times the bound {self.bound:.1e}"
        if not math.isfinite(self.ratio) or self.bound < 1e-290:  # nothing but underflow was allowed for
            beyond = "where no rounding can explain a difference"
        line = f"{self.source}: {self.where} = {self.value!r}, but {self.against} has {self.expected!r} ({beyond})"
        if self.coordinates > 1:
            where = ", ".join(self.blocks)
            if len(self.blocks) > 4:
                where = f"{len(self.blocks)} blocks from {self.blocks[0]} to {self.blocks[-1]}"
            line += f"; {self.coordinates} coordinates are at odds, in {where}"
        return f"{line}\n    {self.diagnosis}" if self.diagnosis else line


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
        The sources at odds with the rest; empty when all agree, and when a tie names nobody.
    tie : bool
        Whether the sources split into camps of equal support.
    findings : tuple of Finding
        The disagreements, worst first.
    reasons : tuple of str
        Why the verdict is not "agree", in words.
    blind_to : tuple of str
        Kinds of bug that could not have shown here.
    left_out : dict
        Sources that could not take part, and why.
    decided_share : float
        The share of the coordinates in which every source could be judged.
    margin : float
        The largest difference between sources that agree, over what was allowed.
    smallest_visible : (float, float)
        The smallest error that would have been seen, at the most and at the least sensitive coordinate.
    seconds : float
        What the check took.
    notes : tuple of str
        What else is worth knowing, such as the few coordinates that could not be decided.
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
    reasons: tuple[str, ...]
    blind_to: tuple[str, ...]
    left_out: dict[str, str]
    decided_share: float
    margin: float
    smallest_visible: tuple[float, float]
    seconds: float
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    picture: Any = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """A document of dicts, lists, strings and numbers, as `json.dumps` takes it; what is not finite is a string."""
        fields = [name for name in self.__dataclass_fields__ if name != "picture"]
        document = {"schema": SCHEMA} | {name: getattr(self, name) for name in fields}
        document["sources"] = [vars(row) for row in self.sources]
        document["pairs"] = [vars(row) for row in self.pairs]
        document["findings"] = [vars(finding) | {"ratio": finding.ratio} for finding in self.findings]
        return _json_ready(document)

    def __str__(self) -> str:
        return printable("\n".join(_lines(self)), keep="\n")

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


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_ready(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(content) for content in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return value


def _headline(report: Report) -> str:
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
        return f"DISAGREE: not over the numbers, but over how they are computed (by {names})"
    return f"{report.verdict.upper()}: {names}"


def _told_once(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, where sources that answer the same, up to rounding, are told together."""
    told: list[Finding] = []
    for finding in findings:
        for i, other in enumerate(told):
            alike = replace(finding, source=other.source, value=other.value) == other
            if alike and math.isclose(finding.value, other.value, rel_tol=SAME):
                told[i] = replace(other, source=f"{other.source}, {finding.source}")
                break
        else:
            told.append(finding)
    return told


def _lines(report: Report) -> list[str]:
    lines = [_headline(report), "  " + ", ".join(f"{key} {value}" for key, value in report.subject.items())]
    lines += [f"  {reason}" for reason in report.reasons]
    lines += [f"  {finding}" for finding in _told_once(report.findings)]
    if report.verdict == "agree":
        lines.append(f"  largest difference: {report.margin:.2g} of what rounding and truncation allow")
        low, high = report.smallest_visible
        worst = f"{high:.1e}" if math.isfinite(high) else "not at all"
        seen = f"is seen from {low:.1e} on (at best) or {worst} (at worst)" if high else "of any size is seen"
        lines.append(f"  an error in one coordinate {seen}")
    lines.append(f"  decided: {report.decided_share:.1%} of the coordinates, in {report.seconds:.2g} s")
    if known := [f"{row.name} {row.ulps[0]:.2g} and {row.ulps[1]:.2g}" for row in report.sources if row.ulps]:
        lines.append(f"  true error in ulps, median and largest: {', '.join(known)}")
    if report.verdict != "disagree":  # a bug that was found is fixed before others are looked for
        lines += [f"  cannot show here: {bug}" for bug in report.blind_to]
    lines += [f"  left out: {name} ({reason})" for name, reason in report.left_out.items()]
    lines += [f"  note: {note}" for note in report.notes]
    return lines
