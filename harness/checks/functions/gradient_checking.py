"""Check the gradient of anybody's own function, with nothing but its values, and JAX where a JAX cost is given.

No bound can be derived for formulas that nobody shows, so error bars are measured: the noise of cost and gradient
(`harness.checks.functions.measuring`), and the truncation of a difference from differences at other widths. What
looks wrong at one step is tried again with smaller ones, so that neither a kink nor a strong curvature within one
stencil raises an alarm.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, SAMPLED_DIRECTIONS
from harness.checks.directions import compare_ends, random_directions, slopes_along
from harness.checks.functions.differences import Differences
from harness.checks.functions.measuring import Measuring
from harness.checks.functions.parameters import largest
from harness.checks.functions.step_search import Claim
from harness.checks.functions.subject import FunctionGradient
from harness.checks.functions.users_function import UsersFunction, gradient_function
from harness.verdict.comparison import Answer, Pair, compare_all
from harness.verdict.consensus import Consensus, find_consensus
from harness.verdict.judging import judge
from harness.verdict.report import Report

YOURS, DIFFERENCES, REFERENCE, ALONG = "fun", "finite-difference", "jax", "random directions"


def check_gradient(
    fun: Callable[..., Any],
    theta: Any,
    reference: Callable[..., Any] | None = None,
    *,
    gradient: Callable[..., Any] | None = None,
    jac: Callable[..., Any] | bool | None = None,
    args: Any = (),
    has_aux: bool = False,
) -> Report:
    """Is the gradient that `fun` answers the derivative of the cost that it answers?

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

    Returns
    -------
    Report
        The source "fun" is yours. "inconclusive" where differences cannot tell: at a kink, or where the cost is noise.

    Raises
    ------
    ValueError, TypeError
        When `theta` or what `fun` answers has no proper shape, or holds something else than real numbers. What `fun`
        raises is handed on.
    """
    started = time.perf_counter()
    if reference is not None and not callable(reference):
        raise TypeError(f"reference must be callable as reference(theta) -> cost, not {type(reference).__name__}")
    args = args if isinstance(args, tuple) else (args,)
    users = UsersFunction(fun, theta, gradient_function(gradient, jac), args, has_aux)
    cost_of_reference = reference and (lambda given: reference(given, *args))
    measuring = Measuring(users)
    cost, claimed, misconduct = measuring.answer_twice()
    noise, ordinary = measuring.cost_noise(cost), measuring.ordinary_cost(cost)
    error = measuring.gradient_error(users.gradient, claimed)
    yours = Answer(YOURS, YOURS, cost, noise, claimed, error, users.precision, misconduct=misconduct)
    others = [] if cost_of_reference is None else [_second_opinion(cost_of_reference, measuring, noise)]
    differences = Differences(users, noise, ordinary)

    chosen = measuring.coordinates_to_difference()
    ends = [] if len(chosen) == users.layout.size else _end_to_end(differences, [yours, *others])
    if any(pair.disagrees for pair in ends):
        chosen = np.union1d(chosen, _locate(differences, yours))
    derivatives, errors = differences.one_by_one(chosen, yours)
    differenced = Answer(DIFFERENCES, DIFFERENCES, cost, noise, derivatives, errors, users.precision, oracle=True)

    everything = np.arange(users.layout.size)
    subject = FunctionGradient(users.layout, users.theta, chosen, chosen if reference is None else everything)
    subject.notes = users.notes
    answers = [yours, differenced, *others]
    pairs = compare_all(answers, subject.blocks, ordinary)
    return judge(subject, answers, pairs, ends, _consensus(answers, pairs, ends), started=started)


def _second_opinion(reference: Callable, measuring: Measuring, noise: float) -> Answer:
    import jax
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import fixed_settings

    users = measuring.users
    with fixed_settings():
        program = jax.jit(jax.value_and_grad(lambda flat: reference(users.layout.rebuild_with(jnp.asarray, flat))))
        cost, gradient = program(jnp.asarray(users.theta))
        error = measuring.gradient_error(lambda flat: np.asarray(program(jnp.asarray(flat))[1]), np.asarray(gradient))
        cost_error = noise + GRADIENT_ROUNDINGS * users.unit * abs(float(cost))
        return Answer(REFERENCE, REFERENCE, float(cost), cost_error, np.asarray(gradient), error)


def _directions(size: int, count: int) -> np.ndarray:
    """Random directions, of length about one whatever the number of parameters."""
    return random_directions(count, size, seed=1) / np.sqrt(size)


def _end_to_end(differences: Differences, answers: Sequence[Answer]) -> list[Pair]:
    """Each gradient's g·v beside the difference of the cost along v, for random v: for what was not sampled."""
    directions = _directions(differences.users.layout.size, SAMPLED_DIRECTIONS)
    slopes = slopes_along(directions, answers)
    yours = slopes[0]
    meaningful = differences.meaningful(np.full(SAMPLED_DIRECTIONS, largest(yours.gradient)))
    claims = map(Claim, yours.gradient.tolist(), yours.error.tolist(), meaningful.tolist())
    found = [differences.along(direction, claim) for direction, claim in zip(directions, claims)]
    ends = Answer(ALONG, DIFFERENCES, yours.cost, differences.noise, *np.transpose(found))
    return compare_ends(slopes, ends, differences.ordinary)


def _locate(differences: Differences, yours: Answer) -> int:
    """A coordinate to look at: of two halves, the one along which g·v is further from the difference, halved again."""

    @np.errstate(all="ignore")
    def off(suspects: np.ndarray) -> float:
        direction, part = np.zeros(yours.gradient.size), _directions(suspects.size, 1)[0]
        direction[suspects] = part
        slope, error = float(part @ yours.gradient[suspects]), float(np.abs(part) @ yours.error[suspects])
        claim = Claim(slope, error, meaningful=0.0)
        found = differences.along(direction, claim)
        ratio = float(np.divide(claim.off(found), error + found.error))
        return np.inf if np.isnan(ratio) else ratio

    suspects = np.arange(yours.gradient.size)
    while suspects.size > 1:
        suspects = max(np.array_split(suspects, 2), key=off)
    return int(suspects[0])


def _consensus(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Differences of your own cost are the measure of your gradient; a reference is one more voice.

    A reference with another cost is a reference for something else: then nobody can be named.
    """
    names = tuple(answer.name for answer in answers)
    if not any(pair.disagrees for pair in (*pairs, *ends)):
        return Consensus(names, (), tie=False)
    if REFERENCE not in names:
        return Consensus((DIFFERENCES,), (YOURS,), tie=False)
    if any(pair.cost_at_odds for pair in pairs):
        return Consensus((), (), tie=True)
    return find_consensus({name: name for name in names} | {ALONG: DIFFERENCES}, [*pairs, *ends])
