"""Where derivatives are hard to know: ties, singular matrices, free phases, infinities, numbers by their bits."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import sampled
from jax import lax

from harness import check_derivatives
from harness.facts.kinds import Kind

rng = np.random.default_rng(2)
Z = np.array([1.0 + 2j, 1.5 - 1j, 1.25 + 5j, 9j])
TIED = np.array([1.0 + 2j, 1.0 + 5j, 1j, 0.5])
M = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
U, S, V = np.linalg.svd(rng.normal(size=(4, 4)))
svd = partial(jnp.linalg.svd, full_matrices=False)


def of_rank(k):
    return (U * np.where(np.arange(4) < k, S, 0.0)) @ V


def single(*numbers):
    return np.array(numbers, np.float32)


def masked(x):
    return jnp.where(jnp.arange(x.size) % 2 == 0, x * x, -jnp.inf)


RIGHT = {
    "the largest complex number": (lambda z: lax.reduce_max(z, (0,)), Z),
    "complex maxima so far": (lambda z: lax.cummax(z), Z),
    "complex numbers sorted": (lambda z: lax.sort(z), Z),
    "det of zeros": (jnp.linalg.det, np.zeros((4, 4))),
    "det of rank 2": (jnp.linalg.det, np.diag([1.0, 2.0, 0.0, 0.0])),
    "det of rank 2, rounded": (jnp.linalg.det, of_rank(2)),
    "det of rank 1, float32": (jnp.linalg.det, of_rank(1).astype(np.float32)),
    "det, all of it cancels": (jnp.linalg.det, single([36, -42, 18], [-42, 49, -21], [18, -21, 9])),
    "det of rank 1, all of it zero": (jnp.linalg.det, np.ones((3, 3))),
    "det in a sum": (lambda a: jnp.log(1.0 + jnp.linalg.det(a)) + a[0, 0], np.diag([1.0, 2.0, 3.0, 0.0])),
    "complex singular vectors": (svd, M),
    "wide, complex64": (svd, M.T.astype(np.complex64)),
    "complex eigenvectors": (lambda a: jnp.linalg.eigh(a + a.conj().T), M[:3]),
    "what is masked by infinity": (masked, rng.normal(size=5)),
    "mantissas": (lambda x: jnp.frexp(x)[0], single(3.1, -0.7, 5e-3)),
    "truth values compared": (
        lambda x: jnp.interp(x, single(0, 1, 2.5, 4), single(0.3, -1, 2, 0.5), period=4.0),
        single(0.3, 1.7, 3.1),
    ),
    "a square that underflows": (lambda x: x**2, np.array([1e-170, 2.0])),
    "a product that underflows": (lambda x: x[0] * x[1] * x[2:], np.array([1e-160, 1e-160, 2.0, 3.0])),
    "a tiny argument": (jnp.sin, np.array([1e-240, 2.0])),
    "powers of two shifted": (lambda x: jnp.ldexp(x, 2), single(1.0, 2.0, -4.0)),
}

if "out_dtype" in inspect.signature(lax.mul).parameters:  # JAX 0.8 has no such parameter
    RIGHT["a type among the parameters"] = (partial(lax.mul, out_dtype=np.float32), np.float32(1.3), np.float32(0.7))


@pytest.mark.parametrize("name", sampled(RIGHT))
def test_what_is_right_agrees(name):
    report = check_derivatives(*RIGHT[name])
    assert report.verdict == "agree", report


@pytest.mark.parametrize("tiny", [1e-45, 1e-110, 1e-170, 1e-240])
def test_a_wrong_slope_at_a_tiny_argument_is_seen(tiny):
    doubled = jax.custom_jvp(lambda x: 2.0 * x)
    doubled.defjvp(lambda p, t: (doubled(*p), jnp.where(p[0] < 1e-40, 2.0 + 1e-6, 2.0) * t[0]))
    report = check_derivatives(doubled, np.array([tiny, 2.0]))
    assert (report.verdict, *report.outliers) == ("disagree", "reverse", "forward")


@jax.custom_jvp
def size_of_angle(z):
    return jnp.abs(jnp.angle(z))


def between_both_sides(primals, tangents):  # a slope of 0 where the angle is π, and on both sides falls
    (z,), (dz,) = primals, tangents
    return size_of_angle(z), jnp.sign(z.imag) * jnp.imag(jnp.conj(z) * dz) / jnp.abs(z) ** 2


size_of_angle.defjvp(between_both_sides)

AT_A_CUT = {
    "a root": (lambda z: jnp.sqrt(z).imag, "inconclusive", False),
    "a power": (lambda z: jnp.power(z, 0.3).imag, "inconclusive", False),
    "an angle": (lambda z: jnp.arctan2(z.imag, z.real), "inconclusive", False),
    "an arccosine": (lambda z: jnp.arccos(z - 1.0).imag, "inconclusive", False),
    "what has a kink there": (lambda z: jnp.arccos(z - 1.0).real, "agree", True),
    "a rule between both sides": (size_of_angle, "agree", True),
    "what is smooth there": (lambda z: (jnp.sqrt(z) ** 2).real + jnp.cos(jnp.angle(z)), "agree", False),
    "along the cut": (lambda z: jnp.log(z.real + 0j).imag + jnp.abs(z), "agree", False),
}


@pytest.mark.parametrize("name", AT_A_CUT)
def test_complex_functions_jump_at_their_branch_cuts(name):
    f, verdict, has_kink = AT_A_CUT[name]
    report = check_derivatives(f, -1.0 + 0.0j)
    assert (report.verdict, Kind.KINK in report.kinds) == (verdict, has_kink), report
    assert (Kind.NO_SLOPE in report.kinds) == (verdict == "inconclusive")


@pytest.mark.parametrize("f", [lambda z: lax.reduce_max(z, (0,)), lambda z: lax.sort(z)])
def test_a_jump_of_the_imaginary_part_is_not_agreed_upon(f):
    report = check_derivatives(f, TIED)
    assert report.verdict == "inconclusive"
    assert any("(imaginary part) / d z[0] (real part)" in place for fact in report.facts for place in fact.where)


def with_rule(change):
    """The singular value decomposition, whose tangents are changed."""

    def rule(primals, tangents):
        values, changes = jax.jvp(svd, primals, tangents)
        return tuple(values), tuple(change(*values, *changes))

    f = jax.custom_jvp(lambda a: tuple(svd(a)))
    f.defjvp(rule)
    return f


def turned(u, s, v, du, ds, dv):
    """Turn each pair of singular vectors by an angle that is linear in the tangent: the product u·s·v stays."""
    angles = jnp.arange(s.size) * 1j * ds.sum()
    return du + u * angles, ds, dv - angles[:, None] * v


WRONG = {
    "a factor": with_rule(lambda u, s, v, du, ds, dv: (1.001 * du, ds, dv)),
    "one phase without the other": with_rule(lambda *x: (turned(*x)[0], *x[4:])),
    "a rotation": with_rule(lambda u, s, v, du, ds, dv: (du, ds, dv + 1e-6 * jnp.roll(v, 1, 0))),
    "a value": with_rule(lambda u, s, v, du, ds, dv: (du, 1.0001 * ds, dv)),
    "a phase that is not linear in the tangent": with_rule(lambda u, s, v, du, ds, dv: (du + 1j * u, ds, dv - 1j * v)),
}


@pytest.mark.parametrize("name", sampled(WRONG))
def test_what_no_phase_explains_is_seen(name):
    report = check_derivatives(WRONG[name], M, modes=("forward",))
    assert report.verdict == "disagree", report


def test_phases_are_free():
    report = check_derivatives(with_rule(turned), M, modes=("forward",))
    assert report.verdict == "agree", report
    assert Kind.FREE_PHASES in report.kinds


def inverse_root(x):
    """1/√x by its bits and Newton's steps (Lomont, Fast inverse square root, 2003)."""
    y = lax.bitcast_convert_type(0x5F3759DF - (lax.bitcast_convert_type(x, jnp.int32) >> 1), jnp.float32)
    for _ in range(3):
        y = y * (1.5 - 0.5 * x * y * y)
    return y


@pytest.mark.parametrize(("power", "verdict"), [(3, "agree"), (2, "disagree")])
def test_a_function_by_bits_is_differenced_in_its_own_type(power, verdict):
    f = jax.custom_jvp(inverse_root)
    f.defjvp(lambda x, dx: (inverse_root(*x), -0.5 * inverse_root(*x) ** power * dx[0]))
    report = check_derivatives(f, single(2.3, 0.7))
    assert report.verdict == verdict, report


def test_noise_in_the_place_of_a_zero_is_no_error_where_no_bound_is_derived():
    """A bias moves all scores of a segment, and no share of a segment: its derivative is zero."""

    def shares(bias, scores, values):
        ids = jnp.array([0, 0, 1])
        scores = scores + bias
        weights = jnp.exp(scores - jax.ops.segment_max(scores, ids, 2)[ids])
        return (weights / jax.ops.segment_sum(weights, ids, 2)[ids]) @ values

    rng = np.random.default_rng(6)
    report = check_derivatives(shares, rng.normal(), rng.normal(size=3), rng.normal(size=3))
    assert report.verdict == "agree", report
