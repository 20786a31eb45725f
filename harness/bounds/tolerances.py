"""Tolerances that verdicts depend on, each with its reason.

A verdict compares a difference with an error bound that is derived (`harness.bounds.network_bound`) or estimated by an
oracle in `reference`. A number that one module alone needs stands in that module, such as the steps of differences in
`harness.checks.functions.step_sizes`.
"""

MEANINGLESS = {"float64": 1e-6, "float32": 1e-2, "float16": 0.05, "bfloat16": 0.1}
"""An error bound larger than this share of the derivative, or of the largest in its block, decides nothing. In float32,
sums over thousands of examples are good to three or four digits. In float16 and bfloat16 answers are rarely that good,
so a traced program is evaluated in float64 as well (`MEANT`)."""

CONFIRMED = 1e-2
"""If an oracle's error bound is below this share of `MEANINGLESS`, and an answer is as close to the oracle, the answer
is right whatever its own error bound. In saturated networks rounding errors may be large, and mostly are not."""

NEGLIGIBLE = 1e-5
"""A block whose derivatives are all below this share of the largest derivative is compared with that share of it: dead
and saturated units have derivatives of exactly zero. In a network the largest is at least 1, since predictions and
targets differ by up to 1; in any other function the size of its cost takes the place of 1."""

CONCLUSIVE_SHARE = 0.98
"""The share of coordinates that must be decided for "agree". The rest sits at kinks."""

DIRECTIONS = 3
"""Random directions along which a network is checked as a whole, in addition to one for each layer. An error of fixed
size escapes one direction with a probability below 1e-9, since its entries are continuous; more directions guard
against an unlucky kink."""

INCONCLUSIVE_SHARE = 0.2
"""The share of many random networks that may be inconclusive while the whole agrees. A fifth of them has θ at zero and
a fifth at saturation, where kinked and dead units cannot be judged."""

# -- check_gradient, where only values of the function are known ---------------------------------------------

ALL_COORDINATES = 1000
"""Up to so many parameters are differenced one by one. More are differenced in groups."""

GROUPS = 500
"""The number of groups, each with a random direction of its own."""

GROUPED = 1e-3
"""In a coordinate that was differenced only in a group, an error of this share of the largest derivative in its block
has to show. The report says which smaller errors would show."""

LONGEST = 10.0
"""The largest length of a group's direction, in steps. More entries move by less each, since the cost bends more."""

SINGLED_OUT = 300
"""So many coordinates of wrong groups are differenced one by one, to find out which mistake it is."""

ENTRIES_MOVED = 1e8
"""With very many parameters there are fewer groups, since every call copies all of θ: groups times parameters is at
most this."""

FINER_LOOKS = 12
"""So many lines that agree are differenced again with narrower steps, which show wiggles that wide steps miss."""

GRADIENT_ROUNDINGS = 64
"""The error bound of a gradient, in u times the largest entry of its block: a few dozen roundings. What rounding of θ
changes is added to it."""

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
