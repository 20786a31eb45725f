"""What gradient sources answer for a problem at θ, each with its error bound, and the side effects that they have.

The error bound of a backprop is B of `harness.bounds.network_bound`: how far rounding can move a right gradient. An
oracle adds its own error, such as the truncation of a difference or the radius of a ball.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.network_bound import Bound, rounding_bound
from harness.facts.fact import Fact, note, wrong
from harness.facts.kinds import Kind
from harness.sources.process_state import KeptSettings, blamed
from harness.sources.source_table import Source, SourceFailed
from harness.verdict.comparison import Answer, require_accuracy
from harness.verdict.consensus import Consensus
from harness.wording import what_it_is
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded32
from reference.measured import Measured, NotApplicable
from reference.problem import Problem
from reference.user_input import message_of

Answers = tuple[list[Answer], dict[str, Fact]]  # the answers of the sources that can answer, and why the others cannot


def ask_sources(sources: Iterable[Source], problem: Problem, theta: np.ndarray, bound: Bound) -> Answers:
    """Ask each source for cost and gradient; `bound` is what rounding can do to them in float64.

    What a source raises goes on to the caller, unless the source has a function that takes failures (`Source.failed`).
    """
    answers, left_out = [], {}
    for source in sources:
        name = source.name
        try:
            answers.append(_ask(source, problem, theta, bound))
        except NotApplicable as reason:
            left_out[name] = note(Kind.NOT_APPLICABLE, name, reason=str(reason))
        except Exception as error:
            if source.failed is None:
                raise
            source.failed(error)
            kind = {} if isinstance(error, SourceFailed) else {"error": type(error).__name__}
            left_out[name] = note(Kind.SOURCE_FAILED, name, reason=first_line(error), **kind)
    return with_true_errors(answers), left_out


def _ask(source: Source, problem: Problem, theta: np.ndarray, bound: Bound) -> Answer:
    name = source.name
    given = theta.copy()  # a source may change its argument, and the next one has to get θ as it was
    started = time.perf_counter()
    measured, broken_rules, notes = _measure_and_watch(source, problem, given)
    seconds = time.perf_counter() - started
    if np.ndim(measured.cost):
        notes = (*notes, note(Kind.COST_IN_ARRAY, name, shape=str(np.shape(measured.cost))))
    if not np.array_equal(given, theta):
        broken_rules = (*broken_rules, wrong(Kind.ARGUMENT_CHANGED, name, argument="θ"))
    cost, gradient = _as_real_arrays(name, measured, theta)
    precision = "float32" if np.float32 in (gradient.dtype, cost.dtype) else "float64"
    # float32 rounds 2^29 times more, so its answer gets a bound of its own
    own = bound if precision == "float64" else rounding_bound(problem, theta, Rounded32)
    cost_error, lost_digits = _bound_of_cost(source, measured, float(cost), own)
    return Answer(
        name,
        source.family,
        float(cost),
        cost_error,
        gradient.astype(np.float64),
        measured.error + (measured.roundings * own.gradient if measured.roundings else 0.0),
        precision,
        oracle=source.measure is not None,
        seconds=seconds,
        broken_rules=broken_rules,
        notes=(*notes, *lost_digits),
        accuracy=require_accuracy(getattr(source.run, "accuracy", 0.0)),
    )


def _bound_of_cost(source: Source, measured: Measured, cost: float, own: Bound) -> tuple[float, tuple[Fact, ...]]:
    """The error bound of a cost, and a note where it is right only as one that has lost digits.

    -log(1 - p), as the course writes it, has few digits where p is nearly 1: of 1 - p = 1e-15, one is left.
    """
    # Balls compute with more digits than float64 and have no roundings of these formulas, but their result is rounded
    # to float64 once. (0 times an infinite bound would be NaN, hence no plain product.)
    error = measured.roundings * own.cost if measured.roundings else np.spacing(abs(cost))
    if source.measure is None and own.has_lost_digits(cost):
        return own.cost_from_one, (note(Kind.COST_DIGITS_LOST, source.name),)
    return error, ()


def _measure_and_watch(
    source: Source, problem: Problem, theta: np.ndarray
) -> tuple[Measured, tuple[Fact, ...], tuple[Fact, ...]]:
    """A source's answer, which of the problem's arrays it changed, and which settings; all of them are put back."""
    if source.is_of_the_harness:  # which is tested to have no side effects
        return _measure(source, problem, theta), (), ()
    # X and Y are read-only views, which a source can make writable; then all that come after get another problem
    before = problem.X.copy(), problem.Y.copy()
    with KeptSettings() as settings:
        measured = _measure(source, problem, theta)
    broken_rules = []
    for name, array, kept in zip("Xy", (problem.X, problem.Y), before):
        if not np.array_equal(array, kept):
            broken_rules.append(wrong(Kind.ARGUMENT_CHANGED, source.name, argument=name))
            array.flags.writeable = True
            array[...] = kept
            array.flags.writeable = False
    changed = list(settings.changed)
    notes = (note(Kind.SETTINGS_CHANGED, source.name, settings=changed),) if changed else ()
    return measured, tuple(broken_rules), notes


def _measure(source: Source, problem: Problem, theta: np.ndarray) -> Measured:
    with blamed(source), np.errstate(all="ignore"):  # results that are not finite are judged, so no warning is needed
        if source.measure is not None:
            return source.measure(problem, theta)
        returned = source(problem, theta)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(f"source {source.name!r} must answer a tuple (cost, gradient), not {what_it_is(returned)}")
    return Measured(*returned, np.zeros(theta.shape), roundings=1.0)


def cost_and_gradient(source: Source, problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A source's answer as arrays of real numbers, of shape () and of that of θ; what it raises names the source."""
    return _as_real_arrays(source.name, _measure(source, problem, theta), theta)


def _as_real_arrays(name: str, measured: Measured, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost and gradient as arrays of real numbers, of shape () and of that of θ."""
    cost, gradient = _real_array(name, "cost", measured.cost), _real_array(name, "gradient", measured.gradient)
    if gradient.shape != theta.shape or cost.size != 1:
        raise ValueError(
            f"source {name!r} must answer (cost, gradient) with a number and an array of shape {theta.shape}, but "
            f"answered shapes {cost.shape} and {gradient.shape}"
        )
    return cost.reshape(()), gradient


def _real_array(name: str, part: str, answered: Any) -> np.ndarray:
    refused = f"source {name!r} must answer real numbers, but its {part} is {type(answered).__name__}"
    try:
        array = np.asarray(answered)
    except Exception as error:  # a list of lists of unlike lengths, a tensor that requires its gradient
        raise TypeError(f"{refused} ({message_of(error)})") from error
    if array.dtype.kind not in "biuf" or isinstance(answered, np.ma.MaskedArray):
        raise TypeError(f"{refused} ({array.dtype})")
    return array


def with_true_errors(answers: Sequence[Answer]) -> list[Answer]:
    """Each with its median and largest distance from the true gradient in ulps, where balls have enclosed that.

    An ulp is the distance of two neighbouring floats at the true derivative: right digits to the last one are 0.5 ulp.
    """
    exact = next((answer for answer in answers if answer.family == "balls"), None)
    if exact is None:
        return list(answers)
    with np.errstate(all="ignore"):
        # a ball that is wider than an ulp cannot tell how many ulps an answer is off
        ulp = np.spacing(np.abs(exact.gradient))
        known = exact.error <= ulp
        if not known.any():
            return list(answers)
        off = [(np.abs(answer.gradient - exact.gradient) / ulp)[known] for answer in answers]
    return [
        answer if answer is exact else replace(answer, ulps=(float(np.median(ulps)), float(ulps.max())))
        for answer, ulps in zip(answers, off)
    ]


def ask_suspects_again(
    answers: Sequence[Answer], consensus: Consensus, sources: Mapping[str, Source], problem: Problem, theta: np.ndarray
) -> list[Answer]:
    """The answers, where an outlier that answers differently the second time has that among its broken rules.

    Only outliers are asked again, or all in a tie: for the others a second call could change nothing.
    """
    found = []
    for answer in answers:
        is_suspect = answer.name in consensus.outliers or consensus.tie
        if is_suspect and not _repeats(answer, sources[answer.name], problem, theta.copy()):
            not_repeatable = wrong(Kind.NOT_REPEATABLE, answer.name, argument="θ")
            answer = replace(answer, broken_rules=(*answer.broken_rules, not_repeatable))
        found.append(answer)
    return found


def _repeats(answer: Answer, source: Source, problem: Problem, theta: np.ndarray) -> bool:
    """Whether a second call answers the same gradient, up to rounding."""
    try:
        again, _, _ = _measure_and_watch(source, problem, theta)
        _, gradient = _as_real_arrays(source.name, again, theta)
    except Exception as error:
        if source.failed is None:
            raise
        source.failed(error)
        return False
    before = answer.gradient
    with np.errstate(all="ignore"):
        # threads may sum in another order, so each of the two may be off by the bound in a direction of its own
        within = np.abs(gradient - before) <= 2.0 * answer.error
    same = (gradient == before) | (np.isnan(gradient) & np.isnan(before))  # inf - inf is NaN, and NaN != NaN
    return bool((within | same).all())
