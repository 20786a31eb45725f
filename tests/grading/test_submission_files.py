"""Submissions found in a folder and read without running them."""

import ast
from pathlib import Path

import pytest

from harness.facts.kinds import Kind
from harness.grading.submission_code import FAILURES, Code, in_python_3, numbers_in, runnable
from harness.grading.submission_files import find_submissions, not_graded, read_submission
from tests.grading.submissions import notebook


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


COST = "def cost(theta, X, y, lam): pass"
FOLDERS = {  # the files of a folder, and those of each submission in it
    "files, notebooks and folders": (
        dict.fromkeys(("b.py", "c/d.py", "notes.txt", "empty/e.txt", "_hidden.py"), "") | {"a.ipynb": '{"cells": []}'},
        {"a.ipynb": ["a.py"], "b.py": ["b.py"], "c": ["d.py"]},
    ),
    "all files of a folder": (
        {"smith/sigmoid.py": "def sigmoid(z): pass", "smith/main.py": "from nn import *", "smith/nn.py": COST},
        {"smith": ["main.py", "nn.py", "sigmoid.py"]},
    ),
    "modules that are imported": (
        {
            "a.py": f"from tools import *\n{COST}",
            "b.py": f"import a\n{COST}",
            "more.py": "def sigmoid(z): pass",
            "tools.py": "import more",
        },
        {"a.py": ["a.py", "more.py", "tools.py"], "b.py": ["a.py", "b.py", "more.py", "tools.py"]},
    ),
    "a package that is imported": (
        {"a/nn.py": f"from tools.act import sigmoid\nimport tools.more\n{COST}"}
        | {"a/tools/act.py": "from .inner import exp\nfrom . import beside\nfrom .... import x"}
        | dict.fromkeys((f"a/tools/{name}.py" for name in ("__init__", "beside", "inner", "more", "unused")), ""),
        {"a": ["nn.py", *(f"tools/{name}.py" for name in ("__init__", "act", "beside", "inner", "more", "unused"))]},
    ),
    "folders in a folder, as archives unpack to": (
        {"smith/ex4/nn.py": COST, "smith/__MACOSX/nn.py": COST, "jones/a/x.py": "", "jones/b/y.py": ""},
        {"jones": ["a/x.py", "b/y.py"], "smith": ["ex4/nn.py"]},
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_submissions_are_found_in_a_folder_with_what_they_import(name, tmp_path, monkeypatch):
    files, expected = FOLDERS[name]
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    found = {one.name: sorted(file.name for file in one.files) for one in find_submissions(".")}
    assert found == expected


def test_entries_without_code_or_data_are_named(tmp_path):
    write(tmp_path, dict.fromkeys(("a.py", "ex.m", "data.csv", "notes/e.m", "_hidden.m"), ""))
    assert not_graded(tmp_path) == ["ex.m", "notes"]


@pytest.mark.parametrize(("folder", "message"), [("none", "is not a folder"), (".", "there is no submission in")])
def test_a_folder_without_submissions_is_refused(tmp_path, folder, message):
    with pytest.raises((OSError, ValueError), match=message):
        find_submissions(tmp_path / folder)


KEPT = {
    "import numpy as np": True,
    "from scipy.io import loadmat": True,
    "EPSILON = 0.12": True,
    "W = np.zeros((3, 3))": True,
    "g = lambda z: open(z)": True,
    "gradient = jax.jit(jax.grad(cost))": True,
    "jax.config.update('jax_enable_x64', True)": True,
    "config.update('jax_enable_x64', True)": True,
    "gradient = fitted(cost)": False,
    "def f():\n    return open('x')": True,
    "try:\n    import cv2\nexcept ImportError:\n    cv2 = None": True,
    "data = loadmat('x.mat')": False,
    "X = np.loadtxt('x.txt')": False,
    "name = input()": False,
    "print('hello')": False,
    "for i in range(9):\n    print(i)": False,
    "if __name__ == '__main__':\n    main()": False,
    "while True:\n    pass": False,
}


@pytest.mark.parametrize("statement", KEPT)
def test_definitions_are_kept_and_nothing_else_is(statement):
    tree = ast.parse(f"a = 1\n{statement}\nb = numpy, loadmat, np, jax, config, cv2\n")
    kept = runnable(tree)
    assert len(kept.body) == 2 + KEPT[statement]
    assert [node.lineno for node in kept.body] == sorted({1, 2 if KEPT[statement] else 1, kept.body[-1].lineno})
    compile(kept, "kept", "exec")


@pytest.mark.parametrize("statement", ["from .utils import sigmoid", "from utils import sigmoid", "import pkg.utils"])
def test_a_module_of_the_submission_is_imported_for_those_who_import_from_this_one(statement):
    assert len(runnable(ast.parse(f"{statement}\nimport pandas"), own=("pkg", "utils")).body) == 1


def test_statements_that_fail_are_passed_over_and_kept():
    text = (
        "import not_there\nX = data['X']; y = 2\nfrom also_not import (\n    a,\n    b)\nclass C(Base): pass\nz = a\n"
    )
    names: dict = {FAILURES: []}
    exec(compile(runnable(ast.parse(text)), "text", "exec"), names)
    assert names["y"] == 2
    failures = [type(failure).__name__ for failure in names[FAILURES]]
    assert failures == ["NameError", "ModuleNotFoundError", "NameError", "NameError"]


def test_what_sets_the_names_that_functions_read_is_kept_where_it_is_needed():
    text = "raw = load()\nX = raw['X']\nfor i in range(3): X[i] = 0\nother = load()\nprint(X)\ndef f(): return X\n"
    kept = runnable(ast.parse(text), with_needed=True)
    assert [node.lineno for node in kept.body] == [1, 2, 3, 6]


NO_NOTEBOOK = ["", "[]", "{}", '{"cells": 3}', '{"cells": [1]}', '{"cells": [{"cell_type": "code", "source": 5}]}']


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[("a.py", content) for content in (b"\xff\xfe\x00", b"\x00", b"(" * 5000, b"def")],
        *[("a.ipynb", text.encode()) for text in NO_NOTEBOOK],
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    submission = read_submission(tmp_path / name)
    assert submission is not None
    assert submission.error is not None
    assert (submission.error.kind, submission.error.where) == (Kind.NOT_READABLE, (name,))
    assert submission.error.data["reason"]
    assert "None" not in submission.error.data["reason"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("print 'a', b", "pass"),
        ("if a: print 'b'; c = 1", "if a: pass; c = 1"),
        ("try:\n  f()\nexcept E, e: pass", "try:\n  f()\nexcept E as e: pass"),
        ("try:\n  f()\nexcept (E, F), e: pass", "try:\n  f()\nexcept (E, F) as e: pass"),
        ("raise E, 'why'", "raise E('why')"),
        ("exec 'a = 1'", "exec('a = 1')"),
        ("a = b <> c", "a = b != c"),
    ],
)
def test_what_only_python_2_reads_is_said_in_python_3(statement, expected):
    assert in_python_3(statement) == Code(expected, is_python_2=True)
    assert in_python_3(expected) == Code(expected)


def test_an_unknown_encoding_is_read_as_latin_1(tmp_path):
    (tmp_path / "a.py").write_bytes(b"# coding: nonsense\nx = '\xe4'")
    submission = read_submission(tmp_path / "a.py")
    assert submission is not None
    assert (submission.error, submission.functions) == (None, ())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_begins_with_a_mark_of_its_encoding_is_read(tmp_path, encoding):
    (tmp_path / "a.py").write_text("def cost(thêta, X, y, lam): pass", encoding=encoding)
    (submission,) = find_submissions(tmp_path)
    assert submission.functions[0].parameters[0] == "thêta"


def test_numbers_of_code_are_known_and_those_of_comments_are_not():
    text = '"""5000 examples"""\nSIZES = 400, 2.5  # 5000 × 400\nprint("401", True)\n'
    assert set(numbers_in(ast.parse(text))) == {400, 2.5}


def test_a_function_is_found_again_by_its_link(tmp_path):
    text = "import numpy\n\ndef cost(t): pass\nclass Net:\n    def loss(self, X): pass\ng = lambda z: z\n"
    write(tmp_path, {"a.py": text, "b.ipynb": notebook("x = 1\n", "y = 2\ndef f(t): pass\n")})
    links = [one.link(function) for one in find_submissions(tmp_path) for function in one.functions]
    assert links == ["a.py:3 cost", "a.py:6 g", "a.py:5 Net.loss", "b.ipynb:cell 3:2 f"]


def test_lines_of_a_notebook_are_counted_by_cell(tmp_path):
    cells = ["a = 1\nb = 2", "broken (", "def f():\n    return 1 / 0"]
    (tmp_path / "a.ipynb").write_text(notebook(*cells))
    submission = read_submission(tmp_path / "a.ipynb")
    assert submission is not None
    places = [submission.files[0].place(line) for line in (1, 2, 3, 4)]
    assert places == ["cell 2, line 1", "cell 2, line 2", "cell 4, line 1", "cell 4, line 2"]
    (note,) = submission.notes
    assert (note.kind, note.data["cell"]) == (Kind.CELL_LEFT_OUT, 3)
