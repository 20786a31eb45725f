"""The guides' examples run as written, and guides and README agree with commands, modules, names and bugs."""

import doctest
import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

import harness
import harness.grading
from harness import FAULTS
from harness.cli import app
from harness.facts.kinds import Kind
from harness.museum.exhibits import EXHIBITS
from harness.study.checkers import HARNESS, PEERS
from harness.study.gradient_study import run_study
from harness.teaching.detection_limits import carried_study
from tests.benchmarks import study_page

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs").glob("*.md"))
README = (ROOT / "README.md").read_text()
TEXTS = [README, *(path.read_text() for path in GUIDES)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # long lines of a report are folded
PACKAGES = ("autodiff_cross_check", "harness", "reference")
COLUMNS = 72  # of code, where a window of 1280 pixels cuts none

COMMANDS = list(getattr(get_command(app), "commands"))  # noqa: B009


def guide(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def code_blocks(text: str) -> list[str]:
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [block for language, block in fenced if not language.startswith("{")]  # a directive, not code


@pytest.mark.more
@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_the_examples_of_a_guide_run_as_written(path):
    text = re.sub(r"^```.*$", "", path.read_text(), flags=re.MULTILINE)  # a fence is no output
    examples = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    results = doctest.DocTestRunner(optionflags=FLAGS).run(examples)
    assert results.failed == 0
    assert results.attempted > 0 or ">>>" not in text


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_code_fits_its_box(path):
    for block in code_blocks(path.read_text()):
        assert not block.endswith("\n\n"), "an empty line before the closing fence"
        assert path.name == "messages.md" or [line for line in block.splitlines() if len(line) > COLUMNS] == []


def prose_of(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in GUIDES if path.name != "index.md"], ids=lambda path: path.name)
def test_a_guide_begins_with_whom_it_is_for(path):
    title, first, *_ = prose_of(path.read_text()).split("\n\n")
    assert title.startswith("# ")
    assert first.split()[0] in ("For", "You")


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)|^\[\w+\]: (\S+)$", prose_of(path.read_text()), flags=re.MULTILINE):
        file, _, heading = "".join(target).partition("#")
        if not file.startswith("https://"):
            there = (path.parent / file) if file else path
            assert there.is_file(), file
            assert not heading or heading in {slug(line) for line in there.read_text().splitlines()}, heading


def slug(line: str) -> str:
    """The anchor of a heading, as GitHub and Sphinx make it."""
    return re.sub(r"[^\w -]", "", line.lstrip("#").strip().lower()).replace(" ", "-") if line.startswith("#") else ""


def test_commands_in_guides_have_the_options_that_they_show():
    commands = getattr(get_command(app), "commands")  # noqa: B009
    shown = [each for text in TEXTS for each in re.findall(r"\bharness (\w+)\b([^`\n]*)", text.replace("\\\n", ""))]
    assert len(shown) > 50
    for name, rest in shown:
        if name in commands:
            takes = {option for each in commands[name].params for option in (*each.opts, *each.secondary_opts)}
            assert {*re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", rest)} <= takes | {"--help"}, (name, rest)


def test_code_names_only_what_there_is():
    for block in (block for text in TEXTS for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        for names in re.findall(r"^(?:>>> )?from harness import (.+)$", block, flags=re.MULTILINE):
            named = [name.strip() for name in names.strip("()*").split(",")]
            assert [name for name in named if name and not hasattr(harness, name)] == [], block
        if ">>>" not in block:
            compile(block, "a guide", "exec")


def test_the_architecture_names_every_room_and_only_what_there_is():
    page = guide("architecture.md")
    rows = dict(re.findall(r"^\| `([^`]+)/` \| .* \| `(\w+)` \|$", page, flags=re.MULTILINE))
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert sorted(rows) == sorted(folder.relative_to(ROOT).as_posix() for folder in folders)
    named = [*(f"{room}/{module}.py" for room, module in rows.items()), *re.findall(r"`([\w/]+/(?:\w+\.\w+)?)`", page)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_messages_in_guides_end_in_kinds_that_there_are():
    shown = {kind for text in TEXTS for kind in re.findall(r"\[([a-z][a-z0-9-]+)\]$", text, flags=re.MULTILINE)}
    shown |= {kind for text in TEXTS for kind in re.findall(r"harness explain ([a-z][a-z0-9-]+)", text)}
    assert len(shown) >= 8
    assert shown - set(Kind) == set()


def test_index_and_reference_name_every_command_public_name_and_source():
    assert [name for name in COMMANDS if f"| `harness {name}" not in guide("commands.md")] == []
    rows = [rf":: harness\.{name}$" for name in harness.__all__]
    examples = "\n".join(block for block in code_blocks(guide("api.md")) if block.startswith(">>>"))
    assert [name for name in harness.__all__ if not re.search(rf"\b{name}\b", examples)] == []
    rows += [rf"^ +``{re.escape(each.name)}`` +{re.escape(each.does)}$" for each in harness.SOURCES.values()]
    assert [row for row in rows if not re.search(row, guide("api.md"), flags=re.MULTILINE)] == []


CALLED = [name for name in harness.__all__ if inspect.isroutine(getattr(harness, name))]


@pytest.mark.parametrize("name", CALLED)
def test_what_is_called_states_its_arguments_its_result_and_its_errors(name):
    function = getattr(harness, name)
    text = inspect.getdoc(function) or ""
    assert not inspect.signature(function).parameters or "Parameters\n---" in text or "the same arguments" in text
    assert "Returns\n---" in text or "Raises\n---" in text
    returned = inspect.signature(function).return_annotation
    described = inspect.getdoc(returned) or ""
    assert [field for field in getattr(returned, "__dataclass_fields__", ()) if field not in described] == []


def test_the_lesson_trains_bugs_of_the_zoo():
    table = re.findall(r"^\| `([^`]+)` \|.*%", guide("teachers.md"), flags=re.MULTILINE)
    assert len(table) >= 10
    assert set(table) <= set(FAULTS)


def test_the_museums_table_has_every_exhibit():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \|", guide("museum.md"), flags=re.MULTILINE)
    assert [name for name, _ in rows] == list(EXHIBITS)
    for name, project in rows:
        assert EXHIBITS[name].version in project


def test_the_studys_table_has_the_names_of_the_figure():
    assert {*study_page.table_cells(guide("study.md"), "gradients")} == {HARNESS, *PEERS}


# The first page


def masked(text: str) -> str:
    """On one line, without seconds, and with as many digits as every machine shows."""
    text = re.sub(r"[\d.]+e[+-]\d+ times the error bound [\d.]+e-\d+", "beyond", " ".join(text.split()))
    return re.sub(r"in [\d.]+ s\b", "in 1 s", re.sub(r"(\d\.\d{4})\d+", r"\1", text))


def assert_shown(shown: str, printed: str) -> None:
    """A block has what is printed, folded, and shortened where it has a line of three dots."""
    parts = re.split(r"^ +\.\.\.$", shown, flags=re.MULTILINE)
    assert re.fullmatch(".*".join(re.escape(masked(part)) for part in parts), masked(printed)), printed


def after(heading: str) -> list[str]:
    return [block for block in code_blocks(README[README.index(heading) :]) if block]


def test_the_first_example_prints_what_the_first_page_shows():
    example, shown, *_ = after("# Autodiff")
    with pytest.raises(AssertionError) as raised:
        exec(example, {})
    assert_shown(shown, f"AssertionError: {raised.value}")


@pytest.mark.more
def test_the_backprop_of_the_first_page_is_tested_as_it_says(run_pytest_apart, pytester):
    example, *_ = after("## If your tests")
    bug = 'from harness import FAULTS\nmy_backprop = FAULTS["bias-times-4"].source\n'
    pytester.makepyfile(test_backprop=example, my_project=bug)
    result = run_pytest_apart("--gradient-networks", 2)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*The bug bias-times-4 gives this gradient in all*", "The smallest network that still fails:", "Replay it*"]
    )


def test_the_rule_of_the_first_page_is_named_as_it_says(tmp_path):
    example, shown, *_ = after("## If you write rules")
    (tmp_path / "my_loss.py").write_text(example)
    with pytest.raises(AssertionError) as raised:
        exec(compile(example, str(tmp_path / "my_loss.py"), "exec"), {})
    assert_shown(shown, str(raised.value).replace(f"{tmp_path}/", "").removeprefix("derivatives do not agree"))


def test_the_activation_of_the_first_page_is_explained_as_it_says(capsys):
    example, shown, *_ = after("## If you invent")
    exec(example, {})
    assert_shown(shown, capsys.readouterr().out)


def test_the_first_page_is_short():
    assert len(README.split()) <= 900


def test_the_numbers_of_the_first_page_are_those_of_the_study():
    page = guide("study.md")
    _, zoo = carried_study()
    assert study_page.replace_table(page, "zoo", study_page.shares_of(zoo)) == page
    assert study_page.replace_table(README, "gradients", study_page.first_page_table(page, zoo)) == README


@pytest.mark.more
def test_the_study_of_gradients_counts_today_what_its_table_says():
    found = study_page.cells_of(study_page.counts_of(run_study(peers=())))
    assert found[HARNESS] == study_page.table_cells(guide("study.md"), "gradients")[HARNESS]


def test_the_picture_of_the_first_page_is_of_the_studys_tables():
    shares = study_page.missed_shares(guide("study.md"))
    assert len(shares) == len(study_page.STUDIES)
    for missed in shares.values():
        assert missed[HARNESS] == 0.0
        assert len(missed) >= 4
