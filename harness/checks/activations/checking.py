"""Check one activation alone: is the slope claimed by hand the derivative of the formula?

The slope is compared with JAX, the complex step, finite differences and ball arithmetic at each z of a grid, against
bounds that are derived (`harness.checks.activations.bounds`). A formula that does not run under some of these is
checked with the others. At a kink every slope between those of its two sides is a convention, reported and not judged.
"""

import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE
from harness.checks.activations.bounds import FORMULA_ERRORS, rounding_bounds
from harness.checks.activations.facts import (
    facts,
    faults_and_notes,
    float32,
    in_words,
    intervals,
    not_elementwise,
    not_finite,
)
from harness.checks.activations.judging import Claims, SlopeFunction, judge, other_values
from harness.checks.activations.judging_kinks import judge_kinks, outside
from harness.checks.activations.kinks import sides
from harness.checks.activations.report import ActivationReport, Curve
from harness.checks.activations.slopes import ORACLES, Slopes, ask_oracles, slope_function
from harness.importing import import_attribute
from harness.sources.table import FAMILIES, SOURCES
from reference.activations import ACTIVATIONS, Activation, get_activation, register
from reference.arithmetics.companion import first_line
from reference.measured import GradientSource

SPECIAL = (0.0, 1e-8, 1e-3, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3)

SEED = 0

NEAR_A_KINK = 1e-6  # differences of plain values need some room on either side


def find_activation(name: str | Activation) -> Activation:
    """A record, a registered one by its name, or the one that ``module:attribute`` names.

    Raises
    ------
    ValueError
        When there is none, or it is something else.
    """
    if not isinstance(name, str) or ":" not in name:
        return get_activation(name)
    found = import_attribute(name)
    if not isinstance(found, Activation):
        raise ValueError(f"{name} is of type {type(found).__name__}, but an Activation is needed")
    return found


def grid(f: Activation) -> np.ndarray:
    """The z at which an activation is checked, sorted: zero, ordinary, saturating, kinks and both sides of them."""
    rng = np.random.default_rng(SEED)
    powers = (_spread(rng, -8.0, 0.0, 50), _spread(rng, 1.5, 3.0, 50))
    fill = [
        _spread(rng, -6.0, 6.0, 400),
        _spread(rng, -30.0, 30.0, 200),
        *(sign * 10.0**power for power in powers for sign in (-1.0, 1.0)),
        *(_spread(rng, kink - 1.0, kink + 1.0, 50) for kink in f.kinks),
    ]
    at_kinks = [z for kink in f.kinks for z in (kink, *sides(kink), kink - 1e-6, kink + 1e-6)]
    z = np.unique(np.concatenate([SPECIAL, np.negative(SPECIAL), at_kinks, *fill]) + 0.0)  # no negative zero
    z.flags.writeable = False  # formulas get copies
    return z


def _spread(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """One random point in each of `count` equal parts of an interval."""
    return low + (high - low) * (np.arange(count) + rng.random(count)) / count


def check_activation(activation: str | Activation) -> ActivationReport:
    """Check the record of one activation, by itself.

    Parameters
    ----------
    activation : str or Activation
        A record, the name of a registered one, or ``module:attribute``.

    Returns
    -------
    ActivationReport
        "disagree" when the claimed slope is not the derivative, when an oracle cannot differentiate the formula
        correctly, or when the record would break a network; "inconclusive" when too few z can be decided or the slope
        jumps where no kink is declared; "agree" otherwise. Which slope is claimed at a kink and how float32 fares is
        reported and not judged.

    Raises
    ------
    ValueError, TypeError
        For no activation, or one whose value or slope cannot be computed in NumPy.
    """
    started = time.perf_counter()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what a formula says aloud is reported as numbers
        claims = _claims(find_activation(activation))
        f, z, a, claimed = claims
        bounds = rounding_bounds(f, z)
        mixed = not_elementwise("value", f, z, bounds.value)
        answers, left_out, slope_at = _asked(f, z) if not mixed else NOT_ELEMENTWISE
        judged = judge(claims, bounds, answers, slope_at)
        kinks, doubts, kink_notes = judge_kinks(claims, judged, bounds, answers, slope_at)
        findings = [*judged.findings, *outside(kinks)]
        faults, manners = faults_and_notes(f, z)
        faults += mixed or not_elementwise("slope", lambda z: f.slope(z, f(z)), z, bounds.claimed)
        faults += other_values(claims, bounds, answers)
        share, undecided = _decided(claims, judged.decided, answers)
        true = np.where(np.isin(z, f.kinks), np.nan, judged.true)
        return ActivationReport(
            verdict="disagree" if findings or faults else "inconclusive" if doubts or undecided else "agree",
            activation=f.name,
            source=f.source,
            outliers=tuple(dict.fromkeys(finding.accused for finding in findings)),
            oracles=tuple(judged.rows),
            left_out=left_out,
            findings=tuple(findings),
            faults=tuple(faults),
            reasons=(*doubts, *undecided),
            kinks=tuple(kinks),
            facts=facts(f, z, a, np.where(judged.decided, true, np.nan), bounds),
            not_finite=tuple(not_finite(z, a, claimed, answers.get("ball"))),
            float32=float32(f, z),
            notes=(*kink_notes, *manners, *bounds.notes),
            points=int(claims.asked.sum()),
            decided_share=share,
            seconds=time.perf_counter() - started,
            curve=Curve(z, claimed, true, bounds.claimed + judged.error),
        )


Asked = tuple[dict[str, Slopes], dict[str, str], SlopeFunction | None]

NOT_ELEMENTWISE: Asked = {}, dict.fromkeys(ORACLES, "it is not elementwise"), None


def _asked(f: Activation, z: np.ndarray) -> Asked:
    """What the oracles answer, why others cannot, and the slope to be evaluated anywhere."""
    return *ask_oracles(f, z), slope_function(f, z)


def _claims(f: Activation) -> Claims:
    """Value and claimed slope on the grid, or one sentence that says what is wrong with them."""
    z = grid(f)
    a = _real(f, "value", lambda: f(z.copy()), z)
    return Claims(f, z, a, _real(f, "slope", lambda: f.slope(z.copy(), a.copy()), z))


def _real(f: Activation, part: str, compute: Callable[[], Any], z: np.ndarray) -> np.ndarray:
    try:
        answer = compute()
    except FORMULA_ERRORS as reason:
        raise ValueError(
            f"the {part} of activation {f.name!r} cannot be computed in NumPy for z of shape {z.shape} "
            f"({first_line(reason)})"
        ) from reason
    one_for_all = part == "slope" and np.shape(answer) == ()  # broadcasts wherever it is used, and is noted
    if (getattr(answer, "shape", None) == z.shape or one_for_all) and np.asarray(answer).dtype.kind in "iuf":
        return np.broadcast_to(np.asarray(answer, dtype=np.float64), z.shape)
    raise ValueError(
        f"the {part} of activation {f.name!r} must keep the shape of z, and be elementwise and real: for z of shape "
        f"{z.shape} it answered {_described(answer)}; compute each entry from the same entry of z alone"
    )


def _described(answer: Any) -> str:
    return f"{answer.dtype} of shape {answer.shape}" if hasattr(answer, "dtype") else f"a {type(answer).__name__}"


def _decided(claims: Claims, decided: np.ndarray, oracles: Collection[str]) -> tuple[float, list[str]]:
    """The share of z that is decided, leaving out those too near a kink for the oracles that there are."""
    distance = np.min([np.abs(claims.z - kink) for kink in claims.f.kinks], axis=0, initial=np.inf)
    asked = claims.asked & (decided | (distance > NEAR_A_KINK))
    share = float(decided[asked].mean()) if asked.any() else 0.0
    if not oracles:
        return share, ["there is nothing to compare the slope with: no oracle can take the formula"]
    if share >= CONCLUSIVE_SHARE:
        return share, []
    where = in_words(intervals(claims.z, asked & ~decided))
    return share, [f"not decided, because rounding is as large as the slope or nothing is finite: {where}"]


# -- what random networks with an activation need ----------------------------------------------------------------------


def usable_sources(
    reports: Sequence[ActivationReport], asked: Mapping[str, GradientSource] | None = None
) -> Mapping[str, GradientSource] | None:
    """Of the sources asked for, those that can take part in networks with the activations; None for all by default."""
    if not any("jax" in report.left_out for report in reports):
        return asked
    return {name: source for name, source in (asked or SOURCES).items() if FAMILIES.get(name) != "jax"}


def register_checked(f: Activation, report: ActivationReport) -> None:
    """Register an activation, unless JAX cannot run it: one program of JAX serves all that are registered."""
    if "jax" not in report.left_out:
        register(f)


def mixed_with_others(activations: list[Activation]) -> list[Activation]:
    """The activations and all others that are registered, so that half of the draws fall on either."""
    others = [f for f in ACTIVATIONS.values() if f not in activations]
    times = max(1, round(len(others) / len(activations)))
    return [*activations * times, *others]
