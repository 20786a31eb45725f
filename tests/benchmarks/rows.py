"""The table's rows: a piece of work, what it is compared with, and the ratio that is asked for."""

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness import SOURCES, Network, Problem, cross_check, fmincg, load_digits, random_problem
from harness.sources.source_names import default_sources
from tests.benchmarks import peers
from tests.benchmarks.timing import medians


@dataclass(frozen=True)
class Row:
    """One line: `ratio` is ours over theirs, or the figure itself where there is nobody to compare with."""

    work: str
    compared_with: str
    seconds: dict[str, float]
    ratio: float
    target: float
    at_least: bool = False  # whether the ratio has to reach the target, rather than stay below it

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


def _digits(network: Network, m: int = 5000) -> tuple[Problem, np.ndarray]:
    digits = load_digits()
    rows = np.linspace(0, 4999, m).astype(int)
    return Problem(network, digits.X[rows], digits.classes[rows], 1.0), network.init(0)


def _synthetic(network: Network, m: int) -> tuple[Problem, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(m, network.sizes[0]))
    return Problem(network, X, rng.integers(0, network.sizes[-1], m), 1.0), network.init(0)


def _gradient_contest(problem: Problem, theta: np.ndarray) -> dict[str, float]:
    contestants = {
        "ours": lambda: SOURCES["vectorized"](problem, theta),
        "bare products": peers.bare_products(problem, theta),
        "jax": peers.jax_jitted(problem, theta),
        "torch": peers.torch_eager(problem, theta),
    }
    if problem.network.hidden[0].name == problem.network.output.name == "sigmoid" and len(problem.network.hidden) == 1:
        contestants["textbook NumPy"] = lambda: peers.textbook(problem, theta)
    return medians({name: run for name, run in contestants.items() if run})


def gradients() -> Iterator[Row]:
    work = "one gradient, 400-25-10, m = 5000"
    seconds = _gradient_contest(*_digits(Network((400, 25, 10))))
    yield Row(work, "jax", seconds, seconds["ours"] / seconds["jax"], 0.7)
    yield Row(work, "bare products", seconds, seconds["ours"] / seconds["bare products"], 1.45)
    seconds = _gradient_contest(*_synthetic(Network((784, 300, 100, 10)), 5000))
    fastest = min((name for name in seconds if name not in ("ours", "bare products")), key=seconds.__getitem__)
    work = "one gradient, 784-300-100-10, m = 5000"
    yield Row(work, fastest, seconds, seconds["ours"] / seconds[fastest], 1.05)
    ratio = seconds["bare products"] / seconds[fastest]
    yield Row("its bare products in OpenBLAS alone, for information", fastest, seconds, ratio, np.inf)
    for hidden, output in (("sigmoid", "softmax"), ("relu", "sigmoid"), ("tanh", "sigmoid")):
        seconds = _gradient_contest(*_digits(Network((400, 25, 10), hidden, output)))
        yield Row(f"the same, {hidden} and {output}", "jax", seconds, seconds["ours"] / seconds["jax"], 1.0)


def neighbours() -> Iterator[Row]:
    """A gradient while other processes keep processors busy, as the workers of pytest-xdist do."""
    problem, theta = _digits(Network((400, 25, 10)))
    contestants = {"ours": lambda: SOURCES["vectorized"](problem, theta), "jax": peers.jax_jitted(problem, theta)}
    for count, target in ((0, 1.0), (1, 1.2), (2, 1.2)):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        try:
            seconds = medians(contestants, least=20)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        work = f"one gradient, 400-25-10, m = 5000, busy processes beside it: {count}"
        yield Row(work, "jax", seconds, seconds["ours"] / seconds["jax"], target)


def loops() -> Iterator[Row]:
    problem, theta = _digits(Network((400, 25, 10)))
    seconds = medians(
        {"ours": lambda: SOURCES["loop"](problem, theta), "textbook NumPy": lambda: peers.textbook_loop(problem, theta)}
    )
    ratio = seconds["ours"] / seconds["textbook NumPy"]
    yield Row("loop, 400-25-10, m = 5000", "textbook NumPy, per example", seconds, ratio, 1.0)


def differences() -> Iterator[Row]:
    from scipy.optimize import approx_fprime

    problem, theta = _digits(Network((400, 25, 10)), m=100)
    contestants = {
        "scipy approx_fprime": lambda: approx_fprime(theta, lambda t: SOURCES["vectorized"](problem, t)[0]),
        "jax batched": peers.jax_batched_differences(problem, theta),
    }
    slow = medians(contestants, seconds=0.0, least=1)
    seconds = medians({"ours": lambda: SOURCES["finite-difference"](problem, theta)}) | slow
    fastest = min(slow, key=slow.__getitem__)
    work = "all 10,285 derivatives by differences, m = 100"
    yield Row(work, fastest, seconds, slow[fastest] / seconds["ours"], 30.0, at_least=True)
    problem, theta = _digits(Network((400, 25, 10)))
    seconds = medians(
        {
            "ours": lambda: SOURCES["finite-difference"](problem, theta),
            "gradient": lambda: SOURCES["vectorized"](problem, theta),
        }
    )
    yield Row("the same, m = 5000", "one gradient", seconds, seconds["ours"] / seconds["gradient"], 10.0)


def checks() -> Iterator[Row]:
    problem, theta = _digits(Network((400, 25, 10)))
    sources = {name: source for name, source in default_sources(problem).items() if name != "loop"}
    seconds = medians(
        {
            "ours": lambda: cross_check(problem, theta, sources),
            "gradient": lambda: SOURCES["vectorized"](problem, theta),
        }
    )
    work = "cross_check, 400-25-10, m = 5000, without loop"
    yield Row(work, "one gradient", seconds, seconds["ours"] / seconds["gradient"], 40.0)

    cases = [random_problem((0, index)) for index in range(200)]
    seconds = medians({"ours": lambda: [cross_check(*case) for case in cases]}, seconds=0.0, least=3)
    rate = len(cases) / seconds["ours"]
    yield Row("random networks per second, default sources", "-", seconds, rate, 150.0, at_least=True)
    compiling = medians({"compiling": lambda: _compile_anew(10)}, seconds=0.0, least=1)["compiling"] / 10
    seconds = {"ours": seconds["ours"] / len(cases), "jit for every shape": compiling}
    work = "one random network, default sources"
    yield Row(work, "jit for every shape", seconds, compiling / seconds["ours"], 50.0, at_least=True)


def _compile_anew(count: int) -> None:
    from reference.oracles import jax_gradient

    for index in range(count):
        problem, theta = random_problem((1, index))
        for run in (jax_gradient.reverse, jax_gradient.forward):
            run(problem, theta)


def training() -> Iterator[Row]:
    problem, theta = _digits(Network((400, 25, 10)))
    gradient = partial(SOURCES["vectorized"], problem)
    inside = 0.0

    def timed(t: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal inside
        begin = time.perf_counter()
        answer = gradient(t)
        inside += time.perf_counter() - begin
        return answer

    begin = time.perf_counter()
    result = fmincg(timed, theta, 50)
    whole = time.perf_counter() - begin
    seconds = {"fmincg": whole - inside, "its evaluations": inside}
    yield Row("fmincg's own time, 50 line searches", "its evaluations", seconds, (whole - inside) / inside, 0.03)
    yield Row("evaluations to the cost after 50", "scipy CG needs about 102", {}, result.nfev, 85.0)


def start() -> Iterator[Row]:
    def seconds_of(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return medians({"run": lambda: subprocess.run(command, check=True, capture_output=True)}, 2.0)["run"]

    help_seconds = seconds_of("-m", "harness", "--help")
    yield Row("harness --help, seconds", "-", {"ours": help_seconds}, help_seconds, 0.5)
    import_seconds = seconds_of("-c", "import harness, sys; assert 'jax' not in sys.modules")
    yield Row("import harness, seconds, no JAX", "-", {"ours": import_seconds}, import_seconds, 0.5)


def memory() -> Iterator[Row]:
    problem, theta = _synthetic(Network((784, 300, 10)), 60_000)
    SOURCES["vectorized"](problem, theta)
    tracemalloc.start()
    SOURCES["vectorized"](problem, theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield Row("extra memory, 784-300-10, m = 60,000", "size of X", {}, peak / problem.X.nbytes, 0.1)


GROUPS = (gradients, neighbours, loops, differences, checks, training, start, memory)
