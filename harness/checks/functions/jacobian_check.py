"""The check of a Jacobian, and of a Hessian as the Jacobian of a gradient, by the check of gradients.

Of fun(x) with m values, w·fun(x) with random weights w has the gradient Jᵀw, in which every wrong entry of J shows.
Where it is not found right, the outputs are examined one by one, from the same calls of fun, and the report is on the
entries of J.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from harness.checks.functions.cost_probe import Budget
from harness.checks.functions.function_subject import FunctionGradient
from harness.checks.functions.gradient_case import measure
from harness.checks.functions.gradient_check import Evidence, check_gradient, examine
from harness.checks.functions.gradient_comparison import settle
from harness.checks.functions.parameters import Layout
from harness.checks.functions.repeated_calls import call_twice
from harness.checks.functions.user_function import UserFunction
from harness.checks.functions.vector_function import EACH_OUTPUT, Claim, Product, VectorFunction
from harness.checks.random_directions import farthest_off, random_directions
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.progress import silent
from harness.verdict.comparison import Answer, Pair, require_accuracy
from harness.verdict.judgement import judge
from harness.verdict.report import Report

NARROW_STEP = 1e-6
"""The step of the difference that shows which of many outputs is wrong."""

COLUMNS = 300
"""From products J v alone, the matrix is made of so many columns; more inputs are moved along one direction."""


def check_jacobian(
    fun: Callable[..., Any],
    theta: Any,
    jac: Callable[..., Any] | None = None,
    *,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    args: Any = (),
    budget: int | float | None = None,
    accuracy: float = 0.0,
) -> Report:
    """Check whether a Jacobian, or its products, are the derivative of a function of several values.

    Parameters
    ----------
    fun : callable
        ``fun(theta) -> values``, an array of any shape, of m numbers.
    theta : array or number
        Where to check, of n numbers.
    jac : callable, optional
        ``jac(theta)``: an (m, n) array, or one of the shape of the values followed by that of θ; a sparse matrix of
        SciPy; or a `scipy.sparse.linalg.LinearOperator`, whose `matvec` and `rmatvec` are both checked.
    jvp, vjp : callable, optional
        ``jvp(theta, v)`` -> J v and ``vjp(theta, w)`` -> Jᵀw, where only products are computed.
    args : tuple, optional
        More arguments of all of these, after those that are named.
    budget, accuracy
        As for `check_gradient`.

    Returns
    -------
    Report
        As of `check_gradient`. The entries are called ``J[output, input]``.

    Raises
    ------
    TypeError, ValueError
        When nothing is given to check, or something has another shape or holds something else than real numbers.
    """
    accuracy = require_accuracy(accuracy)
    function = VectorFunction(fun, theta, args if isinstance(args, tuple) else (args,), "J")
    claims = function.claims({"jac": jac}, {"jvp": jvp}, {"vjp": vjp})
    return _check_claims(function, claims, budget, accuracy)


def check_hessian(
    gradient: Callable[..., Any],
    theta: Any,
    hess: Callable[..., Any] | None = None,
    *,
    hessp: Callable[..., Any] | None = None,
    args: Any = (),
    budget: int | float | None = None,
    accuracy: float = 0.0,
) -> Report:
    """Check whether a Hessian, or its products, are the derivative of a gradient; `check_gradient` checks that.

    Parameters
    ----------
    gradient : callable
        ``gradient(theta)``, of the size of θ.
    theta : array or number
    hess : callable, optional
        ``hess(theta)``: a matrix, a sparse matrix or a linear operator, as for `check_jacobian`.
    hessp : callable, optional
        ``hessp(theta, v)`` -> H v.
    args, budget, accuracy
        As for `check_jacobian`.

    Returns
    -------
    Report
        As of `check_jacobian`. The entries are called ``H[row, column]``.
    """
    accuracy = require_accuracy(accuracy)
    function = VectorFunction(gradient, theta, args if isinstance(args, tuple) else (args,), "H")
    if function.size != function.theta.size:
        raise ValueError(f"gradient must answer {function.theta.size} numbers, as theta has, not {function.size}")
    claims = function.claims({"hess": hess}, {}, {"hessp": hessp})  # a Hessian is symmetric: H v is Hᵀv
    return _check_claims(function, claims, budget, accuracy)


# -- the check ---------------------------------------------------------------------------------------------------------


def _check_claims(
    function: VectorFunction, claims: Mapping[str, Claim], budget: int | float | None, accuracy: float
) -> Report:
    """The report on the first claim that is wrong, or else in doubt; if all are right, on the first."""
    reports = {name: _check_claim(function, claim, budget, accuracy) for name, claim in claims.items()}
    rank = ("disagree", "inconclusive", "agree")
    name = min(reports, key=lambda name: rank.index(reports[name].verdict))
    named = f"{function.name} by {' and '.join(claims) if reports[name].verdict == 'agree' else name}"
    report = replace(reports[name], subject={"outputs": function.size, **reports[name].subject})
    return report.with_facts(note(Kind.COMPARED_DERIVATIVE, named, outputs="", beside=""))


def _check_claim(function: VectorFunction, claim: Claim, budget: int | float | None, accuracy: float) -> Report:
    """The gradient of a random sum of the outputs; the outputs one by one where it is not found right."""
    if claim.push and function.theta.size > COLUMNS:
        return _check_along(function, claim.push, budget, accuracy)
    w = function.weights(claim.pull)
    gradient = lambda theta: claim.pull(theta, w)  # noqa: E731
    total = partial(function.total, w)
    whole = check_gradient(total, function.theta, gradient=gradient, budget=budget, accuracy=accuracy)
    if whole.verdict == "agree" or (whole.verdict == "disagree" and not whole.findings):
        return whole
    alone = _check_outputs(function, claim.pull, _suspects(function, claim.pull), budget, accuracy)
    return alone if alone.verdict in ("disagree", whole.verdict) else whole


def _check_along(function: VectorFunction, push: Product, budget: int | float | None, accuracy: float) -> Report:
    """J v along one random direction, of more inputs than there should be products."""
    theta, w = function.theta, function.weights(None)
    v = random_directions(1, theta.size, seed=1)[0].reshape(theta.shape) / np.sqrt(theta.size)
    cost = lambda at: function.total(w, theta + at["direction"] * v)  # noqa: E731
    slope = lambda at: {"direction": w @ push(theta + at["direction"] * v, v)}  # noqa: E731
    return check_gradient(cost, {"direction": 0.0}, gradient=slope, budget=budget, accuracy=accuracy)


def _suspects(function: VectorFunction, pull: Product) -> list[int]:
    """The outputs to be examined: all of a few, and of many one that is wrong along some direction, by bisection."""
    if function.size <= EACH_OUTPUT:
        return list(range(function.size))
    direction = random_directions(1, function.theta.size, seed=1)[0].reshape(function.theta.shape)
    ends = (function.values(function.theta + side * NARROW_STEP * direction) for side in (1.0, -1.0))
    slopes = np.subtract(*ends) / (2.0 * NARROW_STEP)

    def off(along: np.ndarray) -> np.ndarray:
        return np.array([abs(w @ slopes - np.vdot(pull(function.theta.copy(), w), direction)) for w in along])

    return [farthest_off(function.size, off, seed=2)]


def _check_outputs(
    function: VectorFunction, pull: Product, outputs: Sequence[int], budget: int | float | None, accuracy: float
) -> Report:
    """The report on the rows of the matrix that belong to some outputs, from shared calls of the function."""
    values: dict[bytes, np.ndarray] = {}
    rows: dict[tuple[bytes, int], np.ndarray] = {}
    allowance = Budget(budget)

    def value(theta: np.ndarray, k: int) -> Any:
        key = theta.tobytes()
        if key not in values:
            values[key] = function.values(theta)
        return values[key][k]

    def row(theta: np.ndarray, k: int) -> np.ndarray:
        key = theta.tobytes(), k
        if key not in rows:
            rows[key] = pull(theta, np.eye(1, function.size, k)[0])
        return rows[key]

    found = []
    for k in outputs:
        user = UserFunction(value, function.theta, row, (k,))
        found.append(examine(measure(user, call_twice(user, accuracy), (), allowance, silent, accuracy)))
    return _judge_rows(function, outputs, found)


# -- one verdict on rows -----------------------------------------------------------------------------------------------


class RowLayout(Layout):
    """Rows of a matrix, as they are called by the numbers that they have in the whole of it."""

    def __init__(self, name: str, rows: Sequence[int], columns: int):
        super().__init__({name: np.zeros((len(rows), columns))})
        self._name, self._rows, self._columns = name, rows, columns

    def label(self, i: int) -> str:
        return f"{self._name}[{self._rows[i // self._columns]}, {i % self._columns}]"


class MatrixRows(FunctionGradient):
    """The rows of a Jacobian that were examined, as the subject of one verdict."""

    def __init__(
        self, function: VectorFunction, outputs: Sequence[int], rows: Sequence[FunctionGradient], reported: Answer
    ):
        columns = function.theta.size
        super().__init__(
            RowLayout(function.name, outputs, columns),
            np.tile(function.theta.ravel(), len(rows)),
            reported,
            {r * columns + i: found for r, row in enumerate(rows) for i, found in row.found.items()},
            np.concatenate([row.examined for row in rows]),
            np.concatenate([row.scatter for row in rows]),
            np.concatenate([row.grouped for row in rows]),
            list({fact.kind: fact for row in rows for fact in row.facts}.values()),
        )
        self._size = function.size, columns

    def describe(self) -> dict[str, Any]:
        outputs, parameters = self._size
        return {"outputs": outputs, "parameters": parameters, "differenced": int(self.examined.sum())}


def _judge_rows(function: VectorFunction, outputs: Sequence[int], found: Sequence[Evidence]) -> Report:
    """The verdict on all rows together."""
    answers = [_join_answers(each) for each in zip(*(evidence.answers for evidence in found))]
    pairs = [_join_pairs(each) for each in zip(*(evidence.pairs for evidence in found))]
    ends = [end for evidence in found for end in evidence.ends]
    subject = MatrixRows(function, outputs, [evidence.subject for evidence in found], answers[0])
    return judge(subject, answers, pairs, ends, settle(answers, pairs, ends))


def _join_answers(answers: Sequence[Answer]) -> Answer:
    """The answers on several outputs as one, with the largest of their values."""
    largest = answers[int(np.argmax(np.abs([answer.cost for answer in answers])))]  # NaN is the largest
    return replace(
        largest,
        gradient=np.concatenate([answer.gradient for answer in answers]),
        error=np.concatenate([answer.error for answer in answers]),
        broken_rules=tuple(dict.fromkeys(fact for answer in answers for fact in answer.broken_rules)),
        notes=tuple(dict.fromkeys(fact for answer in answers for fact in answer.notes)),
    )


def _join_pairs(pairs: Sequence[Pair]) -> Pair:
    """The pairs of several outputs as one."""
    arrays = ("at_odds", "decided", "applies", "difference", "allowed")
    return replace(
        pairs[0],
        cost_decided=all(pair.cost_decided for pair in pairs),
        gradients=tuple(np.concatenate(each) for each in zip(*(pair.gradients for pair in pairs))),
        accepted=np.concatenate([pair.accepted * np.ones_like(pair.difference) for pair in pairs]),
        **{name: np.concatenate([getattr(pair, name) for pair in pairs]) for name in arrays},
    )
