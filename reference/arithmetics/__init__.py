"""Arithmetics over which a formula runs: numbers that carry something beside their value.

What a number carries, and how far that may be trusted:

- `rounded`: E, a bound on abs(computed - exact). Proved for sums, products and quotients, in any order; the error of
  one call of exp, tanh, ... is measured.
- `increments`: dx, so that the number stands for x and for x + dx. An exact identity for each operation: dx is off by a
  few roundings of itself, and no step is too small.
- `tangent`: f', as automatic differentiation computes it. The rules are exact; how far they round is known where both
  parts are `Rounded`.
- `balls`: a radius, and a slope with a radius of its own. Proved, rounding included, by Arb.
- `taylor`: on a whole cell of z a polynomial with a bound on the rest, and two ends. Proved for all z of the cell,
  given the measured error of one call.
- `central_differences` needs values alone, and carries nothing. Its errors are estimated, not bounded.

`companion` is the base of the first three and of `taylor`. `elementary` has one record for each elementary function,
of the type in `elementary_record`. `composed` states other functions in terms of these, and `roundoff` is the size of a
rounding.
"""
