"""Stand-ins for what classes do: objects whose methods give a cost, and networks of scalars, as micrograd's.

A network of scalars is made of an *engine*, a class of numbers that remember how they were made. A mistake in one of
its derivatives reaches every entry of the gradient, so each operation is tried by itself.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

from harness.grading.parameter_roles import role_of
from harness.grading.submission_functions import NOTHING, Arguments, Function, fields_of

PARAMETER_ATTRIBUTES = (
    ("w1", "b1", "w2", "b2"),
    ("theta1", "theta2"),
    ("w1", "w2"),
    ("t1", "t2"),
    ("weights", "biases"),
    ("params",),
    ("parameters",),
    ("theta",),
    ("thetas",),
    ("weights",),
)
"""Attributes in which objects keep their parameters, in small letters and without underscores."""


def class_functions_in(tree: ast.Module) -> Iterator[Function]:
    """Stand-ins for the methods of each class, and for what engines and networks of scalars do."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _methods(node)
    yield from _scalar_functions(tree)


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    """Stand-ins for the methods of a class; each makes an object and calls its method."""
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    made = next(
        (Arguments.of(method.args, skipped=1) for method in methods if method.name == "__init__"), fields_of(node)
    )
    for method in methods:
        decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
        # a property, or a method of an unknown decorator, is no function of its parameters
        if method.name.startswith("__") or decorators - {"staticmethod", "classmethod"}:
            continue
        own = Arguments.of(method.args, skipped="staticmethod" not in decorators)
        # a static method or one of the class needs no object
        of_object = NOTHING if decorators else made
        instance = node.name if decorators else f"{node.name}({made.passed})"
        stored = {} if decorators else _stored_attributes(node)
        attributes = next(
            ([stored[n] for n in names] for names in PARAMETER_ATTRIBUTES if set(names) <= stored.keys()), []
        )
        own, passed = _of_one_pair(method, own)
        both = own.joined(of_object)
        call = f"return {instance}.{method.name}({passed})"
        if attributes and not both.defaults.keys() & set(attributes):
            # the object keeps θ in attributes that __init__ does not take, so the stand-in sets them
            first, passed, own = _forward_before(method, methods, own, passed)
            # ``backward`` that returns nothing leaves its results in self.dW1 and the like
            gradients = [] if _returns_value(method) else _gradients_of(attributes, stored)
            both = own.joined(of_object).joined(Arguments(dict.fromkeys(attributes)))
            given = "; ".join(f"made.{name} = {name}" for name in attributes)
            call = f"return made.{method.name}({passed})"
            if gradients:
                call = f"made.{method.name}({passed}); return {', '.join(f'made.{name}' for name in gradients)}"
            call = f"made = {instance}; {given}; {first}{call}"
        yield both.stand_in(f"{method.name}_of_{node.name}", f"{node.name}.{method.name}", call)


def _of_one_pair(method: ast.FunctionDef, own: Arguments) -> tuple[Arguments, str]:
    """The parameters of a method, and what it is passed; one that returns a cost of pairs (x, y) is passed one pair.

    Such a cost belongs to a gradient of one example, which has no penalty.
    """
    given = {name: name for name, default in own.defaults.items() if default is None}
    for node in ast.walk(method):
        match node:
            case ast.For(target=ast.Tuple(elts=[_, _]), iter=ast.Name(id=name)) if name in given:
                given[name] = "[(x, y)]"
    if "[(x, y)]" not in given.values() or not _returns_value(method):
        return own, own.passed
    given |= {name: "0.0" for name in given if role_of(name) == "l2"}
    taken = ["x", "y", *(name for name, value in given.items() if name == value)]
    return Arguments(dict.fromkeys(taken)), ", ".join(given.values())


def _forward_before(
    method: ast.FunctionDef, methods: Sequence[ast.FunctionDef], own: Arguments, passed: str
) -> tuple[str, str, Arguments]:
    """A forward pass that goes before a method which takes no X or what that pass returns; what is passed; parameters.

    It goes before a method that returns nothing, too, which works on what the object remembers.
    """
    one = [each for each in methods if each is not method and len(Arguments.of(each.args, skipped=1).defaults) == 1]
    forward = next((each.name for each in one if "forward" in each.name.lower()), "")
    unknown = [name for name, default in own.defaults.items() if default is None and role_of(name) is None]
    x = next((name for name in own.defaults if role_of(name) == "X"), "")
    if not forward or len(unknown) > 1 or (x and not unknown and _returns_value(method)):
        return "", passed, own
    passed = ", ".join("answer" if name in unknown else name for name in own.defaults)
    taken = {name: default for name, default in own.defaults.items() if name not in unknown}
    return f"answer = made.{forward}({x or 'X'}); ", passed, Arguments({x or "X": None} | taken)


def _returns_value(method: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(method))


def _gradients_of(attributes: Sequence[str], stored: Mapping[str, str]) -> list[str]:
    """The attributes in which an object leaves the gradients of others, such as dW1 or W1_grad; or none."""
    plain = [name.lower().replace("_", "") for name in attributes]
    patterns = [[pattern.format(name) for name in plain] for pattern in ("d{}", "{}grad", "grad{}", "delta{}")]
    return next(([stored[name] for name in names] for names in patterns if set(names) <= stored.keys()), [])


def _stored_attributes(node: ast.ClassDef) -> dict[str, str]:
    """The attributes that a class's objects have, by their names in small letters and without underscores."""
    return {
        attribute.attr.lower().replace("_", ""): attribute.attr
        for attribute in ast.walk(node)
        if isinstance(attribute, ast.Attribute)
        and isinstance(attribute.ctx, ast.Store)
        and isinstance(attribute.value, ast.Name)
        and attribute.value.id == "self"
    }


GRADIENT = """
def {name}(weights, biases, x, y):
    import math, numpy
    network = {network}(len(x), [len(b) for b in biases])
    rows = [[*row, b] for W, bs in zip(weights, biases) for row, b in zip(W.tolist(), bs.ravel().tolist())]
    parameters = network.parameters()
    for parameter, value in zip(parameters, [number for row in rows for number in row], strict=True):
        parameter.data = value
    outputs, cost = network(x.ravel().tolist()), 0.0
    for output, target in zip(outputs if isinstance(outputs, list) else [outputs], y.ravel().tolist()):
        z, slope = {z_and_slope}
        cost = output * ((1.0 / (1.0 + math.exp(-z)) - target) / slope) + cost
    cost.backward()
    left = iter([parameter.grad for parameter in parameters])
    blocks = [numpy.array([[next(left) for _ in range(W.shape[1] + 1)] for _ in W], dtype=float) for W in weights]
    return [block[:, -1:] for block in blocks], [block[:, :-1] for block in blocks]
"""

# The engine differentiates any scalar that depends on its outputs. With the weight (σ(z) - y) / f'(z) on each output
# f(z), its gradient is that of the logistic loss, which every exercise knows, whatever f is.
OUTPUTS = {
    "tanh": "math.atanh(output.data), 1.0 - output.data**2",
    "logistic": "math.log(output.data / (1.0 - output.data)), output.data * (1.0 - output.data)",
    "linear": "output.data, 1.0",
}
"""By the last units of a network: its last pre-activation, and the slope of the output in it."""

DERIVATIVES = """
def {name}(expression, numbers):
    values = [{engine}(number) for number in numbers]
    eval(expression, dict(zip("abc", values))).backward()
    return [float(value.grad) for value in values]
"""

OPERATIONS = "derivatives_of_operations"
"""The name of the stand-in that differentiates an expression of a, b and c at these numbers."""


def _scalar_functions(tree: ast.Module) -> Iterator[Function]:
    """Stand-ins for the operations of an engine, and for the gradient of each network, whatever its last units are."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {node.name: {item.name for item in node.body if isinstance(item, ast.FunctionDef)} for node in classes}
    engines = [name for name, names in methods.items() if {"backward", "__mul__"} <= names]
    if not engines:
        return
    text = DERIVATIVES.format(name=OPERATIONS, engine=engines[-1])
    yield Function(OPERATIONS, ("expression", "numbers"), 2, stand_in=text, wraps=f"{engines[-1]}.backward")
    for node in classes:
        if {"__init__", "__call__", "parameters"} <= methods[node.name] and _takes_sizes(node):
            for output, z_and_slope in OUTPUTS.items():
                name = f"gradient_of_{node.name}_with_{output}_outputs"
                text = GRADIENT.format(name=name, network=node.name, z_and_slope=z_and_slope)
                parameters = ("weights", "biases", "x", "y")
                yield Function(name, parameters, len(parameters), stand_in=text, wraps=f"{node.name}.backward")


def _takes_sizes(node: ast.ClassDef) -> bool:
    """Whether an object is made with the number of inputs and a list of the layers' sizes: ``MLP(nin, nouts)``."""
    (made,) = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"][:1]
    names = [argument.arg for argument in made.args.args]
    return len(names) == 3 and not made.args.defaults and names[2].endswith("s")
