"""A picture of where a gradient is wrong: a square for each entry, shaded by its relative error."""

import html

import numpy as np

from harness.grading.student_feedback import OFF
from harness.grading.submission_interface import ShownAnswer

CELL = 14  # pixels of a square, one for each coordinate

DECADES = 16  # differences are shaded from rounding, 1e-16 of the largest entry, to as large as the gradient itself

LARGEST_PICTURE = 400  # parameters of a network that is still drawn: 20 rows and columns of squares


def error_picture(shown: ShownAnswer | None) -> str:
    """|g - g*| / max |g*| as a square for each coordinate, shaded by decades; none of a gradient that is right."""
    errors = None if shown is None else shown.relative_errors
    if shown is None or errors is None or errors.size > LARGEST_PICTURE or shown.exercise.is_right(shown.answer)[1]:
        return ""
    with np.errstate(divide="ignore"):
        decades = np.clip(np.log10(errors), -DECADES, 0.0)
    pictures = []
    for number, matrix in enumerate(shown.exercise.problem.network.unpack(decades), start=1):
        name, (rows, columns) = f"Theta{number}", matrix.shape
        squares = "".join(
            _square(j * CELL, i * CELL, decade, f"{name}[{i}, {j or 'bias'}]: 1e{decade:.0f}")
            for (i, j), decade in np.ndenumerate(matrix)
        )
        label = f"{name}: {(matrix > np.log10(OFF)).sum()} of {matrix.size} entries are wrong"
        box = (0, -16, max(60, columns * CELL + 8), rows * CELL + 18)  # the name fits
        words = f'<text x="0" y="-4" font-size="12" fill="currentColor">{name}</text>'
        pictures.append(
            f'<svg role="img" aria-label="{label}" style="width:{box[2]}px;margin-right:1em" '
            f'viewBox="{" ".join(map(str, box))}"><title>{label}</title>{words}{squares}</svg>'
        )
    caption = (
        f"Where the gradient is off ({html.escape(shown.exercise.name)}), relative to its largest entry, from rounding "
        "(pale) by decades to all of it (dark): rows are units, the first column is the bias."
    )
    return f'<figure class="picture">{"".join(pictures)}<figcaption>{caption}</figcaption></figure>'


def _square(x: int, y: int, decade: float, title: str) -> str:
    side, opacity = CELL - 1, 0.08 + 0.92 * (1.0 + decade / DECADES)
    rect = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="#d55e00" fill-opacity="{opacity:.2f}"'
    return f"{rect}><title>{title}</title></rect>"
