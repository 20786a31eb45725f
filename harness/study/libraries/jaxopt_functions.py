"""Right functions of jaxopt: solutions by implicit and unrolled derivatives, projections, proximal operators."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
import jaxopt
import numpy as np
from jaxopt import projection, prox

from harness.study.libraries import Host
from harness.study.traced_functions import Function

X = np.array([[1.0, 0.2, -0.5], [0.3, -1.1, 0.8], [-0.7, 0.4, 1.2], [0.9, 0.6, 0.1], [0.2, -0.3, 0.5]])
Y = np.array([0.7, -0.4, 0.3, 1.0, 0.1])
LABELS = np.array([0, 1, 1, 0, 1])
V = np.array([0.8, -0.3, 1.4, 0.2])
Q = np.array([[2.0, 0.3], [0.3, 1.5]])
C = np.array([-1.0, 0.4])


def _ridge(w, l2):
    return 0.5 * jnp.sum((X @ w - Y) ** 2) + 0.5 * jnp.exp(l2) * jnp.sum(w**2)


def _least_squares(w, data):
    x, y = data
    return 0.5 * jnp.mean((x @ w - y) ** 2)


def _solution(make):
    def solve(hyper):
        return make().run(jnp.zeros(3, jnp.result_type(hyper)), hyper).params

    return solve


def _lasso(strength):
    solver = jaxopt.ProximalGradient(_least_squares, prox.prox_lasso, tol=1e-12, maxiter=5000)
    return solver.run(jnp.zeros(3), strength, (X, Y)).params


def _fixed(make):
    return lambda p: make(lambda y, q: 0.5 * jnp.cos(q * y) + 0.1).run(jnp.asarray(0.3), p).params


def _qp(q, c):
    solver = jaxopt.OSQP(tol=1e-10, maxiter=20_000)
    return solver.run(
        params_obj=(q @ q.T, c), params_eq=(jnp.ones((1, 2)), jnp.ones(1)), params_ineq=None
    ).params.primal


def _equality_qp(q, c):
    solver = jaxopt.EqualityConstrainedQP(tol=1e-10)
    return solver.run(params_obj=(q @ q.T, c), params_eq=(jnp.ones((1, 2)), jnp.ones(1))).params.primal


def _box_qp(q, c):
    box = -jnp.ones(2), jnp.ones(2)
    return jaxopt.BoxOSQP(tol=1e-9).run(params_obj=(q @ q.T, c), params_eq=jnp.eye(2), params_ineq=box).params.primal[0]


def _bisect(p):
    solver = jaxopt.Bisection(lambda y, q: q * y**3 + y - 1.0, 0.0, 2.0, tol=1e-12, check_bracket=False)
    return solver.run(None, p).params


def _root(p):
    cubic = lambda y, q: q[0] * y**3 + y - q[1]  # noqa: E731
    solver = jaxopt.Bisection(cubic, 0.0, 2.0, tol=1e-12, check_bracket=False)
    return jaxopt.implicit_diff.custom_root(cubic)(lambda start, q: solver.run(None, q).params)(None, p)


def _linear(solve):
    return lambda a, b: solve(lambda v: a @ v + 3.0 * v, b)


RIDGE = {"tol": 1e-10, "maxiter": 2000}

FUNCTIONS: dict[str, tuple[Function, tuple]] = {
    "gradient descent": (_solution(lambda: jaxopt.GradientDescent(_ridge, **RIDGE)), (np.float64(0.3),)),
    "gradient descent, unrolled": (
        _solution(lambda: jaxopt.GradientDescent(_ridge, maxiter=30, tol=0.0, implicit_diff=False, stepsize=0.1)),
        (np.float64(0.3),),
    ),
    "gradient descent, float32": (_solution(lambda: jaxopt.GradientDescent(_ridge, tol=1e-4, maxiter=500)),
        (np.float32(0.3),)),
    "BFGS": (_solution(lambda: jaxopt.BFGS(_ridge, **RIDGE)), (np.float64(0.3),)),
    "L-BFGS": (_solution(lambda: jaxopt.LBFGS(_ridge, **RIDGE)), (np.float64(0.3),)),
    "nonlinear CG": (_solution(lambda: jaxopt.NonlinearCG(_ridge, **RIDGE)), (np.float64(0.3),)),
    "lasso by proximal gradient": (_lasso, (np.float64(0.1),)),
    "Gauss-Newton": (lambda y: jaxopt.GaussNewton(lambda w, t: jnp.tanh(X @ w) - t).run(jnp.zeros(3), 0.5 * y).params,
        (Y,)),
    "Levenberg-Marquardt": (
        lambda y: (
            jaxopt.LevenbergMarquardt(lambda w, t: jnp.tanh(X @ w) - t, tol=1e-10).run(jnp.zeros(3), 0.5 * y).params
        ),
        (Y,),
    ),
    "fixed point": (_fixed(lambda f: jaxopt.FixedPointIteration(f, tol=1e-12)), (np.float64(1.2),)),
    "Anderson acceleration": (_fixed(lambda f: jaxopt.AndersonAcceleration(f, tol=1e-12)), (np.float64(1.2),)),
    "OSQP": (_qp, (Q, C)),
    "equality-constrained QP": (_equality_qp, (Q, C)),
    "box QP": (_box_qp, (Q, C)),
    "bisection": (_bisect, (np.float64(1.3),)),
    "custom root": (_root, (np.array([1.3, 0.9]),)),
    "linear solve by CG": (_linear(jaxopt.linear_solve.solve_cg), (Q, C)),
    "linear solve by normal CG": (_linear(jaxopt.linear_solve.solve_normal_cg), (Q, C)),
    "projection on the simplex": (projection.projection_simplex, (V,)),
    "projection on the L1 ball": (projection.projection_l1_ball, (V, np.float64(1.1))),
    "projection on the L2 ball": (projection.projection_l2_ball, (V, np.float64(0.9))),
    "projection on a box": (lambda v: projection.projection_box(v, (0.0, 1.0)), (V,)),
    "projection on a box section": (lambda v: projection.projection_box_section(v,
        (jnp.zeros(4), jnp.ones(4), jnp.ones(4), 1.2)), (V,)),
    "projection on a hyperplane": (lambda v, a: projection.projection_hyperplane(v, (a, 1.0)),
        (V, np.array([1.0, 2.0, -1.0, 0.5]))),
    "projection on a half space": (lambda v, a: projection.projection_halfspace(v, (a, 0.1)),
        (V, np.array([1.0, 2.0, -1.0, 0.5]))),
    "projection on transport plans": (lambda v: projection.projection_transport(v.reshape(2, 2),
        (jnp.array([0.4, 0.6]), jnp.array([0.5, 0.5]))), (V,)),
    "projection on the Birkhoff polytope": (lambda v: projection.projection_birkhoff(v.reshape(2, 2)), (V,)),
    "prox of the lasso": (lambda v, s: prox.prox_lasso(v, s), (V, np.float64(0.25))),
    "prox of the elastic net": (lambda v, s: prox.prox_elastic_net(v, (s, 0.5)), (V, np.float64(0.25))),
    "prox of the group lasso": (lambda v, s: prox.prox_group_lasso(v, s), (V, np.float64(0.25))),
    "prox of the ridge": (lambda v, s: prox.prox_ridge(v, s), (V, np.float64(0.25))),
    "prox of the log barrier": (lambda v, s: prox.prox_non_negative_ridge(v, s), (V, np.float64(0.25))),
    "sparsemax loss": (lambda s: jaxopt.loss.multiclass_sparsemax_loss(2, s), (V,)),
    "logistic loss": (lambda s: jaxopt.objective.binary_logreg(s, (X, LABELS)), (np.array([0.4, -0.2, 0.7]),)),
    "Huber loss": (lambda s: jaxopt.loss.huber_loss(0.3, s, 0.5), (np.float64(1.4),)),
}  # fmt: skip


HOSTS: dict[str, tuple[Host, tuple]] = {
    "before a projection": (lambda rule: lambda v: projection.projection_simplex(rule(v)), (V,))
}
