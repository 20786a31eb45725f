"""The public names, and how little `import harness` loads."""

import json

import pytest
from programs import run_python

import harness

CONTRACT = str.split(
    "Network Problem SOURCES cross_check check_gradient assert_gradients_agree train GateClosed TrainingResult predict "
    "fmincg load_digits Activation register ACTIVATIONS FAULTS Report strategies load_case save_case"
)

HEAVY = ["jax", "jaxlib", "matplotlib", "hypothesis", "scipy", "pytest", "torch", "flint", "pandas", "mlxtend"]


def in_a_fresh_python(program):
    code, out, err = run_python("-c", program)
    assert code == 0, err
    return json.loads(out)


def loaded_by(program):
    return in_a_fresh_python(f"{program}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))")


def test_public_names_can_be_imported():
    assert sorted(set(harness.__all__)) == sorted(harness.__all__)
    namespace = {}
    exec("from harness import *", namespace)
    for name in (*CONTRACT, *harness.__all__):
        assert namespace[name] is getattr(harness, name) is not None
        assert name in dir(harness)
    listed = in_a_fresh_python("import json, harness\nprint(json.dumps(dir(harness)))")  # what editors complete
    assert {*CONTRACT, "__version__"} <= set(listed)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'harness' has no attribute 'crosscheck'"):
        harness.crosscheck  # noqa: B018
    with pytest.raises(ImportError):
        exec("from harness import crosscheck")


LIGHT = {
    "import harness, reference": (),
    "import harness\nharness.Network, harness.Problem, harness.Activation": (),
    "import harness.digits.data": (),
    "import harness.sources.source_table": (),
    "import harness.training.training": ("scipy", "flint"),
}
"""Programs, and which heavy packages they may load."""


@pytest.mark.more
@pytest.mark.parametrize("program", LIGHT)
def test_importing_loads_nothing_heavy(program):
    assert set(HEAVY) & set(loaded_by(program)) <= {*LIGHT[program]}


def test_the_command_line_answers_without_anything_heavy():
    program = (
        "import contextlib, io, sys\n"
        "from harness.cli import main\n"
        "for arguments in (['--help'], ['check', '--help'], ['train', '--help']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
    )
    assert not set(HEAVY) & set(loaded_by(program))
