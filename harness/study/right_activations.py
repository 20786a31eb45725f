"""Right records: the activations of PyTorch, JAX, Keras and of papers, in the ways in which people write them.

Tests require the verdict of each, and a study counts them. Nothing in the check itself knows these records.
"""

import math

import numpy as np
from scipy.special import erf, expit

from reference.activations import Activation, elu, leaky_relu

RIGHT: dict[str, Activation] = {}  # right records by name; each must agree


def _add(name, value, slope, *kinks):
    RIGHT[name] = Activation(name, value, slope, kinks=kinks)


def sigmoid(z):
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def _bell(z):
    return np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


_ROOT = math.sqrt(2.0 / math.pi)

# fmt: off
# -- polynomials and rational functions --------------------------------------------------------------------------------
_add("z² + z", lambda xp, z: z * z + z, lambda z, a: 2.0 * z + 1.0)
_add("z³ + z", lambda xp, z: z**3 + z, lambda z, a: 3.0 * z**2 + 1.0)
_add("z + 0.1 z³", lambda xp, z: z + 0.1 * z * z * z, lambda z, a: 1.0 + 0.3 * np.square(z))
_add("Horner", lambda xp, z: ((2.0 * z - 1.0) * z + 3.0) * z + 5.0, lambda z, a: (6.0 * z - 2.0) * z + 3.0)
_add("powers", lambda xp, z: 2.0 * z**3 - z**2 + 3.0 * z, lambda z, a: 6.0 * z**2 - 2.0 * z + 3.0)
_add("(z - 1)(z + 2)", lambda xp, z: (z - 1.0) * (z + 2.0), lambda z, a: 2.0 * z + 1.0)
_add("bent", lambda xp, z: (xp.sqrt(z * z + 1.0) - 1.0) / 2.0 + z, lambda z, a: z / (2.0 * np.sqrt(z * z + 1.0)) + 1.0)
_add("softsign", lambda xp, z: z / (1.0 + xp.abs(z)), lambda z, a: 1.0 / (1.0 + np.abs(z)) ** 2)
_add("isru", lambda xp, z: z / xp.sqrt(1.0 + z * z), lambda z, a: (1.0 + z * z) ** -1.5)
_add("z/10", lambda xp, z: z / 10.0, lambda z, a: np.full_like(z, 0.1))
_add("0.1 z", lambda xp, z: 0.1 * z, lambda z, a: np.ones_like(z) / 10.0)
_add("tanh(z/3)", lambda xp, z: xp.tanh(z / 3.0), lambda z, a: (1.0 - a * a) / 3.0)
_add("squareplus", lambda xp, z: (z + xp.sqrt(z * z + 4.0)) / 2.0, lambda z, a: 0.5 * (1.0 + z / np.sqrt(z * z + 4.0)))
_add("isrlu", lambda xp, z: xp.where(z >= 0.0, z, z / xp.sqrt(1.0 + z * z)),
     lambda z, a: np.where(z >= 0.0, 1.0, (1.0 + z * z) ** -1.5))
_add("cauchy", lambda xp, z: 1.0 / (1.0 + z * z), lambda z, a: -2.0 * z * a * a)
# -- of exp and tanh ---------------------------------------------------------------------------------------------------
_add("sigmoid", lambda xp, z: 0.5 * (xp.tanh(z / 2.0) + 1.0), lambda z, a: a - a**2)
_add("sigmoid by branches",
     lambda xp, z: xp.where(z >= 0.0, 1.0 / (1.0 + xp.exp(-xp.abs(z))),
                            xp.exp(-xp.abs(z)) / (1.0 + xp.exp(-xp.abs(z)))),
     lambda z, a: a * (1.0 - a))
_add("log sigmoid", lambda xp, z: -xp.logaddexp(0.0, -z), lambda z, a: sigmoid(-z))
_add("log sigmoid by min", lambda xp, z: xp.minimum(z, 0.0) - xp.log1p(xp.exp(-xp.abs(z))),
     lambda z, a: 1.0 - np.exp(a))
_add("tanhshrink", lambda xp, z: z - xp.tanh(z), lambda z, a: np.tanh(z) ** 2)
_add("lecun tanh", lambda xp, z: 1.7159 * xp.tanh(2.0 / 3.0 * z), lambda z, a: 2.0 / 3.0 * (1.7159 - a * a / 1.7159))
_add("swish β = 1.5", lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.75 * z)),
     lambda z, a: 1.5 * a + sigmoid(1.5 * z) * (1 - 1.5 * a))
_add("silu", lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.5 * z)), lambda z, a: sigmoid(z) * (1.0 + z * (1.0 - sigmoid(z))))
_add("softplus β = 2", lambda xp, z: xp.logaddexp(2.0 * z, 0.0) / 2.0, lambda z, a: sigmoid(2.0 * z))
_add("softplus by max", lambda xp, z: xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z))), lambda z, a: 1.0 - np.exp(-a))
_add("softplus by abs", lambda xp, z: 0.5 * (z + xp.abs(z)) + xp.log1p(xp.exp(-xp.abs(z))), lambda z, a: sigmoid(z))
_add("softplus base 2", lambda xp, z: xp.logaddexp2(z, 0.0), lambda z, a: sigmoid(math.log(2.0) * z))
_add("gauss", lambda xp, z: xp.exp(-z * z), lambda z, a: -2.0 * z * a)
_add("morlet", lambda xp, z: xp.cos(1.75 * z) * xp.exp(-0.5 * z * z),
     lambda z, a: -1.75 * np.sin(1.75 * z) * np.exp(-0.5 * z * z) - z * a)
_add("ricker", lambda xp, z: (1.0 - z * z) * xp.exp(-z * z / 2.0), lambda z, a: (z**3 - 3.0 * z) * np.exp(-z * z / 2.0))
_add("sech", lambda xp, z: 2.0 * xp.exp(-xp.abs(z)) / (1.0 + xp.exp(-2.0 * xp.abs(z))), lambda z, a: -a * np.tanh(z))
_add("arctan", lambda xp, z: xp.arctan(z), lambda z, a: 1.0 / (1.0 + z * z))
_add("arctan, scaled", lambda xp, z: 2.0 / math.pi * xp.arctan(math.pi / 2.0 * z),
     lambda z, a: 1.0 / (1.0 + (math.pi / 2.0 * z) ** 2))
_add("asinh", lambda xp, z: xp.arcsinh(z), lambda z, a: 1.0 / np.sqrt(z * z + 1.0))
_add("gelu_tanh", lambda xp, z: 0.5 * z * (1.0 + xp.tanh(_ROOT * (z + 0.044715 * z**3))), lambda z, a: _gelu_tanh(z))
_add("gelu", lambda xp, z: z * (1.0 + xp.erf(z / math.sqrt(2.0))) / 2.0,
     lambda z, a: 0.5 * (1.0 + erf(z / math.sqrt(2.0))) + z * _bell(z))
_add("erf", lambda xp, z: xp.erf(z), lambda z, a: 2.0 / math.sqrt(math.pi) * np.exp(-z * z))
_add("Φ", lambda xp, z: 0.5 * (1.0 + xp.erf(z / math.sqrt(2.0))), lambda z, a: _bell(z))
_add("quick gelu", lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.851 * z)),
     lambda z, a: sigmoid(1.702 * z) + 1.702 * a * (1.0 - sigmoid(1.702 * z)))
_add("mish", lambda xp, z: z * xp.tanh(xp.logaddexp(z, 0.0)), lambda z, a: _mish(z))
_add("tanhexp", lambda xp, z: z * xp.tanh(xp.exp(xp.minimum(z, 20.0))), lambda z, a: _tanhexp(z))
_add("logish", lambda xp, z: z * xp.log1p(0.5 + 0.5 * xp.tanh(0.5 * z)),
     lambda z, a: np.log1p(sigmoid(z)) + z * sigmoid(z) * (1.0 - sigmoid(z)) / (1.0 + sigmoid(z)))
_add("symlog", lambda xp, z: xp.where(z < 0.0, -xp.log1p(-xp.minimum(z, 0.0)), xp.log1p(xp.maximum(z, 0.0))),
     lambda z, a: 1.0 / (1.0 + np.abs(z)))
_add("z log|z|, guarded", lambda xp, z: z * xp.log(xp.abs(z) + 1e-12),
     lambda z, a: np.log(np.abs(z) + 1e-12) + np.abs(z) / (np.abs(z) + 1e-12))
_add("smooth abs", lambda xp, z: xp.sqrt(z * z + 1e-6), lambda z, a: z / a)
# -- periodic ----------------------------------------------------------------------------------------------------------
_add("snake", lambda xp, z: z + xp.square(xp.sin(z)), lambda z, a: 1.0 + 2.0 * np.sin(z) * np.cos(z))
_add("growing cosine", lambda xp, z: z * xp.cos(z), lambda z, a: np.cos(z) - z * np.sin(z))
_add("sin 30 z", lambda xp, z: xp.sin(30.0 * z), lambda z, a: 30.0 * np.cos(30.0 * z))
_add("sinc", lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)),
     lambda z, a: np.where(z == 0.0, 0.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)))
# -- in pieces, with kinks ---------------------------------------------------------------------------------------------
_add("relu by maximum", lambda xp, z: xp.maximum(z, 0.0), lambda z, a: (a > 0.0) * 1.0, 0.0)
_add("relu by abs", lambda xp, z: 0.5 * (z + xp.abs(z)), lambda z, a: np.heaviside(z, 0.5), 0.0)
_add("relu by product", lambda xp, z: z * (z > 0.0), lambda z, a: (z > 0.0).astype(float), 0.0)
_add("relu6", lambda xp, z: xp.minimum(xp.maximum(z, 0.0), 6.0), lambda z, a: ((a > 0.0) & (a < 6.0)) * 1.0, 0.0, 6.0)
_add("relu6 by clip", lambda xp, z: xp.clip(z, 0.0, 6.0),
     lambda z, a: np.where((z > 0.0) & (z < 6.0), 1.0, 0.0), 0.0, 6.0)
_add("hard_tanh by a", lambda xp, z: xp.clip(z, -1.0, 1.0), lambda z, a: np.where(np.abs(a) < 1.0, 1.0, 0.0), -1.0, 1.0)
_add("hard_sigmoid", lambda xp, z: xp.clip(z / 6.0 + 0.5, 0.0, 1.0),
     lambda z, a: np.where(np.abs(z) < 3.0, 1.0 / 6.0, 0.0), -3.0, 3.0)
_add("hard_silu", lambda xp, z: z * xp.clip(z + 3.0, 0.0, 6.0) / 6.0,
     lambda z, a: np.where(z <= -3.0, 0.0, np.where(z >= 3.0, 1.0, z / 3.0 + 0.5)), -3.0, 3.0)
_add("abs", lambda xp, z: xp.abs(z), lambda z, a: np.sign(z), 0.0)
_add("softshrink", lambda xp, z: xp.where(z > 0.5, z - 0.5, xp.where(z < -0.5, z + 0.5, 0.0)),
     lambda z, a: np.where(np.abs(z) > 0.5, 1.0, 0.0), -0.5, 0.5)
_add("root of max", lambda xp, z: xp.sqrt(xp.maximum(z, 0.0) + 1.0), lambda z, a: np.where(z > 0.0, 0.5 / a, 0.0), 0.0)
_add("nelu", lambda xp, z: xp.where(z > 0.0, z, -0.1 / (1.0 + z * z)),
     lambda z, a: np.where(z > 0.0, 1.0, 0.2 * z / np.square(1.0 + z * z)), 0.0)
_add("prelu by max and min", lambda xp, z: xp.maximum(z, 0.0) + 0.25 * xp.minimum(z, 0.0),
     lambda z, a: np.where(z > 0.0, 1.0, 0.25), 0.0)
RIGHT["leaky_relu 0.3"] = leaky_relu(0.3, "leaky_relu 0.3")
RIGHT["elu 2"] = elu(2.0, "elu 2")
# -- in pieces, smooth where they meet ---------------------------------------------------------------------------------
_add("relu²", lambda xp, z: xp.square(xp.maximum(z, 0.0)), lambda z, a: 2.0 * np.maximum(z, 0.0))
_add("celu", lambda xp, z: xp.maximum(z, 0.0) + xp.minimum(0.0, 2.0 * xp.expm1(xp.minimum(z, 0.0) / 2.0)),
     lambda z, a: np.where(z > 0.0, 1.0, np.exp(np.minimum(z, 0.0) / 2.0)))
_add("elu", lambda xp, z: xp.where(z > 0.0, z, xp.expm1(xp.minimum(z, 0.0))), lambda z, a: np.exp(np.minimum(z, 0.0)))
_add("smelu", lambda xp, z: xp.where(z >= 1.5, z, xp.where(z <= -1.5, 0.0, xp.square(z + 1.5) / 6.0)),
     lambda z, a: np.clip((z + 1.5) / 3.0, 0.0, 1.0))
_add("serf", lambda xp, z: z * xp.erf(xp.logaddexp(z, 0.0)), lambda z, a: _serf(z))
_add("squashed cubic", lambda xp, z: xp.where(z > 0.0, z + z * z * z, z),
     lambda z, a: np.where(z > 0.0, 1.0 + 3.0 * z * z, 1.0))
_add("hermite step", lambda xp, z: xp.where(z <= 0.0, 0.0, xp.where(z >= 1.0, 1.0, z * z * (3.0 - 2.0 * z))),
     lambda z, a: np.where((z > 0.0) & (z < 1.0), 6.0 * z * (1.0 - z), 0.0))
# -- formulas that some of the oracles cannot run ----------------------------------------------------------------------
_add("scipy's expit", lambda xp, z: expit(z), lambda z, a: a * (1.0 - a))
_add("np for xp", lambda xp, z: np.tanh(z), lambda z, a: 1.0 - a * a)
_add("np.where for xp.where", lambda xp, z: np.where(z > 0.0, z, 0.1 * z),
     lambda z, a: np.where(z > 0.0, 1.0, 0.1), 0.0)
_add("vectorized if", lambda xp, z: np.vectorize(lambda x: x if x > 0.0 else 0.1 * x, otypes=[float])(z),
     lambda z, a: np.where(z > 0.0, 1.0, 0.1), 0.0)
_add("math by vectorize", lambda xp, z: np.vectorize(math.tanh, otypes=[float])(z), lambda z, a: 1.0 - a * a)
_add("a mask", lambda xp, z: _masked(z), lambda z, a: np.where(z > 0.0, 1.0, 0.01), 0.0)
_add("np.piecewise", lambda xp, z: np.piecewise(z, [z < 0.0], [lambda x: 0.5 * x, lambda x: x]),
     lambda z, a: np.where(z < 0.0, 0.5, 1.0), 0.0)

# fmt: on


def _masked(z):
    a = np.array(z)
    a[a <= 0.0] *= 0.01
    return a


def _gelu_tanh(z):
    z = np.clip(z, -30.0, 30.0)
    t = np.tanh(_ROOT * (z + 0.044715 * z**3))
    return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * _ROOT * (1.0 + 3.0 * 0.044715 * z * z)


def _mish(z):
    t = np.tanh(np.logaddexp(z, 0.0))
    return t + z * (1.0 - t * t) * sigmoid(z)


def _tanhexp(z):
    e = np.exp(np.minimum(z, 20.0))
    return np.tanh(e) + np.where(z < 20.0, z * e / np.square(np.cosh(np.minimum(e, 300.0))), 0.0)


def _serf(z):
    s = np.logaddexp(z, 0.0)
    return erf(s) + z * sigmoid(z) * 2.0 / math.sqrt(math.pi) * np.exp(-s * s)
