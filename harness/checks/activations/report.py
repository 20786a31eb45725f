"""What a check of one activation found, for a person, a program and a notebook."""

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.activations.facts import in_words
from harness.checks.activations.kinks import Kink

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 6  # kinks that are told one by one

SCHEMA = "harness.activation/1"

COLOURS = {"agree": "#1a7f37", "disagree": "#cf222e", "inconclusive": "#9a6700"}


@dataclass(frozen=True)
class OracleRow:
    """The claimed slope beside one oracle; `ratio` is the largest difference in units of what is allowed."""

    name: str
    verdict: str
    ratio: float
    difference: float
    at: float  # the z of the largest ratio
    points_at_odds: int
    points_decided: int
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Somebody's slope that is wrong: where, and at its worst point which value stands for which."""

    accused: str  # "slope", or an oracle
    against: str
    regions: tuple[tuple[float, float], ...]
    z: float
    value: float
    expected: float
    bound: float
    mistakes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """How many times the bound the difference is."""
        difference = abs(self.value - self.expected)
        return difference / self.bound if self.bound > 0.0 and math.isfinite(difference) else math.inf

    def lines(self) -> list[str]:
        """The finding in words."""
        verb = "the claimed slope" if self.accused == "slope" else f"what {self.accused} makes of the formula"
        beyond = f", {self.ratio:.2g} times the bound {self.bound:.1e}" if math.isfinite(self.ratio) else ""
        return [
            f"{verb} is wrong for {in_words(self.regions)}",
            f"worst at z = {self.z:.6g}: {self.value!r}, but {self.expected!r} by {self.against}{beyond}",
            *(f"likely: {mistake}" for mistake in self.mistakes),
        ]


@dataclass(frozen=True, eq=False)
class Curve:
    """For the picture: at each z the claimed and the true slope, and what they may differ by; (n,) each."""

    z: np.ndarray
    claimed: np.ndarray
    true: np.ndarray
    allowed: np.ndarray


@dataclass(frozen=True)
class ActivationReport:
    """The outcome of checking one activation alone.

    Attributes
    ----------
    verdict : "agree", "disagree" or "inconclusive"
    activation, source : the record's name, and where it says it is from
    outliers : "slope" and names of oracles at odds with the rest
    oracles : the claimed slope beside each oracle
    left_out : oracles that the formula does not run under, and why
    findings : who is wrong where, with the true and the claimed slope at the worst point and the likeliest mistakes
    faults : what would break a network: arguments changed in place, a shape not kept, entries that are mixed
    reasons : why the verdict is "inconclusive", in words
    kinks : declared and undeclared kinks, and the convention that is claimed there
    facts : monotone or not, range, Lipschitz constant and limits, as far as the grid shows them
    not_finite : where value or slope is not finite
    float32 : how value and slope fare in float32
    notes : what is worth knowing and not wrong
    points, decided_share : how many z were compared, and the share that could be decided
    """

    verdict: str
    activation: str
    source: str
    outliers: tuple[str, ...]
    oracles: tuple[OracleRow, ...]
    left_out: dict[str, str]
    findings: tuple[Finding, ...]
    faults: tuple[str, ...]
    reasons: tuple[str, ...]
    kinks: tuple[Kink, ...]
    facts: dict[str, Any]
    not_finite: tuple[str, ...]
    float32: dict[str, Any]
    notes: tuple[str, ...]
    points: int
    decided_share: float
    seconds: float
    curve: Curve = field(compare=False, repr=False)

    @property
    def needs_plain_differences(self) -> bool:
        """Whether differences of plain values are the only ones: in networks, they cannot follow extreme θ and X."""
        return any(row.name == "finite-difference" and row.note for row in self.oracles)

    def to_dict(self) -> dict[str, Any]:
        """A document of dicts, lists, strings and numbers, as `json.dumps` takes it; what is not finite is a string."""
        fields = [name for name in self.__dataclass_fields__ if name != "curve"]
        document = {"schema": SCHEMA} | {name: getattr(self, name) for name in fields}
        document["oracles"] = [vars(row) for row in self.oracles]
        document["findings"] = [vars(finding) | {"ratio": finding.ratio} for finding in self.findings]
        document["kinks"] = [
            vars(kink) | {"jumps": kink.jumps, "follows_jax": kink.follows_jax, "is_between": kink.is_between}
            for kink in self.kinks
        ]
        return _json_ready(document)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        first, *rest = (html.escape(line) for line in _lines(self))
        colour = COLOURS[self.verdict]
        return (
            f'<div style="border-left:4px solid {colour};padding-left:1em"><strong style="color:{colour}">{first}'
            f'</strong><pre style="margin:0.5em 0">{chr(10).join(rest)}</pre></div>'
        )

    def figure(self) -> "Figure":
        """Both slopes and their difference, as a Matplotlib figure."""
        from harness.checks.activations.figure import draw

        return draw(self)

    def plot(self) -> bytes:
        """The same as a PNG file."""
        from harness.digits.figures import png

        return png(self.figure())


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json_ready(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(content) for content in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else str(float(value))
    return value


def _headline(report: ActivationReport) -> str:
    names = ", ".join(row.name for row in report.oracles)
    if report.verdict == "agree":
        return f"AGREE: the slope of {report.activation}, by hand, with {names}"
    if "slope" in report.outliers:
        against = ", ".join(row.name for row in report.oracles if row.points_at_odds) or "both sides of a kink"
        return f"DISAGREE: the slope of {report.activation}, by hand, is at odds with {against}"
    if report.outliers:
        named = "odd one out is" if len(report.outliers) == 1 else "odd ones out are"
        return f"DISAGREE: {report.activation}: the {named} {', '.join(report.outliers)} (of slope, {names})"
    if report.faults:
        return f"DISAGREE: the record of {report.activation} would break a network"
    return f"{report.verdict.upper()}: {report.activation}, with {names}"


def _lines(report: ActivationReport) -> list[str]:
    lines = [_headline(report)]
    lines += [f"  {fault}" for fault in report.faults]
    for finding in report.findings:
        first, *rest = finding.lines()
        lines += [f"  {first}", *(f"    {line}" for line in rest)]
    lines += [f"  {reason}" for reason in report.reasons]
    if report.verdict == "agree":
        largest = max((row.ratio for row in report.oracles), default=0.0)
        lines.append(f"  largest difference: {largest:.2g} of what rounding and truncation allow")
    lines.append(f"  decided: {report.decided_share:.1%} of {report.points} values of z, in {report.seconds:.2g} s")
    lines += [f"  {kink}" for kink in report.kinks[:FEW]]
    lines += [f"  and {len(report.kinks) - FEW} more kinks"] if len(report.kinks) > FEW else []
    lines += [f"  {line}" for line in report.not_finite]
    lines += [f"  {line}" for line in _facts(report.facts)]
    lines.append(f"  float32: {_float32(report.float32)}")
    lines += [f"  left out: {names}, under which the formula fails ({why})" for names, why in _by_reason(report)]
    lines += [f"  note: {note}" for note in report.notes]
    lines += [f"  note: {row.name}: {row.note}" for row in report.oracles if row.note]
    return lines


def _by_reason(report: ActivationReport) -> Iterator[tuple[str, str]]:
    for why in dict.fromkeys(report.left_out.values()):
        yield ", ".join(name for name, reason in report.left_out.items() if reason == why), why


def _facts(facts: dict[str, Any]) -> list[str]:
    low, high = facts["range"]
    value, slope = facts["limits"]["value"], facts["limits"]["slope"]
    size, at = facts["lipschitz"], facts["lipschitz_at"]
    steepest = f"{size:.6g}, the largest |slope| seen, at z = {at:.4g}" if size >= 0.0 else "not known, for no slope is"
    return [
        f"monotone: {facts['monotone']}; values from {low:.6g} to {high:.6g}",
        f"Lipschitz constant: {steepest}",
        f"at -inf and inf: value {value[0]:.6g} and {value[1]:.6g}, slope {slope[0]:.6g} and {slope[1]:.6g}",
    ]


def _float32(fares: dict[str, Any]) -> str:
    if all(part["within"] for part in fares.values()):
        largest = max(part["largest"] for part in fares.values())
        words = f"value and slope within the bound at u = 2**-24 ({largest:.2g} of it)"
    else:
        beyond = [f"{name} beyond it for {in_words(part['beyond'])}" for name, part in fares.items() if part["beyond"]]
        words = f"not within the bound at u = 2**-24 everywhere: {'; '.join(beyond)}"
    other = [f"{name} comes out as {part['dtype']}" for name, part in fares.items() if part["dtype"] != "float32"]
    return "; ".join([words, *other])
