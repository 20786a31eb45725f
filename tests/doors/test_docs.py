"""The guides' examples run as written, and guides and README agree with commands, modules, names and bugs."""

import doctest
import re
from pathlib import Path

import pytest
from typer.main import get_command

import harness
from harness import FAULTS
from harness.cli import app
from harness.commands.catalogue_commands import as_markdown
from harness.facts.kinds import Kind
from harness.museum.exhibits import EXHIBITS
from harness.study.checkers import HARNESS, PEERS
from tests.benchmarks.missed_figure import STUDIES, missed_shares

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


def test_there_are_guides_with_examples():
    assert sum(">>>" in path.read_text() for path in GUIDES) >= 3


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_code_fits_its_box(path):
    for block in code_blocks(path.read_text()):
        assert not block.endswith("\n\n"), "an empty line before the closing fence"
        assert path.name == "messages.md" or [line for line in block.splitlines() if len(line) > COLUMNS] == []


def test_code_names_only_what_there_is():
    for block in (block for text in TEXTS for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        for names in re.findall(r"^(?:>>> )?from harness import (.+)$", block, flags=re.MULTILINE):
            named = [name.strip() for name in names.strip("()*").split(",")]
            assert [name for name in named if name and not hasattr(harness, name)] == [], block
        if ">>>" not in block:
            compile(block, "a guide", "exec")


def test_the_architecture_names_every_module_in_its_room_and_no_other():
    rows = re.findall(r"^\| [^|`]*`([^`]+)/` \| ([^|]+) \|", guide("architecture.md"), flags=re.MULTILINE)
    named = {f"{room}/{name}" for room, modules in rows for name in re.findall(r"`(\w+)`", modules)}
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    there = {path.relative_to(ROOT).with_suffix("").as_posix() for path in paths if not path.stem.startswith("_")}
    assert (sorted(there - named), sorted(named - there)) == ([], []), "modules without a name, names without a module"


def test_the_page_of_messages_is_that_of_the_table():
    assert guide("messages.md") == as_markdown(), "run: make messages"


def test_messages_in_guides_end_in_kinds_that_there_are():
    shown = {kind for text in TEXTS for kind in re.findall(r"\[([a-z][a-z0-9-]+)\]$", text, flags=re.MULTILINE)}
    shown |= {kind for text in TEXTS for kind in re.findall(r"harness explain ([a-z][a-z0-9-]+)", text)}
    assert len(shown) >= 8
    assert shown - set(Kind) == set()


def test_index_and_reference_name_every_command_public_name_and_source():
    assert [name for name in COMMANDS if f"| `harness {name}" not in guide("index.md")] == []
    rows = [rf":: harness\.{name}$" for name in harness.__all__]
    examples = "\n".join(block for block in code_blocks(guide("api.md")) if block.startswith(">>>"))
    assert [name for name in harness.__all__ if not re.search(rf"\b{name}\b", examples)] == []
    rows += [rf"^ +``{re.escape(each.name)}`` +{re.escape(each.does)}$" for each in harness.SOURCES.values()]
    assert [row for row in rows if not re.search(row, guide("api.md"), flags=re.MULTILINE)] == []


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
    for checker in (HARNESS, *PEERS):
        assert re.search(rf"^\| \**{re.escape(checker)}\** \|", guide("study.md"), flags=re.MULTILINE), checker


# The first page


def masked(text: str) -> str:
    """Without seconds, and with as many digits as every machine shows."""
    return re.sub(r"in [\d.]+ s$", "in ... s", re.sub(r"(\d\.\d{9})\d+", r"\1...", text), flags=re.MULTILINE)


def after(heading: str) -> list[str]:
    return [block for block in code_blocks(README[README.index(heading) :]) if block]


def test_the_first_example_prints_what_the_first_page_shows():
    example, shown, *_ = after("# Autodiff")
    with pytest.raises(AssertionError) as raised:
        exec(example, {})
    assert masked(f"AssertionError: {raised.value}\n") == masked(shown)


def test_the_rule_of_the_first_page_is_named_as_it_says(tmp_path):
    example, shown, *_ = after("## If you write rules")
    (tmp_path / "my_loss.py").write_text(example)
    with pytest.raises(AssertionError) as raised:
        exec(compile(example, str(tmp_path / "my_loss.py"), "exec"), {})
    said = [few_digits(line.replace(f"{tmp_path}/", "")) for line in str(raised.value).splitlines()]
    assert [line for line in few_digits(shown).splitlines() if line not in said] == []


def few_digits(text: str) -> str:
    """Of the numbers in float32 what every machine computes alike."""
    return re.sub(r"(\d\.\d{4})\d+", r"\1...", re.sub(r"[\d.]+e\+06 times the bound [\d.]+e-07", "...", text))


def test_the_first_page_is_short_and_its_links_lead_somewhere():
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    assert len(prose.split()) <= 900
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_the_first_page_and_the_study_say_the_same():
    """The page counts what is missed, the study what is caught."""
    of_the_study = guide("study.md").partition("## Functions of your own")[2].partition("\n## ")[0]
    table = re.findall(r"^\| \**([^|*]+?)\** \| (.+?) \| (.+?) \| (.+?) \|", of_the_study, flags=re.MULTILINE)
    caught = {name: cells for name, *cells in table}
    rows = re.findall(r"^\| \**([^|*]+?)\** \| (\d+) \| (\d+) \| (\d+) \| \d+ \|$", README, flags=re.MULTILINE)
    assert len(rows) == 5
    for name, missed, shipped, accused in rows:
        numbers = [int(re.search(r"\d+", cell)[0]) for cell in caught[name]]  # pyright: ignore[reportOptionalSubscript]
        assert numbers == [347 - int(missed), 30 - int(shipped), int(accused)], name


def test_the_picture_of_the_first_page_is_of_the_studys_tables():
    shares = missed_shares(guide("study.md"))
    assert [title.partition(" (")[0] for title in shares] == list(STUDIES.values())
    for missed in shares.values():
        assert missed[HARNESS] == 0.0
        assert len(missed) >= 4
    (functions, *_) = shares.values()
    assert functions["torch gradcheck"] == pytest.approx(100.0 * 28 / 347)
