"""The arguments of a user's function as a list of arrays with names, and the function of these arrays alone.

Arguments and options that make no sense are refused by name.
"""

import inspect
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from harness.checks.traced.jax_modes import MODES
from harness.wording import first_few
from reference.jax_internals import weak
from reference.traced.equations import has_derivatives
from reference.traced.rule_origins import owner_of_file
from reference.user_input import given, is_real, whole_number


class NoNumber(TypeError):
    """All arrays of the arguments, or all of the output, are empty: there is no derivative."""


class Arguments:
    """The floating and complex leaves of a function's arguments, in which it is differentiated.

    Integers, truth values, random keys, `None` and whatever is no array are passed on as they are. So are Python's own
    numbers beside functions, as in a module of Equinox: there they are settings, and arrays are weights.
    """

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], argnums: int | Sequence[int] | None = None):
        chosen = _chosen(args, argnums)
        names = _argument_names(f, len(args))
        name_of = lambda path: names[path[0].idx] + jax.tree_util.keystr(path[1:])  # noqa: E731
        paths, self._tree = flatten("an argument", tuple(args), name_of)
        self._all = [leaf for _, leaf in paths]
        self._paths = [name_of(path) for path, _ in paths]
        argument_of = [path[0].idx for path, _ in paths]
        found = [i for i, leaf in enumerate(self._all) if argument_of[i] in chosen and differentiable(leaf)]
        # beside functions, as in a module of Equinox, numbers are settings
        beside_functions = {argument_of[i] for i, leaf in enumerate(self._all) if callable(leaf)}
        settings = [i for i in found if _is_number(self._all[i]) and argument_of[i] in beside_functions]
        self.f, self._places = f, [i for i in found if i not in settings]
        self.settings = [self._paths[i] for i in settings]  # numbers that are held fixed
        self._require_places([leaf for k, leaf in zip(argument_of, self._all) if k in chosen])
        # such as ``params['dense']['kernel']``: the argument's name in f, and the path of the leaf
        self.names = [self._paths[i] for i in self._places]
        self.leaves = [_array(self._all[i]) for i in self._places]
        if not any(leaf.size for leaf in self.leaves):
            raise NoNumber("the arguments hold no number to differentiate in: every floating array is empty")
        self._others = {i: leaf for i, leaf in enumerate(self._all) if i not in self._places}
        # f gets these as they are, and might change them; the leaves it gets as tracers
        self._before = {i: leaf.copy() for i, leaf in self._others.items() if isinstance(leaf, np.ndarray)}
        # filled in when f is called: outputs that can have a derivative, and all others with their types
        self.outputs: list[str] = []
        self.left_out: list[str] = []

    def _require_places(self, chosen: Sequence[Any]) -> None:
        """Refuse masked arrays, and leaves of the chosen arguments of which none can be differentiated."""
        if any(isinstance(leaf, np.ma.MaskedArray) for leaf in self._all):
            raise TypeError("the arguments hold a masked array; fill in what is masked, or leave it out")
        if self._places:
            return
        if self.settings:
            names = first_few(self.settings, 3)
            raise TypeError(f"{names}: beside a function, numbers are settings; give them as arrays, or by themselves")
        raise TypeError(_nothing_to_differentiate(chosen))

    def function(self, *leaves: Any) -> list[Any]:
        """f's outputs that can have a derivative, as a list of arrays, from the leaves."""
        # one of Python's own numbers takes the type of the array that it meets, and so must what is traced for it
        numbers = (weak(x) if _is_number(self._all[i]) else x for i, x in zip(self._places, leaves))
        everything = dict(zip(self._places, numbers)) | self._others
        args = jax.tree_util.tree_unflatten(self._tree, [everything[i] for i in range(len(self._all))])
        answer = self._answer(args)
        paths, _ = flatten("the answer of f", answer)
        if not paths:
            raise TypeError(f"the function must return arrays, but it returned {given(answer)}")
        kept = [(path, leaf) for path, leaf in paths if differentiable(leaf)]
        if not kept:
            types = first_few([_type(leaf) for _, leaf in paths], 3)
            raise TypeError(f"the function returns no floating or complex array, but {types}: there is no derivative")
        if not any(np.size(leaf) for _, leaf in kept):
            raise NoNumber("the function returns no number: every floating array of its output is empty")
        self.outputs[:] = ["output" + jax.tree_util.keystr(path) for path, _ in kept]
        others = [(path, leaf) for path, leaf in paths if not differentiable(leaf)]
        self.left_out[:] = [f"output{jax.tree_util.keystr(path)} ({_type(leaf)})" for path, leaf in others]
        return [leaf for _, leaf in kept]

    def _answer(self, args: Sequence[Any]) -> Any:
        try:
            try:
                return self.f(*args)
            except jax.errors.ConcretizationTypeError:  # perhaps for a number that is not differentiated
                # `if jnp.any(n > 2):` is no branch on a traced number where n is an array of integers, held fixed
                with jax.ensure_compile_time_eval():
                    return self.f(*args)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as reason:
            first = str(reason).partition("\n")[0]
            raise TypeError(f"f cannot be traced by JAX: {last_line_of(reason)}{first}") from reason

    def flat(self, gradient: Any) -> list[Any]:
        """A gradient with respect to the differentiated arguments, as a list of arrays with the shapes of the leaves.

        Raises ValueError when its shapes are others.
        """
        leaves = [leaf for _, leaf in flatten("the answer of reference", gradient)[0] if differentiable(leaf)]
        shapes, expected = ([np.shape(leaf) for leaf in each] for each in (leaves, self.leaves))
        if shapes != expected:
            raise ValueError(f"reference must answer arrays of shapes {expected}, as {self.names}, not {shapes}")
        return leaves

    def changed(self) -> list[str]:
        """The arguments that f has changed in place."""
        pairs = ((i, leaf, self._before[i]) for i, leaf in self._others.items() if i in self._before)
        return [self._paths[i] for i, leaf, before in pairs if not np.array_equal(leaf, before)]

    @property
    def needs_64_bits(self) -> bool:
        """Whether a leaf has 64 bits, which JAX would cut off by default; Python's own numbers count as such."""
        return any(leaf.dtype.name in ("float64", "complex128") for leaf in self.leaves)


def flatten(what: str, tree: Any, name_of: Callable[[Any], str] | None = None) -> tuple[list[tuple[Any, Any]], Any]:
    """The leaves of a tree with their paths, and its structure; `what`, or `name_of` a path, names it in an error.

    Raises ValueError or TypeError for a tree without an end, and for arrays of other libraries.
    """
    try:
        paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    except (RecursionError, SystemError):  # JAX hides the former in the latter
        raise ValueError(f"{what} contains itself, or is nested too deeply; give a flat tree") from None
    for path, leaf in paths:
        _refuse_foreign(name_of(path) if name_of else what + jax.tree_util.keystr(path), leaf)
    return paths, structure


def _chosen(args: Sequence[Any], argnums: int | Sequence[int] | None) -> set[int]:
    """The numbers of the arguments to differentiate, counted from 0; negative ones are counted from the end."""
    if argnums is None:
        return set(range(len(args)))
    numbers: list[Any] = list(argnums) if isinstance(argnums, (tuple, list, range)) else [argnums]
    are_numbers = (isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in numbers)
    if not numbers or not all(are_numbers) or not all(-len(args) <= n < len(args) for n in numbers):
        raise ValueError(f"argnums must name some of the {len(args)} arguments, counted from 0, not {given(argnums)}")
    return {int(number) % len(args) for number in numbers}


TABLES = ("pandas", "polars", "cudf", "modin")  # libraries whose series and tables have `to_numpy`


def _refuse_foreign(name: str, leaf: Any) -> None:
    """Refuse arrays of other libraries, and say what to use instead."""
    library = type(leaf).__module__.partition(".")[0]
    if library in TABLES and hasattr(leaf, "to_numpy"):
        raise TypeError(f"{name} is a {type(leaf).__name__} of {library}; give NumPy arrays: {name}.to_numpy()")
    if hasattr(leaf, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix; give {name}.data, and build the matrix inside of the function")
    if library == "torch":
        raise TypeError(f"{name} is PyTorch's; for its functions use harness.drop_in.torch.gradcheck or check_gradient")
    if getattr(leaf, "dtype", None) in (np.longdouble, np.clongdouble) and np.longdouble is not np.float64:
        raise TypeError(f"{name} is {leaf.dtype}, which JAX does not have; give float64 or complex128")


def differentiable(leaf: Any) -> bool:
    """Whether this is a floating or complex number or array of them."""
    return _is_number(leaf) or has_derivatives(getattr(leaf, "dtype", None))


def _array(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, (float, complex)) else leaf


def _is_number(leaf: Any) -> bool:
    """Whether this is one of Python's own numbers, which JAX rounds to the type of the arrays that they meet."""
    return isinstance(leaf, (float, complex)) and not isinstance(leaf, np.generic)


def in_32_bits(args: Sequence[Any]) -> Sequence[Any]:
    """The arguments as JAX converts them where it has 32 bits."""
    return jax.tree.map(lambda leaf: jax.numpy.asarray(leaf) if differentiable(leaf) else leaf, args)


def _argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names that f gives its arguments; "argument 0" where it has none."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "arg")
    return [*positional[:count], *(f"{star}[{i}]" for i in range(max(0, count - len(positional))))]


def _type(leaf: Any) -> str:
    return str(getattr(leaf, "dtype", type(leaf).__name__))


def _nothing_to_differentiate(leaves: Sequence[Any]) -> str:
    if not leaves:
        return "there is nothing to differentiate in: the arguments hold no array at all"
    no_trees = [type(leaf).__name__ for leaf in leaves if hasattr(leaf, "__dict__") and not hasattr(leaf, "dtype")]
    instead = (
        f"make {no_trees[0]} a tree of arrays by jax.tree_util.register_dataclass"
        if no_trees
        else "give floating or complex arrays"
    )
    types = first_few(list(map(_type, leaves)), 3)
    return f"there is nothing to differentiate in: the arguments are {types}; {instead}"


def last_line_of(reason: BaseException) -> str:
    """The last line of the user's own code in a traceback, as "line 12 of name (file): "; empty if it has none."""
    own = [frame for frame in traceback.extract_tb(reason.__traceback__) if owner_of_file(frame.filename) == "own"]
    if not own:
        return ""
    return f"line {own[-1].lineno} of {own[-1].name} ({own[-1].filename}): "


def require(f: Any, order: Any, modes: Any, trust: Any, reference: Any, seed: Any, budget: Any) -> None:
    """Refuse options that are not as they should be, by name; `Arguments` looks at the arguments."""
    for what, function in {"f": f, "reference": reference}.items():
        if not callable(function) and not (what == "reference" and function is None):
            raise TypeError(f"{what} must be a function, not {given(function)}")
    if whole_number("order", order, 1) > 2:
        raise ValueError(f"order must be 1 or 2, not {given(order)}")
    if not _are_names(modes) or not modes or not set(modes) <= set(MODES):
        raise ValueError(f"modes must be some of {', '.join(MODES)}, as a tuple, not {given(modes)}")
    if not _are_names(trust):
        instead = f"; write [{given(trust)}]" if isinstance(trust, str) else ""
        raise ValueError(f"trust must be a list of names of functions, not {given(trust)}{instead}")
    whole_number("seed", seed)
    if budget is not None and not (is_real(budget) and (0 <= budget < 2**1023 or budget == np.inf)):
        raise ValueError(f"budget must be a number of seconds, zero or more, not {given(budget)}")


def _are_names(value: Any) -> bool:
    return isinstance(value, (tuple, list, set, frozenset)) and all(isinstance(name, str) for name in value)
