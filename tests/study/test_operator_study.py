"""The study of PyTorch's operators: their samples, what is kept of a run, and that no right operator is refused."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
pytest.importorskip("expecttest", reason="PyTorch's operator database needs it: pip install expecttest")

from harness.commands.study_commands import _operator_checkers  # noqa: E402
from harness.study.checkers import HARNESS, PASS  # noqa: E402
from harness.study.operator_study import Operator, disagreements, operator_cases, run_study, table_of  # noqa: E402


@pytest.mark.filterwarnings("ignore")
def test_one_in_thirty_operators_is_right():
    found = run_study(step=30, samples=1, checkers=_operator_checkers())
    for case, outcomes in disagreements(found).items():
        ours, theirs = outcomes.values()
        assert theirs != PASS or "logcumsumexp" in case, (case, ours)  # whose JVP is off by 3e-6
    assert HARNESS in table_of(found)


def test_samples_are_the_same_each_time_and_require_a_gradient():
    operator = Operator("addmm", "float64", "reverse")
    (f, inputs), (_, others) = next(operator.samples()), next(operator.samples())
    assert all(x.requires_grad and torch.equal(x, y) for x, y in zip(inputs, others))
    assert f(*inputs).requires_grad
    assert {case.subject.dtype for case in operator_cases(step=100)} == {"float64", "complex128"}
