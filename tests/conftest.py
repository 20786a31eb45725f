"""What the tests share: Hypothesis profiles, the number of random networks, the digits and the course's weights.

HARNESS_PROFILE=deep checks many more random networks. HARNESS_EX4 names the course's ex4weights.mat, or its folder.
Without it, the tests that need it skip, or fail if HARNESS_REQUIRE_EX4=1. HARNESS_WORDLESS=1 puts no fact into words:
then every test must still pass, but for those of words themselves.
"""

import gc
import os
import signal
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from harness import ACTIVATIONS
from harness.facts import message_table

EXAMPLES = {"default": 25, "deep": 1_000}
NETWORKS = {"default": 300, "deep": 10_000}
PROFILE = os.environ.get("HARNESS_PROFILE", "default")
if PROFILE not in EXAMPLES:
    raise pytest.UsageError(f"HARNESS_PROFILE is {PROFILE!r}; expected one of {', '.join(EXAMPLES)}")

WORDLESS = os.environ.get("HARNESS_WORDLESS") == "1"
OF_WORDS = ("tests/facts/", "tests/verdict/test_golden_reports.py", "tests/doors/test_docs.py")
"""Tests that pin words: of the table of messages, of reports, and of what the guides show."""

if WORDLESS:
    message_table.say = lambda fact: fact.kind.value

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell sets it for what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

# a busy machine cannot promise a deadline; the default profile is repeatable, the deep one explores
for name, examples in EXAMPLES.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, print_blob=True, derandomize=name == "default"
    )
settings.load_profile(PROFILE)


def slow_tests() -> dict[str, int]:
    """The slow tests, and of how many cases of each `make test` keeps one; 0 keeps none.

    What is left of them, and cheaper tests beside them, cover what they do.
    """
    lines = (Path(__file__).parent / "slow_tests.txt").read_text(encoding="utf-8").splitlines()
    return {name: int(of or 0) for name, _, of in (line.partition(" 1/") for line in lines)}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave slow tests to `make test-more`; without words, leave out the tests of words."""
    slow, met = slow_tests(), Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        if name in slow:
            if not slow[name] or met[name] % slow[name]:
                item.add_marker(pytest.mark.more)
            met[name] += 1
    if WORDLESS:
        of_words = [item for item in items if item.nodeid.startswith(OF_WORDS)]
        config.hook.pytest_deselected(items=of_words)
        items[:] = [item for item in items if item not in of_words]


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Exempt from garbage collection what is made here, such as JAX and all tests: it stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def network_count() -> int:
    """How many seeded networks a test checks."""
    return NETWORKS[PROFILE]


@pytest.fixture(scope="session")
def assert_within_rounding():
    """Assert that two (cost, gradient) differ only by rounding. Returns the share of coordinates with narrow bounds.

    They may differ by `roundings` times the derived bound, plus `error`.
    """
    from harness.bounds.network_bound import rounding_bound

    def check(problem, theta, one, other, roundings=2.0, error=0.0):
        bound = rounding_bound(problem, theta)
        allowed = roundings * bound.gradient + error
        with np.errstate(invalid="ignore"):  # costs that overflow
            beyond = [
                np.isfinite(limit) & ~(np.abs(a - b) <= limit)
                for a, b, limit in ((one[0], other[0], roundings * bound.cost), (one[1], other[1], allowed))
            ]
        assert not np.any(beyond[0]), f"{problem}: costs {one[0]!r} and {other[0]!r}"
        assert not np.any(beyond[1]), f"{problem}: at {np.flatnonzero(beyond[1])}\n{one[1]}\n{other[1]}"
        return float(np.mean(allowed <= 1e-6 * max(1.0, np.abs(one[1]).max())))

    return check


@pytest.fixture
def registry():
    """The registered activations, which are restored after the test."""
    before = dict(ACTIVATIONS)
    yield ACTIVATIONS
    ACTIVATIONS.clear()
    ACTIVATIONS.update(before)


@pytest.fixture
def run_command(capsys):
    """``run_command(*arguments)`` -> (exit code, stdout, stderr) of the command line."""
    from harness.cli import main

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return call


@pytest.fixture(scope="session")
def digits():
    from harness import load_digits

    return load_digits()


@pytest.fixture
def course_weights() -> Path:
    """The course's ex4weights.mat."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "ex4"
    path = Path(os.environ.get("HARNESS_EX4") or beside)
    path = path / "ex4weights.mat" if path.is_dir() else path
    if not path.is_file():
        give_up = pytest.fail if os.environ.get("HARNESS_REQUIRE_EX4") == "1" else pytest.skip
        give_up(f"the course's weights are not at {path}: HARNESS_EX4 must name ex4weights.mat or its folder")
    return path


@pytest.fixture
def course_theta(course_weights) -> np.ndarray:
    """The course's trained parameters of the 400-25-10 network."""
    return _read_weights(course_weights)


@cache
def _read_weights(path: Path) -> np.ndarray:
    from harness.digits.digit_networks import load_weights

    theta = load_weights(path)
    theta.flags.writeable = False
    return theta
