"""All rules of the installed libraries, measured and ranked by the harm that they do."""

import datetime
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from harness.audit import matrix_functions
from harness.audit.derivative_errors import HARMS, Error, measure
from harness.audit.audited_functions import RULES, Rule
from harness.progress import Progress, silent
from harness.wording import did_you_mean, first_few

SCHEMA = "harness.audit/1"
LIBRARIES = ("jax", "optax", "torch", "scipy")
REGIONS = ("near 0", "ordinary", "far out")
DERIVATIVES = {1: "first", 2: "second"}


@dataclass(frozen=True)
class Audited:
    """A derivative of a library, measured.

    Attributes
    ----------
    library, function : str
    order : int
    errors : sequence of Error
        At all arguments; empty where the library has no such derivative.
    """

    library: str
    function: str
    order: int
    errors: Sequence[Error]

    def findings(self) -> list[Error]:
        """An error for each kind of harm done, at the most ordinary argument; far from 1 if it does more harm there."""
        told: list[Error] = []
        for is_met in (True, False):
            for harm in HARMS[:-1]:
                errors = [error for error in self.errors if error.harm == harm and error.is_met == is_met]
                known = [HARMS.index(error.harm) for error in told]
                digits = [rank for rank in known if rank >= HARMS.index("no correct digit")]
                if errors and all(HARMS.index(harm) < rank for rank in (digits if is_met else known)):
                    told.append(min(errors, key=lambda error: (error.far, error.z < 0.0)))
        return told

    def ulps(self, region: str) -> float | None:
        """The largest true error in a region, in ulps; None where it was not looked at."""
        return max((error.ulps for error in self.errors if error.region == region), default=None)


@dataclass(frozen=True)
class Finding:
    """An error of a derivative."""

    rule: Audited
    error: Error

    @property
    def where(self) -> str:
        """The argument, or the number of the matrix's entry."""
        if "matrix" in self.rule.function:
            return f"entry {int(self.error.z)}"
        return repr(float(self.error.z))

    @property
    def rank(self) -> tuple[Any, ...]:
        """How much harm: first what programs meet; the kind; first derivatives; arguments near 1; how much is lost."""
        error = self.error
        off = abs(error.answered - error.true) / max(abs(error.true), 1.0)
        return not error.is_met, HARMS.index(error.harm), self.rule.order, error.far, -off

    def __str__(self) -> str:
        rule, error = self.rule, self.error
        return (
            f"{rule.library}: {DERIVATIVES[rule.order]} derivative of {rule.function}: {error.harm} at {self.where}: "
            f"{error.answered:.17g} for {error.true:.17g}"
        )


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    date : str
    versions : dict
        Of the libraries that were there.
    rules : sequence of Audited
    lacking : sequence of str
        Derivatives that a library does not have.
    absent : sequence of str
        Libraries that are not installed.
    """

    date: str
    versions: dict[str, str]
    rules: Sequence[Audited]
    lacking: Sequence[str]
    absent: Sequence[str]

    @cached_property
    def findings(self) -> list[Finding]:
        """What is not right, most harmful first."""
        found = [Finding(rule, error) for rule in self.rules for error in rule.findings()]
        return sorted(found, key=lambda finding: finding.rank)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; what is not finite is a string."""
        return {
            "schema": SCHEMA,
            "date": self.date,
            "versions": self.versions,
            "findings": [_finding(finding) for finding in self.findings],
            "rules": [_rule(rule) for rule in self.rules],
            "lacking": list(self.lacking),
            "absent": list(self.absent),
        }

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        wrong = sum(bool(rule.findings()) for rule in self.rules)
        lines = [f"{len(self.rules)} derivatives of {versions}; {wrong} are not right everywhere, most harmful first:"]
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  not there: {name}" for name in self.lacking]
        return "\n".join([*lines, *(f"  {name} is not installed" for name in self.absent)])


def audit(libraries: Sequence[str] = LIBRARIES, only: Sequence[str] = (), progress: Progress = silent) -> Audit:
    """Measure the derivatives that libraries ship.

    Parameters
    ----------
    libraries : some of "jax", "optax", "torch" and "scipy"
        Those that are not installed are named in the result.
    only : names of functions
        By default all, and matrix functions with them.

    Raises
    ------
    ValueError
        For a library or function that is not audited.
    """
    _require("library", libraries, LIBRARIES)
    _require("function", only, [rule.name for rule in RULES])
    here = [library for library in libraries if find_spec(library) is not None]
    tasks = [
        (rule, library, order)
        for library in here
        for rule in RULES
        for order in rule.orders
        if library in rule.libraries and (not only or rule.name in only)
    ]
    rules, lacking = [], []
    for done, (rule, library, order) in enumerate(tasks):
        progress("audit", done, len(tasks))
        _measure(rule, library, order, rules, lacking)
    if not only:
        for library in here:
            if library in matrix_functions.LIBRARIES:
                rules += [Audited(library, *measured) for measured in matrix_functions.measure_all(library)]
    progress("audit", len(tasks), len(tasks))
    return Audit(
        datetime.date.today().isoformat(),
        {library: importlib.metadata.version(library) for library in here},
        rules,
        lacking,
        [library for library in libraries if library not in here],
    )


def _measure(rule: Rule, library: str, order: int, rules: list[Audited], lacking: list[str]) -> None:
    try:
        rules.append(Audited(library, rule.name, order, measure(rule, library, order)))
    except NotImplementedError:
        lacking.append(f"{library}: {DERIVATIVES[order]} derivative of {rule.name}")


def _require(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(
                f"there is no {what} {name!r} to audit; there are {first_few(known, 50)}{did_you_mean(name, known)}"
            )


def _finding(finding: Finding) -> dict[str, Any]:
    rule, error = finding.rule, finding.error
    numbers = {name: _finite(getattr(error, name)) for name in ("z", "true", "answered", "ulps")}
    return {"library": rule.library, "function": rule.function, "order": rule.order, "harm": error.harm, **numbers}


def _rule(rule: Audited) -> dict[str, Any]:
    ulps = {region: _finite(rule.ulps(region)) for region in REGIONS}
    return {"library": rule.library, "function": rule.function, "order": rule.order, "ulps": ulps}


def _finite(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
