"""Activations: the one place to add one.

A record states the formula over an array namespace and, separately, the slope claimed by hand. The harness checks
whether that slope is the formula's derivative, for every z. Slopes are given z as well as a = f(z), since a may have
rounded: of tanh at 20, 1 - a² is 0.0 and the slope 1.7e-17. Every record keeps these conventions:

- `value(xp, z)` is stable for every finite z and passes NaN on (``where(z <= 0, 0, z)``, never ``where(z > 0, z, 0)``);
- the branch that `value` takes at a kink fixes the slope that automatic differentiation reports there, and `slope`
  claims the same one;
- both are elementwise, keep the shape, and do not modify their arguments.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference.namespaces import NUMPY
from reference.user_input import did_you_mean, flag, given, of_type, printable


def _checked_kinks(name: str, kinks: Any) -> tuple[float, ...]:
    try:
        is_text = isinstance(kinks, (str, bytes, np.ma.MaskedArray))
        if is_text or np.asarray(tuple(kinks)).dtype.kind not in "biuf":
            raise TypeError
        floats = tuple(float(kink) for kink in kinks)
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        what = f"a sequence of numbers, such as (0.0,), not {given(kinks)}"
        raise TypeError(f"activation {name!r}: kinks must be {what}") from None
    if not all(math.isfinite(kink) for kink in floats):
        raise ValueError(f"activation {name!r}: kinks must be finite numbers, not {floats}")
    return floats


@dataclass(frozen=True, eq=False)
class Activation:
    """An elementwise nonlinearity a = value(xp, z) with its derivative da/dz as claimed by hand.

    Parameters
    ----------
    name : str
        Its name in reports and in the registry; a control character in it is written as its escape.
    value : callable
        ``value(xp, z)``: the formula over the array namespace `xp` (NumPy, JAX, complex numbers, balls, ...).
    slope : callable
        ``slope(z, a)``: the derivative in NumPy, given the pre-activation and a = value(z).
    kinks : sequence of float
        The z at which the slope jumps; kept as a tuple.
    source : str
        A citation: where formula and slope can be read.
    curvature : callable, optional
        ``curvature(z, a)``: the second derivative as claimed by hand.
    parameters : mapping of str to callable
        For each keyword of `value`, such as β of a swish: ``derivative(z, a, β)``, da/dβ as claimed by hand. One that
        needs several parameters takes all of them by their names: ``derivative(z, a, *, alpha, beta)``.
    parameter_kinks : mapping of str to a sequence of float, optional
        The z at which the derivative in a parameter jumps; where none are given, these are `kinks`.
    surrogate : bool
        Whether `slope` deliberately differs from the derivative: straight-through estimators, spiking neurons.

    Raises
    ------
    ValueError, TypeError
        For a name that is no string, a function that cannot be called, or a kink that is not finite.
    """

    name: str
    value: Callable[[Any, Any], Any]
    slope: Callable[[Any, Any], Any]
    kinks: tuple[float, ...] = field(default=(), kw_only=True)
    source: str = field(default="", kw_only=True)
    curvature: Callable[[Any, Any], Any] | None = field(default=None, kw_only=True)
    parameters: Mapping[str, Callable[..., Any]] = field(default_factory=dict, kw_only=True)
    parameter_kinks: Mapping[str, tuple[float, ...]] = field(default_factory=dict, kw_only=True)
    surrogate: bool = field(default=False, kw_only=True)

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"an activation's name must be a non-empty string, not {given(self.name)}")
        for what in ("parameters", "parameter_kinks"):
            of_type(f"activation {self.name!r}: {what}", getattr(self, what), Mapping, "a mapping from names")
        object.__setattr__(self, "surrogate", flag(f"activation {self.name!r}: surrogate", self.surrogate))
        functions = {"value": self.value, "slope": self.slope, **self.parameters}
        if self.curvature is not None:
            functions["curvature"] = self.curvature
        for what, function in functions.items():
            if not callable(function):
                raise TypeError(f"activation {self.name!r}: {what} must be callable, not {type(function).__name__}")
        for name in self.parameter_kinks.keys() - self.parameters.keys():
            raise ValueError(f"activation {self.name!r}: parameter_kinks has {given(name)}, which is not in parameters")
        if not isinstance(self.source, str):
            raise TypeError(f"activation {self.name!r}: source must be a string, such as a citation")
        # the class is frozen, and keeps what was given as plain tuples
        object.__setattr__(self, "kinks", _checked_kinks(self.name, self.kinks))
        own = {name: _checked_kinks(self.name, kinks) for name, kinks in self.parameter_kinks.items()}
        object.__setattr__(self, "parameter_kinks", own)
        object.__setattr__(self, "name", printable(self.name))

    def __call__(self, z: Any) -> Any:
        """a = value(z) in NumPy."""
        return self.value(NUMPY, z)

    def moved(self, z: Any, step: Any) -> Any:
        """The value in NumPy after a step in the variable of the slope."""
        return self(z + step)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle a registered activation by its name, since its functions are mostly lambdas."""
        if ACTIVATIONS.get(self.name) is self:
            return get_activation, (self.name,)
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"


def _sigmoid(xp, z):
    # 1/(1 + exp(-z)) overflows at z = -710; tanh does not, and NumPy and XLA both vectorize it
    return 0.5 + 0.5 * xp.tanh(0.5 * z)


def _sigmoid_slope(z, a):
    # a(1 - a) has no correct digit beyond |z| = 37, where a has rounded to 0 or 1
    e = np.exp(-np.abs(z))
    return e / np.square(1.0 + e)


def _tanh_slope(z, a):
    e = np.exp(-2.0 * np.abs(z))  # 1 - a² has no correct digit beyond |z| = 19
    return 4.0 * e / np.square(1.0 + e)


def _sigmoid_in_full(z):
    """σ(z) with all its digits for very negative z, too, as slopes need it."""
    e = np.exp(-np.abs(z))
    return np.where(z < 0.0, e, 1.0) / (1.0 + e)


def _softplus(xp, z):
    return xp.logaddexp(z, 0.0)


def leaky_relu(alpha: float = 0.01, name: str = "leaky_relu") -> Activation:
    """f(z) = z for z >= 0, αz below; slope 1 at the kink, as jax.nn.leaky_relu. PReLU is the same with α learned."""
    return Activation(
        name,
        value=lambda xp, z: xp.where(z >= 0.0, z, alpha * z),
        slope=lambda z, a: np.where(z >= 0.0, 1.0, alpha),
        kinks=() if alpha == 1.0 else (0.0,),
        source="Maas, Hannun and Ng, ICML 2013",
    )


def elu(alpha: float = 1.0, name: str = "elu") -> Activation:
    """f(z) = z for z > 0, α(exp(z) - 1) otherwise; the slope is continuous only for α = 1."""
    return Activation(
        name,
        # the inner where keeps exp from overflowing on the side that the outer one drops
        value=lambda xp, z: xp.where(z > 0.0, z, alpha * xp.expm1(xp.where(z > 0.0, 0.0, z))),
        slope=lambda z, a: np.where(z > 0.0, 1.0, alpha * np.exp(np.minimum(z, 0.0))),
        kinks=() if alpha == 1.0 else (0.0,),
        source="Clevert, Unterthiner and Hochreiter, ICLR 2016",
    )


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _silu_slope(z, a):
    sigma = _sigmoid_in_full(z)
    return sigma * (1.0 + z * (1.0 - sigma))  # and not σ + a(1 - σ), for a itself has lost its tail


def _gelu_slope(z, a):
    from scipy.special import erfc  # here, because `import harness` stays light

    bell = np.exp(-0.5 * np.square(np.clip(z, -40.0, 40.0)))  # zero beyond, where the square might overflow
    # ½ erfc(-z/√2) is Φ(z) in full; 1 + erf has no correct digit below z = -8
    return 0.5 * erfc(-math.sqrt(0.5) * z) + z * bell / math.sqrt(2.0 * math.pi)


def _mish_slope(z, a):
    # tanh(s) + z sech²(s) s' with s = softplus(z) and s' = σ(z)
    t = np.tanh(_softplus(np, z))
    return t + z * (1.0 - t * t) * _sigmoid_in_full(z)


_RECORDS = (
    Activation(
        "identity",
        value=lambda xp, z: z,
        slope=lambda z, a: np.ones_like(z),
        source="the linear unit",
    ),
    Activation(
        "sigmoid",
        value=_sigmoid,
        slope=_sigmoid_slope,
        source="Ng, Machine Learning, exercise 4: sigmoidGradient",
    ),
    Activation(
        "tanh",
        value=lambda xp, z: xp.tanh(z),
        slope=_tanh_slope,
        source="LeCun et al., Efficient BackProp, 1998",
    ),
    Activation(
        "relu",
        value=lambda xp, z: xp.where(z <= 0.0, 0.0, z),
        slope=lambda z, a: np.where(z <= 0.0, 0.0, 1.0),  # 0 at the kink, as jax.nn.relu
        kinks=(0.0,),
        source="Nair and Hinton, ICML 2010",
    ),
    leaky_relu(),
    elu(),
    Activation(
        "selu",
        value=lambda xp, z: _SELU_SCALE * xp.where(z > 0.0, z, _SELU_ALPHA * xp.expm1(xp.where(z > 0.0, 0.0, z))),
        slope=lambda z, a: np.where(z > 0.0, _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA * np.exp(np.minimum(z, 0.0))),
        kinks=(0.0,),
        source="Klambauer et al., NeurIPS 2017",
    ),
    Activation(
        "softplus",
        value=_softplus,
        slope=lambda z, a: _sigmoid_in_full(z),
        source="Dugas et al., NIPS 2000",
    ),
    Activation(
        "silu",
        value=lambda xp, z: z * _sigmoid(xp, z),
        slope=_silu_slope,
        source="Elfwing, Uchibe and Doya, 2017; swish with β = 1",
    ),
    Activation(
        "gelu",
        value=lambda xp, z: 0.5 * z * (1.0 + xp.erf(z * math.sqrt(0.5))),
        slope=_gelu_slope,
        source="Hendrycks and Gimpel, 2016; the erf form",
    ),
    Activation(
        "mish",
        value=lambda xp, z: z * xp.tanh(_softplus(xp, z)),
        slope=_mish_slope,
        source="Misra, BMVC 2020",
    ),
    Activation(
        "softsign",
        value=lambda xp, z: z / (1.0 + xp.abs(z)),
        slope=lambda z, a: np.square(1.0 / (1.0 + np.abs(z))),  # 1/square would overflow
        source="Bergstra et al., 2009",
    ),
    Activation(
        "hard_tanh",
        value=lambda xp, z: xp.where(z > 1.0, 1.0, xp.where(z < -1.0, -1.0, z)),
        slope=lambda z, a: np.where(np.abs(z) <= 1.0, 1.0, 0.0),  # 1 at both kinks, as jax.nn.hard_tanh
        kinks=(-1.0, 1.0),
        source="Collobert, 2004",
    ),
    Activation(
        "sin",
        value=lambda xp, z: xp.sin(z),
        slope=lambda z, a: np.cos(z),
        source="Sitzmann et al., NeurIPS 2020",
    ),
)

ACTIVATIONS: dict[str, Activation] = {f.name: f for f in _RECORDS}
"""The registered activations by name. To add one, write its record here, or `register` one from elsewhere."""


def register(activation: Activation) -> Activation:
    """Add an activation to `ACTIVATIONS`, so that its name can be used wherever an activation is asked for.

    Parameters
    ----------
    activation : Activation

    Returns
    -------
    Activation
        The same.

    Raises
    ------
    TypeError, ValueError
        When it is no activation, or when another one already has the name.
    """
    if not isinstance(activation, Activation):
        raise TypeError(f"register takes an Activation, not {type(activation).__name__}")
    if ACTIVATIONS.get(activation.name, activation) is not activation:
        raise ValueError(f"an activation named {activation.name!r} is registered already; choose another name")
    ACTIVATIONS[activation.name] = activation
    return activation


def get_activation(activation: "str | Activation") -> Activation:
    """The record itself, or the registered one of that name."""
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    there_are = f"{', '.join(ACTIVATIONS)}{did_you_mean(activation, ACTIVATIONS)}"
    raise ValueError(f"unknown activation {given(activation)}; registered are {there_are}")
