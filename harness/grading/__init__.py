"""A class of submissions graded: does each compute the cost and the gradient, in whatever convention it has?

`reading` finds submissions and the functions in them, without running them; `conventions` says how they may be called,
and `asking` finds out by trying, in a process of its own; `grading` judges, with the bug zoo played again; `rubric`
gives points, and `table`, `page` and `feedback` write what came out.
"""
