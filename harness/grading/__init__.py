"""A class of submissions graded, and one function diagnosed, in any convention of their arguments and answers.

How a grade comes about; a step uses the modules of its own line and of those above:

1. files, read without running anything         submission_files: submission_texts
2. the functions in them, and their parameters  submission_functions, class_methods: parameter_roles
3. a process of their own                       submission_process: submission_loader, submission_code
4. problems, and their right answers            exercises: cost_formulas
5. a convention tried on the first problem      convention_search: call_conventions, convention_failures
6. cost and gradient in what is returned        submission_interface: submission_answers
7. the best functions and conventions           best_attempts
8. answers to all problems                      given_answers
9. parts, points and helpers                    grade: helper_checks
10. bugs that explain what is wrong             wrong_answers: other_exercises
11. the grade of one submission, and of many    submission_grading, class_grading: submission_remarks
12. tables, pages and feedback                  class_tables, grade_reports: student_feedback, error_picture

`harness diagnose` takes a single function through the steps up to 10, on many problems (`function_diagnosis`).
"""

from enum import StrEnum


class Hints(StrEnum):
    """How much a student's page tells: which part is wrong, in which layers as well, or the bug by its name."""

    PART = "part"
    LAYER = "layer"
    BUG = "bug"
