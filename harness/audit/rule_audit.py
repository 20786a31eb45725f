"""The audit of derivative rules: all rules of the installed libraries, measured and ranked by the harm that they do."""

import datetime
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from operator import attrgetter
from typing import Any

from harness.audit import matrix_functions
from harness.audit.audited_functions import AUDITED
from harness.audit.derivative_errors import ABSOLUTE, DIGITS, HARMS, MET, Error, measure_errors
from harness.progress import Progress, silent
from harness.verdict.report import json_ready
from harness.wording import distinct_digits, first_few
from reference.user_input import did_you_mean

SCHEMA = "harness.audit/1"
LIBRARIES = ("jax", "optax", "torch", "scipy")
REGIONS = ("near 0", "ordinary", "far out")
DERIVATIVES = {1: "first", 2: "second"}

LOSSES = HARMS.index("no correct digit")
"""The harms from this one on are losses of digits, of which only the worst is a finding."""


@dataclass(frozen=True)
class Audited:
    """The errors of a library's derivative at all arguments."""

    library: str
    function: str
    order: int
    errors: Sequence[Error]

    def findings(self) -> list[Error]:
        """The errors that the page lists, most harmful first.

        At arguments that programs meet: for each kind of harm, the error nearest to 1, but of lost digits only the
        worse kind. Further out: one error, if it is worse than all of these.
        """
        met, far = (self._nearest(is_met=is_met) for is_met in (True, False))
        found = [error for error in met if HARMS.index(error.harm) < LOSSES]
        found += [error for error in met if HARMS.index(error.harm) >= LOSSES][:1]
        worst = min((HARMS.index(error.harm) for error in met), default=len(HARMS))
        return found + [error for error in far if HARMS.index(error.harm) < worst][:1]

    def _nearest(self, *, is_met: bool) -> list[Error]:
        """For each kind of harm, worst first, the error at the argument nearest to 1."""
        errors = sorted((e for e in self.errors if e.is_met == is_met), key=lambda e: (e.far, e.z < 0.0))
        nearest = (next((error for error in errors if error.harm == harm), None) for harm in HARMS[:-1])
        return [error for error in nearest if error]

    def ulps(self, region: str) -> float | None:
        """The largest true error in a region, in ulps; None where there is no argument."""
        return max((error.ulps for error in self.errors if error.region == region), default=None)

    def to_dict(self) -> dict[str, Any]:
        """A document of this; what is not finite is left so."""
        ulps = {region: self.ulps(region) for region in REGIONS}
        return {"library": self.library, "function": self.function, "order": self.order, "ulps": ulps}


@dataclass(frozen=True)
class Finding:
    """An error of a derivative."""

    rule: Audited
    error: Error

    @property
    def where(self) -> str:
        """The argument, or the number of the matrix's entry."""
        return f"entry {int(self.error.z)}" if "matrix" in self.rule.function else repr(float(self.error.z))

    @property
    def rank(self) -> tuple[Any, ...]:
        """A key that sorts by harm: what programs meet first, then by kind, order, distance from 1, and error."""
        error = self.error
        off = abs(error.answered - error.true) / max(abs(error.true), 1.0)
        return not error.is_met, HARMS.index(error.harm), self.rule.order, error.far, -off

    def to_dict(self) -> dict[str, Any]:
        """A document of this; what is not finite is left so."""
        rule, error = self.rule, self.error
        numbers = {name: getattr(error, name) for name in ("z", "true", "answered", "ulps")}
        return {"library": rule.library, "function": rule.function, "order": rule.order, "harm": error.harm, **numbers}

    def __str__(self) -> str:
        rule, error = self.rule, self.error
        numbers = " for ".join(distinct_digits(error.answered, error.true))
        what = f"{DERIVATIVES[rule.order]} derivative of {rule.function}"
        return f"{rule.library}: {what}: {error.harm} at {self.where}: {numbers}"


@dataclass(frozen=True)
class Audit:
    """All that was measured."""

    date: str
    versions: dict[str, str]  # of the installed libraries
    rules: Sequence[Audited]
    lacking: Sequence[str]  # derivatives that a library does not have
    absent: Sequence[str]  # libraries that are not installed

    @cached_property
    def findings(self) -> list[Finding]:
        """What is not right, most harmful first."""
        found = [Finding(rule, error) for rule in self.rules for error in rule.findings()]
        return sorted(found, key=lambda finding: finding.rank)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; what is not finite is a string."""
        found = {name: [each.to_dict() for each in getattr(self, name)] for name in ("findings", "rules")}
        head = {"schema": SCHEMA, "date": self.date, "versions": self.versions}
        return json_ready(head | found | {"lacking": self.lacking, "absent": self.absent})

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        wrong = sum(bool(rule.findings()) for rule in self.rules)
        lines = [f"{len(self.rules)} derivatives of {versions}; {wrong} are not right everywhere, most harmful first:"]
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  not there: {name}" for name in self.lacking]
        return "\n".join([*lines, *(f"  {name} is not installed" for name in self.absent)])


def audit_rules(libraries: Sequence[str] = LIBRARIES, only: Sequence[str] = (), progress: Progress = silent) -> Audit:
    """Measure the derivatives that libraries ship, of all functions and matrix functions or `only` of some, by name.

    The result names libraries that are not installed. Raises a ValueError for a library or function that is not
    audited, and where no library has any of the functions.
    """
    _require("library", libraries, LIBRARIES)
    _require("function", only, [function.name for function in AUDITED])
    here = [library for library in libraries if find_spec(library) is not None]
    chosen = [function for function in AUDITED if not only or function.name in only]
    tasks = [(f, library, n) for library in here for f in chosen if library in f.libraries for n in f.orders]
    if here and not tasks:
        raise ValueError(f"{first_few(here, 50)} has no derivative of {first_few(only, 50)} to audit")
    rules, lacking = [], []
    for done, (function, library, order) in enumerate(tasks):
        progress("audit", done, len(tasks))
        try:
            rules.append(Audited(library, function.name, order, measure_errors(function, library, order)))
        except NotImplementedError:
            lacking.append(f"{library}: {DERIVATIVES[order]} derivative of {function.name}")
    for library in here if not only else ():
        if library in matrix_functions.DIFFERENTIATE:
            rules += [Audited(library, *measured) for measured in matrix_functions.measure_matrix_errors(library)]
    progress("audit", len(tasks), len(tasks))
    versions = {library: importlib.metadata.version(library) for library in here}
    absent = [library for library in libraries if library not in here]
    return Audit(datetime.date.today().isoformat(), versions, rules, lacking, absent)


def _require(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            close = did_you_mean(name, known)
            raise ValueError(f"there is no {what} {name!r} to audit; there are {first_few(known, 50)}{close}")


# -- as a page of Markdown ---------------------------------------------------------------------------------------------

HEAD = """# Audit of derivative rules

For users of JAX, optax, PyTorch and SciPy who need the digits of a derivative.

Made by `harness audit --markdown docs/audit.md` on {date} with
{versions}.

Each derivative is computed in float64, at ordinary arguments and at the edges of its domain. JAX's are compiled, and
mapped over the arguments. The true derivative is enclosed by balls of arbitrary precision. The harm is one of four:

- *not finite*: NaN or infinity, where the true derivative is finite
- *wrong*: off by more than {absolute:g} times max(1, |derivative|)
- *no correct digit*: within that, but off by half of the derivative or more, which float64 could hold with all digits
- *half the digits lost*: the same, and off by more than {digits:g} of the derivative

Both tables list the most harmful first. For each derivative and each harm they have one argument, the one nearest to 1
in size. Of the two losses of digits only the worse is listed, and further out only what is worse than nearby. A
function of matrices is a weighted sum of its results, differentiated by each entry, and twice by forward mode of that.
Many rows are known limits of a formula, for those who happen to need that argument.
"""

TABLE = """
## {title}

| library | derivative | harm | argument | answered | true |
|---|---|---|---|---|---|
"""

TITLES = {True: f"At 0, and from 1e-{MET:g} to 1e{MET:g} in size", False: "Further out"}

REST = """
## True errors in ulps, the largest of each region

*Near 0* is |z| < 0.001, *ordinary* up to 3, *far out* beyond. A dash: the function has no such argument.

| library | derivative | near 0 | ordinary | far out |
|---|---|---|---|---|
"""


def as_page(audit: Audit) -> str:
    """The findings, most harmful first, and the errors of all rules."""
    versions = ", ".join(f"{name} {version}" for name, version in audit.versions.items())
    lines = [HEAD.format(date=audit.date, versions=versions, absolute=ABSOLUTE, digits=DIGITS)]
    for is_met, title in TITLES.items():
        lines += [TABLE.format(title=title)]
        lines += [_finding(finding) for finding in audit.findings if finding.error.is_met == is_met]
    elementwise = sorted(
        (rule for rule in audit.rules if "matrix" not in rule.function), key=attrgetter("function", "order", "library")
    )
    lines += [REST, *(_errors(rule) for rule in elementwise)]
    if audit.lacking:
        lines.append(f"\nNot there: {'; '.join(audit.lacking)}.\n")
    return "".join(lines)


def _derivative(rule: Audited) -> str:
    return f"{DERIVATIVES[rule.order]} of {rule.function}".replace("|", "\\|")


def _finding(finding: Finding) -> str:
    rule, error = finding.rule, finding.error
    numbers = " | ".join((finding.where, *distinct_digits(error.answered, error.true)))
    return f"| {rule.library} | {_derivative(rule)} | {error.harm} | {numbers} |\n"


def _errors(rule: Audited) -> str:
    ulps = (rule.ulps(region) for region in REGIONS)
    return f"| {rule.library} | {_derivative(rule)} | {' | '.join('–' if u is None else f'{u:.2g}' for u in ulps)} |\n"
