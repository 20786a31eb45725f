"""Networks of scalars that differentiate themselves, as micrograd's: stand-ins that read their gradient.

Such a network returns outputs and no cost. A cost whose slope at each output is that of the cross-entropy of sigmoid
units in the last pre-activation gives the gradient of a network with sigmoid outputs.
"""

import ast
from collections.abc import Iterator

from harness.grading.submission_functions import Function

STAND_IN = """
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

OUTPUTS = {"tanh": "math.atanh(output.data), 1.0 - output.data**2", "linear": "output.data, 1.0"}
"""By the last units of a network: its last pre-activation, and the slope of the output in it."""


def scalar_networks_in(tree: ast.Module) -> Iterator[Function]:
    """Stand-ins for the gradient of each class that makes a network of scalars, whatever its last units are."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {node.name: {item.name for item in node.body if isinstance(item, ast.FunctionDef)} for node in classes}
    if not any({"backward", "__mul__"} <= names for names in methods.values()):
        return
    for node in classes:
        if {"__init__", "__call__", "parameters"} <= methods[node.name] and _takes_sizes(node):
            for output, z_and_slope in OUTPUTS.items():
                name = f"gradient_of_{node.name}_with_{output}_outputs"
                text = STAND_IN.format(name=name, network=node.name, z_and_slope=z_and_slope)
                parameters = ("weights", "biases", "x", "y")
                yield Function(name, parameters, len(parameters), stand_in=text, wraps=f"{node.name}.backward")


def _takes_sizes(node: ast.ClassDef) -> bool:
    """Whether an object is made with the number of inputs and a list of the layers' sizes."""
    (made,) = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"][:1]
    names = [argument.arg for argument in made.args.args]
    return len(names) == 3 and not made.args.defaults and names[2].endswith("s")
