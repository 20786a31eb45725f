"""True errors of a record's numbers in ulps, by region of z, and where the tails of its slope have no digit left."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from harness.checks.activations.activation_subject import GridPoints
from reference.measured import MeasuredSlope

NO_DIGIT = 0.5  # relative: a slope that is off by half of itself has no correct digit

REGIONS = (1.0, 6.0, 30.0, 100.0)  # |z| up to which errors in ulps are told together

FEW = 10.0  # ulps: where no error is larger, one number says all

KNOWN = 1e-10  # relative: what balls know so well is the truth, in any format


def slope_in_ulps(points: GridPoints, balls: MeasuredSlope | None) -> np.ndarray:
    """The true error of the claimed slope at each z in ulps; NaN where balls do not know it, or it is no derivative."""
    if balls is None or points.f.surrogate:
        return np.full(points.z.shape, np.nan)
    return np.where(points.judged, in_ulps(points.slope, balls.slope, balls.error), np.nan)


def in_ulps(computed: np.ndarray, exact: np.ndarray, error: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """|computed - exact| in ulps of a dtype; NaN where `exact` is not known or is no normal number, or not finite."""
    smallest, largest, digits = _limits(dtype)
    size = np.abs(exact)
    known = (size >= smallest) & (size <= largest) & (error <= KNOWN * size) & np.isfinite(computed)
    ulps = np.full(size.shape, np.nan)
    ulp = np.ldexp(1.0, np.frexp(size[known])[1] - 1 - digits)
    ulps[known] = np.abs(computed[known] - exact[known]) / ulp
    return ulps


def _limits(dtype: Any) -> tuple[float, float, int]:
    if np.dtype(dtype).kind == "f":
        info = np.finfo(dtype)
    else:
        from ml_dtypes import finfo  # here, because it is slow to load

        info = finfo(dtype)
    return float(info.smallest_normal), float(info.max), int(info.nmant)


def by_region(z: np.ndarray, ulps: np.ndarray) -> list[dict[str, Any]]:
    """Median and largest of errors in ulps, in regions of |z|; what is NaN is left out."""
    region = np.searchsorted(REGIONS, np.abs(z))
    rows = []
    for i, (low, high) in enumerate(pairwise((0.0, *REGIONS, np.inf))):
        inside = ulps[(region == i) & ~np.isnan(ulps)]
        if inside.size:
            rows.append({"from": low, "to": high, "median": float(np.median(inside)), "largest": float(inside.max())})
    return rows


def ulps_in_words(rows: Sequence[dict[str, Any]]) -> str:
    """The largest errors that `by_region` found, as the end of a sentence; empty where nothing is known."""
    largest = max((row["largest"] for row in rows), default=-1.0)
    if largest <= FEW:
        return "" if largest < 0.0 else "is exact" if largest == 0.0 else f"is off by up to {largest:.2g} ulps"
    first, *others = [f"{row['largest']:.2g}" + (" ulps" if row is rows[0] else "") + _region(row) for row in rows]
    return f"is off by up to {', '.join([first, *others])}"


def _region(row: dict[str, Any]) -> str:
    if not np.isfinite(row["to"]):
        return f" beyond {row['from']:g}"
    return f" for |z| <= {row['to']:g}" if row["from"] == 0.0 else f" to {row['to']:g}"


def lost_tails(points: GridPoints, balls: MeasuredSlope | None, allowed: np.ndarray) -> tuple[list[float], list[str]]:
    """From where on the claimed slope has no correct digit, inside of what rounding allows: no verdict follows.

    The first such z outwards on either side, if there is one, and a sentence for each.
    """
    if balls is None or points.f.surrogate:
        return [], []
    off = np.abs(points.slope - balls.slope)
    lost = (off > NO_DIGIT * np.abs(balls.slope)) & (off <= allowed + balls.error)  # more is wrong, and not lost
    known = np.flatnonzero(~np.isnan(slope_in_ulps(points, balls)) & (np.abs(points.z) > 1.0))
    starts, lines = [], []
    for outwards in (known[points.z[known] < 0.0][::-1], known[points.z[known] > 0.0]):
        kept = np.flatnonzero(~lost[outwards])
        tail = outwards[kept[-1] + 1 :] if kept.size else outwards
        if tail.size:
            i = tail[0]
            starts.append(float(points.z[i]))
            lines.append(
                f"the slope has no correct digit from z = {points.z[i]:.4g} on outwards ({points.slope[i]:.2g} for "
                f"{balls.slope[i]:.2g}): rounding allows it, and a formula that does not cancel would keep them"
            )
    return starts, lines
