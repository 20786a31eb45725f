"""The chosen numbers that verdicts depend on, each with its reason.

A verdict compares a difference with an error bound, which is derived (`harness.bounds.network_bound`) or estimated by
an oracle. The steps of an oracle stand with it in `reference`, and a number that one module alone uses stands in that
module, as in `harness.checks.functions.slope_search`. All others are here.
"""

MEANINGLESS = {"float64": 1e-6, "float32": 1e-2, "float16": 0.05, "bfloat16": 0.1}
"""A bound wider than this share of the coordinate, or of the largest in its block, decides nothing: inconclusive. In
float32, sums over thousands of examples keep three or four digits. Gradients in float16 and bfloat16 rarely keep as
many; there a traced program is evaluated in float64 as well (`MEANT`), or the verdict is inconclusive."""

CONFIRMED = 1e-2
"""Where an oracle knows a number to this share of `MEANINGLESS`, and an answer is as near to it, a wide rounding bound
is no obstacle: in saturated networks rounding could do much, and mostly does not."""

NEGLIGIBLE = 1e-5
"""A block whose derivatives are all below this share (of the network's largest, or of 1, since predictions and targets
differ by up to one) is compared absolutely: dead and saturated units have derivatives of exactly zero. For any other
function, the size of its cost takes the place of 1."""

CONCLUSIVE_SHARE = 0.98  # The share of coordinates that must be decided for the verdict "agree". The rest sit at kinks.

DIRECTIONS = 3
"""Random directions in all of θ, beside one for each layer. An error of fixed size escapes one direction with a
probability below 1e-9, since the entries are continuous; more directions guard against an unlucky kink."""

INCONCLUSIVE_SHARE = 0.2
"""The share of many random networks that may be inconclusive while the whole agrees: the distribution puts a fifth of
its θ at zero and a fifth at saturation, where kinked and dead units cannot be judged."""

# -- check_gradient: functions of which only the values are known ------------------------------------------------------

ALL_COORDINATES = 1000  # up to this number of parameters, each is differenced by itself; more are differenced in groups

GROUPS = 500  # the number of groups, each with a random direction of its own

GROUPED = 1e-3
"""Where a coordinate was differenced in a group alone, an error of this share of the largest derivative in its block
must be visible. The report states the smallest error that would have been seen."""

LONGEST = 10.0  # the longest direction of a group, in steps: more entries move by less each, since the cost bends more

SINGLED_OUT = 300  # coordinates of wrong groups that are differenced one by one, for the diagnosis

ENTRIES_MOVED = 1e8
"""Entries moved in all groups together, for each point of a stencil: very many parameters have fewer groups, since
every call moves all of them."""

MOST_HIDDEN = 3e-4
"""Noise of a share r of the derivative leaves a forward difference √r of it at best: h of truncation beside r/h. Where
that is more than `MEANINGLESS`, as beside a cost of 1e9, it takes its place, up to this share."""

GRADIENT_ROUNDINGS = 64
"""The tolerance of a gradient in u times the largest entry of its block, beside the effect of rounding θ: a few dozen
roundings."""

# -- check_derivatives: functions of which the whole program is known --------------------------------------------------

NARROW = 2.0 / 3.0
"""A derived bound is used where it keeps this share of the digits, u^(2/3) of the block's largest: 2e-11 in float64, so
that an error of 1e-9 in one term stands out. A wider bound is true, but an estimate detects more."""

RANDOM_ROUNDINGS = 6
"""Runs of JAX's own program, each rounded at random. The largest of six deviations is below a quarter of their standard
deviation once in 10,000 times."""

RANDOM_INCREMENTS = 3
"""The same for increments, whose errors are rarely as large as those of the derivative that they judge."""

SPREAD_FACTOR = 16.0
"""An estimated error bound is this multiple of the largest deviation among the randomly rounded runs."""

COARSE_SPREAD_FACTOR = 4.0  # the same in float16 and bfloat16, whose functions are computed in float32 and rounded once

MEANT = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 2.4e-2}
"""The tolerance of a rule for a coarse type that is evaluated in float64, as a share of the largest of its block: some
six roundings of float16 or bfloat16, for constants and for truncated series; in float32 a thousand, for the slope of a
polynomial that is itself good to a rounding."""

MEANT_FACTOR = 2.0
"""A multiple of the change that another rounding of a rule's constants makes, added to `MEANT`: the largest of three
runs, which need not have the worst signs."""

ABSOLUTE = {"float64": 1e-5, "float32": 1e-3, "float16": 1e-5, "bfloat16": 1e-5}
"""Errors of derivatives below this share of the function's own terms, divided by its argument, are accepted where its
program cannot do better; the report notes the lost digits. Programs in float16 and bfloat16, which are rarely that
accurate, are evaluated in float64."""

ALL_ENTRIES = 4096
"""Up to this number of derivatives, inputs times outputs, each is compared; beyond, random combinations of outputs."""

DENSE_COMBINATIONS = 2
"""Random combinations of the outputs. An error of one output shows in each; two guard against chance."""

NO_DIGIT = 0.1  # a derivative that is off by more than this share of the true one has no correct decimal digit

SOLVERS_FACTOR = 4.0
"""A multiple of the change that a finer tolerance of a solver makes; what remains below that is a thousandth or so."""

TOLERANCES_LEFT = 32.0
"""A solver that stops at a tolerance leaves at most so many times it, as a share of the derivative: the error of a
fixed point is its last step over 1 - k, where k is the factor by which steps shrink."""

DERIVATIVE_ROUNDINGS = 16
"""The tolerance of a derivative in u times the largest of its block, beside the spread of the randomly rounded runs."""

SAMPLED_INPUTS = 64  # inputs that are checked one by one where a traced function has more than `ALL_COORDINATES`

RANDOM_ENDS = 8  # random directions in those inputs of a traced function that are not checked one by one

DIFFERENCED = 6  # inputs along which a traced function's values are differenced, beside as many that look wrong
