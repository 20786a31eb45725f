"""Arithmetics over which a formula runs: numbers that carry something beside their value.

- `elementary` has one record for each elementary function, of the type in `elementary_record`; `composed` states other
  functions in terms of these.
- `rounded` carries rounding errors, `tangent` derivatives, `increments` finite increments; `companion` is their base.
- `balls` carries certified radii, and `taylor` encloses a formula on whole cells.
- `branch_log` logs where a formula may change its branch.
- `central_differences` needs values alone; `roundoff` states the size of a rounding.
"""
