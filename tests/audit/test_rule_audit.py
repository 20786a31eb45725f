"""The audit finds what is known to be wrong, and what is planted."""

import json
import textwrap
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.linalg import block_diag, expm

from harness.audit import matrix_functions, rule_audit
from harness.audit.audited_functions import AUDITED, AuditedFunction
from harness.audit.derivative_errors import DIFFERENTIATE, HARMS, Error, decades, find_function, measure_errors
from harness.audit.matrix_functions import (
    FUNCTIONS,
    MATRICES,
    WEIGHTS,
    B,
    functions_by,
    measure_matrix_errors,
    true_matrix_derivatives,
)
from harness.audit.rule_audit import Audit, Audited, as_page, audit_rules
from harness.audit.true_derivatives import true_derivative
from harness.cli import main
from reference.traced.traced_function import Traced

SAMPLE = ("sinc", "hypot(·, ·)", "logaddexp(inf, ·)", "arctan")


@pytest.fixture(scope="module")
def found():
    return audit_rules(("jax",), SAMPLE)


KNOWN = [
    ("jax", "sinc", 1, 1e-8, "wrong"),
    ("jax", "log_ndtr", 1, -1e10, "wrong"),
    ("jax", "squareplus", 1, -1e10, "no correct digit"),
    ("jax", "logaddexp(inf, ·)", 1, 1.0, "wrong"),
    ("jax", "hypot(·, ·)", 1, 1e-200, "not finite"),
    ("jax", "i1", 2, 1e-8, "wrong"),
    ("jax", "the imaginary part of sign(x + i)", 1, 1.0, "wrong"),
    ("jax", "sigmoid", 1, 50.0, "no correct digit"),
    ("jax", "elu", 1, -50.0, "no correct digit"),
    ("jax", "tanh", 1, -50.0, "no correct digit"),
    ("jax", "expm1", 1, -50.0, "no correct digit"),
    ("torch", "hard_sigmoid", 1, 1.0, "wrong"),
    ("jax", "arctan", 1, -1e10, "right"),
]
BY_0_12 = {"sinc", "hypot(·, ·)", "i1", "elu", "expm1", "the imaginary part of sign(x + i)"}
MENDED = BY_0_12 if jax.__version_info__ >= (0, 12) else set()
"""What the installed JAX has right by now."""


@pytest.mark.parametrize(("library", "function", "order", "z", "harm"), KNOWN)
def test_what_is_known_is_found(library, function, order, z, harm):
    pytest.importorskip(library, reason=f"{library} is not installed")
    (rule,) = (rule for rule in AUDITED if rule.name == function)
    assert z in rule.points
    (error,) = measure_errors(replace(rule, points=(z,)), library, order)
    assert error.harm == ("right" if library == "jax" and function in MENDED else harm)


def test_the_page_ranks_and_dates_and_distinguishes_numbers(found):
    page = as_page(found)
    assert found.date in page
    assert found.versions["jax"] in page
    met, far = page[page.index("## At 0") : page.index("## True errors")].split("## Further out")
    assert met.index("first of logaddexp(inf, ·)") < met.index("first of sinc") < met.index("second of sinc")
    assert "| jax | first of sinc | wrong | 1e-08 |" in met
    assert "| jax | first of hypot(·, ·) | not finite | 1e-200 | -inf | 1.41421 |" in far
    assert "first of arctan" not in met + far
    assert "| jax | first of arctan |" in page
    error = Error(1.0 + 1e-8, true=1 / 6, answered=0.1666666716337204, ulps=1e7, harm="wrong", far=0.0)
    page = as_page(replace(found, rules=(Audited("torch", "sine", 1, (error,)),)))
    assert "| 1.00000001 | 0.16666667163 | 0.16666666667 |" in page


WRONG_EVERYWHERE = {("jax", "logaddexp(inf, ·)"), ("jax", "the imaginary part of sign(x + i)")}


@pytest.mark.parametrize("library", ["jax", "optax", "torch"])
def test_functions_are_those_whose_derivatives_are_known(library):
    """At an ordinary argument all are right, but for those that are wrong everywhere."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    rules = [rule for rule in AUDITED if library in rule.libraries and (library, rule.name) not in WRONG_EVERYWHERE]
    at = [min(rule.points, key=lambda z: abs(z - 0.5)) for rule in rules]
    functions = [find_function(library, rule.libraries[library]) for rule in rules]
    with jax.enable_x64(True):
        if library == "torch":
            found = [DIFFERENTIATE[library](f, 1, np.array([z]))[0] for f, z in zip(functions, at)]
        else:
            found = Traced(lambda zs: [jax.grad(f)(z) for f, z in zip(functions, zs)], np.array(at))(np.array(at))
    expected = [float(true_derivative(rule.series, z, 1)) for rule, z in zip(rules, at)]
    np.testing.assert_allclose(
        np.array(found), expected, rtol=1e-7, atol=1e-12, err_msg=str([rule.name for rule in rules])
    )


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
    where = next(rule for rule in AUDITED if rule.name == "sin").points
    rules = [AuditedFunction(name, lambda x: x.sin(), where, {"jax": f"planted_rules:{name}"}, (1,)) for name in names]
    monkeypatch.setattr(rule_audit, "AUDITED", rules)
    return rules


def test_planted_rules_are_found_and_ranked(planted):
    found = audit_rules(("jax",), [rule.name for rule in planted])
    told = [(finding.rule.function, finding.error.harm, finding.error.z) for finding in found.findings]
    assert told[:2] == [("edge", "not finite", 0.0), ("off", "wrong", 0.0)]
    by_name = {rule.function: rule for rule in found.rules}
    assert by_name["right"].ulps("ordinary") in (0.0, pytest.approx(1.0, abs=1.0))
    assert not by_name["slightly"].findings()
    assert (by_name["slightly"].ulps("ordinary") or 0.0) > 1e5


def error(z, harm):
    return Error(z, true=1.0, answered=0.0, ulps=0.0, harm=harm, far=decades(z))


FINDINGS = {
    "nearest to 1": ([(1e-200, "wrong"), (-1e-8, "wrong"), (1e-8, "wrong")], [(1e-8, "wrong")]),
    "each kind": ([(0.5, "wrong"), (1e-8, "not finite")], [(1e-8, "not finite"), (0.5, "wrong")]),
    "digits once": ([(20.0, "half the digits lost"), (50.0, "no correct digit")], [(50.0, "no correct digit")]),
    "digits, and an error": ([(5.0, "no correct digit"), (2.0, "wrong")], [(2.0, "wrong"), (5.0, "no correct digit")]),
    "worse further out": ([(5.0, "no correct digit"), (1e300, "wrong")], [(5.0, "no correct digit"), (1e300, "wrong")]),
    "the same further out": ([(50.0, "wrong"), (1e300, "wrong"), (1e200, "no correct digit")], [(50.0, "wrong")]),
    "nothing": ([(1.0, "right"), (1e300, "right")], []),
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_of_a_derivative(name):
    errors, expected = FINDINGS[name]
    found = Audited("jax", "sine", 1, [error(*each) for each in errors]).findings()
    assert [(e.z, e.harm) for e in found] == expected


def test_what_programs_meet_comes_first_then_the_kind_of_harm_and_first_derivatives():
    order = [
        (2.0, "not finite", 1), (1e-8, "not finite", 1), (2.0, "not finite", 2), (2.0, "wrong", 1),
        (2.0, "no correct digit", 1), (1e-11, "not finite", 1), (1e-200, "wrong", 2),
    ]  # fmt: skip
    rules = [Audited("jax", "sine", n, [error(z, harm)]) for z, harm, n in order]
    found = Audit("2026-01-01", {"jax": "1"}, rules[::-1], (), ()).findings
    assert [(f.error.z, f.error.harm, f.rule.order) for f in found] == order


@pytest.mark.parametrize("name", FUNCTIONS)
def test_true_derivatives_of_matrices_are_those_of_numpys_values(name):
    A, h = np.array(MATRICES["symmetric"]), 1e-3
    others = {
        "bordered": lambda A: block_diag(A, 1.0),
        "exponential": expm,
        "solve_upper": lambda A, b: np.linalg.solve(np.triu(A), b),
    }
    by_numpy = functions_by(np.linalg, WEIGHTS, B, **others)[name]
    for order, tolerance in ((1, 1e-5), (2, 1e-4)):
        found = true_matrix_derivatives(FUNCTIONS[name], A.tolist(), order)
        assert found is not None
        for true, step in zip(found, np.eye(9).reshape(9, 3, 3)):
            below, here, above = (by_numpy(A + t * step) for t in (-h, 0.0, h))
            difference = (above - below) / (2 * h) if order == 1 else (above - 2 * here + below) / h**2
            assert float(true) == pytest.approx(difference, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(
    ("library", "function", "matrix", "harms"),
    [
        ("jax", "det of 4 by 4", "diagonal, one zero", ("wrong", "right")),
        ("torch", "det", "diagonal, one zero", ("wrong", "right")),
        ("torch", "exponential, times 1e8", "ordinary", ("wrong", "wrong")),
        ("torch", "exponential", "ordinary", ("right", "right")),
        ("jax", "solve, upper triangular", "ordinary", ("right", "right")),
        ("torch", "solve, upper triangular", "ordinary", ("right", "wrong")),
    ],
)
def test_what_is_known_of_matrices_is_found(library, function, matrix, harms, monkeypatch):
    pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.setattr(matrix_functions, "FUNCTIONS", {function: FUNCTIONS[function]})
    monkeypatch.setattr(matrix_functions, "MATRICES", {matrix: MATRICES[matrix]})
    for (_, _, errors), harm in zip(measure_matrix_errors(library), harms, strict=True):
        assert min((error.harm for error in errors), key=HARMS.index) == harm


def test_derivatives_that_do_not_exist_are_none():
    assert true_matrix_derivatives(FUNCTIONS["inv"], MATRICES["of rank 2"], 1) is None
    assert true_matrix_derivatives(FUNCTIONS["cholesky"], MATRICES["of rank 1"], 1) is None
    assert true_matrix_derivatives(FUNCTIONS["eigvalsh"], MATRICES["diagonal, two equal"], 1) is None


def test_an_entry_that_is_off_is_found(monkeypatch):
    """NumPy's inverse stands for a library whose derivatives are right, except for one that is planted."""

    def planted(name, A, order):
        inverse = np.linalg.inv(A).T
        answer = inverse if order == 1 else -(inverse**2)
        answer[2, 1] *= 1.0 + 1e-6
        return answer.ravel()

    monkeypatch.setitem(matrix_functions.DIFFERENTIATE, "scipy", planted)
    monkeypatch.setattr(matrix_functions, "FUNCTIONS", {"log |det|": FUNCTIONS["log |det|"]})
    monkeypatch.setattr(matrix_functions, "MATRICES", {name: MATRICES[name] for name in ("ordinary", "of rank 2")})
    found = list(measure_matrix_errors("scipy"))
    assert [(name, order) for name, order, _ in found] == [("log |det|, matrix ordinary", order) for order in (1, 2)]
    assert [[error.z for error in errors if error.harm != "right"] for _, _, errors in found] == [[7], [7]]


def test_a_library_without_the_derivative_is_named():
    rule = next(rule for rule in AUDITED if rule.name == "gammaln")
    with pytest.raises(NotImplementedError):
        measure_errors(rule, "scipy", 2)
    assert "scipy: second derivative of gammaln" in audit_rules(("scipy",), ("gammaln",)).lacking


def test_the_command(tmp_path, capsys):
    page = tmp_path / "audit.md"
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--library", "scipy", "--only", "i0", "--json", "--markdown", str(page)])
    out, _ = capsys.readouterr()
    assert ended.value.code == 0
    assert json.loads(out)["rules"][0]["function"] == "i0"
    assert page.read_text().startswith("# Audit of derivative rules")
    for arguments, message in (
        (["--library", "keras"], "no library 'keras' to audit; there are"),
        (["--only", "sinus"], "no function 'sinus' to audit; there are"),
        (["--library", "scipy", "--only", "sinc"], "scipy has no derivative of sinc to audit"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["audit", *arguments])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
