"""Mutants of the checker itself: a checker that passes everything passes most tests, so who checks the checker?

Each mutant is the checker with one thing changed, such as a bound ten times too wide, an `abs` forgotten, NaN taken for
equal. Every mutant has to be noticed by the sentinel that it names (tests/sentinels.py), and the checker as it is by
none. The changes are made in syntax trees (tests/checker/mutation.py): formatting does not matter to them.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from sentinels import (
    SENTINELS,
    a_third_of_the_allowance,
    answers_side_by_side,
    costs_and_misconduct,
    doors,
    everybodys_bug,
    far_out,
    function_beside_a_constant,
    function_in_any_unit,
    function_misconduct,
    function_of_many,
    function_off_by_three_allowances,
    function_values,
    in_float32,
    many_networks,
    no_bound_no_verdict,
    not_a_number,
    not_enough_evidence,
    on_a_kink,
    the_odd_one_out,
    three_times_the_allowance,
)

from tests.checker.mutation import Change, importers, planted, replace, replace_value

CHECKER = (
    "harness.assertions",
    "harness.checks.functions.gradient_check",
    "harness.checks.functions.cost_noise",
    "harness.checks.networks.network_check",
    "harness.checks.networks.many_networks",
    "harness.training.gate",
    "harness.verdict.comparison",
    "harness.verdict.consensus",
)
"""What the sentinels call."""

Row = tuple[str, Change, Callable[[Any], None]]

CHANGES: dict[str, list[Row]] = {
    "harness.verdict.comparison": [
        ("bound 10 times too wide", replace("a.error + b.error", "10 * (a.error + b.error)"), answers_side_by_side),
        ("one bound forgotten", replace("a.error + b.error", "a.error"), answers_side_by_side),
        ("bounds subtracted", replace("a.error + b.error", "a.error - b.error"), answers_side_by_side),
        (
            "absolute bound as a relative one",
            replace("a.error + b.error", "a.error + b.error * np.abs(a.gradient)"),
            answers_side_by_side,
        ),
        ("abs forgotten", replace("np.abs(a.gradient - b.gradient)", "a.gradient - b.gradient"), answers_side_by_side),
        ("abs forgotten, cost", replace("np.abs(a.cost - b.cost)", "a.cost - b.cost"), answers_side_by_side),
        ("cost bound 10 times too wide", replace("a.cost_error + b.cost_error", "2e-11"), answers_side_by_side),
        ("NaN taken for equal", replace("np.logical_not(difference <= allowed)", "difference > allowed"), not_a_number),
        (
            "NaN taken for zero",
            replace("np.logical_not(difference <= allowed)", "np.logical_not(np.nan_to_num(difference) <= allowed)"),
            not_a_number,
        ),
        (
            "no bound taken for none needed",
            replace(
                "np.isfinite(allowed) & np.logical_not(difference <= allowed)", "np.logical_not(difference <= allowed)"
            ),
            no_bound_no_verdict,
        ),
        ("every bound is narrow enough", replace("allowed <= meaningless * scale", "True"), no_bound_no_verdict),
        (
            "share of the size as a size",
            replace("allowed <= meaningless * scale", "allowed <= meaningless"),
            no_bound_no_verdict,
        ),
        (
            "cost always decided",
            replace("cost_allowed <= meaningless * cost_scale", "0.0 <= meaningless * cost_scale"),
            no_bound_no_verdict,
        ),
        ("infinite cost bound decides", replace("np.isfinite(cost_allowed)", "True"), no_bound_no_verdict),
        (
            "a huge wrong answer sets the scale",
            replace("np.minimum", "np.maximum", within="compare"),
            no_bound_no_verdict,
        ),
        (
            "cost not compared",
            replace("self.cost_at_odds or bool(self.at_odds.any())", "bool(self.at_odds.any())"),
            costs_and_misconduct,
        ),
        ("all coordinates must differ", replace("self.at_odds.any()", "self.at_odds.all()"), three_times_the_allowance),
    ],
    "harness.verdict.consensus": [
        (
            "votes counted by heads",
            replace("len({families[name] for name in group} - divided)", "len(group)"),
            the_odd_one_out,
        ),
        (
            "a vague relative lends its vote",
            replace("{families[name] for name in group} - divided", "{families[name] for name in group}"),
            the_odd_one_out,
        ),
        ("the first of a tie wins", replace("len(best) > 1", "len(best) > 9"), the_odd_one_out),
    ],
    "harness.verdict.judgement": [
        (
            "disagreement passes",
            replace(
                '"disagree" if findings or misconduct else "inconclusive" if doubts else "agree"',
                '"inconclusive" if doubts else "agree"',
            ),
            three_times_the_allowance,
        ),
        ("doubt passes", replace('"inconclusive" if doubts else "agree"', '"agree"'), not_enough_evidence),
        ("misconduct passes", replace("findings or misconduct", "findings"), costs_and_misconduct),
        ("undecided coordinates pass", replace("CONCLUSIVE_SHARE", "0.0", within="_Evidence"), on_a_kink),
        ("relatives decide", replace("families[pair.first] != families[pair.second]", "True"), not_enough_evidence),
    ],
    "harness.verdict.findings": [
        ("values swapped", replace("float(source.gradient[worst])", "float(against.gradient[worst])"), the_odd_one_out),
        ("wrong place", replace("subject.label(worst)", "subject.label(worst + 1)"), the_odd_one_out),
    ],
    "harness.checks.networks.source_answers": [
        (
            "rounding bound 10 times too wide",
            replace("measured.roundings * own.gradient", "measured.roundings * 10 * own.gradient"),
            three_times_the_allowance,
        ),
        (
            "rounding bound 10 times too narrow",
            replace("measured.roundings * own.gradient", "measured.roundings * 0.1 * own.gradient"),
            a_third_of_the_allowance,
        ),
        (
            "cost bound 10 times too wide here",
            replace("measured.roundings * own.cost", "measured.roundings * 10 * own.cost"),
            three_times_the_allowance,
        ),
        ("an oracle's own error forgotten", replace("measured.error", "np.zeros(theta.shape)"), on_a_kink),
        ("changed θ not noticed", replace("np.array_equal(given, theta)", "True"), costs_and_misconduct),
        ("θ handed out without a copy", replace("given = theta.copy()", "given = theta"), costs_and_misconduct),
        (
            "shapes not checked",
            replace("gradient.shape != theta.shape or cost.size != 1", "False"),
            costs_and_misconduct,
        ),
        ("float32 judged as float64", replace('precision == "float64"', "True"), in_float32),
        ("float64 judged as float32", replace('precision == "float64"', "False"), in_float32),
    ],
    "harness.checks.networks.network_check": [
        (
            "no end-to-end directions",
            replace("[] if surrogate else _end_to_end(problem, theta, answers, subject.bound)", "[]"),
            everybodys_bug,
        )
    ],
    "harness.checks.networks.network_subject": [
        ("λ = 0 not mentioned", replace("self.problem.l2 == 0.0", "False"), not_enough_evidence),
        ("m = 1 not mentioned", replace("self.problem.m == 1", "False"), not_enough_evidence),
        ("θ = 0 not mentioned", replace("not weights.any()", "False"), not_enough_evidence),
    ],
    "reference.arithmetics.roundoff": [
        (
            "u ten times too large",
            replace_value("UNIT_ROUNDOFF", '{"float64": 10 * 2.0**-53, "float32": 2.0**-24}'),
            three_times_the_allowance,
        ),
        (
            "u ten times too small",
            replace_value("UNIT_ROUNDOFF", '{"float64": 0.1 * 2.0**-53, "float32": 2.0**-24}'),
            a_third_of_the_allowance,
        ),
        ("exp and the like ten times too vague", replace_value("ELEMENTARY", "80"), three_times_the_allowance),
        ("ten times the free roundings", replace_value("FREE_ROUNDINGS", "40"), three_times_the_allowance),
    ],
    "harness.bounds.tolerances": [
        ("no smaller steps", replace("range(14)", "range(1)"), function_in_any_unit),
        ("own gradient too vague", replace_value("GRADIENT_ROUNDINGS", "640_000"), function_off_by_three_allowances),
    ],
    "reference.arithmetics.rounded": [
        (
            "undecided branch taken for decided",
            replace("np.where(_may_flip(condition), either, chosen)", "chosen"),
            on_a_kink,
        ),
        (
            "kinks never undecided",
            replace("np.abs(x.value - y.value) > x.error + y.error", "np.abs(x.value - y.value) >= 0.0"),
            on_a_kink,
        ),
        (
            "inherited error forgotten",
            replace("inherited + x.error @ (size_y + y.error)", "inherited"),
            a_third_of_the_allowance,
        ),
    ],
    "harness.bounds.network_bound": [
        (
            "no bound taken for none needed",
            replace("np.where(np.isnan(error), np.inf, error)", "np.asarray(0.0 * error)"),
            far_out,
        )
    ],
    "reference.arithmetics.central_differences": [
        ("noise 10 times too large", replace_value("NOISE_GAIN", "60.0"), function_off_by_three_allowances)
    ],
    "harness.checks.functions.line_stencil": [
        ("truncation not estimated", replace("central.truncation + noisy", "noisy"), function_values),
        ("noise not measured", replace("3.0 * size", "0.0 * size"), function_values),
        ("kinks not looked for", replace("central.has_kink", "False"), function_values),
    ],
    "harness.checks.functions.cost_noise": [
        ("float32 not recognised", replace("_fits_float32(coarse) and np.ptp(coarse) > 0.0", "False"), function_values),
        (
            "atol and rtol swapped, cost",
            replace(
                "np.isclose(cost, cost2, rtol=tolerated, atol=0, equal_nan=True)",
                "np.isclose(cost, cost2, rtol=0.0, atol=tolerated, equal_nan=True)",
            ),
            function_misconduct,
        ),
        ("atol taken for rtol, gradient", replace("tolerated * largest(a)", "tolerated"), function_misconduct),
        (
            "changed theta not noticed",
            replace('["changes its argument theta in place"] if changed else []', "[]"),
            function_misconduct,
        ),
    ],
    "harness.checks.functions.step_sizes": [
        ("a wide stencil is believed", replace("closer = self._look(narrow)", "closer = found"), function_values),
        (
            "a stencil wider than θ is believed",
            replace("min(narrowest, 0.1 * claim.scale)", "narrowest"),
            function_in_any_unit,
        ),
        (
            "steps between rounded costs are believed",
            replace("self.is_staircase or self._are_jumps(found, narrow, closer)", "False"),
            function_values,
        ),
    ],
    "harness.checks.functions.gradient_check": [
        (
            "what was not looked at alone is not seen",
            replace("[group for group in groups if group.is_wrong]", "[]"),
            function_of_many,
        ),
        (
            "errors small beside the cost are small enough",
            replace("sizes.max(initial=0.0)", "max(sizes.max(initial=0.0), 1e5 * self.measuring.ordinary)"),
            function_beside_a_constant,
        ),
    ],
    "harness.checks.functions.cost_differences": [
        (
            "what is at odds in a group is not looked at alone",
            replace("self.one_by_one(np.sort(suspects))", "self.one_by_one(suspects[:0])"),
            function_of_many,
        )
    ],
    "harness.assertions": [
        ("assert dropped", replace('raise AssertionError(f"gradients do not agree\\n{report}")', "pass"), doors),
        (
            "assert on disagreement only",
            replace('report.verdict != "agree"', 'report.verdict == "disagree"', within="assert_gradients_agree"),
            doors,
        ),
    ],
    "harness.training.gate": [
        ("gate left open", replace("raise GateClosed(report, theta, when)", "pass"), doors),
        (
            "gate closed on disagreement only",
            replace('report.verdict != "agree"', 'report.verdict == "disagree"'),
            doors,
        ),
    ],
    "harness.checks.networks.many_networks": [
        (
            "bad networks are outvoted",
            replace(
                'self.counts["disagree"]', 'self.counts["disagree"] > self.counts["agree"]', within="_Tally.summary"
            ),
            many_networks,
        ),
        (
            "inconclusive networks pass",
            replace('verdict, reasons = "inconclusive", self.first_doubts', "pass"),
            many_networks,
        ),
    ],
}


class Mutant(NamedTuple):
    """A bug in the checker: a change of `module`."""

    what: str
    change: Change
    noticed_by: Callable[[Any], None]
    module: str


MUTANTS = [Mutant(*row, module) for module, rows in CHANGES.items() for row in rows]


@pytest.mark.parametrize("sentinel", SENTINELS, ids=lambda sentinel: sentinel.__name__)
def test_no_sentinel_objects_to_the_checker_as_it_is(sentinel):
    with planted(CHECKER) as checker:
        sentinel(checker)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_mutant_of_the_checker_is_noticed(mutant):
    with planted(CHECKER, mutant.module, mutant.change) as checker, pytest.raises(AssertionError):
        mutant.noticed_by(checker)


def test_every_sentinel_is_there_for_a_mutant():
    assert {mutant.noticed_by for mutant in MUTANTS} == set(SENTINELS)


def test_the_checker_itself_is_untouched():
    mutant = MUTANTS[0]
    afresh = {mutant.module, *importers(mutant.module)}
    before = {name: sys.modules.get(name) for name in afresh}
    with planted(CHECKER, mutant.module, mutant.change) as checker:
        assert sys.modules[mutant.module] is checker.comparison is not before[mutant.module]
    assert {name: sys.modules.get(name) for name in afresh} == before
