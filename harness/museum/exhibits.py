"""The exhibits: derivatives that software has shipped wrong, written anew in the arithmetic in which they failed.

Each was read in the project's own file at the version stated, or is the installed library itself. An exhibit holds the
cost, the gradient as it was shipped, the right one, and a point where they differ.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from harness.museum import shipped_formulas as formulas
from harness.museum.shipped_formulas import Vector
from harness.study.right_activations import RIGHT


class Exhibit(NamedTuple):
    """A wrong derivative."""

    project: str  # where it was shipped
    version: str  # a release or a commit
    place: str  # file and line
    formula: str  # the right derivative
    mistake: str  # what was computed in its place, in one sentence
    cost: Callable[[Vector], float]  # of θ
    shipped: Callable[[Vector], Vector]  # its gradient as shipped
    right: Callable[[Vector], Vector]  # the right gradient
    at: tuple[float, ...]  # θ, a point where they differ
    library: str = ""  # the module that has to be installed, where the exhibit is the library itself
    mended: str = ""  # the version in which it was right again, if that is known


def _activation(name: str) -> dict[str, Any]:
    """The cost Σ f(x) and its right gradient, by a right record of the study."""
    f = RIGHT[name]
    return {"cost": formulas.summed(f), "right": lambda x: f.slope(x, f(x))}


TANH_GELU: dict[str, Any] = {
    "formula": "½(1 + t) + ½x(1 - t²)·√(2/π)·(1 + 3·0.044715x²), with t = tanh(√(2/π)(x + 0.044715x³))",
    "at": (-2.0, -0.5, 0.3, 1.5),
    **_activation("gelu_tanh"),
}


def _gelu_slope_of_six_digits(x: Vector) -> Vector:
    t = np.tanh(0.0356774 * x**3 + 0.797885 * x)  # √(2/π), and that times 0.044715
    return 0.5 + 0.5 * t + (0.0535161 * x**3 + 0.398942 * x) * (1.0 - t**2)


SIX_DIGITS: dict[str, Any] = {
    "mistake": "The same formula with constants of six digits, so a right program answers only six.",
    "shipped": _gelu_slope_of_six_digits,
    **TANH_GELU,
}

EXHIBITS: dict[str, Exhibit] = {
    "numpy-ml-gelu": Exhibit(
        *("numpy-ml", "b0359af", "numpy_ml/neural_nets/activations/activations.py:273"),
        mistake="The value uses tanh in place of erf, but the slope adds x times the derivative of erf.",
        shipped=lambda x: 0.5 * (1.0 + formulas.gelu_tanh(x)) + x * formulas.density(x),
        **TANH_GELU,
    ),
    "numpy-ml-gelu-curvature": Exhibit(
        *("numpy-ml", "b0359af", "numpy_ml/neural_nets/activations/activations.py:300"),
        formula="(2 - x²)·φ(x), with the normal density φ",
        mistake="1/2·√2 was meant as 1/(2√2), a 1 is added, and a factor x is missing.",
        cost=formulas.summed(lambda x: special.ndtr(x) + x * formulas.density(x)),
        # ½·√2 (1 + erf'(s) + erf''(s)/√2) with s = x/√2
        shipped=lambda x: np.sqrt(0.5) + (2.0 - 2.0 * x) * formulas.density(x),
        right=lambda x: (2.0 - x**2) * formulas.density(x),
        at=(-2.0, 0.5, 3.0),
    ),
    "neataptic-softsign": Exhibit(
        *("neataptic", "ae93263", "src/methods/activation.js:29"),
        formula="1/(1 + |x|)²",
        mistake="The numerator is x, so the slope is 0 at 0, where it should be largest, and negative below 0.",
        shipped=lambda x: x / (1.0 + np.abs(x)) ** 2,
        **_activation("softsign"),
        at=(-1.5, 0.0, 0.4, 2.0),
    ),
    "darknet-gelu": Exhibit(
        *("darknet (AlexeyAB)", "59596d78", "src/activations.h:124, called in src/convolutional_layer.c:1545"),
        mistake="The formula takes the input, but the layer hands it the output, as it does for sigmoid and tanh.",
        shipped=lambda x: TANH_GELU["right"](RIGHT["gelu_tanh"](x)),
        **TANH_GELU,
    )._replace(formula="GELU'(x), of the input x"),
    "candle-gelu": Exhibit(*("candle", "2a13b0f", "candle-core/src/backprop.rs:611"), **SIX_DIGITS),
    "mlpack-mish": Exhibit(
        *("mlpack", "0fb499e", "src/mlpack/methods/ann/activation_functions/mish_function.hpp"),
        formula="tanh(s) + x·σ(x)·(1 - tanh(s)²), with s = softplus(x)",
        mistake="The square is that of s, and not that of tanh(s).",
        shipped=lambda x: np.tanh(s := np.logaddexp(0.0, x)) + x * special.expit(x) * (1.0 - s**2),
        **_activation("mish"),
        at=(-2.0, 0.0, 0.5, 3.0),
        mended="e15e791",
    ),
    "mlpack-tanhshrink": Exhibit(
        *("mlpack", "13edabb", "src/mlpack/methods/ann/activation_functions/tanhshrink_function.hpp"),
        formula="tanh(x)²",
        mistake="x² in place of tanh(x)²: the slope grows without end.",
        shipped=lambda x: x**2,
        **_activation("tanhshrink"),
        at=(-2.0, 0.1, 0.5, 3.0),
    ),
    "mlpack-gelu": Exhibit(
        *("mlpack", "511fe69", "src/mlpack/methods/ann/activation_functions/gelu_function.hpp"), **SIX_DIGITS
    )._replace(at=(-3.0, 0.7, 2.5)),
    "torch-hardsigmoid": Exhibit(
        *("PyTorch", "2.13", "torch.nn.functional.hardsigmoid, in float64"),
        formula="1/6 for -3 < x < 3",
        mistake="The constant 1/6 is rounded to float32 before it is used in float64.",
        cost=formulas.in_torch(lambda torch, x: torch.nn.functional.hardsigmoid(x).sum()),
        shipped=formulas.in_torch(
            lambda torch, x: torch.autograd.functional.jacobian(lambda t: torch.nn.functional.hardsigmoid(t).sum(), x)
        ),
        right=lambda x: np.where(np.abs(x) < 3.0, 1.0 / 6.0, 0.0),
        at=(-1.0, 0.5, 2.0),
        library="torch",
    ),
    "torch-logcumsumexp": Exhibit(
        *("PyTorch", "2.13", "torch.logcumsumexp, forward mode"),
        formula="softmax of the entries so far",
        mistake="All entries are scaled by the largest of the whole vector, so those before it lose their digits.",
        cost=formulas.in_torch(lambda torch, x: torch.logcumsumexp(x, 0)[:2].sum()),
        shipped=formulas.in_torch(formulas.first_log_sum),
        right=lambda x: np.append(special.softmax(x[:2]), 0.0) + np.eye(3)[0],
        at=(0.0, 1.0, 20.0),
        library="torch",
    ),
    "jax-i0": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.i0"),
        formula="I₁(x), which is 0 at 0",
        mistake="exp(|x|) times an even function: the derivative of |x| at 0 is taken for 1, and so is that of I₀.",
        **formulas.by_jax("i0"),
        right=special.i1,
        at=(0.0, 0.7),
    ),
    "jax-spence": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.spence, reverse mode"),
        formula="log(x)/(1 - x)",
        mistake="NaN for 1 < x <= 2, where forward mode is right.",
        **formulas.by_jax("spence"),
        right=lambda x: np.log(x) / (1.0 - x),
        at=(0.5, 1.5),
    ),
    "jax-betaln": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.betaln, second derivative"),
        formula="∂²/∂a² = ψ'(a) - ψ'(a + b), ∂²/∂a∂b = -ψ'(a + b)",
        mistake="Where a = b, both are the mean of the two: the arguments are sorted, and a tie is split in halves.",
        cost=formulas.in_jax(formulas.betaln_slope),
        shipped=formulas.slope_in_jax(formulas.betaln_slope),
        right=lambda x: np.array([special.polygamma(1, x[0]), 0.0]) - special.polygamma(1, x.sum()),
        at=(2.0, 2.0),
    ),
    "jax-log-ndtr": Exhibit(
        *("JAX", "0.10.2", "jax.scipy.special.log_ndtr, in float64"),
        formula="φ(x)/Φ(x)",
        mistake="Below -20 an asymptotic series is used, which is off by 3e-9 there.",
        **formulas.by_jax("log_ndtr"),
        right=lambda x: np.exp(-0.5 * x**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(x)),
        at=(-20.5,),
    )._replace(cost=formulas.summed(special.log_ndtr)),
    "ott-sinkhorn": Exhibit(
        *("OTT-JAX", "0.6.0", "ott/math/fixed_point_loop.py:221, Sinkhorn with implicit_diff=None"),
        formula="∂/∂θ Σ P C, through all iterations that were made",
        mistake="With a fixed number of iterations, the backward pass goes through the blocks from the first one down.",
        cost=formulas.in_jax(formulas.carried_by_ott),
        shipped=formulas.slope_in_jax(formulas.carried_by_ott),
        right=formulas.slope_in_jax(formulas.carried),
        at=(0.1, 0.7, 0.9),
        library="ott",
    ),
    "sklearn-pairwise-kernel": Exhibit(
        *("scikit-learn", "eb850e2", "sklearn/gaussian_process/kernels.py, PairwiseKernel"),
        formula="-γd²·exp(-γd²), in log γ",
        mistake="A forward difference with a step of 1e-10 stands for the derivative, and keeps six digits at most.",
        cost=lambda theta: float(np.exp(-formulas.kernel(theta)).sum()),
        shipped=formulas.kernel_difference,
        right=lambda theta: np.array([-(formulas.kernel(theta) * np.exp(-formulas.kernel(theta))).sum()]),
        at=(0.3,),
    ),
    "statsmodels-glm-score": Exhibit(
        *("statsmodels", "0.15.0", "statsmodels/genmod/generalized_linear_model.py:513, GLM.score, Gaussian family"),
        formula="n·Xᵀr/Σr², with the residuals r of n observations",
        mistake="The log-likelihood estimates its scale from θ, and the score holds it constant: a factor (n - k)/n.",
        cost=formulas.log_likelihood,
        shipped=lambda theta: formulas.DESIGN.T @ formulas.residuals(theta) / formulas.pearson_scale(theta),
        right=lambda theta: 8.0 * formulas.DESIGN.T @ (r := formulas.residuals(theta)) / (r @ r),  # of eight points
        at=(0.5, 0.3),
    ),
}
