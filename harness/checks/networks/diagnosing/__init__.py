"""Which bug is it? The zoo is played again on the problem that failed, and what gives the same answer is named.

`replaying` finds the bugs, alone and in pairs, `telling_apart` a problem on which several that fit would differ,
`explaining` puts it into words for a report, and `many_problems` is for code that can be asked on many problems.
"""
