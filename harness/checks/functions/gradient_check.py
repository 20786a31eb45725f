"""The check of a user's gradient against finite differences of the cost, and against JAX where a JAX cost is given.

The steps, as the package's docstring tells them: `call_twice`, `measure`, `examine`, `settle`, `judge`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import ALL_COORDINATES, ENTRIES_MOVED, GROUPS, SINGLED_OUT
from harness.checks.functions.cached_gradient import find_cached_gradient
from harness.checks.functions.cost_differences import Differences
from harness.checks.functions.cost_probe import Budget
from harness.checks.functions.function_subject import FunctionGradient, gradient_subject
from harness.checks.functions.gradient_case import FUN, FirstAnswer, GradientCase, ask_reference, call_twice, measure
from harness.checks.functions.gradient_comparison import (
    Differenced,
    accept_conventions,
    compare_across_kinks,
    compare_directions,
    compare_with_differences,
    compare_with_reference,
    differenced_answer,
    hide_beside_jumps,
    measure_scale,
    settle,
)
from harness.checks.functions.line_stencil import Obstacle
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

PATIENCE = 2.0  # seconds until a terminal shows how far the check is

CALLS_OF_LINE = 4.0  # calls of the cost that a line needs on average: two, and seven where these leave doubt

FEWEST_GROUPS = 50.0
"""Of very many parameters: with fewer groups, one wrong entry would be small beside the others of its group."""

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
    differences = Differences(case)
    seen, doubts = _difference_all(differences)
    others = [] if reference is None else [ask_reference(case, reference)]
    for other in others:
        seen = _examine_rivals(differences, seen, other)
    seen = replace(seen, found=hide_beside_jumps(case.reported, seen.found, case.layout.blocks))
    scale = measure_scale(case, seen.found)  # before the range of a kink stands for a derivative
    seen = accept_conventions(differences, seen)

    differenced = differenced_answer(case, seen.found)
    pairs = [compare_with_differences(case, differenced, seen, scale)]
    ends = compare_directions(case, seen.groups, pairs[0])
    for other in others:
        pairs += compare_with_reference(case, differenced, other, seen.found, scale)
    # what is wrong at θ needs no look elsewhere
    if not any(pair.disagrees for pair in (*pairs, *ends)):
        cached = find_cached_gradient(case)
        broken = [fact for fact in cached if fact.severity == Severity.WRONG]
        unsure = [fact for fact in cached if fact.severity == Severity.DOUBT]
        case = replace(case, reported=replace(case.reported, broken_rules=(*case.reported.broken_rules, *broken)))
        doubts = (*doubts, *unsure, *compare_across_kinks(differences, seen, pairs[0].at_odds))
    return Evidence(gradient_subject(case, seen, pairs[0], doubts), (case.reported, differenced, *others), pairs, ends)


def _report_not_repeatable(user: UserFunction, first: FirstAnswer, notes: tuple[Fact, ...], started: float) -> Report:
    """The report on a gradient that is another every time: more sources are no help, so nothing else is evaluated."""
    nothing = np.zeros_like(first.gradient)
    reported = Answer(FUN, FUN, first.cost, 0.0, first.gradient, nothing, broken_rules=first.facts, notes=notes)
    subject = FunctionGradient(
        user.layout, user.theta, reported, {}, nothing > 0.0, lambda: nothing, nothing, nothing > 0.0
    )
    report = judge(subject, [reported], [], [], Consensus((FUN,), (), tie=False), started=started)
    return replace(report, facts=tuple(fact for fact in report.facts if fact.severity != Severity.DOUBT))


# -- what is differenced -----------------------------------------------------------------------------------------------


def _difference_all(differences: Differences) -> tuple[Differenced, tuple[Fact, ...]]:
    """Every coordinate differenced, and a doubt, if there is one.

    First quickly. Then along one direction in all that this left clear: 1e-9 of each of 300 derivatives is too little
    for a glance, and adds up along the gradient. If the direction is wrong, the coordinates are differenced closely. If
    none of them is wrong then, their sum is, or the cost has no gradient.
    """
    lines = _difference_each(differences)
    seen, together = _join(lines), differences.together(_clear_coordinates(lines))
    pair = _compare_quickly(differences.case, seen)
    if pair.disagrees:
        return _sharpen(differences, seen, pair), ()
    jumps = (doubt(Kind.ROUGH_COST, ALL_TOGETHER, visible=None),) if differences.jumps_together(lines) else ()
    if together is None or not (together.is_wrong or together.found.obstacle == Obstacle.KINK):
        return seen, jumps
    # closely, as a glance does not see through a small kink
    seen = _join(_difference_each(differences, closely=True))
    pair = _compare_quickly(differences.case, seen)
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
    return seen.with_lines(differences.one_by_one(vague, closely=True))


def _compare_quickly(case: GradientCase, seen: Differenced) -> Pair:
    """The gradient compared with the differences that are known."""
    differenced, scale = differenced_answer(case, seen.found), measure_scale(case, seen.found)
    return compare_with_differences(case, differenced, seen, scale)


def _difference_each(differences: Differences, *, closely: bool = False) -> list[LineSlope]:
    """Every coordinate differenced, by itself or in a group; one by one what contradicts the gradient in a group."""
    size, lines = differences.case.layout.size, differences.probes.budget.calls_left() / CALLS_OF_LINE
    if size <= min(ALL_COORDINATES, lines):
        return differences.one_by_one(range(size), closely=closely)
    count = int(max(min(GROUPS, max(ENTRIES_MOVED / size, FEWEST_GROUPS), 0.5 * lines, 0.5 * size), 1.0))
    groups = differences.in_groups(differences.parts(count), closely=closely)
    wrong = [group for group in groups if group.is_wrong]
    suspects = differences.single_out(wrong) if wrong else []
    # errors have to be small beside the largest derivatives, which are therefore differenced by themselves
    known = found_alone(suspects)
    largest = [i for i in differences.largest_of_blocks()[:count] if i not in known]
    return [*groups, *suspects, *differences.one_by_one(largest)]


def _examine_rivals(differences: Differences, seen: Differenced, other: Answer) -> Differenced:
    """The coordinates in which a reference contradicts the gradient, one by one: there may be a kink."""
    case = differences.case
    rivals = np.flatnonzero(compare(case.reported, other, case.layout.blocks).at_odds)
    chosen = np.random.default_rng(0).permutation(rivals)[:SINGLED_OUT].tolist()
    return seen.with_lines(differences.one_by_one([i for i in chosen if i not in seen.found]))
