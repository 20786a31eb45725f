"""A class of submissions graded, and one function diagnosed, in any convention of their arguments and answers.

How a grade comes about:

1. Submissions are found: files, notebooks and folders, and the functions in them, without running anything.
   (`submission_files`, `submission_texts`; `submission_functions`, `class_methods`)
2. The code is loaded in a process of its own, with stand-ins for modules that are not there, and is called there.
   (`submission_process`, `submission_loader`, `submission_code`)
3. Each function that may give a cost or a gradient is called in many conventions, on problems of several shapes, until
   one gives the right answer. What fails rules out conventions that must fail as well. (`convention_search`;
   `parameter_roles`, `call_conventions`, `convention_failures`, `exercises`, `submission_answers`)
4. Where none is right, the likeliest convention is taken: one in which a bug of the zoo explains the answer, or in
   which patterns in it show that the function was understood. (`best_attempts`, `answer_evidence`)
5. Cost, gradient and regulariser are judged, each by itself, and the usual helpers beside them. Another exercise's
   homework is told as such. (`submission_grading`; `submission_interface`, `helper_checks`, `other_exercises`)
6. The bugs of the zoo that explain what is wrong become facts, and the rubric makes points of the parts.
   (`submission_grading`, `grade`; `submission_remarks`)
7. A class is graded submission by submission, and each grade is kept at once. Tables, pages and feedback are made from
   the grades. (`class_grading`; `class_tables`, `grade_reports`, `student_feedback`, `error_picture`)

`harness diagnose` takes a single function through the same search, and explains it on many problems
(`function_diagnosis`).
"""

from enum import StrEnum


class Hints(StrEnum):
    """How much a student's page tells: which part is wrong, in which layers as well, or the bug by its name."""

    PART = "part"
    LAYER = "layer"
    BUG = "bug"
