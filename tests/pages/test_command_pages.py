"""Reports as pages: the verdict first, every fact on them, text from elsewhere escaped."""

import html
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from harness import Network, Problem, cross_check
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import find_activation
from harness.checks.networks.many_networks import ActivationNetworks, check_networks
from harness.digits.digit_networks import Plan
from harness.digits.digits_data import Digits
from harness.digits.main_job import RunResult, run, train_once
from harness.facts import message_table
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.pages.command_pages import check_page, run_page, study_page, train_page
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import ALARM, PASS
from harness.study.trials import Study, Trial

NASTY = "<b>& co</b>"
MADE = {"seed": 0, "what": NASTY}


@cache
def digits():
    rng = np.random.default_rng(0)
    return Digits(rng.random((40, 9)), np.repeat(np.arange(10), 4))


def networks(bug="slope-missing"):
    return check_networks(3, 0, sources=BUGS[bug].sources)


def nasty_report():
    problem = Problem(Network((2, 3, 2)), [[0.1, -0.2], [0.3, 0.5]], [0, 1], 1.0)
    sources = {NASTY: lambda *given: BUGS["wrong-sign"].source(*given)}
    sources |= {name: name for name in ("loop", "vectorized", "finite-difference")}
    return cross_check(problem, problem.network.init(0, 1.0), sources)


@cache
def small_run() -> RunResult:
    plans = (Plan("network", (9, 4, 10), 1.0, 3), Plan("baseline", (9, 10), 1.0, 3))
    return run(networks=3, digits=digits(), plans=plans)


def small_study() -> Study:
    """One bug that the harness catches and its peer passes, and correct code that the peer calls wrong."""
    said = {"harness": (ALARM, PASS), "course, 1e-9": (PASS, ALARM)}
    trials = [
        Trial(checker, bug or "correct", "random", bug, outcome, 0.001, naming, "gradient" if bug else "")
        for checker, outcomes in said.items()
        for bug, outcome, naming in zip(("wrong-sign", ""), outcomes, ("right", "abstained"))
    ]
    bugs = {"wrong-sign": {"group": "gradient", "description": ""}}
    further = {"problems": {"random": 1}, "bugs": bugs, "networks": None}
    return Study("harness.study/3", tuple(trials), {}, 1.0, further=further)


PAGES = {
    "check": lambda: check_page(ActivationNetworks(summaries={"networks": networks()}), MADE),
    "check that agrees": lambda: check_page(ActivationNetworks(summaries={"networks": check_networks(3, 0)}), MADE),
    "check of an activation": lambda: check_page(
        ActivationNetworks([check_activation(find_activation("gelu"))], {"networks": check_networks(1, 0)}), MADE
    ),
    "check of a name that is HTML": lambda: check_page(ActivationNetworks([nasty_report()]), MADE),
    "run": lambda: run_page(small_run(), MADE),
    "train": lambda: train_page(train_once((4,), max_iter=3, digits=digits())[0], MADE),
    "train without a gate": lambda: train_page(train_once((4,), max_iter=3, digits=digits(), gate=False)[0], MADE),
    "study": lambda: study_page(small_study(), MADE),
}


@cache
def page_of(name):
    return PAGES[name]()


OF_TRAININGS = ("run", "train", "train without a gate")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.more) if name in OF_TRAININGS else name for name in PAGES]
)
def test_the_verdict_comes_first_html_from_elsewhere_is_text_and_nothing_is_asked_for(name):
    page = page_of(name)
    heading = re.search(r'<h1 class="(agree|disagree|inconclusive)" id="verdict">([^<]+)</h1>', page)
    assert heading is not None
    assert heading.group(1) == heading.group(2) or name == "study"
    assert page.index("<h1") < page.index("<h2")
    assert NASTY not in page
    assert "&lt;b&gt;&amp; co&lt;/b&gt;" in page
    assert "numpy" in page[page.index("How to get it again") :]
    assert not re.findall(r"""(?:src|href)="(?!#|data:)[^"]*""", page)
    assert len(page) < 5e6
    pictures = re.findall(r"<img [^>]*>", page)
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in pictures)
    assert pictures or name == "check that agrees"


def test_a_check_that_fails_shows_each_finding_with_its_diagnosis():
    summary, page = networks(), page_of("check")
    assert summary.failures
    for failure in summary.failures:
        assert f"network {failure.number}: what was found" in page
        for finding in failure.report.findings:
            assert finding.diagnosis
            for fact in (finding.fact, *finding.diagnosis):
                assert html.escape(message_table.say(fact)) in page


@pytest.mark.more
def test_an_agreement_shows_its_margin_and_the_smallest_detectable_error():
    report = cross_check(small_run().fits["network"].problem, small_run().fits["network"].training.theta)
    page = check_page(ActivationNetworks([report]), MADE)
    assert f"{report.margin:.2g} of its error bound" in page
    assert f"{report.smallest_visible[0]:.1e}" in page


def test_facts_and_the_names_of_sources_are_escaped():
    nasty = note(Kind.NOT_FINITE, NASTY)
    report = replace(nasty_report(), blind_to=(nasty,), left_out={NASTY: nasty}, facts=(nasty,))
    page = check_page(ActivationNetworks([report]), MADE)
    assert NASTY not in page
    titles = re.findall(r"<h2>([^<]*)</h2>", page)
    assert {"what cannot be detected here", "left out", "notes"} <= set(titles)


@pytest.mark.more
def test_a_run_shows_its_trainings_beside_what_is_published():
    page, result = page_of("run"), small_run()
    for name, fit in result.fits.items():
        assert [
            shown for shown in (name, f"{fit.training_accuracy:.2%}", f"{fit.test_accuracy:.2%}") if shown not in page
        ] == []
    assert "The gate: in numbers" in page
    assert ("no gate" in page_of("train without a gate"), "no gate" in page_of("train")) == (True, False)


def test_a_study_tells_what_was_caught_by_checker_and_by_bug():
    page = page_of("study")
    assert "100% of the bugs caught" in page
    assert '<h1 class="agree"' in page
    ours, theirs = (page[page.index(f">{checker}</th>") :] for checker in ("harness", "course, 1e-9"))
    assert re.findall(r'data-value="([^"]*)"', ours)[:3] == ["1.0", "0.0", "1.0"]
    assert re.findall(r'data-value="([^"]*)"', theirs)[:3] == ["0.0", "1.0", "0.0"]
    by_bug = page[page.index(">wrong-sign</th>") :]
    assert re.findall(r'data-value="([^"]*)"', by_bug)[:2] == ["1.0", "0.0"]


@pytest.mark.more
@pytest.mark.parametrize("width", [380, 1280])
def test_pages_open_in_chromium_without_a_complaint_and_are_accessible(open_page, tmp_path, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    for name in ("check", "run"):
        file = tmp_path / "report.html"
        file.write_text(page_of(name), encoding="utf-8")
        opened = open_page(file, width, "dark" if width == 380 else "light")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(opened.page).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
        assert opened.troubles == []
