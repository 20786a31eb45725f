"""A close look at one line: the step that decides is searched for, again where more is known of the line than of all θ.

The noise of a cost is measured with all coordinates moved together. The line itself may be quieter, may bend at the
scale of its own θ_i, or may be one along which the cost rounds to a constant.
"""

from dataclasses import replace

import numpy as np

from harness.checks.functions.cost_noise import CostNear, noise_along, rounding_along
from harness.checks.functions.line_stencil import MOSTLY_NOISE, Line, Obstacle, StencilEstimate
from harness.checks.functions.slope_search import LineSlope, Search
from reference.arithmetics.central_differences import NOISE_GAIN

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own noise. Two samples of one noise are closer."""

BELOW = 0.25  # steps of at most this share of |θ_i|: the stencil reaches four steps far, and so not beyond 0


def look_closely(near: CostNear, search: Search, *, explains: bool = True) -> LineSlope:
    """The difference at the step that decides; `explains` says whether a rough cost may explain a contradiction."""
    search = replace(search, noise=near.noise, explains=explains)
    found = search.run()
    for refine in (_with_own_noise, _at_own_scale, _with_rounding):
        if better := refine(near, search, found):
            search, found = better, better.run()
    found = search.hide_behind_jumps(found)
    # a cost may be constant along each coordinate and not along a direction, as a median of ties
    is_flat = found.derivative == 0.0 and found.obstacle != Obstacle.KINK
    return LineSlope(search, found, is_flat and not search.reported.is_contradicted(found))


def _with_own_noise(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with the noise of the line itself, where that may be much smaller than that of all θ.

    In sin t₀ + floor(1e6 t₁) the jumps of one coordinate pass for noise of both. They hide the derivative in t₀, or
    make its steps so wide that they see over what the cost does.
    """
    first = near.probes.steps[0]
    noise = search.noise.at(first)
    is_hidden = found.noise > MOSTLY_NOISE * found.error
    is_in_doubt = is_hidden or search.reported.is_contradicted(found)
    if len(search.indices) > 1 or near.is_rounding(noise) or not is_in_doubt:
        return None
    size = search.reported.own_scale if np.isfinite(search.reported.own_scale) else 1.0
    own = noise_along(search.line, _precise_line(near, search), size, search.noise, near.probes.unit)
    return replace(search, noise=own) if own.at(first) < QUIETER * noise else None


def _at_own_scale(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with steps below |θ_i|, where a derivative that seems to vanish may be known better there.

    (t / 1e-8)⁴ at 1e-9 has a slope of 4e5 at θ, and of 1e24 at the first step: beside that, any error is small.
    """
    scale = search.reported.own_scale
    steps = [each for each in search.steps if each <= BELOW * scale]
    if search.reported.is_contradicted(found) or not found.vanishes or not steps or steps[0] >= found.step:
        return None
    if NOISE_GAIN * search.noise.near >= found.error * steps[0]:  # noise alone is as large there
        return None
    reached = search.noise._replace(reach=steps[0])
    noise = noise_along(search.line, _precise_line(near, search), scale, reached, near.probes.unit)
    return replace(search, noise=noise, steps=steps)


def _with_rounding(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with the noise of a cost that rounds to a constant, where that contradicts the report.

    1 - tanh t is 0.0 all about 25. So its scatter is 0, and its differences seem to be exact.
    """
    if not search.reported.is_contradicted(found):
        return None
    size = float(np.max(near.probes.units[search.indices]))
    noise = rounding_along(search.line, search.noise, size, near.probes.unit)
    return None if noise == search.noise else replace(search, noise=noise)


def _precise_line(near: CostNear, search: Search) -> Line | None:
    """The line of the cost in more digits."""
    return near.precise and near.precise.line(search.indices, search.moves)
