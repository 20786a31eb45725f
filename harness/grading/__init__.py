"""A class of submissions graded, and one of them diagnosed: is it right, in whatever convention it has?

`reading` finds submissions and the functions in them, without running them; `calling` says how they may be called, and
`asking` finds out by trying, in a process of its own; `grading` judges, with the bug zoo played again, on the problems
of `problems`; `evidence` says whether a wrong answer was understood, and `helpers` judges what lies beside; `rubric`
gives points. `diagnosing` asks one function on many problems.
"""
