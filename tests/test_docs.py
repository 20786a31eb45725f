"""The guides' examples run as written, and the README's claims about commands hold."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_examples_of_a_guide_run_as_written(guide):
    failed, tried = doctest.testfile(str(guide), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert failed == 0
    assert tried > 0 or ">>>" not in guide.read_text()


def test_there_are_guides_with_examples():
    assert sum(">>>" in guide.read_text() for guide in GUIDES) >= 3


def _python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("block", _python_blocks(), ids=lambda block: block.splitlines()[0])
def test_the_readme_names_only_what_there_is(block):
    import harness

    for names in re.findall(r"^from harness import (.+)$", block, flags=re.MULTILINE):
        assert all(hasattr(harness, name.strip()) for name in names.split(","))
    compile(block, "README.md", "exec")


def test_the_readme_names_every_module():
    readme = (ROOT / "README.md").read_text()
    modules = {path.stem for package in ("harness", "reference") for path in (ROOT / package).glob("*.py")}
    packages = {path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")}
    unnamed = {name for name in modules | packages if f"`{name}`" not in readme and not name.startswith("_")}
    assert unnamed <= {"objective", "line_search", "files", "importing", "parameters", "measured"}
