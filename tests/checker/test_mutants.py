"""Mutants of the checker itself: a checker that passes everything passes most tests, so who checks the checker?

Each mutant is the checker with one line changed, such as a bound ten times too wide, an `abs` forgotten, NaN taken for
equal. Every mutant has to be noticed by the sentinel that it names (tests/sentinels.py), and the checker as it is by
none.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from sentinels import (
    SENTINELS,
    a_third_of_the_allowance,
    answers_side_by_side,
    costs_and_manners,
    doors,
    everybodys_mistake,
    far_out,
    function_in_any_unit,
    function_manners,
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

CHECKER = (
    "reference.arithmetics.roundoff",
    "reference.oracles.black_box",
    "harness.bounds.tolerances",
    "reference.arithmetics.rounded",
    "reference.arithmetics.tangent",
    "harness.bounds.rounding_bound",
    "harness.verdict.comparison",
    "harness.verdict.report",
    "harness.verdict.judging",
    "harness.checks.functions.parameters",
    "harness.checks.networks.cross_checking",
    "harness.checks.functions.users_function",
    "harness.checks.functions.step_search",
    "harness.checks.functions.gradient_checking",
    "harness.assertions",
    "harness.training.gate",
    "harness.checks.networks.many_networks",
)
"""What is loaded anew for every mutant, each module after those that it imports."""

Change = tuple[str, str, str, Callable[[Any], None]]

CHANGES: dict[str, list[Change]] = {
    "harness.verdict.comparison": [
        ("bound 10 times too wide", "a.error + b.error", "10 * (a.error + b.error)", answers_side_by_side),
        ("one bound forgotten", "a.error + b.error", "a.error", answers_side_by_side),
        ("bounds subtracted", "a.error + b.error", "a.error - b.error", answers_side_by_side),
        ("absolute bound as a relative one", "b.error\n", "b.error * np.abs(a.gradient)\n", answers_side_by_side),
        ("abs forgotten", "np.abs(a.gradient - b.gradient)", "a.gradient - b.gradient", answers_side_by_side),
        ("abs forgotten, cost", "np.abs(a.cost - b.cost)", "a.cost - b.cost", answers_side_by_side),
        ("cost bound 10 times too wide", "a.cost_error + b.cost_error", "2e-11", answers_side_by_side),
        ("NaN taken for equal", "~(difference <= allowed)", "(difference > allowed)", not_a_number),
        ("NaN taken for zero", "~(difference <=", "~(np.nan_to_num(difference) <=", not_a_number),
        ("no bound taken for none needed", "np.isfinite(allowed) & ~", "~", no_bound_no_verdict),
        ("every bound is narrow enough", "(allowed <= meaningless * scale)", "True", no_bound_no_verdict),
        ("share of the size as a size", "meaningless * scale)", "meaningless)", no_bound_no_verdict),
        ("cost always decided", "cost_allowed <= meaningless", "0.0 <= meaningless", no_bound_no_verdict),
        ("infinite cost bound decides", "np.isfinite(cost_allowed) and ", "", no_bound_no_verdict),
        ("a huge wrong answer sets the scale", "np.minimum(_scale(", "np.maximum(_scale(", no_bound_no_verdict),
        ("cost not compared", "self.cost_at_odds or bool", "bool", costs_and_manners),
        ("all coordinates must differ", "self.at_odds.any()", "self.at_odds.all()", three_times_the_allowance),
        ("votes counted by heads", "{families[name] for name in group} - divided", "group", the_odd_one_out),
        ("a vague relative lends its vote", " for name in group} - divided", " for name in group}", the_odd_one_out),
        ("the first of a tie wins", "len(best) > 1", "len(best) > 9", the_odd_one_out),
    ],
    "harness.verdict.judging": [
        ("disagreement passes", '"disagree" if findings or misconduct else ', "", three_times_the_allowance),
        ("doubt passes", '"inconclusive" if doubts else "agree"', '"agree"', not_enough_evidence),
        ("misconduct passes", "if findings or misconduct", "if findings", costs_and_manners),
        ("undecided coordinates pass", ".mean() < CONCLUSIVE_SHARE", ".mean() < 0.0", on_a_kink),
        ("relatives decide", "families[pair.first] != families[pair.second]", "True", not_enough_evidence),
        ("values swapped", "float(source.gradient[worst])", "float(against.gradient[worst])", the_odd_one_out),
        ("wrong place", " label(worst),", " label(worst + 1),", the_odd_one_out),
    ],
    "harness.checks.networks.cross_checking": [
        ("rounding bound 10 times too wide", "* own.gradient", "* 10 * own.gradient", three_times_the_allowance),
        ("rounding bound 10 times too narrow", "* own.gradient", "* 0.1 * own.gradient", a_third_of_the_allowance),
        ("cost bound 10 times too wide here", "* own.cost", "* 10 * own.cost", three_times_the_allowance),
        ("an oracle's own error forgotten", "measured.error + (measured", "(measured", on_a_kink),
        ("changed θ not noticed", "if not np.array_equal(given, theta)", "if False", costs_and_manners),
        ("θ handed out without a copy", "given = theta.copy()", "given = theta", costs_and_manners),
        ("shapes not checked", "if gradient.shape != theta.shape or", "if False and", costs_and_manners),
        ("float32 judged as float64", 'if precision == "float32" else bound', "if False else bound", in_float32),
        ("float64 judged as float32", 'if precision == "float32" else bound', "", in_float32),
        (
            "no end-to-end directions",
            "ends = _end_to_end(problem, theta, answers, bound)",
            "ends = []",
            everybodys_mistake,
        ),
        ("λ = 0 not mentioned", "if problem.l2 == 0.0", "if False", not_enough_evidence),
        ("m = 1 not mentioned", "if problem.m == 1", "if False", not_enough_evidence),
        ("θ = 0 not mentioned", "if not weights.any()", "if False", not_enough_evidence),
    ],
    "reference.arithmetics.roundoff": [
        ("u ten times too large", '"float64": 2.0**-53', '"float64": 10 * 2.0**-53', three_times_the_allowance),
        ("u ten times too small", '"float64": 2.0**-53', '"float64": 0.1 * 2.0**-53', a_third_of_the_allowance),
        ("exp and the like ten times too vague", "ELEMENTARY = 8", "ELEMENTARY = 80", three_times_the_allowance),
        ("ten times the free roundings", "FREE_ROUNDINGS = 4", "FREE_ROUNDINGS = 40", three_times_the_allowance),
    ],
    "harness.bounds.tolerances": [
        ("no smaller steps", "for k in range(11)", "for k in range(1)", function_in_any_unit),
        ("own gradient too vague", "ROUNDINGS = 64", "ROUNDINGS = 640_000", function_off_by_three_allowances),
    ],
    "reference.arithmetics.rounded": [
        ("undecided branch taken for decided", "np.where(_may_flip(condition), either, chosen)", "chosen", on_a_kink),
        ("kinks never undecided", "> x.error + y.error", ">= 0.0", on_a_kink),
        (
            "inherited error forgotten",
            "inherited + x.error @ (size_y + y.error)",
            "inherited",
            a_third_of_the_allowance,
        ),
    ],
    "harness.bounds.rounding_bound": [
        ("no bound taken for none needed", "np.where(np.isnan(error), np.inf, error)", "0.0 * error", far_out),
    ],
    "reference.oracles.black_box": [
        ("noise 10 times too large", "NOISE_GAIN = 6.0", "NOISE_GAIN = 60.0", function_off_by_three_allowances),
        ("truncation not estimated", "abs(R1 - R2) + ", "", function_values),
        ("kinks not looked for", "error += near / h", "pass", function_values),
    ],
    "harness.checks.functions.users_function": [
        ("noise not measured", "return max(rounding, 3.0 *", "return max(rounding, 0.0 *", function_values),
        ("float32 not recognised", "if _fits_float32(coarse) and np.ptp(coarse) > 0.0", "if False", function_values),
        ("atol and rtol swapped, cost", "rtol=tolerated, atol=0.0", "rtol=0.0, atol=tolerated", function_manners),
        ("atol taken for rtol, gradient", "atol=tolerated * largest(gradient)", "atol=tolerated", function_manners),
        ("changed theta not noticed", "if changed else []\n", "if False else []\n", function_manners),
    ],
    "harness.checks.functions.step_search": [
        ("a wide stencil is believed", "closer = probe(narrow, 0.0)", "closer = found", function_values),
        ("a stencil wider than θ is believed", "min(narrowest, 0.1 * claim.scale)", "narrowest", function_in_any_unit),
        ("steps between rounded costs are believed", "if supported and", "if False and", function_values),
    ],
    "harness.checks.functions.gradient_checking": [
        ("what was not sampled is not seen", "if len(asked.sample) < asked.layout.size", "if False", function_of_many),
        ("the half that is right is searched", "max(np.array_split(", "min(np.array_split(", function_of_many),
        (
            "size of the cost taken for 1",
            "NEGLIGIBLE * max(ordinary, size",
            "NEGLIGIBLE * max(1.0, size",
            function_in_any_unit,
        ),
    ],
    "harness.assertions": [
        ("assert dropped", "raise AssertionError(", "str(", doors),
        ("assert on disagreement only", 'report.verdict != "agree"', 'report.verdict == "disagree"', doors),
    ],
    "harness.training.gate": [
        ("gate left open", "raise GateClosed(", "GateClosed(", doors),
        ("gate closed on disagreement only", 'report.verdict != "agree"', 'report.verdict == "disagree"', doors),
    ],
    "harness.checks.networks.many_networks": [
        (
            "bad networks are outvoted",
            '"disagree" if self.counts["disagree"] else',
            '"disagree" if self.counts["disagree"] > self.counts["agree"] else',
            many_networks,
        ),
        ("inconclusive networks pass", 'verdict, reasons = "inconclusive", self.doubts', "pass", many_networks),
    ],
}


class Mutant(NamedTuple):
    """A mistake in the checker: in `module`, `new` stands where `old` should."""

    what: str
    old: str
    new: str
    noticed_by: Callable[[Any], None]
    module: str


MUTANTS = [Mutant(*change, module) for module, changes in CHANGES.items() for change in changes]


@cache
def source_of(module: str) -> tuple[str, str] | None:
    spec = find_spec(module)
    return (spec.origin, Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else None


@cache
def compiled(module: str, old: str = "", new: str = "") -> Any:
    path, text = source_of(module) or ("", "")
    assert not old or text.count(old) == 1, f"{module} has {old!r} {text.count(old)} times: adapt the mutant to it"
    return compile(text.replace(old, new) if old else text, path, "exec")


@contextmanager
def checker_with(mutant: Mutant | None = None) -> Iterator[SimpleNamespace]:
    """The checker's modules, loaded afresh, one of them with a mistake in it."""
    with pytest.MonkeyPatch.context() as patch:
        loaded = {}
        for name in filter(source_of, CHECKER):
            package, _, short = name.rpartition(".")
            loaded[short] = ModuleType(name)
            patch.setitem(sys.modules, name, loaded[short])
            patch.setattr(sys.modules[package], short, loaded[short], raising=False)
            change = (mutant.old, mutant.new) if mutant and mutant.module == name else ()
            exec(compiled(name, *change), loaded[short].__dict__)
        yield SimpleNamespace(**loaded)


@pytest.mark.parametrize("sentinel", SENTINELS, ids=lambda sentinel: sentinel.__name__)
def test_no_sentinel_objects_to_the_checker_as_it_is(sentinel):
    with checker_with() as checker:
        sentinel(checker)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_mutant_of_the_checker_is_noticed(mutant):
    with checker_with(mutant) as checker, pytest.raises(AssertionError):
        mutant.noticed_by(checker)


def test_every_sentinel_is_there_for_a_mutant():
    assert {mutant.noticed_by for mutant in MUTANTS} == set(SENTINELS)


def test_the_checker_itself_is_untouched():
    before = {name: sys.modules.get(name) for name in CHECKER}
    with checker_with(MUTANTS[0]) as checker:
        assert (
            sys.modules["harness.verdict.comparison"] is checker.comparison is not before["harness.verdict.comparison"]
        )
    assert {name: sys.modules.get(name) for name in CHECKER} == before
