"""`jax.test_util.check_grads`, by exact increments in place of differences with a fixed step."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.test_util import check_grads as original

from harness.checks.traced.derivative_check import check_derivatives
from harness.checks.traced.function_arguments import NoNumber, differentiable
from harness.drop_in.fallback import (
    ACCURACY,
    LIBRARY_TOLERANCE,
    NothingToCheck,
    Outcome,
    Result,
    doubts_of,
    fail,
    is_right,
    settle,
    stated_accuracy,
)
from harness.drop_in.line_looks import Looks, look
from harness.drop_in.reported_function import OUTPUTS, Arrays, ReportedFunction, drawn_weights, parts_of, whole_of
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.jax_settings import settings
from reference.traced.program_replay import batched_in_loops

NAME = "jax.test_util.check_grads"

MODES = {"fwd": "forward", "rev": "reverse", "lin": "forward"}
"""The original's modes, and what they are called here; a linearisation is a forward derivative."""

TOLERANCES = {"float64": 1e-5, "complex128": 1e-5, "complex64": 1e-3, "float32": 2e-3, "float16": 1e-2, "bfloat16": 0.1}
"""The original's defaults, for atol and for rtol; a wider one is the accuracy that the caller asks for."""

WIDE = {"float32": np.float64, "float64": np.float64, "complex64": np.complex128, "complex128": np.complex128}
"""The types of arguments that are looked at, and those in which rules are compared with values."""

AS_IN_DOUBLE = 2.0**-13
"""In single precision, u = 2⁻²⁴, every entry of a derivative has to be that in double precision to this share of it,
2048 u. One that has lost more digits is left to the whole check."""


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: Any = None,
    rtol: Any = None,
    eps: float | None = None,
) -> None:
    """Check JAX's derivatives of f at ``f(*args)``, of every order up to `order`, in some modes.

    Parameters
    ----------
    f, args, order, modes
        As the original takes them.
    atol, rtol
        Where wider than the original's defaults, the accuracy of the derivatives; else for the original alone.
    eps
        Not used here, but handed on where the original has to decide.

    Raises
    ------
    AssertionError
        When a derivative is wrong; the message is the report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    args = tuple(args)  # any sequence, as the original takes
    accuracy = stated_accuracy(NAME, {"atol": atol, "rtol": rtol, "eps": eps}, _default_tolerances(args))
    ask = partial(original, f, args, order, modes, atol, rtol, eps)
    chosen = tuple(dict.fromkeys(MODES[mode] for mode in MODES if mode in modes))
    names = [modes] if isinstance(modes, str) else tuple(modes) or ((),)
    # The original tests `"fwd" in modes`: "fwd_and_rev" has both modes, and ["forward"] has none and passes.
    unknown = [] if isinstance(modes, str) and chosen else [name for name in names if name not in MODES]

    def check() -> Iterator[Result]:
        if unknown:
            doubts = [doubt(Kind.UNKNOWN_MODE, repr(each), modes=", ".join(MODES)) for each in unknown]
            yield Result(Outcome.OPEN, doubts)
        if chosen and order > 0:
            yield from map(_result, _reports(f, args, order, chosen, accuracy))
        elif not unknown:
            raise NothingToCheck

    return settle(NAME, ask, check, refuse=partial(fail, AssertionError))


def _result(report: Report) -> Result:
    """What follows from a report on JAX's derivatives."""
    # Differences go through where a mode has no rule or a stop_gradient ends it. So the original, which takes
    # differences, may see an error there that this check does not.
    ends = [fact for fact in report.notes if fact.kind == Kind.DERIVATIVE_ENDS]
    doubts = [*report.left_out.values(), *(fact for fact in ends if "stop_gradient" in fact.data["functions"])]
    if report.verdict == "disagree":
        inexact = _inexact_rules_of_jax(report)
        return Result(Outcome.OPEN, [*doubts, *inexact], report) if inexact else Result(Outcome.WRONG, report=report)
    if not _is_right(report):
        doubts += doubts_of(report)
    return Result(Outcome.OPEN if doubts else Outcome.RIGHT, doubts, report)


def _default_tolerances(args: Any) -> dict[str, float]:
    """The original's default tolerances for the coarsest of the arguments."""
    types = [jax.numpy.result_type(leaf) for leaf in jax.tree.leaves(args)]
    coarsest = max((TOLERANCES.get(np.dtype(kind).name, 0.0) for kind in types), default=0.0)
    return {"atol": coarsest, "rtol": coarsest}


def _inexact_rules_of_jax(report: Report) -> tuple[Fact, ...]:
    """The rules of JAX that explain a disagreement by errors below `LIBRARY_TOLERANCE`; none where others take part."""
    culprits = report.details.get("culprits", [])
    if not all(culprit["of_jax"] and culprit["off"] < LIBRARY_TOLERANCE for culprit in culprits):
        return ()
    return tuple(doubt(Kind.INEXACT_LIBRARY_RULE, culprit["name"], off=culprit["off"]) for culprit in culprits)


def _is_right(report: Report) -> bool:
    """Whether all derivatives agree where f is a number; NaN with a derivative of NaN passes the original, too."""
    return is_right(report) or report.details.get("where_defined") in ("agree", "nowhere")


def _reports(
    f: Callable[..., Any], args: tuple, order: int, modes: tuple[str, ...], accuracy: float
) -> Iterator[Report]:
    """Reports on the derivatives that no look confirms: of f, of f's derivative, and so on, up to the order."""
    differentiate = _pulled_back if "reverse" in modes else _pushed_forward
    primal = None  # the function that f is the gradient of, from the second order on
    for number in range(1, order + 1):
        if not _is_confirmed(f, args, modes, is_derivative=number > 1):
            whole = partial(check_derivatives, modes=modes, accuracy=accuracy)
            try:
                report = whole(f, *args) if primal is None else whole(primal, *args, order=2)
            except NoNumber as reason:
                raise NothingToCheck from reason
            yield report
            if not _is_right(report):
                return
            if "reverse" in report.left_out:  # f has no reverse mode, such as a while loop, and may have forward mode
                differentiate = _pushed_forward
        primal, f = f if differentiate is _pulled_back else None, differentiate(f)


def _pulled_back(f: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of a random combination of f's outputs, as a function of the same arguments."""

    def gradient(*args: Any) -> Any:
        output, pull_back = jax.vjp(f, *args)
        return pull_back(_random_like(output))

    return gradient


def _pushed_forward(f: Callable[..., Any]) -> Callable[..., Any]:
    """f's derivative along a random tangent, as a function of the same arguments."""
    return lambda *args: jax.jvp(f, args, _random_like(args))[1]


def _random_like(tree: Any) -> Any:
    """Random tangents, the same each time; those of integers are zero."""
    leaves, structure = jax.tree.flatten(tree)

    def drawn(number: int, leaf: Any) -> Any:
        if not differentiable(leaf):
            return np.zeros(np.shape(leaf), jax.dtypes.float0)
        parts = (2, *np.shape(leaf)) if jax.numpy.iscomplexobj(leaf) else np.shape(leaf)
        return jax.numpy.asarray(whole_of(drawn_weights(f"tangent {number}", parts), leaf), jax.numpy.result_type(leaf))

    return jax.tree.unflatten(structure, [drawn(number, leaf) for number, leaf in enumerate(leaves)])


# -- looks -------------------------------------------------------------------------------------------------------------


def _is_confirmed(f: Callable[..., Any], args: tuple, modes: Sequence[str], *, is_derivative: bool) -> bool:
    """Whether looks find JAX's derivatives of f right in these modes. They call none of them wrong.

    A look calls the function and its derivatives operation by operation, as the original does: JAX compiles each
    operation once for all functions that have it. Rules are compared with values in float64. If f has arguments in
    float32, what the rules answer in float32 is compared with that.
    """
    try:
        leaves, tree = jax.tree.flatten(args)
        places = [i for i, leaf in enumerate(leaves) if differentiable(leaf)]
        types = [jax.numpy.result_type(leaves[i]).name for i in places]
        if not set(types) <= WIDE.keys():
            return False

        def of_differentiable(*values: Any) -> list[Any]:
            """The differentiable outputs as a function of the differentiable arguments."""
            every = dict(enumerate(leaves)) | dict(zip(places, values))
            return list(filter(differentiable, jax.tree.leaves(f(*jax.tree.unflatten(tree, every.values())))))

        given = [jax.numpy.asarray(leaves[i]) for i in places]  # with the caller's setting of jax_enable_x64
        if _has_rules_for_vmap(of_differentiable, given):
            return False
        with settings(True):
            wide = [np.asarray(leaves[i], WIDE[name]) for i, name in zip(places, types)]
            function = _JaxFunction(of_differentiable, wide, "derivatives" if is_derivative else OUTPUTS)
            looks = look(function, modes)
            is_right_in_double = not looks.unconfirmed and function.has_values()
        is_double = all(np.dtype(name) == WIDE[name] for name in types)
        return is_right_in_double and (is_double or _is_as_in_double(_JaxFunction(of_differentiable, given), looks))
    except Exception:  # noqa: BLE001  the whole check finds out why
        return False


def _has_rules_for_vmap(f: Callable[..., Any], given: Sequence[Any]) -> bool:
    """Whether f calls functions that have a rule for `jax.vmap`: a look would take what such a rule computes for f."""
    with batched_in_loops([]) as met:
        try:
            jax.eval_shape(f, *given)
        except Exception:  # noqa: BLE001  f may read numbers
            f(*given)
    return bool(met)


def _is_as_in_double(function: "_JaxFunction", looks: Looks) -> bool:
    """Whether every entry that a function's derivatives have in its own precision is what looks saw in float64."""
    found: list[np.ndarray] = []
    if looks.reported.gradients:
        found += function.pull_back(function.x, looks.reported.whole.weights)
    if looks.direction:
        found += function.push_forward(function.x, looks.direction)
    return all(
        np.all(np.abs(a - b) <= AS_IN_DOUBLE * np.abs(b))
        for a, b in zip(found, (*looks.reported.gradient, *looks.pushed))
    )


class _JaxFunction(ReportedFunction):
    """A function of arrays with JAX's derivatives at its inputs."""

    def __init__(self, f: Callable[..., Sequence[Any]], given: Sequence[Any], output_name: str = OUTPUTS) -> None:
        self.f, self.given, self.output_name, self.x = f, given, output_name, list(map(parts_of, given))
        self.types = [jax.numpy.result_type(leaf) for leaf in given]

    @cached_property
    def _here(self) -> Arrays:
        return list(map(parts_of, self.f(*self.given)))

    @cached_property
    def _vjp(self) -> Any:
        return jax.vjp(self.f, *self.given)

    def has_values(self) -> bool:
        """Whether reverse mode answers the function's values. A custom_vjp may have the rule of another function."""
        return all(
            np.allclose(parts_of(y), known, rtol=ACCURACY, atol=0.0) for y, known in zip(self._vjp[0], self._here)
        )

    def call(self, x: Sequence[Any]) -> Arrays:
        return self._here if x is self.x else list(map(parts_of, self.f(*map(whole_of, x, self.given))))

    def pull_back(self, x: Sequence[Any], weights: Sequence[Any]) -> Arrays:
        # JAX pulls the cotangent c of a complex y back without conjugation: to c·dy/dx. The gradient of Re(w̄·y) in the
        # two parts of x is the conjugate of that for c = w̄.
        outputs, pull = self._vjp
        cotangents = [np.conj(whole_of(w, y)).astype(y.dtype) for w, y in zip(weights, outputs)]
        return [parts_of(np.conj(g)) for g in pull(cotangents)]

    def push_forward(self, x: Sequence[Any], tangents: Sequence[Any]) -> Arrays:
        given = tuple(whole_of(v, leaf).astype(dtype) for v, leaf, dtype in zip(tangents, self.given, self.types))
        return list(map(parts_of, jax.jvp(self.f, tuple(self.given), given)[1]))
