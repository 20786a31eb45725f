"""The study of functions that JAX traces: derivative rules right and wrong, alone and in larger programs."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harness.checks.traced.derivative_check import check_derivatives
from harness.progress import Progress, silent
from harness.study.checkers import ALARM, HARNESS, PASS, VERDICTS, FlatCase
from harness.study.rule_bugs import OF_THE_COTANGENT, PLACES, UNREPEATABLE, fits, wrong_rules
from harness.study.traced_functions import PLAIN, RULE_FUNCTIONS, Function, RuleFunction
from harness.study.trials import RIGHT, WRONG, Case, Response, Study, beside_peers, conduct, flat_case
from harness.verdict.report import Report
from reference.jax_settings import settings

NATIVE = "JAX check_grads"

FLAT_PEERS = ("torch gradcheck", "autograd check_grads")
"""Peers that get the cost w·f(θ) of a flat θ and JAX's reverse gradient of it."""

SHOWS = 1e-11  # a wrong rule is wrong here if it moves an answer by this share of its largest entry

QUICK: dict[str, Any] = {"step": 45, "peers": ()}


class TracedCall(NamedTuple):
    """A function at its arguments; its record and the rule that it got, where it has one of its own.

    `modes` are those that `check_grads` can check: JAX has no forward mode of a `custom_vjp`.
    """

    function: Function
    arguments: tuple[Any, ...]
    record: RuleFunction | None = None
    rule: Function | None = None
    modes: tuple[str, ...] = ("fwd", "rev")


# -- cases -------------------------------------------------------------------------------------------------------------


def right_cases() -> list[Case]:
    """Functions without rules of their own, and every right rule alone and in a larger program."""
    plain = [Case(name, RIGHT, TracedCall(function, arguments)) for name, (function, arguments) in PLAIN.items()]
    places = [(f, place) for number, f in enumerate(RULE_FUNCTIONS) for place in ("alone", place_of(f, number))]
    return plain + [placed(f, f.rule, place) for f, place in places]


def wrong_cases(step: int = 1) -> Iterator[Case]:
    """Every `step`-th wrong rule, in one larger program after the other; without those that are right here."""
    candidates = [(f, bug, rule) for f in RULE_FUNCTIONS for bug, rule in wrong_rules(f).items()]
    for number, (f, bug, rule) in list(enumerate(candidates))[::step]:
        alone, right = (placed(f, each, "alone", bug) for each in (rule, f.rule))
        if bug == UNREPEATABLE or differs(gradient_of(alone.subject), gradient_of(right.subject)):
            yield alone if bug in OF_THE_COTANGENT else placed(f, rule, place_of(f, number), bug)


def place_of(f: RuleFunction, number: int) -> str:
    """The larger programs that fit a function, in turn."""
    possible = [name for name in PLACES if fits(name, f)]
    return possible[number % len(possible)]


def placed(f: RuleFunction, rule: Function, place: str, bug: str = "") -> Case:
    """The case of a function with some rule in a larger program."""
    modes = ("rev",) if f.kind == "vjp" else ("fwd", "rev")
    call = TracedCall(PLACES[place](f.with_rule(rule)), f.arguments, f, rule, modes)
    return Case(f"{f.name}, {place}" + (f": {bug}" if bug else ""), WRONG if bug else RIGHT, call, bug)


def gradient_of(call: TracedCall) -> np.ndarray:
    """Jᵀw for random weights w, by JAX in 64 bits."""
    with settings(x64=True):
        return np.concatenate(flat_gradient(call, seed=1)(vector_of(call.arguments))[1:])


def differs(found: np.ndarray, right: np.ndarray) -> bool:
    """Whether an answer is off by more than rounding; NaN is."""
    return not bool(np.all(np.abs(found - right) <= SHOWS * np.abs(right).max()))


# -- the run -----------------------------------------------------------------------------------------------------------


def run_study(progress: Progress = silent, step: int = 1, peers: Sequence[str] | None = None) -> Study:
    """Show this harness and its peers every `step`-th case."""
    checkers, left_out = beside_peers(harness_response, _flat, FLAT_PEERS if peers is None else peers)
    if peers is None:
        checkers = {HARNESS: checkers.pop(HARNESS), NATIVE: jax_response, **checkers}
    parts = {"functions": chain(right_cases()[::step], wrong_cases(step))}
    return conduct("harness.study.functions/1", parts, checkers, progress, left_out=left_out)


def harness_response(case: Case) -> Response:
    """The harness's outcome, and how it names a wrong rule."""
    report = check_derivatives(case.subject.function, *case.subject.arguments)
    named = names_the_rule(report, case.subject) if case.bug and report.verdict == "disagree" else ""
    return Response(VERDICTS[report.verdict], named)


def names_the_rule(report: Report, call: TracedCall) -> str:
    """Whether the first culprit is the wrong rule, with its name, file and line: "yes", "no", or "another"."""
    culprits = report.details.get("culprits", [])
    if not culprits or call.record is None or call.rule is None:
        return "no"
    code = call.rule.__code__  # pyright: ignore[reportFunctionMemberAccess]
    place = f"{call.rule.__name__} ({code.co_filename}:{code.co_firstlineno})"
    first = culprits[0]
    return "yes" if (first["name"], first["where"]) == (call.record.name, place) else "another"


def jax_response(case: Case) -> Response:
    """The outcome of JAX's own checker."""
    from jax.test_util import check_grads

    try:
        with settings(x64=True):
            check_grads(case.subject.function, case.subject.arguments, order=1, modes=case.subject.modes)
    except AssertionError:
        return Response(ALARM)
    return Response(PASS)


def _flat(case: Case) -> FlatCase | None:
    """None for functions of other numbers than float64, which is all that these peers know."""
    arguments = case.subject.arguments
    if any(np.asarray(leaf).dtype != np.float64 for leaf in jax.tree.leaves(arguments)):
        return None
    both = flat_gradient(case.subject)
    if case.bug != UNREPEATABLE:  # compiled, it would return the same each time
        both = jax.jit(both)

    def cost_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        with settings(x64=True):
            cost, *parts = both(theta)
        return float(cost), np.concatenate(parts)

    return flat_case(cost_and_gradient, vector_of(arguments))


def vector_of(arguments: Any) -> np.ndarray:
    """A tree of arrays as one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(arguments)])


def flat_gradient(call: TracedCall, seed: int = 0) -> Callable[[Any], list[Any]]:
    """θ -> w·f(θ), with random w, and JAX's reverse gradient, as one list of flat arrays."""
    leaves, tree = jax.tree.flatten(call.arguments)
    ends = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]

    def both(theta: Any) -> list[Any]:
        parts = [part.reshape(np.shape(leaf)) for part, leaf in zip(jnp.split(theta, ends), leaves)]
        outputs, pull_back = jax.vjp(call.function, *jax.tree.unflatten(tree, parts))
        rng = np.random.default_rng(seed)
        weights = jax.tree.map(lambda y: jnp.asarray(rng.normal(size=y.shape), y.dtype), outputs)
        cost = sum(jnp.sum(w * y) for w, y in zip(jax.tree.leaves(weights), jax.tree.leaves(outputs)))
        return [cost, *(jnp.ravel(c) for c in jax.tree.leaves(pull_back(weights)))]

    return both
