"""gradcheck and gradgradcheck of PyTorch: tensors as they are, the original's errors."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")

from torch.autograd.gradcheck import GradcheckError  # noqa: E402

from harness.drop_in import InconclusiveGradient  # noqa: E402
from harness.drop_in.torch import gradcheck, gradgradcheck  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def tensor(*shape, dtype=torch.float64, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(2, *shape))
    values = numbers[0] + 1j * numbers[1] if dtype.is_complex else numbers[0]
    return torch.tensor(values, dtype=dtype, requires_grad=True)


class Sine(torch.autograd.Function):
    """sin, whose backward is off by a factor."""

    factor = 1.0

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return a.sin()

    @classmethod
    def backward(cls, ctx, g):
        return g * ctx.saved_tensors[0].cos() * Sine.factor


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
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass_without_a_word(name, recwarn):
    func, inputs = RIGHT[name]
    assert gradcheck(func, inputs) is True
    assert gradgradcheck(func, inputs) is True
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_forward_mode_is_checked_when_asked_for():
    assert gradcheck(lambda a: (a.sin(), a.exp()), (tensor(2, 3),), check_forward_ad=True) is True
    assert gradcheck(torch.sin, (tensor(2),), check_forward_ad=True, check_backward_ad=False) is True


def test_a_wrong_backward_raises_the_report_or_answers_false(monkeypatch):
    assert gradcheck(Sine.apply, (tensor(4),)) is True
    monkeypatch.setattr(Sine, "factor", 1.0 + 1e-6)
    with pytest.raises(GradcheckError, match=r"^DISAGREE"):
        gradcheck(Sine.apply, (tensor(4),))
    assert gradcheck(Sine.apply, tensor(4), raise_exception=False) is False


def test_where_nothing_is_decided_the_original_is_asked():
    at_the_kink = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    with pytest.warns(InconclusiveGradient), pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(torch.relu, (at_the_kink,))
    with pytest.warns(InconclusiveGradient), pytest.raises(ValueError, match="expects at least one input"):
        gradcheck(torch.sin, (torch.zeros(2),))


def test_what_pytorch_itself_is_a_little_off_by_is_left_to_the_original():
    x = torch.tensor([0.6, 0.7, 1.3], dtype=torch.float64, requires_grad=True)
    with pytest.warns(InconclusiveGradient, match="off by less than 1e-08 of itself"):
        assert gradgradcheck(torch.digamma, (x,)) is True


def test_inputs_are_left_as_they_were():
    x = tensor(3)
    before = x.detach().clone()
    gradcheck(torch.sin, (x,))
    assert x.requires_grad
    assert x.grad is None
    assert torch.equal(x, before)


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


def test_forward_over_reverse_is_left_to_the_original():
    class Cube(torch.autograd.Function):
        """a³, whose backward has a wrong forward mode."""

        @staticmethod
        def forward(a):
            return a**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return g * Slope.apply(*ctx.saved_tensors)

        @staticmethod
        def jvp(ctx, t):
            return t * Slope.apply(*ctx.saved_tensors)

    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(a):
            return 3.0 * a**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return g * 6.0 * ctx.saved_tensors[0]

        @staticmethod
        def jvp(ctx, t):
            return t * 6.5 * ctx.saved_tensors[0]

    assert gradgradcheck(Cube.apply, (tensor(3),))
    with pytest.warns(InconclusiveGradient, match="forward over reverse"), pytest.raises(GradcheckError):
        gradgradcheck(Cube.apply, (tensor(3),), check_fwd_over_rev=True)
