"""gradcheck and gradgradcheck of PyTorch: tensors as they are, the original's errors."""

# Not installed everywhere, so that its names cannot be resolved; and where it is, its types take backward and jvp for
# static methods of one signature.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")

from torch.autograd import Function  # noqa: E402
from torch.autograd.gradcheck import GradcheckError  # noqa: E402

from harness.drop_in import InconclusiveGradient, whole_checks  # noqa: E402
from harness.drop_in.torch import gradcheck, gradgradcheck  # noqa: E402
from harness.facts.kinds import Kind  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def tensor(*shape, dtype=torch.float64, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(2, *shape))
    values = numbers[0] + 1j * numbers[1] if dtype.is_complex else numbers[0]
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def by_rule(forward, backward, jvp=None):
    """A function with this backward(*inputs, *gradients), and with this jvp(*inputs, *tangents) if one is given."""

    class Ruled(Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx, *g):
            return backward(*ctx.saved_tensors, *g)

    class InBothModes(Function):
        @staticmethod
        def forward(*inputs):
            return forward(*inputs)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, *g):
            return backward(*ctx.saved_tensors, *g)

        @staticmethod
        def jvp(ctx, *t):
            assert jvp is not None
            return jvp(*ctx.saved_tensors, *t)

    return InBothModes.apply if jvp else Ruled.apply


def sine_times(factor):
    """sin, whose backward is off by a factor."""
    return by_rule(torch.sin, lambda x, g: factor * g * x.cos())


RIGHT = {
    "one output": (torch.tanh, (tensor(2, 3),)),
    "many outputs": (lambda a: (a.sin(), a.argmax(), a.exp().sum()), (tensor(2, 3),)),
    "two inputs": (torch.matmul, (tensor(2, 3), tensor(3, 2))),
    "one needs no gradient": (torch.matmul, (tensor(2, 3), tensor(3, 2).detach())),
    "no tensor": (lambda a, n: a**n, (tensor(2), 3)),
    "complex": (lambda a: a * a.conj() + a.exp(), (tensor(3, dtype=torch.complex128),)),
    "real of complex": (lambda a: a.abs(), (tensor(3, dtype=torch.complex128),)),
    "float32": (torch.tanh, (tensor(4, dtype=torch.float32),)),
    "empty": (torch.sin, (torch.zeros(0, 3, dtype=torch.float64, requires_grad=True),)),
    "a module": (torch.nn.Linear(3, 2).double(), (tensor(2, 3),)),
    "one tensor twice": ((lambda x: (lambda a, b: a * b.sin(), (x, x)))(tensor(3))),
    "two views of one tensor": ((lambda x: (lambda a, b: a @ b, (x, x.t())))(tensor(3, 3))),
    "a gradient within": (lambda a: torch.autograd.grad((a**3).sum(), a, create_graph=True)[0], (tensor(3),)),
    # the outputs' weights are other numbers than the input, to which such a sum would be blind
    "an input that hardly matters": (lambda a, b: a.sin().sum() + 1e-14 * b.sum(), (tensor(3), tensor(2))),
    "constant but for roundings": (lambda a: a.corrcoef(), (tensor(2, seed=3),)),
    "NumPy's warnings": (lambda a: by_rule(
        lambda x: torch.from_numpy(np.log(x.numpy())), lambda x, g: g / x
    )(a), (torch.tensor([1e-9, 0.5], dtype=torch.float64, requires_grad=True),)),
    "an output that is 0 but for roundings": (
        lambda a: (1e3 * a.sin(), a.softmax(0).sum() - 1.0), (tensor(5),)
    ),
    "an entry that is 0 but for roundings": (
        lambda a: torch.stack([a.sin().sum(), 1e-280 * (1e8 * (a.softmax(0).sum() - 1.0)).sin()]), (tensor(5),)
    ),
    "a count, without a gradient": (lambda a: a.norm(p=0), (tensor(3),)),
    "numbers from the seed 0": (lambda a: a / a.norm(), (torch.randn(
        6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True
    ),)),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass_without_a_word(name, recwarn):
    func, inputs = RIGHT[name]
    assert gradcheck(func, inputs) is True
    assert gradgradcheck(func, inputs) is True
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_forward_mode_is_checked_when_asked_for():
    nearly_too_large = torch.tensor([700.0, 709.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a: a.exp().sum().log(), (nearly_too_large,), check_forward_ad=True) is True
    assert gradcheck(lambda a: (a.sin(), a.exp()), (tensor(2, 3),), check_forward_ad=True) is True
    assert gradcheck(torch.sin, (tensor(2),), check_forward_ad=True, check_backward_ad=False) is True


@pytest.mark.parametrize(("size", "where"), [(5, "[4]"), (1000, "direction")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_mode_of_any_size_is_checked_along_a_direction(size, where, dtype, recwarn):
    def sine_times_at_the_end(factor):
        factors = torch.ones(size, dtype=dtype)
        factors[-1] = factor
        return by_rule(torch.sin, lambda x, g: g * x.cos(), lambda x, t: factors * t * x.cos())

    forward = {"check_forward_ad": True, "check_backward_ad": False}
    assert gradcheck(sine_times_at_the_end(1.0), (tensor(size, dtype=dtype),), **forward)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]
    with pytest.raises(GradcheckError) as raised:
        gradcheck(sine_times_at_the_end(1.1), (tensor(size, dtype=dtype),), **forward)
    assert raised.value.report.findings[0].where.endswith(where)


def test_forward_mode_leaves_out_what_has_no_derivative(recwarn):
    class SineAndRounded(Function):
        slope = 1.0

        @staticmethod
        def forward(a):
            return a.sin(), a.round()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def backward(ctx, g, _):
            return g * ctx.saved_tensors[0].cos()

        @staticmethod
        def jvp(ctx, t):
            return SineAndRounded.slope * t * ctx.saved_tensors[0].cos(), None

    assert gradcheck(SineAndRounded.apply, (tensor(3),), check_forward_ad=True)
    SineAndRounded.slope = 1.001
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(SineAndRounded.apply, (tensor(3),), check_forward_ad=True)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


@pytest.mark.parametrize("given", [lambda x: x.t(), lambda x: x[:, ::2]])
def test_tensors_come_in_the_memory_layout_that_they_have(given):
    def as_stored(x, g):
        return g * torch.as_strided(x, (x.numel(),), (1,), x.storage_offset()).cos().view(x.shape)

    x = given(tensor(2, 6).detach()).requires_grad_()
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(by_rule(torch.sin, as_stored), (x,))
    assert gradcheck(by_rule(torch.sin, lambda x, g: g * x.cos()), (x,)) is True


LAYOUTS = {
    "coo": lambda x: x.to_sparse(),
    "csr": lambda x: x.to_sparse_csr(),
    "csc": lambda x: x.to_sparse_csc(),
    "bsr": lambda x: x.to_sparse_bsr((1, 3)),
}


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_sparse_inputs_the_specified_entries_are_checked(layout, recwarn):
    class Product(Function):
        slope = 1.0

        @staticmethod
        def forward(ctx, s, b):
            ctx.save_for_backward(s, b)
            return s.to_dense() @ b

        @staticmethod
        def backward(ctx, g):
            s, b = ctx.saved_tensors
            return Product.slope * (g @ b.t()), s.to_dense().t() @ g

    s = LAYOUTS[layout](torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], dtype=torch.float64)).requires_grad_()
    inputs = (s, tensor(3, 2))
    assert gradcheck(lambda s, b: s.to_dense(masked_grad=True) @ b, inputs, masked=True) is True
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]
    Product.slope = torch.tensor([1.0, 1.0, 1.001], dtype=torch.float64)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(Product.apply, inputs, masked=True)
    assert raised.value.report.findings[0].where.startswith("s[")
    with pytest.warns(InconclusiveGradient, match="cannot-run"):
        gradcheck(lambda s: s.to_dense(masked_grad=False), (s,))


def test_what_a_function_closes_over_moves_with_the_input(recwarn):
    model = torch.nn.Linear(3, 2).double()
    assert gradcheck(lambda *_: model(tensor(4, 3).detach()), tuple(model.parameters())) is True
    wide = torch.nn.Linear(3, 2)
    assert gradcheck(lambda *_: wide(tensor(4, 3, dtype=torch.float32).detach()), tuple(wide.parameters())) is True
    x = tensor(3, dtype=torch.float32)
    assert gradcheck(lambda _: x.sin(), x) is True
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_a_backward_by_float32_gets_a_hint_though_its_answer_is_of_float64():
    sine = by_rule(torch.sin, lambda x, g: g * x.float().cos().double())
    with pytest.raises(GradcheckError, match="float32-digits"):
        gradcheck(sine, (tensor(4),))


def test_a_report_names_the_inputs():
    def scaled(weight, scale):
        return weight * scale.detach()

    with pytest.raises(GradcheckError) as raised:
        gradcheck(scaled, (tensor(2), tensor(2, seed=1)))
    (finding,) = raised.value.report.findings
    assert (finding.where, finding.value) == ("scale[1]", 0.0)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(Doubled.apply, (tensor(2),))
    assert raised.value.report.findings[0].where in ("a[0]", "a[1]")


class Doubled(Function):
    """exp, with twice its derivative."""

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a.exp())
        return a.exp()

    @staticmethod
    def backward(ctx, g):
        return 2.0 * g * ctx.saved_tensors[0]


def without_materialized_gradients(knows_of_none):
    class Sum(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.set_materialize_grads(False)
            return a.sum()

        @staticmethod
        def backward(ctx, g):
            if g is None and not knows_of_none:
                raise RuntimeError("no gradient")
            return None if g is None else g.expand(3)

    return Sum.apply


@pytest.mark.filterwarnings("ignore:Backwards compatibility:UserWarning")
def test_what_is_asked_beside_derivatives_is_answered_by_the_original(caplog):
    assert gradcheck(without_materialized_gradients(True), tensor(3))
    with pytest.raises(GradcheckError, match="undefined output grads"):
        gradcheck(without_materialized_gradients(False), tensor(3))
    assert gradcheck(without_materialized_gradients(False), tensor(3), check_undefined_grad=False)
    unbatched = by_rule(torch.sin, lambda x, g: torch.tensor(g.tolist(), dtype=g.dtype) * x.cos())
    assert gradcheck(unbatched, tensor(3))
    assert gradcheck(by_rule(lambda x: x**2, lambda x, g: g.mul_(2.0 * x)), tensor(3))  # which changes its cotangent
    with pytest.raises(RuntimeError, match="batched gradients"):
        gradcheck(unbatched, tensor(3), check_batched_grad=True)
    assert not caplog.records  # all of these have a meaning


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_an_argument_that_there_is_not_is_refused(check):
    with pytest.raises(TypeError, match="epsilon"):
        check(Doubled.apply, (tensor(2),), epsilon=1e-3)


def test_a_second_derivative_that_is_lost_is_wrong():
    def kept(x, g):
        return g * (3.0 * x.detach() ** 2)

    def once(x, g):
        with torch.no_grad():
            return g * 3.0 * x**2

    for rule in (kept, torch.autograd.function.once_differentiable(once)):
        with pytest.raises(GradcheckError, match=r"^DISAGREE"):
            gradgradcheck(by_rule(lambda x: x**3, rule), (tensor(3),))


def test_cotangents_are_other_numbers_than_weights():
    """Of a second derivative that is wrong by g × w, nothing is seen where the cotangent g is the weight w."""
    slope = by_rule(
        lambda x, g: g * x.cos(), lambda x, g, w: (-w * g * x.sin() + torch.linalg.cross(g, w), w * x.cos())
    )
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradgradcheck(by_rule(torch.sin, slope), (tensor(3),))


def test_inputs_are_left_as_they_were_where_the_function_raises_too():
    x = tensor(3)
    before = x.detach().clone()

    def fails_elsewhere(a):
        if (a.detach() - before).abs().max() > 1e-4:
            raise ValueError("outside of the domain")
        return a.sin()

    assert gradcheck(fails_elsewhere, (x,))
    assert torch.equal(x.detach(), before)
    assert x.requires_grad
    assert x.grad is None


def test_a_wrong_backward_raises_the_report_or_answers_false():
    assert gradcheck(sine_times(1.0), (tensor(4),)) is True
    wrong = sine_times(1.0 + 1e-6)
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(wrong, (tensor(4),))
    assert gradcheck(wrong, tensor(4), raise_exception=False) is False


def test_where_nothing_is_decided_the_original_is_asked():
    at_the_jump = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    with pytest.warns(InconclusiveGradient), pytest.raises(GradcheckError, match="Jacobian mismatch") as raised:
        gradcheck(lambda a: a + torch.sign(a), (at_the_jump,))
    assert Kind.ORIGINAL_DECIDED in " ".join(raised.value.__notes__)  # the failure says both stories
    with pytest.warns(InconclusiveGradient), pytest.raises(ValueError, match="expects at least one input"):
        gradcheck(torch.sin, (torch.zeros(2),))


def test_what_pytorch_itself_is_a_little_off_by_is_left_to_the_original(recwarn):
    x = tensor(3).detach().mul(0.1).requires_grad_()  # hardsigmoid's slope is a sixth in float32
    with pytest.warns(InconclusiveGradient, match="inexact-library-rule"):
        assert gradcheck(torch.nn.functional.hardsigmoid, (x,)) is True
    own = sine_times(1.0 + 9e-9)
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(own, (x,))
    assert gradcheck(own, (x,), rtol=1e-2) is True  # wider than the original's default


class Behind(Function):
    """sin of the numbers of the call before this one."""

    before = None

    @staticmethod
    def forward(ctx, a):
        ctx.slope, Behind.before = (a if Behind.before is None else Behind.before).cos(), a.detach().clone()
        return a.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.slope


def test_a_gradient_of_the_call_before_is_wrong():
    Behind.before = None
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(Behind.apply, (tensor(3),))


def test_a_rule_that_pytorch_wraps_is_the_callers_own():
    @torch.library.custom_op("harness::nearly_sine", mutates_args=())
    def nearly_sine(x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportInvalidTypeForm]
        return torch.sin(x)

    nearly_sine.register_autograd(
        lambda ctx, g: (1.0 + 9e-9) * g * ctx.x.cos(),
        setup_context=lambda ctx, inputs, output: setattr(ctx, "x", *inputs),
    )
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(nearly_sine, (tensor(3),))
    hidden = sine_times(1.0 + 9e-9)
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(lambda x: torch.utils.checkpoint.checkpoint(hidden, x, use_reentrant=False), (tensor(3),))


@pytest.mark.parametrize(("reverse", "forward"), [(1.0, 2.0), (1.0 + 1e-12, 1.0 + 1e-6), (2.0, 1.0)])
def test_a_right_mode_hides_no_wrong_one(reverse, forward):
    both = by_rule(torch.sin, lambda x, g: reverse * g * x.cos(), lambda x, t: forward * t * x.cos())
    with pytest.raises(GradcheckError) as raised:
        gradcheck(both, (tensor(3),), check_forward_ad=True)
    (compared,) = [fact for fact in raised.value.report.notes if fact.kind == Kind.COMPARED_DERIVATIVE]
    assert compared.where == ("reverse mode" if reverse == 2.0 else "forward mode",)
    assert compared.data["outputs"] == "outputs"


def of_two_outputs(backward, materialize=True):
    """sin and cos, with this backward(x, gradient of the first, gradient of the second)."""

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.set_materialize_grads(materialize)
            return x.sin(), x.cos()

        @staticmethod
        def backward(ctx, ga, gb):
            return backward(*ctx.saved_tensors, ga, gb)

    return Two.apply


def of_either(x, ga, gb):
    return sum(0.0 if g is None else g * slope for g, slope in ((ga, x.cos()), (gb, -x.sin())))


BEHIND_TOGETHER = {
    "nothing without the first": of_two_outputs(lambda x, ga, gb: None if ga is None else of_either(x, ga, gb), False),
    "nothing without the second": of_two_outputs(lambda x, ga, gb: None if gb is None else of_either(x, ga, gb), False),
    "the second where the first is not 0": of_two_outputs(lambda x, ga, gb: ga * x.cos() - gb * x.sin() * (ga != 0)),
    "a product of both": of_two_outputs(lambda x, ga, gb: ga * x.cos() - gb * x.sin() * (ga / ga).nan_to_num()),
    "the cotangent twice": by_rule(torch.sin, lambda x, g: g * g * x.cos()),
    "its sign": by_rule(torch.sin, lambda x, g: g.sign() * x.cos()),
    "clipped": by_rule(torch.sin, lambda x, g: g.clamp(-100.0, 100.0) * x.cos()),
    "none below a half": by_rule(torch.sin, lambda x, g: torch.where(g.abs() < 0.5, 0.0, g) * x.cos()),
    "none below a hundredth": by_rule(torch.sin, lambda x, g: torch.where(g.abs() < 0.01, 0.0, g) * x.cos()),
}


@pytest.mark.parametrize("name", BEHIND_TOGETHER)
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_each_output_is_checked_alone_and_linearity_too(name, shape):
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(BEHIND_TOGETHER[name], (tensor(*shape),))


@pytest.mark.parametrize(("factor", "error"), [(1.0, 1e-3), (0.0, 0.01)])
@pytest.mark.parametrize("together", [tuple, torch.stack])
def test_each_output_and_each_row_is_compared_with_its_own_size(together, factor, error):
    def two(slope):
        def backward(x, *g):
            of_sine, of_cosine = g if together is tuple else g[0]
            return 1e12 * of_sine * x.cos() - slope * of_cosine * x.sin()

        return by_rule(lambda x: together([1e12 * x.sin(), factor * x.cos()]), backward)

    assert gradcheck(two(factor), (tensor(3),))
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(two(factor + error), (tensor(3),))


def test_gradients_that_are_interchanged_are_wrong():
    product = by_rule(torch.mul, lambda a, b, g: (g * a, g * b))
    a, b = (x.detach().mul(0.1).requires_grad_() for x in (tensor(3), tensor(3, seed=1)))
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(product, (a, b))


def test_what_is_as_small_as_the_accuracy_need_not_be_linear():
    sine = by_rule(lambda a, b: a.sin() + 0.0 * b, lambda a, b, g: (g * a.cos(), 1e-12 * g.abs()))
    assert gradcheck(sine, (tensor(3), tensor(3, seed=1)))


def test_missing_cotangents_may_be_known(recwarn):
    for materialize in (True, False):
        assert gradcheck(of_two_outputs(of_either, materialize), (tensor(3),), check_undefined_grad=False)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_at_a_kink_a_value_between_both_slopes_passes(recwarn):
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    ties = torch.ones(1, 1, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(torch.relu, (x,))
    assert gradcheck(lambda a: torch.nn.functional.max_pool1d(a, 2), (ties,))
    for f, n in ((lambda a: a.sort().values, 10), (torch.median, 7), (lambda a: a.cummax(0).values, 4)):
        assert gradcheck(f, (torch.ones(n, dtype=torch.float64, requires_grad=True),))
    assert gradcheck(lambda a: (a.max(), a.amax()), (ties,))  # of one entry, and shared
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(by_rule(torch.relu, lambda x, g: 1.1 * g * (x >= 0.0)), (x,))
    with pytest.warns(InconclusiveGradient, match="kinks-together"), pytest.raises(GradcheckError, match="mismatch"):
        gradcheck(by_rule(torch.amax, lambda x, g: g * (x == x.amax())), (ties,))


AT_KINKS = {
    "relu": (torch.relu, [0.0, 1.0, -1.0]),
    "beside a factor": (lambda a: a.relu() * a.exp(), [0.0, 0.0]),
    "abs": (lambda a: a.abs() * a.exp(), [0.0, 1.0]),
    "max-pool": (lambda a: torch.nn.functional.max_pool1d(a[None], 2), [1.0, 1.0, 1.0, 1.0]),
    "sort": (lambda a: a.sort().values ** 2, [1.0, 1.0, 1.0, 1.0]),
    "clamp": (lambda a: a.clamp(0.0, 1.0), [0.0, 1.0, 0.5]),
}


@pytest.mark.parametrize("name", AT_KINKS)
def test_second_derivatives_at_a_kink_are_those_beside_it(name, recwarn):
    f, at = AT_KINKS[name]
    assert gradgradcheck(f, (torch.tensor(at, dtype=torch.float64, requires_grad=True),))
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_a_second_derivative_that_is_none_of_those_beside_a_kink_is_left_to_the_original():
    slope = by_rule(lambda x: (x > 0.0).double(), lambda x, g: g * (x == 0.0))
    with pytest.warns(InconclusiveGradient, match="original-decided"), pytest.raises(GradcheckError, match="mismatch"):
        gradgradcheck(
            by_rule(torch.relu, lambda x, g: g * slope(x)), (torch.zeros(2, dtype=torch.float64, requires_grad=True),)
        )


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_only_inputs_in_doubt_are_checked_entry_by_entry(check, monkeypatch):
    """Labels jump wherever they move, and the other inputs need no more than a look."""
    checked, check_gradient = set(), whole_checks.check_gradient
    monkeypatch.setattr(
        whole_checks,
        "check_gradient",
        lambda f, theta, **more: checked.update(theta) or check_gradient(f, theta, **more),
    )

    def loss_by(slope):
        sine = sine_times(slope)
        return lambda a, b, label: torch.where(label == 1.0, sine(a) * b, 0.0 * label)

    inputs = tensor(3), tensor(3, seed=1), torch.ones(3, dtype=torch.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconclusiveGradient)
        assert check(loss_by(1.0), inputs) is True
        assert checked == {"label"}
        with pytest.raises(GradcheckError) as raised:
            check(loss_by(1.001), inputs)
    assert checked == {"a", "label"}
    (compared,) = [fact for fact in raised.value.report.notes if fact.kind == Kind.COMPARED_DERIVATIVE]
    assert compared.data["confirmed"][0] == "b"


FAR = {
    "sqrt beside 0": (torch.sqrt, 1e-12),
    "log beside 0": (torch.log, 1e-30),
    "sin of large numbers": (torch.sin, 1e9),
}


@pytest.mark.parametrize("name", FAR)
def test_the_steps_fit_the_input(name, recwarn):
    f, size = FAR[name]
    x = (size * (1.0 + tensor(3).detach() ** 2)).requires_grad_()
    assert gradcheck(f, (x,))
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


NEAR = {"a jump": (torch.frac, 1.0 - 4e-4), "a step": (torch.round, 0.5 - 4e-4), "a pole": (torch.tan, 1.5688)}


@pytest.mark.parametrize("name", NEAR)
def test_beside_a_jump_or_a_pole_a_look_is_enough(name, recwarn, monkeypatch):
    monkeypatch.setattr(whole_checks, "check_gradient", None)
    f, x = NEAR[name]
    assert gradcheck(f, (torch.tensor([0.3, x], dtype=torch.float64, requires_grad=True),))
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("slope", [lambda t: 1.0 - t, lambda t: 1.1 * (1.0 - t * t)])
def test_a_coarse_type_is_checked_in_double(dtype, slope, recwarn):
    assert gradcheck(torch.tanh, (tensor(4, dtype=dtype),)) is True
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(by_rule(torch.tanh, lambda x, g: g * slope(x.tanh())), (tensor(4, dtype=dtype),))


def test_where_both_are_blind_it_is_told_and_passes():
    x, narrow = tensor(4, dtype=torch.bfloat16), lambda x: x.to(torch.bfloat16).tanh()
    with pytest.warns(InconclusiveGradient, match="neither-decided"):
        assert gradcheck(narrow, (x,)) is True


@pytest.mark.parametrize(("noise", "tolerance", "passes"), [(1e-13, 0.0, True), (1e-6, 1e-4, True), (1e-2, 0.0, False)])
def test_scatter_of_the_values_is_part_of_the_bound(noise, tolerance, passes):
    rng = np.random.default_rng(0)
    f = lambda x: x.sin() * (1.0 + noise * rng.normal())  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconclusiveGradient)
        if passes:
            assert gradcheck(f, (tensor(3),), nondet_tol=max(tolerance, 1e-12))
        else:
            with pytest.raises(GradcheckError):
                gradcheck(f, (tensor(3),), nondet_tol=tolerance)


class Batched(Function):
    """Row sums, whose rule for batches may take the wrong axis."""

    axis = -1

    @staticmethod
    def forward(x):
        return x.sin().sum(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable()

    @staticmethod
    def backward(ctx, g):
        return g[..., None] * ctx.saved_tensors[0].cos()

    @staticmethod
    def vmap(info, in_dims, x):
        return x.movedim(in_dims[0], 0).sin().sum(Batched.axis), 0


def test_a_rule_for_batches_is_compared_with_a_loop(monkeypatch):
    assert gradcheck(Batched.apply, (tensor(3, 3),)) is True
    monkeypatch.setattr(Batched, "axis", 1)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(Batched.apply, (tensor(3, 3),))
    assert Kind.VMAP_DIFFERS in raised.value.report.kinds


REFUSED = {
    "neither mode": (gradcheck, tensor(3), {"check_backward_ad": False}, AssertionError),
    "one number for many": (gradcheck, tensor(1).detach().expand(3).requires_grad_(), {}, RuntimeError),
    "undefined gradients in forward mode": (
        gradgradcheck, tensor(3), {"check_rev_over_rev": False, "check_fwd_over_rev": True}, AssertionError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_original_refuses_is_refused(name):
    check, x, options, error = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconclusiveGradient)
        with pytest.raises(error):
            check(torch.sin, (x,), **options)


ZERO_TENSORS = {
    "a gradient": (torch.sgn, (tensor(3),)),
    "a tangent": (torch.nn.functional.mse_loss, (tensor(3), tensor(3, seed=1))),
    "a complex tangent": (lambda a, b: (a - b).abs().square(), (tensor(dtype=torch.complex128), tensor(seed=1))),
}


@pytest.mark.parametrize("name", ZERO_TENSORS)
def test_zeros_without_memory_are_numbers(name, recwarn):
    """PyTorch's rules answer ZeroTensors for derivatives that are 0 everywhere; some raise where they get one."""
    func, inputs = ZERO_TENSORS[name]
    assert gradcheck(func, inputs, check_forward_ad=True)
    assert gradgradcheck(func, inputs, check_fwd_over_rev=True, check_undefined_grad=False)
    assert gradcheck(lambda a: torch.linalg.slogdet(a).sign + a.sum(), (tensor(3, 3),), check_forward_ad=True)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_forward_over_reverse_mode_is_checked_when_asked_for():
    wrong_forward = by_rule(lambda a: 3.0 * a**2, lambda a, g: g * 6.0 * a, lambda a, t: t * 6.5 * a)
    cube = by_rule(lambda a: a**3, lambda a, g: g * wrong_forward(a), lambda a, t: t * wrong_forward(a))
    assert gradgradcheck(cube, (tensor(3),))
    assert gradgradcheck(torch.sin, (tensor(3),), check_fwd_over_rev=True)
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradgradcheck(cube, (tensor(3),), check_fwd_over_rev=True)
