"""The pages of `harness check`, `run`, `train`, `study` and `sweep`: the verdict first, and how to repeat it last."""

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

from harness.checks.networks.many_networks import ActivationNetworks
from harness.checks.networks.network_summary import Summary
from harness.digits import digit_figures
from harness.digits.digit_networks import Fit
from harness.digits.main_job import RunResult
from harness.facts import message_table
from harness.figure_style import png
from harness.pages.html_page import picture, table
from harness.pages.report_page import gallery, listing, page, preformatted, report_sections, section, wide
from harness.study.checkers import ALARM, INCONCLUSIVE
from harness.study.study_display import detection_power
from harness.study.trials import Rate, Study
from harness.study.zoo_study import document_of, table_of
from harness.sweep.summary import SweepSummary

ALTERNATIVES = {
    "hidden_units.png": "The weights of each hidden unit as an image.",
    "confusion.png": "How often each written digit is read as each.",
    "mistakes.png": "The misread digits that the network was surest about.",
}

CLOSEST = "The largest difference between sources that agree is {:.2g} of its error bound."


def check_page(check: ActivationNetworks, made: Mapping[str, Any]) -> str:
    """Activations by themselves, and random networks: the counts, and every failure that the summary keeps."""
    headline = "; ".join(str(found).partition("\n")[0] for found in check.summaries.values() or check.reports[:1])
    sections: list[str] = []
    for report in check.reports:
        sections += report_sections(report, str(report.subject.get("activation", "")))
    for step, summary in check.summaries.items():
        sections.append(_networks(summary, "Random networks" if step == "networks" else f"Random networks, {step}"))
        for failure in summary.failures:
            sections += report_sections(failure.report, f"network {failure.number}")
    return page("harness check", check.verdict, headline, sections, made)


def _networks(summary: Summary, title: str) -> str:
    rows = [(name, summary.outliers.get(name, 0), summary.left_out.get(name, 0)) for name in summary.sources]
    fewer = [f"{summary.why_fewer}."] if summary.skipped else []
    return section(
        title,
        listing([*map(message_table.say, summary.reasons), *fewer, CLOSEST.format(summary.margin)]),
        wide(
            table(("verdict", "networks"), summary.counts.items(), "Verdicts"),
            _reasons("networks", summary.doubts),
            table(("source", "odd one out", "left out"), rows, "The sources, in numbers of networks"),
        ),
    )


def _reasons(what: str, counts: Mapping[str, int]) -> str:
    return table(("reason", what), counts.items(), f"Why {what} are inconclusive") if counts else ""


def run_page(result: RunResult, made: Mapping[str, Any]) -> str:
    """The main job: random networks, the gate, the trainings beside published accuracies."""
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
        *chain.from_iterable(report_sections(report, title) for report, title in [*failures, *gate]),
        section("Seconds", wide(table(("step", "seconds"), list(result.seconds.items()), "The time of each step"))),
    ]
    headline = str(result.summary).partition("\n")[0]
    if result.interrupted:
        headline = f"Interrupted. {headline}"
    return page("harness run", result.verdict, headline, sections, made)


def train_page(fit: Fit, made: Mapping[str, Any]) -> str:
    """One training behind the gate."""
    report = fit.training.report
    curves = {"network": fit.curves} if fit.test else {}
    without_gate = section("The gate", listing(["There was no gate: no sources were compared."]))
    sections = [
        section("Digits read", wide(_fits({"training": fit}))),
        section("Training", gallery(_curves(curves), *_reading(fit))),
        *(report_sections(report, "The gate") if report else [without_gate]),
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
    """Detection power: the share of bugs that each checker caught, and of correct code that it called wrong."""
    missed = [f"{trial.case} on {trial.kind} problem {trial.number}: {trial.outcome}" for trial in study.missed()]
    alarms = partial(study.rate, ALARM, checker=study.checkers[0])
    caught, false = alarms(bugs=True), alarms(bugs=False)
    alternative = "Bugs missed and correct code called wrong, by checker; the tables have the numbers."
    power = picture(png(detection_power(document_of(study))), alternative, "Bars are all problems, marks the kinds.")
    sections = [
        section("Checkers", wide(_checkers(study))),
        section("By kind of problem", wide(power)),
        section("By bug", wide(_by_bug(study))),
        section("Missed by this harness", listing(missed or ["nothing"])),
        section("In full", wide(preformatted(table_of(study)))),
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
    heads = ("bugs caught", "correct code called wrong", "told apart", "undecided: bugs", "correct code", "ms")
    rows = []
    for checker in study.checkers:
        bugs, right = (partial(study.rate, bugs=of_bugs, checker=checker) for of_bugs in (True, False))
        apart = study.told_apart(checker=checker)
        rates = (bugs(ALARM), right(ALARM), apart, bugs(INCONCLUSIVE), right(INCONCLUSIVE))
        rows.append((checker, *map(_rate, rates), 1e3 * study.median_seconds(checker=checker)))
    return table(("checker", *heads), rows, "All problems together", {0: "ours"})


def _by_bug(study: Study) -> str:
    caught = partial(study.rate, ALARM, bugs=True)
    rows = [(bug, *(_rate(caught(checker=checker, bug=bug)) for checker in study.checkers)) for bug in study.bugs]
    return table(("bug", *study.checkers), rows, "Percent caught, of the problems on which the bug is there")


def _rate(rate: Rate) -> tuple[str, float | None]:
    return (str(rate), rate.share) if rate.total else ("", None)


def sweep_page(summary: SweepSummary) -> str:
    """What a file of rows holds so far: the counts, why rows are inconclusive, and the first rows that are wrong."""
    examples = [
        (row["seed"], row["verdict"], row["shape"], " ".join(map(message_table.say, row["facts"])))
        for row in summary.examples
    ]
    headline, pace = str(summary).partition("\n")[0], f"{summary.pace:.0f} rows a second and core."
    closest = [] if summary.worst is None else [CLOSEST.format(summary.worst)]
    counts = table(("verdict", "rows"), summary.counts.items(), "Verdicts")
    named = table(("sources", "rows"), summary.outliers.items(), "The odd ones out, alone or together")
    wrong = table(("seed", "verdict", "what", "why"), examples, "Rows to replay")
    sections = [
        section("Rows", wide(counts), listing([*closest, pace])),
        section("Named", wide(named) if summary.outliers else ""),
        section("Undecided", wide(_reasons("rows", summary.reasons))),
        section("The first that are wrong", wide(wrong) if examples else ""),
    ]
    verdict = summary.verdict if summary.verdict != "error" else "disagree"
    return page("harness sweep", verdict, headline, sections, summary.stamp, heading=summary.verdict)
