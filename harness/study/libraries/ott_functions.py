"""Right functions of OTT: entropic transport, divergences, soft sorting, barycentres and means."""

# pyright: reportMissingImports=false

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import costs, epsilon_scheduler, geometry, grid, pointcloud
from ott.problems.linear import linear_problem
from ott.solvers import linear
from ott.solvers.linear import sinkhorn
from ott.tools import sinkhorn_divergence, soft_sort
from ott.tools.gaussian_mixture import gaussian

from harness.study.libraries import Host
from harness.study.traced_functions import Function

X = np.array([[0.1, 0.4], [0.9, -0.3], [0.5, 1.1], [-0.6, 0.2]])
Z = np.array([[0.3, 0.0], [-0.2, 0.8], [1.2, 0.5]])
WEIGHTS = np.array([0.1, 0.4, 0.2, 0.3])
V = np.array([0.8, -0.3, 1.4, 0.2, 0.5])
COST = np.array([[0.2, 0.9, 0.4], [0.7, 0.1, 0.8], [0.5, 0.6, 0.3], [0.9, 0.2, 0.7]])


def _cost(epsilon=0.5, cost_fn=None, **options):
    def cost(x, y):
        problem = linear_problem.LinearProblem(pointcloud.PointCloud(x, y, epsilon=epsilon, cost_fn=cost_fn))
        return sinkhorn.Sinkhorn(threshold=1e-9 if x.dtype == jnp.float64 else 1e-4, **options)(problem).reg_ot_cost

    return cost


def _potential(**options):
    def potentials(x, y):
        geom = pointcloud.PointCloud(x, y, epsilon=0.5)
        f, g = sinkhorn.Sinkhorn(threshold=1e-10, **options)(linear_problem.LinearProblem(geom)).potentials
        return (f - jnp.mean(f), g - jnp.mean(g))

    return potentials


def _weights(a):
    geom = pointcloud.PointCloud(jnp.asarray(X), jnp.asarray(Z), epsilon=0.5)
    return linear.solve(geom, a=a / jnp.sum(a), threshold=1e-9).reg_ot_cost


def _unbalanced(x, y):
    return linear.solve(pointcloud.PointCloud(x, y, epsilon=0.5), tau_a=0.8, tau_b=0.9, threshold=1e-9).reg_ot_cost


def _divergence(x, y):
    return sinkhorn_divergence.sinkhorn_divergence(
        pointcloud.PointCloud, x=x, y=y, epsilon=0.5, solve_kwargs={"threshold": 1e-9}
    )[0]


def _gaussians(mean, root):
    first = gaussian.Gaussian.from_mean_and_cov(mean, root @ root.T + jnp.eye(2))
    return first.w2_dist(gaussian.Gaussian.from_mean_and_cov(jnp.zeros(2), 2.0 * jnp.eye(2)))


def _grid(x):
    return linear.solve(grid.Grid(grid_size=(4,), epsilon=0.2), a=jax.nn.softmax(x), threshold=1e-9).reg_ot_cost


NARROW = np.float32(X), np.float32(Z)
ROOT = np.array([[0.8, 0.1], [0.3, 0.6]])

ARGUMENTS = (X, Z)  # of the functions that stand alone below

FUNCTIONS: dict[str, Function | tuple[Function, tuple]] = {
    "Sinkhorn": _cost(),
    "Sinkhorn, float32": (_cost(), NARROW),
    "Sinkhorn, not in logarithms": _cost(lse_mode=False),
    "Sinkhorn, unrolled": _cost(implicit_diff=None),
    "Sinkhorn, momentum": _cost(momentum=None),
    "Sinkhorn, small epsilon": _cost(0.05),
    "Sinkhorn, cosine": _cost(0.2, costs.Cosine()),
    "Sinkhorn, p-norm": _cost(0.5, costs.PNormP(1.5)),
    "Sinkhorn, scheduled": _cost(epsilon_scheduler.Epsilon(0.5, init=2.0, decay=0.8)),
    "potentials": _potential(),
    "potentials, unrolled": _potential(implicit_diff=None, max_iterations=200),
    "weights": (_weights, (WEIGHTS,)),
    "plan": (lambda c: linear.solve(geometry.Geometry(c, epsilon=0.3), threshold=1e-10).matrix, (COST,)),
    "unbalanced": _unbalanced,
    "grid": (_grid, (np.array([0.3, -0.2, 0.8, 0.1]),)),
    "divergence": _divergence,
    "soft ranks": (lambda v: soft_sort.ranks(v, epsilon=0.1), (V,)),
    "soft quantile": (lambda v: soft_sort.quantile(v, q=0.5, epsilon=0.1), (V,)),
    "soft top-k": (lambda v: soft_sort.topk_mask(v, k=2, epsilon=0.1), (V,)),
    "Gaussians": (_gaussians, (np.array([0.4, -0.3]), ROOT)),
    "squared Euclidean cost": lambda x, y: pointcloud.PointCloud(x, y).cost_matrix,
    "Euclidean cost": lambda x, y: pointcloud.PointCloud(x, y, cost_fn=costs.Euclidean()).cost_matrix,
    "kernel applied": lambda x, y: pointcloud.PointCloud(x, y, epsilon=0.4).apply_kernel(jnp.ones(3), axis=1),
}


HOSTS: dict[str, tuple[Host, tuple]] = {
    "in a cost": (
        lambda rule: lambda c: linear.solve(geometry.Geometry(rule(c), epsilon=0.5), threshold=1e-9).reg_ot_cost,
        (COST - 0.45,),
    )
}
