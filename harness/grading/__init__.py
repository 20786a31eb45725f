"""A class of submissions graded, and one function diagnosed, in any convention of their arguments and answers.

How a grade comes about; a step uses the modules of its own line and of those above:

1. functions in code, and their parameters      submission_functions, class_methods: submission_code, parameter_roles
2. files, read without running anything         submission_files
3. a process of their own                       submission_process: submission_loader
4. conventions of arguments and answers         call_conventions, submission_answers
5. problems, and their right answers            exercises: cost_formulas
6. cost and gradient in what is returned        submission_interface
7. the best functions and conventions           best_attempts
8. answers to many problems                     given_answers
9. a convention found on the first problem      convention_search
10. parts, points and helpers                   grade: helper_checks
11. bugs that explain what is wrong             wrong_answers
12. a submission graded, or a function alone    submission_grading, function_diagnosis
13. pages and feedback                          grade_reports: student_feedback
14. a class graded, and its tables              class_grading, class_tables

`harness diagnose` takes a single function through the steps up to 11, on many problems.
"""

from enum import StrEnum


class Hints(StrEnum):
    """How much a student's page tells: which part is wrong, in which layers as well, or the bug by its name."""

    PART = "part"
    LAYER = "layer"
    BUG = "bug"
