"""How a submission may want to be called, and what it may answer.

The course's own is ``f(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda) -> (J, grad)``, with θ
and gradient unrolled by columns, examples in rows, no column of ones, and labels from 1. Ports differ in all of that,
and are right all the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.grading.signatures import NO_LITERAL, Function
from harness.sources.backprop_steps import Layout, Order
from reference.problem import Problem

COURSE = ("theta", "n_in", "n_hidden", "K", "X", "y", "l2")
"""What the course's function takes, in its order."""

NAMES = {
    "theta": "nnparams params parameters theta thetas thetavec weights w p nnparam initialnnparams allparams rolled "
    "unrolled thetaunrolled nnparameters nnweights vec thetaall initialtheta wvec thetavector flattheta t",
    "theta1": "theta1 t1 w1",
    "theta2": "theta2 t2 w2",
    "n_in": "inputlayersize inputsize inputs ninput nin inputlayer inputdim s1 nx il nfeatures numinputs insize "
    "ninputs inputunits inputlayernumber inputn numinput din features",
    "n_hidden": "hiddenlayersize hiddensize hidden nhidden nh hiddenlayer hl s2 hiddendim numhidden hiddenunits nhid "
    "hiddenn dhidden",
    "K": "numlabels numlabel nlabels outputsize outputlayersize nout noutput noutputs k numclasses nclasses classes ny "
    "ol outputlayer s3 numberoflabels outputunits outsize numoutputs labelcount numoutput dout",
    "X": "x data images trainx xtrain xs inputdata design designmatrix",
    "y": "y labels targets target ytrain truth label yvec ys yonehot classlabels",
    "l2": "lambda lmbda lam lambd lamda reg regularization regularisation regparam l l2 learningrate lmd regconst "
    "mylambda lambdareg lambdavalue lambdar regterm lambda1 regrate r alpha lambdaa ll weightdecay decay",
    "sizes": "layers sizes layersizes architecture dims layerdims shape",
    "problem": "problem prob",
}
"""Names that parameters have, in small letters and without underscores."""

PARTS_OF_NAMES = {
    "hidden": "n_hidden",
    "lambda": "l2",
    "lmbda": "l2",
    "regular": "l2",
    "numlabel": "K",
    "output": "K",
    "class": "K",
    "input": "n_in",
    "theta": "theta",
    "param": "theta",
    "weight": "theta",
    "target": "y",
    "label": "y",
}
"""What a name that is none of these holds, the first that does."""

OF_FOUR = ("theta", "X", "y", "l2")
"""What a function of four parameters takes, which has the sizes from elsewhere."""

_ROLE = {name: role for role, names in NAMES.items() for name in names.split()}

LABELS = ("labels from 1", "labels from 0", "one-hot targets")


ORDERS: tuple[Order, ...] = ("F", "C")

THETA_AS = {"list": "a list of matrices", "dictionary": "a dictionary of matrices", "column": "a column"}

KEYS = (("Theta1", "Theta2"), ("theta1", "theta2"), ("T1", "T2"), ("W1", "W2"), ("w1", "w2"))
"""By which a dictionary holds the two matrices."""


@dataclass(frozen=True)
class Convention:
    """One way to call a function.

    Attributes
    ----------
    labels : one of `LABELS`
    column : whether labels are (m, 1) instead of (m,)
    order : how the matrices lie in θ and in the gradient alike, "F" by columns or "C" by rows
    ones : whether X comes with its column of ones
    transposed : whether examples are columns of X, and of one-hot targets
    theta : "flat", "column" (n, 1), "list" of matrices, or "dictionary" with the usual names for keys
    pick : where an answer has more than a cost and a gradient, the cost's place and where the gradient starts and ends
    """

    labels: str = "labels from 1"
    column: bool = False
    order: Order = "F"
    ones: bool = False
    transposed: bool = False
    theta: str = "flat"
    pick: tuple[int | None, int, int] | None = None

    def described(self) -> list[str]:
        """What differs from the course's own way."""
        own = Convention()
        said = [self.labels] if self.labels != own.labels else []
        said += ["θ and gradient by rows"] if self.order != own.order else []
        said += ["X with a column of ones"] if self.ones else []
        said += ["examples in columns"] if self.transposed else []
        said += [f"θ as {THETA_AS[self.theta]}"] if self.theta != own.theta else []
        said += ["more answered than a cost and a gradient"] if self.pick else []
        return said


def all_conventions() -> Iterator[Convention]:
    """Every way, the usual ones first."""
    for theta, transposed, ones in product(("flat", *THETA_AS), (False, True), (False, True)):
        for order, labels, column in product(ORDERS, LABELS, (False, True)):
            if not (column and labels == "one-hot targets") and not (theta in ("list", "dictionary") and order == "C"):
                yield Convention(labels, column, order, ones, transposed, theta)


class Default(NamedTuple):
    """The role of a parameter that is given the default that it has."""

    value: Any


Role = str | Default


def roles_of(function: Function) -> tuple[Role, ...] | None:
    """What each parameter takes, by its name, and where names do not tell, in the course's order; None if neither does.

    Parameters with a default that no name tells anything of keep it.
    """
    known = [_role(name) for name in function.parameters]
    if {"theta1", "theta2"} & set(known) and {"b1", "b2"} & {name.lower() for name in function.parameters}:
        return None  # with biases apart, no course's layout
    if "problem" in known or (len(known) == 2 and known == [None, "theta"]):
        return ("problem", "theta") if function.required == 2 else None
    if function.takes_more and function.required <= 1:
        return COURSE
    known = [role if role not in known[:i] else None for i, role in enumerate(known)]  # of two, the first
    given: list[Role | None] = [*known[: function.required]]
    optional = list(zip(known[function.required :], function.defaults))
    while optional and optional[-1][0] is None:  # what comes after it is passed by place, and needs one before
        optional.pop()
    for role, default in optional:
        if role is None and default is NO_LITERAL:
            break
        given.append(Default(default) if role is None else role)
    passed = [role for role in given if not isinstance(role, Default)]
    order = OF_FOUR if len(passed) <= len(OF_FOUR) else COURSE
    left = [role for role in order if role not in given and not _is_covered(role, given)]
    if given.count(None) > len(left):
        return None
    rest = iter(left)
    roles = tuple(role if role is not None else next(rest) for role in given)
    has_theta = "theta" in roles or {"theta1", "theta2"} <= set(roles)
    return roles if has_theta and {"X", "y"} <= set(roles) else None


def _role(name: str) -> str | None:
    """What a parameter of that name takes, if the name tells."""
    plain = name.lower().replace("_", "")
    plain = plain.removeprefix("my") or plain
    return _ROLE.get(plain) or next((role for part, role in PARTS_OF_NAMES.items() if part in plain), None)


def _is_covered(role: str, given: "list[Role | None]") -> bool:
    return (role in ("n_in", "n_hidden", "K") and "sizes" in given) or (role == "theta" and "theta1" in given)


def arguments(roles: tuple[Role, ...], convention: Convention, problem: Problem, theta: np.ndarray) -> tuple[Any, ...]:
    """What a function with these roles is called with."""
    if "problem" in roles:
        return problem, theta.copy()
    network = problem.network
    matrices = [np.array(Theta) for Theta in network.unpack(theta)]
    flat = Layout(convention.order).unroll(matrices)
    X = np.array(problem.X)
    X = np.column_stack([np.ones(len(X)), X]) if convention.ones else X
    n_in, n_hidden, K = network.sizes
    given = {
        "theta": {
            "flat": flat,
            "column": flat[:, np.newaxis],
            "list": matrices,
            "dictionary": {key: matrix for keys in KEYS for key, matrix in zip(keys, matrices)},
        }[convention.theta],
        "theta1": matrices[0],
        "theta2": matrices[1],
        "n_in": n_in,
        "n_hidden": n_hidden,
        "K": K,
        "X": X.T.copy() if convention.transposed else X,
        "y": _labels(convention, problem.Y),
        "l2": problem.l2,
        "sizes": list(network.sizes),
    }
    return tuple(role.value if isinstance(role, Default) else given[role] for role in roles)


def _labels(convention: Convention, Y: np.ndarray) -> np.ndarray:
    if convention.labels == "one-hot targets":
        return Y.T.copy() if convention.transposed else Y.copy()
    classes = Y.argmax(axis=1) + (convention.labels == "labels from 1")
    if not convention.column:
        return classes
    return classes[np.newaxis, :] if convention.transposed else classes[:, np.newaxis]


@dataclass(frozen=True, eq=False)
class Parsed:
    """What was made of an answer: the cost, the gradient as θ lies in `reference`, or None; and how they came.

    `order` is how θ and the gradient lay for who answered, by columns or by rows.
    """

    cost: float | None = None
    gradient: np.ndarray | None = None
    came: tuple[str, ...] = ()
    precision: str = "float64"
    order: Order = "F"

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same answer, in whatever convention it was given."""
        return self.cost, None if self.gradient is None else self.gradient.tobytes(), self.order, self.precision


class NotAnAnswer(ValueError):
    """What a function answered is no cost and no gradient, in words that follow "it"."""


def parse(value: Any, convention: Convention, problem: Problem) -> Parsed:
    """Cost and gradient out of whatever was answered.

    Raises
    ------
    NotAnAnswer
    """
    return replace(_parsed(value, convention, problem), order=convention.order)


def _parsed(value: Any, convention: Convention, problem: Problem) -> Parsed:
    if isinstance(value, dict):
        value = tuple(value.values())
    if convention.pick is not None:
        cost, first, end = convention.pick
        if not isinstance(value, (tuple, list)) or len(value) < max(end, 1 + (cost or 0)):
            raise NotAnAnswer(f"answers {_what(value)}, and something else before")
        value = (*([] if cost is None else [value[cost]]), *value[first:end])
    if isinstance(value, (tuple, list)) and len(value) == 2 and _is_cost(value[1]) and not _is_cost(value[0]):
        parsed = _parsed((value[1], value[0]), convention, problem)
        return replace(parsed, came=(*parsed.came, "gradient before cost"))
    if _is_cost(value):
        return _with_cost(value, None, (), "float64")
    if isinstance(value, (tuple, list)) and len(value) >= 2 and _is_cost(value[0]):
        rest = value[1] if len(value) == 2 else list(value[1:])
        return _with_cost(value[0], *_gradient(rest, convention, problem))
    gradient, came, precision = _gradient(value, convention, problem)
    return Parsed(None, gradient, came, precision)


def picks(value: Any, problem: Problem) -> list[tuple[int | None, int, int] | None]:
    """Which cost and which gradient may be meant, where an answer has more than one of each; else None alone.

    Those that come last are first: a regularised cost is mostly answered after the plain one.
    """
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, (tuple, list)):
        return [None]
    network = problem.network
    costs = [i for i, item in enumerate(items) if _is_cost(item)]
    depth = len(network.shapes)
    gradients = [(i, i + 1) for i, item in enumerate(items) if _is_gradient(item, network.size, network.shapes)]
    gradients += [
        (i, i + depth)
        for i in range(len(items))
        if [np.shape(item) for item in _arrays(items[i:][:depth])] == network.shapes
    ]
    used = len(costs) + sum(end - first for first, end in gradients)
    if not gradients or (len(costs) <= 1 and len(gradients) == 1 and used == len(items)):
        return [None]
    return [(cost, *place) for place in reversed(gradients) for cost in (costs[::-1] or [None])]


def _arrays(items: Sequence[Any]) -> list[np.ndarray]:
    return [item for item in items if isinstance(item, np.ndarray)]


def _is_gradient(item: Any, size: int, shapes: Sequence[tuple[int, int]]) -> bool:
    if isinstance(item, np.ndarray):
        return item.size == size == max(item.shape, default=0) and item.dtype.kind in "biuf"
    item = list(item.values()) if isinstance(item, dict) else item
    return isinstance(item, (tuple, list)) and [np.shape(matrix) for matrix in _arrays(item)] == shapes


def _is_cost(value: Any) -> bool:
    return isinstance(value, (int, float, np.generic, np.ndarray)) and np.size(value) == 1 and not _is_text(value)


def _is_text(value: Any) -> bool:
    return np.asarray(value).dtype.kind not in "biuf"


def _with_cost(cost: Any, gradient: np.ndarray | None, came: tuple[str, ...], precision: str) -> Parsed:
    shape = np.shape(cost)
    came = (*came, f"cost as an array of shape {shape}") if shape else came
    return Parsed(float(np.asarray(cost).reshape(())), gradient, came, precision)


def _gradient(value: Any, convention: Convention, problem: Problem) -> tuple[np.ndarray, tuple[str, ...], str]:
    network = problem.network
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        matrices = [item for item in value if isinstance(item, np.ndarray)]
        shapes = [matrix.shape for matrix in matrices]
        if len(matrices) == len(value) and shapes == network.shapes:
            precision = "float32" if any(matrix.dtype == np.float32 for matrix in matrices) else "float64"
            return network.pack(matrices), ("gradient as matrices",), precision
        if len(value) == 1:
            return _gradient(value[0], convention, problem)
        if all(isinstance(item, (int, float, np.generic)) for item in value):
            return _gradient(np.array(value), convention, problem)
        if not matrices:
            raise NotAnAnswer(f"answers {_what(value)}, which is no cost and no gradient of numbers")
        raise NotAnAnswer(f"answers a gradient of {_what(value)}; expected is one of {network.size} entries")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise NotAnAnswer(f"answers {_what(value)}, which is no cost and no gradient of numbers")
    if value.size != network.size:
        raise NotAnAnswer(f"answers a gradient of shape {value.shape}; expected are {network.size} entries, as in θ")
    came = () if value.ndim == 1 else (f"gradient as an array of {value.ndim} axes",)
    precision = "float32" if value.dtype == np.float32 else "float64"
    flat = np.asarray(value, dtype=np.float64).ravel()
    return network.pack(Layout(convention.order).roll(network, flat)), came, precision


def _what(value: Any) -> str:
    """An answer in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(_what(item) for item in value[:4])}"
    return f"a {type(value).__name__}"
