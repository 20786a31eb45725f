"""PyTorch as people write it: modules, parameters, losses with a graph, backward calls; all of it left as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness import check_gradient
from harness.checks.functions.torch_state import devices_of, product_unit
from harness.facts.fact import note
from harness.facts.kinds import Kind

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
nn, F = torch.nn, torch.nn.functional


X = torch.tensor(np.random.default_rng(0).standard_normal((4, 3)))
Y = torch.tensor(np.random.default_rng(1).standard_normal((4, 2)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3)])
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)
        self.double()

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(self.norm(x))


@pytest.fixture(autouse=True)
def one_thread():
    """Threads take longer to meet than so little takes to compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def loss(module):
    return F.mse_loss(module(X), Y)


def after_backward(module):
    cost = loss(module)
    cost.backward()
    return cost


def functional(module):
    return lambda parameters: F.mse_loss(torch.func.functional_call(module, parameters, (X,)), Y)


WAYS = {
    "a loss": lambda net: (loss, net, {}),
    "a loss after backward": lambda net: (after_backward, net, {}),
    "a list of grads": lambda net: (lambda m: (after_backward(m), [p.grad for p in m.parameters()]), net, {}),
    "grads by name": lambda net: (
        lambda m: (after_backward(m), {name: p.grad for name, p in m.named_parameters()}),
        net,
        {},
    ),
    "autograd.grad": lambda net: (lambda m: (loss(m), torch.autograd.grad(loss(m), list(m.parameters()))), net, {}),
    "a gradient apart": lambda net: (
        loss,
        net,
        {"gradient": lambda m: torch.autograd.grad(loss(m), list(m.parameters()))},
    ),
    "a loss with more": lambda net: (lambda m: (loss(m), m(X)), net, {"has_aux": True}),
    "a module from outside": lambda net: (lambda _: loss(net), net, {}),
    "a list of parameters": lambda net: (lambda _: loss(net), list(net.parameters()), {}),
    "a functional call": lambda net: (functional(net), dict(net.named_parameters()), {}),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_module_is_checked_as_people_write_it_and_left_as_it_was(net, way):
    fun, theta, options = way(net)
    if not isinstance(theta, nn.Module):
        net.eval()  # what fun does to a module that is no part of θ stays done
    before = {name: values.clone() for name, values in net.state_dict().items()}
    net.head.bias.grad = kept = torch.ones_like(net.head.bias)
    report = check_gradient(fun, theta, **options)
    assert report.verdict == "agree"
    assert report.subject["parameters"] == sum(p.numel() for p in net.parameters())
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert net.head.bias.grad is kept
    assert torch.equal(kept, torch.ones_like(kept))
    assert net.layers[0].weight.grad is None
    assert all(p.requires_grad for p in net.parameters())


def test_a_module_is_left_as_it_was_by_a_function_that_raises(net):
    before = net.head.weight.detach().clone()
    calls = []

    def failing(module):
        calls.append(1)
        if len(calls) > 4:
            raise KeyError("of its own")
        module.eval()
        return loss(module)

    with pytest.raises(KeyError, match="of its own"):
        check_gradient(failing, net)
    assert torch.equal(net.head.weight, before)
    assert net.training


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, *grads):
        (x,) = ctx.saved_tensors
        return 3.03 * grads[0] * x**2


def test_a_wrong_backward_is_caught_and_named_as_it_is_indexed(net):
    def fun(module):
        return loss(module) + Cube.apply(module.layers[0].bias).sum()

    report = check_gradient(fun, net)
    assert report.verdict == "disagree"
    assert report.findings[0].where.startswith("layers[0].bias[")


@pytest.mark.parametrize("name", ["float64", "float32"])
def test_tensors_keep_that_they_require_a_gradient(name):
    theta = {"w": X[0].to(getattr(torch, name)).requires_grad_(), "scale": torch.tensor(2.0), "n": 3}
    seen = []

    def fun(t):
        seen.append((t["w"].requires_grad, t["scale"].requires_grad, t["w"].is_leaf))
        return (t["w"] ** 3).sum() * t["scale"]

    report = check_gradient(fun, theta)
    assert report.verdict == "agree"
    assert report.notes == (note(Kind.HELD_FIXED, "scale (does not require a gradient)", "n (holds integers)"),)
    assert set(seen) == {(True, False, True)}
    assert theta["w"].grad is None


def test_frozen_parameters_are_held_and_named(net):
    net.layers[0].weight.requires_grad_(False)
    trained = [p for p in net.parameters() if p.requires_grad]
    for fun in (loss, lambda m: (loss(m), torch.autograd.grad(loss(m), trained))):
        report = check_gradient(fun, net)
        assert report.verdict == "agree"
        assert report.subject["parameters"] == sum(p.numel() for p in trained)
        assert report.notes == (note(Kind.HELD_FIXED, "layers[0].weight (does not require a gradient)"),)


def test_parameters_without_a_path_are_named_and_count_as_zero(net):
    net.spare = nn.Linear(2, 2).double()
    report = check_gradient(loss, net)
    assert report.verdict == "agree"
    assert report.notes == (note(Kind.NO_PATH, "spare.weight", "spare.bias"),)


def test_a_detached_path_is_wrong(net):
    net.layers[0].register_forward_hook(lambda module, given, answer: answer.detach())
    report = check_gradient(loss, net)
    assert report.verdict == "disagree"
    assert {finding.where.partition("[")[0] for finding in report.findings} == {"layers"}


def test_tied_parameters_are_one():
    layer = nn.Linear(3, 3).double()
    tied = nn.Sequential(layer, nn.Tanh(), layer)
    report = check_gradient(lambda m: m(X).square().sum(), tied)
    assert (report.verdict, report.subject["parameters"]) == ("agree", 12)


def of(tensor):
    return (tensor**3).sum()


OUTSIDE = torch.ones(2, requires_grad=True)
REFUSED = {
    "no gradient required": (of, X[0], ValueError, "theta does not require one: give theta with requires_grad=True"),
    "a number": (lambda t: of(t).item(), OUTSIDE, ValueError, "autograd finds no path from its cost to theta: let fun"),
    "detached": (lambda t: of(t.detach()), OUTSIDE, ValueError, "without .detach"),
    "a tensor from outside": (lambda t: of(OUTSIDE), OUTSIDE, ValueError, "compute with the theta that it is given"),
    "all frozen": (
        loss,
        nn.Linear(3, 2).requires_grad_(False),
        ValueError,
        r"theta holds no parameters; .* \(weight does not require a gradient, bias does not",
    ),
    "lazy": (loss, nn.LazyLinear(2), TypeError, "weight has no shape yet; call the lazy module once"),
    "sparse": (
        of,
        torch.eye(2).to_sparse(),
        TypeError,
        r"theta must be dense, not torch.sparse_coo; give .to_dense\(\)",
    ),
    "on no device": (of, torch.ones(3, device="meta"), TypeError, "a tensor on the meta device holds none"),
}


@pytest.mark.parametrize(("fun", "theta", "error", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_checked_is_refused_with_what_to_write(fun, theta, error, sentence):
    with pytest.raises(error, match=sentence):
        check_gradient(fun, theta)


def test_a_reference_of_jax_takes_no_module(net):
    with pytest.raises(TypeError, match="a reference is traced by JAX, so theta must be a tree of arrays"):
        check_gradient(loss, net, lambda t: 0.0)


def elsewhere(dtype, kind="cuda"):
    return SimpleNamespace(device=torch.device(kind, 0), dtype=dtype)


@pytest.fixture
def tf32():
    """PyTorch's two switches, put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    yield matmul, cudnn
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.mark.parametrize("allowed", [(True, False), (False, True), (False, False)])
def test_what_a_gpu_rounds_to_is_what_pytorch_allows_it(tf32, allowed):
    for switch, value in zip(tf32, allowed):
        switch.allow_tf32 = value
    assert product_unit(elsewhere(torch.float32)) == (2.0**-11 if any(allowed) else 0.0)
    assert product_unit(elsewhere(torch.float64)) == 0.0
    assert product_unit(torch.zeros(2, dtype=torch.float32)) == 0.0


def test_tensors_that_are_not_on_the_cpu_are_told():
    assert devices_of([torch.zeros(2), np.zeros(2)]) == []
    (fact,) = devices_of([torch.zeros(2), torch.zeros(2, device="meta")])
    assert (fact.kind, fact.where) == (Kind.ON_DEVICE, ("meta",))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU on this machine")
def test_tensors_stay_on_the_gpu():
    def cost(w):
        assert w.is_cuda
        return torch.tanh(X.to(w.device) @ w).sum()

    report = check_gradient(cost, torch.ones(3, 2, dtype=torch.float64, device="cuda", requires_grad=True))
    assert report.verdict == "agree"
    assert Kind.ON_DEVICE in report.kinds
