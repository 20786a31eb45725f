"""check_grad of SciPy, and the same for Hessians and Jacobians."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import BFGS, rosen, rosen_der, rosen_hess, rosen_hess_prod
from scipy.optimize import check_grad as original
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from harness.drop_in import InconclusiveGradient
from harness.drop_in.scipy import _distance_at_look, assert_grad, check_grad, check_least_squares, check_minimize
from harness.facts.kinds import Kind

X0 = [1.3, 0.7, 2.0]


def scaled(x, a):
    return a * rosen(x)


def scaled_slope(x, a):
    return a * rosen_der(x)


def test_a_right_gradient_is_nearer_than_the_original_can_tell():
    assert check_grad(rosen, rosen_der, X0) < 1e-9
    assert check_grad(scaled, scaled_slope, X0, 3.0) < 1e-9
    assert check_grad(rosen, rosen_der, X0, direction="random", seed=1) < 1e-9


@pytest.mark.parametrize("factor", [1.0 + 1e-7, 1.01, -1.0])
def test_a_wrong_gradient_is_as_far_away_as_it_is(factor):
    error = abs(factor - 1.0) * np.abs(rosen_der(np.array(X0))).max()
    assert check_grad(rosen, lambda x: factor * rosen_der(x), X0) >= 0.9 * error


@pytest.mark.parametrize(("factor", "off"), [(2.0, 0.0), (2.02, 0.02), (3.0, 1.0)])
def test_a_jacobian_is_taken_as_the_original_takes_it(factor, off):
    far = check_grad(lambda x, a: a * x**2, lambda x, a: np.diag(a * factor * x), X0, 1.5)
    assert isinstance(far, np.float64)
    assert far < 1e-9 if off == 0.0 else far >= off


def test_a_function_may_warn_where_only_this_check_calls_it():
    f, slope = lambda x: float(np.log(x).sum()), lambda x: 1.0 / x
    assert check_grad(f, slope, [1e-9, 0.5]) < 1e-9
    assert assert_grad(f, slope, [1e-9, 0.5]).verdict == "agree"
    assert check_minimize(f, [1e-9, 0.5], jac=slope, hess=lambda x: -np.diag(slope(x) ** 2))[1].verdict == "agree"


REFUSED = {
    "an argument that there is not": (rosen, rosen_der, X0, {"step": 1e-3}, TypeError),
    "a matrix of numbers": (rosen, rosen_der, [X0], {}, ValueError),
    "one direction of several values": (lambda x: x**2, np.diag, X0, {"direction": "random"}, ValueError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_original_refuses_is_refused(name):
    func, grad, x0, options, error = REFUSED[name]
    with pytest.raises(error):
        check_grad(func, grad, x0, **options)


def test_at_a_kink_a_value_between_both_slopes_is_right():
    assert check_grad(lambda x: float(np.abs(x).sum()), np.sign, [0.0, 1.0], epsilon=1e-3) < 1e-9
    assert (
        check_grad(lambda x: float(np.abs(x).sum()), lambda x: 1.1 * np.sign(x) + 1.1 * (x == 0.0), [0.0, 1.0]) > 0.09
    )


def square(x):
    return x @ x


def test_a_ragged_step_is_refused_in_words_of_this_project():
    with pytest.raises(TypeError, match="epsilon must be a number"):
        check_grad(square, lambda x: 2.0 * x, X0, epsilon=[[1.0], [1.0, 2.0]])  # pyright: ignore[reportArgumentType]


LEFT_TO_THE_ORIGINAL = {
    "a jump": (lambda x: float(np.sign(x - 1.3).sum()), lambda x: 0.0 * x, "noisy-cost"),
    "a complex cost": (lambda x: square(x) * (1.0 + 0.0j), lambda x: 2.0 * x, "cannot-run"),
    "a gradient of objects": (square, lambda x: (2.0 * x).astype(object), "cannot-run"),
    "a wrong gradient of objects": (square, lambda x: (3.0 * x).astype(object), "cannot-run"),
    "a column": (square, lambda x: 2.0 * x[:, None], "cannot-run"),
    "a vector for a Jacobian": (lambda x: x**2, lambda x: 2.0 * x, "cannot-run"),
}


@pytest.mark.filterwarnings("ignore:Casting complex values")  # by the original
@pytest.mark.parametrize("name", LEFT_TO_THE_ORIGINAL)
def test_where_nothing_is_decided_the_original_is_asked(name):
    func, grad, reason = LEFT_TO_THE_ORIGINAL[name]
    with pytest.warns(InconclusiveGradient, match=f"(?s)original-decided.*{reason}"):
        far = check_grad(func, grad, X0, epsilon=1e-3)
    assert far == pytest.approx(original(func, grad, X0, epsilon=1e-3))


def kept_gradient():
    """The gradient of the first call, for good."""
    first = []
    return lambda x: first[0] if first else first.append(rosen_der(x)) or first[0]


def random_gradient():
    rng = np.random.default_rng(0)
    return lambda x: rosen_der(x) * (1.0 + 1e-6 * rng.normal())


@pytest.mark.parametrize("kind", [kept_gradient, random_gradient])
def test_a_gradient_that_is_right_at_one_call_is_not_right(kind):
    assert math.isinf(_distance_at_look(rosen, kind(), np.array(X0)))
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        assert_grad(rosen, kind(), X0)


def test_a_verdict_needs_no_tolerance():
    assert check_grad(rosen, rosen_der, X0, report=True).verdict == "agree"
    assert assert_grad(residuals, jacobian, X0).verdict == assert_grad(scaled, scaled_slope, X0, 3.0).verdict == "agree"
    with pytest.raises(AssertionError) as raised:
        assert_grad(rosen, lambda x: 1.000001 * rosen_der(x), X0)
    assert raised.value.report.verdict == "disagree"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(InconclusiveGradient):
        assert_grad(lambda x: float(np.sign(x).sum()), lambda x: 0.0 * x, [0.0, 1.0])


def test_what_minimize_takes_is_checked_in_all_its_forms():
    reports = check_minimize(rosen, X0, jac=rosen_der, hess=rosen_hess, hessp=rosen_hess_prod)
    assert [report.verdict for report in reports] == ["agree"] * 3
    both = check_minimize(lambda x, a: (scaled(x, a), scaled_slope(x, a)), X0, (2.0,), jac=True)
    assert [report.verdict for report in both] == ["agree"]
    with pytest.raises(TypeError, match="jac must be callable"):
        check_minimize(rosen, X0, jac=False)


@pytest.mark.parametrize("as_matrix", [np.array, sp.csr_array, aslinearoperator])
def test_a_wrong_hessian_is_found(as_matrix):
    def wrong(x):
        H = rosen_hess(x)
        H[0, 1] *= 1.001
        return as_matrix(H)

    gradient, hessian = check_minimize(rosen, X0, jac=rosen_der, hess=wrong)
    assert (gradient.verdict, hessian.verdict) == ("agree", "disagree")
    (product,) = check_minimize(rosen, X0, jac=rosen_der, hessp=lambda x, p: 2.0 * rosen_hess_prod(x, p))[1:]
    assert product.verdict == "disagree"


@pytest.mark.parametrize("seed", range(5))
def test_a_hessian_in_float32_is_right_to_that(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(size=30)

    def huber(x):
        off = np.abs(A.astype(float) @ x - b)
        return float(np.where(off < 1.0, 0.5 * off**2, off - 0.5).sum())

    def slope(x):
        return A.astype(float).T @ np.clip(A.astype(float) @ x - b, -1.0, 1.0)

    def curvature(x):
        return (A.T * (np.abs(A @ x.astype(np.float32) - b) < 1.0)) @ A

    x = rng.normal(size=3)
    assert [report.verdict for report in check_minimize(huber, x, jac=slope, hess=curvature)] == ["agree", "agree"]
    wrong = lambda x: 1.001 * curvature(x)  # noqa: E731
    assert check_minimize(huber, x, jac=slope, hess=wrong)[1].verdict == "disagree"


@pytest.mark.parametrize("hess", ["2-point", BFGS()])
def test_a_hessian_that_nobody_claims_is_not_checked(hess):
    assert [report.verdict for report in check_minimize(rosen, X0, jac=rosen_der, hess=hess)] == ["agree"]


def test_x0_and_answers_have_the_shapes_that_scipy_lets_them_have():
    (_, hessian) = check_minimize(lambda x: x[0] ** 3, 1.5, jac=lambda x: 3.0 * x**2, hess=lambda x: float(6.0 * x[0]))
    assert hessian.verdict == "agree"
    with pytest.raises(ValueError, match="x0 must have at most one dimension, not 2"):
        check_minimize(rosen, [X0], jac=rosen_der)
    row = check_grad(lambda x: x @ x, lambda x: 2.0 * x[None], X0)  # a Jacobian, as one of several values is
    assert row < 1e-9
    fit = check_least_squares(lambda x: np.array([x[0] ** 2, x[0]]), 2.0, lambda x: np.array([[2.0 * x[0]], [1.0]]))
    assert fit.verdict == "agree"


def residuals(x, a=1.0):
    return a * np.array([x[0] ** 2, x[1] * x[2], np.sin(x[2]), x[0] + x[1]])


def jacobian(x, a=1.0):
    return a * np.array([[2 * x[0], 0, 0], [0, x[2], x[1]], [0, 0, np.cos(x[2])], [1, 1, 0]])


@pytest.mark.parametrize("as_matrix", [np.array, sp.csr_matrix, sp.csc_array, aslinearoperator])
def test_a_jacobian_is_checked_as_it_is_and_its_wrong_row_is_named(as_matrix):
    def wrong(x):
        J = jacobian(x)
        J[2, 2] *= 1.0 + 1e-5
        return as_matrix(J)

    assert check_least_squares(residuals, X0, lambda x: as_matrix(jacobian(x))).verdict == "agree"
    assert check_least_squares(residuals, X0, jacobian, (2.0,)).verdict == "agree"
    assert check_least_squares(residuals, X0, jacobian, kwargs={"a": 3.0}).verdict == "agree"
    report = check_least_squares(residuals, X0, wrong)
    assert report.verdict == "disagree"
    assert report.findings[0].where == "J[2, 2]"
    assert report.findings[0].expected == pytest.approx(np.cos(2.0))


def test_weights_are_other_numbers_than_those_of_a_small_seed():
    x0 = np.random.default_rng(0).normal(size=3)
    # off by x × w, of which nothing is seen where the weights w are x
    report = check_least_squares(lambda x: x, x0, lambda x: np.eye(3) + np.cross(np.eye(3), x))
    assert report.verdict == "disagree"


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.001, "disagree")])
def test_a_row_is_compared_with_its_own_size(factor, verdict):
    units = np.array([1e12, 1.0, 1e-3, 1.0])
    slopes = units * np.array([1.0, 1.0, factor, 1.0])
    report = check_least_squares(lambda x: units * residuals(x), X0, lambda x: slopes[:, None] * jacobian(x))
    assert report.verdict == verdict


def test_residuals_may_raise_elsewhere():
    def picky(x):
        if np.abs(x - X0).max() > 1e-4:
            raise ValueError("outside of the domain")
        return residuals(x)

    assert check_least_squares(picky, X0, jacobian).verdict == "agree"


class Operator(LinearOperator):
    """A Jacobian by its products, of which one is off by a factor."""

    def __init__(self, at, factor=1.0):
        self.J, self.factor = jacobian(at), factor
        super().__init__(float, self.J.shape)

    def _matvec(self, x):
        return self.factor * (self.J @ x)

    def _rmatvec(self, x):
        return self.J.T @ x


def test_both_products_of_an_operator_are_checked():
    assert check_least_squares(residuals, X0, Operator).verdict == "agree"
    report = check_least_squares(residuals, X0, lambda x: Operator(x, factor=1.001))
    assert (report.verdict, report.notes[-1].where) == ("disagree", ("J by matvec",))


def test_a_direction_that_is_not_used_is_logged(caplog):
    assert check_grad(lambda x: float(x @ x), lambda x: 2.0 * x, np.ones(2), direction="random") < 1e-6
    assert [record.args for record in caplog.records] == [("scipy.optimize.check_grad", "direction", "random")]


MISTAKEN = {
    "a name for a function": (
        lambda: check_grad("rosen", rosen_der, X0),  # pyright: ignore[reportArgumentType]
        TypeError,
        r"func must be callable as func\(x, \*args\), not 'rosen'",
    ),
    "a name for a Jacobian": (
        lambda: check_least_squares(residuals, X0, "3-point"),  # pyright: ignore[reportArgumentType]
        TypeError,
        r"jac must be callable as jac\(x, \*args, \*\*kwargs\), not '3-point'",
    ),
    "a Jacobian that lies on its side": (
        lambda: check_least_squares(lambda x: np.array([x @ x, x[0]]), X0, lambda x: np.stack([2 * x, np.eye(3)[0]]).T),
        ValueError,
        r"jac must answer a matrix of shape \(2, 3\), not \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_a_mistake_of_the_callers_is_told_in_a_sentence(name):
    check, error, words = MISTAKEN[name]
    with pytest.raises(error, match=words):
        check()


def test_a_report_says_which_matrix_was_compared():
    _, of_hess, of_hessp = check_minimize(rosen, X0, jac=rosen_der, hess=rosen_hess, hessp=rosen_hess_prod)
    assert [report.notes[-1].where for report in (of_hess, of_hessp)] == [("H by hess",), ("H by hessp",)]
    matrix = check_least_squares(lambda x: x, X0, lambda x: np.eye(3))
    assert (matrix.notes[-1].kind, matrix.notes[-1].where) == (Kind.COMPARED_DERIVATIVE, ("J by jac",))
