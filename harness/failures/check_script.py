"""A failing check of a user's function as a script: θ comes from a file, the function from its module.

A test may make θ in twenty lines of fixtures. The script needs none of them: it loads the very numbers with which the
check failed, and makes the same call. To import the function, it finds where that is defined.
"""

import dataclasses
import io
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from harness.checks.functions import torch_state
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_branches import take_apart
from harness.checks.functions.tree_leaves import to_numpy
from harness.files import write_whole
from reference.user_input import message_of

PLAIN = (type(None), bool, int, float, str)  # types whose repr is an expression that makes them again


class Script:
    """A Python script that repeats a check of a function; its arrays are in the .npz file `path`.

    Functions are looked for in the modules that they state, and in further ones.
    """

    def __init__(self, path: Path, modules: Iterable[ModuleType] = ()):
        self.path, self._modules = path.resolve(), tuple(modules)
        self.arrays: dict[str, np.ndarray] = {}
        self._imports: dict[str, None] = {}
        self._statements: dict[str, None] = {}

    def text(self, fun: Any, theta: Any, reference: Any = None, check: str = "check_gradient", **options: Any) -> str:
        """The script that repeats this call of `check_gradient`, or of `check_derivatives` with the arguments θ.

        Afterwards, `arrays` holds the arrays that the script loads. Raises NotWritable when a function has no name in a
        module, or θ or an argument has a type without a short expression.
        """
        arguments = [self._named(fun), "theta" if check == "check_gradient" else "*theta"]
        if reference is not None:
            arguments.append(("" if check == "check_gradient" else "reference=") + self._named(reference))
        for name, value in options.items():
            written = self._named(value) if callable(value) else self._tree(value, name)
            arguments.append(f"{name}={written}")
        theta_line = f"theta = {self._tree(theta, 'theta')}"
        load = [f"case = np.load({str(self.path)!r})"] if self.arrays else []
        imports = [f"from harness import {check}", "from harness.named_objects import import_file_as"]
        head = ["import sys", "", "import numpy as np", *self._imports, *imports, ""]
        body = [f"sys.path[:0] = {own_folders()}", *self._statements, *load, theta_line]
        return "\n".join([*head, *body, f"print({check}({', '.join(arguments)}))", ""])

    def _named(self, function: Any) -> str:
        """An expression for a function or class, whose module the script imports."""
        statement, expression = locate(function, self._modules)
        self._statements[statement] = None
        return expression

    def _tree(self, node: Any, name: str) -> str:
        """An expression for a tree of parameters, as ``{"w": case["theta['w']"], "b": 0.0}``."""
        branch = take_apart(node)
        if branch is None:
            return self._leaf(node, name)
        parts = [self._tree(child, name + accessor) for accessor, child in zip(branch.accessors, branch.children)]
        if type(node) is dict and all(isinstance(key, (str, int)) for key in branch.keys):
            return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(branch.keys, parts)) + "}"
        if type(node) is list:
            return f"[{', '.join(parts)}]"
        if type(node) is tuple:
            return f"({', '.join(parts)},)"
        if hasattr(node, "_fields") or (dataclasses.is_dataclass(node) and _is_made_of_its_fields(node)):
            fields = ", ".join(f"{key}={part}" for key, part in zip(branch.keys, parts))
            return f"{self._named(type(node))}({fields})"
        raise NotWritable(f"{name} is a {type(node).__name__}")

    def _leaf(self, leaf: Any, name: str) -> str:
        """An expression for a leaf: its repr, a function's name, or an array that is loaded under this name."""
        if type(leaf) in PLAIN:
            return repr(leaf)
        if isinstance(leaf, (list, tuple)):
            return repr(type(leaf)(np.asarray(leaf).tolist()))
        if callable(leaf):
            return self._named(leaf)
        if not hasattr(leaf, "dtype") or str(leaf.dtype).startswith("key<"):
            raise NotWritable(f"{name} is of type {type(leaf).__name__}")
        loaded = f"case[{name!r}]"
        if isinstance(leaf, (np.ndarray, np.generic)):
            self.arrays[name] = np.asarray(leaf)
            return loaded if isinstance(leaf, np.ndarray) else f"{loaded}[()]"
        # a .npz file cannot hold bfloat16: it is saved as a type of NumPy's, and cast back by its name
        dtype = str(leaf.dtype)
        self.arrays[name] = to_numpy(leaf) if "float" in dtype else np.asarray(leaf)
        if torch_state.is_tensor(leaf):
            self._imports["import torch"] = None
            made = f"torch.as_tensor({loaded}).to({dtype})" + (".requires_grad_()" if leaf.requires_grad else "")
            return f"torch.nn.Parameter({made})" if torch_state.is_parameter(leaf) else made
        import jax

        self._imports |= dict.fromkeys(["import jax", "import jax.numpy as jnp"])
        if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
            self._statements['jax.config.update("jax_enable_x64", True)'] = None
        return f"jnp.asarray({loaded}, dtype={dtype!r})"


def _is_made_of_its_fields(node: Any) -> bool:
    """Whether a dataclass is made anew from all its fields; metadata mark what a library treats in a way of its own."""
    fields = dataclasses.fields(node)
    return all(field.init for field in fields) and not any(field.metadata for field in fields)


def save(path: Path, theta: Any, seed: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Save the arrays of a script, or without a script those of θ by name, and the seed of the run."""
    if not arrays:
        layout = TreeLayout(theta)
        arrays = {name: to_numpy(each) for name, each in zip(layout.shapes, layout.raw(theta, "theta"))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{**arrays, "seed": np.array(seed)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def how_to_repeat(
    path: Path,  # the file for θ; its folder is made if need be, and the script lies beside it
    rerun: str,  # the command that runs the failing test again
    seed: int,  # the seed of the run
    call: Mapping[str, Any],  # the arguments of `check_gradient` by name, and ``check`` if it is another check
    # further modules to look for functions in, beside those that the functions state
    modules: Iterable[ModuleType] = (),
) -> str:
    """Save a failing check, and return how to repeat it. An error here does not hide the failure."""
    script = Script(path, modules)
    try:
        text, reason = script.text(**call), ""
    except NotWritable as error:
        text, reason = "", str(error)
    try:
        save(script.path, call["theta"], seed, script.arrays if text else {})
        if text:
            write_whole(script.path.with_suffix(".py"), text.encode())
    except Exception as error:  # noqa: BLE001  the verdict stands, whatever happens here
        return f"  (not saved: {message_of(error)})\nRun the test again with: {rerun}"
    saved = f"θ and the seed, {seed}, are saved as {script.path}"
    if not text:
        return f"{saved}\n  (no script: {reason})\nRun the test again with: {rerun}"
    command = f"python {shlex.quote(str(script.path.with_suffix('.py')))}"
    repeat = f"Run the script with: {command}\nRun the test again with: {rerun}"
    return f"The same in Python, from any folder:\n\n{text}\n{saved}\n{repeat}"


# -- where objects are defined -----------------------------------------------------------------------------------------


class NotWritable(ValueError):
    """Something has no expression in a script, such as a function inside a function."""


def locate(thing: Any, also_in: Iterable[ModuleType] = ()) -> tuple[str, str]:
    """A statement that imports an object's module, and an expression for the object after it.

    It is looked for in its own module, in those given, and in any module that is not installed. Its own module may not
    have it: a rule of JAX, like any wrapper, states the module of the function that it wraps. Raises NotWritable when
    it has no name in a module: a lambda, a function inside another, a bound method.
    """
    own = sys.modules.get(getattr(thing, "__module__", None) or "numpy")  # a ufunc does not state its module
    # the likeliest module first: looking through all of them takes longer
    for module in chain((own, *also_in), _not_installed()):
        if module is not None and (name := _name_in(module, thing)):
            return _written(module, name)
    raise NotWritable(f"{getattr(thing, '__qualname__', type(thing).__name__)} is not defined at the top of a module")


def _not_installed() -> Iterator[ModuleType]:
    """The loaded modules whose files belong to the user."""
    for name, module in list(sys.modules.items()):
        file = None if name.partition(".")[0] in NOT_SEARCHED else getattr(module, "__file__", None)
        if file and not _is_installed(Path(file)):
            yield module


NOT_SEARCHED = ("__main__", "autodiff_cross_check", "harness", "reference")


def _name_in(module: ModuleType, thing: Any) -> str | None:
    """The name under which a module has this very object: its own, or that of a variable that holds it."""
    qualified = getattr(thing, "__qualname__", "")
    with suppress(Exception):  # objects among the modules may raise anything, as torch.classes does
        if qualified and attrgetter(qualified)(module) is thing:
            return qualified
    return next((name for name, value in vars(module).items() if value is thing), None)


def _written(module: ModuleType, name: str) -> tuple[str, str]:
    """A name in a module as an import and an expression; a module that is not installed is imported from its file."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__":
        raise NotWritable(f"{name} is defined in a session and not in a file")
    if file is None or _is_installed(Path(file)):
        return f"import {module.__name__}", f"{module.__name__}.{name}"
    short = module.__name__.rpartition(".")[2]
    alias = short if short.isidentifier() else "module"
    statement = f"{alias} = import_file_as({module.__name__!r}, {str(Path(file).resolve())!r})"
    return statement, f"{alias}.{name}"


def _is_installed(path: Path) -> bool:
    """Whether every Python of this environment finds it: in the standard library, or as an installed package."""
    path = path.resolve()
    return any(path.is_relative_to(Path(root).resolve()) for root in {sys.prefix, sys.base_prefix})


def own_folders() -> list[str]:
    """The folders on this process's path that are not on the path of every Python of this environment."""
    folders = dict.fromkeys(str(Path(entry or ".").resolve()) for entry in sys.path)
    return [folder for folder in folders if Path(folder).is_dir() and not _is_installed(Path(folder) / "module.py")]


def search_path(modules: Iterable[str], current: Path) -> str:
    """``PYTHONPATH=... `` for a command that needs modules from outside the current folder, or nothing."""
    folders = {}
    for name in modules:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] not in ("harness", "reference"):
            # a.b.c lies two folders below the one that has to be on the path, and a package's __init__.py one more
            depth = name.count(".") + hasattr(module, "__path__")
            folders[str(Path(file).resolve().parents[depth])] = None
    folders.pop(str(current.resolve()), None)
    return f"PYTHONPATH={shlex.quote(os.pathsep.join(folders))} " if folders else ""
