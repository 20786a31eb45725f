"""The audit finds what is known to be wrong, and what is planted."""

import json
import textwrap
from dataclasses import replace

import jax
import numpy as np
import pytest

from harness.audit import auditing, linear_algebra, measuring
from harness.audit.auditing import Audit, Audited, audit
from harness.audit.linear_algebra import FUNCTIONS, MATRICES, WEIGHTS, B, measure_all, true_derivatives
from harness.audit.measuring import _ASK, Error, decades, measure
from harness.audit.page import as_page
from harness.audit.rules import RULES, Rule
from harness.audit.truths import true_derivative
from harness.cli import main
from reference.traced.traced_function import Traced

SAMPLE = ("sinc", "hypot(·, ·)", "logaddexp(inf, ·)", "arctan")


@pytest.fixture(scope="module")
def found():
    return audit(("jax",), SAMPLE)


KNOWN = [
    ("jax", "sinc", 1, 1e-8, "wrong"),
    ("jax", "log_ndtr", 1, -1e10, "wrong"),
    ("jax", "squareplus", 1, -1e10, "no correct digit"),
    ("jax", "logaddexp(inf, ·)", 1, 1.0, "wrong"),
    ("jax", "hypot(·, ·)", 1, 1e-200, "not finite"),
    ("jax", "i1", 2, 1e-8, "wrong"),
    ("jax", "sigmoid", 1, 50.0, "no correct digit"),
    ("jax", "elu", 1, -50.0, "no correct digit"),
    ("jax", "tanh", 1, -50.0, "no correct digit"),
    ("jax", "expm1", 1, -50.0, "no correct digit"),
    ("torch", "hard_sigmoid", 1, 1.0, "wrong"),
    ("jax", "arctan", 1, -1e10, "right"),
]


@pytest.mark.parametrize(("library", "function", "order", "z", "harm"), KNOWN)
def test_what_is_known_is_found(library, function, order, z, harm):
    pytest.importorskip(library, reason=f"{library} is not installed")
    (rule,) = (rule for rule in RULES if rule.name == function)
    assert z in rule.where
    (error,) = measure(replace(rule, where=(z,)), library, order)
    assert error.harm == harm


def test_the_page_ranks_and_dates(found):
    page = as_page(found)
    assert found.date in page
    assert found.versions["jax"] in page
    met, far = page[page.index("## At 0") : page.index("## True errors")].split("## Further out")
    assert met.index("first of logaddexp(inf, ·)") < met.index("first of sinc") < met.index("second of sinc")
    assert "| jax | first of sinc | wrong | 1e-08 |" in met
    assert "| jax | first of hypot(·, ·) | not finite | 1e-200 | -inf | 1.41421 |" in far
    assert "first of arctan" not in met + far
    assert "| jax | first of arctan |" in page


def test_numbers_that_differ_are_told_apart(found):
    for line in as_page(found).split("## True errors")[0].splitlines():
        if line.startswith("| jax"):
            answered, true = line.split(" | ")[-2:]
            assert answered != true.removesuffix(" |"), line
    error = Error(1.0 + 1e-8, true=1 / 6, answered=0.1666666716337204, ulps=1e7, harm="wrong", far=0.0)
    page = as_page(replace(found, rules=(Audited("torch", "sine", 1, (error,)),)))
    assert "| 1.00000001 | 0.166666672 | 0.166666667 |" in page


@pytest.mark.parametrize("library", ["jax", "optax", "torch"])
def test_functions_are_those_whose_derivatives_are_known(library):
    """At an ordinary argument all are right, but for one that is wrong everywhere."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    rules = [rule for rule in RULES if library in rule.libraries and rule.name != "logaddexp(inf, ·)"]
    at = [min(rule.where, key=lambda z: abs(z - 0.5)) for rule in rules]
    functions = [measuring.function_of(rule.libraries[library]) for rule in rules]
    with jax.enable_x64(True):
        if library == "torch":
            found = [_ASK[library](f, 1, np.array([z]))[0] for f, z in zip(functions, at)]
        else:
            found = Traced(lambda zs: [jax.grad(f)(z) for f, z in zip(functions, zs)], np.array(at))(np.array(at))
    expected = [float(true_derivative(rule.truth, z, 1, rule.explicit)) for rule, z in zip(rules, at)]
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
    where = next(rule for rule in RULES if rule.name == "sin").where
    rules = [Rule(name, lambda x: x.sin(), where, {"jax": f"planted_rules:{name}"}, orders=(1,)) for name in names]
    monkeypatch.setattr(auditing, "RULES", rules)
    return rules


def test_planted_rules_are_found_and_ranked(planted):
    found = audit(("jax",), [rule.name for rule in planted])
    told = [(finding.rule.function, finding.error.harm, finding.error.z) for finding in found.findings]
    assert told[:2] == [("edge", "not finite", 0.0), ("off", "wrong", 0.0)]
    by_name = {rule.function: rule for rule in found.rules}
    assert by_name["right"].ulps("ordinary") in (0.0, pytest.approx(1.0, abs=1.0))
    assert not by_name["slightly"].findings()
    assert (by_name["slightly"].ulps("ordinary") or 0.0) > 1e5


def error(z, harm):
    return Error(z, true=1.0, answered=0.0, ulps=0.0, harm=harm, far=decades(z))


TOLD = {
    "nearest to 1": ([(1e-200, "wrong"), (-1e-8, "wrong"), (1e-8, "wrong")], [(1e-8, "wrong")]),
    "each kind": ([(0.5, "wrong"), (1e-8, "not finite")], [(1e-8, "not finite"), (0.5, "wrong")]),
    "digits once": ([(20.0, "half the digits lost"), (50.0, "no correct digit")], [(50.0, "no correct digit")]),
    "digits, and an error": ([(5.0, "no correct digit"), (2.0, "wrong")], [(2.0, "wrong"), (5.0, "no correct digit")]),
    "worse further out": ([(5.0, "no correct digit"), (1e300, "wrong")], [(5.0, "no correct digit"), (1e300, "wrong")]),
    "the same further out": ([(50.0, "wrong"), (1e300, "wrong"), (1e200, "no correct digit")], [(50.0, "wrong")]),
    "nothing": ([(1.0, "right"), (1e300, "right")], []),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_of_a_derivative(name):
    errors, told = TOLD[name]
    found = Audited("jax", "sine", 1, [error(*each) for each in errors]).findings()
    assert [(e.z, e.harm) for e in found] == told


def test_what_programs_meet_comes_first_then_the_kind_of_harm_and_first_derivatives():
    order = [
        (2.0, "not finite", 1), (1e-8, "not finite", 1), (2.0, "not finite", 2), (2.0, "wrong", 1),
        (2.0, "no correct digit", 1), (1e-11, "not finite", 1), (1e-200, "wrong", 2),
    ]  # fmt: skip
    rules = [Audited("jax", "sine", n, [error(z, harm)]) for z, harm, n in order]
    found = Audit("2026-01-01", {"jax": "1"}, rules[::-1], (), ()).findings
    assert [(f.error.z, f.error.harm, f.rule.order) for f in found] == order


def by_numpy(name, A):
    weights, b = np.array(WEIGHTS), np.array(B)
    lower = lambda: np.linalg.cholesky((A + A.T) / 2)  # noqa: E731
    return {
        "det": lambda: np.linalg.det(A),
        "log |det|": lambda: np.linalg.slogdet(A)[1],
        "inv": lambda: np.sum(weights * np.linalg.inv(A)),
        "solve": lambda: weights[0] @ np.linalg.solve(A, b),
        "norm": lambda: np.linalg.norm(A),
        "cholesky": lambda: np.sum(weights * lower()),
        "eigvalsh": lambda: b @ np.linalg.eigvalsh((A + A.T) / 2),
        "svdvals": lambda: b @ np.linalg.svd(A, compute_uv=False),
        "qr": lambda: np.sum(weights * np.linalg.qr(A)[1] ** 2),
    }[name]()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_true_derivatives_of_matrices_are_those_of_numpys_values(name):
    A, h = np.array(MATRICES["symmetric"]), 1e-3
    for order, tolerance in ((1, 1e-5), (2, 1e-4)):
        found = true_derivatives(FUNCTIONS[name], A.tolist(), order)
        assert found is not None
        for true, step in zip(found, np.eye(9).reshape(9, 3, 3)):
            below, here, above = (by_numpy(name, A + t * step) for t in (-h, 0.0, h))
            difference = (above - below) / (2 * h) if order == 1 else (above - 2 * here + below) / h**2
            assert float(true) == pytest.approx(difference, rel=tolerance, abs=tolerance)


def test_true_derivatives_that_do_not_exist_are_not_told():
    assert true_derivatives(FUNCTIONS["inv"], MATRICES["of rank 2"], 1) is None
    assert true_derivatives(FUNCTIONS["cholesky"], MATRICES["of rank 1"], 1) is None
    assert true_derivatives(FUNCTIONS["eigvalsh"], MATRICES["diagonal, two equal"], 1) is None


def test_matrices(monkeypatch):
    """SciPy stands for a library that answers the truth, but for what is planted."""

    def planted(name, A, order):
        inverse = np.linalg.inv(A).T
        answer = inverse if order == 1 else -(inverse**2)
        answer[2, 1] *= 1.0 + 1e-6
        return answer.ravel()

    monkeypatch.setitem(linear_algebra._ASK, "scipy", planted)
    monkeypatch.setattr(linear_algebra, "FUNCTIONS", {"log |det|": FUNCTIONS["log |det|"]})
    monkeypatch.setattr(
        linear_algebra, "MATRICES", {"ordinary": MATRICES["ordinary"], "of rank 2": MATRICES["of rank 2"]}
    )
    found = list(measure_all("scipy"))
    assert [(name, order) for name, order, _ in found] == [
        ("log |det|, matrix ordinary", 1),
        ("log |det|, matrix ordinary", 2),
    ]
    assert [[error.z for error in errors if error.harm != "right"] for _, _, errors in found] == [[7], [7]]


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
