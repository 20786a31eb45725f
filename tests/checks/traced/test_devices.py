"""Where JAX computes, and how coarsely it multiplies: in the report, and in the error bounds."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, rule

from harness import check_derivatives
from harness.facts.kinds import Kind
from reference.traced.primitives.contractions import units_of

F16 = jax.lax.DotAlgorithmPreset.F16_F16_F16  # which CPUs have, too
HALF, TF32 = 2.0**-8, 2.0**-11

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)

TWO_DEVICES = """
    import json, sys
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from harness import check_derivatives

    first, second = jax.devices()
    where = set()

    def model(x, y):
        return jnp.tanh(x @ y)

    def look(x, y):
        z = model(x, y)
        if isinstance(z, jax.Array) and not isinstance(z, jax.core.Tracer):
            where.update(f"{d.platform}:{d.id}" for d in z.devices())
        return z

    x, y = np.ones((4, 3)), np.linspace(0.1, 0.6, 6).reshape(3, 2)
    rows = NamedSharding(Mesh(np.array([first, second]), ("rows",)), PartitionSpec("rows", None))
    cases = {
        "second": (jax.device_put(x, second), jax.device_put(y, second)),
        "one of both": (jax.device_put(x, second), y),
        "sharded": (jax.device_put(x, rows), y),
        "none": (x, y),
    }
    told = {}
    for name, arguments in cases.items():
        where.clear()
        report = check_derivatives(look, *arguments)
        told[name] = report.verdict, report.details["devices"], sorted(where), [fact.kind for fact in report.notes]
    json.dump(told, sys.stdout)
"""


@pytest.fixture(scope="module")
def on_two():
    """Two devices in a process of its own, for XLA counts them once: of the CPU, where there is nothing else."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(TWO_DEVICES)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


LIVES = {
    "second": ["cpu:1"],
    "one of both": ["cpu:1"],
    "sharded": ["cpu:0", "cpu:1"],
    "none": ["cpu:0"],
}


@pytest.mark.parametrize("name", LIVES)
def test_the_function_runs_where_its_arguments_live(on_two, name):
    verdict, devices, where, kinds = on_two[name]
    assert (verdict, devices, where) == ("agree", LIVES[name], LIVES[name])
    assert (Kind.ON_DEVICE in kinds) == (name != "none")


def test_nothing_is_said_of_the_one_device_that_there_is():
    cpu = jax.devices("cpu")[0]
    with jax.default_device(cpu):
        report = check_derivatives(jnp.sin, 1.0)
    assert report.details["devices"] == ["cpu:0"]
    assert Kind.ON_DEVICE not in report.kinds


UNITS = {
    "a CPU": (None, "float32", "cpu", (0.0, 0.0)),
    "a GPU": (None, "float32", "gpu", (TF32, 0.0)),
    "a GPU, told to be exact": ((jax.lax.Precision.HIGHEST,) * 2, "float32", "gpu", (0.0, 0.0)),
    "a GPU, half told to be exact": (
        (jax.lax.Precision.HIGHEST, jax.lax.Precision.DEFAULT), "float32", "gpu", (TF32, 0.0)),
    "a GPU in float64": (None, "float64", "gpu", (0.0, 0.0)),
    "a TPU": (None, "float32", "tpu", (HALF, 0.0)),
    "TF32": (jax.lax.DotAlgorithmPreset.TF32_TF32_F32, "float32", "gpu", (TF32, 0.0)),
    "float16 throughout": (F16, "float32", "cpu", (TF32, TF32)),
    "an algorithm of parts": (
        jax.lax.DotAlgorithm(jnp.bfloat16, jnp.bfloat16, jnp.float32), "float32", "cpu", (HALF, 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_what_a_product_rounds_its_operands_to(name):
    precision, dtype, platform, expected = UNITS[name]
    assert units_of(precision, np.dtype(dtype), platform) == expected


def coarse(x, y):
    return jnp.tanh(jax.lax.dot(x, y, precision=F16))


def test_a_product_in_float16_is_allowed_what_it_rounds_and_no_more():
    report = check_derivatives(coarse, X, Y)
    assert report.verdict == "agree"
    assert report.details["product_bits"] == 11
    assert facts(report, Kind.PRODUCT_BITS)[0].data["bits"] == 11
    assert "11 bits" in [fact.data["precision"] for fact in facts(report, Kind.ERROR_BOUNDS)]
    exact = check_derivatives(lambda x, y: jnp.tanh(x @ y), X, Y)
    assert exact.details["product_bits"] is None
    assert exact.smallest_visible[1] < 1e-2 * report.smallest_visible[0]
    wrong = rule(lambda x: coarse(x, Y), lambda x, g: 1.1 * jax.vjp(lambda x: coarse(x, Y), x)[1](g)[0])
    assert check_derivatives(wrong, X).verdict == "disagree"


def test_a_coarse_product_in_the_rule_alone_is_not_excused():
    wrong = rule(lambda x: x @ Y, lambda x, g: jax.lax.dot(g, Y.T, precision=F16))
    assert check_derivatives(wrong, X).verdict == "disagree"


# -- where there is an accelerator ------------------------------------------------------------------------------------

ACCELERATORS = [device for device in jax.devices() if device.platform != "cpu"]
needs_one = pytest.mark.skipif(not ACCELERATORS, reason="JAX finds no accelerator on this machine")

ON_ACCELERATOR = {
    "a product": lambda x, y: jnp.tanh(x @ y),
    "an exact product": lambda x, y: jnp.tanh(jnp.matmul(x, y, precision="highest")),
    "attention": lambda x, y: jax.nn.softmax(x @ y @ y.T) @ y,
    "a recurrence": lambda x, y: jax.lax.scan(lambda h, row: (jnp.tanh(row @ y + h), h), jnp.zeros(2, x.dtype), x),
    "elementwise": lambda x, y: jax.nn.gelu(x) * jnp.sum(jnp.log1p(y * y)),
}


@needs_one
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ON_ACCELERATOR)
def test_right_functions_agree_on_an_accelerator(name, dtype):
    x, y = (jax.device_put(jnp.asarray(array, dtype), ACCELERATORS[0]) for array in (X, Y))
    report = check_derivatives(ON_ACCELERATOR[name], x, y)
    assert report.verdict == "agree", str(report)
    assert report.details["devices"] == [f"{ACCELERATORS[0].platform}:{ACCELERATORS[0].id}"]


@needs_one
def test_a_wrong_rule_disagrees_on_an_accelerator():
    wrong = rule(lambda x: jnp.sin(x), lambda x, g: 1.01 * g * jnp.cos(x))
    assert check_derivatives(wrong, jax.device_put(X, ACCELERATORS[0])).verdict == "disagree"
