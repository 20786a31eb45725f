"""The audit of derivative rules: all rules of the installed libraries, measured and ranked by the harm that they do."""

import datetime
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from harness.audit import matrix_functions
from harness.audit.audited_functions import AUDITED
from harness.audit.derivative_errors import HARMS, Error, measure_errors
from harness.progress import Progress, silent
from harness.wording import first_few
from reference.user_input import did_you_mean

SCHEMA = "harness.audit/1"
LIBRARIES = ("jax", "optax", "torch", "scipy")
REGIONS = ("near 0", "ordinary", "far out")
DERIVATIVES = {1: "first", 2: "second"}

LOSSES = HARMS.index("no correct digit")
"""The harms from this on are losses of digits, of which only the worst is a finding."""


@dataclass(frozen=True)
class Audited:
    """The errors of a library's derivative at all arguments."""

    library: str
    function: str
    order: int
    errors: Sequence[Error]

    def findings(self) -> list[Error]:
        """For each kind of harm, the error nearest to 1; far from 1 only if it does more harm there."""
        found: list[Error] = []
        for is_met in (True, False):
            for rank, harm in enumerate(HARMS[:-1]):
                errors = [error for error in self.errors if error.harm == harm and error.is_met == is_met]
                known = [HARMS.index(error.harm) for error in found]
                if is_met:
                    known = [other for other in known if other >= LOSSES]
                if errors and all(rank < other for other in known):
                    found.append(min(errors, key=lambda error: (error.far, error.z < 0.0)))
        return found

    def ulps(self, region: str) -> float | None:
        """The largest true error in a region, in ulps; None where there is no argument."""
        return max((error.ulps for error in self.errors if error.region == region), default=None)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; an infinity is a string."""
        ulps = {region: _printable(self.ulps(region)) for region in REGIONS}
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
        """How much harm: first what programs meet; the kind; first derivatives; arguments near 1; how much is lost."""
        error = self.error
        off = abs(error.answered - error.true) / max(abs(error.true), 1.0)
        return not error.is_met, HARMS.index(error.harm), self.rule.order, error.far, -off

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; what is not finite is a string."""
        rule, error = self.rule, self.error
        numbers = {name: _printable(getattr(error, name)) for name in ("z", "true", "answered", "ulps")}
        return {"library": rule.library, "function": rule.function, "order": rule.order, "harm": error.harm, **numbers}

    def __str__(self) -> str:
        rule, error = self.rule, self.error
        return (
            f"{rule.library}: {DERIVATIVES[rule.order]} derivative of {rule.function}: {error.harm} at {self.where}: "
            f"{error.answered:.17g} for {error.true:.17g}"
        )


def _printable(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


@dataclass(frozen=True)
class Audit:
    """All that was measured.

    Attributes
    ----------
    versions : of the installed libraries
    lacking : derivatives that a library does not have
    absent : libraries that are not installed
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
        """A JSON-ready document."""
        return {
            "schema": SCHEMA,
            "date": self.date,
            "versions": self.versions,
            "findings": [finding.to_dict() for finding in self.findings],
            "rules": [rule.to_dict() for rule in self.rules],
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


def audit_rules(libraries: Sequence[str] = LIBRARIES, only: Sequence[str] = (), progress: Progress = silent) -> Audit:
    """Measure the derivatives that libraries ship.

    Parameters
    ----------
    libraries : some of "jax", "optax", "torch" and "scipy"
        The result names those that are not installed.
    only : names of functions
        By default all, and matrix functions with them.

    Raises
    ------
    ValueError
        For a library or function that is not audited, and where no library has any of the functions.
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
