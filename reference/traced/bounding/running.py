"""A run of a program in which every number carries a bound on its rounding error."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import Increment, constant, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.bounding import arrays, elementwise, pairs
from reference.traced.bounding.parts import Unbounded, of_value, packed, parts
from reference.traced.interpreter import RULES, Run
from reference.traced.primitives import moving
from reference.traced.program import (
    CUSTOM_RULES,
    Constant,
    Equation,
    Program,
    iterates,
    primal_of,
    programs_in,
    underflow,
    unit_roundoff,
)
from reference.traced.rounding import has_few_bits

SHORT = 20
"""A constant of no more significant bits stands for itself, like 0.5 and 3; 0.1 and √2 are good to a rounding."""

MOVES = {
    *moving.RULES, "copy", "copy_p", "device_put", "optimization_barrier", "sharding_constraint", "pvary", "name",
    "jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint", "core_closed_call",
}  # fmt: skip
"""What moves a bound as it moves a value, by the interpreter's own rules, and what runs a program."""


def _custom_call(run: "BoundedRun", equation: Equation, *operands: Increment) -> list[Increment]:
    program = primal_of(equation)
    if run.trusted(equation) or iterates(program):
        raise Unbounded(f"{equation.name} is taken as a whole")
    return run(program, *operands)


def _decided(name: str, run: "BoundedRun", equation: Equation, *operands: Increment) -> Any:
    """A branch or a loop by the interpreter's own rule, unless rounding may decide where it goes."""
    if name == "cond" and not is_constant(operands[0]):
        raise Unbounded("a branch is taken by a comparison which rounding may turn")
    outer, run.body = run.body, equation.params.get("jaxpr", run.body)
    outputs = RULES[name](run, equation, *operands)
    run.body = outer
    if run.unresolved:
        raise Unbounded("a loop ends by a comparison which rounding may turn")
    return outputs


BOUNDS = {
    **{name: RULES[name] for name in MOVES},
    **elementwise.BOUNDS,
    **pairs.BOUNDS,
    **arrays.BOUNDS,
    **dict.fromkeys(CUSTOM_RULES, _custom_call),
    **{name: (lambda *given, name=name: _decided(name, *given)) for name in ("scan", "while", "cond")},
}
"""From a primitive to ``rule(run, equation, *operands)`` over increments as `parts` has them."""


def obstacle(program: Program) -> str:
    """A primitive or a kind of number for which there is no bound; empty where there is none such."""
    for equation in program.equations:
        if equation.name not in BOUNDS and "f" in equation.kinds:
            return equation.name
        if "c" in equation.kinds:
            return "complex numbers"
        for inner in programs_in(equation):
            if found := obstacle(inner):
                return found
    return ""


class BoundedRun(Run):
    """A run of a program over increments as `reference.traced.bounding.parts` has them.

    Parameters
    ----------
    count : int
        How many directions the arguments change in.
    coarsest : float
        Round as the program's own types do, but with no larger a unit roundoff than this.
    widest : float
        Give up once a carried value of a loop is off by so much of the largest: what comes then is no use.
    constants_round : bool
        Whether a constant of many digits is good to a rounding, as in a derivative rule, or exact, as in the function.

    Raises
    ------
    Unbounded
        By a call, where no bound is known.
    """

    def __init__(
        self,
        count: int = 0,
        coarsest: float = UNIT_ROUNDOFF["float64"],
        widest: float = np.inf,
        constants_round: bool = False,
        **how: Any,
    ):
        super().__init__(coarsest=coarsest, **how)
        self.count, self.widest, self.constants_round = count, widest, constants_round
        self.own_unit = UNIT_ROUNDOFF["float64"]  # of the changes, which the interpreter alone computes
        self.nothing = float(np.finfo(float).tiny)
        self.body: Program | None = None  # of the innermost loop
        self._units: dict[Any, tuple[float, float, float, int]] = {}

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs with their bounds."""
        if "c" in equation.kinds:
            raise Unbounded("no bound for complex numbers")
        if "f" not in equation.kinds and all(map(is_constant, operands)):
            return super().equation(equation, operands)  # whole numbers, truth values and random keys are exact
        rule = BOUNDS.get(equation.name)
        if rule is None:
            raise Unbounded(f"no bound for {equation.name}")
        outputs = rule(self, equation, *operands)
        return [outputs] if isinstance(outputs, Increment) else outputs

    def number(self, atom: Constant) -> Increment:
        value = atom.wide
        if not self.constants_round or np.ndim(value) or np.asarray(value).dtype.kind != "f" or _is_short(float(value)):
            return constant(value)
        return of_value(value, self.unit(np.asarray(atom.value).dtype) * np.abs(value), self.count)

    # -- roundings ----------------------------------------------------------------------------------------------------

    def _type(self, dtype: Any) -> tuple[float, float, float, int]:
        """u, what underflow may lose, the largest number, and the significant bits of a type."""
        if dtype not in self._units:
            self._units[dtype] = _type(dtype, self.coarsest)
        return self._units[dtype]

    def unit(self, dtype: Any) -> float:
        return self._type(dtype)[0]

    def fits(self, equation: Equation, value: Any) -> Any:
        """Whether numbers are those of the output's type, each."""
        return has_few_bits(value, self._type(equation.dtypes[0])[3])

    def is_exact_sum(self, equation: Equation, x: Any, y: Any) -> bool:
        """Whether x + y of exact x and y is rounded nowhere (Knuth, The Art of Computer Programming 2, 4.2.2)."""
        total = x + y
        share = total - x
        lost = (x - (total - share)) + (y - share)
        return bool(np.all(lost == 0.0) and np.all(self.fits(equation, total)))

    def is_exact_product(self, equation: Equation, x: Any, y: Any) -> bool:
        short = bool(np.all(has_few_bits(x, 26)) and np.all(has_few_bits(y, 26)))
        return short and bool(np.all(self.fits(equation, x * y)))

    def rounded(
        self, equation: Equation, value: Any, inherited: Any, size: Any, change: Any = None, change_error: Any = None
    ) -> Increment:
        """The result of an operation, of whose `size` a unit roundoff may be lost.

        Of half a float only the result is rounded that coarsely; what is on the way is done in float32.
        """
        unit, underflow, largest, _ = self._type(equation.dtypes[0])
        within = min(unit, UNIT_ROUNDOFF["float32"])
        error = inherited + within * size
        if unit > within:
            error = error + unit * np.abs(value)
        is_exact = isinstance(size, float) and not np.any(error)
        error = np.zeros(np.shape(value)) if is_exact else error + underflow
        if np.isfinite(largest):
            error = np.where(np.abs(value) + error <= largest, error, np.inf)
        if change is None or not self.count:
            return of_value(value, error, self.count)
        return packed(value, error, change, change_error)

    # -- loops --------------------------------------------------------------------------------------------------------

    def __call__(self, program: Program, *arguments: Increment) -> list[Increment]:
        results = super().__call__(program, *arguments)
        if program is self.body and np.isfinite(self.widest) and any(map(self._is_hopeless, results)):
            raise Unbounded("errors grow beyond use in a loop")
        return results

    def _is_hopeless(self, x: Increment) -> bool:
        if is_constant(x) or not np.size(x.value) or np.asarray(x.value).dtype.kind != "f":
            return False
        p = parts(x, self.count)
        pairs = [(p.value, p.error), (p.change, p.change_error)][: 1 + bool(self.count)]
        return any(not np.max(error) <= self.widest * np.max(np.abs(value)) + self.nothing for value, error in pairs)


def _type(dtype: Any, coarsest: float) -> tuple[float, float, float, int]:
    limits = jax.numpy.finfo(dtype)
    own = unit_roundoff(dtype)
    if own > coarsest:
        own, limits = coarsest, None
    bits = round(-np.log2(own))
    if limits is None or own <= UNIT_ROUNDOFF["float64"]:
        return own, float(np.finfo(float).tiny), np.inf, bits
    return own, underflow(dtype), float(limits.max), bits


def _is_short(x: float) -> bool:
    return not np.isfinite(x) or bool(has_few_bits(np.float64(x), SHORT))
