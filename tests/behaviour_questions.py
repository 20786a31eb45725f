"""The questions of a recording of behaviour (tests/behaviour.py), by group.

A group imports what it needs by itself, so that one that is broken keeps no other from being asked.
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.behaviour_answers import bugs_in, fields, quietly, recorded

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))  # where pytest finds `sentinels` and `golden_numbers`

Questions = Iterator[tuple[str, Callable[[], Any]]]


def zoo() -> Questions:
    from harness import FAULTS, SOURCES, cross_check
    from harness.study.zoo_cases import CORRECT, KINDS, draw

    for kind, number in [*((kind, 0) for kind in KINDS), ("785 parameters", 1)]:
        problem, theta = draw(kind, 0, number)
        small = [name for name in SOURCES if name != "ball" or problem.network.size < 500]
        yield f"{kind} {number}/default sources", partial(cross_check, problem, theta)
        yield f"{kind} {number}/all sources", partial(cross_check, problem, theta, small)
        for bug in (CORRECT, *FAULTS.values()):
            yield f"{kind} {number}/{bug.name}", partial(cross_check, problem, theta, bug.sources)
    for kind in KINDS:
        for number in range(2, 6):
            yield f"{kind} {number}/default sources", partial(cross_check, *draw(kind, 0, number))


def activations() -> Questions:
    from harness import ACTIVATIONS, check_activation
    from harness.study.right_activations import RIGHT
    from harness.study.wrong_activations import WRONG, wrong_records

    for name in ACTIVATIONS:
        yield f"registered/{name}", partial(check_activation, name)
        yield f"registered/{name}, order 2", partial(check_activation, name, order=2)
    for kind, records in (("right", RIGHT), ("wrong", WRONG)):
        for name, record in records.items():
            yield f"{kind}/{name}", partial(check_activation, record)
    with quietly():
        planted = list(wrong_records(list(RIGHT.values()), 0, each=1))
    for record, _ in planted:
        yield f"planted/{record.name}", partial(check_activation, record)


def own() -> Questions:
    from harness import check_gradient
    from harness.study.gradient_study import gradient_cases
    from harness.study.trials import WRONG

    with quietly():
        cases = list(gradient_cases())
    for number, case in enumerate(cases):
        if case.kind != WRONG or number % 2:
            key = f"{case.kind}/{case.name.removesuffix(f': {case.bug}')}: {case.bug}"
            yield key, partial(check_gradient, case.subject.function, case.subject.theta)


def rules() -> Questions:
    from harness import check_derivatives
    from harness.study.rule_bugs import UNREPEATABLE
    from harness.study.rule_study import right_cases, wrong_cases

    with quietly():
        right, wrong = right_cases()[::2], [case for case in wrong_cases(7) if case.bug != UNREPEATABLE]
    for case in (*right, *wrong):
        yield f"{case.kind}/{case.name}", partial(check_derivatives, case.subject.function, *case.subject.arguments)
    for case in (*right[::6], *wrong[::12]):
        yield (
            f"{case.kind}/{case.name}, order 2",
            partial(check_derivatives, case.subject.function, *case.subject.arguments, order=2),
        )


class _Watched:
    """A module of the checker, of which the reports that it answers are kept."""

    __slots__ = ("_module", "_seen")  # and no __dict__: pytest's monkeypatch looks into the module's

    def __init__(self, module: Any, seen: list[Any]):
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_seen", seen)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        is_function = callable(value) and not isinstance(value, type)
        return partial(self._call, value) if is_function else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)

    def _call(self, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        answer = function(*given, **named)
        if hasattr(answer, "verdict"):
            self._seen.append(recorded(answer))
        return answer


def sentinels() -> Questions:
    from sentinels import SENTINELS

    from tests.checker.test_mutants import CHECKER

    def ask(sentinel: Callable[[Any], None]) -> dict[str, Any]:
        seen: list[Any] = []
        modules = {name.rpartition(".")[2]: _Watched(import_module(name), seen) for name in CHECKER}
        try:
            sentinel(SimpleNamespace(**modules))
        except AssertionError:
            return {"passes": False, "reports": seen}
        return {"passes": True, "reports": seen}

    for sentinel in SENTINELS:
        yield sentinel.__name__, partial(ask, sentinel)


def golden_reports() -> Questions:
    from tests.verdict.test_golden_reports import KINDS

    for kind, check in KINDS.items():
        yield f"report {kind}", check


def golden_numbers() -> Questions:
    from golden_numbers import COURSE, DEBUG_THETA, LAMBDAS, debug_problem

    from harness import SOURCES, Problem, fmincg, load_digits
    from harness.digits.digit_networks import load_weights
    from tests.training.test_fmincg import PROBLEMS

    def answer(source: Any, problem: Any, theta: np.ndarray) -> dict[str, Any]:
        cost, gradient = source(problem, theta.copy())
        return {"cost": cost, "norm": np.linalg.norm(gradient), "sum": gradient.sum(), "first": gradient[:5]}

    for l2 in LAMBDAS:
        for name, source in SOURCES.items():
            yield f"debug network, λ = {l2:g}, {name}", partial(answer, source, debug_problem(l2), DEBUG_THETA)
    for name, (fun, x0) in PROBLEMS.items():
        yield f"fmincg, {name}", partial(_of_search, lambda fun=fun, x0=x0: fmincg(fun, x0, max_iter=50), "x", "fun")
    beside = [Path(os.environ.get("HARNESS_EX4", ".")), *(folder / "shared" / "ex4" for folder in TESTS.parents)]
    weights = [file for file in (folder / "ex4weights.mat" for folder in beside) if file.is_file()]
    digits = load_digits()
    for l2 in LAMBDAS if weights else ():
        for name in ("vectorized", "jax"):
            question = partial(answer, SOURCES[name], Problem(COURSE, digits.X, digits.classes, l2))
            yield f"ex4, λ = {l2:g}, {name}", partial(question, load_weights(weights[0]))


def homework() -> Questions:
    from harness.facts import message_table
    from harness.grading.submission_grading import grade
    from tests.grading.submissions import BROKEN, NEEDS_A_PROCESS, RIGHT, WRONG, graded_here, written

    def ask(name: str, text: str, here: bool) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            given = graded_here(Path(folder), name, text) if here else grade(written(Path(folder), name, text))
        helpers = {helper: verdict.outcome for helper, verdict in given.helpers.items()}
        bugs = bugs_in(" ".join(map(message_table.say, given.diagnosis)))
        return (
            fields(given, "verdict", "points", "bugs")
            | given.outcomes
            | {
                "helpers": helpers,
                "bugs in words": bugs,
                "conventions": len(given.conventions),
            }
        )

    for kind, texts in (("right", RIGHT), ("wrong", WRONG), ("broken", BROKEN)):
        for name, (text, _) in texts.items():
            if name != "own_examples.py":  # which takes 5,000 of them, and as much time as all others
                yield f"{kind}/{name}", partial(ask, name, text, kind != "broken" and name not in NEEDS_A_PROCESS)


def _told(check: Callable[..., Any], *given: Any, **named: Any) -> dict[str, Any]:
    """What a check of a drop-in's answers or raises, and of which categories it warns."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            answer = recorded(check(*given, **named))
        except Exception as error:  # noqa: BLE001  whatever it raises is what is recorded
            answer = f"raised {type(error).__name__}"
    ours = {warning.category.__name__ for warning in said} & {"InconclusiveGradient"}
    return {"answer": answer, "warned": sorted(ours)}


def drop_in_jax() -> Questions:
    import jax

    from harness.drop_in.jax import check_grads
    from tests.drop_in import test_jax as table

    def ask(*given: Any, **named: Any) -> dict[str, Any]:
        with jax.enable_x64(True):
            return _told(check_grads, *given, **named)

    for name, (f, args, order, options) in table.RIGHT.items():
        yield f"jax/right, {name}", partial(ask, f, args, order, **options)
    for name, (f, order, modes) in table.WRONG.items():
        yield f"jax/wrong, {name}", partial(ask, f, (table.X,), order, modes)


def drop_in_scipy() -> Questions:
    from scipy.optimize import rosen, rosen_der, rosen_hess

    from harness.drop_in.scipy import check_grad, check_least_squares, check_minimize
    from tests.drop_in import test_scipy as table

    def ask(factor: float) -> dict[str, Any]:
        hess = lambda x: factor * rosen_hess(x)  # noqa: E731
        return {
            "check_grad": _told(check_grad, rosen, lambda x: factor * rosen_der(x), table.X0),
            "check_minimize": _told(check_minimize, rosen, table.X0, jac=rosen_der, hess=hess),
            "jac": _told(check_least_squares, table.residuals, table.X0, lambda x: factor * table.jacobian(x)),
        }

    for factor in (1.0, 1.0 + 1e-7, -1.0):
        yield f"scipy/{factor} times", partial(ask, factor)
    at_kink = partial(_told, check_grad, lambda x: float(np.abs(x).sum()), np.sign, [0.0, 1.0])
    yield "scipy/check_grad, at a kink", at_kink
    for name, (func, grad, x0, options, _) in table.REFUSED.items():
        yield f"scipy/refused, {name}", partial(_told, check_grad, func, grad, x0, **options)


def drop_in_torch() -> Questions:
    from harness.drop_in.torch import gradcheck, gradgradcheck
    from tests.drop_in import test_torch as table

    for name, (func, inputs) in table.RIGHT.items():
        yield f"torch/right, {name}", partial(_told, gradcheck, func, inputs)
        yield f"torch/right, {name}, twice", partial(_told, gradgradcheck, func, inputs)
    for factor in (1.0, 1.0 + 1e-7, 1.1):
        for dtype in (table.torch.float32, table.torch.float64):
            inputs = (table.tensor(4, dtype=dtype),)
            yield f"torch/sine, {factor}, {dtype}", partial(_told, gradcheck, table.sine_times(factor), inputs)


def drop_in_autograd() -> Questions:
    from harness.drop_in.autograd import check_grads
    from tests.drop_in import test_autograd as table

    for name, (f, argnum, args) in table.RIGHT.items():
        yield f"autograd/right, {name}", partial(_told, check_grads(f, argnum), *args)
    for mode in ("fwd", "rev"):
        yield f"autograd/wrong, {mode}", partial(_told, check_grads(table.wrong, modes=[mode], order=1), table.X)


def sweep() -> Questions:
    from harness.sweep.rows import Settings, make_row

    def ask(kind: str, seed: int) -> dict[str, Any]:
        return fields(make_row(Settings(kind), seed), "shape", "verdict", "worst", "outliers")

    for kind, count in (("networks", 100), ("functions", 70), ("activations", 30)):
        for seed in range(count):
            yield f"{kind}/{seed}", partial(ask, kind, seed)


def training() -> Questions:
    from harness import FAULTS, Network, Problem, load_digits, train

    digits = load_digits()
    X, classes = digits.X[::25], digits.classes[::25]
    for name, network, source, gate in (
        ("course", Network((400, 25, 10)), "vectorized", True),
        ("no gate", Network((400, 25, 10)), "vectorized", False),
        ("by jax", Network((400, 25, 10)), "jax", False),
        ("relu and softmax", Network((400, 12, 8, 10), "relu", "softmax"), "vectorized", True),
        ("baseline", Network((400, 10)), "loop", True),
        ("bias-regularised", Network((400, 10, 10)), FAULTS["bias-regularised"].source, False),
        ("bias-regularised, gate", Network((400, 10, 10)), FAULTS["bias-regularised"].source, True),
    ):
        problem = Problem(network, X, classes, 1.0)
        yield name, partial(_of_search, partial(train, problem, network.init(0), 8, source, gate), "theta", "reports")


def _of_search(search: Callable[[], Any], x: str, *more: str) -> dict[str, Any]:
    """What a minimisation came to: its costs, its counts, and where it ended."""
    result = search()
    ended = np.asarray(getattr(result, x))
    where = {"norm": np.linalg.norm(ended), "sum": ended.sum(), "first": ended[:5]}
    return fields(result, "costs", "nit", "nfev", *more) | {x: recorded(where)}


GROUPS: dict[str, tuple[Callable[[], Questions], ...]] = {
    "zoo": (zoo,),
    "activations": (activations,),
    "own": (own,),
    "rules": (rules,),
    "sentinels": (sentinels,),
    "golden": (golden_reports, golden_numbers),
    "homework": (homework,),
    "drop_in": (drop_in_jax, drop_in_scipy, drop_in_torch, drop_in_autograd),
    "sweep": (sweep,),
    "train": (training,),
}
