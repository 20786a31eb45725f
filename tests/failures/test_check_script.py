"""Scripts of a call: every type of θ comes back as it was, and what cannot be written is refused with a reason."""

import collections
import dataclasses
import sys
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness.checks.functions.parameters import TreeLayout
from harness.failures import check_script
from harness.failures.check_script import NotWritable, Script, how_to_repeat, locate, search_path

W = np.random.default_rng(0).standard_normal((2, 3))
SELF = sys.modules[__name__]


class Pair(NamedTuple):
    W: Any
    b: Any


@dataclasses.dataclass
class Params:
    W: Any
    pair: Pair
    act: Any = np.tanh


@dataclasses.dataclass
class OfItsOwn:
    W: Any = dataclasses.field(metadata={"static": False})


def fun(theta, *args):
    return 0.0, theta


again = [lambda t: t][0]
rule_of_tanh = jax.custom_jvp(jnp.tanh)  # states the module of tanh

TREES = {
    "array": W,
    "float32": W.astype(np.float32),
    "number": 0.5,
    "number of NumPy": np.float32(0.5),
    "no dimension": np.array(0.25),
    "dict": {"W": W, 7: [1.0, 2.0], "n": 3, "name": "it's", "mask": np.array([True]), "none": None},
    "list of tuples": [(W, W[0]), (W,)],
    "dataclass": Params(W, Pair(W[0], 2.0)),
    "JAX": {"W": jnp.asarray(W, dtype=jnp.float32), "half": jnp.ones(2, dtype=jnp.bfloat16)},
}


@pytest.mark.parametrize("theta", TREES.values(), ids=list(TREES))
def test_theta_comes_back_from_its_script(theta, tmp_path, capsys, monkeypatch):
    path = tmp_path / "case.npz"
    call = {"fun": fun, "theta": theta, "args": (W, 1.5), "reference": again, "gradient": np.cos, "has_aux": True}
    said = how_to_repeat(path, "pytest it", 3, call, [SELF])
    program = path.with_suffix(".py").read_text()
    assert program in said
    assert said.endswith("Run the test again with: pytest it")
    checked = []
    monkeypatch.setattr("harness.check_gradient", lambda *arguments, **options: checked.append((arguments, options)))
    monkeypatch.setattr("harness.named_objects.import_file_as", lambda name, file: sys.modules[name])
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(compile(program, str(path), "exec"), {})
    (arguments, options) = checked[0]
    assert arguments[0] is fun
    assert arguments[2] is again
    assert (options["gradient"], options["has_aux"], options["args"][1]) == (np.cos, True, 1.5)
    np.testing.assert_array_equal(options["args"][0], W)
    assert type(arguments[1]) is type(theta)
    assert TreeLayout(arguments[1]).shapes == TreeLayout(theta).shapes
    assert TreeLayout(arguments[1]).unit_roundoff == TreeLayout(theta).unit_roundoff
    np.testing.assert_array_equal(TreeLayout(theta).flatten(arguments[1], "it"), TreeLayout(theta).flatten(theta, "it"))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"fun": lambda t: t, "theta": W}, "<lambda> is not defined at the top of a module"),
        ({"fun": fun, "theta": collections.OrderedDict(W=W)}, "theta is a OrderedDict"),
        ({"fun": fun, "theta": {"a": collections.deque([1.0]), "b": W}}, r"theta\['a'\] is of type deque"),
        ({"fun": fun, "theta": W, "args": (object(),)}, r"args\[0\] is of type object"),
        ({"fun": fun, "theta": {"W": W, (1, 2): W}}, "theta is a dict"),
        ({"fun": fun, "theta": OfItsOwn(W)}, "theta is a OfItsOwn"),
        ({"fun": fun, "theta": W, "gradient": lambda t: t}, "not defined at the top"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_name(call, reason, tmp_path):
    with pytest.raises(NotWritable, match=reason):
        Script(tmp_path / "case.npz").text(**call)


def test_what_has_no_script_is_saved_all_the_same(tmp_path):
    path = tmp_path / "new" / "case.npz"
    said = how_to_repeat(path, "pytest it", 3, {"fun": lambda t: t, "theta": {"W": W, "n": 3}})
    assert "(no script: " in said
    with np.load(path) as case:
        np.testing.assert_array_equal(case["W"], W)
        assert case["seed"] == 3
    assert not path.with_suffix(".py").exists()


def test_objects_among_the_modules_may_raise_anything(monkeypatch):
    class Raising(types.ModuleType):
        __file__ = "somewhere.py"

        def __getattr__(self, name):
            raise RuntimeError(f"Tried to instantiate class {name!r}")  # as torch.classes does

    monkeypatch.setitem(sys.modules, "raising", Raising("raising"))
    with pytest.raises(NotWritable, match="not defined at the top of a module"):
        locate(lambda t: t)


def test_a_module_that_is_false_is_searched_like_others(monkeypatch):
    class Registry(types.ModuleType):
        def __len__(self):
            return 0

    loss, registry = lambda t: t, Registry("registry")
    vars(registry).update(loss=loss, __file__="registry.py")
    monkeypatch.setitem(sys.modules, "registry", registry)
    assert locate(loss)[1] == "registry.loss"


def test_a_case_that_cannot_be_saved_still_says_how_to_run_the_test(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(check_script, "write_whole", full)
    said = how_to_repeat(tmp_path / "case.npz", "pytest it", 3, {"fun": fun, "theta": W})
    assert said == "  (not saved: no space left)\nRun the test again with: pytest it"


def test_the_search_path_has_the_folders_of_modules_that_are_elsewhere(tmp_path, monkeypatch):
    for name, file in {"here": "here.py", "pack": "a/pack/__init__.py", "pack.mine": "a/pack/mine.py"}.items():
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / file)
        if file.endswith("__init__.py"):
            module.__path__ = [str(tmp_path / "a" / "pack")]
        monkeypatch.setitem(sys.modules, name, module)
    assert search_path(["here", "harness.files", "absent"], tmp_path) == ""
    for name in ("pack", "pack.mine"):
        assert search_path([name, "here"], tmp_path) == f"PYTHONPATH={tmp_path / 'a'} "


def test_a_function_is_found_under_whatever_name_it_has():
    assert locate(np.cos) == ("import numpy", "numpy.cos")
    for thing, name in ((fun, "fun"), (again, "again"), (Pair, "Pair"), (rule_of_tanh, "rule_of_tanh")):
        assert locate(thing, [SELF])[1] == f"test_check_script.{name}"
