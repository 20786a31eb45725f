"""Check the gradient of anybody's own function, with nothing but its values, and JAX where a JAX cost is given.

No bound can be derived for formulas that nobody shows, so error bars are measured: the noise of the cost from the
scatter of its values at nearby points, the noise of the gradient from its answers at neighbouring θ, the truncation
of a difference from differences at other widths. What looks wrong at one step is tried again with smaller ones, so
that neither a kink nor a strong curvature within one stencil raises an alarm.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from harness.comparison import Answer, Block, Consensus, Pair, compare, compare_all, find_consensus
from harness.diagnosis import Part, diagnose
from harness.parameters import Layout, to_numpy, unit_roundoff
from harness.report import Report
from harness.tolerances import ALL_COORDINATES, GRADIENT_ROUNDINGS, SAMPLED_DIRECTIONS, STEPS, UNIT_ROUNDOFF
from harness.verdict import judge
from reference import black_box

YOURS, DIFFERENCES, REFERENCE = "fun", "finite-difference", "jax"

NOISE_SAMPLES = 8


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
    asked = _Asked(fun, theta)
    cost, gradient, faults = asked.answer_twice()
    noise, ordinary = asked.cost_noise(cost), asked.ordinary_cost(cost)
    blocks = [Block(name, indices) for name, indices in asked.layout.blocks]
    error = asked.gradient_error(asked.gradient, gradient, blocks)
    yours = Answer(YOURS, YOURS, cost, noise, gradient, error, asked.precision)
    answers = [yours, _differences(asked, yours, ordinary, blocks)]
    if reference is not None:
        answers.append(_second_opinion(reference, asked, noise, blocks))
    pairs = compare_all(answers, blocks, ordinary)
    ends = _end_to_end(asked, answers, noise, ordinary) if len(asked.sample) < asked.layout.size else []
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


class _Asked:
    """The user's function, over flat float64 vectors."""

    def __init__(self, fun: Callable[[Any], tuple[Any, Any]], theta: Any):
        if not callable(fun):
            raise TypeError(f"fun must be callable as fun(theta) -> (cost, gradient), not {type(fun).__name__}")
        self.fun = fun
        self.layout = Layout(theta)
        self.theta = self.layout.flatten(theta, "theta")
        if not np.isfinite(self.theta).all():
            i = int(np.flatnonzero(~np.isfinite(self.theta))[0])
            raise ValueError(f"theta must be finite, but {self.layout.label(i)} is {self.theta[i]}")
        self.unit = self.layout.unit_roundoff
        rng = np.random.default_rng(0)
        self.direction = rng.uniform(0.5, 1.5, self.layout.size) * rng.choice([-1.0, 1.0], self.layout.size)
        count = min(self.layout.size, ALL_COORDINATES)
        self.sample = np.sort(rng.choice(self.layout.size, count, replace=False))

    @property
    def precision(self) -> str:
        return "float64" if self.unit == UNIT_ROUNDOFF["float64"] else "float32"

    def answer(self, flat: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Cost, gradient, and whether the call changed its argument."""
        given = self.layout.rebuild(flat)
        before = self.layout.flatten(given, "theta")
        answered = self.fun(given)
        if not isinstance(answered, tuple) or len(answered) != 2:
            raise TypeError(f"fun must answer a tuple (cost, gradient), not {type(answered).__name__}")
        cost, gradient = to_numpy(answered[0]), self.layout.flatten(answered[1], "the gradient")
        if cost.size != 1:
            raise ValueError(f"fun must answer one number as its cost, but answered shape {cost.shape}")
        self.unit = max(self.unit, unit_roundoff(answered[0]), Layout(answered[1]).unit_roundoff)
        changed = not np.array_equal(before, self.layout.flatten(given, "theta"))
        return float(cost.reshape(())), gradient, changed

    def cost(self, flat: np.ndarray) -> float:
        return self.answer(flat)[0]

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        return self.answer(flat)[1]

    def answer_twice(self) -> tuple[float, np.ndarray, list[str]]:
        """The answer at θ, and what is wrong with the way it was given."""
        (cost, gradient, changed), (cost2, gradient2, _) = self.answer(self.theta), self.answer(self.theta)
        faults = ["changes its argument theta in place"] if changed else []
        tolerated = GRADIENT_ROUNDINGS * self.unit
        repeats = np.allclose(gradient, gradient2, rtol=tolerated, atol=tolerated * _largest(gradient), equal_nan=True)
        if not repeats or not np.isclose(cost, cost2, rtol=tolerated, atol=0.0, equal_nan=True):
            faults.append("answers differently when called twice with the same theta")
        return cost, gradient, faults

    @np.errstate(all="ignore")
    def cost_noise(self, cost: float) -> float:
        """The scatter of the cost at points so close that a smooth function is a parabola there.

        Third differences remove the parabola and add up 1 + 9 + 9 + 1 variances.
        """
        nearby = self._costs_nearby()
        if np.array_equal(nearby, nearby.astype(np.float32)):  # computed in float32, whatever the type says
            self.unit = max(self.unit, UNIT_ROUNDOFF["float32"])
            nearby = self._costs_nearby()
        scatter = np.diff(nearby, n=3)
        rounding = black_box.NOISE_ROUNDINGS * self.unit * abs(cost)
        return max(rounding, 3.0 * float(np.sqrt(np.mean(scatter**2) / 20.0)))

    def _costs_nearby(self) -> np.ndarray:
        width = 2.0**13 * self.unit * np.maximum(np.abs(self.theta), 1.0) * self.direction
        return np.array([self.cost(self.theta + k * width) for k in range(NOISE_SAMPLES)])

    @np.errstate(all="ignore")
    def ordinary_cost(self, cost: float) -> float:
        """A size of the cost that is not small: the largest at θ and around it, for a minimum may be zero."""
        width = self.steps()[0] * np.maximum(np.abs(self.theta), 1.0) * self.direction
        return _largest(np.array([cost, self.cost(self.theta + width), self.cost(self.theta - width)]))

    @np.errstate(all="ignore")
    def gradient_error(self, source: Callable, gradient: np.ndarray, blocks: list[Block]) -> np.ndarray:
        """How far rounding may have moved a gradient: what it moves when θ moves by a rounding, and some more.

        It moves to both sides, also from zero, so that on a kink the error is as large as the jump.
        """
        step = np.where(self.theta == 0.0, 1e-30, 2.0 * self.unit * np.abs(self.theta)) * self.direction
        moved = [source(self.theta + step), source(self.theta - step)]
        spread = np.nan_to_num(np.max([np.abs(other - gradient) for other in moved], axis=0), nan=0.0)
        floor = np.zeros_like(gradient)
        for block in blocks:
            floor[block.indices] = GRADIENT_ROUNDINGS * self.unit * _largest(gradient[block.indices])
        return floor + 4.0 * spread

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        flat = (wrong.gradient, right.gradient, self.theta, np.zeros_like(self.theta), at_odds)
        parts = [
            Part(name, *(array[indices].reshape(self.layout.shapes[name]) for array in flat))
            for name, indices in self.layout.blocks
        ]
        return diagnose(parts, with_bias=False)

    def steps(self) -> list[float]:
        return [step * (self.unit / black_box.UNIT_ROUNDOFF) ** 0.2 for step in STEPS]


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _differences(asked: _Asked, yours: Answer, ordinary: float, blocks: list[Block]) -> Answer:
    D, E = np.full(asked.layout.size, np.nan), np.full(asked.layout.size, np.inf)
    answer = Answer(DIFFERENCES, DIFFERENCES, yours.cost, yours.cost_error, D, E, asked.precision)
    doubtful = asked.sample
    with np.errstate(all="ignore"):
        for step in asked.steps():
            d, e = black_box.gradient(asked.cost, asked.theta, step, yours.cost_error, doubtful.tolist())
            # the sharper of two that agree; where they do not, the wider stencil has seen a kink or a bend
            better = (e < E[doubtful]) | ~(np.abs(d - D[doubtful]) <= e + E[doubtful])
            D[doubtful], E[doubtful] = np.where(better, (d, e), (D[doubtful], E[doubtful]))
            pair = compare(yours, answer, blocks, ordinary)
            doubtful = asked.sample[(pair.at_odds | ~pair.decided)[asked.sample]]
            if not doubtful.size:
                break
    return answer


def _second_opinion(reference: Callable, asked: _Asked, noise: float, blocks: list[Block]) -> Answer:
    import jax
    import jax.numpy as jnp

    from reference.jax_gradient import fixed_settings

    with fixed_settings():
        program = jax.jit(jax.value_and_grad(lambda flat: reference(asked.layout.rebuild_with(jnp.asarray, flat))))
        cost, gradient = program(jnp.asarray(asked.theta))
        error = asked.gradient_error(
            lambda flat: np.asarray(program(jnp.asarray(flat))[1]), np.asarray(gradient), blocks
        )
        cost_error = noise + GRADIENT_ROUNDINGS * asked.unit * abs(float(cost))
        return Answer(REFERENCE, REFERENCE, float(cost), cost_error, np.asarray(gradient), error)


def _end_to_end(asked: _Asked, answers: list[Answer], noise: float, ordinary: float) -> list[Pair]:
    """Each gradient's g·v beside the difference of the cost along v, for random v: for what was not sampled."""
    rng = np.random.default_rng(1)
    shape = (SAMPLED_DIRECTIONS, asked.layout.size)
    directions = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape) / np.sqrt(asked.layout.size)
    step = asked.steps()[0]
    with np.errstate(all="ignore"):
        found = [black_box.difference(lambda t, v=v: asked.cost(asked.theta + t * v), step, noise) for v in directions]
        slopes, errors = np.transpose(found)
        ends = Answer("random directions", DIFFERENCES, answers[0].cost, noise, slopes, errors)
        block = [Block("directions", np.arange(SAMPLED_DIRECTIONS))]
        return [
            compare(
                replace(a, gradient=directions @ a.gradient, error=np.abs(directions) @ a.error),
                ends,
                block,
                ordinary,
            )
            for a in answers
            if a.name != DIFFERENCES
        ]


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
