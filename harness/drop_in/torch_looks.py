"""Cheap looks at the derivatives of a function of tensors, along random lines through its inputs."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import math
from collections.abc import Sequence
from typing import Any

import torch

from harness.drop_in.fallback import TOLERATED
from harness.drop_in.line_checks import MULTIPLES, POINTS, SCALES, Scale, Slope, distance_of_slope, ends_differently
from harness.drop_in.torch_costs import Tensors, WeightedCost

DOUBLE = (torch.float64, torch.complex128)

MULTIPLES_OF_HALVES = (-4.0,)
"""Half of a float has too small a range for a larger factor, and for a small one."""


def doubtful_parts(cost: WeightedCost, accuracy: float, modes: tuple[bool, bool]) -> tuple[list[WeightedCost], bool]:
    """The parts of the outputs whose gradients no look accepted, and whether forward mode is still to be checked."""
    backward, forward = (cost.parts if modes[0] else []), modes[1]
    if not _may_look(cost):
        return backward, forward
    sizes = [float((w * y.detach()).abs().sum()) for w, y in zip(cost.weights, cost.outputs)]
    for scale in SCALES:
        if not (backward or forward):
            break
        try:
            direction, values, is_kept = _look_along(cost, scale, cost.gradient if modes[0] else None)
        except Exception:  # noqa: BLE001  outside of the domain, perhaps
            break

        def accepts(chosen: Sequence[int], slope: Slope, values: Any = values, step: float = scale.step) -> bool:
            places = [cost.chosen.index(k) for k in chosen]
            line, size = [sum(each[k] for k in places) for each in values], sum(sizes[k] for k in places)
            return math.isfinite(distance_of_slope(line, size, step, slope, accuracy, sum(sizes)))

        backward = [p for p in backward if is_kept or not accepts(p.chosen, _slope(p.gradient, direction))]
        forward = forward and not all(accepts([k], slope) for k, slope in _forward_slopes(cost, direction))
    return backward, forward


def call_again(cost: WeightedCost) -> tuple[bool, float]:
    """Whether reverse mode is linear in the cotangent at a further call, and how far values and gradients scatter.

    A rule that ignores signs, multiplies by the cotangent twice, clips it or drops small ones is not linear. Scatter is
    a share of the values and gradients themselves.
    """
    outputs = cost.call(cost.inputs)
    eps = max(torch.finfo(y.dtype).eps for y in outputs)
    is_linear, scatter = True, 0.0
    for factor in MULTIPLES if eps <= torch.finfo(torch.float32).eps else MULTIPLES_OF_HALVES:
        multiple = cost.pull_back(outputs, cost.inputs, factor)
        if _distance(multiple, cost.gradient, factor) > 0.0:
            again = cost.pull_back(outputs, cost.inputs)
            is_linear = is_linear and _distance(multiple, again, factor) <= max(eps**0.5, TOLERATED)
            scatter = max(scatter, _distance(again, cost.gradient))
    values = zip(cost.terms(cost.outputs), cost.terms(outputs))
    return is_linear, max([scatter, *(abs(a - b) / abs(a) for a, b in values if a != b)])


def _may_look(cost: WeightedCost) -> bool:
    """Whether all that moves, and all that is compared, is in double precision, and has its memory for itself."""
    compared = (*(cost.inputs[i] for i in cost.places), *cost.outputs)
    return all(cost.alone.values()) and all(x.layout == torch.strided and x.dtype in DOUBLE for x in compared)


def _look_along(cost: WeightedCost, scale: Scale, gradient: Tensors | None) -> tuple[Tensors, list[list[float]], bool]:
    """A random direction, each output's term at `POINTS` along it, and whether the gradient at its end was kept."""
    direction = cost.direction(scale.units, "line")
    for name, x in cost.theta.items():  # every step is a number of float64, however large x is
        direction[name] = ((x + scale.step * direction[name].to(x.device)) - x) / scale.step
    values, is_kept = [], False
    for point in POINTS:
        with cost.at(cost.moved(direction, point * scale.step)) as given:
            outputs = cost.call(given) if point else cost.outputs
            values.append(cost.terms(outputs))
            if point == POINTS[-1] and gradient is not None:
                line = [sum(each) for each in values]
                if ends_differently(line, scale.step, _slope(gradient, direction)):
                    is_kept = _distance(cost.pull_back(outputs, given), gradient) == 0.0
    return direction, values, is_kept


def _slope(gradient: Tensors, direction: Tensors) -> Slope:
    terms = [g * direction[name] for name, g in gradient.items() if g is not None]
    return Slope(sum(float(t.sum()) for t in terms), [float(t.abs().sum()) for t in terms])


def _forward_slopes(cost: WeightedCost, direction: Tensors) -> list[tuple[int, Slope]]:
    """Each output's slopes by forward mode: by tangents of several lengths, and as the sum of each input's share."""
    whole = cost.push_forward(cost.inputs, direction)
    ways = [[found.value for found in whole]]
    for factor in MULTIPLES:  # one that overflows shows nothing
        multiple = [found.value for found in cost.push_forward(cost.inputs, direction, factor)]
        ways.append([a if math.isfinite(a) else b for a, b in zip(multiple, ways[0])])
    if len(direction) > 1:
        alone = [{name: v if name == each else None for name, v in direction.items()} for each in direction]
        shares = zip(*(cost.push_forward(cost.inputs, tangents) for tangents in alone))
        ways.append([sum(found.value for found in of_output) for of_output in shares])
    return [(k, Slope(value, found.shares)) for way in ways for k, value, found in zip(cost.chosen, way, whole)]


def _distance(found: Tensors, of: Tensors, factor: float = 1.0) -> float:
    """How far tensors are from so many times others, as a share of these, as far as both are numbers."""
    shares = [0.0]
    for a, b in zip(found.values(), of.values()):
        if a is None or b is None:
            shares += [float(x.any()) for x in (a, b) if x is not None]
        elif a.numel():
            off, size = (float(x.abs().nan_to_num(0.0).max()) for x in (a - factor * b, factor * b))
            shares.append(off / size if size else float(off > 0.0))
    return max(shares)
