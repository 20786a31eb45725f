"""The pages of `harness check`, `run`, `train` and `study`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from harness.checks.networks.many_networks import Summary
from harness.digits import digit_figures
from harness.digits.digit_training import Fit
from harness.digits.main_job import RunResult
from harness.figure_style import png
from harness.pages.document import picture, table
from harness.reports.parts import gallery, listing, of_report, page, preformatted, section, wide
from harness.study.checkers import ALARM, INCONCLUSIVE
from harness.study.figure import detection_power
from harness.study.rates import Rate
from harness.study.study import Study
from harness.study.table import as_table
from harness.verdict.report import Report

ALTERNATIVES = {
    "hidden_units.png": "The weights of each hidden unit as an image.",
    "confusion.png": "How often each written digit is read as each.",
    "mistakes.png": "The misread digits that the network is surest of.",
}


def check_page(
    verdict: str, reports: Sequence[Report], summaries: Mapping[str, Summary], made: Mapping[str, Any]
) -> str:
    """Activations by themselves, and random networks: the counts, and every failure that was kept."""
    headline = "; ".join(str(summary).partition("\n")[0] for summary in summaries.values())
    return page(
        "harness check", verdict, headline or str(reports[0]).partition("\n")[0], _checked(reports, summaries), made
    )


def _checked(reports: Sequence[Report], summaries: Mapping[str, Summary]) -> Iterator[str]:
    for report in reports:
        yield from of_report(report, str(report.subject.get("activation", "")))
    for step, summary in summaries.items():
        yield _networks(summary, "Random networks" if step == "networks" else f"Random networks, {step}")
        for failure in summary.failures:
            yield from of_report(failure.report, f"network {failure.number}")


def _networks(summary: Summary, title: str) -> str:
    rows = [(name, summary.outliers.get(name, 0), summary.left_out.get(name, 0)) for name in summary.sources]
    counts = [(verdict, count) for verdict, count in summary.counts.items()]
    closest = f"The largest difference between sources that agree is {summary.margin:.2g} of what is allowed."
    return section(
        title,
        listing([*summary.reasons, closest]),
        wide(
            table(("verdict", "networks"), counts, "Verdicts"),
            table(("reason", "networks"), summary.doubts.items(), "Why networks are inconclusive")
            if summary.doubts
            else "",
            table(("source", "odd one out", "could not take it"), rows, "The sources, in numbers of networks"),
        ),
    )


def run_page(result: RunResult, made: Mapping[str, Any]) -> str:
    """The main job: random networks, the gate, the trainings beside what is published."""
    published = [
        (what.trained, (f"{what.accuracy:.2%}", what.accuracy), ("" if got is None else f"{got:.2%}", got))
        for what, got in result.comparisons()
    ]
    beside = table(("trained on", "published", "here"), published, "Published, and here")
    curves = {name: fit.curves for name, fit in result.fits.items() if fit.test}
    failures = [(failure.report, f"network {failure.number}") for failure in result.summary.failures]
    gate = [(result.report, "The gate")] if result.report else []
    sections = [
        section("Digits read", wide(_fits(result.fits), beside)),
        section("Training", gallery(_curves(curves), *_reading(result.fits.get("network")))),
        _networks(result.summary, "Random networks before it"),
        *chain.from_iterable(of_report(report, title) for report, title in [*failures, *gate]),
        section("Seconds", wide(table(("step", "seconds"), list(result.seconds.items()), "What took how long"))),
    ]
    headline = str(result.summary).partition("\n")[0]
    if result.interrupted:
        headline = f"Interrupted. {headline}"
    return page("harness run", result.verdict, headline, sections, made)


def train_page(fit: Fit, made: Mapping[str, Any]) -> str:
    """One training behind the gate."""
    report = fit.training.report
    curves = {"network": fit.curves} if fit.test else {}
    nobody = section("The gate", listing(["There was none: nobody was asked."]))
    sections = [
        section("Digits read", wide(_fits({"training": fit}))),
        section("Training", gallery(_curves(curves), *_reading(fit))),
        *(of_report(report, "The gate") if report else [nobody]),
    ]
    verdict = report.verdict if report else "inconclusive"
    return page("harness train", verdict, str(fit).replace("\n", " "), sections, made)


def _fits(fits: Mapping[str, Fit]) -> str:
    head = ("training", "sizes", "λ", "examples", "line searches", "evaluations", "cost", "read", "held out, read")
    rows = [
        (
            name, "-".join(map(str, fit.network.sizes)), fit.problem.l2, fit.problem.m, fit.training.nit,
            fit.training.nfev, fit.cost, _percent(fit.training_accuracy), _percent(fit.test_accuracy),
        )
        for name, fit in fits.items()
    ]  # fmt: skip
    return table(head, rows, "The trainings") if rows else ""


def _percent(share: float | None) -> tuple[str, float | None]:
    return ("", None) if share is None else (f"{share:.2%}", share)


def _curves(curves: Mapping[str, Any]) -> str:
    if not curves:
        return ""
    ends = "; ".join(f"{name} ends at cost {fit.cost[-1]:.3g}" for name, fit in curves.items())
    alternative = f"Cost and digits read correctly by line search: {ends}."
    return picture(png(digit_figures.learning_curves(curves)), alternative, "Cost and accuracy by line search.")


def _reading(fit: Fit | None) -> list[str]:
    if fit is None:
        return []
    return [picture(image, ALTERNATIVES[name], ALTERNATIVES[name]) for name, image in digit_figures.reading(fit)]


def study_page(study: Study, made: Mapping[str, Any]) -> str:
    """Detection power: who caught how much of what, and who called correct code wrong."""
    missed = [f"{trial.subject} on {trial.kind} problem {trial.number}: {trial.outcome}" for trial in study.missed()]
    alarms = partial(study.rate, ALARM, checker=study.checkers[0])
    caught, false = alarms(bugs=True), alarms(bugs=False)
    alternative = "Bugs caught and correct code called wrong, by checker; the tables have the numbers."
    power = picture(png(detection_power(study)), alternative, "Bars are all problems, marks the kinds.")
    sections = [
        section("Checkers", wide(_checkers(study))),
        section("By kind of problem", wide(power)),
        section("By bug", wide(_by_bug(study))),
        section("Missed by this harness", listing(missed or ["nothing"])),
        section("In full", wide(preformatted(as_table(study)))),
    ]
    return page(
        "harness study",
        "disagree" if false.count or missed else "agree",
        f"This harness caught {caught.count:,} of {caught.total:,} bugs, and called {false.count} of {false.total} "
        "correct answers wrong.",
        sections,
        {**made, "seed": study.seed, "seconds": f"{study.seconds:.0f}"},
        heading=f"{caught} of the bugs caught",
    )


def _checkers(study: Study) -> str:
    head = (
        "checker",
        "bugs caught",
        "correct code called wrong",
        "told apart",
        "undecided: bugs",
        "correct code",
        "ms",
    )
    rows = []
    for checker in study.checkers:
        bugs, right = (partial(study.rate, bugs=of_bugs, checker=checker) for of_bugs in (True, False))
        apart = study.told_apart(checker=checker)
        rates = (bugs(ALARM), right(ALARM), apart, bugs(INCONCLUSIVE), right(INCONCLUSIVE))
        rows.append((checker, *map(_rate, rates), study.milliseconds(checker=checker)))
    return table(head, rows, "All problems together", {0: "ours"})


def _by_bug(study: Study) -> str:
    caught = partial(study.rate, ALARM, bugs=True)
    rows = [
        (bug.name, *(_rate(caught(checker=checker, subject=bug.name)) for checker in study.checkers))
        for bug in study.bugs
    ]
    return table(("bug", *study.checkers), rows, "Percent caught, of the problems on which the bug is there")


def _rate(rate: Rate) -> tuple[str, float | None]:
    return (str(rate), rate.share) if rate.total else ("", None)
