"""The check of a user's gradient against finite differences of the cost, and against JAX where a JAX cost is given.

No error bound can be derived for formulas that nobody shows, so the bounds are measured: the noise of the cost
(`harness.checks.functions.cost_noise`), and the truncation of a difference from differences at other widths. What looks
wrong at one step is tried again with smaller ones (`harness.checks.functions.slope_search`), so that neither a kink nor
a strong curvature within one stencil raises a false alarm. An error has to be small compared with the largest
derivative in its block, at θ or one step away. The rounding of a large cost may hide errors up to `MOST_HIDDEN` of
that, and nothing is decided where it hides larger ones.

The steps: `call_twice` whether the answer at θ repeats, `measure` noise and rounding, difference each coordinate or
groups of them, `compare`, settle who is wrong, and `judge`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import ALL_COORDINATES, ENTRIES_MOVED, GROUPS, SINGLED_OUT
from harness.checks.functions.cost_differences import Differences
from harness.checks.functions.cost_probe import Budget
from harness.checks.functions.function_subject import PLACES_SHOWN, FunctionGradient, gradient_subject
from harness.checks.functions.gradient_case import GradientCase, ask_reference, measure
from harness.checks.functions.gradient_comparison import (
    Differenced,
    compare_directions,
    compare_with_differences,
    compare_with_reference,
    differenced_answer,
    hide_beside_jumps,
    measure_scale,
    open_kinks,
    settle,
)
from harness.checks.functions.gradient_rounding import gradients_nearby, range_nearby
from harness.checks.functions.line_stencil import Obstacle
from harness.checks.functions.repeated_calls import FUN, FirstAnswer, call_twice, find_cached_gradient
from harness.checks.functions.slope_search import LineSlope, found_alone
from harness.checks.functions.taylor_remainder import check_remainders
from harness.checks.functions.user_function import UserFunction, gradient_function, with_arguments
from harness.facts.fact import Fact, Severity, doubt, note
from harness.facts.kinds import Kind
from harness.progress import progress_bar
from harness.sources.process_state import KeptSettings
from harness.verdict.comparison import Answer, Pair, compare, require_accuracy
from harness.verdict.consensus import Consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report

PATIENCE = 2.0
"""Seconds until a terminal shows how far the check is."""

CALLS_OF_LINE = 4.0
"""Calls of the cost that a line needs on average: two, and seven where these leave doubt."""

FEWEST_GROUPS = 50.0
"""Of very many parameters, at least so many groups are differenced: with fewer, one wrong entry would be small beside
the others of its group."""

MUCH_SMALLER = 1e-3
"""For a diagnosis, coordinates that seem right have to be known to this share of the smallest error of others."""

ALL_TOGETHER = "The derivative along a random direction"
"""What is undecided where every coordinate by itself is decided."""

METHODS = ("differences", "taylor")


class Evidence(NamedTuple):
    """What differences have shown: the answers compared, in coordinates and along directions."""

    subject: FunctionGradient
    answers: tuple[Answer, ...]
    pairs: list[Pair]
    ends: list[Pair]


def check_gradient(
    fun: Callable[..., Any],
    theta: Any,
    reference: Callable[..., Any] | None = None,
    *,
    gradient: Callable[..., Any] | None = None,
    jac: Callable[..., Any] | bool | None = None,
    args: Any = (),
    has_aux: bool = False,
    budget: int | float | None = None,
    accuracy: float = 0.0,
    method: str = "differences",
) -> Report:
    """Check whether the gradient that `fun` returns is the derivative of the cost that it returns.

    Parameters
    ----------
    fun : callable
        ``fun(theta) -> (cost, gradient)``, the gradient laid out like θ. Every call gets a fresh θ. The cost alone,
        where the gradient is given apart, or is to be autograd's of PyTorch: where θ is a module, or tensors that
        require a gradient.
    theta : array, number or tree
        NumPy, JAX or torch arrays of any shape in float64, float32 or float16; any nesting of dicts, lists, tuples,
        NamedTuples and dataclasses with such arrays as leaves; a `torch.nn.Module`. Names, functions, masks and frozen
        parameters among the leaves are held as they are. A module, and each `torch.nn.Parameter`, is set in place for a
        call and put back after it.
    reference : callable, optional
        ``reference(theta) -> cost``, traceable by JAX: a second opinion on cost and gradient.
    gradient : callable, optional
        ``gradient(theta) -> gradient``: then differences of the cost call `fun` alone.
    jac : callable or True, optional
        As for `scipy.optimize.minimize`: another name for `gradient`, or True where `fun` answers both.
    args : tuple, optional
        More arguments of `fun`, `gradient` and `reference`.
    has_aux : bool
        `fun` answers ``((cost, aux), gradient)``, as JAX has it, or ``(cost, gradient, aux)``; where the gradient is
        apart, ``(cost, aux)``, and `gradient` may answer ``(gradient, aux)``.
    budget : int or float, optional
        What the check may take: so many calls of `fun` (an int), or so many seconds (a float). With less, coordinates
        are taken together in larger groups, and errors have to be larger to be seen; the report says how large.
    accuracy : float
        Errors of the gradient below this share of the largest derivative in their block are accepted, as a solver's
        tolerance leaves them; the report says how large they are, and larger ones are wrong.
    method : "differences" or "taylor"
        "taylor" judges by the decay of the Taylor remainder along directions, for a cost whose noise leaves differences
        nothing, as a solver's may. It is less sharp, and `Report.plot` draws the decay.

    Returns
    -------
    Report
        The source "fun" is yours. "inconclusive" where differences cannot tell: at a kink, or where the cost is noise.

    Raises
    ------
    ValueError, TypeError
        When `theta` or what `fun` answers has no proper shape, or holds something else than real numbers. What `fun`
        raises at θ is handed on; what it raises near θ is taken for the edge of its domain, unless only a bug raises
        that, as with TypeError.
    """
    started, accuracy = time.perf_counter(), require_accuracy(accuracy)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    allowance, args = Budget(budget), args if isinstance(args, tuple) else (args,)
    cost_of_reference = with_arguments(reference, args)
    user = UserFunction(fun, theta, gradient_function(gradient, jac), args, has_aux)
    with KeptSettings() as settings:
        first = call_twice(user, accuracy)
        changed = settings.so_far()  # by fun alone, for nothing of the harness has been imported meanwhile
        notes = (note(Kind.SETTINGS_CHANGED, FUN, settings=changed),) if changed else ()
        if not first.repeats:
            return _report_not_repeatable(user, first, notes, started)
        with progress_bar(PATIENCE) as progress:
            case = measure(user, first, notes, allowance, progress, accuracy)
            if method == "taylor":
                return check_remainders(case, started)
            found = examine(case, cost_of_reference)
            consensus = settle(found.answers, found.pairs, found.ends)
            return judge(found.subject, found.answers, found.pairs, found.ends, consensus, started=started)


def examine(case: GradientCase, reference: Callable[..., Any] | None = None) -> Evidence:
    """The differences of the cost, compared with the gradient and with a reference."""
    differences = Differences(case.layout, case.fine, case.reported)
    seen, doubts = _difference_all(case, differences)
    others = [] if reference is None else [ask_reference(case, reference)]
    for other in others:
        seen = _examine_rivals(case, differences, seen, other)
    seen = replace(seen, found=hide_beside_jumps(case.reported, seen.found, case.layout.blocks))
    scale = measure_scale(case, seen.found)  # before the range of a kink stands for a derivative
    seen = _accept_conventions(case, differences, seen)

    differenced = differenced_answer(case, seen.found)
    pairs = [compare_with_differences(case, differenced, seen, scale)]
    ends = compare_directions(case, seen.groups, pairs[0])
    for other in others:
        pairs += compare_with_reference(case, differenced, other, seen.found, scale)
    # what is wrong at θ needs no look elsewhere
    if not any(pair.disagrees for pair in (*pairs, *ends)):
        cached = find_cached_gradient(case.near, case.gradient, case.reported, case.unit, case.elsewhere)
        broken, unsure = (
            [fact for fact in cached if fact.severity == each] for each in (Severity.WRONG, Severity.DOUBT)
        )
        case = replace(case, reported=replace(case.reported, broken_rules=(*case.reported.broken_rules, *broken)))
        doubts = (*doubts, *unsure, *_compare_across_kinks(case, differences, seen, pairs[0].at_odds))
    return Evidence(gradient_subject(case, seen, pairs[0], doubts), (case.reported, differenced, *others), pairs, ends)


def _report_not_repeatable(user: UserFunction, first: FirstAnswer, notes: tuple[Fact, ...], started: float) -> Report:
    """The report on a gradient that is another every time: more sources are no help, so nothing else is evaluated."""
    nothing = np.zeros_like(first.gradient)
    reported = Answer(FUN, FUN, first.cost, 0.0, first.gradient, nothing, broken_rules=first.facts, notes=notes)
    subject = FunctionGradient(user.layout, user.theta, reported, {}, nothing.astype(bool), nothing, nothing)
    report = judge(subject, [reported], [], [], Consensus((FUN,), (), tie=False), started=started)
    return replace(report, facts=tuple(fact for fact in report.facts if fact.severity != Severity.DOUBT))


# -- what is differenced -----------------------------------------------------------------------------------------------


def _difference_all(case: GradientCase, differences: Differences) -> tuple[Differenced, tuple[Fact, ...]]:
    """Every coordinate differenced, and a doubt, if there is one.

    First quickly. Then along one direction in all that this left clear: 1e-9 of each of 300 derivatives is too little
    for a glance, and adds up along the gradient. If the direction is wrong, the coordinates are differenced closely. If
    none of them is wrong then, their sum is, or the cost has no gradient.
    """
    lines = _difference_each(case, differences)
    seen, together = _join(lines), differences.together(_clear_coordinates(lines))
    pair = _compare_quickly(case, seen)
    if pair.disagrees:
        return _sharpen(differences, seen, pair), ()
    jumps = differences.jumps_together(lines)
    doubts = (doubt(Kind.ROUGH_COST, ALL_TOGETHER, visible=None),) if jumps else ()
    if together is None or not (together.is_wrong or together.found.obstacle == Obstacle.KINK):
        return seen, doubts
    # closely, as a glance does not see through a small kink
    seen = _join(_difference_each(case, differences, closely=True))
    pair = _compare_quickly(case, seen)
    if pair.disagrees or not pair.decided[together.search.indices].all():
        return seen, ()
    if seen.adds_up_to(together):
        return replace(seen, groups=(*seen.groups, together)), ()
    # √|x y| at 0 has partial derivatives of 0, and a kink along the diagonal
    return seen, (doubt(Kind.KINK, ALL_TOGETHER, left=None, right=None),)


def _join(lines: Sequence[LineSlope]) -> Differenced:
    """What all lines have shown."""
    return Differenced(found_alone(lines), tuple(each for each in lines if len(each.search.indices) > 1))


def _clear_coordinates(lines: Sequence[LineSlope]) -> np.ndarray:
    """The coordinates that were left clear by the last line that moves them."""
    last = {i: each.is_clear for each in lines for i in each.search.indices.tolist()}
    return np.array(sorted(i for i, is_clear in last.items() if is_clear), dtype=int)


@np.errstate(invalid="ignore")
def _sharpen(differences: Differences, seen: Differenced, pair: Pair) -> Differenced:
    """The differences; where errors like those of wrong coordinates could hide in others, the vaguest of these closely.

    Else a factor of 2 in all entries passes for one in the large entries alone.
    """
    right = ~pair.at_odds & np.isfinite(pair.allowed)
    smallest = np.fmin.reduce(pair.difference[pair.at_odds], initial=np.inf)
    vague = [i for i in np.flatnonzero(right & ~(pair.allowed <= MUCH_SMALLER * smallest)).tolist() if i in seen.found]
    vague = sorted(vague, key=lambda i: -pair.allowed[i])[:SINGLED_OUT]
    closer = differences.one_by_one(np.array(vague, dtype=int), closely=True)
    return replace(seen, found={**seen.found, **found_alone(closer)})


def _compare_quickly(case: GradientCase, seen: Differenced) -> Pair:
    """The gradient compared with the differences that are known."""
    differenced, scale = differenced_answer(case, seen.found), measure_scale(case, seen.found)
    return compare_with_differences(case, differenced, seen, scale)


def _difference_each(case: GradientCase, differences: Differences, *, closely: bool = False) -> list[LineSlope]:
    """Every coordinate differenced, by itself or in a group; one by one what contradicts the gradient in a group."""
    size, lines = case.layout.size, differences.probes.budget.calls_left() / CALLS_OF_LINE
    if size <= min(ALL_COORDINATES, lines):
        return differences.one_by_one(np.arange(size), closely=closely)
    count = int(max(min(GROUPS, max(ENTRIES_MOVED / size, FEWEST_GROUPS), 0.5 * lines, 0.5 * size), 1.0))
    groups = differences.in_groups(list(differences.parts(count)), closely=closely)
    wrong = [group for group in groups if group.is_wrong]
    suspects = differences.single_out(wrong) if wrong else []
    # errors have to be small beside the largest derivatives, which are therefore differenced by themselves
    known = found_alone(suspects)
    largest = [i for i in differences.largest_of_blocks()[:count].tolist() if i not in known]
    return [*groups, *suspects, *differences.one_by_one(np.array(largest, dtype=int))]


def _examine_rivals(case: GradientCase, differences: Differences, seen: Differenced, other: Answer) -> Differenced:
    """The coordinates in which a reference contradicts the gradient, one by one: there may be a kink."""
    rivals = np.flatnonzero(compare(case.reported, other, case.layout.blocks).at_odds)
    chosen = np.random.default_rng(0).permutation(rivals)[:SINGLED_OUT].tolist()
    left = np.array([i for i in chosen if i not in seen.found], dtype=int)
    return replace(seen, found={**seen.found, **found_alone(differences.one_by_one(left))})


def _accept_conventions(case: GradientCase, differences: Differences, seen: Differenced) -> Differenced:
    """The differences; where the cost has partial derivatives and no gradient, those of a convention as kinks.

    The median of (1, 1, 1) has partial derivatives of 0, and 1 along (1, 1, 1): 1/3 each is a convention.
    """
    pair = compare(case.reported, differenced_answer(case, seen.found), case.layout.blocks)
    if not pair.at_odds.any():
        return seen
    together = differences.in_groups([np.arange(case.layout.size)], closely=True)
    if all(seen.adds_up_to(group) for group in together):
        return seen
    low, high = range_nearby(_gradients_nearby(case))
    reported = replace(case.reported, error=case.reported.error + pair.accepted)
    return replace(seen, found=open_kinks(reported, seen.found, np.flatnonzero(pair.at_odds), low, high))


def _gradients_nearby(case: GradientCase) -> np.ndarray:
    return gradients_nearby(case.near, case.gradient, case.unit, case.reported.accuracy)


def _compare_across_kinks(
    case: GradientCase, differences: Differences, seen: Differenced, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """A doubt where slopes at kinks are conventions each by itself, and do not belong together.

    As the gradient of max(a, b) at a tie, (1, 1) has 2 for the slope along (1, 1), which is 1 on both sides. A right
    one may have the slope of another side at every kink, and no few points near θ show all combinations. So it may be
    beyond their slopes by as much as these differ.
    """
    kinks = [i for i, found in seen.found.items() if found.obstacle == Obstacle.KINK and not at_odds[i]]
    if len(kinks) < 2:
        return ()
    beyond = [group for group in differences.across_kinks(np.array(kinks)) if group.is_wrong]
    nearby = _gradients_nearby(case)[:, kinks] if beyond else np.empty((0, len(kinks)))
    for group in beyond:
        reported, moves, found = group.search.reported, group.search.moves, group.found
        slopes = nearby @ moves  # those of the sides that a gradient may take together
        low = slopes.min(initial=found.derivative - found.error)
        high = slopes.max(initial=found.derivative + found.error)
        room = reported.error + reported.accepted + (np.ptp(slopes) if slopes.size else 0.0)
        if not low - room <= reported.derivative <= high + room:
            size = np.max(np.abs(moves))
            data = {"slope": reported.derivative / size, "low": low / size, "high": high / size}
            return (
                doubt(Kind.KINKS_TOGETHER, *map(case.layout.label, kinks[:PLACES_SHOWN]), count=len(kinks), **data),
            )
    return ()
