"""Right functions of Optimistix: roots, fixed points, least squares and minima as functions of their parameters."""

# pyright: reportMissingImports=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

from harness.study.libraries import Host
from harness.study.traced_functions import Function

P = np.array([1.2, 0.4])
X = np.linspace(0.0, 1.0, 6)
DATA = np.exp(-0.7 * X) + 0.02 * np.cos(9 * X)
TOLERANCES = {"rtol": 1e-9, "atol": 1e-9}


def _cubic(y, p):
    return p[0] * y**3 + y - p[1]


def _system(y, p):
    return jnp.stack([y[0] + 0.3 * jnp.sin(y[1]) - p[0], y[1] ** 3 + y[1] - p[1] * y[0]])


def _contraction(y, p):
    return jnp.cos(p[0] * y) * 0.5 + 0.1 * p[1]


def _bowl(y, p):
    return jnp.sum((y - p) ** 2) + 0.3 * jnp.sum((y * y - 1.0) ** 2) * p[0]


def _residuals(y, p):
    return y[0] * jnp.exp(-y[1] * X) - p * DATA


def _root(solver: Any, function: Function = _cubic, start: Any = 0.2, **options: Any):
    return lambda p: optx.root_find(function, solver, jnp.asarray(start, p.dtype), p, **options).value


def _minimum(solver, **options):
    return lambda p: optx.minimise(_bowl, solver, jnp.full(2, 0.5, p.dtype), p, **options).value


def _fit(solver, **options):
    return lambda p: optx.least_squares(_residuals, solver, jnp.asarray([1.0, 0.5], p.dtype), p, **options).value


def _fixed(solver, **options):
    return lambda p: optx.fixed_point(_contraction, solver, jnp.asarray(0.3, p.dtype), p, **options).value


def _nested(p):
    inner = lambda q: optx.root_find(_cubic, optx.Newton(1e-10, 1e-10), jnp.asarray(0.2), q).value  # noqa: E731
    return optx.root_find(
        lambda y, q: y + 0.2 * inner(jnp.stack([q[0], y])) - q[1], optx.Newton(1e-10, 1e-10), jnp.asarray(0.1), p
    ).value


UNROLLED = {"adjoint": optx.RecursiveCheckpointAdjoint()}
BETWEEN = {"lower": 0.0, "upper": 1.0}

ARGUMENTS = (P,)  # of the functions that stand alone below

FUNCTIONS: dict[str, Function | tuple[Function, tuple]] = {
    "root by Newton": _root(optx.Newton(**TOLERANCES)),
    "root by Newton, float32": (_root(optx.Newton(1e-5, 1e-5)), (np.float32(P),)),
    "root by chord": _root(optx.Chord(**TOLERANCES)),
    "root by bisection": _root(optx.Bisection(**TOLERANCES), options=BETWEEN),
    "root by Newton, unrolled": _root(optx.Newton(**TOLERANCES), **UNROLLED),
    "root of a system": _root(optx.Newton(**TOLERANCES), _system, (0.1, 0.2)),
    "root by Dogleg": _root(optx.Dogleg(**TOLERANCES), _system, (0.1, 0.2)),
    "root by Levenberg-Marquardt": _root(optx.LevenbergMarquardt(**TOLERANCES), _system, (0.1, 0.2)),
    "fixed point": _fixed(optx.FixedPointIteration(**TOLERANCES)),
    "fixed point, loose": _fixed(optx.FixedPointIteration(1e-4, 1e-4)),
    "fixed point by Newton": _fixed(optx.Newton(**TOLERANCES)),
    "fixed point by Newton, float32": (_fixed(optx.Newton(1e-5, 1e-5)), (np.float32(P),)),
    "fixed point, unrolled": _fixed(optx.FixedPointIteration(**TOLERANCES), **UNROLLED),
    "fit by Gauss-Newton": (_fit(optx.GaussNewton(**TOLERANCES)), (np.float64(1.3),)),
    "fit by Levenberg-Marquardt": (_fit(optx.LevenbergMarquardt(**TOLERANCES)), (np.float64(1.3),)),
    "fit by indirect Levenberg-Marquardt": (_fit(optx.IndirectLevenbergMarquardt(**TOLERANCES)), (np.float64(1.3),)),
    "fit by Dogleg": (_fit(optx.Dogleg(**TOLERANCES)), (np.float64(1.3),)),
    "minimum by BFGS": _minimum(optx.BFGS(**TOLERANCES)),
    "minimum by L-BFGS": _minimum(optx.LBFGS(**TOLERANCES)),
    "minimum by BFGS, float32": (_minimum(optx.BFGS(1e-4, 1e-4)), (np.float32(P),)),
    "minimum by nonlinear CG": _minimum(optx.NonlinearCG(**TOLERANCES)),
    "minimum by gradient descent": _minimum(optx.GradientDescent(0.05, 1e-8, 1e-8), max_steps=4000),
    "minimum by Nelder-Mead": _minimum(optx.NelderMead(1e-8, 1e-8), max_steps=2000),
    "value at a minimum": lambda p: _bowl(_minimum(optx.BFGS(**TOLERANCES))(p), p),
    "a root within a root": _nested,
    "vmap of roots": lambda p: jax.vmap(lambda s: _root(optx.Newton(**TOLERANCES))(s * p))(jnp.array([1.0, 1.4])),
}  # fmt: skip


HOSTS: dict[str, tuple[Host, tuple]] = {
    # Optimistix differentiates the equation itself in forward mode, which JAX lacks for a custom_vjp
    "before an equation": (lambda rule: lambda p: _root(optx.Newton(**TOLERANCES))(rule(p)), (np.array([1.2, 0.7]),))
}
