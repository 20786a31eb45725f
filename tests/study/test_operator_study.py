"""The study of PyTorch's operators: their samples, what is kept of a run, and that no right operator is refused."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
pytest.importorskip("expecttest", reason="PyTorch's operator database needs it: pip install expecttest")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

from harness.drop_in import torch as drop_in  # noqa: E402
from harness.study.checkers import ALARM, HARNESS, PASS  # noqa: E402
from harness.study.operator_samples import Operator, operator_cases  # noqa: E402
from harness.study.operator_study import OperatorChecker, disagreements, run_operator_study  # noqa: E402
from harness.study.study_tables import operator_table  # noqa: E402

pytestmark = pytest.mark.more

OURS = {HARNESS: OperatorChecker(drop_in.gradcheck, drop_in.gradgradcheck)}
BOTH = OURS | {"torch gradcheck": OperatorChecker(gradcheck, gradgradcheck)}


@pytest.mark.filterwarnings("ignore")
def test_a_tenth_of_the_operators_is_right():
    found = run_operator_study(BOTH, step=10, samples=1)
    for trials in disagreements(found):
        ours, theirs = (trial.outcome for trial in trials)
        assert theirs != PASS or "logcumsumexp" in trials[0].case, (trials[0].case, ours)  # whose JVP is off by 3e-6


def test_a_run_goes_on_with_what_is_stored(tmp_path):
    store, asked = tmp_path / "trials", []

    def refuses(*given, **options):
        asked.append(options)
        return False

    first = run_operator_study({HARNESS: OperatorChecker(refuses, refuses)}, step=400, samples=1, store=store)
    count, lines = len(asked), store.read_bytes()
    store.write_bytes(lines[:-9])  # cut off within the last trial
    again = run_operator_study({HARNESS: OperatorChecker(refuses, refuses)}, step=400, samples=1, store=store)
    assert len(asked) == count + 1
    assert [trial._replace(seconds=0.0) for trial in again.trials] == [t._replace(seconds=0.0) for t in first.trials]
    assert {trial.outcome for trial in again.trials} == {ALARM}
    assert HARNESS in operator_table(again)
    store.write_bytes(lines.replace(b"alarm", b"pass", 1))
    with pytest.raises(ValueError, match="checksum"):
        run_operator_study(OURS, step=400, samples=1, store=store)


def test_samples_are_the_same_each_time_and_require_a_gradient():
    operator = Operator("addmm", "float64", "reverse")
    (f, inputs), (_, others) = next(operator.samples()), next(operator.samples())
    assert all(x.requires_grad and torch.equal(x, y) for x, y in zip(inputs, others))
    assert f(*inputs).requires_grad
    assert {case.subject.dtype for case in operator_cases(step=100)} == {"float64", "complex128"}
