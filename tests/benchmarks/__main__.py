"""Print the table: `python -m tests.benchmarks [GROUP ...] [--json FILE]`."""

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from tests.benchmarks.drop_ins import drop_ins
from tests.benchmarks.rows import GROUPS, Row
from tests.benchmarks.traced import traced

ALL = (*GROUPS, traced, drop_ins)


def main() -> None:
    """Run the groups of rows that are asked for, all by default."""
    names = [group.__name__ for group in ALL]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"any of {', '.join(names)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(names):
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    rows = []
    print("| work | compared with | ratio | target | met | milliseconds |\n|---|---|---|---|---|---|")
    for group in ALL:
        if not arguments.groups or group.__name__ in arguments.groups:
            for row in group():
                print(_line(row), flush=True)
                rows.append(row)
    if arguments.json:
        document = {
            "numpy": np.__version__,
            "machine": platform.machine(),
            "rows": [vars(r) | {"met": r.met} for r in rows],
        }
        arguments.json.write_text(json.dumps(document, indent=1))


def _line(row: Row) -> str:
    milliseconds = ", ".join(f"{name} {1e3 * seconds:.3g}" for name, seconds in row.seconds.items())
    target = "-" if np.isinf(row.target) else f"{'≥' if row.at_least else '≤'} {row.target:g}"
    met = "-" if np.isinf(row.target) else "yes" if row.met else "**no**"
    return f"| {row.work} | {row.compared_with} | {row.ratio:.3g} | {target} | {met} | {milliseconds} |"


if __name__ == "__main__":
    main()
