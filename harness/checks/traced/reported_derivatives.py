"""What JAX's modes claim, and what excuses it: error bars, and in coarse types what their programs mean in float64."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from harness.bounds.program_bound import floor_of
from harness.bounds.tolerances import GRADIENT_ROUNDINGS
from harness.checks.random_directions import random_directions
from harness.checks.traced.error_bounds import Seen, bar_of_mode
from harness.checks.traced.float64_evaluation import meaning, meant
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.real_coordinates import Claim
from harness.checks.traced.traced_programs import has_rules
from harness.checks.traced.value_differences import OPPOSITE, OPPOSITE_OF_HALVES, is_linear, overflows
from harness.verdict.comparison import Block
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.measured import NotApplicable
from reference.traced.equations import unit_roundoff
from reference.traced.random_rounding import COARSE

if TYPE_CHECKING:
    from harness.checks.traced.derivative_case import Check


def claims_of(check: Check, modes: Sequence[Mode], along: np.ndarray | None = None) -> dict[str, Claim]:
    """(combinations, inputs), whichever mode answers; of many inputs, forward mode answers in directions alone."""
    claims = {}
    for mode in modes:
        if mode.name == "forward" and check.is_large and along is None:
            continue
        try:
            answer = _answer(check, mode, _asked(check, mode, along), check.quickly)
            claims[mode.name] = Claim(answer, np.full(answer.shape, np.inf))
        except NotApplicable as reason:
            check.left_out[mode.name] = str(reason)
    return claims


def _answer(check: Check, mode: Mode, asked: tuple[np.ndarray, np.ndarray | None], quickly: bool) -> np.ndarray:
    """What a mode answers for each vector; and what for the opposite of all together, which the check keeps."""
    vectors, weights = asked
    times = OPPOSITE if check.truth.coarsest < COARSE else OPPOSITE_OF_HALVES
    opposite = -times * np.abs(random_directions(0 if check.is_large else 1, len(vectors), check.seed + 6))
    axis = 0 if weights is None else 1
    found = mode.answers(np.concatenate([vectors, opposite @ vectors]), weights, quickly)
    answer, together = np.split(found, [len(vectors)], axis)
    check.together[mode.name] = opposite, np.moveaxis(together, axis, 0)
    return answer


def claim_of_gradient(check: Check, gradient: Sequence[Any]) -> Claim:
    """Somebody's gradient of the one output, good to some roundings of its largest entry."""
    if check.outputs.size != 1:
        raise ValueError(f"a reference gradient goes with one real output, and f returns {check.outputs.size}")
    weight, vector = check.weights[0, 0], check.inputs.vector(gradient, conjugate=True)[None]
    unit = max(unit_roundoff(np.asarray(leaf).dtype) for leaf in gradient)
    error = GRADIENT_ROUNDINGS * max(unit, check.truth.coarsest) * np.abs(vector).max(initial=0.0)
    return Claim(weight * vector, np.full(vector.shape, abs(weight) * error))


def _asked(check: Check, mode: Mode, along: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """What forward mode says of the combinations along directions, and reverse mode of them along each input."""
    if mode.name == "reverse":
        return check.weights, None
    return np.eye(check.inputs.size) if along is None else along, check.weights


@np.errstate(all="ignore")
def excuse(
    check: Check,
    modes: Sequence[Mode],
    claims: dict[str, Claim],
    truth: Claim,
    seen: Seen,
    along: np.ndarray | None = None,
) -> None:
    """Error bars for what the modes claim; where a claim lies within the truth's own, these are its, too.

    But not those of a truth that is hardly known, within which one mode may contradict another; not at a kink, where
    any answer between both sides is as good as the truth; not where they count for inputs that nobody looked at; and
    not in half a float, where what a mode means tells more than that.
    """
    borrows = check.truth.coarsest < COARSE and (along is not None or not check.is_large)
    borrows = borrows and (len(claims) == 1 or not seen.is_wide(truth)) and not check.kinks.any()

    def is_right(answer: np.ndarray, error: np.ndarray) -> bool:
        return seen.covers(np.abs(answer - truth.derivative), truth.error + error)

    for mode in [mode for mode in modes if mode.name in claims]:
        answer = claims[mode.name].derivative
        try:
            asked = _asked(check, mode, along)
            bar = bar_of_mode(mode, asked, answer, truth, seen, borrows, check.seed)
            if not is_right(answer, bar.error) and is_right(mode.rounded(None, *asked), bar.error):
                # What is compiled quickly computes some numbers twice, each time with other roundings.
                answer = _answer(check, mode, asked, quickly=False)
                if not is_right(answer, bar.error) and is_right(mode.in_own_types(*asked), bar.error):
                    check.off_when_compiled.add(mode.name)
            claims[mode.name] = Claim(answer, check.noted(mode.name, bar))
            _note_linear(check, mode, asked, claims[mode.name], seen.blocks)
            if "lent" not in bar.kinds and check.truth.coarsest > UNIT_ROUNDOFF["float64"]:
                check.meanings[mode.name] = meaning(
                    mode, *asked, check.truth.program, check.seed, partial(_is_covered, check, bar.error, truth, seen)
                )
        except NotApplicable as reason:
            check.left_out[mode.name] = str(reason)
            del claims[mode.name]
        check.by_solvers = max(check.by_solvers, mode.by_solvers)


def _is_covered(check: Check, error: np.ndarray, truth: Claim, seen: Seen, runs: np.ndarray) -> bool:
    """Whether what a mode means, beside an error of its own types, is the truth."""
    claim = meant(runs, error, check.truth.coarsest)
    return seen.covers(np.abs(claim.derivative - truth.derivative), truth.error + claim.error)


@np.errstate(invalid="ignore")  # of infinities
def as_convention(claim: Claim, truth: Claim, sides: Claim, chosen: np.ndarray) -> Claim:
    """A claim, whose distance from the truth is no error where it lies between both sides of a kink, too.

    There the truth is the convention that comes closest to the first of the claims, and one is as good as another.
    """
    middle, apart = sides
    found, off = claim.derivative[:, chosen], np.abs(claim.derivative - truth.derivative)[:, chosen]
    lies = (apart > 0.0) & (np.abs(found - middle) <= apart + (claim.error + truth.error)[:, chosen])
    error = claim.error.copy()
    error[:, chosen] += np.where(lies, off, 0.0)
    return Claim(claim.derivative, error)


def unexcused(check: Check, claim: Claim, truth: Claim, known: np.ndarray) -> Claim:
    """A claim that is not finite is none to be excused by its error bar, where the truth fits into its type.

    But for inputs that lie outside of the domain themselves, in which an output that is not finite has no
    derivative: JAX multiplies that by zero for all others, and zero times NaN is NaN. Nor are these compared. What
    merely overflows lies in its domain.
    """
    largest = min(float(jax.numpy.finfo(dtype).max) for dtype in check.inputs.dtypes)
    broken = ~np.isfinite(claim.derivative)
    beyond = broken & ~known[:, None]
    outside = beyond
    if beyond.any():
        fine = np.isfinite(check.values[0]) | overflows(check.truth, check.values[0])
        outside = beyond & ~((check.weights != 0.0) <= fine).all(axis=1)[:, None]
    fits = np.isfinite(truth.error) & (np.abs(truth.derivative) < largest)
    excused = beyond | (broken & outside.any(axis=0))
    return Claim(claim.derivative, np.select([excused, broken & fits], [np.inf, 0.0], claim.error))


@np.errstate(invalid="ignore")  # of infinities
def _note_linear(
    check: Check, mode: Mode, asked: tuple[np.ndarray, np.ndarray | None], claim: Claim, blocks: Sequence[Block]
) -> None:
    """Whether a mode's answer for several vectors is that for each of them, and is so where nothing is mapped."""
    (vectors, weights), name = asked, mode.name
    opposite, together = check.together[name]
    floor = floor_of(claim.derivative.ravel(), blocks, check.truth.coarsest).reshape(claim.derivative.shape)
    axis = 0 if name == "reverse" else 1
    each, error = (np.moveaxis(x, axis, 0) for x in (claim.derivative, claim.error + floor))
    if not is_linear(check.truth.coarsest, opposite, [each, together, np.abs(opposite) @ error, error]):
        check.not_linear.append(name)
    if has_rules(check.truth.program):  # JAX's own are alike, mapped or not
        shares = opposite[0] if len(opposite) else np.eye(1, len(vectors))[0]
        mapped = together[0] if len(opposite) else each[0]
        unmapped = mode.unmapped(shares @ vectors, weights)
        if unmapped is not None and np.any(np.abs(unmapped - mapped) > 2.0 * (np.abs(shares) @ error + error[0])):
            check.not_mapped.append(name)
