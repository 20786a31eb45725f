"""The public names, and how little `import harness` loads."""

import json
import subprocess
import sys

import pytest

import harness

CONTRACT = [
    "Network",
    "Problem",
    "SOURCES",
    "cross_check",
    "check_gradient",
    "assert_gradients_agree",
    "train",
    "GateClosed",
    "TrainingResult",
    "predict",
    "fmincg",
    "load_digits",
    "Activation",
    "register",
    "ACTIVATIONS",
    "FAULTS",
    "Report",
    "strategies",
    "load_case",
    "save_case",
]

HEAVY = ["jax", "jaxlib", "matplotlib", "hypothesis", "scipy", "pytest", "torch", "flint", "mlxtend"]

SOURCE_NAMES = ["loop", "vectorized", "jax", "jax-forward", "finite-difference", "complex-step", "ball"]


def in_a_fresh_python(program):
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def loaded_by(program):
    return in_a_fresh_python(f"{program}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))")


@pytest.mark.parametrize("name", CONTRACT)
def test_public_names_can_be_imported(name):
    assert getattr(harness, name) is not None
    assert name in harness.__all__
    assert name in dir(harness)
    namespace = {}
    exec(f"from harness import {name}", namespace)
    assert namespace[name] is getattr(harness, name)


def test_every_name_that_is_announced_is_there():
    for name in harness.__all__:
        assert getattr(harness, name) is not None
    assert sorted(set(harness.__all__)) == sorted(harness.__all__)
    namespace = {}
    exec("from harness import *", namespace)
    assert set(harness.__all__) <= set(namespace)


def test_what_editors_complete_before_anything_was_used():
    listed = in_a_fresh_python("import json, harness\nprint(json.dumps(dir(harness)))")
    assert set(CONTRACT) <= set(listed)
    assert "__version__" in listed


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'harness' has no attribute 'crosscheck'"):
        harness.crosscheck  # noqa: B018
    with pytest.raises(ImportError):
        exec("from harness import crosscheck")


def test_sources_go_by_the_names_of_the_contract():
    assert set(harness.SOURCES) >= set(SOURCE_NAMES)


@pytest.mark.parametrize(
    "program",
    [
        "import harness",
        "import harness, reference",
        "import harness\nharness.Network, harness.Problem, harness.Activation",
    ],
    ids=["harness", "reference", "the first names"],
)
def test_importing_loads_nothing_heavy(program):
    assert not set(HEAVY) & set(loaded_by(program))


def test_the_command_line_answers_without_anything_heavy():
    program = (
        "import contextlib, io, sys\n"
        "from harness.cli import main\n"
        "for arguments in (['--help'], ['check', '--help'], ['train', '--help']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
    )
    assert not set(HEAVY) & set(loaded_by(program))
