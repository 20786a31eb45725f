"""Check the gradient of anybody's own function, with nothing but its values, and JAX where a JAX cost is given.

No bound can be derived for formulas that nobody shows, so error bars are measured: the noise of cost and gradient
(`harness.checks.functions.users_function`), and the truncation of a difference from differences at other widths. What
looks wrong at one step is tried again with smaller ones, so that neither a kink nor a strong curvature within one
stencil raises an alarm.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS, NEGLIGIBLE, SAMPLED_DIRECTIONS
from harness.checks.functions.step_search import Claim, settle
from harness.checks.functions.users_function import UsersFunction, largest
from harness.verdict.comparison import Answer, Block, Consensus, Pair, compare, compare_all, find_consensus
from harness.verdict.judging import judge
from harness.verdict.report import Report
from reference.oracles import black_box

YOURS, DIFFERENCES, REFERENCE = "fun", "finite-difference", "jax"


def check_gradient(
    fun: Callable[[Any], tuple[Any, Any]], theta: Any, reference: Callable[[Any], Any] | None = None
) -> Report:
    """Is the gradient that `fun` answers the derivative of the cost that it answers?

    Parameters
    ----------
    fun : callable
        ``fun(theta) -> (cost, gradient)``, the gradient laid out like θ. Every call gets a fresh θ.
    theta : array, or dict of arrays
        NumPy, JAX or torch arrays of any shape, float64 or float32.
    reference : callable, optional
        ``reference(theta) -> cost``, traceable by JAX: a second opinion on cost and gradient.

    Returns
    -------
    Report
        The source "fun" is yours. "inconclusive" where differences cannot tell: at a kink, or where the cost is noise.

    Raises
    ------
    ValueError, TypeError
        When `theta` or what `fun` answers has no proper shape. What `fun` raises is handed on.
    """
    started = time.perf_counter()
    if reference is not None and not callable(reference):
        raise TypeError(f"reference must be callable as reference(theta) -> cost, not {type(reference).__name__}")
    asked = UsersFunction(fun, theta)
    cost, gradient, faults = asked.answer_twice()
    noise, ordinary = asked.cost_noise(cost), asked.ordinary_cost(cost)
    blocks = [Block(name, indices) for name, indices in asked.layout.blocks]
    error = asked.gradient_error(asked.gradient, gradient, blocks)
    yours = Answer(YOURS, YOURS, cost, noise, gradient, error, asked.precision)
    others = [] if reference is None else [_second_opinion(reference, asked, noise, blocks)]
    ends = _end_to_end(asked, [yours, *others], noise, ordinary) if len(asked.sample) < asked.layout.size else []
    if any(pair.disagrees for pair in ends):
        asked.sample = np.union1d(asked.sample, _locate(asked, yours, noise))
    answers = [yours, _differences(asked, yours, ordinary, blocks), *others]
    pairs = compare_all(answers, blocks, ordinary)
    return judge(
        answers,
        pairs,
        ends,
        _blame(answers, pairs, ends),
        faults={YOURS: faults} if faults else {},
        blocks=blocks,
        label=asked.layout.label,
        explain=asked.explain,
        asked=None if reference is not None else asked.sample,
        subject={"parameters": asked.layout.size, "differenced": len(asked.sample)},
        started=started,
    )


def _meaningful(asked: UsersFunction, size: np.ndarray, ordinary: float) -> np.ndarray:
    """How wide an error bar may be, beside derivatives of some size, to decide anything."""
    return MEANINGLESS[asked.precision] * np.maximum(size, NEGLIGIBLE * max(ordinary, size.max(initial=0.0)))


def _differences(asked: UsersFunction, yours: Answer, ordinary: float, blocks: list[Block]) -> Answer:
    D, E = np.full(asked.layout.size, np.nan), np.full(asked.layout.size, np.inf)
    size = np.zeros_like(D)
    for block in blocks:
        size[block.indices] = largest(yours.gradient[block.indices])
    meaningful = _meaningful(asked, size, ordinary)
    with np.errstate(all="ignore"):
        for i in asked.sample.tolist():
            at = float(asked.theta[i])
            claim = Claim(float(yours.gradient[i]), float(yours.error[i]), float(meaningful[i]), abs(at) or np.inf)
            axis = np.zeros_like(asked.theta)
            axis[i] = 1.0
            D[i], E[i] = settle(
                claim,
                lambda h, t, i=i, axis=axis: black_box.partial(
                    asked.cost, asked.theta + t * axis, i, h, yours.cost_error
                ),
                yours.cost_error,
                [max(1.0, abs(at)) * step for step in asked.steps()],
            )
    return Answer(DIFFERENCES, DIFFERENCES, yours.cost, yours.cost_error, D, E, asked.precision, oracle=True)


def _second_opinion(reference: Callable, asked: UsersFunction, noise: float, blocks: list[Block]) -> Answer:
    import jax
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import fixed_settings

    with fixed_settings():
        program = jax.jit(jax.value_and_grad(lambda flat: reference(asked.layout.rebuild_with(jnp.asarray, flat))))
        cost, gradient = program(jnp.asarray(asked.theta))
        error = asked.gradient_error(
            lambda flat: np.asarray(program(jnp.asarray(flat))[1]), np.asarray(gradient), blocks
        )
        cost_error = noise + GRADIENT_ROUNDINGS * asked.unit * abs(float(cost))
        return Answer(REFERENCE, REFERENCE, float(cost), cost_error, np.asarray(gradient), error)


def _directions(size: int, count: int) -> np.ndarray:
    rng, shape = np.random.default_rng(1), (count, size)
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape) / np.sqrt(size)


def _along(asked: UsersFunction, direction: np.ndarray, claim: Claim, noise: float) -> black_box.Difference:
    """The derivative of the cost along a direction."""

    def probe(h: float, t: float) -> black_box.Difference:
        return black_box.difference(lambda s: asked.cost(asked.theta + (t + s) * direction), h, noise)

    with np.errstate(all="ignore"):
        return settle(claim, probe, noise, asked.steps())


def _end_to_end(asked: UsersFunction, answers: list[Answer], noise: float, ordinary: float) -> list[Pair]:
    """Each gradient's g·v beside the difference of the cost along v, for random v: for what was not sampled."""
    directions = _directions(asked.layout.size, SAMPLED_DIRECTIONS)
    with np.errstate(all="ignore"):
        projected = [replace(a, gradient=directions @ a.gradient, error=np.abs(directions) @ a.error) for a in answers]
    yours = projected[0]
    meaningful = _meaningful(asked, np.full(SAMPLED_DIRECTIONS, largest(yours.gradient)), ordinary)
    claims = map(Claim, yours.gradient.tolist(), yours.error.tolist(), meaningful.tolist())
    slopes, errors = np.transpose([_along(asked, v, claim, noise) for v, claim in zip(directions, claims)])
    ends = Answer("random directions", DIFFERENCES, yours.cost, noise, slopes, errors)
    block = [Block("directions", np.arange(SAMPLED_DIRECTIONS))]
    return [compare(answer, ends, block, ordinary) for answer in projected]


def _locate(asked: UsersFunction, yours: Answer, noise: float) -> int:
    """A coordinate to look at: of two halves, the one along which g·v is further from the difference, halved again."""

    def off(suspects: np.ndarray) -> float:
        v = np.zeros(asked.layout.size)
        v[suspects] = _directions(suspects.size, 1)[0]
        with np.errstate(all="ignore"):
            claimed, error = v[suspects] @ yours.gradient[suspects], np.abs(v[suspects]) @ yours.error[suspects]
            claim = Claim(float(claimed), float(error), meaningful=0.0)
            found = _along(asked, v, claim, noise)
            ratio = np.divide(claim.off(found), claim.error + found.error)
        return np.inf if np.isnan(ratio) else float(ratio)

    suspects = np.arange(asked.layout.size)
    while suspects.size > 1:
        suspects = max(np.array_split(suspects, 2), key=off)
    return int(suspects[0])


def _blame(answers: list[Answer], pairs: list[Pair], ends: list[Pair]) -> Consensus:
    """Differences of your own cost are the measure of your gradient; a reference is one more voice.

    A reference with another cost is a reference for something else: then nobody can be named.
    """
    names = tuple(answer.name for answer in answers)
    disagreeing = [pair for pair in (*pairs, *ends) if pair.disagrees]
    if not disagreeing:
        return Consensus(names, (), tie=False)
    if REFERENCE not in names:
        return Consensus((DIFFERENCES,), (YOURS,), tie=False)
    if any(pair.cost_at_odds for pair in pairs):
        return Consensus((), (), tie=True)
    return find_consensus({name: name for name in names} | {"random directions": DIFFERENCES}, [*pairs, *ends])
