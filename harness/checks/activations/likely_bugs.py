"""What bug would make this slope? The claimed slope of an activation, compared with the true one, in words.

Each hypothesis predicts the claim, or what it lacks, from the true slope, the value, or other activations; it holds
when what it leaves over is small beside the difference, wherever the claim is wrong.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from harness.verdict.relations import CLOSE
from reference.activations import ACTIVATIONS, Activation

SHOWN = 3  # the likeliest

CLOSE_AT_MOST = 1e-3
"""What a hypothesis may leave over of the difference at half of the points. Two that hold explain equally well."""

FEW = 4  # points from which nothing can be told

ALMOST = 1e-2  # a factor this near to 1 was not forgotten, but is not what it should be

ORDINARY = 30.0  # |z| up to which formulas neither overflow nor vanish

CONSTANTS = {
    "√2": math.sqrt(2.0),
    "1/√2": math.sqrt(0.5),
    "π": math.pi,
    "π/2": math.pi / 2.0,
    "2/π": 2.0 / math.pi,
    "√π": math.sqrt(math.pi),
    "√(2/π)": math.sqrt(2.0 / math.pi),
    "2/√π": 2.0 / math.sqrt(math.pi),
    "1/√(2π)": 1.0 / math.sqrt(2.0 * math.pi),
    "ln 2": math.log(2.0),
    "1/ln 2": 1.0 / math.log(2.0),
}


@dataclass(frozen=True, eq=False)
class ClaimedSlope:
    """A claimed slope beside the true one.

    Attributes
    ----------
    f : Activation
    z, a, claimed, true : (n,) arrays
        Pre-activation, value, claimed and true slope, where the claim is wrong.
    slope_at : callable
        The true slope at any z.
    """

    f: Activation
    z: np.ndarray
    a: np.ndarray
    claimed: np.ndarray
    true: np.ndarray
    slope_at: Callable[[np.ndarray], np.ndarray]

    def at(self, chosen: np.ndarray) -> "ClaimedSlope":
        """Some of the points."""
        return ClaimedSlope(
            self.f, self.z[chosen], self.a[chosen], self.claimed[chosen], self.true[chosen], self.slope_at
        )

    def explains(self, predicted: Any, target: np.ndarray | None = None) -> bool:
        """Whether a prediction is the claim (or another target), up to what is small beside the difference.

        Small beside the largest difference everywhere, and beside the difference itself at most points: where slopes
        reach 1e12, many a wrong prediction passes the first, and in the tails rounding fails the second. A target that
        is next to nothing itself is explained by whatever vanishes, which tells nothing.
        """
        target = self.claimed if target is None else target
        return self._leaves_little(predicted - target) and not self._leaves_little(target)

    def _leaves_little(self, rest: Any) -> bool:
        with np.errstate(all="ignore"):
            rest, difference = np.abs(rest), np.abs(self.claimed - self.true)
            share = np.median(rest / difference)
        return bool(rest.max() <= CLOSE * difference.max() and share <= CLOSE_AT_MOST)  # NaN is not

    def multiple(self, y: np.ndarray, x: np.ndarray) -> float | None:
        """c with y = c x, if there is one."""
        with np.errstate(all="ignore"):
            c = float(np.vdot(x, y) / np.vdot(x, x))
        return c if self.explains(c * x, y) and abs(c) > CLOSE else None


def likely_bugs(claim: ClaimedSlope) -> tuple[str, ...]:
    """The likeliest bugs, likeliest first; empty when none is known."""
    finite = np.isfinite(claim.claimed) & np.isfinite(claim.true) & np.isfinite(claim.a)
    if not np.isfinite(claim.claimed).any():
        return ("overflow on the way to a finite slope, zero by zero, or the root or logarithm of a negative number",)
    ordinary = finite & (np.abs(claim.z) <= ORDINARY)
    claim = claim.at(ordinary if ordinary.sum() >= FEW else finite)
    if claim.z.size < FEW:
        return ()
    if not claim.claimed.any():
        return ("zero is claimed where the slope is not zero: a branch or a term is missing",)
    # of a number, chain and product rule say nothing: with z and a at hand, many a formula makes a number
    varies = np.ptp(claim.true) > CLOSE * np.abs(claim.claimed - claim.true).max()
    number = varies and not np.ptp(claim.claimed)
    with np.errstate(all="ignore"):
        bugs = tuple(words for hypothesis in ((_another,) if number else HYPOTHESES) for words in hypothesis(claim))
    if number and not bugs:
        return (f"the number {_beside_one(float(claim.claimed[0]))} is claimed where the slope is not constant",)
    return bugs[:SHOWN]


# -- hypotheses, the simplest first ------------------------------------------------------------------------------------


def _sign(claim: ClaimedSlope) -> Iterator[str]:
    if claim.explains(-claim.true):
        yield "the sign is wrong"


def _factor(claim: ClaimedSlope) -> Iterator[str]:
    c = claim.multiple(claim.claimed, claim.true)
    if c is not None and abs(c + 1.0) > CLOSE:
        claimed = f"what is claimed is {_beside_one(c)} times the slope"
        plain = abs(c - 1.0) <= ALMOST or _is_written(c, 1.0 / c)
        yield claimed if plain else f"the factor {_named(1.0 / c)} is missing: {claimed}"


def _arguments(claim: ClaimedSlope) -> Iterator[str]:
    """z and a = f(z) mixed up, in the formula or where it is evaluated."""
    z, a, slope = claim.z, claim.a, claim.f.slope
    at_kinks = np.isin(a, claim.f.kinks).all()  # where a slope is a convention
    if (claim.explains(claim.slope_at(a)) and not at_kinks) or claim.explains(slope(z, z), claim.true):
        yield "σ'(a) for σ'(z): the derivative is evaluated at a = f(z), not at the pre-activation z"
    elif claim.explains(slope(a, a), claim.true):
        yield "z for a: the formula is written in terms of a = f(z), but is given the pre-activation z"
    elif claim.explains(slope(a, z), claim.true):
        yield "z and a are swapped: the slope would be right for slope(a, z)"


def _another(claim: ClaimedSlope) -> Iterator[str]:
    for g in ACTIVATIONS.values():
        if g is not claim.f and claim.explains(g.slope(claim.z, g(claim.z))):
            yield f"this is the slope of {g.name}"
            return  # on one side of zero, identity, relu and others have the same


def _value_itself(claim: ClaimedSlope) -> Iterator[str]:
    for name, other in (("the value a", claim.a), ("the pre-activation z", claim.z)):
        if claim.explains(other):
            yield f"{name} is given for the slope"


def _another_argument(claim: ClaimedSlope) -> Iterator[str]:
    for words, moved in (("-z", -claim.z), ("2z", 2.0 * claim.z), ("z/2", 0.5 * claim.z)):
        if claim.explains(claim.slope_at(moved)):
            yield f"f'({words}) is claimed for f'(z)" + (": are two branches swapped?" if words == "-z" else "")
    for kink in claim.f.kinks:
        if kink and claim.explains(claim.slope_at(2.0 * kink - claim.z)):
            yield f"the branches on both sides of z = {kink:g} are swapped"


def _chain_rule(claim: ClaimedSlope) -> Iterator[str]:
    """A factor that is a function is missing, or too much."""
    for name, h in _functions(claim):
        c = claim.multiple(claim.true, claim.claimed * h)
        if c is not None:
            yield f"the factor {_times(c, name)} of the chain rule is missing"
        c = claim.multiple(claim.claimed, claim.true * h)
        if c is not None:
            yield f"the factor {_times(c, name)} is too much"


def _product_rule(claim: ClaimedSlope) -> Iterator[str]:
    """f(z) = z g(z) has the slope g(z) + z g'(z), and g(z) is f(z)/z."""
    claim = claim.at(claim.z != 0.0)
    g = claim.a / claim.z
    if g.size < FEW:
        return
    second, claimed_second = claim.true - g, claim.claimed - g
    if claim.explains(g):
        yield "the term z·g'(z) of the product rule is missing, for f(z) = z·g(z)"
    if claim.explains(second):
        yield "the term g(z) of the product rule is missing, for f(z) = z·g(z)"
    c = claim.multiple(claimed_second, second)
    if c is not None and abs(c - 1.0) > CLOSE and not _proportional(second, g):  # else the two terms are one
        lacks = f"lacks the factor {_named(1.0 / c)}"
        lacks = f"has the factor {_named(c)} too much" if _is_written(c, 1.0 / c) else lacks
        yield f"the term z·g'(z) of the product rule {lacks}, for f(z) = z·g(z)"
    for name, h in _functions(claim):
        c = claim.multiple(second, claimed_second * h)
        if c is not None:
            yield f"the term z·g'(z) of the product rule lacks the factor {_times(c, name)}, for f(z) = z·g(z)"


def _term(claim: ClaimedSlope) -> Iterator[str]:
    """A term is missing, or too much."""
    for name, h in [("1", np.ones_like(claim.z)), *_functions(claim)]:
        c = claim.multiple(claim.claimed - claim.true, h)
        if c is not None:
            yield f"the term {_times(c, name)} is too much" if c > 0 else f"the term {_times(-c, name)} is missing"


HYPOTHESES: tuple[Callable[[ClaimedSlope], Iterator[str]], ...] = (
    _sign,
    _factor,
    _arguments,
    _product_rule,
    _another,
    _value_itself,
    _another_argument,
    _chain_rule,
    _term,
)


def _functions(claim: ClaimedSlope) -> list[tuple[str, np.ndarray]]:
    """What slopes are made of, apart from constants."""
    z, a = claim.z, claim.a
    named = [
        ("z", z),
        ("a", a),
        ("1 - a", 1.0 - a),
        ("1 + a", 1.0 + a),
        ("1 - a²", 1.0 - a * a),
        ("1 - z²", 1.0 - z * z),
        ("exp(z)", np.exp(z)),
        ("exp(-z)", np.exp(-z)),
        ("exp(-z²)", np.exp(-z * z)),
        ("exp(-z²/2)", np.exp(-0.5 * z * z)),
    ]
    for g in ACTIVATIONS.values():
        if g.name != "identity" and g.name != claim.f.name:
            at_z = g(z)
            named += [(f"{g.name}(z)", at_z), (f"{g.name}'(z)", g.slope(z, at_z))]
    distinct: list[tuple[str, np.ndarray]] = []
    for name, h in named:
        # a multiple of the slope itself is a plain factor, and what hardly changes a plain term
        known = (claim.true, np.ones_like(z), *(other for _, other in distinct))
        if np.isfinite(h).all() and h.any() and not any(_proportional(h, other) for other in known):
            distinct.append((name, h))
    return distinct


def _proportional(x: np.ndarray, y: np.ndarray) -> bool:
    c = np.vdot(x, y) / np.vdot(x, x)
    return bool(np.abs(y - c * x).max() <= CLOSE * np.abs(y).max())


def _times(c: float, name: str) -> str:
    if name == "1":
        return _named(c)
    return name if abs(c - 1.0) <= CLOSE else f"{_named(c)}·({name})" if " " in name else f"{_named(c)}·{name}"


def _named(c: float) -> str:
    """A number as people write it."""
    simple = Fraction(c).limit_denominator(12) if math.isfinite(c) else None
    if simple and abs(c - simple) <= CLOSE * abs(c):
        return str(simple)
    for name, constant in CONSTANTS.items():
        if abs(abs(c) - constant) <= CLOSE * constant:
            return name if c > 0 else f"-{name}"
    return f"{c:.6g}"


def _is_written(x: float, y: float) -> bool:
    """Whether it is x, of a number and its inverse y, that somebody may have written: y is no constant, and goes on."""
    return _named(y) == f"{y:.6g}" != f"{y:.5g}" and f"{x:.6g}" == f"{x:.4g}"


def _beside_one(c: float) -> str:
    """A number, with as many digits as tell it from 1."""
    name = _named(c)
    return name if c == 1.0 or name != "1" else f"1 {'-' if c < 1.0 else '+'} {abs(c - 1.0):.3g}"
