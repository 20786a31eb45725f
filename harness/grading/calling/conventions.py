"""How a submission may want to be called, and what it may answer.

The course's own is ``f(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda) -> (J, grad)``, with θ
and gradient unrolled by columns, examples in rows, no column of ones, and labels from 1. Ports differ in all of that,
and are right all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.grading.calling.blocks import ARRANGEMENTS, COLUMN, JOINED, ROW, VECTOR, Blocks
from harness.grading.calling.signatures import NO_LITERAL, Function
from harness.sources.backprop_steps import Order
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


BOTH = (False, True)

ORDERS: tuple[Order, ...] = ("F", "C")

THETA_AS = {"list": "a list of matrices", "dictionary": "a dictionary of matrices", "column": "a column"}

THE_COURSES = Blocks()

BLOCKS = ("W1", "b1", "W2", "b2")
"""What a function takes that has weights and biases as parameters of their own."""

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
    blocks : the arrays that the parameters are, one after the other in a flat θ
    plain : whether arrays are given as lists of numbers
    pick : where an answer has more than a cost and a gradient, the cost's place and where the gradient starts and ends
    """

    labels: str = "labels from 1"
    column: bool = False
    order: Order = "F"
    ones: bool = False
    transposed: bool = False
    theta: str = "flat"
    blocks: Blocks = THE_COURSES
    plain: bool = False
    pick: tuple[int | None, int, int] | None = None

    def described(self) -> list[str]:
        """What differs from the course's own way."""
        own = Convention()
        said = [self.labels] if self.labels != own.labels else []
        said += ["θ and gradient by rows"] if self.order != own.order else []
        said += ["X with a column of ones"] if self.ones else []
        said += ["examples in columns"] if self.transposed else []
        said += [f"θ as {THETA_AS[self.theta]}"] if self.theta != own.theta else []
        said += self.blocks.described()
        said += ["plain lists for arrays"] if self.plain else []
        if self.pick:
            cost = self.pick[0] is not None
            said += [f"more answered than a {'cost and a gradient' if cost else 'gradient, and no cost'}"]
        return said

    def fits(self, roles: "tuple[Role, ...]") -> bool:
        """Whether what it says of θ can be given to parameters with these roles."""
        if "theta" in roles:
            return True
        if "problem" in roles:
            return self == Convention()
        as_usual = "flat" if self.blocks == THE_COURSES else "list"
        joined = self.blocks.arrangement == JOINED
        return self.order == "F" and self.theta == as_usual and joined == ("theta1" in roles)


def all_conventions() -> Iterator[Convention]:
    """Every way, the usual ones first."""
    for theta, transposed, ones in product(("flat", *THETA_AS), BOTH, BOTH):
        for order, labels, column in _orders_and_labels(theta):
            yield Convention(labels, column, order, ones, transposed, theta)
    for blocks, transposed in product(_other_blocks(), BOTH):
        for theta in ("flat", "list", "dictionary"):
            if theta != "flat" or (blocks.biases == VECTOR and not blocks.by_inputs):  # which by columns or rows is
                for order, labels, column in _orders_and_labels(theta):
                    yield Convention(labels, column, order, False, transposed, theta, blocks)
    for theta, blocks, labels, column in product(("list", "flat"), (Blocks(), Blocks(ARRANGEMENTS[1])), LABELS, BOTH):
        for order in ("F", "C") if theta == "flat" else ("F",):
            yield Convention(labels, column, order, theta=theta, blocks=blocks, plain=True)


def _orders_and_labels(theta: str) -> Iterator[tuple[Order, str, bool]]:
    for order, labels, column in product(ORDERS, LABELS, BOTH):
        if not (column and labels == "one-hot targets") and not (theta in ("list", "dictionary") and order == "C"):
            yield order, labels, column


def _other_blocks() -> Iterator[Blocks]:
    """Those that are not the course's."""
    yield Blocks(by_inputs=True)
    for arrangement, by_inputs, biases in product(ARRANGEMENTS[1:], BOTH, (VECTOR, COLUMN, ROW)):
        yield Blocks(arrangement, by_inputs, biases)


class Default(NamedTuple):
    """The role of a parameter that is given the default that it has."""

    value: Any


Role = str | Default


def roles_of(function: Function) -> tuple[Role, ...] | None:
    """What each parameter takes, by its name, and where names do not tell, in the course's order; None if neither does.

    Parameters with a default that no name tells anything of keep it.
    """
    names = [name.lower().strip("_") for name in function.parameters]
    known = [role_of(name) for name in function.parameters]
    if {"b1", "b2"} <= set(names):  # with weights and biases apart
        apart = {"theta1": "W1", "theta2": "W2"}
        known = [name if name in ("b1", "b2") else apart.get(role or "", role) for name, role in zip(names, known)]
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
    has_theta = any(set(needed) <= set(roles) for needed in (("theta",), ("theta1", "theta2"), BLOCKS))
    return roles if has_theta and {"X", "y"} <= set(roles) else None


def role_of(name: str) -> str | None:
    """What a parameter of that name takes, if the name tells."""
    plain = name.lower().replace("_", "")
    plain = plain.removeprefix("my") or plain
    return _ROLE.get(plain) or next((role for part, role in PARTS_OF_NAMES.items() if part in plain), None)


def _is_covered(role: str, given: "list[Role | None]") -> bool:
    if role in ("n_in", "n_hidden", "K"):
        return "sizes" in given
    return role == "theta" and bool({"theta1", "W1"} & set(given))


def arguments(roles: tuple[Role, ...], convention: Convention, problem: Problem, theta: np.ndarray) -> tuple[Any, ...]:
    """What a function with these roles is called with."""
    if "problem" in roles:
        return problem, theta.copy()
    network, blocks = problem.network, convention.blocks
    matrices = network.unpack(theta)
    pieces = blocks.split(network, matrices)
    flat = blocks.unroll(network, matrices, convention.order)
    X = np.array(problem.X)
    X = np.column_stack([np.ones(len(X)), X]) if convention.ones else X
    n_in, n_hidden, K = network.sizes
    given: dict[Any, Any] = {
        "theta": {
            "flat": flat,
            "column": flat[:, np.newaxis],
            "list": list(pieces.values()),
            "dictionary": _dictionary(pieces),
        }[convention.theta],
        "n_in": n_in,
        "n_hidden": n_hidden,
        "K": K,
        "X": X.T.copy() if convention.transposed else X,
        "y": _labels(convention, problem.Y),
        "l2": problem.l2,
        "sizes": list(network.sizes),
    }
    given |= {name.replace("Theta", "theta"): array for name, array in pieces.items()}
    values = (role.value if isinstance(role, Default) else given[role] for role in roles)
    return tuple(map(_as_lists, values) if convention.plain else values)


def _dictionary(pieces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Under their own names, or two matrices under all that are usual."""
    if "Theta1" not in pieces:
        return pieces | {name.lower(): array for name, array in pieces.items()}
    return {key: matrix for keys in KEYS for key, matrix in zip(keys, pieces.values())}


def _as_lists(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_lists(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _labels(convention: Convention, Y: np.ndarray) -> np.ndarray:
    if convention.labels == "one-hot targets":
        return Y.T.copy() if convention.transposed else Y.copy()
    classes = Y.argmax(axis=1) + (convention.labels == "labels from 1")
    if not convention.column:
        return classes
    return classes[np.newaxis, :] if convention.transposed else classes[:, np.newaxis]
