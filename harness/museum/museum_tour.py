"""A visit to an exhibit: how far off it is, what the harness says and in what time, and what other checkers say.

A visit is shown as text, or on a page with all others.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from harness.checks.functions.gradient_check import check_gradient
from harness.museum.exhibits import EXHIBITS, Exhibit
from harness.pages.html_page import table
from harness.pages.report_page import listing, page, preformatted, section, wide
from harness.study.checkers import ALARM, FlatCase, installed_peers
from harness.study.trials import quiet_numerics
from harness.verdict.report import Report

SCHEMA = "harness.museum/1"

PACKAGES = {"ott": "ott-jax", "torch": "torch"}  # what to install, by the module of an exhibit's library

CURVE_POINTS = 81


@dataclass(frozen=True)
class Visit:
    """What was found."""

    name: str
    exhibit: Exhibit
    # the largest error of the shipped gradient at θ, as a share of the largest right entry; NaN if it is NaN
    error: float
    report: Report
    seconds: float  # what the harness took
    others: Mapping[str, str]  # for each other checker that is installed, "pass", "alarm" or "inconclusive"

    @property
    def missed_by(self) -> tuple[str, ...]:
        """The other checkers that raise no alarm."""
        return tuple(name for name, outcome in self.others.items() if outcome != ALARM)

    def to_dict(self) -> dict[str, Any]:
        """The visit, ready for JSON."""
        facts = ("project", "version", "place", "formula", "mistake", "mended")
        document = {"name": self.name} | {fact: getattr(self.exhibit, fact) for fact in facts}
        document |= {"at": list(self.exhibit.at), "error": self.error if np.isfinite(self.error) else None}
        return document | {"report": self.report.to_dict(), "seconds": self.seconds, "others": dict(self.others)}


def is_installed(exhibit: Exhibit) -> bool:
    """Whether the library that an exhibit runs can be imported."""
    return not exhibit.library or find_spec(exhibit.library) is not None


def visit(name: str, peers: Iterable[str] | None = None) -> Visit:
    """Check an exhibit at its point, with the harness and with the peers of these names, or all that are installed.

    Raises an ImportError when the exhibit's library is not installed.
    """
    exhibit = EXHIBITS[name]
    if not is_installed(exhibit):
        raise ImportError(
            f"{name} runs {exhibit.library} itself, which is not installed: pip install {PACKAGES[exhibit.library]}"
        )

    def cost(theta: np.ndarray) -> float:
        return float(exhibit.cost(theta))

    theta = np.array(exhibit.at)
    with quiet_numerics():
        right, shipped = exhibit.right(theta), exhibit.shipped(theta)  # the first call of a library compiles
        started = time.perf_counter()
        report = check_gradient(cost, theta, gradient=exhibit.shipped)
        seconds = time.perf_counter() - started
        rng = np.random.default_rng(0)
        others = {
            peer: checker.compare(FlatCase(cost, exhibit.shipped, theta), rng)
            for peer, checker in installed_peers(peers)[0].items()
        }
    error = float(np.abs(shipped - right).max() / np.abs(right).max())
    return Visit(name, exhibit, error, report, seconds, others)


def curves_of(exhibit: Exhibit) -> dict[str, Any]:
    """The right and the shipped derivative in the entry that is off most, while that entry of θ passes its place.

    ``at`` is that place; ``x`` is where the entry is moved to, `at` among them, and the right derivative is finite;
    ``right`` and ``shipped`` are the derivatives there, None for one that is not finite.
    """
    theta = np.array(exhibit.at)
    with quiet_numerics():
        error = np.abs(exhibit.shipped(theta) - exhibit.right(theta))
        entry = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
        at = float(theta[entry])
        x = np.unique([at, *np.linspace(theta.min() - 1.0, theta.max() + 1.0, CURVE_POINTS)])
        places = [np.where(np.arange(len(theta)) == entry, each, theta) for each in x]
        right, shipped = (np.array([f(place)[entry] for place in places]) for f in (exhibit.right, exhibit.shipped))
    known = np.isfinite(right)
    finite_or_none = [y if np.isfinite(y) else None for y in shipped[known].tolist()]
    return {"at": at, "x": x[known].tolist(), "right": right[known].tolist(), "shipped": finite_or_none}


def gallery(peers: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """A visit to every exhibit that can be visited here, with its report in words and its curves, ready for JSON."""
    visits = [visit(name, peers) for name, exhibit in EXHIBITS.items() if is_installed(exhibit)]
    return [
        found.to_dict() | {"verdict": found.report.verdict, "report": str(found.report)} | curves_of(found.exhibit)
        for found in visits
    ]


# -- in words ----------------------------------------------------------------------------------------------------------

TITLE = "harness museum"


def visit_text(visit: Visit) -> str:
    """A visit for a terminal: what was wrong, the report, and what other checkers say."""
    facts = [f"  {fact}" for fact in _facts(visit)]
    report = [f"  {line}" for line in str(visit.report).splitlines()]
    return "\n".join([visit.name, *facts, *report, f"  found in {1e3 * visit.seconds:.0f} ms"])


def _facts(visit: Visit) -> list[str]:
    what = visit.exhibit
    mended = f", mended in {what.mended}" if what.mended else ""
    return [
        f"Where: {what.project} {what.version}, {what.place}{mended}",
        f"Right: {what.formula}",
        f"Mistake: {what.mistake}",
        f"Error: {_size(visit)} at θ = {list(what.at)}",
        f"Others: {_others(visit)}",
    ]


def _size(visit: Visit) -> str:
    return f"{visit.error:.2g} of the largest derivative" if np.isfinite(visit.error) else "NaN"


def _others(visit: Visit) -> str:
    if not visit.others:
        return "no other checker is installed: pip install 'autodiff-cross-check[peers]'"
    if not visit.missed_by:
        return f"all of {len(visit.others)} other checkers raise an alarm"
    return f"no alarm from {', '.join(visit.missed_by)}"


def museum_page(visits: Sequence[Visit]) -> str:
    """One page: all exhibits in a table, then each by itself."""
    rows = [
        (each.name, each.exhibit.project, _size(each), each.report.verdict, f"{1e3 * each.seconds:.0f}", _missed(each))
        for each in visits
    ]
    head = ("exhibit", "project", "error", "harness", "ms", "other checkers that miss it")
    sections = [section("The exhibits", wide(table(head, rows, "Each at the point at which it is wrong")))]
    sections += [section(each.name, listing(_facts(each)), wide(preformatted(each.report))) for each in visits]
    caught = sum(visit.report.verdict == "disagree" for visit in visits)
    headline = f"{caught} of {len(visits)} wrong derivatives that software has shipped are found."
    heading = "Wrong gradients that were shipped"
    return page(TITLE, "disagree", headline, sections, {"command": "harness museum --html FILE"}, heading)


def _missed(visit: Visit) -> str:
    return f"{len(visit.missed_by)} of {len(visit.others)}" if visit.others else "none installed"
