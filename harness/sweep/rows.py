"""One row of a sweep: what a sweep checks, a random check that a seed decides, and its outcome.

Two rows are comparable only if settings and code are the same.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, from_document, to_document, wrong
from harness.facts.kinds import Kind
from harness.provenance import code_and_libraries
from harness.seals import checksum
from harness.sources.source_names import named_sources
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS, Activation
from reference.namespaces import NUMPY
from reference.user_input import error_in_words


@dataclass(frozen=True)
class Settings:
    """What decides every row but its seed."""

    kind: str = "networks"  # "networks", "functions" or "activations"
    # those that hidden layers of random networks draw from; empty for all that are registered
    activations: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # names as `cross_check` takes them; empty for the default ones

    def __post_init__(self) -> None:
        if self.kind != "networks" and (self.activations or self.sources):
            raise ValueError(f"activations and sources are chosen for networks alone, and this sweep is of {self.kind}")

    @classmethod
    def from_stamp(cls, stamp: dict[str, str]) -> "Settings":
        """The settings of a file, from what it is stamped with."""
        given: dict[str, Any] = {field.name: json.loads(stamp[field.name]) for field in fields(cls)}
        for name in ("activations", "sources"):
            given[name] = tuple(given[name])  # JSON has lists alone
        return cls(**given)

    def in_full(self) -> dict[str, str]:
        """What a file of rows is stamped with: settings and code, the user's own files included, as text by name."""
        files = [name.rpartition(":")[0] for name in (*self.sources, *self.activations) if ".py:" in name]
        own = {f"checksum of {file}": checksum(Path(file).read_bytes()) for file in files}
        settings = {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(self).items()}
        return settings | code_and_libraries() | own


ERROR = "error"  # the verdict of a row whose check could not be made: a source raised, hung, or took its process down

VERDICTS: tuple[str, ...] = ("agree", "disagree", "inconclusive", ERROR)


class SweepRow(NamedTuple):
    """The outcome of one check. The seed, the settings and the code decide all but the last two columns."""

    seed: int
    shape: str  # what was checked, in words
    verdict: str  # one of `VERDICTS`
    # the largest |difference| / bound between any two sources; None where nothing could be compared
    worst: float | None = None
    outliers: str = ""  # the sources named, separated by commas
    facts: str = "[]"  # why the verdict is not "agree": a list of facts (JSON)
    seconds: float = 0.0  # of the whole check
    times: str = "{}"  # of each source (JSON)

    @property
    def reasons(self) -> list[Fact]:
        """The facts, as values."""
        return [from_document(document) for document in json.loads(self.facts)]


def make_rows(settings: Settings, seeds: Sequence[int]) -> list[SweepRow]:
    """The rows of some seeds."""
    return [make_row(settings, seed) for seed in seeds]


def warm_up(settings: Settings) -> None:
    """Import what the rows need, and let JAX compile. Of the sources, those of the harness alone are called."""
    # A source of the user's may hang, and the first answer has no row's time limit.
    named = named_sources(settings.sources) if settings.sources else {}
    own = tuple(name for name, source in named.items() if source.is_of_the_harness)
    make_row(replace(settings, sources=own), 0)


def make_row(settings: Settings, seed: int) -> SweepRow:
    """Make the check that a seed decides, and its row; what a source raises becomes a row, too."""
    started = time.perf_counter()
    shape, check = prepare(settings, seed)
    try:
        row = _from_report(seed, shape, check())
    except Exception as error:  # noqa: BLE001  whatever a source raises: the sweep goes on
        lines = [error_in_words(error), *getattr(error, "__notes__", ())]  # notes name the source and its line
        row = error_row(settings, seed, wrong(Kind.CHECK_FAILED, error=" ".join("; ".join(lines).split())))
    return row._replace(seconds=time.perf_counter() - started)


def error_row(settings: Settings, seed: int, reason: Fact) -> SweepRow:
    """The row of a check that did not come to a verdict."""
    return SweepRow(seed, prepare(settings, seed)[0], ERROR, facts=_as_json([reason]))


def prepare(settings: Settings, seed: int) -> tuple[str, Callable[[], Report]]:
    """What a seed decides to be checked, in words, and the check itself."""
    return _KINDS[settings.kind](settings, seed)


def _network(settings: Settings, seed: int) -> tuple[str, Callable[[], Report]]:
    from harness.checks.activations.formulas import find_activation
    from harness.checks.networks.network_check import cross_check
    from harness.checks.networks.random_problems import random_problem

    activations = [find_activation(name) for name in settings.activations] or None
    problem, theta = random_problem(seed, activations)
    return str(problem), lambda: cross_check(problem, theta, settings.sources or None)


def _function(_: Settings, seed: int) -> tuple[str, Callable[[], Report]]:
    from harness.checks.functions.gradient_check import check_gradient

    fun, theta = random_function(seed)
    return f"{fun}, at θ of size {np.abs(theta).max():.3g}", lambda: check_gradient(fun, theta)


def _activation(_: Settings, seed: int) -> tuple[str, Callable[[], Report]]:
    from harness.checks.activations.activation_check import check_activation

    f = random_activation(seed)
    return f.name, lambda: check_activation(f)


_KINDS = {"networks": _network, "functions": _function, "activations": _activation}


def _from_report(seed: int, shape: str, report: Report) -> SweepRow:
    ratios = [pair.ratio for pair in report.pairs if not np.isnan(pair.ratio)]
    return SweepRow(
        seed,
        shape,
        report.verdict,
        max(ratios, default=None),
        ",".join(report.outliers),
        _as_json([*report.reasons, *(finding.fact for finding in report.findings)]),
        times=json.dumps({row.name: row.seconds for row in report.sources}),
    )


def _as_json(facts: Sequence[Fact]) -> str:
    return json.dumps([to_document(fact) for fact in facts], ensure_ascii=False)


# -- random subjects whose gradients are right: what a check says of them shows its false alarms -----------------------

# name: φ(u) and φ'(u), smooth everywhere and free of overflow at the arguments met here
TERMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "sin": (np.sin, np.cos),
    "square": (np.square, lambda u: 2.0 * u),
    "cube": (lambda u: u**3, lambda u: 3.0 * u**2),
    "tanh": (np.tanh, lambda u: 1.0 / np.cosh(u) ** 2),
    "arctan": (np.arctan, lambda u: 1.0 / (1.0 + u**2)),
    "log(1 + u²)": (lambda u: np.log1p(u**2), lambda u: 2.0 * u / (1.0 + u**2)),
    "sqrt(1 + u²)": (lambda u: np.sqrt(1.0 + u**2), lambda u: u / np.sqrt(1.0 + u**2)),
    "exp(-u²)": (lambda u: np.exp(-(u**2)), lambda u: -2.0 * u * np.exp(-(u**2))),
    "softplus": (lambda u: np.logaddexp(0.0, u), lambda u: 1.0 / (1.0 + np.exp(-u))),
}

SCALES = (1.0, 1e-3, 30.0, 0.0)  # of θ: ordinary, small, large, and the origin
MAX_PARAMETERS, MAX_TERMS = 12, 5


@dataclass(frozen=True, eq=False)
class RidgeSum:
    """J(θ) = c + Σ_k w_k φ_k(u_k) with u = Aθ + b, and its gradient Aᵀ(w_k φ_k'(u_k))."""

    names: tuple[str, ...]  # the φ_k, of `TERMS`
    A: np.ndarray  # (terms, parameters)
    b: np.ndarray  # (terms,)
    w: np.ndarray  # (terms,)
    c: float

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        u = self.A @ theta + self.b
        values, slopes = zip(*((TERMS[name][0](u_k), TERMS[name][1](u_k)) for name, u_k in zip(self.names, u)))
        return self.c + float(self.w @ np.array(values)), self.A.T @ (self.w * np.array(slopes))

    def __str__(self) -> str:
        return f"{self.c:.3g} + Σ w φ(Aθ + b), φ = {', '.join(self.names)}, {self.A.shape[1]} parameters"


def random_function(seed: int) -> tuple[RidgeSum, np.ndarray]:
    """A function with a right gradient, and a θ to check it at, both decided by the seed."""
    rng = np.random.default_rng(seed)
    size, terms = rng.integers(1, MAX_PARAMETERS, endpoint=True), rng.integers(1, MAX_TERMS, endpoint=True)
    names = tuple(str(name) for name in rng.choice(list(TERMS), terms))
    A, b, w = rng.normal(size=(terms, size)), rng.normal(size=terms), rng.normal(size=terms)
    offset = float(rng.choice([0.0, 1.0, 1000.0]))
    return RidgeSum(names, A / np.sqrt(size), b, w, offset), rng.choice(SCALES) * rng.normal(size=size)


def random_activation(seed: int) -> Activation:
    """a = s g(cz + d) with the slope s c g'(cz + d), where g is one of the activations that come with the harness.

    c is a power of two and d a multiple of 1/8, so that cz + d at a kink (k - d)/c is k to the last bit.
    """
    rng = np.random.default_rng(seed)
    g = ACTIVATIONS[str(rng.choice(sorted(ACTIVATIONS)))]
    c, d = float(rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])), int(rng.integers(-8, 8, endpoint=True)) / 8
    s = float(rng.choice([-1.5, 1.0, 0.75]))

    def value(xp: Any, z: Any) -> Any:
        return s * g.value(xp, c * z + d)

    def slope(z: np.ndarray, _: np.ndarray) -> np.ndarray:
        inner = c * z + d
        return s * c * g.slope(inner, g.value(NUMPY, inner))

    return Activation(f"{s:g} {g.name}({c:g}z{d:+g})", value, slope, kinks=tuple((k - d) / c for k in g.kinks))
