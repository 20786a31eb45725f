"""The run: every right function, and every wrong rule in it, shown to this harness and to its peers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harness.checks.traced.derivative_check import check_derivatives
from harness.progress import Progress, silent
from harness.study.cases import RIGHT, WRONG, Counted, quietly, said_by_peer, show_all
from harness.study.checkers import ALARM, HARNESS, PASS, VERDICTS, Checker, named_peers
from harness.study.rules.arrays import ARRAYS
from harness.study.rules.bugs import OF_THE_COTANGENT, UNREPEATABLE, wrong_rules
from harness.study.rules.places import PLACES, fits
from harness.study.rules.plain import PLAIN
from harness.study.rules.pointwise import POINTWISE
from harness.study.rules.rule import Rule
from harness.verdict.report import Report
from reference.jax_settings import settings

RULES: Sequence[Rule] = (*POINTWISE, *ARRAYS)
NOT_APPLICABLE = "not applicable"
NATIVE = "JAX check_grads"
FLAT_PEERS = ("torch gradcheck", "autograd check_grads")
"""Peers that are handed the cost w·f(θ) of a flat θ and JAX's reverse gradient of it."""

SHOWS = 1e-11
"""A wrong rule counts as one where it moves an answer by so much of its largest entry."""

QUICK_STEP = 45


class Case(NamedTuple):
    """A function at its arguments, right or with a wrong rule; `rule` is the function's, where it has one."""

    name: str
    kind: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    rule: Rule | None = None
    given: Callable[..., Any] | None = None
    bug: str = ""

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that `check_grads` can check: JAX has no forward mode of a `custom_vjp`."""
        return ("rev",) if self.rule is not None and self.rule.kind == "vjp" else ("fwd", "rev")


class Trial(NamedTuple):
    """What one checker said of one case; whether this harness named the wrong rule, with its file and line."""

    checker: str
    case: str
    kind: str
    outcome: str
    seconds: float
    named: str = ""


@dataclass(frozen=True)
class FunctionsStudy(Counted):
    """What came out."""

    schema = "harness.study.functions/1"

    def asked(self, checker: str, kind: str) -> int:
        """How many cases of a kind a checker could be asked about."""
        return self.count(checker=checker, kind=kind) - self.count(checker=checker, kind=kind, outcome=NOT_APPLICABLE)

    def median(self, checker: str) -> float:
        """The seconds of a check, in the middle of all."""
        return float(
            np.median([t.seconds for t in self.trials if t.checker == checker and t.outcome != NOT_APPLICABLE])
        )


# -- the cases --------------------------------------------------------------------------------------------------------


def right_cases() -> list[Case]:
    """Functions without rules of their own, and every rule alone and in a larger program."""
    plain = [Case(name, RIGHT, function, arguments) for name, (function, arguments) in PLAIN.items()]
    places = [(rule, place) for number, rule in enumerate(RULES) for place in ("alone", _place_of(rule, number))]
    return plain + [_placed(rule, rule.rule, place, RIGHT, "") for rule, place in places]


def wrong_cases(step: int = 1) -> list[Case]:
    """Of the wrong rules every so many, alone or in a larger program in turn; without those that are right here."""
    candidates = [(rule, bug, wrong) for rule in RULES for bug, wrong in wrong_rules(rule).items()]
    found = []
    for number, (rule, bug, wrong) in list(enumerate(candidates))[::step]:
        if bug == UNREPEATABLE or _differs(_answer(rule, wrong), _answer(rule, rule.rule)):
            place = "alone" if bug in OF_THE_COTANGENT else _place_of(rule, number)
            found.append(_placed(rule, wrong, place, WRONG, bug))
    return found


def _place_of(rule: Rule, number: int) -> str:
    possible = [name for name in PLACES if fits(name, rule)]
    return possible[number % len(possible)]


def _placed(rule: Rule, given: Callable[..., Any], place: str, kind: str, bug: str) -> Case:
    name = f"{rule.function.__name__}, {place}" + (f": {bug}" if bug else "")
    return Case(name, kind, PLACES[place](rule.with_rule(given)), rule.arguments, rule, given, bug)


def _answer(rule: Rule, given: Callable[..., Any]) -> np.ndarray:
    """What a rule makes of one random cotangent, or of one random tangent."""
    rng = np.random.default_rng(1)
    with settings(x64=True):
        arguments = tuple(map(jnp.asarray, rule.arguments))
        if rule.kind == "jvp":
            tangents = tuple(jnp.asarray(rng.normal(size=x.shape)) for x in arguments)
            return np.ravel(given(arguments, tangents)[1])
        output = rule.function(*arguments)
        cotangents = given((arguments, output), jnp.asarray(rng.normal(size=output.shape)))
        return np.concatenate([np.ravel(c) for c in cotangents])


def _differs(found: np.ndarray, right: np.ndarray) -> bool:
    return not bool(np.all(np.abs(found - right) <= SHOWS * np.abs(right).max()))


# -- what is asked ----------------------------------------------------------------------------------------------------


def run_functions(progress: Progress = silent, step: int = 1, peers: Sequence[str] | None = None) -> FunctionsStudy:
    """Show this harness and its peers every `step`-th case."""
    started = time.perf_counter()
    with quietly():
        cases = [*right_cases()[::step], *wrong_cases(step)]
    flat, left_out = named_peers(FLAT_PEERS if peers is None else peers)
    others = {NATIVE: _native} if peers is None else {}
    others |= {name: partial(_flat, checker) for name, checker in flat.items()}
    by_peers = {name: partial(_by_peer, name, check) for name, check in others.items()}
    trials = show_all(cases, {HARNESS: _by_harness} | by_peers, progress)
    return FunctionsStudy(trials, left_out, time.perf_counter() - started)


def _by_harness(case: Case) -> Trial:
    before = time.perf_counter()
    report = check_derivatives(case.function, *case.arguments)
    seconds = time.perf_counter() - before
    told = names_the_rule(report, case) if case.kind == WRONG and report.verdict == "disagree" else ""
    return Trial(HARNESS, case.name, case.kind, VERDICTS[report.verdict], seconds, told)


def names_the_rule(report: Report, case: Case) -> str:
    """Whether the first culprit is the wrong rule, with its name, file and line: "yes", "no", or "another"."""
    culprits = report.details.get("culprits", [])
    if not culprits or case.rule is None or case.given is None:
        return "no"
    code = case.given.__code__  # pyright: ignore[reportFunctionMemberAccess]
    place = f"{case.given.__name__} ({code.co_filename}:{code.co_firstlineno})"  # pyright: ignore[reportFunctionMemberAccess]
    first = culprits[0]
    return "yes" if (first["name"], first["where"]) == (case.rule.function.__name__, place) else "another"


def _by_peer(name: str, check: Callable[[Case], str], case: Case) -> Trial:
    with settings(x64=True):
        return Trial(name, case.name, case.kind, *said_by_peer(lambda: check(case), case.kind))


def _native(case: Case) -> str:
    from jax.test_util import check_grads

    try:
        check_grads(case.function, case.arguments, order=1, modes=case.modes)
    except AssertionError:
        return ALARM
    return PASS


def _flat(checker: Checker, case: Case) -> str:
    """A peer that knows float64 alone, and functions of one vector with their gradients."""
    if any(np.asarray(leaf).dtype != np.float64 for leaf in jax.tree.leaves(case.arguments)):
        return NOT_APPLICABLE
    both = _flat_gradient(case)
    if case.bug != UNREPEATABLE:  # a compiled program would be the same each time
        both = jax.jit(both)

    def source(_: Any, theta: np.ndarray) -> tuple[float, np.ndarray]:
        cost, *parts = both(theta)
        return float(cost), np.concatenate(parts)

    problem: Any = None  # such a source looks at none
    return checker(source, problem, _vector(case))


def _vector(case: Case) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(case.arguments)])


def _flat_gradient(case: Case) -> Callable[[Any], list[Any]]:
    """From θ to w·f(θ), w random, and JAX's reverse gradient, as one list of flat arrays."""
    leaves, tree = jax.tree.flatten(case.arguments)
    ends = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]

    def both(theta: Any) -> list[Any]:
        parts = [part.reshape(np.shape(leaf)) for part, leaf in zip(jnp.split(theta, ends), leaves)]
        outputs, pull_back = jax.vjp(case.function, *jax.tree.unflatten(tree, parts))
        rng = np.random.default_rng(0)
        weights = jax.tree.map(lambda y: jnp.asarray(rng.normal(size=y.shape), y.dtype), outputs)
        cost = sum(jnp.sum(w * y) for w, y in zip(jax.tree.leaves(weights), jax.tree.leaves(outputs)))
        return [cost, *(jnp.ravel(c) for c in jax.tree.leaves(pull_back(weights)))]

    return both
