"""What a recording of behaviour (tests/behaviour.py) holds of an answer: verdicts, names, places and numbers."""

import numbers
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.facts import message_table
from harness.facts.fact import Fact


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings: wrong code overflows."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def recorded(answer: Any) -> Any:
    """What a recording holds of an answer: of a report its facts, of anything else the numbers and names in it."""
    if hasattr(answer, "findings"):
        return _of_report(answer)
    if hasattr(answer, "failures"):
        return _of_summary(answer)
    if isinstance(answer, dict):
        return {str(name): recorded(value) for name, value in answer.items()}
    if isinstance(answer, (list, tuple, np.ndarray)):
        return [recorded(value) for value in answer]
    if isinstance(answer, np.generic):
        answer = answer.item()
    return answer if answer is None or isinstance(answer, (bool, int, float)) else str(answer)


def _of_report(report: Any) -> dict[str, Any]:
    of_finding = ("source", "against", "what", "where", "value", "expected", "bound", "coordinates")
    of_pair = ("first", "second", "verdict", "ratio", "difference", "coordinates_at_odds", "coordinates_decided")
    culprits = report.details.get("culprits", [])
    record = {
        **fields(report, "verdict", "outliers", "tie", "decided_share", "margin", "smallest_visible"),
        "sources": [fields(row, "name", "family", "cost", "outlier", "ulps") for row in report.sources],
        "findings": [fields(finding, *of_finding) for finding in report.findings],
        "pairs": [fields(pair, *of_pair) for pair in report.pairs],
        "blind_to": len(report.blind_to),
        "left_out": sorted(report.left_out),
        "culprits": [{"rule": culprit["name"], "where": _by_file_name(culprit["where"])} for culprit in culprits],
        "bugs": bugs_in(_text(fact for finding in report.findings for fact in finding.diagnosis)),
        "details": dict(_numbers(report.details)),
    }
    return record | {"kinds": sorted(report.kinds)}


def _text(facts: Iterable[Fact]) -> str:
    return " ".join(map(message_table.say, facts))


def _of_summary(summary: Any) -> dict[str, Any]:
    failures = [{"network": failure.number, "report": _of_report(failure.report)} for failure in summary.failures]
    told = fields(summary, "verdict", "networks", "sources", "left_out", "counts", "outliers", "margin")
    return told | {"doubts": sorted(summary.doubts.values()), "failures": failures}


def fields(of: Any, *names: str) -> dict[str, Any]:
    return {name: recorded(getattr(of, name)) for name in names}


def _by_file_name(where: str) -> list[str]:
    """The places in "rule (/some/folder/file.py:12), ..." as "rule file.py 12"."""
    places = re.findall(r"([^\s,]+) \(([^()]+):(\d+)\)", where)
    return [f"{name} {Path(file).name} {line}" for name, file, line in places]


def bugs_in(diagnosis: str) -> list[str]:
    """The names of bugs of the zoo in a diagnosis."""
    from harness import FAULTS

    return sorted(name for name in FAULTS if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", diagnosis))


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers in a tree, by their paths, and verdicts; no times."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from () if name in ("seconds", "schema", "facts", "data") else _numbers(inner, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from _numbers(inner, f"{path}.{i}")
    elif isinstance(value, (numbers.Real, np.bool_)) or path.endswith((".verdict", ".where_defined")):
        yield path[1:], recorded(value)
