"""The digits of a record, as notes, as a document, and for its picture."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound
from harness.checks.activations.activation_subject import GridPoints
from harness.checks.activations.number_formats import in_formats, in_words
from harness.checks.activations.ulps import by_region, lost_tails, slope_in_ulps, ulps_in_words
from reference.measured import MeasuredSlope


class Precision(NamedTuple):
    """How many digits a record has in each format.

    Attributes
    ----------
    ulps : (n,) array
        The true error of the claimed slope at each z of the grid, NaN where it is not known.
    slopes : dict
        For other formats, by name, errors of the slope in regions of |z|, as `by_region` tells them.
    lost : tuple of float
        The z from which on, outwards, the slope has no correct digit.
    notes, details : list of str, dict
        The same for a report.
    """

    ulps: np.ndarray
    slopes: Mapping[str, Sequence[Mapping[str, Any]]]
    lost: tuple[float, ...]
    notes: list[str]
    details: dict[str, Any]


def precision_of(points: GridPoints, bound: ActivationBound, balls: MeasuredSlope | None) -> Precision:
    """What is known of it: in float64 of the slope, in float32 and bfloat16 of the value, too."""
    ulps, formats = slope_in_ulps(points, balls), in_formats(points.f, points.z)
    rows, (lost, told) = by_region(points.z, ulps), lost_tails(points, balls, bound.claimed)
    in_float64 = [f"float64: slope {words}"] if (words := ulps_in_words(rows)) else []
    slopes = {name: fares["slope"]["ulps"] for name, fares in formats.items() if "slope" in fares}
    details = {"ulps": rows, "lost_tails": told, **formats}
    return Precision(ulps, slopes, tuple(lost), [*told, *in_float64, *in_words(formats)], details)
