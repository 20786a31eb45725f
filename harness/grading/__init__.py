"""A class of submissions graded, and one function diagnosed: is it right, in whatever convention it has?

`submission_files` finds submissions and `submission_functions` the functions in them, without running them.
`convention_search` finds out how they are called, in a `submission_process`. `submission_grading` judges the answers to
`exercises`, with the bug zoo played again; `answer_evidence` says what can be seen in wrong ones; `rubric` gives
points. `function_diagnosis` calls one function on many problems.
"""
