"""Cheap looks at the derivatives of a function of tensors, along random lines through its inputs."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from harness.drop_in.fallback import TOLERATED, drawn_weights
from harness.drop_in.line_checks import (
    MULTIPLES,
    POINTS,
    SCALES,
    Scale,
    Slope,
    distance_of_slope,
    ends_differently,
    unit_of,
)
from harness.drop_in.torch_costs import WeightedCost, as_complex, every_output

DOUBLE = (torch.float64, torch.complex128)

MULTIPLES_OF_HALVES = (-4.0,)
"""Half of a float has too small a range for a larger factor, and for a small one."""

SCATTERS = 16.0
"""Two calls show the scatter of an answer to such a factor."""

Part = tuple[int, ...]


class Line(NamedTuple):
    """Values along a line.

    Attributes
    ----------
    direction : a tensor for each input that moves
    values : for each of `POINTS`, the weighted value of each output
    step : float
    """

    direction: list[Any]
    values: list[list[float]]
    step: float

    def of(self, part: Part) -> list[float]:
        """The values of a part of the outputs."""
        return [sum(each[k] for k in part) for each in self.values]


class Again(NamedTuple):
    """What a second call shows.

    Attributes
    ----------
    is_linear : bool
        Whether reverse mode is linear in the cotangent.
    scatter : float
        How far the values and the gradients of two calls are apart, as a share of themselves.
    largest : float
        The largest derivative.
    """

    is_linear: bool = True
    scatter: float = 0.0
    largest: float = 0.0

    def is_within(self, allowed: float) -> bool:
        """Whether the scatter is one that the caller allows."""
        return self.largest * self.scatter <= allowed

    def accuracy(self, stated: float, allowed: float) -> float:
        """The accuracy to which a check can hold an answer with such a scatter."""
        return max(stated, SCATTERS * self.scatter if self.is_within(allowed) else 0.0)


REPEATED = Again()


def doubtful_parts(cost: WeightedCost, accuracy: float, modes: tuple[bool, bool]) -> tuple[list[Part], bool]:
    """The parts of the outputs whose gradients no look accepted, and whether forward mode is still to be checked."""
    backward, forward = (cost.parts() if modes[0] else []), modes[1]
    if not _may_look(cost):
        return backward, forward
    with _kept(cost) as kept:
        values = _weighted(cost, cost.found)
        sizes = [float((w * cost.found[k].detach()).abs().sum()) for k, w in zip(cost.chosen, cost.weights)]

        def accepts(line: Line, part: Part, slope: Slope) -> bool:
            size = sum(sizes[k] for k in part)
            return math.isfinite(distance_of_slope(line.of(part), size, line.step, slope, accuracy))

        for scale in SCALES:
            if not (backward or forward):
                break
            try:
                line, is_cached = _line(cost, kept, scale, values, cost.gradients[cost.every] if modes[0] else None)
            except Exception:  # noqa: BLE001  outside of the domain, perhaps
                break
            backward = [p for p in backward if is_cached or not accepts(line, p, _slope(cost.gradients[p], line))]
            forward = forward and not _accepts_forward(cost, kept, line, accepts)
    return backward, forward


def call_again(cost: WeightedCost) -> Again:
    """What reverse mode answers at further calls, to multiples of the cotangent.

    A rule that ignores signs, multiplies by the cotangent twice, clips it or drops small ones is not linear.
    """
    every, first = cost.every, cost.gradients[cost.every]
    outputs = every_output(cost.func(*cost.inputs))
    eps = max(torch.finfo(outputs[k].dtype).eps for k in cost.chosen)
    is_linear, scatter = True, 0.0
    for factor in MULTIPLES if eps <= torch.finfo(torch.float32).eps else MULTIPLES_OF_HALVES:
        multiple = cost.pull_back(outputs, every, factor)
        if _distance(multiple, first, factor) > 0.0:
            again = cost.pull_back(outputs, every)
            is_linear = is_linear and _distance(multiple, again, factor) <= max(eps**0.5, TOLERATED)
            scatter = max(scatter, _distance(again, first))
    values = zip(_weighted(cost, cost.found), _weighted(cost, outputs))
    scatter = max([scatter, *(abs(a - b) / abs(a) for a, b in values if a != b)])
    return Again(is_linear, scatter, cost.largest(every) if scatter else 0.0)


def _may_look(cost: WeightedCost) -> bool:
    """Whether all that moves, and all that is compared, is in double precision, and has its memory for itself."""
    leaves, outputs = (cost.inputs[i] for i in cost.places), (cost.found[k] for k in cost.chosen)
    return all(cost.alone.values()) and all(
        x.layout == torch.strided and x.dtype in DOUBLE for x in (*leaves, *outputs)
    )


@contextmanager
def _kept(cost: WeightedCost) -> Iterator[list[Any]]:
    """The numbers of the inputs, which are put back at the end."""
    kept = [cost.inputs[i].data.clone() for i in cost.places]
    try:
        yield kept
    finally:
        _move(cost, kept)


def _move(cost: WeightedCost, numbers: Sequence[Any]) -> None:
    for i, x in zip(cost.places, numbers):
        cost.inputs[i].data.copy_(x)


def _weighted(cost: WeightedCost, outputs: Sequence[Any]) -> list[float]:
    """Re Σ w·y of each output."""
    return [
        float(torch.vdot(w, y if y.dtype == w.dtype else y.to(w.dtype)).real)
        for w, y in zip(cost.flat_weights, (outputs[k].detach().reshape(-1) for k in cost.chosen))
    ]


def _line(
    cost: WeightedCost, kept: Sequence[Any], scale: Scale, here: list[float], gradients: Sequence[Any] | None
) -> tuple[Line, bool]:
    """The values along a random line, and whether the gradients at its end are kept ones."""
    direction, values, outputs = [_direction(x, scale) for x in kept], [], []
    for point in POINTS:
        if point:
            _move(cost, [torch.add(x, v, alpha=point * scale.step) for x, v in zip(kept, direction)])
            outputs = every_output(cost.func(*cost.inputs))
            if len(outputs) <= max(cost.chosen):
                raise TypeError("func answers fewer tensors beside these inputs")
        values.append(_weighted(cost, outputs) if point else here)
    line, every = Line(direction, values, scale.step), cost.every
    if gradients is None or not ends_differently(line.of(every), scale.step, _slope(gradients, line)):
        _move(cost, kept)
        return line, False
    ends = cost.pull_back(outputs, every)
    _move(cost, kept)
    return line, _distance(ends, gradients) == 0.0


def _direction(x: Any, scale: Scale) -> Any:
    """A direction in which every step is a number of float64, however large x is."""
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    weights = drawn_weights("line", tuple(real.shape))
    units = torch.as_tensor(weights * scale.units(real.abs().cpu().numpy())).to(x.device)
    units = ((real + scale.step * units) - real) / scale.step
    return as_complex(units) if x.is_complex() else units


def _slope(gradients: Sequence[Any], line: Line) -> Slope:
    terms = [g.conj() * v for g, v in zip(gradients, line.direction) if g is not None]
    return Slope(sum(float(t.sum().real) for t in terms), [float(t.abs().sum()) for t in terms])


def _accepts_forward(
    cost: WeightedCost, kept: Sequence[Any], line: Line, accepts: Callable[[Line, Part, Slope], bool]
) -> bool:
    """Whether forward mode is right along a line for each output, linear, and the sum of its parts for each input."""
    slopes = _push_forward(cost, kept, line.direction)
    multiples = [_push_forward(cost, kept, line.direction, factor) for factor in MULTIPLES]
    places = range(len(kept))
    alone = [_push_forward(cost, kept, [line.direction[i] if i == j else None for j in places]) for i in places[1:]]
    alone.append(_push_forward(cost, kept, [line.direction[0], *[None] * len(alone)]) if alone else slopes)
    return all(
        accepts(line, (k,), Slope(value, slopes[k].shares))
        for k in cost.every
        for value in (
            slopes[k].value,
            *(found[k].value for found in multiples if math.isfinite(found[k].value)),
            sum(each[k].value for each in alone),
        )
    )


def _push_forward(cost: WeightedCost, kept: Sequence[Any], tangents: Sequence[Any], factor: float = 1.0) -> list[Slope]:
    """The derivative of each output along tangents, None where an input has none, by those that are `factor` long."""
    given, unit = list(cost.inputs), unit_of(float(t.abs().max()) for t in tangents if t is not None) / factor
    with forward_ad.dual_level():
        for i, x, tangent in zip(cost.places, kept, tangents):
            fresh = x.detach() if tangent is None else forward_ad.make_dual(x.detach(), tangent / unit)
            given = [fresh if each is cost.inputs[i] else each for each in given]
        outputs = every_output(cost.func(*given))
        found = [forward_ad.unpack_dual(outputs[k]).tangent for k in cost.chosen]
    terms = [None if t is None else w.conj() * t.detach() for w, t in zip(cost.weights, found)]
    return [
        Slope(0.0, [0.0]) if t is None else Slope(unit * float(t.sum().real), [abs(unit) * float(t.abs().sum())])
        for t in terms
    ]


def _distance(found: Sequence[Any], of: Sequence[Any], factor: float = 1.0) -> float:
    """How far tensors are from so many times others, as a share of these, as far as both are numbers."""
    shares = [0.0]
    for a, b in zip(found, of):
        if a is None or b is None:
            shares += [float(x.any()) for x in (a, b) if x is not None]
        elif a.numel():
            off, size = (float(x.abs().nan_to_num(0.0).max()) for x in (a - factor * b, factor * b))
            shares.append(off / size if size else float(off > 0.0))
    return max(shares)
