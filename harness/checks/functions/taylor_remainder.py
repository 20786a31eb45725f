"""The Taylor test: a gradient judged by how the remainder of the cost decays, where differences drown in its noise.

Along a direction v, f(θ + hv) - f(θ) - h g·v is of order h² if g is right, and of order h if it is not. A fit over many
steps, wide ones too, averages the noise of a solver. What the fit leaves over is the noise, which nobody has to know.
The odd part of the remainder, a h + c h³, has the error a of the slope; the even part, b h + e h², shows a kink.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.checks.functions.gradient_case import GradientCase
from harness.checks.functions.line_stencil import VANISHING
from harness.checks.random_directions import random_directions
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.figure_style import COLOURS, FAINT, INK, SMALL, dress, new_figure
from harness.verdict.comparison import Answer, Block, compare
from harness.verdict.consensus import Policy, find_consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from harness.verdict.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAYLOR = "taylor-remainder"

STEPS = 2.0 ** -np.arange(2, 20)
"""In units of max(1, |θ_i|), from wide to narrow: 2⁻² to 2⁻¹⁹, below which the noise of a solver leaves nothing."""

NEARBY = 7  # the step 2⁻⁹, whose slope is the size of a derivative that vanishes beside it, as at a minimum

CLEARLY = 16.0  # a remainder of so many times the noise is none of it

FEWEST = 7  # steps of a fit at least: two numbers are fitted, and five more show the noise

DEVIATIONS = 5.0
"""The error bound of a fitted number, in standard deviations, which the steps show to a factor of two or so."""

FIRST, UNCONFIRMED = 1.5, 100.0
"""A remainder of a higher order is right. A fit that contradicts this gets so many times its difference as a bound."""

BESIDE = 4.0
"""So many times the change of fits of narrower steps is added to a bound: they show h⁵ and more, which is left out."""

ONE_BY_ONE = 10  # up to so many parameters are moved by themselves; more are moved along this many random directions

COARSE = "float32"  # noise leaves as few digits as float32 does, so that a bound of a hundredth decides (`MEANINGLESS`)

HEIGHT = 3.6  # inches


class Remainder(NamedTuple):
    """What a fit has found along one direction."""

    name: str
    slope: float  # as reported
    error: float  # of that, by rounding
    off: float  # how far the slope of the cost is from it
    bound: float
    jump: float  # at a kink: half of the difference of both sides' slopes; else 0
    sizes: np.ndarray  # of the remainder at each of `STEPS`
    order: float | None  # of its decay, where it is larger than noise
    nearby: float  # how steep the remainder is a small step away, beyond noise


def check_remainders(case: GradientCase, started: float) -> Report:
    """The verdict on a gradient by its Taylor remainders."""
    found = [_fit(case, *direction) for direction in _directions(case)]
    slopes, errors, off, bounds, jumps = (np.array([each[k] for each in found]) for k in range(1, 6))
    own = replace(case.reported, cost_error=0.0, gradient=slopes, error=errors, precision="float64")
    true = np.where(np.isfinite(slopes), slopes, 0.0) + off
    fitted = Answer(TAYLOR, TAYLOR, own.cost, 0.0, true, bounds + jumps, COARSE, oracle=True)
    subject = Directions(case, found)
    nearby = np.array([each.nearby for each in found])
    vanishing = np.where(np.abs(true) < VANISHING * nearby, nearby, 0.0)
    pairs = [compare(own, fitted, subject.blocks, ordinary=0.0, absolute=vanishing)]
    consensus = find_consensus({own.name: own.family, TAYLOR: TAYLOR}, pairs, Policy(judges=(TAYLOR,)))
    return judge(subject, [own, fitted], pairs, [], consensus, started=started)


def _directions(case: GradientCase) -> list[tuple[str, np.ndarray]]:
    """Names and moves: each parameter, or random directions in all of θ."""
    theta = case.fine.probes.theta
    if theta.size <= ONE_BY_ONE:
        return [(case.layout.label(i), unit) for i, unit in enumerate(np.eye(theta.size))]
    drawn = random_directions(ONE_BY_ONE, theta.size, seed=0) / np.sqrt(theta.size)
    return [(f"direction {k}", moves) for k, moves in enumerate(drawn)]


@np.errstate(all="ignore")
def _fit(case: GradientCase, name: str, direction: np.ndarray) -> Remainder:
    """The remainder along a direction, and the fits of its odd and its even part."""
    probes = case.fine.probes
    steps = STEPS * max(1.0, float(np.abs(probes.theta[direction != 0.0]).max(initial=0.0)))
    slope = float(direction @ case.reported.gradient)
    ups, downs = (np.array([probes.cost(probes.theta + s * h * direction) for h in steps]) for s in (1.0, -1.0))
    # (f(h) - f(-h))/2 - h g has the odd powers of h alone, and (f(h) + f(-h))/2 - f(0) the even ones
    known = slope if np.isfinite(slope) else 0.0
    odd, even = 0.5 * (ups - downs) - steps * known, 0.5 * (ups + downs) - probes.base
    off, bound = _leading(steps, odd, 3)
    turn, unsure = _leading(steps, even, 2)
    jump = abs(turn) if abs(turn) > unsure else 0.0
    sizes = np.abs(ups - probes.base - steps * known)
    noise = case.fine.noise_at_theta.near
    order = _order(steps, sizes, bound * steps[-1] + noise)
    nearby = max(0.0, float(sizes[NEARBY]) - CLEARLY * noise) / steps[NEARBY]
    if np.isfinite(slope) and abs(off) > bound and (order is None or order > FIRST):
        bound = UNCONFIRMED * abs(off)
    error = float(np.abs(direction) @ case.reported.error)
    return Remainder(name, slope, error, off, bound, jump, sizes, order, nearby)


def _leading(steps: np.ndarray, part: np.ndarray, power: int) -> tuple[float, float]:
    """a of a h + c h^power, fitted to the steps that tell it best, and its error bound; infinite if none do."""
    fits = []
    for start in range(len(steps) - FEWEST + 1):
        h, values = steps[start:], part[start:]
        if not np.isfinite(values).all():
            continue
        columns = np.stack([h, h**power], axis=1) / [h[0], h[0] ** power]  # of one size, for the condition
        numbers = np.linalg.lstsq(columns, values, rcond=None)[0]
        rest = values - columns @ numbers
        deviation = np.sqrt(rest @ rest / (len(h) - 2) * np.linalg.inv(columns.T @ columns)[0, 0])
        fits.append((numbers[0] / h[0], deviation / h[0]))
    if not fits:
        return np.nan, np.inf
    numbers, deviations = np.array(fits).T
    best = int(np.argmin(deviations))
    # what fits of narrower steps show beside their own noise, the best one leaves out
    own = np.where(np.arange(len(fits)) > best + 1, DEVIATIONS * deviations, 0.0)
    left_out = (np.abs(numbers - numbers[best]) - own)[best:]
    return float(numbers[best]), float(DEVIATIONS * deviations[best] + BESIDE * left_out.max(initial=0.0))


def _order(steps: np.ndarray, sizes: np.ndarray, noise: float) -> float | None:
    """The order of the decay over the steps at which the remainder is far above noise."""
    is_clear = np.isfinite(sizes) & (sizes > CLEARLY * noise)
    first_lost = int(np.argmin(is_clear)) if not is_clear.all() else len(sizes)
    chosen = slice(max(first_lost - 4, 0), first_lost)
    if first_lost < 3:
        return None
    return float(np.polyfit(np.log(steps[chosen]), np.log(sizes[chosen]), 1)[0])


class Directions(Subject):
    """Slopes along directions, with their remainders."""

    def __init__(self, case: GradientCase, found: Sequence[Remainder]):
        self.cost, self.size, self.found = case.reported.cost, case.layout.size, found
        self.blocks = [Block("directions", np.arange(len(found)))]
        self.picture = RemainderPlot(tuple(found))
        orders = [each.order for each in found if each.order is not None]
        decay = [note(Kind.DECAY_ORDER, orders=[min(orders), max(orders)])] if orders else []
        self.facts = [*case.user.notes(), *decay]

    def label(self, i: int) -> str:
        return self.found[i].name

    def describe(self) -> dict[str, Any]:
        return {"parameters": self.size, "directions": len(self.found)}

    def why_undecided(self, coordinates: np.ndarray) -> Sequence[Fact]:
        chosen = [self.found[i] for i in coordinates.tolist()]
        places, least = self.places(coordinates)[:3], max(each.bound for each in chosen)
        if any(each.jump for each in chosen):
            return (doubt(Kind.KINK, *places, undecided=len(chosen), left=None, right=None),)
        visible = least if np.isfinite(least) else None
        noisy = {"undecided": len(chosen), "visible": visible, "cost": self.cost, "is_large": False, "is_flat": False}
        return (doubt(Kind.NOISY_COST, *places, **noisy),)


@dataclass(frozen=True, eq=False)
class RemainderPlot:
    """The size of the remainder over the step, beside lines of order 1 and 2."""

    found: tuple[Remainder, ...]

    def figure(self, report: Report) -> "Figure":
        figure = new_figure(f"Taylor remainders: {report.verdict}", HEIGHT)
        ax = figure.subplots()
        for each, colour in zip(self.found, COLOURS * len(self.found)):
            order = "" if each.order is None else f", order {each.order:.1f}"
            ax.loglog(STEPS, each.sizes, ".-", color=colour, linewidth=0.8, label=each.name + order)
        top = max((float(np.nanmax(each.sizes)) for each in self.found), default=1.0) or 1.0
        for power in (1, 2):
            ax.loglog(STEPS, top * (STEPS / STEPS[0]) ** power, color=FAINT, linewidth=2.0, label=f"order {power}")
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK, ncols=2)
        dress(ax, "", "step h", "|f(θ + hv) - f(θ) - h g·v|")
        return figure
