"""The functions and methods that a submission defines: their parameters, and what each parameter takes.

Nothing is run: all of it is read from the syntax tree. The course's function is
``f(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda)``; ports rename and reorder its
parameters. The *role* of a parameter is what it takes, such as "theta" or "l2".
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

NO_LITERAL = ...
"""Stands for a default whose value is known only when the code is run."""

TRANSFORMS = {"grad", "value_and_grad", "elementwise_grad", "jit"}
"""JAX's and autograd's transforms that return a function of the same parameters."""

PARAMETER_ATTRIBUTES = (
    ("w1", "b1", "w2", "b2"),
    ("theta1", "theta2"),
    ("w1", "w2"),
    ("t1", "t2"),
    ("params",),
    ("parameters",),
    ("theta",),
    ("thetas",),
    ("weights",),
)
"""Attributes in which objects keep their parameters, in small letters and without underscores."""

COURSE = ("theta", "n_in", "n_hidden", "K", "X", "y", "l2")
"""The roles of the course's function, in its order."""

FOUR_PARAMETERS = ("theta", "X", "y", "l2")
"""The roles of a function of four parameters, which has the sizes from elsewhere."""

BLOCKS = ("W1", "b1", "W2", "b2")
"""The roles of weights and biases as parameters of their own."""

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
"""By role: names that parameters have, in small letters and without underscores."""

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
"""The role of a name that contains one of these and is none of `NAMES`; the first decides."""

_ROLE = {name: role for role, names in NAMES.items() for name in names.split()}


class Default(NamedTuple):
    """The role of a parameter that keeps the default that it has."""

    value: Any


Role = str | Default


@dataclass(frozen=True)
class Function:
    """A function that a submission defines.

    Attributes
    ----------
    name : the name under which it is called
    parameters : positional parameters; those after the first `required` have `defaults`
    takes_more : whether it has ``*args``
    defaults : values, or `NO_LITERAL`
    stand_in : a line of Python that defines it where the submission does not: a wrapper that passes parameters by name,
        makes an object and calls its method, or sets constants first
    wraps : the function or method that a stand-in calls, such as "Net.loss"
    constants : the file's constants that a stand-in sets
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    takes_more: bool = False
    defaults: tuple[Any, ...] = ()
    stand_in: str = ""
    wraps: str = ""
    constants: tuple[str, ...] = ()

    @property
    def author_name(self) -> str:
        """The name that its author gave it, such as "loss" or "Net.loss"."""
        return self.wraps or self.name

    def __str__(self) -> str:
        return f"{self.author_name}({', '.join(self.parameters)})"


def likelihood(function: Function) -> int:
    """How likely a function is the homework's cost function; below zero for what certainly is not."""
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    unlikely = any(word in name for word in ("sigmoid", "numerical", "check", "test", "plot", "debug", "compute_num"))
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def roles_of(function: Function) -> tuple[Role, ...] | None:
    """The role of each parameter by its name, or else by the course's order; None where neither fits."""
    names = [name.lower().strip("_") for name in function.parameters]
    known = [role_of(name) for name in function.parameters]
    if {"b1", "b2"} <= set(names):  # w1 beside b1 holds no biases
        apart = {"theta1": "W1", "theta2": "W2"}
        known = [name if name in ("b1", "b2") else apart.get(role or "", role) for name, role in zip(names, known)]
    if "problem" in known or known == [None, "theta"]:
        return ("problem", "theta") if function.required == 2 else None
    if function.takes_more and function.required <= 1:
        return COURSE
    known = [role if role not in known[:i] else None for i, role in enumerate(known)]  # the first of two takes it
    given = _with_defaults(function, known)
    passed = [role for role in given if not isinstance(role, Default)]
    order = FOUR_PARAMETERS if len(passed) <= len(FOUR_PARAMETERS) else COURSE
    left = [role for role in order if role not in given and not _is_covered(role, given)]
    if given.count(None) > len(left):
        return None
    rest = iter(left)
    roles = tuple(role if role is not None else next(rest) for role in given)
    has_theta = any(set(needed) <= set(roles) for needed in (("theta",), ("theta1", "theta2"), BLOCKS))
    return roles if has_theta and {"X", "y"} <= set(roles) else None


def _with_defaults(function: Function, known: Sequence[str | None]) -> list[Role | None]:
    """The roles of required parameters, then of optional ones up to the last with a known name."""
    given: list[Role | None] = [*known[: function.required]]
    optional = list(zip(known[function.required :], function.defaults))
    while optional and optional[-1][0] is None:
        optional.pop()
    for role, default in optional:
        if role is None and default is NO_LITERAL:
            break  # what follows would be passed by position, and this value is not known
        given.append(Default(default) if role is None else role)
    return given


def role_of(name: str) -> str | None:
    """The role of a parameter of that name; None for an unknown name."""
    plain = name.lower().replace("_", "")
    plain = plain.removeprefix("my") or plain
    return _ROLE.get(plain) or next((role for part, role in PARTS_OF_NAMES.items() if part in plain), None)


def _is_covered(role: str, given: Sequence[Role | None]) -> bool:
    if role in ("n_in", "n_hidden", "K"):
        return "sizes" in given
    return role == "theta" and bool({"theta1", "W1"} & set(given))


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """Functions that can be called by position, with stand-ins for keyword-only parameters and for methods."""
    known: dict[str, Function] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                function = _function(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
                function = _Arguments.of(arguments).function(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (source := transformed(value)) in known:
                function = replace(known[source], name=name, wraps="")  # a derivative takes what its function takes
            case ast.ClassDef():
                yield from _methods(node)
                continue
            case _:
                continue
        known[function.author_name] = function
        yield function


def transformed(node: ast.expr) -> str | None:
    """The function that transforms are applied to: "cost" in ``jit(grad(cost))``; None for other expressions."""
    match node:
        case ast.Call(func=ast.Name(id=by) | ast.Attribute(attr=by), args=[function, *_]) if by in TRANSFORMS:
            return transformed(function)
        case ast.Name(id=name):
            return name
    return None


def _function(node: ast.FunctionDef) -> Function:
    arguments = _Arguments.of(node.args)
    if node.args.kwonlyargs:
        call = f"return {node.name}({arguments.passed})"
        return arguments.stand_in(f"{node.name}_by_position", node.name, call)
    return arguments.function(node.name)


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    """Stand-ins for the public methods of a class; each makes an object and calls its method."""
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    made = next((_Arguments.of(method.args, skipped=1) for method in methods if method.name == "__init__"), NOTHING)
    for method in methods:
        decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
        if method.name.startswith("_") or decorators - {"staticmethod", "classmethod"}:
            continue
        own = _Arguments.of(method.args, skipped="staticmethod" not in decorators)
        of_object = NOTHING if decorators else made
        instance = node.name if decorators else f"{node.name}({made.passed})"
        attributes = [] if decorators else _parameter_attributes(node)
        both = own.joined(of_object)
        call = f"return {instance}.{method.name}({own.passed})"
        if attributes and not both.defaults.keys() & set(attributes):
            # the object keeps θ in attributes that __init__ does not take, so the stand-in sets them
            both = both.joined(_Arguments(dict.fromkeys(attributes)))
            given = "; ".join(f"made.{name} = {name}" for name in attributes)
            call = f"made = {instance}; {given}; return made.{method.name}({own.passed})"
        yield both.stand_in(f"{method.name}_of_{node.name}", f"{node.name}.{method.name}", call)


def _parameter_attributes(node: ast.ClassDef) -> list[str]:
    """The attributes in which a class's objects keep the parameters of the network, if they do."""
    stored = {
        attribute.attr.lower().replace("_", ""): attribute.attr
        for attribute in ast.walk(node)
        if isinstance(attribute, ast.Attribute)
        and isinstance(attribute.ctx, ast.Store)
        and isinstance(attribute.value, ast.Name)
        and attribute.value.id == "self"
    }
    return next(([stored[name] for name in names] for names in PARAMETER_ATTRIBUTES if set(names) <= stored.keys()), [])


class _Arguments(NamedTuple):
    """Parameters by name, each with its default as text or None; and which of them are keyword-only."""

    defaults: dict[str, str | None]
    by_name: frozenset[str] = frozenset()
    takes_more: bool = False

    @classmethod
    def of(cls, arguments: ast.arguments, skipped: int = 0) -> "_Arguments":
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(map(ast.unparse, arguments.defaults))
        by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
        return cls(
            dict(list(zip(positional, defaults))[skipped:])
            | {argument.arg: default and ast.unparse(default) for argument, default in by_name},
            frozenset(argument.arg for argument in arguments.kwonlyargs),
            arguments.vararg is not None,
        )

    @property
    def passed(self) -> str:
        """All of them, as a function of the same parameters passes them on."""
        return ", ".join(f"{name}={name}" if name in self.by_name else name for name in self.defaults)

    def joined(self, others: "_Arguments") -> "_Arguments":
        return _Arguments(self.defaults | others.defaults)

    def function(self, name: str) -> Function:
        ordered = sorted(self.defaults, key=lambda parameter: self.defaults[parameter] is not None)
        given = [default for parameter in ordered if (default := self.defaults[parameter]) is not None]
        required = len(ordered) - len(given)
        return Function(name, tuple(ordered), required, self.takes_more, tuple(map(_literal, given)))

    def stand_in(self, name: str, wraps: str, body: str) -> Function:
        plain = self.function(name)
        signature = ", ".join(p if self.defaults[p] is None else f"{p}={self.defaults[p]}" for p in plain.parameters)
        return replace(plain, stand_in=f"def {name}({signature}): {body}", wraps=wraps)


NOTHING = _Arguments({})


def _literal(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL
