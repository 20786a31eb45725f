"""Parts 4 and 5: which checker misses what, from a study that the package carries with its date.

``harness study --json`` wrote the file, which is named by its date; a newer study takes no more than its file. Bugs are
grouped by where the gradient is wrong, problems by kind, and nothing is averaged over kinds of problem.
"""

import json
from importlib import resources
from typing import Any

from harness.sources.bug_zoo import BUGS
from harness.study.zoo_study import SCHEMA

WHERE = {
    "regulariser": "regulariser",
    "bias": "biases",
    "layer": "hidden layers",
    "all": "everywhere",
    "entry": "one or two entries",
    "cost": "in the cost, too",
    "cost alone": "in the cost alone",
    "program": "program around it",
}
"""Where a bug is, by `Bug.part`, in words."""


def carried_study() -> tuple[str, dict[str, Any]]:
    """The date and the document of the newest study that the package carries.

    Raises
    ------
    ValueError
        It was written by another version of `harness study`.
    """
    names = [file.name for file in resources.files("harness.teaching").iterdir() if file.name.startswith("study-")]
    name = max(names)
    study = json.loads((resources.files("harness.teaching") / name).read_text(encoding="utf-8"))
    if study["schema"] != SCHEMA:
        raise ValueError(f"{name} has the schema {study['schema']!r}, not {SCHEMA!r}; run `harness study --json` anew")
    return name.removeprefix("study-").removesuffix(".json"), study


def detection() -> dict[str, Any]:
    """By kind of problem: bugs caught and shown, by checker and place of the bug, and correct code called wrong."""
    date, study = carried_study()
    places: dict[str, list[str]] = {}
    for name in study["bugs"]:
        part = BUGS[name].part if name in BUGS else "all"
        places.setdefault(WHERE.get(part, WHERE["all"]), []).append(name)
    kinds = list(study["problems"])
    checkers = [row["name"] for row in study["checkers"]]
    return {
        "date": date,
        "seed": study["seed"],
        "problems": study["problems"],
        "correct_problems": study["correct_problems"],
        "rules": {row["name"]: row["rule"] for row in study["checkers"]},
        "places": {place: places[place] for place in sorted(places, key=list(WHERE.values()).index)},
        "caught": {
            kind: {name: {place: _sum(study, bugs, name, kind) for place, bugs in places.items()} for name in checkers}
            for kind in kinds
        },
        "false_alarms": {row["name"]: row["false_alarms_by_kind"] for row in study["checkers"]},
        "networks": study["networks"],
    }


def _sum(study: dict[str, Any], bugs: list[str], checker: str, kind: str) -> list[int]:
    counts = [study["bugs"][bug]["caught_by_kind"][checker][kind] for bug in bugs]
    return [sum(row["count"] for row in counts), sum(row["total"] for row in counts)]
