"""How a submission wants to be called, found out by trying, and what it answers then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.checks.networks.diagnosing.replaying import is_explained
from harness.grading.calling.answers import NotAnAnswer, Parsed, parse, picks
from harness.grading.calling.conventions import THE_COURSES, Convention, Role, all_conventions, arguments, roles_of
from harness.grading.calling.signatures import Function, worth
from harness.grading.problems import Asked, course_problems, small_problems
from harness.grading.reading import Submission
from harness.grading.running import Failed, Process
from harness.wording import did_you_mean

FUNCTIONS = 5  # of a file that are tried
NEAREST = 8  # unusual conventions in which a bug is looked for
OWN_SIZES = {5000, 400, 401, 10025, 10285}  # numbers in the code of who wrote it for the course's data alone


@dataclass(eq=False)
class Way:
    """A function, what its parameters take, and the convention in which it answers best."""

    function: Function
    roles: tuple[Role, ...]
    convention: Convention
    parsed: Parsed
    right: tuple[bool, bool] = (False, False)
    explained: bool = False
    far: float = np.inf  # from the right answer

    @property
    def worth(self) -> tuple[bool, bool, int, bool, float]:
        known = self.explained or any(self.right)  # of those, the usual first; an unusual one has to be
        near = 0.0 if known else -self.far if self.convention.blocks == THE_COURSES else -np.inf
        return all(self.right), self.explained, sum(self.right), self.parsed.cost is not None, near

    def ask(self, process: Process, asked: Asked) -> Parsed:
        """The answer to a problem; raises Failed."""
        return _ask(process, self.function, self.roles, self.convention, asked)


@dataclass
class Ways:
    """How a submission answers: one way for both, or one for the cost and one for the gradient.

    Attributes
    ----------
    of_cost, of_gradient : Way or None
    failure : why there is none
    only_at : the sizes at which alone it runs, or is right; empty for any
    problems : what it is graded on: one, the same without a regulariser, and more
    refused : where only a cost or only a gradient was answered, why other functions answered nothing
    """

    of_cost: Way | None = None
    of_gradient: Way | None = None
    failure: str = ""
    only_at: str = ""
    problems: tuple[Asked, ...] = field(default_factory=small_problems)
    failures: list[Failed] = field(default_factory=list)
    refused: tuple[str, ...] = ()

    @property
    def conventions(self) -> list[str]:
        """What of its convention is not the course's."""
        said: dict[str, None] = {}
        for way in (self.of_cost, self.of_gradient):
            if way is not None:
                said |= dict.fromkeys([*way.convention.described(), *way.parsed.came])
                said |= {f"{name} as a constant of the file": None for name in way.function.constants}
        if self.of_cost is not self.of_gradient and self.of_cost and self.of_gradient:
            said["cost and gradient in two functions"] = None
        return list(said)

    @property
    def right(self) -> bool:
        return bool(self.of_cost and self.of_gradient and self.of_cost.right[0] and self.of_gradient.right[1])

    def ask(self, process: Process, asked: Asked) -> Parsed:
        """Cost and gradient, whatever gives them; raises Failed."""
        parsed = {way.function.name: way.ask(process, asked) for way in (self.of_cost, self.of_gradient) if way}
        cost = parsed[self.of_cost.function.name] if self.of_cost else Parsed()
        gradient = parsed[self.of_gradient.function.name] if self.of_gradient else Parsed()
        came = (*cost.came, *gradient.came)
        precision = min(cost.precision, gradient.precision)  # "float32", if one of them is
        return Parsed(cost.cost, gradient.gradient, came, precision, (gradient if self.of_gradient else cost).order)

    def change(self, process: Process, asked: Asked) -> tuple[str, bool]:
        """Which arguments are changed in place when it is asked; empty for none. And whether that spoils an answer.

        It does where a right answer is no longer right for who calls again with the same arrays as they were left.
        """
        for way in dict.fromkeys(way for way in (self.of_cost, self.of_gradient) if way):
            process.changes.clear()
            try:
                first = way.ask(process, asked)
                for changes in process.changes[:1]:
                    said = changes.described(way.function)
                    value = process.call(changes.function, *changes.afterwards)
                    second = _read(value, process.submission, way.function, way.convention, asked)
                    return said, any(a and not b for a, b in zip(asked.judged(first), asked.judged(second)))
            except Failed:
                continue
        return "", False

    def repeats(self, process: Process, asked: Asked, parsed: Parsed) -> bool:
        """Whether it answers the same when it is asked again."""
        try:
            again = self.ask(process, asked)
        except Failed:
            return False
        before, after = ([np.nan if part is None else part for part in (p.cost, p.gradient)] for p in (parsed, again))
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after))


@dataclass(frozen=True, eq=False)
class Shown:
    """An answer to be shown: the problem, what came back, and how the submission was called."""

    asked: Asked
    parsed: Parsed
    ways: Ways


NOT_REPEATABLE = (
    "it answers differently when it is asked twice: look for random numbers, and for values kept from before"
)


def _ask(process: Process, function: Function, roles: tuple[Role, ...], convention: Convention, asked: Asked) -> Parsed:
    value = process.call(function.name, *arguments(roles, convention, asked.problem, asked.theta))
    return _read(value, process.submission, function, convention, asked)


def _read(value: Any, submission: Submission, function: Function, convention: Convention, asked: Asked) -> Parsed:
    try:
        parsed = parse(value, convention, asked.problem)
    except NotAnAnswer as error:
        raise Failed(f"{function.called} {error}", answered=True) from None
    return asked.as_meant(parsed, submission.in_single_precision)


def find_ways(process: Process, named: str | None = None) -> Ways:
    """The best way to ask a submission, of all functions and conventions.

    Parameters
    ----------
    named : the function to be asked; by default those of which the name and the parameters look like it
    """
    submission = process.submission
    candidates = _candidates(submission, named)
    if not candidates:
        return Ways(failure=_no_function(submission, named))
    probe = small_problems()[0]
    ways = _best_ways(process, candidates, probe, all_conventions())
    if ways.right or any(failure.fatal for failure in ways.failures):
        return ways
    if ways.failure or _knows_own_sizes(submission):
        usual = [convention for convention in all_conventions() if convention == _usual(convention)]
        usual.sort(key=lambda convention: (len(convention.described()), convention.column))  # each call may be slow
        for problems in course_problems():
            there = _best_ways(process, candidates[:2], problems[0], usual, explain=bool(ways.failure))
            if there.right or (ways.failure and not there.failure):
                there.problems, there.only_at = problems, problems[0].name.rpartition(",")[0]
                return there
    return ways


def ways_of_source(submission: Submission, named: str | None) -> Ways | None:
    """The way to ask a gradient source ``f(problem, theta)``, which needs no trying; None for other functions."""
    for function, roles in _candidates(submission, named)[:1]:
        if "problem" in roles:
            way = Way(function, roles, Convention(), Parsed())
            return Ways(way, way)
    return None


def _usual(convention: Convention) -> Convention:
    return Convention(convention.labels, convention.column, convention.order)


def _knows_own_sizes(submission: Submission) -> bool:
    return any(str(number) in text for _, text in submission.texts for number in OWN_SIZES)


def _candidates(submission: Submission, named: str | None) -> list[tuple[Function, tuple[Role, ...]]]:
    functions = [function for function in submission.functions if named in (None, function.name, function.called)]
    ranked = sorted(functions, key=worth, reverse=True)
    found = [(function, roles) for function in ranked if (roles := roles_of(function))]
    return [pair for pair in found if named or worth(pair[0]) >= 0][:FUNCTIONS]


def _no_function(submission: Submission, named: str | None) -> str:
    offer = "; offer one of (nn_params, X, y, lambda) or of (W1, b1, W2, b2, X, y, lambda)"
    if here := [function for function in submission.functions if named in (function.name, function.called)]:
        return f"{here[0]} does not look like a function of θ, X and y{offer}"
    defined = ", ".join(map(str, submission.functions[:8])) or "none"
    if named:
        close = did_you_mean(named, [function.called for function in submission.functions])
        return f"there is no function {named}; it defines {defined}{close}"
    return f"there is no function of θ, X and y, such as the course's nnCostFunction; it defines {defined}{offer}"


def _best_ways(
    process: Process,
    candidates: Sequence[tuple[Function, tuple[Role, ...]]],
    asked: Asked,
    conventions: Any,
    explain: bool = True,
) -> Ways:
    """The best way to ask about a problem; with `explain`, the bug zoo tells between ways that are wrong."""
    conventions, failures = list(conventions), []
    best: list[Way] = []
    ways: dict[Function, list[Way]] = {}
    for function, roles in candidates:
        ways[function] = tried = list(_tried(process, function, roles, asked, conventions, failures, explain))
        if tried:
            known = any(way.explained or any(way.right) for way in tried)
            if explain and not known:
                known = _explain_the_nearest(tried, asked)
            if explain and not known and Ways(tried[0], tried[0]).repeats(process, asked, tried[0].parsed):
                _explain_by_pairs(tried, asked)
            best.append(max(tried, key=lambda way: way.worth))
            if all(best[-1].right):
                return Ways(best[-1], best[-1])
        if failures and failures[-1].fatal:
            break
    whole = [way for way in best if way.parsed.cost is not None and way.parsed.gradient is not None]
    if whole:
        way = max(whole, key=lambda way: way.worth)
        return Ways(way, way, failures=[failure for failure in failures if failure.fatal])
    of_cost = max((way for way in best if way.parsed.cost is not None), key=lambda way: way.worth, default=None)
    of_gradient = max((way for way in best if way.parsed.cost is None), key=lambda way: way.worth, default=None)
    if of_cost and of_gradient and of_cost.right[0] and not (of_gradient.explained or of_gradient.right[1]):
        of_gradient = _as_read(of_cost.convention, ways[of_gradient.function]) or of_gradient
    fatal = [failure for failure in failures if failure.fatal]
    nearest = fatal or [failure for failure in failures if failure.answered] or failures
    why = "" if best else str(nearest[0])
    found = Ways(of_cost, of_gradient, why, failures=fatal or ([] if best else failures))
    if (half := of_cost or of_gradient) and not (of_cost and of_gradient):
        silent = [(function, roles) for function, roles in candidates if ways.get(function) == []]
        found.refused = tuple(_refusals(process, silent, replace(half.convention, pick=None), asked))
    return found


def _refusals(
    process: Process, silent: Sequence[tuple[Function, tuple[Role, ...]]], convention: Convention, asked: Asked
) -> Iterator[str]:
    """Why functions that answer in no convention do not in the one in which others do."""
    for function, roles in silent:
        if convention.fits(roles):
            try:
                _ask(process, function, roles, convention, asked)
            except Failed as failure:
                yield str(failure)


def _as_read(convention: Convention, ways: Sequence[Way]) -> Way | None:
    """The way in which θ and data are read as in a convention that is right, of who is wrong in every way."""
    alike = [way for way in ways if replace(way.convention, pick=None) == replace(convention, pick=None)]
    return min(alike, key=lambda way: way.far, default=None)


def _is_explained(asked: Asked, parsed: Parsed, pairs: bool = False) -> bool:
    """Whether the bug zoo explains what there is of cost and gradient."""
    cost, gradient = asked.right
    cost = cost if parsed.cost is None else parsed.cost
    there = replace(parsed, cost=cost, gradient=gradient if parsed.gradient is None else parsed.gradient)
    return is_explained([asked.replay(there)], pairs)


def _explain_the_nearest(tried: Sequence[Way], asked: Asked) -> bool:
    """Find a bug that explains the answer in an unusual convention, of those in which it is the least off."""
    unusual = [way for way in tried if replace(way.convention, pick=None) != _usual(way.convention)]
    for way in sorted(unusual, key=lambda way: way.far)[:NEAREST]:
        way.explained = _is_explained(asked, way.parsed)
        if way.explained:
            return True
    return False


def _explain_by_pairs(tried: Sequence[Way], asked: Asked) -> None:
    """Find the usual way in which two bugs at once explain the answers, where no way is right and one bug too few.

    Of answers that are the same, in whatever way they came, or that hold no gradient to speak of, not all are tried.
    """
    seen: set[tuple[Any, ...]] = set()
    for way in tried:
        gradient = way.parsed.gradient
        if replace(way.convention, pick=None) != _usual(way.convention) or gradient is None or not gradient.any():
            continue
        answer = way.parsed.key
        if answer not in seen and _is_explained(asked, way.parsed, pairs=True):
            way.explained = True
            return
        seen.add(answer)


def _tried(
    process: Process,
    function: Function,
    roles: tuple[Role, ...],
    asked: Asked,
    conventions: Sequence[Convention],
    failures: list[Failed],
    explain: bool,
) -> Iterator[Way]:
    """The ways in which a function answers, up to the first that is right."""
    explained: dict[Any, bool] = {}
    for convention in conventions:
        if not convention.fits(roles):
            continue
        if "theta" not in roles:
            convention = replace(convention, theta="flat")  # which is nothing to tell of matrices as parameters
        try:
            value = process.call(function.name, *arguments(roles, convention, asked.problem, asked.theta))
        except Failed as failure:
            failures.append(failure)
            if failure.fatal or failure.missing_name:  # which no other convention brings
                return
            continue
        for pick in picks(value, convention, asked.problem):
            picked = replace(convention, pick=pick)
            try:
                parsed = _read(value, process.submission, function, picked, asked)
            except Failed as failure:
                failures.append(failure)
                continue
            way = Way(function, roles, picked, parsed, asked.judged(parsed), far=asked.distance(parsed))
            half = (parsed.cost is None or way.right[0]) and (parsed.gradient is None or way.right[1])
            if explain and not half and (convention == _usual(convention) or any(way.right)):
                if parsed.key not in explained:
                    explained[parsed.key] = _is_explained(asked, parsed)
                way.explained = explained[parsed.key]
            way.explained |= half
            yield way
            if half or "problem" in roles:
                return
