"""Formulas as people first write them get the right verdict, and are proved where an arithmetic can run them."""

import math

import numpy as np
import pytest
from scipy import special

from harness import ACTIVATIONS, Activation, Network, Problem, check_activation, cross_check
from harness.checks.activations.array_proxies import DEEPEST, run_on_entries
from harness.checks.activations.formulas import as_written, find_activation, in_torch
from harness.checks.activations.proof import prove
from harness.checks.activations.slope_answers import CLAIMED
from harness.facts.kinds import Kind
from reference.arithmetics.companion import NoRule
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY


def _copied(xp, z):
    a = z.copy()
    a[z <= 0.0] *= 0.5
    return a


def _array(xp, z):
    a = np.array(z)
    a[a < 0.0] = np.expm1(a[a < 0.0])
    return a


def _empty(xp, z):
    a, above = np.empty_like(z), z >= 0.0
    a[above] = 1.0 / (1.0 + np.exp(-z[above]))
    a[~above] = special.expit(z[~above])
    return a


def _put(xp, z):
    a = z.copy()
    np.putmask(a, a < 0.0, 0.0)
    return a


def _listed(xp, z):
    return np.array([x if x > 0.0 else 0.1 * x for x in np.ravel(z)]).reshape(np.shape(z))


def _branches(x):
    if x > 1.0:
        return x - 0.5
    if x < -1.0:
        return -x - 0.5
    return 0.5 * x * x


WRITTEN = {
    "a mask of a copy": (_copied, lambda z, a: np.where(z > 0.0, 1.0, 0.5), (0.0,)),
    "np.array and a mask": (_array, lambda z, a: np.where(z < 0.0, a + 1.0, 1.0), ()),
    "an empty array and masks": (_empty, lambda z, a: a * (1.0 - a), ()),
    "putmask": (_put, lambda z, a: (z > 0.0) * 1.0, (0.0,)),
    "a list": (_listed, lambda z, a: np.where(z > 0.0, 1.0, 0.1), (0.0,)),
    "piecewise": (
        lambda xp, z: np.piecewise(z, [z < -1.0, z > 1.0], [-1.0, 1.0, lambda x: x]),
        lambda z, a: (np.abs(z) <= 1.0) * 1.0,
        (-1.0, 1.0),
    ),
    "select": (
        lambda xp, z: np.select([z < -1.0, z > 1.0], [-z - 0.5, z - 0.5], 0.5 * z * z),
        lambda z, a: np.clip(z, -1.0, 1.0),
        (),
    ),
    "np.vectorize": (lambda xp, z: np.vectorize(_branches)(z), lambda z, a: np.clip(z, -1.0, 1.0), ()),
    "np.frompyfunc": (
        lambda xp, z: np.frompyfunc(lambda x: x * abs(x), 1, 1)(z).astype(float),
        lambda z, a: 2.0 * np.abs(z),
        (),
    ),
    "out=": (lambda xp, z: np.maximum(z, 0.0, out=z.copy()), lambda z, a: (z > 0.0) * 1.0, (0.0,)),
    "a slope by masks": (lambda xp, z: xp.maximum(z, 0.0), lambda z, a: _step(z), (0.0,)),
    "expit": (lambda xp, z: z * special.expit(z), lambda z, a: special.expit(z) + a * special.expit(-z), ()),
}
"""Right records; every one runs in ball arithmetic, and is proved for all z in [-30, 30]."""


def _step(z):
    a = np.zeros_like(z)
    a[z > 0.0] = 1.0
    return a


@pytest.mark.parametrize("name", WRITTEN)
def test_a_right_slope_is_proved_however_its_formula_is_written(name):
    value, slope, kinks = WRITTEN[name]
    proof = prove(as_written(Activation(name, value, slope, kinks=kinks)))
    assert proof.complete, proof
    assert not [z for z in proof.suspects if abs(z) <= 30.0]


@pytest.mark.parametrize("name", ["np.array and a mask", "piecewise", "np.vectorize"])
@pytest.mark.parametrize("wrong", [False, True])
def test_the_verdict_is_right_however_a_formula_is_written(name, wrong):
    value, slope, kinks = WRITTEN[name]
    narrow = (lambda z, a: slope(z, a) + 1e-6 * ((z > 4.0) & (z < 4.001))) if wrong else slope
    report = check_activation(Activation(name, value, narrow, kinks=kinks))
    assert report.verdict == ("disagree" if wrong else "agree"), f"\n{report}"
    assert "ball" in [row.name for row in report.sources]
    assert set(report.outliers) == ({"slope"} if wrong else set())


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.0001, "disagree")])
@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (special.j0, lambda z, a: -special.j1(z)),
        (special.log_ndtr, lambda z, a: np.exp(-0.5 * z * z - a) / math.sqrt(2.0 * math.pi)),
    ],
)
def test_a_function_that_no_arithmetic_knows_is_judged_by_differences(value, slope, factor, verdict):
    f = Activation(value.__name__, lambda xp, z: value(z), lambda z, a: factor * slope(z, a))
    report = check_activation(f)
    assert (report.verdict, {row.name for row in report.sources} & {"ball", "jax"}) == (verdict, set())


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.0001, "disagree")])
@pytest.mark.parametrize("by_z", [False, True])
def test_dawsns_integral_is_judged_by_balls_where_differences_are_too_coarse(by_z, factor, verdict):
    """z D(z) tends to 1/2, so that far out its plain differences round by more than they are."""

    def slope(z, a):
        bend = 1.0 - 2.0 * z * special.dawsn(z)
        return factor * (special.dawsn(z) + z * bend if by_z else bend)

    report = check_activation(Activation("dawsn", lambda xp, z: special.dawsn(z) * (z if by_z else 1.0), slope))
    assert (report.verdict, "ball" in {row.name for row in report.sources}) == (verdict, True)


Z = np.array([-2.0, -0.5, 0.75, 3.0])


def test_an_undecided_question_has_both_answers():
    """Within its rounding error x may lie on either side: the bound reaches from one branch to the other."""
    x = Rounded(np.array([1e-20, 1.0]), np.array([1e-10, 0.0]))
    chosen = run_on_entries(lambda x: np.array([5.0 if entry > 0.0 else 2.0 for entry in x]), x)
    assert chosen.value.tolist() == [5.0, 5.0]
    assert chosen.error[0] >= 3.0
    assert chosen.error[1] == 0.0


def _asks(times):
    def formula(x):
        return np.array([sum(1.0 if entry > k else 0.0 for k in range(times)) for entry in x])

    return formula


def test_a_question_that_is_asked_twice_is_answered_once_and_too_many_are_refused():
    x = Tangent(np.array([2.5, -1.0]), 1.0)
    twice = run_on_entries(lambda x: np.where(x > 0.0, 1.0, 0.0) - np.where(x > 0.0, 1.0, 0.0), x)
    assert np.abs(twice.value).max() == 0.0
    assert run_on_entries(_asks(DEEPEST), x).value.tolist() == [3.0, 0.0]
    with pytest.raises(NoRule, match="more than 6 comparisons"):
        run_on_entries(_asks(DEEPEST + 1), x)


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (lambda x: np.array([math.exp(entry) for entry in x]), "must be real number|float"),
        (lambda x: np.concatenate([x, x]), "returns an array of shape"),
        (lambda x: x.astype(np.float32), "cast to float only"),
        (lambda x: np.array(["text"]), "returns a str"),
    ],
)
def test_what_objects_cannot_run_is_refused(formula, reason):
    with pytest.raises(TypeError, match=reason):
        run_on_entries(formula, Tangent(Z, 1.0))


def test_a_formula_with_parameters_is_asked_for_them():
    f = as_written(
        Activation(
            "scaled", lambda xp, z, beta=2.0: np.piecewise(z, [z < 0], [0.0, lambda x: beta * x]), lambda z, a: z
        )
    )
    answer = f.value(NUMPY, Tangent(Z, 1.0), beta=3.0)  # pyright: ignore[reportCallIssue]
    np.testing.assert_array_equal(answer.value, 3.0 * np.maximum(Z, 0.0))


MISUSES = {
    "forgotten": (lambda g, slope: slope, Kind.NOT_LINEAR),
    "clipped": (lambda g, slope: g.clamp(-1e3, 1e3) * slope, Kind.NOT_LINEAR),
    "clipped by its norm": (lambda g, slope: g * (100.0 / g.norm().clamp(min=100.0)) * slope, Kind.NOT_LINEAR),
    "small ones dropped": (lambda g, slope: g * (abs(g) > 1e-4) * slope, Kind.NOT_LINEAR),
    "added": (lambda g, slope: g - 1.0 + slope, Kind.NOT_LINEAR),
    "NaN where zero": (lambda g, slope: g * g / g * slope, Kind.NOT_LINEAR),
    "mean": (lambda g, slope: g.mean() * slope, Kind.NOT_ELEMENTWISE),
    "reversed": (lambda g, slope: g.flip(0) * slope, Kind.NOT_ELEMENTWISE),
}
"""What a backward makes of the gradient that it is given: slopes that are right where that is one everywhere."""


@pytest.fixture(scope="module")
def over_torch():
    """Records whose formulas call torch, and pairs of torch, right ones first."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
    sigma = lambda z: 0.5 + 0.5 * np.tanh(0.5 * z)  # noqa: E731

    class Swish(torch.autograd.Function):
        product = staticmethod(lambda upstream, slope: upstream * slope)

        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * torch.sigmoid(z)

        @classmethod
        def backward(cls, ctx, upstream):
            (z,) = ctx.saved_tensors
            s = torch.sigmoid(z)
            return cls.product(upstream, s + z * s * (1.0 - s))

    class ReLU(torch.autograd.Function):
        @staticmethod
        def forward(z):
            return z.clamp(min=0.0)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, upstream):
            return upstream * (ctx.saved_tensors[0] > 0.0)

    gelu = torch.nn.functional.gelu
    right = {
        "tanh": Activation("torch", lambda xp, z: torch.tanh(z), lambda z, a: 1.0 - a * a),
        "as_tensor": Activation("torch", lambda xp, z: torch.tanh(torch.as_tensor(z)), lambda z, a: 1.0 - a * a),
        "both": Activation("torch", lambda xp, z: torch.sigmoid(z), lambda z, a: torch.sigmoid(-z) * a),
        "module": Activation("torch", lambda xp, z: gelu(z), ACTIVATIONS["gelu"].slope),
        "kink": Activation("torch", lambda xp, z: torch.relu(z), lambda z, a: (a > 0.0) * 1.0, kinks=(0.0,)),
        "pair": Swish,
        "pair with a kink": ReLU,
    }
    wrong = {
        "sign": Activation("torch", lambda xp, z: torch.tanh(z), lambda z, a: a * a - 1.0),
        "factor": Activation("torch", lambda xp, z: torch.sigmoid(2.0 * z), lambda z, a: sigma(2.0 * z) * (1.0 - a)),
        "backward": type("Half", (Swish,), {"product": staticmethod(lambda upstream, slope: 0.5 * upstream * slope)}),
        "parameter": Activation(
            "torch",
            lambda xp, z, b=2.0: torch.sigmoid(b * z),
            lambda z, a: 2.0 * torch.sigmoid(-2.0 * z) * a,
            parameters={"b": lambda z, a, b: sigma(b * z) * sigma(-b * z)},
        ),
        "NaN": Activation("torch", lambda xp, z: torch.sigmoid(z), lambda z, a: torch.exp(-z) * a * a),
    }
    misused = {
        name: type("Misused", (Swish,), {"product": staticmethod(product)}) for name, (product, _) in MISUSES.items()
    }
    return right, wrong, misused


@pytest.mark.more
def test_formulas_and_functions_of_torch_run_in_torch(over_torch):
    right, wrong, _ = over_torch
    assert {name: check_activation(f).verdict for name, f in right.items()} == dict.fromkeys(right, "agree")
    reports = {name: check_activation(f) for name, f in wrong.items()}
    assert {name: report.verdict for name, report in reports.items()} == dict.fromkeys(wrong, "disagree")
    assert reports["sign"].outliers == reports["backward"].outliers == (CLAIMED,)
    assert all("torch" in {row.name for row in report.sources} for report in reports.values())


@pytest.mark.more
@pytest.mark.parametrize("name", MISUSES)
def test_a_backward_is_the_slope_times_the_gradient_that_it_is_given(over_torch, name):
    report = check_activation(over_torch[2][name])
    assert report.verdict == "disagree", f"\n{report}"
    assert [fact.kind for fact in report.reasons] == [MISUSES[name][1]]


INSTEAD = {
    "np for xp": (lambda xp, z: np.tanh(z), lambda z, a: 1.0 - a * a, "write xp.tanh(z) for np.tanh(z)"),
    "scipy.special": (lambda xp, z: special.expit(z), lambda z, a: a * (1.0 - a), "for functions of scipy.special"),
    "a mask": (_copied, lambda z, a: np.where(z > 0.0, 1.0, 0.5), "write xp.where(condition, new, a)"),
    "piecewise": (
        lambda xp, z: np.piecewise(z, [z > 0.0], [lambda x: x, 0.0]),
        lambda z, a: (a > 0.0) * 1.0,
        "write xp.",
    ),
}


@pytest.mark.parametrize(("value", "slope", "advice"), INSTEAD.values(), ids=list(INSTEAD))
def test_a_first_try_gets_its_verdict_and_the_line_to_write_instead(value, slope, advice):
    report = check_activation(Activation("mine", value, slope))
    assert report.verdict in ("agree", "inconclusive")
    assert not report.outliers
    assert advice in report.left_out["jax"].data["reason"]
    wrong = Activation("mine", value, lambda z, a: 2.0 * slope(z, a) + 0.1)
    assert check_activation(wrong).outliers == ("slope",)


def test_a_record_is_found_by_name_by_module_and_as_it_is():
    assert find_activation(OWN) is OWN
    assert find_activation("tanh") is ACTIVATIONS["tanh"]
    assert find_activation(f"{__name__}:OWN") is OWN


OWN = Activation("own", lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)


@pytest.mark.more
def test_a_formula_over_torch_trains_in_networks(over_torch):
    f = in_torch(find_activation(over_torch[0]["pair"]))
    network = Network((2, 3, 1), f)
    problem = Problem(network, np.linspace(-1.0, 1.0, 8).reshape(4, 2), [0, 0, 0, 0])
    report = cross_check(problem, network.init(seed=0), ("loop", "vectorized", "finite-difference"))
    assert report.verdict == "agree"
