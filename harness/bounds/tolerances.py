"""The numbers that were chosen and that a verdict depends on, each with its reason.

A verdict compares a difference with a bound that is derived (`harness.bounds.network_bound`) or estimated by an
oracle, whose steps stand with the oracle in `reference`. What one module alone chooses stands in that module, as in
`harness.checks.functions.step_sizes`; what is left is here.
"""

MEANINGLESS = {"float64": 1e-6, "float32": 1e-2, "float16": 0.05, "bfloat16": 0.1}
"""A bound wider than this share of the coordinate, or of the largest in its block, decides nothing: inconclusive. In
float32, sums over thousands of examples are good to three or four digits. In half a float answers are hardly ever as
good as that by themselves; there a traced program is run in float64 as well (`MEANT`), and what cannot be run so stays
open."""

CONFIRMED = 1e-2
"""An oracle that knows a number to this share of what is meaningless, and an answer as near to it, leave nothing in
doubt there: in saturated networks rounding might do much, and mostly does not."""

NEGLIGIBLE = 1e-5
"""A block whose derivatives are all below this (of the network's largest, or of 1, for predictions and targets differ
by up to one) is compared absolutely: dead and saturated units have derivatives of exactly zero. For any other function,
the size of its cost takes the place of 1."""

CONCLUSIVE_SHARE = 0.98
"""The share of coordinates that must be decided before a network may be called agreed. The rest sit at kinks."""

DIRECTIONS = 3
"""Random directions tried end to end, beside one for each layer. An error of fixed size escapes one direction with a
probability below 1e-9, since the entries are continuous; more directions guard against an unlucky kink."""

INCONCLUSIVE_SHARE = 0.2
"""Of many random networks, the share that may be inconclusive while the whole is called agreed: the distribution puts a
fifth of its θ at zero and a fifth at saturation, where kinked and dead units cannot be judged."""

# -- check_gradient, where nothing is known of the function but its values ---------------------------------------------

ALL_COORDINATES = 1000
"""Up to so many parameters, each is differenced by itself. More are taken together in groups."""

GROUPS = 500
"""Groups in which more parameters are differenced, each along a random direction of its own."""

GROUPED = 1e-3
"""Of a coordinate that was differenced in a group alone, an error of this share of the largest derivative in its block
has to be visible. What else may hide in it is told: the smallest error that would have been seen."""

LONGEST = 10.0
"""How far a group's direction may reach, in steps: more entries are moved by less each, since the cost bends more."""

SINGLED_OUT = 300
"""Where groups are wrong, so many coordinates of theirs are differenced one by one, for the diagnosis."""

ENTRIES_MOVED = 1e8
"""Of very many parameters there are fewer groups, since every call moves all of them: so many in all, for each
point of a stencil."""

FINER_LOOKS = 12
"""Of the lines that agree, so many are looked at again with narrower steps, where wiggles may hide from the first."""

GRADIENT_ROUNDINGS = 64
"""What a gradient may be off by, in u times the largest entry of its block, beside what rounding of θ makes of it: a
few dozen roundings."""

# -- check_derivatives, where the whole program is known ---------------------------------------------------------------

NARROW = 2.0 / 3.0
"""A derived bound counts where it leaves so many of the digits, u^(2/3) of the block's largest: 2e-11 in float64, so
that 1e-9 of one term stands out. A wider one is still true, and yet an estimate sees more."""

RANDOM_ROUNDINGS = 6
"""Runs of JAX's own program, each rounded at random: the largest of six deviations is below a quarter of their standard
deviation once in 10,000 times."""

RANDOM_INCREMENTS = 3
"""The same for increments, whose errors are hardly ever near those of the derivative that they judge."""

SPREAD_FACTOR = 16.0
"""An error bar is so many times the farthest of the randomly rounded runs."""

COARSE_SPREAD_FACTOR = 4.0
"""The same in float16 and bfloat16, whose functions are computed in float32 and rounded once."""

MEANT = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 2.4e-2}
"""What the formula of a rule in a coarse type, run in float64, may be off by, beside the largest of its block: some six
roundings of half a float, for constants and for series that end where a rounding begins; in float32 a thousand, for
the slope of a polynomial that is itself good to a rounding."""

MEANT_FACTOR = 2.0
"""So many times what another rounding of a rule's constants moves is allowed beside that: of three runs the farthest,
which may not have the worst of all signs."""

ABSOLUTE = {"float64": 1e-5, "float32": 1e-3, "float16": 1e-5, "bfloat16": 1e-5}
"""Errors of derivatives below this share of the function's own terms, over its argument, count as nothing beside them,
if its program cannot do better: digits lost within are told, and are no verdict. In half of a float, whose own answers
are hardly ever that good, the program runs in float64."""

ALL_ENTRIES = 4096
"""Up to so many derivatives, inputs times outputs, each is compared; of more, random combinations of outputs are."""

DENSE_COMBINATIONS = 2
"""Random combinations of the outputs: an error of one output shows in each; two, so that none is lost by chance."""

SOLVERS_FACTOR = 4.0
"""So many times what a finer tolerance moves is allowed: what a solver leaves below it is a thousandth or so."""

DERIVATIVE_ROUNDINGS = 16
"""What a derivative may be off by, in u times the largest of its block, beside what the randomly rounded runs show."""

SAMPLED_INPUTS = 64
"""Of more than `ALL_COORDINATES` inputs of a traced function, so many are looked at one by one."""

RANDOM_ENDS = 8
"""Random directions that take in the inputs of a traced function that are not looked at one by one."""

DIFFERENCED = 6
"""Inputs along which a traced function's values are differenced, beside as many that look wrong."""
