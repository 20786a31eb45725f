"""The rules that are audited: a function, what the libraries call it, and the arguments at which it is looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flint import arb

from harness.audit import true_derivatives
from harness.audit.true_derivatives import Series

OWN = "harness.audit.callables:"

TINY, SMALL, LARGE, HUGE = 2.2250738585072014e-308, 1e-8, 50.0, 1e10  # XLA takes what is smaller for zero

LINE = (-1e300, -HUGE, -1e4, -745.0, -LARGE, -20.0, -3.0, -1.0, -0.3, -SMALL, -1e-200, -TINY)
"""Negative arguments that every function of the whole line is asked at; the positive ones mirror them."""

EVERYWHERE = (*LINE, 0.0, *(-z for z in reversed(LINE)))
POSITIVE = (TINY, 1e-200, 1e-8, 0.1, 0.5, 1.0 - 1e-10, 1.0, 1.0 + 1e-10, 2.0, 50.0, 1e10, 1e200, 1e308)
UNIT = (TINY, 1e-300, 1e-17, 1e-8, 0.1, 0.5, 0.9, 1.0 - 1e-8, 1.0 - 2.0**-53)
SYMMETRIC = (*(-z for z in reversed(UNIT)), 0.0, *UNIT)
NOT_ZERO = tuple(z for z in EVERYWHERE if z != 0.0)
MODERATE = tuple(z for z in EVERYWHERE if abs(z) <= LARGE)
AROUND_ZERO = tuple(z for z in MODERATE if z != 0.0)
ANGLES = (*(z for z in EVERYWHERE if abs(z) <= 1e4), 1.5707963267948966, 3.141592653589793, 22.0)


@dataclass(frozen=True)
class Rule:
    """A function of one number, and who has a derivative of it.

    Attributes
    ----------
    name : str
    truth : callable
        The function over power series; or, if `explicit`, derivatives(z, order).
    where : floats
        The arguments.
    libraries : dict
        From a library to a path of its function, such as {"jax": "jax.nn.silu"}; or, for SciPy, of its derivative.
    orders : ints
    """

    name: str
    truth: Callable[..., Any]
    where: Sequence[float]
    libraries: dict[str, str] = field(default_factory=dict)
    explicit: bool = False
    orders: tuple[int, ...] = (1, 2)


def _rule(name: str, truth: Callable[..., Any], where: Sequence[float], jax: str = "", torch: str = "", **more: Any):
    paths = {"jax": jax, "optax": more.pop("optax", ""), "torch": torch, "scipy": more.pop("scipy", "")}
    return Rule(name, truth, where, {library: path for library, path in paths.items() if path}, **more)


def _power(x: Series, p: Any) -> Series:
    return (arb(p) * x.log()).exp()


RULES = (
    _rule("sin", lambda x: x.sin(), ANGLES, "jax.numpy.sin", "torch.sin"),
    _rule("cos", lambda x: x.cos(), ANGLES, "jax.numpy.cos", "torch.cos"),
    _rule("tan", lambda x: x.tan(), ANGLES, "jax.numpy.tan", "torch.tan"),
    _rule("arcsin", lambda x: x.asin(), SYMMETRIC, "jax.numpy.arcsin", "torch.asin"),
    _rule("arccos", lambda x: x.acos(), SYMMETRIC, "jax.numpy.arccos", "torch.acos"),
    _rule("arctan", lambda x: x.atan(), EVERYWHERE, "jax.numpy.arctan", "torch.atan"),
    _rule("sinh", lambda x: (x.exp() - (-x).exp()) / 2, MODERATE, "jax.numpy.sinh", "torch.sinh"),
    _rule("cosh", lambda x: (x.exp() + (-x).exp()) / 2, MODERATE, "jax.numpy.cosh", "torch.cosh"),
    _rule("tanh", true_derivatives.tanh, EVERYWHERE, "jax.numpy.tanh", "torch.tanh"),
    _rule("arcsinh", true_derivatives.odd_log, EVERYWHERE, "jax.numpy.arcsinh", "torch.asinh"),
    _rule(
        "arccosh", lambda x: (x + (x * x - 1).sqrt()).log(), (1 + 2**-52, 1 + SMALL, 1.5, 50.0, 1e10, 1e200),
        "jax.numpy.arccosh", "torch.acosh",
    ),
    _rule("arctanh", lambda x: ((1 + x) / (1 - x)).log() / 2, SYMMETRIC, "jax.numpy.arctanh", "torch.atanh"),
    _rule("exp", lambda x: x.exp(), (*LINE, 0.0, 1.0, 50.0, 700.0), "jax.numpy.exp", "torch.exp"),
    _rule("exp2", lambda x: (x * arb(2).log()).exp(), (*LINE, 0.0, 1.0, 900.0), "jax.numpy.exp2", "torch.exp2"),
    _rule("expm1", lambda x: x.exp() - 1, (*LINE, 0.0, SMALL, 1.0, 700.0), "jax.numpy.expm1", "torch.expm1"),
    _rule("log", lambda x: x.log(), POSITIVE, "jax.numpy.log", "torch.log"),
    _rule("log2", lambda x: x.log() / arb(2).log(), POSITIVE, "jax.numpy.log2", "torch.log2"),
    _rule("log10", lambda x: x.log() / arb(10).log(), POSITIVE, "jax.numpy.log10", "torch.log10"),
    _rule(
        "log1p", lambda x: (1 + x).log(), (*(-z for z in UNIT), 0.0, *POSITIVE), "jax.numpy.log1p", "torch.log1p"
    ),
    _rule("sqrt", lambda x: x.sqrt(), POSITIVE, "jax.numpy.sqrt", "torch.sqrt"),
    _rule("rsqrt", lambda x: x.rsqrt(), POSITIVE, "jax.lax.rsqrt", "torch.rsqrt"),
    _rule("cbrt", true_derivatives.signed_root, (*POSITIVE, *(-z for z in POSITIVE)), "jax.numpy.cbrt"),
    _rule("reciprocal", lambda x: 1 / x, POSITIVE, "jax.numpy.reciprocal", "torch.reciprocal"),
    _rule("x to the power of 2.5", lambda x: _power(x, 2.5), POSITIVE, OWN + "jax_power"),
    _rule("sinc", true_derivatives.sinc, ANGLES, "jax.numpy.sinc", "torch.sinc", explicit=True),
    _rule("erf", lambda x: x.erf(), EVERYWHERE, "jax.scipy.special.erf", "torch.erf"),
    _rule("erfc", lambda x: x.erfc(), EVERYWHERE, "jax.scipy.special.erfc", "torch.erfc"),
    _rule("erfinv", true_derivatives.erfinv, SYMMETRIC, "jax.scipy.special.erfinv", "torch.erfinv", explicit=True),
    _rule("ndtr", true_derivatives.ndtr, EVERYWHERE, "jax.scipy.special.ndtr", "torch.special.ndtr",
          scipy="scipy.stats:norm.pdf"),
    _rule(
        "log_ndtr", true_derivatives.log_ndtr, EVERYWHERE, "jax.scipy.special.log_ndtr", "torch.special.log_ndtr", explicit=True
    ),
    _rule("ndtri", true_derivatives.ndtri, UNIT, "jax.scipy.special.ndtri", "torch.special.ndtri", explicit=True),
    _rule(
        "gammaln", true_derivatives.lgamma, POSITIVE, "jax.scipy.special.gammaln", "torch.lgamma",
        scipy="scipy.special.digamma", explicit=True,
    ),
    _rule(
        "digamma", true_derivatives.digamma, POSITIVE, "jax.scipy.special.digamma", "torch.digamma",
        scipy=OWN + "trigamma", explicit=True,
    ),
    _rule("i0", true_derivatives.i_bessel(0), MODERATE, "jax.scipy.special.i0", "torch.special.i0", scipy="scipy.special.i1",
          explicit=True),
    _rule("i1", true_derivatives.i_bessel(1), MODERATE, "jax.scipy.special.i1", "torch.special.i1",
          scipy=OWN + "i1_slope", explicit=True),
    _rule("i0e", true_derivatives.i_bessel_scaled(0), AROUND_ZERO, "jax.scipy.special.i0e", "torch.special.i0e", explicit=True),
    _rule("i1e", true_derivatives.i_bessel_scaled(1), AROUND_ZERO, "jax.scipy.special.i1e", "torch.special.i1e", explicit=True),
    _rule("j1", true_derivatives.j_bessel(1), MODERATE, scipy=OWN + "j1_slope", explicit=True),
    _rule("sigmoid", true_derivatives.sigmoid, EVERYWHERE, "jax.nn.sigmoid", "torch.sigmoid"),
    _rule(
        "log_sigmoid", lambda x: -true_derivatives.softplus(-x), EVERYWHERE, "jax.nn.log_sigmoid",
        "torch.nn.functional.logsigmoid",
    ),
    _rule("softplus", true_derivatives.softplus, EVERYWHERE, "jax.nn.softplus", "torch.nn.functional.softplus"),
    _rule("silu", lambda x: x * true_derivatives.sigmoid(x), EVERYWHERE, "jax.nn.silu", "torch.nn.functional.silu"),
    _rule("mish", lambda x: x * true_derivatives.tanh(true_derivatives.softplus(x)), EVERYWHERE, "jax.nn.mish", "torch.nn.functional.mish"),
    _rule("elu", true_derivatives.elu, EVERYWHERE, "jax.nn.elu", "torch.nn.functional.elu", orders=(1,)),
    _rule(
        "selu",
        lambda x: true_derivatives.elu(x, arb("1.6732632423543772848170429916717"), arb("1.0507009873554804934193349852946")),
        NOT_ZERO, "jax.nn.selu", "torch.nn.functional.selu", orders=(1,),
    ),
    _rule("gelu", lambda x: x * true_derivatives.ndtr(x), EVERYWHERE, OWN + "jax_gelu",
          "torch.nn.functional.gelu"),
    _rule("gelu by tanh", true_derivatives.gelu_tanh, EVERYWHERE, "jax.nn.gelu", OWN + "torch_gelu_tanh"),
    _rule("squareplus", lambda x: (x + (x * x + 4).sqrt()) / 2, EVERYWHERE, "jax.nn.squareplus"),
    _rule("hard_sigmoid", true_derivatives.hard_sigmoid, EVERYWHERE, "jax.nn.hard_sigmoid", "torch.nn.functional.hardsigmoid",
          orders=(1,)),
    _rule("soft_sign", lambda x: x / (1 + x) if x[0] >= 0 else x / (1 - x), EVERYWHERE, "jax.nn.soft_sign",
          "torch.nn.functional.softsign", orders=(1,)),
    _rule("logaddexp(·, 1)", lambda x: true_derivatives.softplus(x - 1) + 1, EVERYWHERE,
          OWN + "jax_logaddexp", OWN + "torch_logaddexp"),
    _rule("hypot(·, ·)", lambda x: arb(2).sqrt() * x, tuple(z for z in POSITIVE if z < 1e308),
          OWN + "jax_hypot", OWN + "torch_hypot", orders=(1,)),
    _rule("xlogy(·, ·)", lambda x: x * x.log(), POSITIVE, OWN + "jax_xlogx",
          OWN + "torch_xlogx"),
    _rule("logaddexp(inf, ·)", lambda x: 0 * x, (-LARGE, 0.0, 1.0, LARGE),
          OWN + "jax_logaddexp_of_inf", OWN + "torch_logaddexp_of_inf",
          orders=(1,)),
    _rule("cross entropy of a logit, target 1", lambda x: true_derivatives.softplus(-x), EVERYWHERE,
          optax=OWN + "optax_bce_with_logits", torch=OWN + "torch_bce_with_logits"),
    _rule("cross entropy of the logits (·, 0), class 0", lambda x: true_derivatives.softplus(-x), EVERYWHERE,
          optax=OWN + "optax_cross_entropy", torch=OWN + "torch_cross_entropy"),
    _rule("cross entropy of a probability, target 1", lambda x: -x.log(), UNIT, torch=OWN + "torch_bce"),
    _rule("focal loss, target 1", lambda x: true_derivatives.sigmoid(-x) * true_derivatives.sigmoid(-x) * true_derivatives.softplus(-x), EVERYWHERE,
          optax=OWN + "optax_focal"),
    _rule("soft margin loss, target 1", lambda x: true_derivatives.softplus(-x), EVERYWHERE, torch=OWN + "torch_soft_margin"),
    _rule("log cosh loss", true_derivatives.log_cosh, EVERYWHERE, optax=OWN + "optax_log_cosh"),
    _rule("Huber loss", true_derivatives.huber, EVERYWHERE, optax=OWN + "optax_huber", torch=OWN + "torch_huber", orders=(1,)),
    _rule("KL divergence from 1 of its target", lambda x: x * x.log(), POSITIVE,
          optax=OWN + "optax_kl_divergence", torch=OWN + "torch_kl_divergence"),
    _rule("cosine similarity of (·, 1) and (1, 1)", lambda x: (x + 1) / (2 * (x * x + 1)).sqrt(), EVERYWHERE,
          optax=OWN + "optax_cosine", torch=OWN + "torch_cosine"),
    _rule("Poisson NLL of a log rate, 1 event", lambda x: x.exp() - x, (*LINE, 0.0, SMALL, 1.0, 50.0, 700.0),
          torch=OWN + "torch_poisson"),
    _rule("Gaussian NLL of the variance, off by 1", lambda x: (x.log() + 1 / x) / 2, POSITIVE,
          torch=OWN + "torch_gaussian"),
)  # fmt: skip
