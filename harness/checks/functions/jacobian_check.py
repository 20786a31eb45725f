"""The check of a Jacobian, and of a Hessian as the Jacobian of a gradient, by the check of gradients.

Of fun(x) with m values, w·fun(x) with random weights w has the gradient Jᵀw. It is found right of those rows of J of
which it would show errors as small as a check of that row alone. All others are examined one by one, from the same
calls of fun, and so are all where it is not found right. The report is then on the entries of J.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE, GROUPED, MEANINGLESS
from harness.checks.functions.cost_probe import Budget
from harness.checks.functions.function_subject import FunctionGradient
from harness.checks.functions.gradient_case import FUN, call_twice, measure, precision_of
from harness.checks.functions.gradient_check import Evidence, check_gradient, examine
from harness.checks.functions.gradient_comparison import settle
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.user_function import UserFunction
from harness.checks.functions.vector_function import EACH_OUTPUT, Claim, Product, VectorFunction
from harness.checks.random_directions import ADDED_UP, farthest_off, random_directions
from harness.facts.fact import doubt, note, wrong
from harness.facts.kinds import Kind
from harness.progress import silent
from harness.sources.process_state import settings_kept
from harness.verdict.comparison import Answer, Block, Pair, require_accuracy
from harness.verdict.judgement import PLACES_KEPT, judge
from harness.verdict.report import Report

NARROW_STEP = 1e-6  # the step of the difference that finds a suspect output, which is then examined by itself

EACH_ENTRY = 4000
"""Outputs that the sum does not show are all examined if they have so few entries, each of which takes some calls."""

LOOSEST = 0.9  # the largest accuracy that is asked of a sum of many outputs

COLUMNS = 300
"""From products J v alone, the matrix is made of so many columns; more inputs are moved along one direction."""


@settings_kept
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


@settings_kept
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
        As of `check_jacobian`. The entries are called ``H[row, column]``. A matrix that is right and not symmetric is
        wrong, too: `gradient` is then the gradient of no cost.

    Raises
    ------
    TypeError, ValueError
        As `check_jacobian` does.
    """
    accuracy = require_accuracy(accuracy)
    function = VectorFunction(gradient, theta, args if isinstance(args, tuple) else (args,), "H", "gradient")
    if function.size != function.theta.size:
        raise ValueError(f"gradient must answer {function.theta.size} numbers, as theta has, not {function.size}")
    claims = function.claims({"hess": hess}, {}, {"hessp": hessp})  # a Hessian is symmetric: H v is Hᵀv
    report = _check_claims(function, claims, budget, accuracy)
    if report.verdict != "agree":
        return report
    off, room = function.asymmetry(next(iter(claims.values())), accuracy)
    if off <= room:
        return report
    return replace(report, verdict="disagree").with_facts(wrong(Kind.NOT_SYMMETRIC, function.name, off=off))


# -- the check ---------------------------------------------------------------------------------------------------------


def _check_claims(
    function: VectorFunction, claims: Mapping[str, Claim], budget: int | float | None, accuracy: float
) -> Report:
    """The report on the first claim that is wrong, or else in doubt; if all are right, on the first."""
    reports = {name: _check_claim(function, claim, budget, accuracy) for name, claim in claims.items()}
    for name in claims.keys() - {"jac", "hess"}:  # matrices are linear
        # a product that changes from call to call is in proportion to nothing
        is_known = Kind.NOT_REPEATABLE not in reports[name].kinds
        if is_known and not function.is_linear(claims[name], accuracy):  # then no matrix has entries to compare
            report = replace(reports[name], verdict="disagree", outliers=(FUN,), findings=())
            reports[name] = report.with_facts(wrong(Kind.NOT_LINEAR, name))
    rank = ("disagree", "inconclusive", "agree")
    name = min(reports, key=lambda name: rank.index(reports[name].verdict))
    named = f"{function.name} by {' and '.join(claims) if reports[name].verdict == 'agree' else name}"
    report = replace(reports[name], subject={"outputs": function.size, **reports[name].subject})
    report = report.with_data(matrix={"J": "Jacobian", "H": "Hessian"}[function.name])
    return report.with_facts(note(Kind.COMPARED_DERIVATIVE, named, outputs=""))


def _check_claim(function: VectorFunction, claim: Claim, budget: int | float | None, accuracy: float) -> Report:
    """The gradient of a random sum of the outputs; one by one those of which it does not show that they are right."""
    if claim.push and function.theta.size > COLUMNS:
        function, claim = _along_direction(function, claim.push)
    slopes = function.slopes()
    w = function.weights(slopes)
    whole = _check_sum(function, claim.pull, w, budget, accuracy)
    if whole.verdict == "disagree" and not whole.findings:
        return whole  # it is not repeatable, for instance, and no output is to blame
    left, most = list(range(function.size)), EACH_OUTPUT
    if whole.verdict == "agree":
        left = _find_hidden(function, whole, w, slopes, accuracy)
        most = max(most, EACH_ENTRY // function.theta.size)
        best, worst = whole.smallest_visible  # an error e of an entry in row k is w_k e in the sum
        visible = best / np.abs(w).max(), worst / np.abs(w).min()
        whole = replace(whole, smallest_visible=visible, blind_to=())  # where the sum is small, its rows are not
    if not left:
        return whole
    examined = left if len(left) <= most else [_find_suspect(function, claim.pull, w, left)]
    unknown = sorted({*left} - {*examined})
    rows = _check_outputs(function, claim.pull, examined, budget, accuracy)
    rows = _count_unknown(rows, examined, len(unknown), function)
    if rows.verdict == "disagree":
        return rows
    if whole.verdict == "agree":
        return _judge_right_sum(function, whole, rows, unknown)
    # errors that are too small to show in one row add up in the sum, and so do those that are accepted in each
    is_accepted = accuracy > 0.0 and whole.verdict == "disagree"
    return rows if (is_accepted or rows.verdict == whole.verdict) and not unknown else whole


def _count_unknown(rows: Report, examined: Sequence[int], unknown: int, function: VectorFunction) -> Report:
    """The report on the rows that were examined, as a share of all, where more may be wrong among those unknown."""
    share = 1.0 - ((1.0 - rows.decided_share) * len(examined) + unknown) / function.size
    findings = tuple(replace(each, perhaps_more=each.perhaps_more or unknown > 0) for each in rows.findings)
    return replace(rows, decided_share=share, findings=findings)


def _check_sum(
    function: VectorFunction, pull: Product, w: np.ndarray, budget: int | float | None, accuracy: float
) -> Report:
    """The report on the gradient of the outputs' sum with weights w."""
    # of few outputs the rows decide; of many, errors that are accepted in each add up in the sum
    is_summed = function.size > EACH_OUTPUT
    of_sum = min(ADDED_UP * accuracy, LOOSEST) if is_summed else accuracy
    total, gradient = partial(function.total, w), lambda theta: pull(theta, w)
    whole = check_gradient(total, function.theta, gradient=gradient, budget=budget, accuracy=of_sum)
    return whole.with_data(is_summed=is_summed)


def _judge_right_sum(function: VectorFunction, whole: Report, rows: Report, unknown: Sequence[int]) -> Report:
    """The report where the sum of all outputs agrees, and no row that it hides is wrong; some may be `unknown`."""
    share, size = rows.decided_share, function.size * function.theta.size
    hidden = [fact for fact in rows.facts if "undecided" in fact.data]
    where = [*(place for fact in hidden for place in fact.where), *(f"{function.name}[{k}, :]" for k in unknown)]
    many = sum(fact.data.get("places", fact.data["undecided"]) for fact in hidden) + len(unknown)
    where, counts = where[:PLACES_KEPT], {"undecided": round((1.0 - share) * size), "places": many}
    if share < CONCLUSIVE_SHARE:
        left = [doubt(Kind.UNDECIDED, *where, **counts, total=size, sources=[])] if unknown else []
        return replace(rows, verdict="inconclusive").with_facts(*left)
    why = list(dict.fromkeys(kind for fact in hidden for kind in fact.data.get("why", [str(fact.kind)])))
    few = [note(Kind.FEW_UNDECIDED, *where, **counts, why=why)] if share < 1.0 else []
    return replace(whole, decided_share=min(share, whole.decided_share)).with_facts(*few)


def _find_hidden(
    function: VectorFunction, whole: Report, w: np.ndarray, slopes: np.ndarray, accuracy: float
) -> list[int]:
    """The outputs whose wrong entries a sum that agrees may not show: its error bound is wide beside their slopes."""
    bounds = np.sort(whole.picture.bound)  # of the columns, of which few may be undecided
    visible = bounds[int(np.ceil(CONCLUSIVE_SHARE * (bounds.size - 1)))] / np.abs(w)
    least = GROUPED if Kind.GROUPED in whole.kinds else MEANINGLESS[precision_of(function.unit)]
    least = max(least, ADDED_UP * np.sqrt(w.size) * accuracy)  # a share of the sum is more of a row
    return np.flatnonzero(~(visible <= least * slopes)).tolist()


def _along_direction(function: VectorFunction, push: Product) -> tuple[VectorFunction, Claim]:
    """The function along one random direction, of more inputs than there should be products, and what is claimed."""
    theta = function.theta
    v = random_directions(1, theta.size, seed=1)[0].reshape(theta.shape) / np.sqrt(theta.size)
    line = VectorFunction(lambda t: function.values(theta + t * v), np.zeros(1), (), f"({function.name} v)")
    return line, Claim(lambda t, w: np.array([w @ push(theta + t * v, v)]))


def _find_suspect(function: VectorFunction, pull: Product, w: np.ndarray, left: Sequence[int]) -> int:
    """One of many outputs, that is wrong along some direction, by bisection."""
    direction = random_directions(1, function.theta.size, seed=1)[0].reshape(function.theta.shape)
    ends = (function.values(function.theta + side * NARROW_STEP * direction) for side in (1.0, -1.0))
    slopes = np.subtract(*ends) / (2.0 * NARROW_STEP)

    def off(along: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(along), function.size))
        sums[:, left] = along * w[left]
        return np.array([abs(s @ slopes - np.vdot(pull(function.theta.copy(), s), direction)) for s in sums])

    return left[farthest_off(len(left), off, seed=2)]


def _check_outputs(
    function: VectorFunction, pull: Product, outputs: Sequence[int], budget: int | float | None, accuracy: float
) -> Report:
    """The report on the rows of the matrix that belong to some outputs, from shared calls of the function."""
    started = time.perf_counter()
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
    return _judge_rows(function, outputs, found, started)


# -- one verdict on rows -----------------------------------------------------------------------------------------------


class RowLayout(TreeLayout):
    """Rows of a matrix, as they are called by the numbers that they have in the whole of it."""

    def __init__(self, name: str, rows: Sequence[int], columns: int):
        super().__init__(np.zeros((len(rows), columns)))
        block = name if len(rows) > 1 else f"{name}[{rows[0]}, :]"
        self.blocks, self.shapes = [Block(block, self.blocks[0].indices)], {block: (len(rows), columns)}
        self._name, self._rows, self._columns = name, rows, columns

    def label(self, i: int) -> str:
        return f"{self._name}[{self._rows[i // self._columns]}, {i % self._columns}]"


def _judge_rows(function: VectorFunction, outputs: Sequence[int], found: Sequence[Evidence], started: float) -> Report:
    """The verdict on all rows together."""
    answers = [_join_answers(each) for each in zip(*(evidence.answers for evidence in found))]
    pairs = [_join_pairs(each) for each in zip(*(evidence.pairs for evidence in found))]
    ends = [end for evidence in found for end in evidence.ends]
    rows, columns = [evidence.subject for evidence in found], function.theta.size
    subject = FunctionGradient(
        layout=RowLayout(function.name, outputs, columns),
        theta=np.tile(function.theta.ravel(), len(rows)),
        reported=answers[0],
        found={r * columns + i: each for r, row in enumerate(rows) for i, each in row.found.items()},
        facts=list({fact.kind: fact for row in rows for fact in row.facts}.values()),
        scatter=lambda: np.concatenate([row.scatter() for row in rows]),
        **_joined(rows, "examined", "bounds", "suspected"),
    )
    report = judge(subject, answers, pairs, ends, settle(answers, pairs, ends), started=started)
    return replace(report, subject={**report.subject, "parameters": columns})


def _join_answers(answers: Sequence[Answer]) -> Answer:
    """The answers on several outputs as one, with the largest of their values."""
    largest = answers[int(np.argmax(np.abs([answer.cost for answer in answers])))]  # NaN is the largest
    facts = {
        name: tuple(dict.fromkeys(fact for answer in answers for fact in getattr(answer, name)))
        for name in ("broken_rules", "notes")
    }
    return replace(largest, **facts, **_joined(answers, "gradient", "error"))


def _join_pairs(pairs: Sequence[Pair]) -> Pair:
    """The pairs of several outputs as one."""
    return replace(
        pairs[0],
        cost_decided=all(pair.cost_decided for pair in pairs),
        gradients=tuple(np.concatenate(each) for each in zip(*(pair.gradients for pair in pairs))),
        accepted=np.concatenate([pair.accepted * np.ones_like(pair.difference) for pair in pairs]),
        **_joined(pairs, "at_odds", "decided", "applies", "difference", "allowed"),
    )


def _joined(each: Sequence[Any], *names: str) -> dict[str, Any]:
    """Arrays of several rows as one, by their names."""
    return {name: np.concatenate([getattr(row, name) for row in each]) for name in names}
