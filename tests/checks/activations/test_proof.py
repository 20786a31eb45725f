"""Proofs of slopes: right ones are proved for all z, wrong ones are not where they are wrong, however narrow."""

import math

import numpy as np
import pytest

from harness.checks.activations.proof import FAR, INSIDE, Proof, prove
from harness.checks.activations.proof_cells import ALLOWED
from harness.checks.activations.z_grid import floats_beside
from harness.facts.kinds import Kind
from harness.study.right_activations import RIGHT as STUDIED
from reference.activations import ACTIVATIONS, Activation
from reference.oracles import ball_arithmetic

SEED = 5


def within(z, low, high):
    return (z > low) & (z < high)


def of(name, slope) -> Activation:
    """A registered activation with a slope of (right slope, z, a)."""
    f = ACTIVATIONS[name]
    return Activation(name, f.value, lambda z, a: slope(f.slope(z, a), z, a), kinks=f.kinks)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_registered_slope_is_proved_for_all_z(name: str):
    proof = prove(ACTIVATIONS[name])
    assert proof.complete, proof
    assert not proof.suspects
    assert proof.far[0] <= -100.0
    assert proof.far[1] >= 100.0


RIGHT = {
    "a junction with a guard": (
        lambda xp, z: xp.where(z > 0.0, z, xp.expm1(xp.where(z > 0.0, 0.0, z))),
        lambda z, a: np.where(z > 0.0, 1.0, a + 1.0),
    ),
    "large": (lambda xp, z: z**5 - 3.0 * z, lambda z, a: 5.0 * z**4 - 3.0),
    "a branch by a difference that rounds to zero": (
        lambda xp, z: xp.maximum(0.0, z) + xp.minimum(0.0, 0.7 * xp.expm1(z / 0.7)),
        lambda z, a: np.where(z > 0.0, 1.0, a / 0.7 + 1.0),
    ),
    "a sum that rounds to its limit": (
        lambda xp, z: z / 2.0 * xp.minimum(2.0, xp.maximum(0.0, z + 2.0)),
        lambda z, a: np.where(z <= -2.0, 0.0, np.where(z < 0.0, z + 1.0, 1.0)),
        (-2.0,),
    ),
    "a sign that underflows beside zero": (
        lambda xp, z: z / (1.0 + xp.abs(0.3 * z)),
        lambda z, a: 1.0 / (1.0 + 0.3 * z * np.sign(z)) - 0.3 * np.sign(z) * z / (1.0 + 0.3 * np.abs(z)) ** 2,
    ),
    "a kink by a, a few floats beside its place": (
        lambda xp, z: xp.clip(0.2 * z + 0.5, 0.0, 1.0),
        lambda z, a: np.where((a > 0.0) & (a < 1.0), 0.2, 0.0),
        (-2.5, 2.5),
    ),
    "many kinks, a few floats beside their places": (
        lambda xp, z: sum(xp.maximum(3.0 * z - k, 0.0) for k in range(1, 40)),
        lambda z, a: sum(3.0 * (3.0 * z > k) for k in range(1, 40)),
        tuple(k / 3.0 for k in range(1, 40)),
    ),
    "a kink by a, which is exactly zero": (
        lambda xp, z: xp.where(z > 0.0, z, 1.5 * (xp.exp(xp.minimum(z, 0.0)) - 1.0)),
        lambda z, a: np.where(a > 0.0, 1.0, a + 1.5),
        (0.0,),
    ),
    "a dropped branch with a pole": (
        lambda xp, z: xp.where(xp.abs(z) < 1.0, xp.exp(-1.0 / xp.where(xp.abs(z) < 1.0, 1.0 - z * z, 1.0)), 0.0),
        lambda z, a: np.where(np.abs(z) < 1.0, -2.0 * z / np.where(np.abs(z) < 1.0, 1.0 - z * z, 1.0) ** 2 * a, 0.0),
    ),
    "expm1 far below zero": (lambda xp, z: -xp.expm1(-xp.exp(z)), lambda z, a: np.exp(z - np.exp(z))),
    "NumPy's select": (
        lambda xp, z: xp.where(z < 0.0, -z, z),
        lambda z, a: np.select([z < 0.0, z > 0.0], [-1.0, 1.0], 0.0),
        (0.0,),
    ),
}


OF_THE_STUDY = ("smelu", "softplus by max", "hard_sigmoid", "hard_tanh by a", "sin 30 z", "z log|z|, guarded")
PROVED = {name: STUDIED[name] for name in (*OF_THE_STUDY, "scipy's expit")}
PROVED |= {name: Activation(name, *parts[:2], kinks=parts[2] if parts[2:] else ()) for name, parts in RIGHT.items()}


@pytest.mark.parametrize("name", PROVED)
def test_a_right_slope_is_proved_however_it_is_written(name: str):
    proof = prove(PROVED[name])
    assert proof.complete, proof
    assert not [z for z in proof.suspects if abs(z) <= INSIDE]
    assert proof.stretch().endswith("except kinks") == bool(PROVED[name].kinks)


def narrow(z: float):
    """A stretch of 0.01 after z in which a slope is 1e-6 off."""
    return z, of("gelu", lambda d, x, a: np.where(within(x, z, z + 0.01), d + 1e-6, d))


def tanh_beside(kink: float, low: float, high: float) -> Activation:
    """tanh with a declared kink, beside which a slope is wrong."""
    slope = lambda z, a: np.where(within(z, kink + low, kink + high), 100.0, 1.0 - a * a)  # noqa: E731
    return Activation("tanh", ACTIVATIONS["tanh"].value, slope, kinks=(kink,))


WRONG = {
    "a narrow stretch near zero": narrow(0.123),
    "a narrow stretch at the edge": narrow(29.985),
    "a stretch of four floats": (3.0, of("tanh", lambda d, z, a: d + 1e-3 * within(z, 3.0, 3.0 + 2.0**-49))),
    "a smooth bump": (7.77, of("silu", lambda d, z, a: d + 1e-7 * np.exp(-np.square((z - 7.77) / 0.002)))),
    "a stretch in a": (0.8, of("tanh", lambda d, z, a: d * np.where(within(a, 0.665, 0.667), 1.0 + 1e-7, 1.0))),
    "floats beside a declared kink": (0.7, tanh_beside(0.7, 5e-16, 9e-16)),
    "the float after a declared kink": (3.0, tanh_beside(3.0, 0.0, 8e-16)),
    "one z": (3.7, of("sin", lambda d, z, a: np.where(z == 3.7, 0.0, d))),
    "NaN at one z": (-2.25, of("sin", lambda d, z, a: np.where(z == -2.25, np.nan, d))),
    "at a smooth junction": (0.0, of("elu", lambda d, z, a: np.where(z == 0.0, 0.5, d))),
    "a factor 1 + 2e-9": (20.0, of("identity", lambda d, z, a: (1.0 + 2e-9) * d)),
    "between 100 and 104": (102.0, of("softsign", lambda d, z, a: np.where(within(z, 100.0, 104.0), 0.0, d))),
    "beyond 1000": (1e5, of("identity", lambda d, z, a: np.where(z > 1000.0, 0.0, d))),
    "NaN beyond 350": (
        1e4,
        of("tanh", lambda d, z, a: 4.0 / np.square(np.exp(z) + np.exp(-z)) + 0.0 * np.exp(2.0 * z)),
    ),
    "everywhere": (1.0, of("sin", lambda d, z, a: -d)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_slope_is_seen_however_narrow(name: str):
    z, f = WRONG[name]
    proof = prove(f)
    low, high = proof.far
    if abs(z) <= INSIDE:
        assert not proof.complete
        assert any(start <= z + 0.01 and z - 0.01 <= end for start, end in proof.left)
    else:
        assert not low <= z <= high
    suspects = np.array(proof.suspects)
    a = np.array(f(suspects))
    with np.errstate(all="ignore"):
        apart = np.abs(f.slope(suspects, a) - ball_arithmetic.slope(f, suspects).slope)
    smooth = ~np.isin(suspects, [0.0])  # where pieces meet balls are wide
    assert suspects.size
    assert not (apart[smooth] <= ALLOWED).any(), "a suspect is wrong"


@pytest.mark.parametrize("floats", [-(10**6), -20, 20, 10**6])
def test_a_kink_that_rounding_moves_does_not_end_the_proof(floats: int):
    place = math.pi / 3.0
    kink = float(floats_beside(np.array(place), floats))

    def with_error(error: float) -> Activation:
        return Activation(
            "a moved kink",
            lambda xp, z: xp.tanh(z) + xp.where(z > place, z - place, 0.0),
            lambda z, a: 1.0 - np.tanh(z) ** 2 + (z > kink) + error * np.exp(-np.square((z - 7.77) / 0.002)),
            kinks=(kink,),
        )

    assert sum(high - low for low, high in prove(with_error(0.0)).left) < 1e-9
    assert any(abs(z - 7.77) < 0.01 for z in prove(with_error(1e-7)).suspects)


RANDOM = 40


def test_what_is_proved_is_true_at_random_z():
    rng = np.random.default_rng(SEED)
    for name, f in ACTIVATIONS.items():
        low, high = prove(f).far
        z = np.concatenate([rng.uniform(-INSIDE, INSIDE, RANDOM), rng.uniform(low, high, RANDOM)])
        z = z[~np.isin(z, f.kinks)]
        true = ball_arithmetic.slope(f, z).slope
        off = np.abs(f.slope(z, f(z)) - true)
        assert (off <= ALLOWED * np.maximum(1.0, np.abs(true))).all(), f"{name}, seed {SEED}"


def test_a_wrong_claim_at_a_declared_kink_is_not_for_a_proof_to_say():
    proof = prove(of("relu", lambda d, z, a: np.where(z == 0.0, 9.0, d)))
    assert proof.complete
    assert proof.kinks == (0.0,)


def test_what_is_nearer_to_zero_than_any_normal_float_accuses_nobody():
    """The square of 1/z overflows where z is subnormal, and zero times infinity is NaN."""
    f = Activation(
        "flat",
        lambda xp, z: xp.where(z > 0.0, z * xp.exp(-1.0 / xp.where(z > 0.0, z, 1.0)), 0.0),
        lambda z, a: np.where(
            z > 0.0, (1.0 + 1.0 / np.where(z > 0.0, z, 1.0)) * np.exp(-1.0 / np.where(z > 0.0, z, 1.0)), 0.0
        ),
    )
    proof = prove(f)
    assert not proof.suspects
    assert all(0.0 <= end < 1e-300 for stretch in proof.left for end in stretch)


def test_a_claim_past_its_kink_is_wrong_beyond_the_floats_that_rounding_moves():
    f = Activation(
        "ramp",
        lambda xp, z: xp.clip(z, 0.0, 1.0),
        lambda z, a: np.where((z > 0.0) & (z < 1.0 + 2.0**-45), 1.0, 0.0),
        kinks=(0.0, 1.0),
    )
    assert prove(f).suspects


def test_an_undeclared_kink_is_left_over_and_nobody_accused():
    f = Activation("kinked", lambda xp, z: xp.abs(z - 0.3), lambda z, a: np.sign(z - 0.3))
    proof = prove(f)
    assert not proof.suspects
    assert all(abs(end - 0.3) < 1e-12 for stretch in proof.left for end in stretch)
    assert proof.left


def test_rounding_that_grows_without_bound_is_left_to_sampling():
    """(cos z - sin z/z)/z is right, and loses all digits towards zero."""
    f = Activation(
        "sinc",
        lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)),
        lambda z, a: np.where(z == 0.0, 0.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)),
    )
    proof = prove(f)
    assert not proof.complete
    assert all(abs(end) < 1e-3 for stretch in proof.left for end in stretch)


CANNOT = {
    "an if": (lambda xp, z: xp.maximum(z, 0.0) if z[0] > 0.0 else z, lambda z, a: a, "pick entries|if"),
    "math": (lambda xp, z: np.vectorize(math.tanh)(z), lambda z, a: 1.0 - a * a, "makes no plain arrays of float"),
    "float32": (lambda xp, z: xp.tanh(z), lambda z, a: (1.0 - a * a).astype(np.float32), "casts to float only"),
    "tells arrays apart": (
        lambda xp, z: xp.tanh(z) if isinstance(z, np.ndarray) else z,
        lambda z, a: 1.0 - a * a,
        "xp.where",
    ),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_enclosed_is_said(name: str):
    value, slope, reason = CANNOT[name]
    proof = prove(Activation(name, value, slope))
    assert not proof.complete
    assert proof.left == ((-INSIDE, INSIDE),)
    assert not proof.suspects
    assert any(part in proof.reason for part in reason.split("|"))


def test_a_proof_names_what_is_proved_and_what_is_left_to_sampling():
    assert Proof(left=(), far=(-FAR, 480.0)).stretch() == "-1e+06 <= z <= 480"
    assert Proof(left=(), kinks=(0.0,)).stretch() == "-30 <= z <= 30 except kinks"
    assert Proof(left=()).to_facts() == []
    (left,) = Proof(left=((1.0, 2.0), (0.0, 4e-323), (1.0, 2.0 - 1e-15))).to_facts()
    assert (left.kind, left.where) == (Kind.LEFT_TO_SAMPLING, ("1 <= z <= 2", "z = 0"))


def test_places_where_a_claim_changes_its_branch_are_told():
    proof = prove(of("sin", lambda d, z, a: np.where(within(z, 11.25, 11.5), d, np.cos(z))))
    assert {11.25, 11.5} <= set(proof.places)


def test_a_comparison_within_rounding_of_a_round_number_is_at_that_number():
    f = Activation(
        "leaky",
        lambda xp, z: xp.where(3.0 * z > 2.1, z, 0.1 * z),
        lambda z, a: np.where(3.0 * z > 2.1, 1.0, 0.1),
        kinks=(0.7,),
    )
    assert prove(f).places == (0.7,)
