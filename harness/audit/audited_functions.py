"""The functions that are audited: each as a power series, what the libraries call it, and its arguments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb

from harness.audit import true_derivatives as true
from harness.audit.true_derivatives import Series

TINY, SMALL, LARGE, HUGE = 2.2250738585072014e-308, 1e-8, 50.0, 1e10
"""XLA flushes numbers below the first of these to zero."""

LINE = (-1e300, -HUGE, -1e4, -745.0, -LARGE, -20.0, -3.0, -1.0, -0.3, -SMALL, -1e-200, -TINY)
"""Negative arguments of every function of the whole line; the positive ones mirror them."""

EVERYWHERE = (*LINE, 0.0, *(-z for z in reversed(LINE)))
POSITIVE = (TINY, 1e-200, 1e-8, 0.1, 0.5, 1.0 - 1e-10, 1.0, 1.0 + 1e-10, 2.0, 50.0, 1e10, 1e200, 1e308)
UNIT = (TINY, 1e-300, 1e-17, 1e-8, 0.1, 0.5, 0.9, 1.0 - 1e-8, 1.0 - 2.0**-53)
SYMMETRIC = (*(-z for z in reversed(UNIT)), 0.0, *UNIT)
NOT_ZERO = tuple(z for z in EVERYWHERE if z != 0.0)
MODERATE = tuple(z for z in EVERYWHERE if abs(z) <= LARGE)
AROUND_ZERO = tuple(z for z in MODERATE if z != 0.0)
ANGLES = (*(z for z in EVERYWHERE if abs(z) <= 1e4), 1.5707963267948966, 3.141592653589793, 22.0)


@dataclass(frozen=True)
class AuditedFunction:
    """A function of one number, and the libraries that have a derivative of it."""

    name: str
    series: Callable[[Series], Series]  # the function over power series, z + t -> f(z + t)
    points: Sequence[float]  # the arguments
    # from a library to its function: a path in it, such as "nn.silu", or ``function(library, x)``; for SciPy it is the
    # derivative
    libraries: Mapping[str, Any]
    orders: tuple[int, ...]  # the derivatives that are measured


def _audited(
    name: str, series: Callable[[Series], Series], points: Sequence[float], *,
    orders: tuple[int, ...] = (1, 2), **libraries: Any,
) -> AuditedFunction:  # fmt: skip
    return AuditedFunction(name, series, points, libraries, orders)


def _row(*entries: Any) -> Any:
    """Numbers as an array of JAX."""
    import jax.numpy as jnp

    return jnp.stack([jnp.asarray(entry) for entry in entries])


def _torch_loss(name: str, target: float = 1.0) -> Callable[[Any, Any], Any]:
    """A loss of PyTorch as a function of its input, entry by entry."""
    return lambda torch, x: getattr(torch.nn.functional, name)(x, torch.full_like(x, target), reduction="none")


def _torch_cross_entropy(torch: Any, x: Any) -> Any:
    logits = torch.stack([x, torch.zeros_like(x)], -1)
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long), reduction="none")


def _torch_cosine(torch: Any, x: Any) -> Any:
    ones = torch.ones_like(x)
    return torch.nn.functional.cosine_similarity(torch.stack([x, ones], -1), torch.stack([ones, ones], -1))


AUDITED: tuple[AuditedFunction, ...] = (
    _audited("sin", lambda x: x.sin(), ANGLES, jax="numpy.sin", torch="sin"),
    _audited("cos", lambda x: x.cos(), ANGLES, jax="numpy.cos", torch="cos"),
    _audited("tan", lambda x: x.tan(), ANGLES, jax="numpy.tan", torch="tan"),
    _audited("arcsin", lambda x: x.asin(), SYMMETRIC, jax="numpy.arcsin", torch="asin"),
    _audited("arccos", lambda x: x.acos(), SYMMETRIC, jax="numpy.arccos", torch="acos"),
    _audited("arctan", lambda x: x.atan(), EVERYWHERE, jax="numpy.arctan", torch="atan"),
    _audited("sinh", lambda x: (x.exp() - (-x).exp()) / 2, MODERATE, jax="numpy.sinh", torch="sinh"),
    _audited("cosh", lambda x: (x.exp() + (-x).exp()) / 2, MODERATE, jax="numpy.cosh", torch="cosh"),
    _audited("tanh", true.tanh, EVERYWHERE, jax="numpy.tanh", torch="tanh"),
    _audited("arcsinh", true.asinh, EVERYWHERE, jax="numpy.arcsinh", torch="asinh"),
    _audited("arccosh", lambda x: (x + (x * x - 1).sqrt()).log(), (1 + 2**-52, 1 + SMALL, 1.5, 50.0, 1e10, 1e200),
        jax="numpy.arccosh", torch="acosh"),
    _audited("arctanh", lambda x: ((1 + x) / (1 - x)).log() / 2, SYMMETRIC, jax="numpy.arctanh", torch="atanh"),
    _audited("exp", lambda x: x.exp(), (*LINE, 0.0, 1.0, 50.0, 700.0), jax="numpy.exp", torch="exp"),
    _audited("exp2", lambda x: (x * arb(2).log()).exp(), (*LINE, 0.0, 1.0, 900.0), jax="numpy.exp2", torch="exp2"),
    _audited("expm1", lambda x: x.exp() - 1, (*LINE, 0.0, SMALL, 1.0, 700.0), jax="numpy.expm1", torch="expm1"),
    _audited("log", lambda x: x.log(), POSITIVE, jax="numpy.log", torch="log"),
    _audited("log2", lambda x: x.log() / arb(2).log(), POSITIVE, jax="numpy.log2", torch="log2"),
    _audited("log10", lambda x: x.log() / arb(10).log(), POSITIVE, jax="numpy.log10", torch="log10"),
    _audited("log1p", lambda x: (1 + x).log(), (*(-z for z in UNIT), 0.0, *POSITIVE), jax="numpy.log1p", torch="log1p"),
    _audited("sqrt", lambda x: x.sqrt(), POSITIVE, jax="numpy.sqrt", torch="sqrt"),
    _audited("rsqrt", lambda x: x.rsqrt(), POSITIVE, jax="lax.rsqrt", torch="rsqrt"),
    _audited("cbrt", true.cbrt, (*POSITIVE, *(-z for z in POSITIVE)), jax="numpy.cbrt"),
    _audited("reciprocal", lambda x: 1 / x, POSITIVE, jax="numpy.reciprocal", torch="reciprocal"),
    _audited("x to the power of 2.5", lambda x: (arb(2.5) * x.log()).exp(), POSITIVE, jax=lambda jax, x: x**2.5),
    _audited("sinc", true.sinc, ANGLES, jax="numpy.sinc", torch="sinc"),
    _audited("erf", lambda x: x.erf(), EVERYWHERE, jax="scipy.special.erf", torch="erf"),
    _audited("erfc", lambda x: x.erfc(), EVERYWHERE, jax="scipy.special.erfc", torch="erfc"),
    _audited("erfinv", true.erfinv, SYMMETRIC, jax="scipy.special.erfinv", torch="erfinv"),
    _audited("ndtr", true.ndtr, EVERYWHERE, jax="scipy.special.ndtr", torch="special.ndtr",
        scipy=lambda scipy, x: scipy.stats.norm.pdf(x)),
    _audited("log_ndtr", true.log_ndtr, EVERYWHERE, jax="scipy.special.log_ndtr", torch="special.log_ndtr"),
    _audited("ndtri", true.ndtri, UNIT, jax="scipy.special.ndtri", torch="special.ndtri"),
    _audited("gammaln", lambda x: x.lgamma(), POSITIVE, jax="scipy.special.gammaln", torch="lgamma",
        scipy="special.digamma"),
    _audited("digamma", lambda x: x.lgamma().derivative(), POSITIVE, jax="scipy.special.digamma", torch="digamma",
        scipy=lambda scipy, x: scipy.special.polygamma(1, x)),
    _audited("i0", true.bessel_of("bessel_i", 0), MODERATE, jax="scipy.special.i0", torch="special.i0",
        scipy="special.i1"),
    _audited("i1", true.bessel_of("bessel_i", 1), MODERATE, jax="scipy.special.i1", torch="special.i1",
        scipy=lambda scipy, x: scipy.special.ivp(1, x)),
    _audited("i0e", true.scaled_bessel(0), AROUND_ZERO, jax="scipy.special.i0e", torch="special.i0e"),
    _audited("i1e", true.scaled_bessel(1), AROUND_ZERO, jax="scipy.special.i1e", torch="special.i1e"),
    _audited("j1", true.bessel_of("bessel_j", 1), MODERATE, scipy=lambda scipy, x: scipy.special.jvp(1, x)),
    _audited("sigmoid", true.sigmoid, EVERYWHERE, jax="nn.sigmoid", torch="sigmoid"),
    _audited("log_sigmoid", lambda x: -true.softplus(-x), EVERYWHERE, jax="nn.log_sigmoid",
        torch="nn.functional.logsigmoid"),
    _audited("softplus", true.softplus, EVERYWHERE, jax="nn.softplus", torch="nn.functional.softplus"),
    _audited("silu", lambda x: x * true.sigmoid(x), EVERYWHERE, jax="nn.silu", torch="nn.functional.silu"),
    _audited("mish", lambda x: x * true.tanh(true.softplus(x)), EVERYWHERE, jax="nn.mish", torch="nn.functional.mish"),
    _audited("elu", true.elu, EVERYWHERE, jax="nn.elu", torch="nn.functional.elu", orders=(1,)),
    _audited("selu",
        lambda x: true.elu(x, arb("1.6732632423543772848170429916717"), arb("1.0507009873554804934193349852946")),
        NOT_ZERO, jax="nn.selu", torch="nn.functional.selu", orders=(1,)),
    _audited("gelu", lambda x: x * true.ndtr(x), EVERYWHERE, jax=lambda jax, x: jax.nn.gelu(x, approximate=False),
        torch="nn.functional.gelu"),
    _audited("gelu by tanh",
        lambda x: x * (1 + true.tanh((2 / arb.pi()).sqrt() * (x + arb("0.044715") * x * x * x))) / 2, EVERYWHERE,
        jax="nn.gelu",
        torch=lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh")),
    _audited("squareplus", lambda x: (x + (x * x + 4).sqrt()) / 2, EVERYWHERE, jax="nn.squareplus"),
    _audited("hard_sigmoid", lambda x: x / 6 + arb(1) / 2 if -3 < x[0] < 3 else 0 * x, EVERYWHERE,
        jax="nn.hard_sigmoid", torch="nn.functional.hardsigmoid", orders=(1,)),
    _audited("soft_sign", lambda x: x / (1 + (x if x[0] >= 0 else -x)), EVERYWHERE, jax="nn.soft_sign",
        torch="nn.functional.softsign", orders=(1,)),
    _audited("logaddexp(·, 1)", lambda x: true.softplus(x - 1) + 1, EVERYWHERE,
        jax=lambda jax, x: jax.numpy.logaddexp(x, 1.0), torch=lambda torch, x: torch.logaddexp(x, torch.ones_like(x))),
    _audited("hypot(·, ·)", lambda x: arb(2).sqrt() * x, tuple(z for z in POSITIVE if z < 1e308),
        jax=lambda jax, x: jax.numpy.hypot(x, x), torch=lambda torch, x: torch.hypot(x, x), orders=(1,)),
    _audited("xlogy(·, ·)", lambda x: x * x.log(), POSITIVE, jax=lambda jax, x: jax.scipy.special.xlogy(x, x),
        torch=lambda torch, x: torch.xlogy(x, x)),
    _audited("the imaginary part of sign(x + i)", lambda x: (x * x + 1).rsqrt(), MODERATE,
        jax=lambda jax, x: jax.numpy.sign(jax.lax.complex(x, 0.0 * x + 1.0)).imag,
        torch=lambda torch, x: torch.sgn(torch.complex(x, torch.ones_like(x))).imag),
    _audited("logaddexp(inf, ·)", lambda x: 0 * x, (-LARGE, 0.0, 1.0, LARGE),
        jax=lambda jax, x: jax.numpy.logaddexp(jax.numpy.inf, x),
        torch=lambda torch, x: torch.logaddexp(torch.full_like(x, torch.inf), x), orders=(1,)),
    _audited("cross entropy of a logit, target 1", lambda x: true.softplus(-x), EVERYWHERE,
        optax=lambda optax, x: optax.losses.sigmoid_binary_cross_entropy(x, 1.0),
        torch=_torch_loss("binary_cross_entropy_with_logits")),
    _audited("cross entropy of the logits (·, 0), class 0", lambda x: true.softplus(-x), EVERYWHERE,
        optax=lambda optax, x: optax.losses.softmax_cross_entropy(_row(x, 0.0 * x), _row(1.0, 0.0)),
        torch=_torch_cross_entropy),
    _audited("cross entropy of a probability, target 1", lambda x: -x.log(), UNIT,
        torch=_torch_loss("binary_cross_entropy")),
    _audited("focal loss, target 1", lambda x: true.sigmoid(-x) * true.sigmoid(-x) * true.softplus(-x), EVERYWHERE,
        optax=lambda optax, x: optax.losses.sigmoid_focal_loss(x, 1.0)),
    _audited("soft margin loss, target 1", lambda x: true.softplus(-x), EVERYWHERE,
        torch=_torch_loss("soft_margin_loss")),
    _audited("log cosh loss", lambda x: true.size(x) + (1 + (-2 * true.size(x)).exp()).log() - arb(2).log(),
        EVERYWHERE, optax="losses.log_cosh"),
    _audited("Huber loss", lambda x: x * x / 2 if true.size(x)[0] < 1 else true.size(x) - arb(1) / 2, EVERYWHERE,
        optax="losses.huber_loss", torch=_torch_loss("huber_loss", 0.0), orders=(1,)),
    _audited("KL divergence from 1 of its target", lambda x: x * x.log(), POSITIVE,
        optax=lambda optax, x: optax.losses.kl_divergence(_row(0.0 * x), _row(x)),
        torch=lambda torch, x: torch.nn.functional.kl_div(torch.zeros_like(x), x, reduction="none")),
    _audited("cosine similarity of (·, 1) and (1, 1)", lambda x: (x + 1) / (2 * (x * x + 1)).sqrt(), EVERYWHERE,
        optax=lambda optax, x: optax.losses.cosine_similarity(_row(x, 1.0 + 0.0 * x), _row(1.0, 1.0)),
        torch=_torch_cosine),
    _audited("Poisson NLL of a log rate, 1 event", lambda x: x.exp() - x, (*LINE, 0.0, SMALL, 1.0, 50.0, 700.0),
        torch=_torch_loss("poisson_nll_loss")),
    _audited("Gaussian NLL of the variance, off by 1", lambda x: (x.log() + 1 / x) / 2, POSITIVE,
        torch=lambda torch, x: torch.nn.functional.gaussian_nll_loss(torch.ones_like(x), torch.zeros_like(x), x,
            reduction="none")),
)  # fmt: skip
