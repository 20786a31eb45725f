"""Wrong records: slopes that are not the derivative of the formula beside them, each by one bug.

Some are written out, with bugs that people make in this activation. The others are right records with a named bug
planted; every right record gets some of these bugs in turn. Whether a planted bug is there is measured: swapped
branches change nothing where the slope is even, and a factor of 1 + 1e-8 on a slope of 0.01 is below the tolerance.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from harness.checks.activations.proof import ALLOWED
from harness.study.right_activations import RIGHT
from harness.study.right_activations import sigmoid as _sig
from reference.activations import ACTIVATIONS, Activation

# -- written out -------------------------------------------------------------------------------------------------------

WRONG: dict[str, Activation] = {}
"""Wrong records by name. None may agree, and where an oracle can run the formula, the report must name the slope."""

MISSED_FINELY = 1e-9  # a relative change of a constant that a check in float64 must see


def _record(name, value, slope):
    WRONG[name] = Activation(name, value, slope)


def _bug(formula, bug, slope, named=""):
    """The formula of a right record, with a wrong slope(d, z, a) where d is the right one."""
    f = (RIGHT | ACTIVATIONS)[formula]
    name = f"{named or formula}, {bug}"
    WRONG[name] = Activation(name, f.value, lambda z, a: slope(f.slope(z, a), z, a), kinks=f.kinks)


def _within(z, low, high):
    return (z > low) & (z < high)


# fmt: off
# -- a factor, a sign, a constant --------------------------------------------------------------------------------------
_bug("sigmoid", "twice", lambda d, z, a: 2.0 * d)
_bug("tanh", "half", lambda d, z, a: 0.5 * d)
_bug("gelu", "factor 1.0001", lambda d, z, a: 1.0001 * d)
_bug("silu", "factor 1 + 1e-9", lambda d, z, a: (1.0 + MISSED_FINELY) * d)
_bug("softplus", "factor 1 - 1e-9", lambda d, z, a: (1.0 - MISSED_FINELY) * d)
_bug("mish", "sign", lambda d, z, a: -d)
_bug("sin", "sign", lambda d, z, a: -np.cos(z))
_bug("softsign", "plus 1e-9", lambda d, z, a: d + MISSED_FINELY)
_bug("identity", "zero", lambda d, z, a: np.zeros_like(z))
_bug("identity", "1 + 1e-9", lambda d, z, a: np.full_like(z, 1.0 + MISSED_FINELY))
_bug("selu", "the scale in seven digits",
    lambda d, z, a: np.where(z > 0.0, 1.050701, a + 1.0507009873554805 * 1.6732632423543772))
_bug("gelu", "√(2π) in five digits",
    lambda d, z, a: 0.5 * (1.0 + erf(z * math.sqrt(0.5))) + z * np.exp(-0.5 * z * z) / 2.50663)
_bug("gelu", "that of the tanh form", lambda d, z, a: RIGHT["gelu_tanh"].slope(z, a))
_record("gelu_tanh, 0.0447", lambda xp, z: 0.5 * z * (1.0 + xp.tanh(math.sqrt(2.0 / math.pi) * (z + 0.0447 * z**3))),
     lambda z, a: RIGHT["gelu_tanh"].slope(z, a))
# -- the value for the argument, and rules misapplied ------------------------------------------------------------------
_bug("sigmoid", "z for a", lambda d, z, a: z * (1.0 - z))
_bug("sigmoid", "σ'(a)", lambda d, z, a: _sig(a) * (1.0 - _sig(a)))
_bug("sigmoid", "no second factor", lambda d, z, a: a)
_bug("tanh", "z for a", lambda d, z, a: 1.0 - z * z)
_bug("tanh", "1 - a", lambda d, z, a: 1.0 - a)
_bug("tanh", "that of the sigmoid", lambda d, z, a: a * (1.0 - a))
_bug("softplus", "the value", lambda d, z, a: a)
_bug("silu", "first term only", lambda d, z, a: _sig(z))
_bug("silu", "second term only", lambda d, z, a: z * _sig(z) * (1.0 - _sig(z)))
_bug("silu", "that of gelu", lambda d, z, a: ACTIVATIONS["gelu"].slope(z, a))
_bug("gelu", "without z in the second term",
    lambda d, z, a: 0.5 * (1.0 + erf(z * math.sqrt(0.5))) + np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
_bug("mish", "no chain rule",
    lambda d, z, a: np.tanh(np.logaddexp(z, 0.0)) + z * (1.0 - np.tanh(np.logaddexp(z, 0.0)) ** 2))
_bug("softsign", "not squared", lambda d, z, a: 1.0 / (1.0 + np.abs(z)))
_bug("softsign", "no absolute value", lambda d, z, a: 1.0 / np.square(1.0 + z))
_bug("sin", "the value", lambda d, z, a: a)
_record("z², z", lambda xp, z: z * z, lambda z, a: z)
_bug("z³ + z", "without the 1", lambda d, z, a: 3.0 * z * z)
_bug("gauss", "without z", lambda d, z, a: -2.0 * a)
_bug("swish β = 1.5", "β left out once", lambda d, z, a: a + _sig(1.5 * z) * (1.0 - a))
_bug("softplus β = 2", "β left out", lambda d, z, a: _sig(z))
_bug("softplus base 2", "ln 2 left out", lambda d, z, a: _sig(z))
_bug("bent", "without the 1", lambda d, z, a: z / (2.0 * np.sqrt(z * z + 1.0)))
_bug("isru", "power -1", lambda d, z, a: 1.0 / (1.0 + z * z))
_bug("snake", "cos² for sin 2z", lambda d, z, a: 1.0 + np.square(np.cos(z)))
_bug("arctan", "no square", lambda d, z, a: 1.0 / (1.0 + np.abs(z)))
_bug("tanhshrink", "1 - tanh²", lambda d, z, a: 1.0 - np.tanh(z) ** 2)
# -- branches ----------------------------------------------------------------------------------------------------------
_bug("relu", "branches swapped", lambda d, z, a: np.where(z < 0.0, 1.0, 0.0))
_bug("relu", "z > 1", lambda d, z, a: np.where(z > 1.0, 1.0, 0.0))
_bug("relu", "always 1", lambda d, z, a: np.ones_like(z))
_bug("leaky_relu", "no leak", lambda d, z, a: np.where(z >= 0.0, 1.0, 0.0))
_bug("leaky_relu", "leak 0.1", lambda d, z, a: np.where(z >= 0.0, 1.0, 0.1))
_bug("elu", "a for a + 1", lambda d, z, a: np.where(z > 0.0, 1.0, a))
_bug("selu", "no scale above", lambda d, z, a: np.where(z > 0.0, 1.0, d))
_bug("hard_tanh", "1 up to 2", lambda d, z, a: np.where(np.abs(z) <= 2.0, 1.0, 0.0))
_bug("hard_tanh", "one side only", lambda d, z, a: np.where(z <= 1.0, 1.0, 0.0))
_bug("elu 2", "α left out", lambda d, z, a: np.where(z > 0.0, 1.0, a + 1.0))
_bug("relu6 by clip", "no upper end", lambda d, z, a: np.where(z > 0.0, 1.0, 0.0), named="relu6")
_bug("hard_silu", "z/3", lambda d, z, a: np.where(z <= -3.0, 0.0, np.where(z >= 3.0, 1.0, z / 3.0)))
# -- one point: where pieces meet, or a special value ------------------------------------------------------------------
_bug("relu", "9 at 0", lambda d, z, a: np.where(z == 0.0, 9.0, d))
_bug("relu", "NaN at 0", lambda d, z, a: np.where(z == 0.0, np.nan, d))
_bug("elu", "0 at 0", lambda d, z, a: np.where(z == 0.0, 0.0, d))
_bug("elu", "½ at 0", lambda d, z, a: np.where(z == 0.0, 0.5, d))
_bug("softplus", "0 at 0", lambda d, z, a: np.where(z == 0.0, 0.0, d))
_bug("tanh", "0 at 0", lambda d, z, a: np.sign(np.abs(z)) * d)
_bug("sin", "NaN at 3.7", lambda d, z, a: np.where(z == 3.7, np.nan, d))
_bug("sigmoid", "0 at 2", lambda d, z, a: np.where(z == 2.0, 0.0, d))
_bug("softsign", "NaN at 0", lambda d, z, a: d * z / z)
_bug("relu²", "1 at 0", lambda d, z, a: np.where(z == 0.0, 1.0, 2.0 * np.maximum(z, 0.0)))
_bug("sinc", "NaN at 0", lambda d, z, a: (np.cos(z) - a) / z)
_bug("sinc", "1 at 0", lambda d, z, a: np.where(z == 0.0, 1.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)))
_bug("smelu", "2 at 1.5", lambda d, z, a: np.where(z == 1.5, 2.0, np.clip((z + 1.5) / 3.0, 0.0, 1.0)))
_bug("softplus by abs", "½ more at 0", lambda d, z, a: _sig(z) + 0.5 * (z == 0.0))
_bug("softplus by max", "0 at 0", lambda d, z, a: np.where(z == 0.0, 0.0, _sig(z)))
_bug("scipy's expit", "NaN at 0", lambda d, z, a: np.where(z == 0.0, np.nan, a * (1.0 - a)), named="expit")
# -- tails and stretches -----------------------------------------------------------------------------------------------
_bug("tanh", "overflow beyond 350", lambda d, z, a: 4.0 / np.square(np.exp(z) + np.exp(-z)) + 0.0 * np.exp(2.0 * z))
_bug("sigmoid", "NaN below -745", lambda d, z, a: np.exp(-z) / np.square(1.0 + np.exp(-z)))
_bug("softplus", "clipped at 5", lambda d, z, a: _sig(np.clip(z, -5.0, 5.0)))
_bug("silu", "1 beyond 6", lambda d, z, a: np.where(z > 6.0, 1.0, d))
_bug("gelu", "0 below -3", lambda d, z, a: np.where(z < -3.0, 0.0, d))
_bug("softsign", "0 beyond 100", lambda d, z, a: np.where(np.abs(z) > 100.0, 0.0, d))
_bug("identity", "wrong in [1, 1.2]", lambda d, z, a: d + 0.1 * _within(z, 1.0, 1.2))
_bug("tanh", "wrong in [-2, -1.9]", lambda d, z, a: np.where(_within(z, -2.0, -1.9), 0.9 * d, d))
_bug("mish", "wrong in [20, 22]", lambda d, z, a: np.where(_within(z, 20.0, 22.0), 1.01 * d, d))
_bug("silu", "wrong in [0.5, 0.51]", lambda d, z, a: np.where(_within(z, 0.5, 0.51), 1.01 * d, d))
_bug("sin", "slope of the Taylor polynomial",
    lambda d, z, a: np.where(np.abs(z) < 0.5, 1.0 - z * z / 2.0 + z**4 / 24.0, d))
_bug("sigmoid", "in float16", lambda d, z, a: (a * (1.0 - a)).astype(np.float16).astype(float))
_bug("tanh", "in float32",
    lambda d, z, a: np.square(1.0 / np.cosh(np.clip(z, -40.0, 40.0).astype(np.float32))).astype(float))
# -- formulas that some of the oracles cannot run ----------------------------------------------------------------------
_bug("scipy's expit", "a", lambda d, z, a: a)
_bug("np for xp", "1 - a", lambda d, z, a: 1.0 - a, named="np.tanh")
_bug("vectorized if", "0.2 for 0.1", lambda d, z, a: np.where(z > 0.0, 1.0, 0.2))
# fmt: on

# -- planted -----------------------------------------------------------------------------------------------------------


class WrongSlope(NamedTuple):
    """A slope with a bug."""

    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of z and a
    places: Sequence[float] = ()  # z near which it is wrong, if it is not wrong anywhere


Planter = Callable[[Activation, np.random.Generator], WrongSlope]
"""(right record, random numbers) -> its slope with a bug."""

SEEN = 2.0 * ALLOWED  # twice the tolerance of the check, since the right slopes take up a part of it

WIDTH = 0.01  # of a narrow stretch

LARGEST = np.finfo(float).max


class SlopeBug(NamedTuple):
    """A bug in a slope: what is wrong in words, and what plants it."""

    description: str
    plant: Planter


def _everywhere(change: Callable[..., np.ndarray]) -> Planter:
    """A bug from change(right slope, z, a, record)."""
    return lambda f, rng: WrongSlope(lambda z, a: change(f.slope(z, a), z, a, f))


def _between(low: float, high: float, error: float, width: float | None = None) -> Planter:
    """An error added in [low, high], or in a stretch of that width somewhere there."""

    def plant(f: Activation, rng: np.random.Generator) -> WrongSlope:
        start, end = low, high
        if width is not None:
            start = float(rng.uniform(low, high - width))
            end = start + width

        def slope(z: np.ndarray, a: np.ndarray) -> np.ndarray:
            right = f.slope(z, a)
            return np.where((z >= start) & (z <= end), right + error * np.maximum(1.0, np.abs(right)), right)

        return WrongSlope(slope, (start, min(0.5 * start + 0.5 * end, start + 1.0)))

    return plant


def _bump(f: Activation, rng: np.random.Generator) -> WrongSlope:
    at = float(rng.uniform(-30.0, 30.0))
    bump = lambda z: 1e-6 * np.exp(-np.square((np.clip(z, -40.0, 40.0) - at) / WIDTH))  # noqa: E731
    return WrongSlope(lambda z, a: f.slope(z, a) + bump(z), (at,))


def _at_one_z(more: float, where: Callable[[Activation, np.random.Generator], float]) -> Planter:
    """A slope that is off by 1 + `more` at one z alone."""

    def plant(f: Activation, rng: np.random.Generator) -> WrongSlope:
        at = where(f, rng)
        return WrongSlope(lambda z, a: np.where(z == at, 1.0 + np.abs(f.slope(z, a)) + more, f.slope(z, a)), (at,))

    return plant


def _some_z(f: Activation, rng: np.random.Generator) -> float:
    return round(float(rng.uniform(-6.0, 6.0)), 2)


def _slope_at(f: Activation, z: np.ndarray) -> np.ndarray:
    return f.slope(z, f(z))


SLOPE_BUGS: dict[str, SlopeBug] = {
    "sign": SlopeBug("the sign is wrong", _everywhere(lambda d, z, a, f: -d)),
    "twice": SlopeBug("a factor of two", _everywhere(lambda d, z, a, f: 2.0 * d)),
    "factor": SlopeBug("a factor of 1 + 1e-8", _everywhere(lambda d, z, a, f: (1.0 + 1e-8) * d)),
    "constant": SlopeBug("1e-8 is added", _everywhere(lambda d, z, a, f: d + 1e-8)),
    "float32": SlopeBug("computed in float32", _everywhere(lambda d, z, a, f: d.astype(np.float32).astype(float))),
    "value for argument": SlopeBug("the slope at a, not at z", _everywhere(lambda d, z, a, f: _slope_at(f, a))),
    "branches swapped": SlopeBug("the slope at -z", _everywhere(lambda d, z, a, f: _slope_at(f, -z))),
    "tail lost": SlopeBug("the slope beyond ±5 is that at ±5",
        _everywhere(lambda d, z, a, f: _slope_at(f, np.clip(z, -5.0, 5.0)))),
    "zero beyond 20": SlopeBug("the slope beyond ±20 is 0",
        _everywhere(lambda d, z, a, f: np.where(np.abs(z) > 20.0, 0.0, d))),
    "narrow": SlopeBug("1e-6 off in a stretch of 0.01 in [-30, 30]", _between(-30.0, 30.0, 1e-6, WIDTH)),
    "narrow, in the middle": SlopeBug("1e-6 off in a stretch of 0.01 in [-6, 6]", _between(-6.0, 6.0, 1e-6, WIDTH)),
    "narrower": SlopeBug("1e-3 off in a stretch of 1e-4 in [-30, 30]", _between(-30.0, 30.0, 1e-3, 1e-4)),
    "bump": SlopeBug("a smooth bump of 1e-6, 0.01 wide, in [-30, 30]", _bump),
    "100 to 104": SlopeBug("1e-3 off in [100, 104]", _between(100.0, 104.0, 1e-3)),
    "beyond 1000": SlopeBug("1e-3 off beyond 1000", _between(1000.0, LARGEST, 1e-3)),
    "below -1000": SlopeBug("1e-3 off below -1000", _between(-LARGEST, -1000.0, 1e-3)),
    "one z": SlopeBug("more than 1 off at one z", _at_one_z(0.0, _some_z)),
    "NaN": SlopeBug("NaN at one z", _at_one_z(np.nan, _some_z)),
    "seam": SlopeBug("more than 3 off where pieces meet, or at 0", _at_one_z(2.0, lambda f, rng: (*f.kinks, 0.0)[0])),
}  # fmt: skip
"""By name."""

EACH = 3  # bugs planted in each right record; each bug is planted as often as the others


def wrong_records(right: Sequence[Activation], seed: int, each: int = EACH) -> Iterator[tuple[Activation, str]]:
    """`each` bugs in turn for every right record, without those that change nothing: (record, name of the bug)."""
    names = list(SLOPE_BUGS)
    for i, f in enumerate(right):
        rng = np.random.default_rng([seed, i])
        for k in range(each):
            name = names[(i * each + k) % len(names)]
            planted = SLOPE_BUGS[name].plant(f, rng)
            record = Activation(f"{f.name}, {name}", f.value, planted.slope, kinks=f.kinks)
            if is_there(f, record, planted.places):
                yield record, name


def is_there(f: Activation, wrong: Activation, places: Sequence[float] = ()) -> bool:
    """Whether a slope differs from the right one by more than the check tolerates, at a z where the value is finite."""
    z = np.concatenate([np.linspace(-30.0, 30.0, 2001) + 0.003, *([float(place)] for place in places)])
    with np.errstate(all="ignore"):
        a = np.array(f(z))
        right, claimed = (np.broadcast_to(record.slope(z, a.copy()), z.shape) for record in (f, wrong))
        within = np.abs(claimed - right) <= SEEN * np.maximum(1.0, np.abs(right))
        return bool((np.isfinite(a) & np.isfinite(right) & ~within).any())  # NaN is wrong where the slope is a number
