"""What gradient sources answer for a problem at θ, each with its error bar, and what they do wrong on the way."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.bounds.network_bound import Bound, rounding_bound
from harness.checks.networks.network_subject import NOT_REPEATABLE
from harness.sources.process_state import KeptSettings, blamed
from harness.sources.source_table import Source, SourceFailed
from harness.verdict.comparison import Answer
from harness.verdict.consensus import Consensus
from harness.wording import first_few, what_it_is
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded32
from reference.measured import Measured, NotApplicable
from reference.problem import Problem


def ask(
    sources: Iterable[Source], problem: Problem, theta: np.ndarray, bound: Bound
) -> tuple[list[Answer], dict[str, str]]:
    """The answers of the sources that can answer, and why the others cannot."""
    answers, left_out = [], {}
    for source in sources:
        try:
            answers.append(_ask_one(source, problem, theta, bound))
        except NotApplicable as reason:
            left_out[source.name] = str(reason)
        except Exception as error:
            if source.failed is None:
                raise
            source.failed(error)
            kind = "" if isinstance(error, SourceFailed) else f"{type(error).__name__}: "  # which says more itself
            left_out[source.name] = f"it failed: {kind}{first_line(error)}"
    return _with_true_errors(answers), left_out


def ask_also(
    source: Source, answers: list[Answer], left_out: dict[str, str], problem: Problem, theta: np.ndarray, bound: Bound
) -> tuple[list[Answer], dict[str, str]]:
    """What others answered, with one more source."""
    more, why = ask([source], problem, theta, bound)
    return _with_true_errors([*answers, *more]), left_out | why


def _ask_one(source: Source, problem: Problem, theta: np.ndarray, bound: Bound) -> Answer:
    given = theta.copy()
    started = time.perf_counter()
    measured, misconduct, notes = _measure_and_watch(source, problem, given)
    seconds = time.perf_counter() - started
    if np.ndim(measured.cost):
        notes.append(f"its cost is an array of shape {np.shape(measured.cost)}, not a number")
    if not np.array_equal(given, theta):
        misconduct.append("changes its argument θ in place")
    cost, gradient = _checked(source.name, measured, theta)
    precision = "float32" if np.float32 in (gradient.dtype, cost.dtype) else "float64"
    own = bound if precision == "float64" else rounding_bound(problem, theta, Rounded32)
    exact_but_stored = np.spacing(abs(float(cost)))  # an oracle that does without float64 still rounds its answer to it
    return Answer(
        source.name,
        source.family,
        float(cost),
        measured.roundings * own.cost if measured.roundings else exact_but_stored,
        gradient.astype(np.float64),
        measured.error + (measured.roundings * own.gradient if measured.roundings else 0.0),
        precision,
        oracle=source.measure is not None,
        seconds=seconds,
        misconduct=tuple(misconduct),
        notes=tuple(notes),
    )


def _measure_and_watch(source: Source, problem: Problem, theta: np.ndarray) -> tuple[Measured, list[str], list[str]]:
    """What a source answers, what it did to the problem's data, and what else it changed; all is put back."""
    if source.is_of_the_harness:
        return _measure(source, problem, theta), [], []
    before = problem.X.copy(), problem.Y.copy()
    with KeptSettings() as settings:
        measured = _measure(source, problem, theta)
    misconduct = []
    for name, array, kept in zip("Xy", (problem.X, problem.Y), before):
        if not np.array_equal(array, kept):
            misconduct.append(f"changes the problem's {name} in place")
            array.flags.writeable = True
            array[...] = kept
            array.flags.writeable = False
    changed = first_few(settings.changed, shown=3)
    return measured, misconduct, [f"changes {changed}; put back after each call"] if changed else []


def _measure(source: Source, problem: Problem, theta: np.ndarray) -> Measured:
    with blamed(source), np.errstate(all="ignore"):  # what is not finite is judged, so NumPy need not warn of it
        if source.measure is not None:
            return source.measure(problem, theta)
        answered = source(problem, theta)
    if not isinstance(answered, tuple) or len(answered) != 2:
        raise TypeError(f"source {source.name!r} must answer a tuple (cost, gradient), not {what_it_is(answered)}")
    return Measured(*answered, np.zeros(theta.shape), roundings=1.0)


def _checked(name: str, measured: Measured, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost and gradient as arrays of real numbers, of shape () and of that of θ."""
    if isinstance(measured.gradient, np.ma.MaskedArray) or isinstance(measured.cost, np.ma.MaskedArray):
        raise TypeError(f"source {name!r} must answer numbers, but answered a masked array")
    cost, gradient = np.asarray(measured.cost), np.asarray(measured.gradient)
    if gradient.shape != theta.shape or cost.size != 1:
        raise ValueError(
            f"source {name!r} must answer (cost, gradient) with a number and an array of shape {theta.shape}, but "
            f"answered shapes {cost.shape} and {gradient.shape}"
        )
    if cost.dtype.kind not in "biuf" or gradient.dtype.kind not in "biuf":
        raise TypeError(f"source {name!r} must answer real numbers, but answered {cost.dtype} and {gradient.dtype}")
    return cost.reshape(()), gradient


def _with_true_errors(answers: Sequence[Answer]) -> list[Answer]:
    """Each with its median and largest distance from the exact gradient in ulps, where balls have enclosed it."""
    exact = next((answer for answer in answers if answer.family == "balls"), None)
    if exact is None:
        return list(answers)
    with np.errstate(all="ignore"):
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
    answers: Sequence[Answer],
    consensus: Consensus,
    sources: Mapping[str, Source],
    problem: Problem,
    theta: np.ndarray,
) -> list[Answer]:
    """The answers, where those at odds with others are marked if they differ when asked again: it takes a gradient."""
    return [
        replace(answer, misconduct=(*answer.misconduct, NOT_REPEATABLE))
        if (answer.name in consensus.outliers or consensus.tie)
        and not _repeats(answer, sources[answer.name], problem, theta.copy())
        else answer
        for answer in answers
    ]


def _repeats(answer: Answer, source: Source, problem: Problem, theta: np.ndarray) -> bool:
    try:
        again, _, _ = _measure_and_watch(source, problem, theta)
        _checked(source.name, again, theta)
    except Exception as error:
        if source.failed is None:
            raise
        source.failed(error)
        return False
    return not _differs_from(again, answer)


def _differs_from(again: Measured, answer: Answer) -> bool:
    gradient = np.asarray(again.gradient)
    with np.errstate(all="ignore"):
        moved = ~(np.abs(gradient - answer.gradient) <= 2.0 * answer.error) & (gradient != answer.gradient)
    return bool((moved & ~(np.isnan(gradient) & np.isnan(answer.gradient))).any())
