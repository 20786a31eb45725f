"""The gradient in all of very many inputs, by one reverse pass in float64 without any custom rule.

Increments cost a run of the program for every few inputs. A reverse pass finds all derivatives at once, by JAX's own
rules. So increments along random directions vouch for it: an error of one entry that they would not show is its error.
Where it contradicts what is reported, increments examine the input by itself, and decide.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from harness.bounds.program_bound import floor_of
from harness.bounds.tolerances import CONCLUSIVE_SHARE, MEANINGLESS, SAMPLED_INPUTS
from harness.checks.random_directions import SMALLEST_ENTRY
from harness.checks.traced.derivative_answers import Look, in_float64, ordinary_derivative
from harness.checks.traced.derivative_case import Case, Point
from harness.checks.traced.low_precision import with_float64
from harness.checks.traced.many_inputs import DirectionalDerivatives
from harness.checks.traced.real_coordinates import Sides
from harness.checks.traced.reported_derivatives import comparable_runs
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair, compare
from harness.verdict.report import Report
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_settings import compiler_options, precisely
from reference.traced.equations import lifted
from reference.traced.program_replay import replayed, widened

WHOLE = "the reverse pass in float64"


def gradient_by_primals(case: Case, weights: np.ndarray) -> np.ndarray | None:
    """The derivatives of a combination of the outputs in all inputs; None where JAX cannot compute them so."""
    cotangents = [x[0] for x in case.outputs.wide_arrays(weights[None], conjugate=True)]

    def gradient(leaves: list[Any], cotangents: list[Any]) -> list[Any]:
        program = widened(case.program)
        return list(jax.vjp(lambda *x: replayed(program, lambda eq: not case.trusted(eq), *x), *leaves)[1](cotangents))

    try:
        with precisely():
            found = jax.jit(gradient, compiler_options=compiler_options())([*map(lifted, case.leaves)], cotangents)
        return case.inputs.vector(found, conjugate=True)
    except Exception:  # noqa: BLE001  a loop without an end that is known, a callback, types that are fixed
        return None


@dataclass(frozen=True, eq=False)
class Everywhere:
    """What is known of the inputs that are not examined one by one."""

    pairs: tuple[Pair, ...]  # what is reported in all inputs, compared with the reverse pass; empty without one
    suspects: np.ndarray  # the inputs in which these contradict each other the most
    visible: float  # along random directions, an error of this size shows in any input: in the pass, where there is one

    def add_to(self, report: Report, examined: np.ndarray, size: int) -> Report:
        """The report with what is decided, and what would have been seen, in all inputs."""
        best, worst = report.smallest_visible
        if not self.pairs:
            share, largest = report.decided_share * len(examined) / size, max(worst, self.visible)
            return replace(report, decided_share=share, smallest_visible=(best, largest))
        allowed = np.max([pair.allowed for pair in self.pairs], axis=0) + self.visible
        is_decided = self._is_decided(examined)
        seen = min(best, float(allowed.min())), max(worst, float(allowed.max()))
        return replace(report, decided_share=float(is_decided.mean()), smallest_visible=seen)

    def _is_decided(self, examined: np.ndarray) -> np.ndarray:
        is_decided = np.all([pair.decided & ~pair.at_odds for pair in self.pairs], axis=0)
        is_decided[examined] = True
        return is_decided

    def facts(self, examined: np.ndarray, size: int) -> list[Fact]:
        """How the inputs were compared; and a doubt where too few of them could be decided."""
        data = {"by_reverse_pass": bool(self.pairs), "visible": self.visible}
        facts = [note(Kind.MANY_INPUTS, examined=len(examined), total=size, **data)]
        undecided = int((~self._is_decided(examined)).sum()) if self.pairs else 0
        if undecided > (1.0 - CONCLUSIVE_SHARE) * size:
            facts.append(doubt(Kind.UNDECIDED, undecided=undecided, total=size, sources=[]))
        return facts


@np.errstate(all="ignore")
def compare_everywhere(point: Point, look: Look, directional: DirectionalDerivatives) -> Everywhere:
    """What is reported in all of many inputs, compared with the reverse pass if increments vouch for that."""
    allowed = [pair.allowed.min() for pair in directional.pairs]
    visible = max(allowed, default=np.inf) / SMALLEST_ENTRY
    whole, slopes, blocks = look.plan.whole, directional.slopes, point.case.inputs.blocks
    nothing = Everywhere((), np.zeros(0, int), float(visible))
    along = directional.along
    if whole is None or slopes is None or along is None or not look.in_all_inputs:
        return nothing
    rounding = floor_of(whole, blocks, UNIT_ROUNDOFF["float64"])
    off = np.abs(along @ whole - slopes.sides.mean[0])
    allowed = slopes.error[0] + slopes.sides.half_gap[0] + np.abs(along) @ rounding
    visible = allowed.min() / SMALLEST_ENTRY
    ordinary = ordinary_derivative(point, look.true)
    if not (off <= allowed).all() or visible > MEANINGLESS["float64"] * max(ordinary, np.abs(whole).max()):
        return nothing
    true = Answer(WHOLE, WHOLE, 0.0, 0.0, whole, rounding, oracle=True)
    reported = [_decisive(point, look, answer, true) for answer in look.in_all_inputs.values()]
    pairs = tuple(compare(answer, true, blocks, ordinary, absolute=point.scale) for answer in reported)
    ratio = np.max([np.where(pair.at_odds, pair.ratio, 0.0) for pair in pairs], axis=0)
    suspects = np.argsort(ratio)[-SAMPLED_INPUTS:]
    return Everywhere(pairs, np.sort(suspects[ratio[suspects] > 0.0]), float(visible))


def _decisive(point: Point, look: Look, answer: Answer, true: Answer) -> Answer:
    """An answer in all inputs, or its evaluation in float64 where that decides more."""
    reported = look.reports[answer.name]
    runs = comparable_runs(reported, look.true.slopes.obstacles, point.program.coarsest)
    if not isinstance(runs, np.ndarray):
        return answer
    everywhere = np.arange(answer.gradient.size)
    estimate, tolerance = in_float64(point, runs, reported.estimate.error, point.case.inputs.blocks, everywhere)
    sides = Sides(true.gradient, np.zeros_like(true.gradient))
    return with_float64(answer, estimate, tolerance, true, sides)[0]
