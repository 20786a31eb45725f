"""The audit finds what is known to be wrong, and what is planted."""

import json
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from harness.audit import auditing
from harness.audit.auditing import Audited, audit
from harness.audit.linear_algebra import FUNCTIONS, MATRICES, measure_all
from harness.audit.measuring import Error, measure
from harness.audit.page import as_page
from harness.audit.rules import RULES, Rule
from harness.cli import main

SAMPLE = ("sinc", "hypot(·, ·)", "logaddexp(inf, ·)", "arctan")


@pytest.fixture(scope="module")
def found():
    return audit(("jax",), SAMPLE)


def at(found, function, order, z):
    (rule,) = (rule for rule in found.rules if (rule.function, rule.order) == (function, order))
    return next(error for error in rule.errors if error.z == z)


def test_what_is_known_of_jax_is_found(found):
    assert at(found, "sinc", 1, 1e-8).harm == "wrong"
    assert at(found, "hypot(·, ·)", 1, 1e-200).harm == "not finite"
    assert at(found, "logaddexp(inf, ·)", 1, 1.0).harm == "wrong"
    assert {rule.worst.harm for rule in found.rules if rule.function == "arctan" and rule.order == 1} == {"right"}


def test_the_page_ranks_and_dates(found):
    page = as_page(found)
    assert found.date in page
    assert found.versions["jax"] in page
    table = page[page.index("## Not right") : page.index("## True errors")]
    assert table.index("first of hypot") < table.index("first of sinc")
    assert "first of arctan" not in table
    assert "| jax | first of arctan |" in page


def test_numbers_that_differ_are_told_apart(found):
    for line in as_page(found).split("## True errors")[0].splitlines():
        if line.startswith("| jax"):
            answered, true = line.split(" | ")[-2:]
            assert answered != true.removesuffix(" |"), line
    error = Error(1.0 + 1e-8, true=1 / 6, answered=0.1666666716337204, ulps=1e7, harm="wrong")
    page = as_page(replace(found, rules=(Audited("torch", "sine", 1, (error,)),)))
    assert "| 1.00000001 | 0.166666672 | 0.166666667 |" in page


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Sines with rules of their own, as functions of a module."""
    text = """
        import jax, jax.numpy as jnp

        def sine(slope):
            @jax.custom_jvp
            def f(x):
                return jnp.sin(x)
            f.defjvp(lambda x, t: (jnp.sin(*x), slope(*x) * t[0]))
            return f

        right = sine(jnp.cos)
        off = sine(lambda x: jnp.cos(x) * (1 + 1e-8))
        slightly = sine(lambda x: jnp.cos(x) * (1 + 1e-10))
        edge = sine(lambda x: jnp.where(x == 0.0, jnp.nan, jnp.cos(x)))
        """
    (tmp_path / "planted_rules.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    names = ("right", "off", "slightly", "edge")
    where = next(rule for rule in RULES if rule.name == "sin").where
    rules = [Rule(name, lambda x: x.sin(), where, {"jax": f"planted_rules:{name}"}, orders=(1,)) for name in names]
    monkeypatch.setattr(auditing, "RULES", rules)
    return rules


def test_planted_rules_are_found_and_ranked(planted):
    found = audit(("jax",), [rule.name for rule in planted])
    assert [(rule.function, rule.worst.harm) for rule in found.rules[:2]] == [("edge", "not finite"), ("off", "wrong")]
    by_name = {rule.function: rule for rule in found.rules}
    assert by_name["edge"].worst.z == 0.0
    assert by_name["right"].ulps("ordinary") in (0.0, pytest.approx(1.0, abs=1.0))
    assert by_name["slightly"].worst.harm == "right"
    assert (by_name["slightly"].ulps("ordinary") or 0.0) > 1e5


def test_matrices(monkeypatch):
    """SciPy stands for a library that answers the truth, but for what is planted."""
    from harness.audit import linear_algebra

    def by_differences(name, A):
        assert name in FUNCTIONS
        gradient = np.linalg.inv(A).T
        gradient[2, 1] *= 1.0 + 1e-6
        return gradient

    monkeypatch.setitem(linear_algebra._ASK, "scipy", by_differences)
    monkeypatch.setattr(linear_algebra, "FUNCTIONS", {"log |det|": FUNCTIONS["log |det|"]})
    found = dict(measure_all("scipy"))
    assert set(found) < {f"log |det|, matrix {kind}" for kind in MATRICES}  # those that are not singular
    wrong = [error.z for error in found["log |det|, matrix ordinary"] if error.harm != "right"]
    assert wrong == [7]


def test_the_error_of_a_library_without_the_derivative_is_said():
    rule = next(rule for rule in RULES if rule.name == "gammaln")
    with pytest.raises(NotImplementedError):
        measure(rule, "scipy", 2)
    assert "scipy: second derivative of gammaln" in audit(("scipy",), ("gammaln",)).lacking


def test_the_command(tmp_path, capsys):
    page = tmp_path / "audit.md"
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--library", "scipy", "--only", "i0", "--json", "--page", str(page)])
    out, _ = capsys.readouterr()
    assert ended.value.code == 0
    assert json.loads(out)["rules"][0]["function"] == "i0"
    assert page.read_text().startswith("# Audit of derivative rules")
    for arguments in (["--library", "keras"], ["--only", "sinus"]):
        with pytest.raises(SystemExit) as ended:
            main(["audit", *arguments])
        assert ended.value.code == 2
        assert "to audit; there are" in capsys.readouterr().err
