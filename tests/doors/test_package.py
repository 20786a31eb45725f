"""The public names, and how little `import harness` loads."""

import json
import re
import tomllib
from pathlib import Path

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


IMPORTS = ("import harness", "from autodiff_cross_check import check_gradient", "from harness.verdict import report")


@pytest.mark.parametrize("program", IMPORTS)
def test_an_import_says_what_stands_in_the_place_of_reference(program, tmp_path):
    (tmp_path / "reference.py").write_text("")
    code, _, err = run_python("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}")
    assert code == 1
    assert f"ImportError: `reference` is {tmp_path / 'reference.py'}, and not " in err


def test_a_reference_that_was_imported_in_between_is_named():
    program = "import harness, sys, types; sys.modules['reference'] = types.ModuleType('reference'); harness.Network"
    code, _, err = run_python("-c", program)
    assert (code, "`reference` is a stand-in" in err) == (1, True), err


LIGHT = {
    "import harness, reference": (),
    "import autodiff_cross_check.pytest_plugin": ("pytest",),
    "import harness\nharness.Network, harness.Problem, harness.Activation": (),
    "import harness.digits.digits_data": (),
    "import harness.sources.source_table": (),
    "import harness.training.gated_training": ("scipy", "flint"),
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


def test_every_file_states_the_same_version():
    root = Path(__file__).parents[2]
    for file in ("pyproject.toml", "CITATION.cff", "recipe/recipe.yaml"):
        assert re.search(r'version(?: =|:)? "?' + re.escape(harness.__version__), (root / file).read_text()), file


def test_the_recipe_asks_for_what_the_package_does():
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    recipe = (root / "recipe" / "recipe.yaml").read_text().replace("matplotlib-base", "matplotlib").replace(" >=", ">=")
    needed = [*project["dependencies"], f"harness = {project['scripts']['harness']}"]
    assert [each for each in needed if f"- {each}\n" not in recipe] == []
