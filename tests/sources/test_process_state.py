"""Settings of the whole process that somebody's code changes are noticed and put back."""

import os
import random
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from harness.sources.process_state import KeptSettings


def change_jax():
    jax.config.update("jax_debug_nans", not jax.config.values["jax_debug_nans"])


CHANGES = {
    "NumPy's error settings (np.seterr)": (lambda: np.seterr(over="raise"), np.geterr),
    "NumPy's random numbers (np.random.seed)": (
        lambda: np.random.seed(1),  # noqa: NPY002
        lambda: np.random.get_state(legacy=False)["state"]["key"].tolist(),  # noqa: NPY002
    ),
    "Python's random numbers (random.seed)": (lambda: random.random(), random.getstate),
    "the filters of warnings": (lambda: warnings.simplefilter("always"), lambda: list(warnings.filters)),
    "the environment": (lambda: os.environ.update(HARNESS_TEST="1"), lambda: dict(os.environ)),
    "the current folder": (lambda: os.chdir(os.sep), Path.cwd),
    "Python's recursion limit": (lambda: sys.setrecursionlimit(5_000), sys.getrecursionlimit),
    "JAX's settings": (change_jax, lambda: jax.config.values["jax_debug_nans"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_told_and_put_back(what):
    change, state = CHANGES[what]
    before = state()
    with KeptSettings() as settings:
        change()
        assert state() != before
    assert settings.changed == [what]
    assert state() == before


def test_an_exception_changes_nothing_of_that():
    def moves_and_fails():
        os.chdir(os.sep)
        raise ZeroDivisionError

    before = Path.cwd()
    settings = KeptSettings()
    with pytest.raises(ZeroDivisionError), settings:
        moves_and_fails()
    assert (Path.cwd(), settings.changed) == (before, ["the current folder"])


def test_who_changes_nothing_is_told_of_nothing():
    with KeptSettings() as settings, np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.default_rng(0).normal()
    assert settings.changed == []


def test_a_warning_is_shown_again_after_filters_were_put_back():
    def warn():
        warnings.warn("look", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        with KeptSettings():
            warnings.simplefilter("ignore")
            warn()
        warn()
    assert [str(warning.message) for warning in shown] == ["look"]
