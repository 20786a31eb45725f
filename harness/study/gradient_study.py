"""The study of gradients by hand: functions as engineers write them, right and with every bug that applies.

Also derivatives that libraries have shipped wrong. All checkers get the function, its gradient and θ.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from harness.checks.functions.error_patterns import explain
from harness.checks.functions.gradient_check import check_gradient
from harness.checks.functions.parameters import TreeLayout
from harness.facts.fact import Fact
from harness.progress import Progress, silent
from harness.study.checkers import VERDICTS, FlatCase
from harness.study.model_costs import EXAMPLES, MODELS, Function, Model, Parameters
from harness.study.scalar_costs import FORMULAS, SHIPPED
from harness.study.trials import RIGHT, WRONG, Case, Response, Study, beside_peers, conduct, flat_case
from harness.verdict.comparison import Answer
from harness.verdict.report import Report

SHIPPED_WRONG = "shipped wrong"

EXACT = 1e-13
"""The error bound of the right gradient, as a share of its largest entry, where a diagnosis is compared with it."""

VAGUE = frozenset({"wrong-entries", "single-entry", "constant-error", "regulariser"})
"""Kinds of facts that tell where and how much, and may hold for many bugs."""

AT_POINT = "wrong-at-point"  # the kind of fact by which a gradient is wrong at θ alone

BESIDE = 1e-7  # the distance from θ at which a gradient is compared with the right one at θ, as a share of 1 + |θ|

STEP = 5  # of the functions with a bug, every so many are shown

SCHEMA = "harness.study.own/1"
QUICK: dict[str, Any] = {"step": 80, "peers": ()}

SCALES = {"ordinary": 0.7, "awkward": 3.0}  # the width of the normal distribution of a model's parameters


# -- bugs --------------------------------------------------------------------------------------------------------------

Change = Callable[[Parameters, Parameters], Parameters]
"""``change(gradient, theta) -> gradient``; the same gradient where the bug does not apply."""


class Diagnosis(NamedTuple):
    """A fact that names a bug: its kind, and what one field of its data must be, if any."""

    kind: str
    field: str = ""
    value: Any = None

    def fits(self, fact: Fact) -> bool:
        """Whether a fact is this diagnosis; numbers need four digits in common."""
        if fact.kind != self.kind or not self.field:
            return fact.kind == self.kind
        value = fact.data.get(self.field)
        if isinstance(self.value, float):
            return isinstance(value, float) and abs(value - self.value) <= 1e-4 * abs(self.value)
        return value == self.value


class GradientBug(NamedTuple):
    """A change of a right gradient, and the diagnoses any of which names it."""

    change: Change
    named_by: tuple[Diagnosis, ...]


def _factor(c: float) -> tuple[Diagnosis, ...]:
    """A factor, also where only one entry has it."""
    return Diagnosis("factor", "factor", c), Diagnosis("single-entry", "factor", c)


def _largest(gradient: Parameters) -> str:
    """The name of the array with the most entries."""
    return max(gradient, key=lambda name: gradient[name].size)


def _in_largest(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def changed(gradient: Parameters, theta: Parameters) -> Parameters:
        name = _largest(gradient)
        return gradient | {name: change(gradient[name].copy())}

    return changed


def _everywhere(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda gradient, theta: {name: change(part) for name, part in gradient.items()}


def _one_entry(factor: float) -> Change:
    """The largest entry of the largest array times a factor."""

    def changed(part: np.ndarray) -> np.ndarray:
        part.reshape(-1)[np.argmax(np.abs(part))] *= factor
        return part

    return _in_largest(changed)


def _first_row(factor: float) -> Change:
    return _in_largest(lambda g: np.vstack([factor * g[:1], g[1:]]) if g.ndim == 2 else g)


def _swapped(gradient: Parameters, theta: Parameters) -> Parameters:
    """The first two arrays of one shape, each in the other's place."""
    for a in gradient:
        for b in gradient:
            if a < b and gradient[a].shape == gradient[b].shape and gradient[a].ndim:
                return gradient | {a: gradient[b], b: gradient[a]}
    return gradient


def _penalised(gradient: Parameters, theta: Parameters) -> Parameters:
    """With the derivative of 0.05/2 Σθ², which the cost does not have, in one array."""
    name = _largest(gradient)
    return gradient | {name: gradient[name] + 0.05 * theta[name]}


def _forgotten(gradient: Parameters, theta: Parameters) -> Parameters:
    """With zeros for the smallest of several arrays."""
    if len(gradient) < 2:
        return gradient
    name = min(gradient, key=lambda name: gradient[name].size)
    return gradient | {name: np.zeros_like(gradient[name])}


SIGN, ZERO = Diagnosis("sign"), Diagnosis("zero")
MOVED = {move: Diagnosis("rearranged", "move", move) for move in ("transposed", "unrolled", "reversed", "shifted")}

GRADIENT_BUGS: dict[str, GradientBug] = {
    "the sign": GradientBug(_everywhere(lambda g: -g), (SIGN,)),
    "twice": GradientBug(_everywhere(lambda g: 2.0 * g), _factor(2.0)),
    "a mean for a sum": GradientBug(_everywhere(lambda g: g / EXAMPLES), _factor(1.0 / EXAMPLES)),
    "a factor off by a thousandth": GradientBug(_in_largest(lambda g: 1.001 * g), _factor(1.001)),
    "one entry off by 1%": GradientBug(_one_entry(1.01), _factor(1.01)),
    "one entry's sign": GradientBug(_one_entry(-1.0), (SIGN,)),
    "one entry zero": GradientBug(_one_entry(0.0), (ZERO,)),
    "a block forgotten": GradientBug(_forgotten, (ZERO,)),
    "transposed": GradientBug(_in_largest(lambda g: g.T.reshape(g.shape) if g.ndim == 2 else g),
        (MOVED["transposed"], MOVED["unrolled"])),
    "reversed": GradientBug(_in_largest(lambda g: np.flip(g)), (MOVED["reversed"],)),
    "shifted": GradientBug(_in_largest(lambda g: np.roll(g, 1, axis=0) if g.ndim else g), (MOVED["shifted"],)),
    "blocks swapped": GradientBug(_swapped, (Diagnosis("block-of-another", "swapped", True),)),
    "a penalty too many": GradientBug(_penalised, (Diagnosis("regulariser"), Diagnosis("single-entry"))),
    "a row forgotten": GradientBug(_first_row(0.0), (ZERO,)),
    "a row twice": GradientBug(_first_row(2.0), (Diagnosis("factor-by-slice"), *_factor(2.0))),
    "an offset": GradientBug(_in_largest(lambda g: g + 0.01),
        (Diagnosis("constant-error", "error", 0.01), Diagnosis("single-entry", "error", 0.01))),
    "sizes alone": GradientBug(_in_largest(np.abs), (Diagnosis("sign-lost"), SIGN)),
    "NaN": GradientBug(_one_entry(np.nan), (Diagnosis("not-finite"),)),
}  # fmt: skip


class GradientAtPoint(NamedTuple):
    """A function of θ with its gradient, the right gradient at θ, and diagnoses any of which names its bug."""

    function: Function
    theta: Parameters
    right: Parameters
    named_by: tuple[Diagnosis, ...] = ()


# -- cases -------------------------------------------------------------------------------------------------------------


def gradient_cases() -> Iterator[Case]:
    """Right functions at ordinary and at awkward points, the same with bugs, and what was shipped wrong."""
    for title, function, theta in _right_functions():
        right = function(theta)[1]
        yield Case(title, RIGHT, GradientAtPoint(function, theta, right))
        for bug, (change, named_by) in GRADIENT_BUGS.items():
            if _differs(change(right, theta), right):
                subject = GradientAtPoint(_with_bug(function, change), theta, right, named_by)
                yield Case(f"{title}: {bug}", WRONG, subject, bug)
    for name, shipped in SHIPPED.items():
        theta = {"t": np.array(shipped.at, dtype=float)}
        right = {"t": shipped.right(theta["t"])}
        for kind, gradient, bug in ((RIGHT, shipped.right, ""), (SHIPPED_WRONG, shipped.wrong, name)):
            subject = GradientAtPoint(_summed(shipped.value, gradient), theta, right)
            yield Case(f"{name}, shipped", kind, subject, bug, "shipped")


def _right_functions() -> Iterator[tuple[str, Function, Parameters]]:
    for name, formula in FORMULAS.items():
        function = _summed(formula.value, formula.slope)
        for point in ("ordinary", "awkward"):
            yield f"{name}, {point}", function, {"t": np.array(getattr(formula, point), dtype=float)}
    for number, (name, model) in enumerate(MODELS.items()):
        for point, scale in SCALES.items():
            yield f"{name}, {point}", model.function, _random_parameters(model, scale, number)


def _random_parameters(model: Model, scale: float, seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    theta = {name: np.asarray(scale * rng.standard_normal(shape)) for name, shape in model.shapes.items()}
    return theta | {name: np.abs(theta[name]) + 0.3 for name in model.positive}


def _summed(value: Callable[[np.ndarray], Any], gradient: Callable[[np.ndarray], np.ndarray]) -> Function:
    return lambda p: (float(np.sum(value(p["t"]))), {"t": gradient(p["t"])})


def _with_bug(function: Function, change: Callable) -> Function:
    def changed(theta: Parameters) -> tuple[float, Parameters]:
        cost, gradient = function(theta)
        return cost, change(gradient, theta)

    return changed


def _differs(reported: Parameters, right: Parameters) -> bool:
    """Whether a gradient is off by more than a millionth of the largest entry, which every checker could see."""
    largest = max(float(np.abs(part).max()) for part in right.values())
    return any(not np.allclose(reported[name], right[name], rtol=1e-6, atol=1e-6 * largest) for name in right)


# -- the run -----------------------------------------------------------------------------------------------------------


def run_study(progress: Progress = silent, step: int = STEP, peers: tuple[str, ...] | None = None) -> Study:
    """Show this harness and its peers all functions that are right, and every `step`-th with a bug planted."""
    checkers, left_out = beside_peers(_respond, _flat, peers)
    cases = list(gradient_cases())
    chosen = [case for case in cases if case.kind != WRONG] + [case for case in cases if case.kind == WRONG][::step]
    return conduct(SCHEMA, {"functions": chosen}, checkers, progress, left_out=left_out, naming="diagnosis")


def _respond(case: Case) -> Response:
    report = check_gradient(case.subject.function, case.subject.theta)
    named = rate_diagnosis(report, case.subject) if case.bug and report.verdict == "disagree" else ""
    return Response(VERDICTS[report.verdict], named)


def _flat(case: Case) -> FlatCase:
    function, theta, _, _ = case.subject
    layout = TreeLayout(theta)

    def both(flat: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = function(layout.rebuild(np.asarray(flat, dtype=float)))
        return float(cost), layout.flatten(gradient, "gradient")

    return flat_case(both, layout.flatten(theta, "theta"))


# -- diagnoses ---------------------------------------------------------------------------------------------------------


def rate_diagnosis(report: Report, subject: GradientAtPoint) -> str:
    """What a diagnosis is worth: "right", "vague" or "false".

    A diagnosis other than the planted one may be another true description, as a shift by one of (1, 2, 1, 2) is a
    reversal. So it is right if it is also the diagnosis beside the exact gradient.
    """
    facts = report.findings[0].diagnosis if report.findings else ()
    if any(expected.fits(fact) for expected in subject.named_by for fact in facts):
        return "right"
    relations = [fact for fact in facts if fact.kind != AT_POINT]
    if len(relations) < len(facts) and not _is_right_beside(subject):
        return "false"
    if not relations or any(fact.kind in VAGUE for fact in relations):
        return "vague"
    return "right" if list(map(_rounded, relations)) == list(map(_rounded, _explain_exactly(subject))) else "false"


def _rounded(fact: Fact) -> tuple[str, tuple[str, ...], str]:
    """The fact with its numbers to four digits."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return f"{value:.4g}"
        return [rounded(each) for each in value] if isinstance(value, (list, tuple)) else value

    return fact.kind, fact.where, str({name: rounded(value) for name, value in fact.data.items()})


def _is_right_beside(subject: GradientAtPoint) -> bool:
    """Whether the gradient next to θ is what is right at θ."""
    beside = {name: part + BESIDE * (1.0 + np.abs(part)) for name, part in subject.theta.items()}
    reported = subject.function(beside)[1]
    return all(np.allclose(reported[name], right, rtol=1e-3, atol=1e-3) for name, right in subject.right.items())


def _explain_exactly(subject: GradientAtPoint) -> tuple[Fact, ...]:
    """The diagnosis beside the exact gradient."""
    layout = TreeLayout(subject.theta)
    theta, right = layout.flatten(subject.theta, "theta"), layout.flatten(subject.right, "gradient")
    reported = layout.flatten(subject.function(subject.theta)[1], "gradient")
    error = np.full_like(right, EXACT * np.abs(right).max())
    wrong = ~(np.abs(reported - right) <= 4.0 * error)
    yours, exact = (Answer(name, name, 0.0, 0.0, g, error) for name, g in (("fun", reported), ("exact", right)))
    return explain(layout, theta, yours, exact, wrong, np.zeros_like(right))
