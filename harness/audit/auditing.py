"""All rules of the installed libraries, measured and ranked by the harm that they do."""

import datetime
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from harness.audit import linear_algebra
from harness.audit.measuring import HARMS, Error, measure, worst
from harness.audit.rules import RULES, Rule
from harness.progress import Progress, silent

SCHEMA = "harness.audit/1"
LIBRARIES = ("jax", "torch", "scipy")
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

    @property
    def worst(self) -> Error:
        return worst(self.errors)

    def ulps(self, region: str) -> float | None:
        """The largest true error in a region, in ulps; None where it was not looked at."""
        return max((error.ulps for error in self.errors if error.region == region), default=None)

    def __str__(self) -> str:
        error, which = self.worst, DERIVATIVES[self.order]
        where = f"z = {float(error.z)!r}" if "matrix" not in self.function else f"entry {int(error.z)}"
        return (
            f"{self.library}: {which} derivative of {self.function}: {error.harm} at {where}: {error.answered:.17g} "
            f"for {error.true:.17g}"
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
        Most harmful first.
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

    def findings(self) -> list[Audited]:
        """The derivatives that are not right everywhere."""
        return [rule for rule in self.rules if rule.worst.harm != "right"]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; what is not finite is a string."""
        return {
            "schema": SCHEMA,
            "date": self.date,
            "versions": self.versions,
            "rules": [_to_dict(rule) for rule in self.rules],
            "lacking": list(self.lacking),
            "absent": list(self.absent),
        }

    def __str__(self) -> str:
        found, versions = self.findings(), ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [f"{len(self.rules)} derivatives of {versions}; {len(found)} are not right everywhere, worst first:"]
        lines += [f"  {rule}" for rule in found]
        lines += [f"  not there: {name}" for name in self.lacking]
        return "\n".join([*lines, *(f"  {name} is not installed" for name in self.absent)])


def audit(libraries: Sequence[str] = LIBRARIES, only: Sequence[str] = (), progress: Progress = silent) -> Audit:
    """Measure the derivatives that libraries ship.

    Parameters
    ----------
    libraries : some of "jax", "torch" and "scipy"
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
            if library in linear_algebra.LIBRARIES:
                rules += [Audited(library, name, 1, errors) for name, errors in linear_algebra.measure_all(library)]
    progress("audit", len(tasks), len(tasks))
    return Audit(
        datetime.date.today().isoformat(),
        {library: importlib.metadata.version(library) for library in here},
        sorted(rules, key=_harm),
        lacking,
        [library for library in libraries if library not in here],
    )


def _measure(rule: Rule, library: str, order: int, rules: list[Audited], lacking: list[str]) -> None:
    try:
        rules.append(Audited(library, rule.name, order, measure(rule, library, order)))
    except NotImplementedError:
        lacking.append(f"{library}: {DERIVATIVES[order]} derivative of {rule.name}")


def _harm(rule: Audited) -> tuple[int, int, float]:
    """Not finite, wrong, digits lost; first derivatives, second ones; sizes that are met before those that are not."""
    error = rule.worst
    if error.harm == "wrong":
        return HARMS.index(error.harm), rule.order, -abs(error.answered - error.true) / max(1.0, abs(error.true))
    size = abs(math.log10(max(abs(error.true), 1e-300)))
    return HARMS.index(error.harm), rule.order, size if error.harm != "right" else -error.ulps


def _require(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"there is no {what} {name!r} to audit; there are {', '.join(known)}")


def _to_dict(rule: Audited) -> dict[str, Any]:
    error = rule.worst
    return {
        "library": rule.library,
        "function": rule.function,
        "order": rule.order,
        "harm": error.harm,
        "worst": {name: _finite(getattr(error, name)) for name in ("z", "true", "answered", "ulps")},
        "ulps": {region: _finite(rule.ulps(region)) for region in REGIONS},
    }


def _finite(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
