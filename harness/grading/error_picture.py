"""A picture of where a gradient is wrong: a square for each entry, shaded by its relative error."""

import html
from collections.abc import Mapping

import numpy as np

from harness.grading.student_feedback import OFF
from harness.grading.submission_interface import ShownAnswer

CELL = 14
"""Pixels of a square, one for each coordinate."""

DECADES = 16
"""Differences are shaded from rounding, 1e-16 of the largest entry, to as large as the gradient itself."""

KEY: Mapping[float, str] = {-16.0: "rounding", -9.0: "1e-9", -4.0: "1e-4", 0.0: "all of it"}
"""By decade: the shades that a picture's key explains."""

KEY_STEP = 76

LARGEST_PICTURE = 400
"""Parameters of a network that is still drawn: 20 rows and columns of squares."""


def error_picture(shown: ShownAnswer | None) -> str:
    """|g - g*| / max |g*| of each coordinate as one square each, shaded by decades."""
    errors = None if shown is None else shown.relative_errors
    if shown is None or errors is None or errors.size > LARGEST_PICTURE:
        return ""
    network = shown.exercise.problem.network
    with np.errstate(divide="ignore"):
        decade = np.clip(np.log10(errors), -DECADES, 0.0)
    pictures = [_squares(f"Theta{number}", matrix) for number, matrix in enumerate(network.unpack(decade), start=1)]
    caption = (
        f"Where the gradient is off ({html.escape(shown.exercise.name)}), relative to its largest entry: rows are "
        "units, the first column is the bias."
    )
    return f'<figure class="picture">{"".join(pictures)}{_key()}<figcaption>{caption}</figcaption></figure>'


def _key() -> str:
    """What the shades of a picture mean, from rounding to as much as the gradient itself."""
    squares = "".join(
        f'<rect x="{KEY_STEP * place}" y="0" width="{CELL - 1}" height="{CELL - 1}" fill="#d55e00" '
        f'fill-opacity="{_opacity(decade):.2f}"/>'
        f'<text x="{KEY_STEP * place + CELL + 4}" y="{CELL - 2}" font-size="12" fill="currentColor">{words}</text>'
        for place, (decade, words) in enumerate(KEY.items())
    )
    label, width = f"Shades: {', '.join(KEY.values())}", KEY_STEP * len(KEY)
    return (
        f'<svg role="img" aria-label="{label}" style="width:{width}px" viewBox="0 -2 {width} {CELL + 4}">'
        f"<title>{label}</title>{squares}</svg>"
    )


def _opacity(decade: float) -> float:
    return 0.08 + 0.92 * (1.0 + decade / DECADES)


def _squares(name: str, decades: np.ndarray) -> str:
    """An SVG with a square for each entry of a matrix."""
    rows, columns = decades.shape
    squares = "".join(
        f'<rect x="{j * CELL}" y="{i * CELL}" width="{CELL - 1}" height="{CELL - 1}" fill="#d55e00" '
        f'fill-opacity="{_opacity(decades[i, j]):.2f}">'
        f"<title>{name}[{i}, {j or 'bias'}]: 1e{decades[i, j]:.0f}</title></rect>"
        for i in range(rows)
        for j in range(columns)
    )
    wrong = int((decades > np.log10(OFF)).sum())
    label, width = f"{name}: {wrong} of {decades.size} entries are wrong", max(60, columns * CELL + 8)  # the name fits
    return (
        f'<svg role="img" aria-label="{label}" style="width:{width}px;margin-right:1em" '
        f'viewBox="0 -16 {width} {rows * CELL + 18}"><title>{label}</title>'
        f'<text x="0" y="-4" font-size="12" fill="currentColor">{name}</text>{squares}</svg>'
    )
