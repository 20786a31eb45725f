"""Which bug would make this slope? The reported slope of an activation, compared with the true one.

With s the reported slope, f' the true one and a = f(z), each hypothesis is an equation in s, such as s = c f' or
f' = c h(z) s, where c is fitted and h is z, a, exp(z) or what else slopes are made of. A hypothesis holds when the two
sides of its equation differ by little beside s - f', wherever the slope is wrong. Of a slope that is nearly right
almost any equation holds approximately, and only one that explains the error itself says anything.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from harness.checks.activations.z_grid import OF_Z, Notation
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict import relations
from harness.verdict.wrong_part import CLOSE, Part
from reference.activations import ACTIVATIONS, Activation

SHOWN = 3  # so many of the likeliest bugs are reported

CLOSE_AT_MOST = 1e-3
"""The share of the error s - f' that a hypothesis may leave over at half of the points. Two that do so explain it
equally well."""

LEAST_NOISE, SHARE_OF_NOISE = 32, 0.25
"""So many errors in order of z are noise where their sign changes from one to the next for this share: of half of them
at random, and of few where a formula is wrong."""

FEWEST_POINTS = 4  # from fewer points nothing can be concluded: one number is fitted, and three have to confirm it
ALMOST = 1e-2  # a factor as near to 1 as this, such as 0.995, was not forgotten, but has a wrong value
LARGEST_Z = 30.0  # |z| up to which formulas neither overflow nor vanish

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
    """A reported slope beside the true one, where it is wrong."""

    f: Activation
    z: np.ndarray
    a: np.ndarray
    claimed: np.ndarray
    true: np.ndarray
    slope_at: Callable[[np.ndarray], np.ndarray]  # the true slope at any z
    notation: Notation = OF_Z

    def at(self, chosen: np.ndarray) -> "ClaimedSlope":
        """Some of the points."""
        arrays = {name: getattr(self, name)[chosen] for name in ("z", "a", "claimed", "true")}
        return replace(self, **arrays)

    @property
    def is_constant(self) -> bool:
        """Whether the reported slope is one number."""
        return not np.ptp(self.claimed)

    @property
    def part(self) -> Part:
        """The reported slope as one wrong part of a gradient, for the relations that all kinds of check share."""
        nothing = np.zeros_like(self.z)
        return Part(self.notation.claim, self.claimed, self.true, nothing, nothing, np.ones(self.z.shape, dtype=bool))

    def fact(self, kind: Kind, **data: Any) -> Fact:
        """A hypothesis that holds, as a fact about this claim."""
        return note(kind, self.notation.claim, **data)

    def is_explained(self, predicted: Any, target: np.ndarray | None = None) -> bool:
        """Whether a prediction is the reported slope s, or another target, up to what is small beside s - f'."""
        target = self.claimed if target is None else target
        # whatever vanishes explains a target that nearly vanishes itself, which says nothing
        return self._is_small(predicted - target) and not self._is_small(target)

    def _is_small(self, rest: Any) -> bool:
        """Whether max |rest| <= CLOSE max |s - f'|, and the median of |rest/(s - f')| <= CLOSE_AT_MOST.

        The first alone would let wrong predictions pass where slopes reach 1e12 at one end of the range. The second
        asks for half of the points only, because in the tails rounding is as large as s - f'.
        """
        with np.errstate(all="ignore"):
            rest, difference = np.abs(rest), np.abs(self.claimed - self.true)
            share = np.median(rest / difference)
        return bool(rest.max() <= CLOSE * difference.max() and share <= CLOSE_AT_MOST)  # NaN is not small

    def find_multiple(self, y: np.ndarray, x: np.ndarray) -> float | None:
        """The c with y = c x, by least squares, if there is one that is not zero."""
        with np.errstate(all="ignore"):
            c = float(np.vdot(x, y) / np.vdot(x, x))
        return c if self.is_explained(c * x, y) and abs(c) > CLOSE else None


def find_likely_bugs(claim: ClaimedSlope) -> tuple[Fact, ...]:
    """The likeliest bugs, likeliest first; empty when no hypothesis holds."""
    finite = np.isfinite(claim.claimed) & np.isfinite(claim.true) & np.isfinite(claim.a)
    if not np.isfinite(claim.claimed).any():
        return (claim.fact(Kind.NOT_FINITE),)
    # far out a wrong slope may be wrong by overflow alone, which says nothing about the formula
    ordinary = finite & (np.abs(claim.z) <= LARGEST_Z)
    claim = claim.at(np.flatnonzero(ordinary if ordinary.sum() >= FEWEST_POINTS else finite))
    if claim.z.size < FEWEST_POINTS:
        return ()
    if zero := relations.find_zero(claim.part):
        return (zero,)
    with np.errstate(all="ignore"):
        # -z says no more than the sign of an odd slope, and a no more than an offset for z that a never reaches
        if simple := tuple(_multiple(claim)) or tuple(_constant(claim) if not claim.is_constant else ()):
            return simple
        # whether f' is a constant as well, where the slope is wrong
        varies = np.ptp(claim.true) > CLOSE * np.abs(claim.claimed - claim.true).max()
        hypotheses = HYPOTHESES
        # chain and product rule say nothing about a constant, because many a formula of z and a is one
        if claim.is_constant:
            hypotheses = (_another,) if varies else (_another, _constant)
        elif not varies:
            hypotheses = tuple(each for each in HYPOTHESES if each not in (_chain_rule, _product_rule))
        bugs = tuple(fact for hypothesis in hypotheses for fact in hypothesis(claim))
    if claim.is_constant and varies and not bugs:
        return (claim.fact(Kind.CONSTANT_SLOPE, constant=_name_beside_one(float(claim.claimed[0]))),)
    return bugs[:SHOWN]


# -- hypotheses, the simplest first ------------------------------------------------------------------------------------


def _multiple(claim: ClaimedSlope) -> Iterator[Fact]:
    """s = -f' or s = c f'. For c = 2 a factor ½ was forgotten; for c = 0.83 or 0.995 a factor has a wrong value."""
    fact = relations.find_sign(claim.part) or relations.find_factor(claim.part)
    if fact and fact.kind == Kind.SIGN and claim.is_explained(-claim.true):
        yield fact
    elif fact and fact.kind == Kind.FACTOR and claim.is_explained((c := fact.data["factor"]) * claim.true):
        is_wrong_value = claim.is_constant or abs(c - 1.0) <= ALMOST or _is_written(c, 1.0 / c)
        missing = {} if is_wrong_value else {"missing": _name(1.0 / c)}
        yield replace(fact, data={**fact.data, "named": _name_beside_one(c), **missing})


def _arguments(claim: ClaimedSlope) -> Iterator[Fact]:
    """z and a = f(z) mixed up, in the formula or where it is evaluated, or another argument such as -z."""
    z, a, slope, name = claim.z, claim.a, claim.f.slope, claim.notation.variable
    at_kinks = np.isin(a, claim.f.kinks).all()  # as relu(z) = 0 for z < 0 is, where a slope is a convention
    # s = f'(a); or the reported formula with z in the place of a is right, so that its a should be z
    if (claim.is_explained(claim.slope_at(a)) and not at_kinks) or claim.is_explained(slope(z, z), claim.true):
        yield claim.fact(Kind.OTHER_ARGUMENT, used="a", expected=name)
    # 1 - z² for 1 - a²: the reported formula with a in the place of z is right
    elif claim.is_explained(slope(a, a), claim.true):
        yield claim.fact(Kind.OTHER_ARGUMENT, used=name, expected="a")
    moved = {"-{}": -z, "2{}": 2.0 * z, "{}/2": 0.5 * z}
    moved |= {f"{2.0 * kink:g} - {{}}": 2.0 * kink - z for kink in claim.f.kinks if kink}  # branches swapped
    for words, elsewhere in moved.items():
        if claim.is_explained(claim.slope_at(elsewhere)):
            yield claim.fact(Kind.OTHER_ARGUMENT, used=words.format(name), expected=name)


def _another(claim: ClaimedSlope) -> Iterator[Fact]:
    """s = g'(z) of another registered activation g, as of the tanh-GELU for the GELU; or the value or the argument."""
    for g in ACTIVATIONS.values():
        if g is not claim.f and claim.is_explained(g.slope(claim.z, g(claim.z))):
            yield claim.fact(Kind.SLOPE_OF_ANOTHER, activation=g.name)
            break  # on one side of zero, identity, relu and others have the same
    for name, other in () if claim.is_constant else (("a", claim.a), (claim.notation.variable, claim.z)):
        if claim.is_explained(other):
            yield claim.fact(Kind.SLOPE_OF_ANOTHER, returned=name)


def _chain_rule(claim: ClaimedSlope) -> Iterator[Fact]:
    """f' = c h s, or s = c h f': a factor that is a function is missing, or too much.

    tanh(z²) has the slope (1 - a²) 2z, and 1 - a² lacks 2·z.
    """
    for name, h in _functions(claim):
        c = claim.find_multiple(claim.true, claim.claimed * h)
        if c is not None:
            yield claim.fact(Kind.CHAIN_RULE, factor=_times(c, name), missing=True)
        c = claim.find_multiple(claim.claimed, claim.true * h)
        if c is not None:
            yield claim.fact(Kind.CHAIN_RULE, factor=_times(c, name), missing=False)


def _product_rule(claim: ClaimedSlope) -> Iterator[Fact]:
    """f(z) = z g(z) has the slope g(z) + z g'(z), where g(z) is f(z)/z: a term is missing, has a factor or lacks one.

    silu is z σ(z); its slope σ(z) + z σ'(z) without the second term is σ(z).
    """
    claim = claim.at(claim.z != 0.0)
    g = claim.a / claim.z
    if g.size < FEWEST_POINTS:
        return
    z = claim.notation.variable
    second, terms = claim.true - g, (f"g({z})", f"{z}·g'({z})")
    if claim.is_explained(g):
        yield claim.fact(Kind.PRODUCT_RULE, term=terms[1])
    if claim.is_explained(second):
        yield claim.fact(Kind.PRODUCT_RULE, term=terms[0])
    claimed_second = claim.claimed - g  # what is reported for z g'(z), if the first term is right
    c = claim.find_multiple(claimed_second, second) or 1.0
    # no mistake makes -3 of 1: a factor is forgotten, or a sign; and two proportional terms are one
    if abs(c - 1.0) > CLOSE and (c > 0.0 or abs(c + 1.0) <= CLOSE) and not _is_proportional(second, g):
        surplus = abs(c - 1.0) <= ALMOST or _is_written(c, 1.0 / c)
        factor = _name_beside_one(c if surplus else 1.0 / c)
        yield claim.fact(Kind.PRODUCT_RULE, term=terms[1], factor=factor, missing=not surplus)
    for name, h in _functions(claim):
        c = claim.find_multiple(second, claimed_second * h)
        if c is not None:
            yield claim.fact(Kind.PRODUCT_RULE, term=terms[1], factor=_times(c, name), missing=True)


def _constant(claim: ClaimedSlope) -> Iterator[Fact]:
    """s = f' + c."""
    fact = relations.find_constant(claim.part)
    if fact and claim.is_explained(fact.data["error"], claim.claimed - claim.true):
        yield fact


def _term(claim: ClaimedSlope) -> Iterator[Fact]:
    """s = f' + c h(z): a term is missing (c < 0), or too much."""
    for name, h in _functions(claim):
        c = claim.find_multiple(claim.claimed - claim.true, h)
        if c is not None:
            yield claim.fact(Kind.TERM, term=_times(abs(c), name), missing=c < 0.0)


def _float32(claim: ClaimedSlope) -> Iterator[Fact]:
    """s is as near to f' as float32 is, and a number of float32 at each z, or off by noise, as what is made of them."""
    fact = relations.find_float32_digits(claim.part)
    signs = np.sign(claim.claimed - claim.true)
    is_noise = signs.size >= LEAST_NOISE and np.mean(signs[1:] != signs[:-1]) >= SHARE_OF_NOISE
    if fact and (is_noise or np.array_equal(claim.claimed, claim.claimed.astype(np.float32))):
        yield fact


HYPOTHESES: tuple[Callable[[ClaimedSlope], Iterator[Fact]], ...] = (
    _arguments,
    _product_rule,
    _another,
    _chain_rule,
    _term,
    _float32,
)


def _functions(claim: ClaimedSlope) -> list[tuple[str, np.ndarray]]:
    """What slopes are made of, apart from constants: a name, and its values h at each z."""
    z, a, x = claim.z, claim.a, claim.notation.variable
    candidates = [
        (x, z),
        ("a", a),
        ("1 - a", 1.0 - a),
        ("1 + a", 1.0 + a),
        ("1 - a²", 1.0 - a * a),
        (f"1 - {x}²", 1.0 - z * z),
        (f"exp({x})", np.exp(z)),
        (f"exp(-{x})", np.exp(-z)),
        (f"exp(-{x}²)", np.exp(-z * z)),
        (f"exp(-{x}²/2)", np.exp(-0.5 * z * z)),
    ]
    for g in ACTIVATIONS.values():
        if g.name != "identity" and g.name != claim.f.name:
            at_z = g(z)
            candidates += [(f"{g.name}({x})", at_z), (f"{g.name}'({x})", g.slope(z, at_z))]
    distinct: list[tuple[str, np.ndarray]] = []
    for name, h in candidates:
        # a multiple of the slope itself is a plain factor, and what hardly varies is a plain term
        known = (claim.true, np.ones_like(z), *(other for _, other in distinct))
        if np.isfinite(h).all() and h.any() and not any(_is_proportional(h, other) for other in known):
            distinct.append((name, h))
    return distinct


def _is_proportional(x: np.ndarray, y: np.ndarray) -> bool:
    c = np.vdot(x, y) / np.vdot(x, x)
    return bool(np.abs(y - c * x).max() <= CLOSE * np.abs(y).max())


# -- numbers as people write them --------------------------------------------------------------------------------------


def _times(c: float, name: str) -> str:
    """A multiple of a function, as "2·z" or "2·(1 - a)"."""
    if abs(c - 1.0) <= CLOSE:
        return name
    return f"{_name(c)}·({name})" if " " in name else f"{_name(c)}·{name}"


def _name(c: float) -> str:
    """A number as a fraction, as a known constant, or with six digits."""
    simple = Fraction(c).limit_denominator(12) if math.isfinite(c) else None
    if simple and abs(c - simple) <= CLOSE * abs(c):
        return str(simple)
    for name, constant in CONSTANTS.items():
        if abs(abs(c) - constant) <= CLOSE * constant:
            return name if c > 0 else f"-{name}"
    return f"{c:.6g}"


def _is_written(x: float, y: float) -> bool:
    """Whether somebody may have written x rather than its inverse y, as 0.83 rather than 1.20482: in fewer digits."""
    has_few_digits = f"{x:.6g}" == f"{x:.4g}"
    has_many_digits = f"{y:.6g}" != f"{y:.5g}"
    return has_few_digits and has_many_digits and _name(y) == f"{y:.6g}"


def _name_beside_one(c: float) -> str:
    """A number, with as many digits as distinguish it from 1."""
    name = _name(c)
    return name if c == 1.0 or name != "1" else f"1 {'-' if c < 1.0 else '+'} {abs(c - 1.0):.3g}"
