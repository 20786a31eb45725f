"""The `torch.autograd.Function`s behind some tensors: whose they are, their batching, and what they leave out."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd import Function

from harness.drop_in.fallback import is_installed
from harness.drop_in.reported_function import drawn_weights
from harness.drop_in.torch_function import TensorFunction, every_output
from harness.facts.fact import Fact, note, wrong
from harness.facts.kinds import Kind

NEARBY = 2.0**-6
"""The share of themselves by which the entries of examples in a batch differ: enough that an example in the place of
another shows, and so little that none leaves the domain of a log or a square root."""


def functions_behind(outputs: Sequence[Any]) -> list[type]:
    """The Functions in the outputs' graph, each once, those in PyTorch's own Python code included."""
    # A graph may share nodes: each is visited once, or a chain of n doublings would take 2ⁿ visits.
    found: dict[type, None] = {}
    pending = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen = set(pending)
    while pending:
        node = pending.pop()
        if rule := getattr(node, "_forward_cls", None):
            found[rule] = None
        fresh = [child for child, _ in node.next_functions if child is not None and child not in seen]
        seen.update(fresh)
        pending += fresh
    return list(found)


def is_of_library(rule: type) -> bool:
    """Whether a Function is an installed library's. PyTorch's own may run a caller's, as a checkpoint's does."""
    return is_installed(rule.__module__) and not rule.__module__.startswith("torch.")


def notes_on(function: TensorFunction, rules: Sequence[type]) -> list[Fact]:
    """What a caller may want to know although all derivatives are right: missing modes, outputs without a gradient."""
    own = [rule for rule in rules if not rule.__module__.startswith("torch.")]
    lacking = [rule.__name__ for rule in own if rule.jvp is Function.jvp and not rule.generate_vmap_rule]
    facts = [note(Kind.MODE_MISSING, *lacking)] if lacking else []
    unmarked = [k for k, y in enumerate(function.outputs) if y.is_floating_point() and not y.requires_grad]
    if rules and unmarked and (moved := [f"output {k}" for k in _moved(function, unmarked)]):
        facts.append(note(Kind.MOVES_WITHOUT_GRADIENT, *moved))
    return facts


def batching_faults(function: TensorFunction, rules: Sequence[type]) -> list[Fact]:
    """Where `torch.func.vmap` of the function differs from a loop over the same examples.

    Examples are stacked along the first axis of all inputs, along that of each input alone, and along the last axis of
    all: a rule that ignores `in_dims` is right for the first of these. Functions without a vmap have no fault.
    """
    # PyTorch's own operators batch rightly, and a Function without a rule for it cannot be batched at all.
    if all(rule.vmap is Function.vmap and not rule.generate_vmap_rule for rule in rules):
        return []
    places = [i for i in function.places if function.inputs[i].layout == torch.strided]
    batches = [places, *([i] for i in places if len(places) > 1)]
    tried = [(batch, 0) for batch in batches] + [(places, -1)]
    faults = [k for batch, axis in tried for k in _differ_batched(function, batch, axis)]
    return [wrong(Kind.VMAP_DIFFERS, *(f"output {k}" for k in dict.fromkeys(faults)))] if faults else []


def _differ_batched(function: TensorFunction, batched: Sequence[int], axis: int) -> list[int]:
    """The numbers of the outputs that differ between a batch of three examples, along an axis, and a loop over them."""
    with torch.no_grad():
        examples = [[_nearby(x, n) if i in batched else x for i, x in enumerate(function.inputs)] for n in range(3)]
        stacked = [
            torch.stack([each[i] for each in examples], dim=axis if x.ndim else 0) if i in batched else x
            for i, x in enumerate(function.inputs)
        ]
        axes = tuple((axis if function.inputs[i].ndim else 0) if i in batched else None for i in range(len(stacked)))
        try:
            together = every_output(torch.func.vmap(function.func, in_dims=axes)(*stacked))
        except (RuntimeError, ValueError):  # a function without batching rules is not wrong
            return []
        alone = [every_output(function.func(*each)) for each in examples]
    return [k for k in range(len(together)) if not _is_near(together[k], torch.stack([each[k] for each in alone]))]


def _nearby(x: Any, number: int) -> Any:
    """Example number 0, which is the input itself, or another one beside it."""
    weights = torch.tensor(drawn_weights(f"example {number}", tuple(x.shape))).to(x.device)
    return x.detach() + (number * NEARBY * weights * x.detach().abs()).to(x.dtype)


def _is_near(a: Any, b: Any) -> bool:
    tolerance = torch.finfo(b.dtype).eps ** 0.5 if b.dtype.is_floating_point or b.dtype.is_complex else 0.0
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def _moved(function: TensorFunction, outputs: Sequence[int]) -> list[int]:
    """Those of the outputs that change when the inputs do."""
    with torch.no_grad():
        given = [_nearby(x, 1) if i in function.places else x for i, x in enumerate(function.inputs)]
        found = every_output(function.func(*given))
    return [k for k in outputs if k < len(found) and not torch.equal(found[k], function.outputs[k])]
