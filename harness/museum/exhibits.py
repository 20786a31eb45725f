"""The exhibits: derivatives that software has shipped wrong, written anew in the arithmetic in which they failed.

Each was read in the project's own file at the version stated, or is the installed library itself. An exhibit holds the
cost, the gradient as it was shipped, the right one, and a point where they differ.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from scipy import special

Vector = np.ndarray


class Exhibit(NamedTuple):
    """A wrong derivative.

    Attributes
    ----------
    project, version, place : where it was shipped: the project, a release or commit, file and line
    formula : the right derivative
    mistake : what was computed in its place, in one sentence
    cost, shipped, right : cost, its gradient as shipped, and the right gradient, all functions of θ
    at : θ, a point where they differ
    library : the module that has to be installed, where the exhibit is the library itself
    mended : the version in which it was right again, if that is known
    """

    project: str
    version: str
    place: str
    formula: str
    mistake: str
    cost: Callable[[Vector], float]
    shipped: Callable[[Vector], Vector]
    right: Callable[[Vector], Vector]
    at: tuple[float, ...]
    library: str = ""
    mended: str = ""


def _summed(f: Callable[[Vector], Vector]) -> Callable[[Vector], float]:
    return lambda x: float(f(x).sum())


# -- activations -------------------------------------------------------------------------------------------------------

GELU_SCALE, GELU_CUBIC = np.sqrt(2.0 / np.pi), 0.044715


def _gelu_tanh(x: Vector) -> Vector:
    return np.tanh(GELU_SCALE * (x + GELU_CUBIC * x**3))


def _gelu(x: Vector) -> Vector:
    return 0.5 * x * (1.0 + _gelu_tanh(x))


def _gelu_slope(x: Vector) -> Vector:
    t = _gelu_tanh(x)
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t**2) * GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x**2)


def _gelu_slope_of_six_digits(x: Vector) -> Vector:
    t = np.tanh(0.0356774 * x**3 + 0.797885 * x)
    return 0.5 + 0.5 * t + (0.0535161 * x**3 + 0.398942 * x) * (1.0 - t**2)


def _density(x: Vector) -> Vector:
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def _gelu_curvature_shipped(x: Vector) -> Vector:
    s = x / np.sqrt(2.0)
    erf_slope, erf_curvature = 2.0 / np.sqrt(np.pi) * np.exp(-(s**2)), -4.0 * s * np.exp(-(s**2)) / np.sqrt(np.pi)
    return np.sqrt(2.0) / 2.0 * (1.0 + erf_slope + erf_curvature / np.sqrt(2.0))


def _mish_slope(x: Vector, inner: Callable[[Vector], Vector] = np.tanh) -> Vector:
    softplus = np.logaddexp(0.0, x)
    return np.tanh(softplus) + x * special.expit(x) * (1.0 - inner(softplus) ** 2)


# -- libraries themselves ----------------------------------------------------------------------------------------------


def _in_jax(ask: Callable[[Any, Any, Any], Any]) -> Callable[[Vector], Any]:
    """``ask(jax, jax.scipy.special, θ)``, compiled, in float64."""

    @cache
    def compiled() -> Callable[[Any], Any]:
        jax, functions = import_module("jax"), import_module("jax.scipy.special")
        return jax.jit(lambda theta: ask(jax, functions, theta))

    def answer(theta: Vector) -> Any:
        from reference.jax_settings import fixed_settings

        with fixed_settings():
            return np.asarray(compiled()(np.asarray(theta, dtype=float)))

    return answer


def _by_jax(name: str) -> dict[str, Any]:
    """The sum of a function of ``jax.scipy.special`` and its gradient by JAX, as fields of an exhibit."""

    def total(functions: Any) -> Callable[[Any], Any]:
        return lambda theta: getattr(functions, name)(theta).sum()

    return {
        "cost": _in_jax(lambda jax, functions, theta: total(functions)(theta)),
        "shipped": _in_jax(lambda jax, functions, theta: jax.grad(total(functions))(theta)),
    }


def _betaln_slope(jax: Any, functions: Any, theta: Any) -> Any:
    """∂ betaln(a, b)/∂a."""
    return jax.grad(functions.betaln)(theta[0], theta[1])


def _in_torch(wanted: Callable[[Any, Any], Any]) -> Callable[[Vector], Any]:
    def ask(theta: Vector) -> Any:
        torch: Any = import_module("torch")
        with torch.enable_grad():  # a checker may ask within a function of torch
            return wanted(torch, torch.tensor(theta, dtype=torch.float64)).detach().numpy()

    return ask


def _hard_sigmoid_slope(torch: Any, theta: Any) -> Any:
    theta.requires_grad_()
    return torch.autograd.grad(torch.nn.functional.hardsigmoid(theta).sum(), theta)[0]


def _first_log_sum(torch: Any, theta: Any) -> Any:
    """The gradient of the first two entries' sum, by forward mode."""
    forward = torch.autograd.forward_ad

    def slope(direction: Any) -> Any:
        with forward.dual_level():
            return forward.unpack_dual(torch.logcumsumexp(forward.make_dual(theta, direction), 0)).tangent[:2].sum()

    return torch.stack([slope(direction) for direction in torch.eye(len(theta), dtype=theta.dtype)])


def _first_log_sum_right(x: Vector) -> Vector:
    return np.concatenate([special.softmax(x[:2]) + np.array([1.0, 0.0]), np.zeros(len(x) - 2)])


def _kernel_sum(theta: Vector) -> float:
    """Σ exp(-γ d²) over the pairs of three points, in θ = log γ."""
    return float(np.exp(-np.exp(theta[0]) * PAIRS).sum())


def _kernel_slope(theta: Vector) -> Vector:
    gamma = np.exp(theta[0])
    return np.array([-(gamma * PAIRS * np.exp(-gamma * PAIRS)).sum()])


def _kernel_difference(theta: Vector) -> Vector:
    step, gamma = 1e-10, np.exp(theta[0])
    return np.array([((np.exp(-np.exp(theta[0] + step) * PAIRS) - np.exp(-gamma * PAIRS)) / step).sum()])


def _residuals(theta: Vector) -> Vector:
    return OBSERVED - DESIGN @ theta


def _scale(theta: Vector) -> float:
    """The estimate of the variance by Pearson's χ²: Σr²/(n - k)."""
    return float((_residuals(theta) ** 2).sum()) / (len(OBSERVED) - len(theta))


def _log_likelihood(theta: Vector) -> float:
    r, scale = _residuals(theta), _scale(theta)
    return -0.5 * float((r**2).sum()) / scale - 0.5 * len(r) * float(np.log(2.0 * np.pi * scale))


def _score_of_estimated_scale(theta: Vector) -> Vector:
    r = _residuals(theta)
    return len(r) * DESIGN.T @ r / (r**2).sum()


OBSERVED = np.array([0.3, -0.2, 0.9, 0.4, 1.1, 0.7, 1.9, 1.4])
DESIGN = np.column_stack([np.ones(8), np.linspace(-1.0, 1.0, 8)])
"""A line through eight points."""

PAIRS = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 4.0, 4.0, 5.0, 5.0])
"""The squared distances of three points, each pair twice."""

TANH_GELU: dict[str, Any] = {
    "formula": "½(1 + t) + ½x(1 - t²)·√(2/π)·(1 + 3·0.044715x²), with t = tanh(√(2/π)(x + 0.044715x³))",
    "cost": _summed(_gelu),
    "right": _gelu_slope,
    "at": (-2.0, -0.5, 0.3, 1.5),
}

SIX_DIGITS: dict[str, Any] = {
    "mistake": "The same formula with constants of six digits, so a right program answers only six.",
    "shipped": _gelu_slope_of_six_digits,
    **TANH_GELU,
}

EXHIBITS: dict[str, Exhibit] = {
    "numpy-ml-gelu": Exhibit(
        *("numpy-ml", "b0359af", "numpy_ml/neural_nets/activations/activations.py:273"),
        mistake="The value uses tanh in place of erf, but the slope adds x times the derivative of erf.",
        shipped=lambda x: 0.5 * (1.0 + _gelu_tanh(x)) + x * _density(x),
        **TANH_GELU,
    ),
    "numpy-ml-gelu-curvature": Exhibit(
        *("numpy-ml", "b0359af", "numpy_ml/neural_nets/activations/activations.py:300"),
        formula="(2 - x²)·φ(x), with the normal density φ",
        mistake="1/2·√2 was meant as 1/(2√2), a 1 is added, and a factor x is missing.",
        cost=_summed(lambda x: special.ndtr(x) + x * _density(x)),
        shipped=_gelu_curvature_shipped,
        right=lambda x: (2.0 - x**2) * _density(x),
        at=(-2.0, 0.5, 3.0),
    ),
    "neataptic-softsign": Exhibit(
        *("neataptic", "ae93263", "src/methods/activation.js:29"),
        formula="1/(1 + |x|)²",
        mistake="The numerator is x, so the slope is 0 at 0, where it should be largest, and negative below 0.",
        cost=_summed(lambda x: x / (1.0 + np.abs(x))),
        shipped=lambda x: x / (1.0 + np.abs(x)) ** 2,
        right=lambda x: 1.0 / (1.0 + np.abs(x)) ** 2,
        at=(-1.5, 0.0, 0.4, 2.0),
    ),
    "darknet-gelu": Exhibit(
        *("darknet (AlexeyAB)", "59596d78", "src/activations.h:124, called in src/convolutional_layer.c:1545"),
        mistake="The formula takes the input, but the layer hands it the output, as it does for sigmoid and tanh.",
        shipped=lambda x: _gelu_slope(_gelu(x)),
        **TANH_GELU,
    )._replace(formula="GELU'(x), of the input x"),
    "candle-gelu": Exhibit(*("candle", "2a13b0f", "candle-core/src/backprop.rs:611"), **SIX_DIGITS),
    "mlpack-mish": Exhibit(
        *("mlpack", "0fb499e", "src/mlpack/methods/ann/activation_functions/mish_function.hpp"),
        formula="tanh(s) + x·σ(x)·(1 - tanh(s)²), with s = softplus(x)",
        mistake="The square is that of s, and not that of tanh(s).",
        cost=_summed(lambda x: x * np.tanh(np.logaddexp(0.0, x))),
        shipped=lambda x: _mish_slope(x, lambda s: s),
        right=_mish_slope,
        at=(-2.0, 0.0, 0.5, 3.0),
        mended="e15e791",
    ),
    "mlpack-tanhshrink": Exhibit(
        *("mlpack", "13edabb", "src/mlpack/methods/ann/activation_functions/tanhshrink_function.hpp"),
        formula="tanh(x)²",
        mistake="x² in place of tanh(x)²: the slope grows without end.",
        cost=_summed(lambda x: x - np.tanh(x)),
        shipped=lambda x: x**2,
        right=lambda x: np.tanh(x) ** 2,
        at=(-2.0, 0.1, 0.5, 3.0),
    ),
    "mlpack-gelu": Exhibit(
        *("mlpack", "511fe69", "src/mlpack/methods/ann/activation_functions/gelu_function.hpp"),
        **SIX_DIGITS,
    )._replace(at=(-3.0, 0.7, 2.5)),
    "torch-hardsigmoid": Exhibit(
        *("PyTorch", "2.13", "torch.nn.functional.hardsigmoid, in float64"),
        formula="1/6 for -3 < x < 3",
        mistake="The constant 1/6 is rounded to float32 before it is used in float64.",
        cost=_in_torch(lambda torch, x: torch.nn.functional.hardsigmoid(x).sum()),
        shipped=_in_torch(_hard_sigmoid_slope),
        right=lambda x: np.where(np.abs(x) < 3.0, 1.0 / 6.0, 0.0),
        at=(-1.0, 0.5, 2.0),
        library="torch",
    ),
    "torch-logcumsumexp": Exhibit(
        *("PyTorch", "2.13", "torch.logcumsumexp, forward mode"),
        formula="softmax of the entries so far",
        mistake="All entries are scaled by the largest of the whole vector, so those before it lose their digits.",
        cost=_in_torch(lambda torch, x: torch.logcumsumexp(x, 0)[:2].sum()),
        shipped=_in_torch(_first_log_sum),
        right=_first_log_sum_right,
        at=(0.0, 1.0, 20.0),
        library="torch",
    ),
    "jax-i0": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.i0"),
        formula="I₁(x), which is 0 at 0",
        mistake="exp(|x|) times an even function: the derivative of |x| at 0 is taken for 1, and so is that of I₀.",
        **_by_jax("i0"),
        right=special.i1,
        at=(0.0, 0.7),
    ),
    "jax-spence": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.spence, reverse mode"),
        formula="log(x)/(1 - x)",
        mistake="NaN for 1 < x <= 2, where forward mode is right.",
        **_by_jax("spence"),
        right=lambda x: np.log(x) / (1.0 - x),
        at=(0.5, 1.5),
    ),
    "jax-betaln": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.betaln, second derivative"),
        formula="∂²/∂a² = ψ'(a) - ψ'(a + b), ∂²/∂a∂b = -ψ'(a + b)",
        mistake="Where a = b, both are the mean of the two: the arguments are sorted, and a tie is split in halves.",
        cost=_in_jax(_betaln_slope),
        shipped=_in_jax(lambda jax, functions, theta: jax.grad(lambda t: _betaln_slope(jax, functions, t))(theta)),
        right=lambda x: np.array([special.polygamma(1, x[0]), 0.0]) - special.polygamma(1, x.sum()),
        at=(2.0, 2.0),
    ),
    "jax-log-ndtr": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.log_ndtr, in float64"),
        formula="φ(x)/Φ(x)",
        mistake="Below -20 an asymptotic series is used, which is off by 3e-9 there.",
        **_by_jax("log_ndtr"),
        right=lambda x: np.exp(-0.5 * x**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(x)),
        at=(-20.5,),
    )._replace(cost=_summed(special.log_ndtr)),
    "sklearn-pairwise-kernel": Exhibit(
        *("scikit-learn", "eb850e2", "sklearn/gaussian_process/kernels.py, PairwiseKernel"),
        formula="-γd²·exp(-γd²), in log γ",
        mistake="A forward difference with a step of 1e-10 stands for the derivative, and keeps six digits at most.",
        cost=_kernel_sum,
        shipped=_kernel_difference,
        right=_kernel_slope,
        at=(0.3,),
    ),
    "statsmodels-glm-score": Exhibit(
        *("statsmodels", "0.15.0", "statsmodels/genmod/generalized_linear_model.py:513, GLM.score, Gaussian family"),
        formula="n·Xᵀr/Σr², with the residuals r of n observations",
        mistake="The log-likelihood estimates its scale from θ, and the score holds it constant: a factor (n - k)/n.",
        cost=_log_likelihood,
        shipped=lambda theta: DESIGN.T @ _residuals(theta) / _scale(theta),
        right=_score_of_estimated_scale,
        at=(0.5, 0.3),
    ),
}
