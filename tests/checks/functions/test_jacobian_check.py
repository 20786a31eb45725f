"""Jacobians and Hessians: dense, sparse, as operators and by their products; what agrees, and what is named."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from harness import assert_hessian_agrees, assert_jacobian_agrees, check_hessian, check_jacobian
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind

A = np.random.default_rng(0).standard_normal((5, 4))
SCALES = 10.0 ** np.array([8, 0, -8, 3, 1])
X = np.array([0.3, -0.7, 1.1, 0.2])


def sines(x):
    return SCALES * np.sin(A @ x)


def right(x):
    return (SCALES * np.cos(A @ x))[:, None] * A


def off(i, j, share):
    def changed(x):
        matrix = right(x)
        matrix[i, j] *= 1.0 + share
        return matrix

    return changed


def operator(matvec, rmatvec=None):
    def at(x):
        there = None if rmatvec is None else rmatvec(x)
        products: dict = {"matvec": lambda v: matvec(x) @ v}
        if there is not None:
            products["rmatvec"] = lambda w: there.T @ w
        return LinearOperator(A.shape, **products)  # pyright: ignore[reportCallIssue]

    return at


def claims_of(matrix):
    """The same matrix as each of the claims that are checked."""
    return {
        "dense": {"jac": matrix},
        "sparse": {"jac": lambda x: sparse.csr_matrix(matrix(x))},
        "operator": {"jac": lambda x: aslinearoperator(matrix(x))},
        "operator without adjoint": {"jac": operator(matrix)},
        "J v": {"jvp": lambda x, v: matrix(x) @ v},
        "w J": {"vjp": lambda x, w: w @ matrix(x)},
    }


@pytest.mark.parametrize("claim", claims_of(right).values(), ids=claims_of(right))
def test_a_right_jacobian_agrees_in_every_form(claim):
    assert assert_jacobian_agrees(sines, X, **claim).subject["outputs"] == 5


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("form", claims_of(right))
def test_a_wrong_entry_is_named_whatever_the_sizes_of_the_others(form, row):
    report = check_jacobian(sines, X, **claims_of(off(row, 2, 1e-6))[form])
    assert (report.verdict, report.findings[0].where) == ("disagree", f"J[{row}, 2]")
    with pytest.raises(AssertionError, match="the Jacobian does not agree"):
        assert_jacobian_agrees(sines, X, **claims_of(off(row, 2, 1e-6))[form])


@pytest.mark.parametrize("wrong", ["matvec", "rmatvec"])
def test_both_products_of_an_operator_are_checked(wrong):
    matvec, rmatvec = (off(1, 1, 1e-3), right) if wrong == "matvec" else (right, off(1, 1, 1e-3))
    report = check_jacobian(sines, X, operator(matvec, rmatvec))
    compared = next(fact for fact in report.facts if fact.kind == Kind.COMPARED_DERIVATIVE)
    assert (report.verdict, compared.where) == ("disagree", (f"J by {wrong}",))


@pytest.mark.parametrize("bend", [np.abs, np.sign, lambda v: v / np.linalg.norm(v), lambda v: np.clip(v, -1.0, 1.0)])
@pytest.mark.parametrize("form", ["J v", "w J"])
def test_a_product_that_is_not_linear_is_wrong(form, bend):
    name, product = dict(claims_of(right)[form]).popitem()
    bent: dict[str, Any] = {name: lambda x, v: product(x, bend(v))}
    report = check_jacobian(sines, X, **bent)
    assert (report.verdict, report.findings, *(fact.kind for fact in report.reasons)) == (
        "disagree",
        (),
        Kind.NOT_LINEAR,
    )


def test_a_product_of_few_outputs_has_to_be_linear_too():
    pulls = (lambda x, w: A[:2].T @ w, lambda x, w: A[:2].T @ np.abs(w))
    reports = [check_jacobian(lambda x: A[:2] @ x, X, vjp=pull) for pull in pulls]
    assert [(report.verdict, report.outliers) for report in reports] == [("agree", ()), ("disagree", ("fun",))]


SQUARE = A[:4]

MISTAKES = {
    "transposed": (lambda J: J.T, Kind.REARRANGED),
    "twice": (lambda J: 2.0 * J, Kind.FACTOR),
    "the sign": (lambda J: -J, Kind.SIGN),
    "a row twice": (lambda J: J * [[1.0], [2.0], [1.0], [1.0]], Kind.FACTOR_BY_SLICE),
    "NaN": (lambda J: J * np.nan, Kind.NOT_FINITE),
    "zeros": (lambda J: 0.0 * J, Kind.ZERO),
}


@pytest.mark.parametrize(("change", "kind"), MISTAKES.values(), ids=list(MISTAKES))
def test_the_mistake_is_that_of_the_whole_matrix(change, kind):
    report = check_jacobian(
        lambda x: np.tanh(SQUARE @ x), X, lambda x: change((1.0 - np.tanh(SQUARE @ x) ** 2)[:, None] * SQUARE)
    )
    assert (report.verdict, kind in kinds_of(report.findings[0].diagnosis)) == ("disagree", True)


def test_one_wrong_entry_of_many_outputs_is_found_and_of_many_inputs_seen():
    large = np.random.default_rng(1).standard_normal((200, 20))
    wrong = large.copy()
    wrong[177, 3] += 1e-3
    fun, x = (lambda x: large @ x), np.ones(20)
    assert check_jacobian(fun, x, lambda x: large).verdict == "agree"
    assert check_jacobian(fun, x, lambda x: wrong).findings[0].where == "J[177, 3]"
    wide = np.random.default_rng(2).standard_normal((3, 400))
    verdicts = [
        check_jacobian(lambda x: wide @ x, np.ones(400), jvp=lambda x, v, c=c: c * wide @ v).verdict
        for c in (1.0, 1.001)
    ]
    assert verdicts == ["agree", "disagree"]


MANY = np.linspace(0.0, np.pi, 60)
RATES = np.random.default_rng(3).standard_normal(400)
REACHED = RATES @ np.linspace(0.0, 1.0, 400)
SIGNED = np.where((MANY > 0.0) & (MANY < 2.6), -1.0, 1.0)

HIDDEN = {
    "one of many is 0 but for rounding": (
        lambda x: x[0] * np.sin(MANY + x[1]),
        np.array([2.0, 0.0]),
        lambda c: {"jac": lambda x: np.stack([np.sin(MANY + x[1]), x[0] * SIGNED ** (c < 0) * np.cos(MANY + x[1])], 1)},
        "agree",
    ),
    "the other of two along many inputs": (
        lambda x: np.array([RATES @ x - REACHED + 1e-17, np.sin(x).sum()]),
        np.linspace(0.0, 1.0, 400),
        lambda c: {"jvp": lambda x, v: np.array([RATES @ v, c * np.cos(x) @ v])},
        "agree",
    ),
    "one that is large beside its slope": (
        lambda x: np.array([1e11 + x[0], x[0] * x[1]]),
        np.array([0.3, 0.4]),
        lambda c: {"jac": lambda x: np.array([[c, 0.0], [x[1], x[0]]])},
        "inconclusive",
    ),
    "one of many is a sum that is constant": (
        lambda x: np.append(np.sin(x), (np.exp(x) / np.exp(x).sum()).sum() - 1.0),
        np.linspace(0.0, 1.0, 60),
        lambda c: {"jac": lambda x: np.vstack([c * np.diag(np.cos(x)), np.zeros(60)])},
        "agree",
    ),
}


@pytest.mark.parametrize(("fun", "x", "claim", "of_right"), HIDDEN.values(), ids=list(HIDDEN))
def test_what_a_sum_of_outputs_hides_is_examined_alone_or_undecided(fun, x, claim, of_right):
    reports = [check_jacobian(fun, x, **claim(c)) for c in (1.0, -1.0)]
    assert [report.verdict for report in reports] == [of_right, "disagree"]
    assert reports[0].decided_share == 1.0 or reports[0].kinds & {Kind.FEW_UNDECIDED, Kind.UNDECIDED, Kind.NOISY_COST}


def test_a_report_on_one_of_many_rows_is_about_that_row():
    factors = np.where(np.arange(60) % 2, np.arange(60) + 2.0, 1.0)[:, None]
    large = np.random.default_rng(1).standard_normal((60, 3))
    report = check_jacobian(lambda x: large @ x, X[:3], lambda x: factors * large)
    finding = report.findings[0]
    assert (finding.blocks, finding.perhaps_more) == ((finding.where.split(",")[0] + ", :]",), True)
    assert report.decided_share == pytest.approx(1 / 60)
    assert report.seconds > 0.0


WHOLE = np.random.default_rng(3).integers(100_000, 1_000_000, (4, 4)).astype(float)


@pytest.mark.parametrize("as_type", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("unit", [1.0, 0.25])
def test_a_matrix_of_numbers_that_float32_has_by_chance_is_compared_as_one_of_float64(unit, as_type):
    fun, part = lambda x: unit * WHOLE @ x + np.sin(x), as_type(unit * WHOLE)
    report = check_jacobian(fun, X, lambda x: part)
    assert report.verdict == "disagree"
    assert Kind.FLOAT32_GRADIENT not in report.kinds
    assert check_jacobian(fun, X, lambda x: as_type(unit * WHOLE + np.diag(np.cos(x)))).verdict == "agree"


def test_whole_numbers_are_none_of_float32_where_the_values_are_whole_as_well():
    assert check_jacobian(lambda x: WHOLE @ x + x**2, np.ones(4), lambda x: WHOLE).verdict == "disagree"


def test_a_matrix_that_passed_through_float32_is_wrong_where_the_values_keep_more_digits():
    rounded = lambda x: np.float64(np.float32(np.cos(A @ x)[:, None] * A))  # noqa: E731
    assert check_jacobian(lambda x: np.sin(A @ x), X, rounded).verdict == "disagree"
    assert check_jacobian(lambda x: np.float64(np.float32(np.sin(A @ x))), X, rounded).verdict == "agree"


def test_only_undecided_entries_of_rows_that_a_sum_hides_are_named():
    weights = np.random.default_rng(0).standard_normal((60, 2))
    weights[24] = 0.0
    matrix = weights + 1e-300 * (weights == 0.0)  # as wrong as 1 where nothing changes
    report = check_jacobian(lambda x: 1e3 + weights @ x, X[:2], lambda x: matrix)
    (few,) = (fact for fact in report.notes if fact.kind == Kind.FEW_UNDECIDED)
    assert (report.verdict, few.where, few.data["undecided"]) == ("agree", ("J[24, 0]", "J[24, 1]"), 2)


def test_shapes_precisions_and_kinks():
    shaped = check_jacobian(
        lambda x: np.sin(x), X.reshape(2, 2), lambda x: np.diag(np.cos(x.ravel())).reshape(2, 2, 2, 2)
    )
    coarse = check_jacobian(lambda x: np.float32(np.sin(A @ x)), X, lambda x: np.float32(np.cos(A @ x)[:, None] * A))
    kink = check_jacobian(lambda x: np.maximum(x, 0.0), np.array([0.0, 1.0]), lambda x: np.diag(1.0 * (x > 0.0)))
    number = check_jacobian(lambda x: np.array([x**2, np.sin(x)]), 0.7, lambda x: np.array([2 * x, np.cos(x)]))
    assert [shaped.verdict, coarse.verdict, kink.verdict, number.verdict] == ["agree", "agree", "inconclusive", "agree"]
    assert kink.reasons[0].where == ("J[0, 0]",)


def test_an_accuracy_and_arguments_are_passed_on():
    loose = lambda x, s: s * right(x) * (1.0 + 1e-7)  # noqa: E731
    verdicts = [
        check_jacobian(lambda x, s: s * sines(x), X, loose, args=(3.0,), accuracy=a).verdict for a in (1e-6, 0.0)
    ]
    assert verdicts == ["agree", "disagree"]


def test_a_function_that_changes_its_argument_is_told_so():
    def fun(x):
        x *= 2.0
        return x

    report = check_jacobian(fun, X, lambda x: 2.0 * np.eye(4))
    assert (report.verdict, Kind.ARGUMENT_CHANGED in report.kinds) == ("disagree", True)


def test_a_function_that_changes_from_call_to_call_is_not_checked():
    rng = np.random.default_rng(0)
    report = check_jacobian(lambda x: sines(x) * (1.0 + 1e-3 * rng.random()), X, right)
    assert (report.verdict, Kind.NOT_REPEATABLE in report.kinds) == ("disagree", True)


# Hessians

C = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])


def cubic(x):
    return C @ x + x**3


def hessian(x):
    return C + np.diag(3.0 * x**2)


HESSIANS = {
    "dense": {"hess": hessian},
    "sparse": {"hess": lambda x: sparse.csc_matrix(hessian(x))},
    "operator": {"hess": lambda x: aslinearoperator(hessian(x))},
    "products": {"hessp": lambda x, v: hessian(x) @ v},
}


@pytest.mark.parametrize("claim", HESSIANS.values(), ids=list(HESSIANS))
def test_a_right_hessian_agrees_in_every_form(claim):
    assert_hessian_agrees(cubic, X[:3], **claim)


@pytest.mark.parametrize("name", ["hess", "operator"])
@pytest.mark.parametrize("size", [2, 6, 60])
def test_a_matrix_that_is_not_symmetric_is_no_hessian(name, size):
    matrix = np.random.default_rng(size).standard_normal((size, size))
    wrap = {"hess": lambda m: m, "operator": aslinearoperator}[name]
    for each, verdict in ((matrix, "disagree"), (matrix + matrix.T, "agree")):
        report = check_hessian(lambda x, m=each: m @ x, np.ones(size), lambda x, m=each: wrap(m))
        assert (report.verdict, Kind.NOT_SYMMETRIC in report.kinds) == (verdict, verdict == "disagree")


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("large", [1.0, 1e3, 1e8])
def test_no_large_row_hides_that_others_are_not_symmetric(large, scale):
    matrix = scale * np.array([[large, 0.0, 0.0], [0.0, 1.0, 1.001], [0.0, 1.0, 3.0]])
    for each, verdict in ((matrix, "disagree"), (matrix + matrix.T, "agree")):
        assert check_hessian(lambda x, m=each: m @ x, X[:3], lambda x, m=each: m).verdict == verdict


def test_errors_within_an_accuracy_of_their_own_row_are_accepted():
    rng = np.random.default_rng(0)
    for size in (7, 19, 31):
        half = rng.standard_normal((size, size)) * 10.0 ** rng.uniform(-2, 2, size)
        matrix, errors = half + half.T, rng.choice([-0.5, 0.5], (size, size))
        for share, verdict in ((1e-3, "agree"), (1e-2, "disagree")):
            off = matrix + share * errors * np.abs(matrix).max(axis=1, keepdims=True)
            report = check_hessian(lambda x, m=matrix: m @ x, np.ones(size), lambda x, m=off: m, accuracy=1e-3)
            assert report.verdict == verdict


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outputs", [60, 200])
def test_errors_within_an_accuracy_are_accepted_where_many_add_up(outputs, seed):
    rng = np.random.default_rng(seed)
    A, errors, x = rng.normal(size=(outputs, 8)), rng.uniform(-1.0, 1.0, (outputs, 8)), rng.normal(size=8)

    def jacobian(x, factor):
        right = np.cos(A @ x)[:, None] * A
        off = right + 9e-5 * errors * np.abs(right).max(axis=1, keepdims=True)
        off[3] *= factor
        return off

    sines = lambda x: np.sin(A @ x)  # noqa: E731
    report = check_jacobian(sines, x, lambda x: jacobian(x, 1.0), accuracy=1e-4)
    assert report.verdict == "agree"
    assert all(fact.data["is_summed"] for fact in report.facts if fact.kind == Kind.ACCURACY)
    assert check_jacobian(sines, x, lambda x: jacobian(x, 1.02), accuracy=1e-4).verdict == "disagree"


def test_a_product_that_is_random_is_not_called_one_that_is_not_linear():
    matrix, rng = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 3.0], [0.0, 3.0, 5.0]]), np.random.default_rng(0)
    report = check_jacobian(lambda x: matrix @ x, X[:3], vjp=lambda x, w: matrix.T @ w * rng.random())
    assert (report.verdict, {Kind.NOT_REPEATABLE, Kind.NOT_LINEAR} & report.kinds) == (
        "disagree",
        {Kind.NOT_REPEATABLE},
    )


def test_a_product_that_refuses_long_vectors_is_linear_as_far_as_it_goes():
    matrix = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 3.0], [0.0, 3.0, 5.0]])

    def vjp(x, w):
        if np.abs(w).max() > 2.0:
            raise ValueError("too long")
        return matrix.T @ w

    assert check_jacobian(lambda x: matrix @ x, X[:3], vjp=vjp).verdict == "agree"


@pytest.mark.parametrize("theta", [0.3, np.array([0.3]), X.reshape(2, -1)])
def test_a_hessian_of_any_shape_of_theta_is_symmetric(theta):
    diagonal = lambda x: np.diag(np.ravel(3.0 * x**2))  # noqa: E731
    assert_hessian_agrees(lambda x: x**3, theta, diagonal)
    assert_hessian_agrees(lambda x: x**3, theta, lambda x: aslinearoperator(diagonal(x)))
    assert_hessian_agrees(lambda x: x**3, theta, hessp=lambda x, v: np.ravel(3.0 * x**2) * np.ravel(v))


def test_facts_of_a_matrix_say_which_it_is():
    of_jacobian = check_jacobian(lambda x: 1e12 + sines(x), X, right), check_jacobian(sines, X, lambda x: right(X))
    of_hessian = (check_hessian(cubic, X[:3], lambda x: hessian(X[:3])),)
    for name, reports in (("Jacobian", of_jacobian), ("Hessian", of_hessian)):
        assert {fact.data.get("matrix") for report in reports for fact in report.facts} >= {name}


def test_half_of_a_hessian_is_named():
    report = check_hessian(cubic, X[:3], lambda x: np.triu(hessian(x)))
    assert (report.verdict, report.findings[0].where) == ("disagree", "H[1, 0]")
    with pytest.raises(AssertionError, match="the Hessian does not agree"):
        assert_hessian_agrees(cubic, X[:3], lambda x: np.triu(hessian(x)))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: check_jacobian(lambda x: x[:0], X, right), ValueError, "must answer one number at least"),
        (lambda: check_jacobian(sines, X), TypeError, "give jac, jvp or vjp"),
        (lambda: check_jacobian(sines, X, right(X)), TypeError, "jac must be a function of theta, not ndarray"),
        (
            lambda: check_jacobian(sines, X, lambda x: np.ones((4, 5, 2))),
            ValueError,
            r"shape \(5, 4\), not \(4, 5, 2\)",
        ),
        (lambda: check_hessian(sines, X, lambda x: right(x)), ValueError, "gradient must answer 4 numbers"),
        (
            lambda: check_jacobian(sines, {"a": X}, right),
            TypeError,
            "theta must be one array, .*, not a dict;",
        ),
    ],
)
def test_bad_input_gets_one_clear_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
