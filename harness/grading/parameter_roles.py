"""What each parameter of a function takes, by its name or by the course's order: its *role*, such as "theta" or "l2".

The course's function is ``f(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda)``; ports rename
and reorder its parameters, leave some out, and add the numbers of examples and inputs.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

NO_LITERAL = ...  # stands for a default whose value is known only when the code is run

COURSE = ("theta", "n_in", "n_hidden", "K", "X", "y", "l2")  # the roles of the course's function, in its order

SIZES = ("n_in", "n_hidden", "K")

BLOCKS = ("W1", "b1", "W2", "b2")  # the roles of weights and biases as parameters of their own

LISTS = ("weights", "biases")  # the roles of weights and of biases as two lists

OF_THETA = (("theta",), ("theta1", "theta2"), BLOCKS, LISTS)
"""The sets of roles that bring θ; a function has one of them."""

OTHER = "other"  # the role of what no call here supplies: a third layer's matrix or biases

PARTS_OF_THETA = frozenset((*(role for roles in OF_THETA for role in roles), OTHER))

NAMES = {
    "theta": "nnparams params parameters theta thetas thetavec weights w p nnparam initialnnparams allparams rolled "
    "unrolled thetaunrolled nnparameters nnweights vec thetaall initialtheta wvec thetavector flattheta t model",
    "theta1": "theta1 t1 w1",
    "theta2": "theta2 t2 w2",
    OTHER: "theta3 t3 w3 b3 theta4 t4 w4 b4",
    "n_in": "inputlayersize inputsize inputs ninput nin inputlayer inputdim s1 nx il nfeatures numinputs insize "
    "ninputs inputunits inputlayernumber inputn numinput din features n",
    "n_hidden": "hiddenlayersize hiddensize hidden nhidden nh hiddenlayer hl s2 hiddendim numhidden hiddenunits nhid "
    "hiddenn dhidden",
    "K": "numlabels numlabel nlabels outputsize outputlayersize nout noutput noutputs k numclasses nclasses classes ny "
    "ol outputlayer s3 numberoflabels outputunits outsize numoutputs labelcount numoutput dout",
    "X": "x data images trainx xtrain xs inputdata design designmatrix x1 xb xbias xones xaug",
    "y": "y labels targets target ytrain truth label yvec ys yonehot classlabels",
    "l2": "lambda lmbda lam lambd lamda reg regularization regularisation regparam l l2 learningrate lmd regconst "
    "λ mylambda lambdareg lambdavalue lambdar regterm lambda1 regrate r alpha lambdaa ll weightdecay decay lr eta",
    "sizes": "layers sizes layersizes architecture dims layerdims shape",
    "m": "m nsamples numsamples nexamples numexamples ntrainingsamples samples mtrain nobs",
    "problem": "problem prob",
}
"""By role: names that parameters have, in small letters and without underscores."""

PARTS_OF_NAMES = {
    "hidden": "n_hidden",
    "lamb": "l2",
    "lmbda": "l2",
    "reg": "l2",
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
"""The role of a name that contains one of these and is none of `NAMES`; the first decides."""

TRAINING = ("rate", "alpha", "epoch", "iter", "batch", "momentum")
"""Parts of names of what decides how a network trains, on which no cost and no gradient depends."""

COMPUTING = ("drop", "norm")
"""Parts of names of what changes the cost as well: the rate of dropout, and normalisation by batches."""

_ROLE = {name: role for role, names in NAMES.items() for name in names.split()}

_PLACE = {name: place for names in NAMES.values() for place, name in enumerate(names.split())}
"""The usual name of a role comes first."""


class Default(NamedTuple):
    """The role of a parameter that takes one value in each call, such as the default that it has."""

    value: Any


IDLE = Default(1)
"""What a required parameter takes on which no cost and no gradient depends, such as a learning rate."""


class Parameters(dict):
    """θ as a dictionary of matrices, which are its attributes as well, as those of an object or a named tuple are."""

    def __getattr__(self, name: str):
        if name in self:
            return self[name]
        raise AttributeError(f"there is no {name!r} among {', '.join(self)}")


Role = str | Default

Signature = dict[str, str | None]  # parameters in their order, each with its default as text; None where it is required


@dataclass(frozen=True)
class Function:
    """A function that a submission defines."""

    name: str  # the name under which it is called
    signature: tuple[tuple[str, str | None], ...]  # as a `Signature`, required parameters first
    stand_in: str = ""  # Python that defines it where the submission does not, so that it can be called by position
    wraps: str = ""  # the function or method that a stand-in calls, such as "Net.loss"
    again: str = ""  # the name, in the stand-in, of what gives the second answer of one object
    constants: tuple[str, ...] = ()  # the file's constants that a stand-in sets
    # whether a parameter has the name of what a forward pass returns, so that it is called after that alone
    needs_forward: bool = False
    # where it is defined
    file: str = ""
    line: int = 0

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.signature)

    @cached_property
    def defaults(self) -> dict[int, Any]:
        """The defaults of the optional parameters by their places: values, or `NO_LITERAL`."""
        return {place: _value(text) for place, (_, text) in enumerate(self.signature) if text is not None}

    @property
    def required(self) -> int:
        """How many parameters have no default."""
        return len(self.signature) - len(self.defaults)

    @property
    def author_name(self) -> str:
        """The name that its author gave it, such as "loss" or "Net.loss"."""
        return self.wraps or self.name

    def __str__(self) -> str:
        return f"{self.author_name}({', '.join(self.parameters)})"


def _value(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL


def named_roles(roles: Sequence[Role | None]) -> set[str]:
    """The roles that are no defaults, whose values need not be hashable."""
    return {role for role in roles if isinstance(role, str)}


def role_of(name: str) -> str | None:
    """The role of a parameter of that name; None for an unknown name."""
    plain = simplify(name)
    return _ROLE.get(plain) or next((role for part, role in PARTS_OF_NAMES.items() if part in plain), None)


def simplify(name: str) -> str:
    """A name in small letters, without underscores and without "my" before it."""
    plain = name.lower().replace("_", "")
    return plain.removeprefix("my") or plain


def readings(function: Function) -> Iterator[tuple[Role, ...]]:
    """The roles that the parameters may have, the likeliest first; none for a function of something else.

    Where no name is that of λ, each optional number may be it: one that stays at its default would hide a regulariser.
    ``learning_rate`` is λ in some ports; in others nothing depends on it.
    """
    known = known_roles(function)
    # ``cost(theta, X, y, C=0.0)``
    if "l2" not in known:
        for place, default in function.defaults.items():
            if known[place] is None and (default is None or type(default) in (int, float)):
                yield from _reading(function, [*known[:place], "l2", *known[place + 1 :]])
    yield from _reading(function, known)
    with_l2 = next(_reading(function, known), ())
    rates = [
        place for place, role in enumerate(with_l2) if role == "l2" and not is_surely_l2(function.parameters[place])
    ]
    if rates:
        idle = {place: IDLE if place < function.required else None for place in rates}
        yield from _reading(function, [idle.get(place, role) for place, role in enumerate(known)])
    flags = {place: Default(not default) for place, default in function.defaults.items() if isinstance(default, bool)}
    # ``cost(..., return_grad=False)`` gives no gradient unless the flag is turned
    turned = [role or flags.get(place) for place, role in enumerate(known)]
    if turned != known:
        yield from _reading(function, turned)


def known_roles(function: Function) -> list[Role | None]:
    """The roles that names tell; of two parameters with one role, the one with the more usual name has it.

    What says how a network trains is `IDLE` where it is required.
    """
    names = [name.lower().strip("_") for name in function.parameters]
    known = [role_of(name) for name in function.parameters]
    # w1 beside b1 holds no biases, while W1 and W2 alone are the course's matrices
    if {"b1", "b2"} <= set(names):
        apart = {"theta1": "W1", "theta2": "W2"}
        known = [name if name in ("b1", "b2") else apart.get(role or "", role) for name, role in zip(names, known)]
    if set(LISTS) <= set(names):
        known = [name if name in LISTS else role for name, role in zip(names, known)]
    # alpha is λ in some ports, and beside lambda_ a learning rate
    if known.count("l2") > 1 and any(map(is_surely_l2, names)):
        known = [None if role == "l2" and not is_surely_l2(name) else role for name, role in zip(names, known)]
    usual: dict[str, int] = {}
    for i in sorted(range(len(known)), key=lambda i: _PLACE.get(simplify(function.parameters[i]), len(_PLACE))):
        usual.setdefault(known[i] or "", i)
    alone = [role if role and usual[role] == i else None for i, role in enumerate(known)]
    trains = [place < function.required and is_of_training(name) for place, name in enumerate(function.parameters)]
    return [IDLE if role is None and is_idle else role for role, is_idle in zip(alone, trains)]


def is_of_training(name: str) -> bool:
    """Whether a name may be that of what decides how a network trains; names such as alpha are those of λ as well."""
    trains, computes = (any(part in simplify(name) for part in parts) for parts in (TRAINING, COMPUTING))
    role = role_of(name)
    return (role == "l2" and not is_surely_l2(name)) or (role is None and trains and not computes)


def is_surely_l2(name: str) -> bool:
    """Whether a name is that of λ, and of nothing else that is a number."""
    return any(part in name.lower() for part in ("lam", "lmb", "reg", "decay", "l2", "λ"))


def _reading(function: Function, known: Sequence[Role | None]) -> Iterator[tuple[Role, ...]]:
    if "problem" in known:
        yield from [("problem", "theta")] if function.required == 2 else []
        return
    given = _with_defaults(function, known)
    # what has an unknown name takes the next role in the usual order: the p of ``cost(p, X, y, lam)`` is θ
    brought = named_roles(given) & {"sizes", "theta1", "W1", "weights"}
    covered = {*(SIZES if "sizes" in brought else ()), *(("theta",) if brought - {"sizes"} else ())}
    left = [role for role in COURSE if role not in given and role not in covered]
    # all sizes come together, or are from elsewhere; λ may be missing
    if given.count(None) < len(left) - ("l2" in left):
        left = [role for role in left if role not in SIZES]
    if given.count(None) > len(left):
        return
    rest = iter(left)
    roles = tuple(role if role is not None else next(rest) for role in given)
    of_theta = PARTS_OF_THETA & named_roles(roles)
    if any(of_theta == set(needed) for needed in OF_THETA) and {"X", "y"} <= named_roles(roles):
        yield roles


def _with_defaults(function: Function, known: Sequence[Role | None]) -> list[Role | None]:
    """The roles of required parameters, then of optional ones up to the last with a known name."""
    given: list[Role | None] = [*known[: function.required]]
    optional = [(known[place], default) for place, default in function.defaults.items()]
    while optional and optional[-1][0] is None:
        optional.pop()
    for role, default in optional:
        if role is None and default is NO_LITERAL:
            break  # what follows would be passed by position, and this value is not known
        given.append(Default(default) if role is None else role)
    return given
