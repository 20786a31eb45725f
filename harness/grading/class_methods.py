"""Stand-ins for what classes do: objects whose methods give a cost, and networks of scalars, as micrograd's.

A network of scalars is made of an *engine*, a class of numbers that remember how they were made. A mistake in one of
its derivatives reaches every entry of the gradient, so each operation is tried by itself.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from harness.grading.parameter_roles import PARTS_OF_THETA, Function, Signature, role_of, simplify
from harness.grading.submission_functions import SETTINGS, fields_of, passed_on, signature_of, stand_in

PARAMETER_ATTRIBUTES = (
    "w1 b1 w2 b2, theta1 theta2, w1 w2, t1 t2, weights biases, params, parameters, theta, thetas, weights"
)
"""Attributes in which objects keep their parameters, in small letters and without underscores; the first set counts."""

OF_GRADIENTS = ("d{}", "{}grad", "grad{}", "{}grads", "grads{}", "delta{}", "nabla{}")
"""What a gradient is called, by the name of what it belongs to."""

SHORT = {"weights": "w", "biases": "b"}

CLEARING = ("zero", "reset", "clear")  # parts of names of what sets gradients back to zero, as ``zero_grad``


def class_functions_in(tree: ast.Module) -> Iterator[Function]:
    """Stand-ins for the methods of each class, and for what engines and networks of scalars do."""
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (method for method in node.body if isinstance(method, ast.FunctionDef)):
            is_special = method.name.startswith("__") and method.name != "__call__"
            decorators = set(map(ast.unparse, method.decorator_list))
            # no property, and nothing with an unknown decorator
            if not is_special and decorators <= {"staticmethod", "classmethod"}:
                yield _of_method(node, method, decorators)
    yield from _scalar_functions(tree)


def _of_method(node: ast.ClassDef, method: ast.FunctionDef, decorators: set[str]) -> Function:
    """A stand-in that makes an object, sets attributes that the method reads, and calls it.

    The object may keep θ in attributes that ``__init__`` does not take. What else the method needs and does not take,
    such as the X and y that ``fit`` keeps, is set as well; so is what a forward pass remembers, by running that first.
    """
    name, wraps = f"{method.name}_of_{node.name}", f"{node.name}.{method.name}"
    if decorators:  # it needs no object
        skipped = "staticmethod" not in decorators
        call = f"return {wraps}({passed_on(method.args, skipped)})"
        return stand_in(name, signature_of(method.args, skipped), wraps, call)
    methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
    made, given = fields_of(node), ", ".join(fields_of(node))
    if init := methods.get("__init__"):
        made, given = signature_of(init.args, 1), passed_on(init.args, 1)
    stored = {simplify(attribute): attribute for attribute in sorted(_attributes(node, ast.Store))}
    taken, passed = _of_one_pair(method)
    theta, before, after = _theta_attributes(stored, taken, made), "", ""
    if theta:
        before, passed, taken = _forward_before(method, methods, taken, passed)
        # ``backward`` that returns nothing leaves its results in self.dW1 and the like
        gradients = [] if _returns_value(method) else _gradients_of(theta, stored)
        after = ", ".join(f"made.{attribute}" for attribute in gradients)
    kept = _kept_settings(method, methods, {**taken, **made})
    steps = "".join(f"made.{attribute} = {attribute}; " for attribute in (*theta, *kept)) + before
    makes, call = f"made = {node.name}({given}); ", f"made.{method.name}({passed})"
    answer = f"{call}; return {after}" if after else f"return {call}"
    signature = {**taken, **made, **dict.fromkeys((*theta, *kept))}
    found = stand_in(name, signature, wraps, f"{makes}{steps}{answer}")
    # a step of training moves the θ that the object was made with, so that its next answer is another
    if PARTS_OF_THETA & set(map(role_of, made)):
        return found
    # the first call gets another X, and what clears gradients runs in between, as in training
    x = next((name for name in taken if role_of(name) == "X" and name not in made), "")
    first, between = (f"kept, {x} = {x}, {x}[::-1]; ", f"{x} = kept; ") if x else ("", "")
    between += "".join(f"made.{each}(); " for each in _clearing(methods, made))
    body = f"{makes}{first}{steps}{call}; {between}{steps}{answer}"
    again = stand_in(f"{name}_again", signature, wraps, body)
    return replace(found, stand_in=f"{found.stand_in}\n{again.stand_in}", again=again.name)


def _clearing(methods: Mapping[str, ast.FunctionDef], made: Signature) -> Iterator[str]:
    """The methods that set gradients back to zero, and nothing that the object was made with."""
    own = {*map(simplify, made)}
    for name, method in methods.items():
        clears = any(part in name.lower() for part in CLEARING)
        needs_nothing = None not in signature_of(method.args, 1).values()
        remakes = "__init__" in ast.unparse(method) or {*map(simplify, _attributes(method, ast.Store))} & own
        if clears and needs_nothing and not remakes:
            yield name


def _theta_attributes(stored: Mapping[str, str], taken: Signature, made: Signature) -> list[str]:
    """The attributes that hold θ; none where the method or ``__init__`` takes it."""
    sets = (names for names in map(str.split, PARAMETER_ATTRIBUTES.split(",")) if set(names) <= stored.keys())
    theta = [stored[name] for name in next(sets, ())]
    takes_theta = PARTS_OF_THETA & {role_of(name) for name, default in taken.items() if default is None}
    return [] if takes_theta or {*taken, *made} & set(theta) else theta


def _kept_settings(method: ast.FunctionDef, methods: Mapping[str, ast.FunctionDef], given: Signature) -> list[str]:
    """The attributes with sizes, λ or data that another method sets and this one reads, where it takes no X and y."""
    roles = set(map(role_of, given))
    if {"X", "y"} <= roles:
        return []
    read, waiting = set[str](), [method.name]
    while waiting:  # what it reads by itself, and in the methods that it calls
        more = _attributes(methods[waiting.pop()], ast.Load) - read
        read |= more
        waiting += more & methods.keys()
    kept = set().union(*(_attributes(each, ast.Store) for each in methods.values() if each.name != "__init__"))
    return sorted(name for name in kept & read if role_of(name) in SETTINGS and role_of(name) not in roles)


def _attributes(node: ast.AST, context: type) -> set[str]:
    """The attributes of ``self`` that code reads (`ast.Load`) or sets (`ast.Store`)."""
    found = (each for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, context))
    return {each.attr for each in found if isinstance(each.value, ast.Name) and each.value.id == "self"}


def _of_one_pair(method: ast.FunctionDef) -> tuple[Signature, str]:
    """The signature of a method, and what it is passed; one that returns a cost of pairs (x, y) is passed one pair.

    Such a cost belongs to a gradient of one example, which has no penalty.
    """
    own = signature_of(method.args, 1)
    given = {name: name for name, default in own.items() if default is None}
    for node in ast.walk(method):
        match node:
            case ast.For(target=ast.Tuple(elts=[_, _]), iter=ast.Name(id=name)) if name in given:
                given[name] = "[(x, y)]"
    if "[(x, y)]" not in given.values() or not _returns_value(method):
        return own, passed_on(method.args, 1)
    given |= {name: "0.0" for name in given if role_of(name) == "l2"}
    taken = ["x", "y", *(name for name, value in given.items() if name == value)]
    return dict.fromkeys(taken), ", ".join(given.values())


def _forward_before(
    method: ast.FunctionDef, methods: Mapping[str, ast.FunctionDef], own: Signature, passed: str
) -> tuple[str, str, Signature]:
    """A forward pass that goes before a method which takes no X or what that pass returns; what is passed; a signature.

    It goes before a method that returns nothing, too, which works on what the object remembers.
    """
    one = [name for name, each in methods.items() if each is not method and len(signature_of(each.args, 1)) == 1]
    forward = next((name for name in one if "forward" in name.lower()), "")
    unknown = [name for name, default in own.items() if default is None and role_of(name) is None]
    x = next((name for name in own if role_of(name) == "X"), "")
    if not forward or len(unknown) > 1 or (x and not unknown and _returns_value(method)):
        return "", passed, own
    passed = ", ".join("answer" if name in unknown else name for name in own)
    taken = {name: default for name, default in own.items() if name not in unknown}
    return f"answer = made.{forward}({x or 'X'}); ", passed, {x or "X": None, **taken}


def _returns_value(method: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(method))


def _gradients_of(theta: Sequence[str], stored: Mapping[str, str]) -> list[str]:
    """The attributes in which an object leaves the gradients of others, such as dW1 or W1_grad; or none.

    Those of the lists weights and biases may be called dW and db as well.
    """
    own = list(map(simplify, theta))
    called = (own, [SHORT.get(name, name) for name in own])
    patterns = [[pattern.format(one) for one in names] for pattern, names in product(OF_GRADIENTS, called)]
    return next(([stored[name] for name in names] for names in patterns if set(names) <= stored.keys()), [])


GRADIENT = """
    import math, numpy
    assert x.size == len(x), "it takes one example at a time"
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

DERIVATIVES = (
    "values = [{engine}(number) for number in numbers]; eval(expression, dict(zip('abc', values))).backward(); "
    "return [float(value.grad) for value in values]"
)

OPERATIONS = "derivatives_of_operations"
"""The name of the stand-in that differentiates an expression of a, b and c at these numbers."""


def _scalar_functions(tree: ast.Module) -> Iterator[Function]:
    """Stand-ins for the operations of an engine, and for the gradient of each network, whatever its last units are."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {
        node.name: {item.name: item.args for item in node.body if isinstance(item, ast.FunctionDef)} for node in classes
    }
    engines = [name for name, own in methods.items() if {"backward", "__mul__"} <= own.keys()]
    if not engines:
        return
    taken: Signature = {"expression": None, "numbers": None}
    yield stand_in(OPERATIONS, taken, f"{engines[-1]}.backward", DERIVATIVES.format(engine=engines[-1]))
    for network, own in methods.items():
        if not {"__init__", "__call__", "parameters"} <= own.keys():
            continue
        # it is made with the number of inputs and a list of the layers' sizes: ``MLP(nin, nouts)``
        made = signature_of(own["__init__"], 1)
        if len(made) == 2 and set(made.values()) == {None} and [*made][1].endswith("s"):
            for output, z_and_slope in OUTPUTS.items():
                taken = {"weights": None, "biases": None, "x": None, "y": None}
                body = GRADIENT.format(network=network, z_and_slope=z_and_slope)
                yield stand_in(f"gradient_of_{network}_with_{output}_outputs", taken, f"{network}.__call__", body)
