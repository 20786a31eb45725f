"""Whether somebody else's work may be in a submission: a library's gradient, this project, or a neighbour's code.

A remark is no verdict. It says what a teacher may want to look at.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.grading.submission_files import Submission

DERIVATIVES = {
    "jax": ("grad", "value_and_grad", "jacrev", "jacfwd", "vjp", "jvp"),
    "autograd": ("grad", "value_and_grad", "elementwise_grad", "jacobian"),
    "torch": ("backward", "grad"),
    "tensorflow": ("GradientTape", "gradients"),
    "numdifftools": ("Gradient", "Jacobian"),
    "scipy": ("approx_fprime", "approx_derivative"),
    "sklearn": ("MLPClassifier",),
    "keras": ("fit",),
    "harness": ("",),
}
"""By library: the names with which it computes a gradient; any name of this project's own."""

Remarks = Mapping[str, tuple[Fact, ...]]


def remarks_on(submissions: Sequence[Submission]) -> Remarks:
    """The remarks on each submission of a class, by its name."""
    homework = {submission.name: _homework(submission) for submission in submissions}
    authors: dict[str, set[str]] = defaultdict(set)
    for name, codes in homework.items():
        for code in codes:
            authors[code].add(name)
    found = {}
    for submission in submissions:
        # the functions that other submissions have as well
        shared = {code: authors[code] - {submission.name} for code in homework[submission.name]}
        others = sorted(set().union(*shared.values()))
        functions = sorted(homework[submission.name][code] for code in shared if shared[code])
        copies = [note(Kind.SAME_CODE, *others, functions=functions)] if others else []
        found[submission.name] = (*_libraries(submission), *copies, *_links(submission))
    return found


def _homework(submission: Submission) -> dict[str, str]:
    """The functions of the homework in a submission: their names by what is in them, without docstrings."""
    wanted = {(function.file, function.author_name.partition(".")[0]) for function in submission.homework}
    found = {}
    for file in submission.files:
        for node in file.tree.body if file.is_own else ():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (file.name, node.name) in wanted:
                fields: dict[str, Any] = {"body": node.body[ast.get_docstring(node) is not None :] or node.body}
                found[ast.dump(type(node)(**vars(node) | fields))] = node.name
    return found


def _libraries(submission: Submission) -> Iterator[Fact]:
    """Libraries that the code imports, and calls for a gradient."""
    for file in submission.files:
        nodes = ast.walk(file.tree) if file.is_own else ()
        names = {
            getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "name", "") for node in nodes
        }
        for library in sorted(file.libraries & DERIVATIVES.keys() if file.is_own else ()):
            used = [name for name in DERIVATIVES[library] if name in names or not name]
            if used:
                yield note(Kind.LIBRARY_GRADIENT, file.shown, library=f"{library}.{used[0]}".rstrip("."))


def _links(submission: Submission) -> list[Fact]:
    """Files of a submission that are links."""
    paths = [submission.path, *(submission.path / file.shown for file in submission.files if file.is_own)]
    return [note(Kind.LINKED_FILE, path.name, target=str(path.readlink())) for path in paths if path.is_symlink()]
