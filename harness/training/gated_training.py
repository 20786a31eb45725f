"""Training behind a gate, which is open only where the gradient sources agree; and predictions.

The gate cross-checks the source to train with beside the default sources. Anything but agreement closes it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from harness.checks.networks.network_check import cross_check
from harness.checks.networks.source_answers import cost_and_gradient
from harness.facts import message_table
from harness.sources.source_names import as_source, default_sources, named_sources
from harness.sources.source_table import SOURCES, Source
from harness.training.checkpoint import Checkpoint, stamp_of
from harness.training.fmincg import fmincg
from harness.verdict.report import Report
from reference.measured import GradientSource
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem, real_array
from reference.user_input import flag, of_type

ADVICE = {  # by verdict; {who} is filled in
    "disagree": "fix the gradient of {who}, or train without the gate (gate=False, --no-gate) to see what a wrong "
    "gradient does",
    "inconclusive": "no gradient was found wrong, but none was shown to be right; fix what is named above, or train "
    "without the gate (gate=False, --no-gate)",
}

GATE_AFTER = 5
"""Line searches before the second check: few enough to waste little on a wrong gradient, and enough to leave an initial
θ at which it may be right by chance."""


class GateClosed(Exception):
    """The gradient sources do not agree, so nothing is trained with them.

    Attributes
    ----------
    report : Report
        The cross-check that closed the gate.
    theta : (n,) array
        The θ of that check.
    when : str
        Where in the training it was made, such as "at the start".
    """

    def __init__(self, report: Report, theta: np.ndarray, when: str = "at this θ"):
        super().__init__(report, theta, when)  # all three, so that it can be pickled
        self.report, self.theta, self.when = report, theta, when

    def __str__(self) -> str:
        who = ", ".join(self.report.outliers) or "whichever source is wrong"
        return f"{self.report}\nThe gate is closed {self.when}: {ADVICE[self.report.verdict].format(who=who)}."


def check_gate(
    problem: Problem,
    theta: np.ndarray,
    sources: Iterable[str] | Mapping[str, GradientSource] | None = None,  # as for `cross_check`
    *,
    when: str = "at this θ",  # where in the training θ is, for the message
) -> Report:
    """Cross-check gradient sources, and return the report only if they agree; otherwise raise GateClosed."""
    report = cross_check(problem, theta, sources)
    if report.verdict != "agree":
        raise GateClosed(report, theta, when)
    return report


def with_defaults(source: str | GradientSource, problem: Problem) -> tuple[str, dict[str, Source]]:
    """The source's name, and the default sources with it among them.

    A source that is not in `SOURCES` takes the name of its function. If `SOURCES` has that name, it becomes "the given
    ...", so that the one in `SOURCES` still checks it. Raises ValueError or TypeError where no source has that name, or
    the object cannot be called.
    """
    if isinstance(source, str):
        return source, default_sources(problem) | named_sources(source)
    if not isinstance(source, Source):
        name = getattr(source, "__name__", type(source).__name__)
        source = as_source(f"the given {name}" if name in SOURCES else name, source)
    return source.name, default_sources(problem) | named_sources({source.name: source})


# -- training ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The outcome of a training.

    Attributes
    ----------
    theta : (n,) array
        The best parameters seen.
    costs : (1 + successful line searches,) array
        The cost at the initial θ and after each line search that succeeded; empty if none ended before an interruption.
    nit, nfev : int
        Line searches, and evaluations of cost and gradient; those of the gate are not counted.
    reports : tuple of Report
        The gate's cross-checks in the order in which they were made; empty without a gate.
    message : str
        Why the training ended.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    theta: np.ndarray
    costs: np.ndarray
    nit: int
    nfev: int
    reports: tuple[Report, ...]
    message: str
    interrupted: bool

    @property
    def report(self) -> Report | None:
        """The gate's last cross-check, or None without a gate."""
        return self.reports[-1] if self.reports else None


def train(
    problem: Problem,
    theta: np.ndarray,
    max_iter: int = 50,
    source: str | GradientSource = "vectorized",
    gate: bool = True,
    callback: Callable[[OptimizeResult], Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Minimise the cost of a problem with `fmincg`, from θ on, as long as the gradient sources agree.

    Parameters
    ----------
    problem : Problem
    theta : (n,) array
        Where to start, such as ``network.init(seed)``; left as it is.
    max_iter : int
        The number of line searches.
    source : str or callable
        The gradient to train with: a name as for `cross_check`, or ``source(problem, theta) -> (cost, gradient)``.
    gate : bool
        Cross-check `source` and the default sources at the initial θ, after 5 line searches and at the end: a gradient
        may be right at a special θ and wrong elsewhere. The gate only looks: without it, the same θ comes out to the
        last bit.
    callback : callable, optional
        Called after every line search, as by `fmincg`.
    checkpoint : Checkpoint, optional
        Where the state of the training is kept. If its file exists, the training continues from it, to the same θ and
        costs, to the last bit, as an uninterrupted one.

    Returns
    -------
    TrainingResult
        The best θ, the costs, the counts and the gate's reports.

    Raises
    ------
    GateClosed
        The sources do not agree.
    ValueError, TypeError
        θ, `max_iter` or the source does not fit the problem; or, without a gate, the source is not finite at θ.
    KeyboardInterrupt
        Ctrl-C at the gate, before anything was trained. After that, Ctrl-C ends the training and not the program: the
        best θ so far is returned, which the gate has not checked.
    """
    of_type("problem", problem, Problem, "a Problem")
    of_type("callback", callback, Callable | None, "a function")
    of_type("checkpoint", checkpoint, Checkpoint | None, "a Checkpoint")
    name, sources = with_defaults(source, problem)
    latest = OptimizeResult(x=problem.check_theta(theta).copy(), costs=np.empty(0), nit=0, nfev=0)
    has_gate, reports = flag("gate", gate), list[Report]()
    stamp, state, interrupted = stamp_of(problem, latest.x, name), None, False
    if checkpoint is not None and checkpoint.path.exists():
        state = checkpoint.load(stamp)
        latest.x = state["best_x"]

    def pass_gate(when: str) -> None:
        if has_gate:
            report = check_gate(problem, latest.x, sources, when=when)
            if name in report.left_out:  # the others agree, but the gradient to train with was not compared
                raise message_table.FactError(report.left_out[name], f"source {name!r} cannot train {problem}: ")
            reports.append(report)

    def watch(step: OptimizeResult) -> None:
        nonlocal latest
        latest = step
        if step.nit == GATE_AFTER < max_iter:  # a run that ends here meets the gate at its end
            pass_gate(f"after {GATE_AFTER} line searches")
        if callback is not None:
            callback(step)
        if checkpoint is not None and step.nit % checkpoint.every == 0:
            checkpoint.save(step.state, stamp)

    pass_gate("at the start")  # or at the θ of the checkpoint
    try:
        latest = fmincg(lambda x: cost_and_gradient(sources[name], problem, x), latest.x, max_iter, watch, state=state)
        if latest.nit:
            pass_gate(f"at the end, after {latest.nit} line searches")
        message = latest.message
    except KeyboardInterrupt:
        interrupted = True
        message = (
            f"Interrupted after {latest.nit} line searches: θ is the best so far, and the gate has not checked it."
        )
    finally:  # a closed gate and an interruption keep what there is, too
        if checkpoint is not None and latest.nit:
            checkpoint.save(latest.state, stamp)
    return TrainingResult(latest.x, latest.costs, latest.nit, latest.nfev, tuple(reports), message, interrupted)


# -- predictions -------------------------------------------------------------------------------------------------------


def predict(network: Network, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The class of each example: the output unit with the largest z, or, for one sigmoid unit, whether z > 0.

    Sigmoid and softmax increase with z, so the largest z is the largest probability. Of equal ones, the first wins.

    Parameters
    ----------
    network : Network
    theta : (n,) array
    X : (m, n_in) array

    Returns
    -------
    (m,) integer array

    Raises
    ------
    ValueError, TypeError
        A single unit is not a sigmoid, θ or X has the wrong shape or is not finite, or outputs overflow.
    """
    K = of_type("network", network, Network, "a Network").sizes[-1]
    if K == 1 and network.output.name != "sigmoid":
        raise ValueError(
            f"one {network.output.name} output cannot separate classes; use two or more outputs, or one sigmoid"
        )
    X = real_array("X", X, (2,), f"(m, {network.sizes[0]})")
    problem = Problem(network, X, np.zeros(len(X)))  # it checks X, and θ below; any targets will do
    with np.errstate(all="ignore"):
        Z = network.pre_activations(NUMPY, problem.check_theta(theta), problem.X)
    if np.isnan(Z).any():
        row = int(np.argmax(np.isnan(Z).any(axis=1)))
        raise ValueError(f"the outputs for row {row} of X overflow; scale X down, or use a θ with smaller weights")
    return (Z[:, 0] > 0.0).astype(np.intp) if K == 1 else Z.argmax(axis=1)
