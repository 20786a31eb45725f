"""Whether somebody else's work may be in a submission: a library's gradient, this project, or a neighbour's code.

A remark is no verdict. It says what a teacher may want to look at.
"""

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.grading.parameter_roles import readings
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
    return {
        submission.name: (
            *_libraries(submission),
            *_copies(submission.name, homework[submission.name], authors),
            *_links(submission),
        )
        for submission in submissions
    }


def _copies(name: str, homework: Mapping[str, str], authors: Mapping[str, set[str]]) -> list[Fact]:
    """The functions of a submission that other submissions have as well."""
    shared = {code: authors[code] - {name} for code in homework if len(authors[code]) > 1}
    others, functions = sorted(set().union(*shared.values())), sorted(homework[code] for code in shared)
    return [note(Kind.SAME_CODE, *others, functions=functions)] if others else []


def _homework(submission: Submission) -> dict[str, str]:
    """The functions of the homework in a submission: their names by dumps of their syntax trees without docstrings."""
    wanted = {
        (function.file, function.author_name.partition(".")[0])
        for function in submission.functions
        if next(readings(function), None)
    }
    found = {}
    for file in submission.files:
        for node in ast.parse(file.text).body if file.is_own and not file.error else ():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (file.name, node.name) in wanted:
                found[ast.dump(_without_docstring(node))] = node.name
    return found


def _without_docstring(node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
    node.body = node.body[ast.get_docstring(node) is not None :] or node.body
    return node


def _libraries(submission: Submission) -> list[Fact]:
    """Libraries that the code imports, and calls for a gradient."""
    found = []
    for file in submission.files:
        imported = {name.partition(".")[0] for _, name in file.imports} & DERIVATIVES.keys()
        if not file.is_own or not imported:
            continue
        names = {
            getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "name", "")
            for node in ast.walk(ast.parse(file.text))
        }
        used = {library: [name for name in DERIVATIVES[library] if name in names or not name] for library in imported}
        found += [
            note(Kind.LIBRARY_GRADIENT, file.shown, library=f"{library}.{used[library][0]}".rstrip("."))
            for library in sorted(imported)
            if used[library]
        ]
    return found


def _links(submission: Submission) -> list[Fact]:
    """Files of a submission that are links."""
    paths = [submission.path, *(submission.path / file.shown for file in submission.files if file.is_own)]
    links = [path for path in paths if path.is_symlink()]
    return [note(Kind.LINKED_FILE, path.name, target=str(path.readlink())) for path in links]
