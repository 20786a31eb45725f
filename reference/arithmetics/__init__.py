"""Numbers that carry something beside their value, so that one formula runs in several arithmetics.

Rounding errors (`rounded`), derivatives (`tangent`), finite increments (`increments`) and certified radii (`balls`);
`companion` is what the first three share, `roundoff` the size of a rounding. Everything above may import this room; it
imports nothing but the ground floor of `reference`.
"""
