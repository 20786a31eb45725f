"""The lesson in headless Chromium: every control moves what it should, and the numbers are Python's."""

import re

import numpy as np
import pytest

from harness import SOURCES
from harness.checks.networks.network_check import cross_check
from harness.digits.digit_networks import COURSE
from harness.sources.bug_zoo import BUGS
from harness.teaching.trained_bugs import SEED, Training, problem_on_digits
from harness.teaching.worked_example import central, cost_along, problem_and_theta

pytestmark = pytest.mark.more  # in Chromium, on a lesson that is computed for it

MANY_LINES = re.compile(r"\s+")

SET = """([id, value]) => {
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event("input", { bubbles: true }));
}"""


class Lesson:
    """The page as a reader uses it."""

    def __init__(self, opened):
        self.page, self.troubles = opened.page, opened.troubles

    def set(self, control, value):
        self.page.evaluate(SET, [control, str(value)])

    def text(self, place):
        return MANY_LINES.sub(" ", self.page.locator(f"#{place}").inner_text()).replace("−", "-")

    def number(self, place):
        return float(self.text(place))

    def cells(self, place):
        rows = self.page.evaluate(
            "id => [...document.querySelectorAll(`#${id} tr`)].map(r => [...r.cells].map(c => c.textContent))", place
        )
        return [[cell.replace("−", "-") for cell in row] for row in rows]

    def alternative(self, place):
        return self.page.locator(f"#{place} [role=img]").first.get_attribute("aria-label").replace("−", "-")


@pytest.fixture
def opened(open_page, lesson):
    page = Lesson(open_page(lesson.file))
    yield page
    assert page.troubles == []


def test_it_is_one_small_file_that_names_no_other(lesson):
    text = lesson.file.read_text(encoding="utf-8")
    assert len(text.encode()) < 5e6
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[^"'\s>]+""", text.partition('id="data"')[0])
    assert not re.findall(r"\bfetch\(|XMLHttpRequest|\bimport\(|@import|url\(", text)
    assert "default-src 'none'" in text


@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), (1280, "light")])
def test_it_fits_and_is_accessible(open_page, lesson, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    opened = open_page(lesson.file, width, scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.evaluate("document.querySelectorAll('details').forEach((answer) => { answer.open = true; })")
    found = axe.Axe().run(opened.page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")] == []
    assert opened.troubles == []


def test_every_figure_has_a_text_alternative(opened):
    figures = "[...document.querySelectorAll('svg, canvas')]"
    without = f"{figures}.filter((f) => !(f.getAttribute('aria-label') ?? '').trim())"
    assert opened.page.evaluate(f"[{without}.length, {figures}.length > 8]") == [0, True]
    assert opened.page.evaluate("document.body.innerText.match(/undefined|NaN|\\[object/)") is None


# The opening


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_opening_tells_which_of_two_trainings_had_the_bug(opened, lesson, side):
    right, *bugs = lesson.data["bugs"]
    ends = [float(opened.alternative(f"choice-{each}").rpartition(" ")[2].rstrip("%.")) for each in "ab"]
    assert opened.text("choice-answer") == ""
    opened.page.click(f"#choose-{side}")
    told = opened.text("choice-answer")
    wrong = "A" if "A has the bug" in told else "B"
    (bug,) = [bug for bug in bugs if bug["description"] in told]
    assert bug["check"]["verdict"] == "disagree"
    assert told.startswith("Yes" if wrong == side.upper() else "No")
    assert bug["check"]["diagnosis"] in told
    shown = {"A": ends[0], "B": ends[1]}
    assert shown.pop(wrong) == pytest.approx(100 * bug["training"]["test_accuracy"], abs=0.06)
    assert shown.popitem()[1] == pytest.approx(100 * right["training"]["test_accuracy"], abs=0.06)


# Part 1


def test_the_worked_example_is_the_loop_s_for_every_parameter_and_value(opened, lesson):
    for i, rows in enumerate(lesson.data["hand"]["along"]):
        opened.page.click("#hand-reset")
        opened.set("hand-which", i)
        for row in rows:
            opened.set("hand-w", row["w"])
            assert opened.number("hand-cost") == pytest.approx(row["cost"], abs=0.6e-6)
            assert opened.number("hand-slope") == pytest.approx(row["slope"], abs=0.6e-8)


def test_the_worked_example_moves_only_the_chosen_parameter(opened):
    before = opened.cells("hand-gradient")
    opened.set("hand-which", 7)
    opened.set("hand-w", -2)
    after = opened.cells("hand-gradient")
    assert [i for i in range(9) if before[i][1] != after[i][1]] == [7]
    problem, theta = problem_and_theta()
    theta[7] = -2.0
    assert [float(row[2]) for row in after] == pytest.approx(SOURCES["loop"](problem, theta)[1], abs=0.6e-6)
    assert "-2.00" in opened.alternative("hand-curve")
    opened.page.click("#hand-reset")
    assert [row[1:] for row in opened.cells("hand-gradient")] == [row[1:] for row in before]


@pytest.mark.parametrize("k", [0, -1, -3])
def test_the_secant_is_the_central_difference(opened, k):
    opened.set("hand-h", k)
    expected = central(cost_along(0.0), 0.3, 10.0**k)
    assert opened.number("hand-difference") == pytest.approx(expected, abs=0.6e-8)


# Part 2


def test_the_five_methods_are_python_s(opened, lesson):
    """Up to rounding, which two libraries' exp and log may do differently: some u of the cost, over h."""
    steps, u = lesson.data["steps"], 2.0**-53
    everything = """() => data.steps.curves.map(({ constant, answers }) => Object.fromEntries(Object.keys(answers).map(
      (name) => [name, data.steps.steps.map((k) => METHODS[name](
        (t) => pass(moved(data.hand.theta, data.hand.moved, t)).cost + constant, data.steps.w, 10 ** k))])))"""
    for curve, here in zip(steps["curves"], opened.page.evaluate(everything)):
        for name, answers in curve["answers"].items():
            noise = 0.0 if name in ("complex step", "increments") else 8.0 * u * (1.0 + curve["constant"])
            for k, expected, got in zip(steps["steps"], answers, here[name]):
                assert got == pytest.approx(expected, rel=1e-12, abs=noise / 10.0**k), (name, curve["constant"], k)


# Part 3


def test_a_bug_shows_its_training_its_check_and_the_checkers(opened, lesson):
    right, *bugs = lesson.data["bugs"]
    for number, bug in enumerate(bugs):
        opened.set("bug-which", number)
        assert opened.text("bug-description") == bug["description"]
        assert f"{bug['training']['test_accuracy']:.1%}" in opened.text("bug-said")
        assert f"{right['training']['test_accuracy']:.1%}" in opened.text("bug-said")
        assert opened.text("bug-verdict") == bug["check"]["verdict"] == "disagree"
        assert bug["check"]["diagnosis"] in opened.text("bug-diagnosis")
        assert bug["name"] in opened.alternative("bug-accuracy")
        assert len(opened.page.locator("#bug-digits li").all()) == len(bug["training"]["misread"]) > 0
        assert [row[0] for row in opened.cells("bug-checkers")] == [row["checker"] for row in bug["checkers"]]
        says = {"alarm": "wrong", "pass": "passes it", "inconclusive": "cannot tell"}
        assert [row[1] for row in opened.cells("bug-checkers")] == [says[row["says"]] for row in bug["checkers"]]


COUNT = """(id) => {
  const { width, height } = document.querySelector(`#${id} canvas`);
  const pixels = document.querySelector(`#${id} canvas`).getContext("2d").getImageData(0, 0, width, height).data;
  let beyond = 0;
  for (let y = 2; y < height; y += 5) for (let x = 2; x < width; x += 5) {
    const [r, , b, a] = pixels.subarray(4 * (y * width + x));
    if (a && r > b) beyond += 1;
  }
  return beyond;
}"""


def test_the_heat_map_is_orange_where_the_derivative_is_wrong(opened, lesson):
    size = Training(*(lesson.data["training"][field] for field in Training._fields))
    for number, bug in enumerate(lesson.data["bugs"][1:]):
        problem = problem_on_digits(size)
        report = cross_check(problem, COURSE.init(SEED), BUGS[bug["name"]].sources)
        beyond = report.picture.matrices["Theta1"] > 1.0
        assert bug["check"]["beyond"][0] == beyond.sum()
        opened.set("bug-which", number)
        assert opened.page.evaluate(COUNT, "bug-theta1") == beyond[:, 1:].sum()
        assert f"{beyond.sum():,} of 10,025" in opened.alternative("bug-theta1")


# Part 4


def test_detection_power_is_the_study_s(opened, lesson):
    power = lesson.data["detection"]
    for number, kind in enumerate(power["problems"]):
        opened.page.locator("#power-kinds input").nth(number).check()
        rows = opened.cells("power-table")[1:]
        for (checker, *cells), places in zip(rows, power["caught"][kind].values()):
            for cell, (count, total) in zip(cells, [places[place] for place in power["places"]]):
                if total:
                    assert abs(float(cell) - 100.0 * count / total) < 1.0, (kind, checker)
                    assert (cell == "100") == (count == total)
                else:
                    assert cell == "–"
        ours = np.sum(list(power["caught"][kind]["harness"].values()), axis=0)
        assert opened.text("power-said").startswith(f"{ours[1]:,} times")


def test_every_combination_of_switches_shows_what_cannot_be_seen(opened, lesson):
    blind, boxes = lesson.data["blind"], opened.page.locator("#blind-switches input")
    for key, unseen in blind["unseen"].items():
        for number, on in enumerate(key):
            boxes.nth(number).set_checked(on == "1")
        hidden = opened.page.locator("#blind-bugs .hidden").all_inner_texts()
        assert sorted(hidden) == sorted(unseen)
        seen = opened.page.locator("#seen-bugs li").all_text_contents()
        assert set(seen) == set(BUGS) - set(unseen)
        assert opened.text("seen-said").startswith(f"The {len(seen)} bugs")


# Part 5


def test_a_naive_check_cries_wolf_where_python_says_so(opened, lesson):
    for number, case in enumerate(("kink", "saturated")):
        opened.page.locator("#wolf-cases input").nth(number).check()
        for position, row in enumerate(lesson.data["alarms"][case]):
            opened.set("wolf-z", position)
            assert opened.text("wolf-naive") == ("cries wolf" if row["alarm"] else "passes")
            assert opened.text("wolf-harness") == row["verdict"]
            assert opened.number("wolf-analytic") == pytest.approx(row["analytic"], rel=1e-5, abs=2.0**-53)
            assert opened.number("wolf-numeric") == pytest.approx(row["numeric"], rel=1e-5, abs=1e-11)


# How one gets about


def test_the_keyboard_reaches_and_moves_everything(opened):
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(120):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.id || document.activeElement.name"))
    controls = "[...document.querySelectorAll('main input, main select, main button')].map((c) => c.id || c.name)"
    assert set(opened.page.evaluate(controls)) <= reached
    opened.page.locator("#steps-h").focus()
    before = opened.text("steps-rows")
    opened.page.keyboard.press("ArrowRight")
    assert opened.text("steps-rows") != before
    assert (
        opened.page.locator("#steps-h").get_attribute("aria-valuetext")
        == opened.page.locator("#steps-h-shown").inner_text()
    )
