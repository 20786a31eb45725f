"""How a submission wants to be called, found out by trying."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.checks.networks.bug_explanations import is_explained
from harness.grading.calling.answers import Parsed, picks
from harness.grading.calling.conventions import Convention, Role, all_conventions, arguments, roles_of
from harness.grading.calling.signatures import Function, worth
from harness.grading.fixed_l2 import at_fixed_l2, fixed_l2
from harness.grading.problems import Asked, course_problems, small_problems
from harness.grading.reading import Submission
from harness.grading.running import Failed, Process
from harness.grading.ways import Way, Ways, ask, read
from harness.wording import did_you_mean

FUNCTIONS = 5  # of a file that are tried
NEAREST = 8  # unusual conventions in which a bug is looked for
OWN_SIZES = {5000, 400, 401, 10025, 10285}  # numbers in the code of who wrote it for the course's data alone


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
    l2 = _fixed_l2(process, candidates)
    problems = at_fixed_l2(small_problems(), l2)
    ways = _best_ways(process, candidates, problems[0], all_conventions())
    if l2 is not None and not ways.failure:
        ways.l2, ways.problems = l2, problems
        return ways
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


def _fixed_l2(process: Process, candidates: Sequence[tuple[Function, tuple[Role, ...]]]) -> float | None:
    """The λ in the code of a function that takes none, in whatever usual convention."""
    for function, roles in candidates:
        for convention in all_conventions() if not {"l2", "problem"} & set(roles) else ():
            if convention.fits(roles) and not convention.blocks.described():
                try:
                    l2 = fixed_l2(partial(ask, process, function, roles, convention))
                except Failed as failure:
                    if failure.fatal or failure.missing_name:
                        return None
                else:
                    if l2 is not None:
                        return l2
    return None


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
                ask(process, function, roles, convention, asked)
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
                parsed = read(value, process.submission, function, picked, asked)
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
