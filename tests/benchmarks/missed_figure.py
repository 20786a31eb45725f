"""The pictures of README and docs/study.md: what share of known bugs each checker misses.

Run by ``make figures``. That of the README reads its numbers from the tables of docs/study.md, so that page and picture
cannot differ; that of the page shows the study of the bug zoo which the package carries.
"""

import re
from pathlib import Path

from harness.figure_style import COLOURS, FAINT, MEDIUM, SMALL, dress, new_figure, png
from harness.files import write_whole
from harness.study.checkers import HARNESS, PEERS
from harness.study.detection_figure import detection_power
from harness.teaching.detection_limits import carried_study

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = {"Functions of your own": "functions", "Activations": "activations", "Functions that JAX traces": "JAX rules"}
"""The headings of the page, and what they plant bugs in."""


def missed_shares(page: str) -> dict[str, dict[str, float]]:
    """For each study, the share of its bugs that each checker misses, in percent."""
    shares = {}
    for heading, label in STUDIES.items():
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| \**([^|*]+?)\** \| \**([^|]+?)\** \|", section, flags=re.MULTILINE)
        caught = {name: cell for name, cell in rows if name in (HARNESS, *PEERS)}
        total = int(re.search(r"of (\d+)", caught[HARNESS])[1])  # pyright: ignore[reportOptionalSubscript]
        shares[f"{label} ({total} bugs)"] = {name: 100.0 - _percent(cell, total) for name, cell in caught.items()}
    return shares


def _percent(cell: str, total: int) -> float:
    """Of a cell such as "347 of 347", "319" or "34.2% (29.4-39.4)"."""
    if percent := re.search(r"([\d.]+)%", cell):
        return float(percent[1])
    return 100.0 * int(cell.split()[0]) / total


def main() -> None:
    """Write docs/images/missed.png and docs/images/detection_power.png."""
    _, study = carried_study()
    write_whole(DOCS / "images" / "detection_power.png", png(detection_power(study)))
    shares = missed_shares((DOCS / "study.md").read_text(encoding="utf-8"))
    checkers = [HARNESS, *PEERS]
    figure = new_figure("Known bugs that each checker misses, at its defaults", 4.6, width=9.0)
    axes = figure.subplots(1, len(shares), sharey=True)
    for ax, (title, missed) in zip(axes, shares.items()):
        rows = [row for row, name in enumerate(checkers) if name in missed]
        values = [missed[checkers[row]] for row in rows]
        ax.barh(rows, values, height=0.6, color=[COLOURS[0] if row == 0 else COLOURS[1] for row in rows])
        for row, value in zip(rows, values):
            shown = f" {value:.1f}%" if 0.0 < value < 0.5 else f" {value:.0f}%"
            ax.text(value, row, shown, va="center", fontsize=SMALL)
        for row in set(range(len(checkers))) - set(rows):
            ax.text(0.0, row, " not run", va="center", fontsize=SMALL, color="#777777")
        dress(ax, title)
        ax.set_xlabel("missed (%)", fontsize=SMALL)
        ax.set_xlim(0.0, 85.0)
        ax.set_yticks(range(len(checkers)), checkers, fontsize=MEDIUM)
        ax.grid(axis="x", color=FAINT, linewidth=0.8)
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    write_whole(DOCS / "images" / "missed.png", png(figure))


if __name__ == "__main__":
    main()
