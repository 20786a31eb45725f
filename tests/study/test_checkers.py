"""The checkers that are compared: known strengths and weaknesses of peers, and the harness beside them."""

import sys
from typing import Any

import numpy as np
import pytest
from programs import run_python

from harness import FAULTS
from harness.study.checkers import (
    ALARM,
    INCONCLUSIVE,
    INSTALL,
    PASS,
    PEERS,
    harness_verdict,
    installed_peers,
    peer_by_number,
)
from harness.study.trials import flat_source
from harness.study.zoo_cases import CORRECT
from reference.network import Network
from reference.problem import Problem


@pytest.fixture(scope="module")
def ordinary():
    rng = np.random.default_rng(0)
    network = Network((4, 5, 3))
    return Problem(network, rng.uniform(0.0, 1.0, (6, 4)), rng.integers(0, 3, 6), 1.0), network.init(1, 0.5)


@pytest.fixture
def peer(request):
    """``peer(bug, problem, theta)``: the peer of that name; the test is skipped where it is not installed."""
    peers, left_out = installed_peers([request.param])
    if left_out:
        pytest.skip(left_out[request.param])
    rng = np.random.default_rng(0)
    return lambda bug, problem, theta: peers[request.param].compare(flat_source(bug.source, problem, theta), rng)


@pytest.mark.parametrize("peer", PEERS, indirect=True)
def test_a_peer_passes_correct_code_catches_a_gross_bug_and_misses_a_wrong_cost_with_its_own_gradient(peer, ordinary):
    problem, theta = ordinary
    for bug, outcome in ((CORRECT, PASS), (FAULTS["mean-missing"], ALARM), (FAULTS["wrong-loss"], PASS)):
        assert peer(bug, problem, theta) == outcome


@pytest.mark.parametrize(
    ("bug", "wrong", "expected"),
    [
        (CORRECT, ("vectorized",), (PASS, "abstained")),
        (FAULTS["wrong-loss"], FAULTS["wrong-loss"].replaces, (ALARM, "right")),
        (FAULTS["mean-missing"], ("vectorized",), (ALARM, "right")),
        (FAULTS["mean-missing"], ("loop",), (ALARM, "wrong")),
        (FAULTS["mean-missing"], ("loop", "vectorized"), (ALARM, "wrong")),
    ],
)
def test_the_harness_catches_all_and_names_the_right_source_or_another(bug, wrong, expected, ordinary):
    assert harness_verdict(bug.sources, wrong, *ordinary) == expected


@pytest.mark.parametrize(
    ("peer", "bug", "outcome"),
    [
        ("torch gradcheck", "one-entry-0.1%-off", PASS),
        ("torch gradcheck, fast", "one-entry-0.1%-off", PASS),
        ("torch gradcheck", "shared-by-both-hands", ALARM),
        ("torch gradcheck, fast", "shared-by-both-hands", PASS),
        ("JAX check_grads", "one-entry-1e-6-off", PASS),
        ("autograd check_grads", "one-entry-1e-6-off", PASS),
        ("scipy check_grad < 1e-4", "one-entry-1e-6-off", PASS),
        ("torch gradcheck", "argument-mutated", ALARM),
        ("JAX check_grads", "argument-mutated", ALARM),
        ("torch gradcheck", "non-deterministic", ALARM),
        ("course, 1e-9", "one-entry-1e-6-off", ALARM),
    ],
    indirect=["peer"],
)
def test_known_strengths_and_weaknesses_of_peers(peer, bug, outcome, ordinary):
    problem, theta = ordinary
    assert peer(FAULTS[bug], problem, theta) == outcome


@pytest.mark.parametrize("peer", [name for name in PEERS if "10 entries" not in name], indirect=True)
def test_peers_raise_a_false_alarm_at_a_kink_and_the_harness_does_not(peer):
    network = Network((1, 1, 1), "relu", "linear")
    problem, theta = Problem(network, [[1.0]], [[1.0]]), network.pack([np.array([[0.0, 0.0]]), np.array([[0.0, 2.0]])])
    assert peer(CORRECT, problem, theta) == ALARM
    assert harness_verdict(CORRECT.sources, CORRECT.replaces, problem, theta)[0] == INCONCLUSIVE


@pytest.mark.parametrize(
    ("number", "outcome", "of_doubt"),
    [(0.01, PASS, PASS), (0.5, PASS, INCONCLUSIVE), (2.0, ALARM, ALARM), (np.nan, ALARM, ALARM)],
)
def test_a_peer_by_number_compares_it_with_its_bounds(number, outcome, of_doubt):
    none: Any = None
    for doubtful, expected in ((None, outcome), (0.1, of_doubt)):
        peer = peer_by_number("", lambda *_: number, 1.0, doubtful=doubtful)
        assert peer.compare(none, none) == expected
    assert np.isfinite(number) or peer_by_number("", lambda *_: number, 1.0, of_nan=PASS).compare(none, none) == PASS


@pytest.mark.parametrize("peer", ["autograd check_grads"], indirect=True)
def test_the_global_generator_is_left_as_it_was(peer, ordinary):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    peer(CORRECT, *ordinary)
    assert np.random.random() == expected  # noqa: NPY002


def test_a_peer_that_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    peers, left_out = installed_peers(["torch gradcheck", "course, 1e-9"])
    assert list(peers) == ["course, 1e-9"]
    assert INSTALL in left_out["torch gradcheck"]


@pytest.mark.more
def test_a_peer_made_of_assertions_is_left_out_where_python_drops_them():
    program = "from harness.study.checkers import installed_peers; print(installed_peers(['autograd check_grads'])[1])"
    (with_asserts, _, _), (_, without, _) = run_python("-c", program), run_python("-O", "-c", program)
    assert with_asserts == 0
    assert "autograd" in without
