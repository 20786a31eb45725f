"""A class of submissions graded, and one function diagnosed, in any convention of their arguments and answers.

`submission_files` finds submissions and `submission_functions` the functions in them, without running them.
`convention_search` finds out how they are called, in a `submission_process`. `submission_grading` judges the answers to
`exercises` and replays the bug zoo on them; `answer_evidence` looks for patterns in wrong answers; `grade` gives
points. `function_diagnosis` calls one function on many problems.
"""
