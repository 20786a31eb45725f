"""The table of messages: a message and an entry for each kind, in a few plain words, whose example shows the kind."""

import logging
import re
import warnings
from typing import Any

import numpy as np
import pytest

from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt, kinds_of, note, wrong
from harness.facts.homework_messages import HELPER_FAULTS
from harness.facts.kinds import Kind
from harness.facts.message_table import MESSAGES, Explanation, explain, explanations, page, say, sections
from harness.facts.templates import in_words

LONGEST_SENTENCE = 30
"""Words. Places and numbers count as words here, so a message may have a few more than the 20 of its own."""

PRIVATE = re.compile(
    r"\b(told|tells|asked|claim(s|ed)?|excuses?|seams?|error bars?|at odds|truths?|misconduct|vague|treads?)\b"
)
"""Words that only this project used in its own sense."""

PROGRAMS = [kind for kind, entry in explanations().items() if not entry.example.startswith(("# ", "$ "))]


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+(?=\S)", text.strip()) if part]


def test_every_kind_has_a_message_and_one_entry():
    assert sorted(MESSAGES) == sorted(Kind)
    assert sorted(kind for section in sections().values() for kind in section) == sorted(Kind)
    assert sorted(re.findall(r"^### (.+)$", page(), flags=re.MULTILINE)) == sorted(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_row_says_everything_in_a_few_plain_sentences(kind):
    entry, message = explanations()[kind], MESSAGES[kind]
    for text in (entry.meaning, entry.cause, entry.advice):
        assert re.fullmatch(r"[^\s].*[.!?)]", text), text
        assert max(len(sentence.split()) for sentence in sentences(text)) <= 25, text
        assert text in explain(kind)
    assert entry.example.strip() == entry.example != ""
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind)
    message = message if isinstance(message, str) else ""
    assert not PRIVATE.search(" ".join((entry.meaning, entry.cause, entry.advice, entry.example, message)))
    data = {name: 2 for name in re.findall(r"{(\w+)", message) if name != "where"}
    filled = in_words(message, Fact(kind, where=("a", "b"), data=data))
    assert "{" not in filled
    assert len(sentences(filled)) <= 2


def said_by(program):
    """What a program reports: the messages of its `report`, or of its warnings, log entries and error."""
    scope: dict[str, Any] = {"__name__": "example"}
    said: list[str] = []
    log = logging.Handler()
    log.emit = lambda record: said.append(record.getMessage().partition(": ")[2])
    logger = logging.getLogger("harness.drop_in")
    level = logger.level
    logger.addHandler(log)
    logger.setLevel("INFO")
    with np.errstate(all="ignore"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            exec(program, scope)
        except Exception as error:  # noqa: BLE001  a drop-in fails with the report, or as the original does
            scope["report"] = getattr(error, "report", None)
        finally:
            logger.removeHandler(log)
            logger.setLevel(level)
    said += [str(warning.message) for warning in warned]
    if report := scope.get("report"):
        said += map(say, report.every_fact() if hasattr(report, "every_fact") else report.reasons)
    return [message for text in said for message in re.split(r"(?<=[a-z0-9]\]) ", text)]


@pytest.mark.more
@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_example_of_a_row_makes_its_kind_and_the_message_reads_well(kind):
    said = said_by(explanations()[kind].example)
    (text, *_) = [text for text in said if text.endswith((f". [{kind}]", f"? [{kind}]", f": [{kind}]"))] or [None]
    assert text is not None, said
    text = text.removesuffix(f" [{kind}]")
    assert len(sentences(text)) <= 2, text
    assert all(len(sentence.split()) <= LONGEST_SENTENCE for sentence in sentences(text)), text
    assert not PRIVATE.search(text), text
    assert not re.search(r"\bNone\b|[{}]|\(\)|  ", text), text


def test_a_template_shows_numbers_lists_and_counts():
    fact = note(Kind.SIGN, *"abcde", x=1234.5678, networks=2, names=["p", "q"], value=1.0, expected=1.000000123)
    assert in_words("{where} {x} {networks:network} {names} {x:.1f} {value} {expected}", fact) == (
        "a, b, c and 2 more 1.23e+03 2 networks p, q 1234.6 1 1.000000123"
    )


ANOTHER_VALUE = {"how": "batched", "value": 1.0, "otherwise": 2.0}
OPTIONAL = {  # what is said where data are there, and nowhere else
    "does it: a.py:3": (Kind.VALUE_DEPENDS_ON_RUN, ANOTHER_VALUE, {"rule": "f_bwd", "place": "a.py:3"}),
    "on the outputs added up": (Kind.COMPARED_DERIVATIVE, {"outputs": ""}, {"outputs": "outputs"}),
    "in a, b were confirmed": (Kind.COMPARED_DERIVATIVE, {"outputs": ""}, {"confirmed": ["a", "b"]}),
}


@pytest.mark.parametrize("said", OPTIONAL)
def test_a_part_is_said_where_it_is_known(said):
    kind, data, more = OPTIONAL[said]
    assert [said in say(note(kind, "f", **known)) for known in (data, data | more)] == [False, True]


JUNCTION = {"value_jumps": False, "jumps": False, "declared": True, "left": 1.0, "right": 2.0, "claimed": 1.0}
JUNCTION |= {"jax": float("nan"), "follows_jax": False}
NOT_FINITE_SLOPE = {"left": float("inf"), "right": float("inf")}
NOISY = {"undecided": 1, "total": 2, "visible": 0.5, "cost": 3.0, "is_flat": True, "is_large": False}
ANSWER = {"undecided": 2, "total": 9, "sources": [], "also": []}
SAID = {  # parts of messages that few inputs reach
    "The value itself jumps at z = 0": note(Kind.JUNCTION, "z = 0", **JUNCTION | {"value_jumps": True}),
    "not known well enough": note(Kind.JUNCTION, "z = 0", **JUNCTION | {"left": float("nan")}),
    "The slope is infinite at z = 0": note(Kind.JUNCTION, "z = 0", **JUNCTION | NOT_FINITE_SLOPE),
    "off by 2 times θ in 2 of 3 entries, as the derivative of a penalty c θ² is.": note(
        Kind.REGULARISER, "w", multiple=2.0, strength="penalty", wrong=2, right=1
    ),
    "in a, b, c and 7 more: the derivatives": note(Kind.BELOW_ROUNDING, "a", "b", "c", visible=1.0, places=10),
    "which rounding may explain": note(Kind.JUNCTION, "z = 0", **JUNCTION),
    "one entry of z alone (no)": wrong(Kind.NOT_ELEMENTWISE, "value", how="alone", reason="no"),
    "of the gradient that it is given": wrong(Kind.NOT_ELEMENTWISE, "slope", how="upstream", z=1.0),
    "The slope of f is a surrogate": note(Kind.SURROGATE, "f"),
    "no derivative: f'(1) = 1, and f has 0.": note(Kind.SURROGATE, "f'(1)", "0 < z < 2", value=1.0, expected=0.0),
    "The second derivative is not known": note(Kind.SECOND_DERIVATIVE),
    "only JAX can run g": note(Kind.OWN_PRECISION_ONLY, "g", because="jax-alone", source="reverse", type="float32"),
    "f cannot be decided. The cost bends": doubt(Kind.ROUGH_COST, "f", visible=None),
    "The cost or its derivative overflows near θ": doubt(
        Kind.DOMAIN_EDGE, "t[0]", undecided=1, total=2, overflows=True, visible=0.5
    ),
    "The cost rounds to 3 near θ": doubt(Kind.NOISY_COST, "t[0]", **NOISY),
    "2 of 9 coordinates cannot be decided": doubt(Kind.UNITS_AT_JUNCTION, "a", "b", **ANSWER),
    "distinguishes all of them": note(Kind.BUGS_ALIKE, "a", "b", does=["x", "y"], gradient=True, cost=False),
    "No bug of the zoo, alone or with another, explains the gradient": note(Kind.NO_BUG_EXPLAINS, pairs_tried=True),
    "own factor, 1.001 times in slice 2; the others are right.": note(
        Kind.FACTOR_BY_SLICE, "J", axis=0, factors=[1.0, 1.0, 1.001], wrong=[2]
    ),
    "a mean taken twice or instead of a sum": note(Kind.FACTOR, "A", factor=0.5, length=2, axis=0),
    "in 1 of these coordinates is the rule": note(
        Kind.COMPARED_IN_FLOAT64, "x[0]", places=1, of=2, type="bfloat16", reported=1.0
    ),
    "x: right up to conjugates": note(Kind.CONJUGATE, "x", of="cotangent"),
    "and 1 other, every derivative agrees": wrong(
        Kind.WRONG_RULE, "a.py:3", off=0.0, explains=True, others=1, name="f"
    ),
    "has the surplus factor c": note(Kind.PRODUCT_RULE, "slope", term="z", missing=False, factor="c"),
    "z itself is returned in place of the slope": note(Kind.SLOPE_OF_ANOTHER, "slope", returned="z"),
    "Work on a copy: callers may need it": wrong(
        Kind.ARGUMENT_CHANGED, "f", argument=["X"], changes=["by 1"], spoils=False
    ),
    "θ is at a kink (in t[0], left derivative -1, right derivative 1), where": doubt(
        Kind.KINK, "t[0]", "t[1]", undecided=2, total=2, left=-1.0, right=1.0
    ),
    "all together cannot be decided. As far": doubt(Kind.KINK, "all together", left=None, right=None),
    "Too few coordinates could be decided": doubt(Kind.UNDECIDED),
    "60 of 100 coordinates cannot be decided: x[0], x[1], x[2] and 57 more. ": doubt(
        Kind.UNDECIDED, *(f"x[{i}]" for i in range(20)), undecided=60, places=60, total=100, sources=[]
    ),
    "60 of 100 coordinates cannot be decided: x[0] to x[59]. ": doubt(
        Kind.UNDECIDED, "x[0] to x[59]", undecided=60, places=1, total=100, sources=[]
    ),
    "the gradient: the cost does not change with these": note(Kind.FLAT_COST, "the gradient"),
    # a matrix unrolled by its second axis first, read into NumPy's rows
    "column by column instead of row by row": note(Kind.REARRANGED, "A", move="unrolled", axes=[1, 0]),
    "They are rounded or cached": wrong(Kind.WHOLE_NUMBERS, "fun", is_same=True),
}
CALL = {"function": "cost", "event": "raised ValueError: no"}
NOTHING_FOUND = {"named": "", "unlike": "", "defined": ["f(x)"], "similar": ""}
CALLED = {"exercise": "2-3-2", "times": 4}
SAID |= {  # of homework
    "cost raised ValueError: no. ": doubt(Kind.CALL_FAILED, **CALL),
    "cost, called on 2-3-2, raised ValueError: no (a.py) 4 times.": note(Kind.CALL_FAILED, "a.py", **CALL, **CALLED),
    "cost, called with θ, X, raised ValueError: no.": doubt(Kind.CALL_FAILED, **CALL, given=["θ", "X"]),
    "The file ended.": doubt(Kind.CALL_FAILED, function="", event="ended", exercise="2-3-2"),
    "it is rounded to 1 decimal.": wrong(Kind.COST_PATTERN, decimals=1),
    "the last example adds nothing to it and the regulariser is divided by m twice.": wrong(
        Kind.COST_PATTERN, mean="last-example-missing", share="divided-twice"
    ),
    "the regulariser includes the Theta2 weights 2 times and includes the Theta1 biases.": wrong(
        Kind.COST_PATTERN, mean="", share="", squares={"Theta2 weights": 2.0, "Theta1 biases": 1.0}
    ),
    "of one hidden layer: it defines f(x). Offer": doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND),
    "The file defines no function. Offer": doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"defined": []}),
    "There is no function g. The file defines f(x); no.": doubt(
        Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"named": "g", "similar": "; no."}
    ),
    "g(x) does not look like a function of θ, X and y.": doubt(
        Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"named": "g", "unlike": "g(x)"}
    ),
    "cost returns None, which is no cost and no gradient.": doubt(
        Kind.NOT_AN_ANSWER, "cost", answer="None", missing=""
    ),
    "cost returns a number and no gradient: the rest is a dict.": doubt(
        Kind.NOT_AN_ANSWER, "cost", answer="a dict", missing="gradient"
    ),
    "cost returns a dict, and something else before.": doubt(
        Kind.NOT_AN_ANSWER, "cost", answer="a dict", missing="more"
    ),
    "cost returns an array of shape (13,), which is no gradient: θ has 80 entries.": doubt(
        Kind.GRADIENT_SHAPE, "cost", answer="an array of shape (13,)", expected=80
    ),
    "g, from ex2, is used, and is neither handed in": doubt(Kind.NOT_HANDED_IN, missing="g", source="ex2"),
    "X is used, and is neither handed in nor installed (line 2).": doubt(
        Kind.NOT_HANDED_IN, "line 2", missing="X", source=""
    ),
    "No gradient was returned. What was returned is right.": doubt(Kind.PART_MISSING, "gradient"),
    "No cost was returned. [": wrong(Kind.PART_MISSING, "cost"),
    "The cost and the gradient are wrong on 2 of 14 problems, and right on the others. The first": wrong(
        Kind.WRONG_SOMEWHERE, "cost", "gradient", wrong=2, total=14, first="2-3"
    ),
}


@pytest.mark.parametrize("said", SAID)
def test_a_message_says_what_few_inputs_reach(said):
    assert said in say(SAID[said])


@pytest.mark.parametrize("fault", HELPER_FAULTS)
def test_every_fault_of_a_helper_has_words(fault):
    data = dict.fromkeys(re.findall(r"{(\w+)", HELPER_FAULTS[fault]), 2)
    assert "{" not in say(wrong(Kind.HELPER_WRONG, "f", fault=fault, **data))


def test_an_error_says_its_fact():
    error = message_table.FactError(doubt(Kind.NOT_READABLE, "a.py", reason="it is no file"), "before: ")
    assert str(error) == "before: a.py cannot be read: it is no file. [not-readable]"
    assert error.fact.kind == Kind.NOT_READABLE


def test_facts_have_severities_and_compare_by_value():
    facts = [wrong(Kind.SIGN, "a", x=1), doubt(Kind.SIGN, "a", x=1), note(Kind.ZERO), note(Kind.SIGN)]
    assert [fact.severity for fact in facts] == [Severity.WRONG, Severity.DOUBT, Severity.NOTE, Severity.NOTE]
    assert kinds_of(facts) == (Kind.SIGN, Kind.ZERO)
    assert facts[0] == wrong(Kind.SIGN, "a", x=1) != facts[1]


def test_explain_prints_the_whole_entry(monkeypatch):
    entry = Explanation("It is m.", "It is c.", "one\ntwo", "Do a.")
    monkeypatch.setattr(message_table, "explanations", lambda: {Kind.SIGN: entry})
    text = message_table.explain(Kind.SIGN)
    assert text.startswith("sign\n")
    assert [part for part in ("It is m.", "It is c.", "    one\n    two", "Do a.") if part not in text] == []


@pytest.fixture
def unread():
    """The page as if it was not read yet, before and after."""
    cached = (message_table.page, message_table.sections, message_table.explanations)
    yield [each.cache_clear() for each in cached]
    for each in cached:
        each.cache_clear()


WHOLE = page().encode()
DAMAGED = {
    "cut": WHOLE[:20_000],
    "not text": b"\xff\xfe\x00",
    "another kind": WHOLE.replace(b"### sign\n", b"### sing\n"),
    "an entry without advice": WHOLE.replace(b"What to do: ", b"", 1),
}


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("content", [None, *DAMAGED.values()], ids=["missing", *DAMAGED])
def test_a_page_that_is_missing_or_damaged_is_told_as_such(content, tmp_path, monkeypatch):
    place = tmp_path / "messages.md"
    if content is not None:
        place.write_bytes(content)
    monkeypatch.setattr(message_table, "_PLACES", (place, tmp_path / "docs" / "messages.md"))
    with pytest.raises((FileNotFoundError, ValueError), match=r"^the page of messages .*install the package again"):
        explain(Kind.SIGN)


@pytest.mark.usefixtures("unread")
def test_the_page_may_have_the_ends_of_lines_of_windows(tmp_path, monkeypatch):
    place = tmp_path / "messages.md"
    place.write_bytes(WHOLE.replace(b"\n", b"\r\n"))
    monkeypatch.setattr(message_table, "_PLACES", (place,))
    assert page().encode() == WHOLE
    assert sorted(explanations()) == sorted(Kind)
