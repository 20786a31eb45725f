"""harness gradient and derivatives: checks of one function of your own, at a point from a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.exit_codes import EXIT_CODES
from harness.files import MAX_SIZE

FUNCTION = "Your function fun(theta), which returns cost and gradient, or the cost alone with --jac."
TRACED = "Your function f(*args), which JAX can trace."
AT = "θ: a .npy or .npz file, FILE.py:NAME, or numbers with commas."
ARGUMENT = "An argument of f, in order: a .npy or .npz file, FILE.py:NAME, or numbers with commas. Can be repeated."
JAC = "A function that returns the gradient, where FUN returns the cost alone."
REFERENCE = "The cost as a function that JAX can trace, for a second opinion."
ACCURACY = "Accept errors below this share of the largest derivative, as a solver leaves them."
TRUST = "A custom rule that is no derivative on purpose. Can be repeated."
ORDER = "1, or 2 for the derivatives of the gradient."
BUDGET = "How long the check may take."

Accuracy = Annotated[float, options.value("SHARE", ACCURACY, min=0.0)]
Budget = Annotated[float | None, options.seconds(BUDGET)]


def gradient(
    fun: Annotated[str, typer.Argument(metavar="FILE.py:FUN|MODULE:FUN", help=FUNCTION)],
    at: Annotated[str, options.value("PLACE", AT)],
    jac: Annotated[str | None, options.value("FILE.py:JAC", JAC)] = None,
    reference: Annotated[str | None, options.value("FILE.py:COST", REFERENCE)] = None,
    accuracy: Accuracy = 0.0,
    budget: Budget = None,
    html: options.HtmlFile = None,
    max_size: options.MaxSize = MAX_SIZE,
    json: options.Json = False,
) -> None:
    """Check a gradient of your own: a function's, at a point, against differences of its cost."""
    from harness.checks.functions.gradient_check import check_gradient
    from harness.named_objects import import_attribute

    if reference is not None:
        start_jax()
    with output_on_stderr():
        result = check_gradient(
            import_attribute(fun),
            _read_point(at, max_size),
            None if reference is None else import_attribute(reference),
            gradient=None if jac is None else import_attribute(jac),
            accuracy=accuracy,
            budget=budget,
        )
    _show(f"harness gradient {fun}", result, html, {"at": at}, json)


def derivatives(
    f: Annotated[str, typer.Argument(metavar="FILE.py:F|MODULE:F", help=TRACED)],
    at: Annotated[list[str], options.value("PLACE", ARGUMENT)],
    order: Annotated[int, options.value("N", ORDER, min=1, max=2)] = 1,
    trust: Annotated[list[str] | None, options.value("NAME", TRUST)] = None,
    accuracy: Accuracy = 0.0,
    seed: options.Seed = 0,
    budget: Budget = None,
    html: options.HtmlFile = None,
    max_size: options.MaxSize = MAX_SIZE,
    json: options.Json = False,
) -> None:
    """Check JAX's derivatives of a function of your own, and so its rules, against its values."""
    from harness.named_objects import import_attribute

    start_jax()
    from harness.checks.traced.derivative_check import check_derivatives

    with output_on_stderr():
        arguments = [_read_point(place, max_size) for place in at]
        result = check_derivatives(
            import_attribute(f), *arguments, order=order, trust=trust or (), accuracy=accuracy, seed=seed, budget=budget
        )
    _show(f"harness derivatives {f}", result, html, {"at": ", ".join(at), "seed": seed}, json)


def _read_point(place: str, max_size: int) -> Any:
    """θ, or an argument: what a file's name, the name of an object, or numbers stand for."""
    from harness.array_files import read_arrays
    from harness.named_objects import import_attribute

    if Path(place).suffix in (".npy", ".npz"):
        arrays = read_arrays(Path(place), max_size)
        return next(iter(arrays.values())) if len(arrays) == 1 else arrays
    if ":" in place:
        return import_attribute(place)
    try:
        numbers = [float(number) for number in place.split(",")]
    except ValueError:
        raise ValueError(
            f"--at {place!r} is no .npy or .npz file, no FILE.py:NAME, and no numbers with commas, such as 0.5,-1,2"
        ) from None
    import numpy as np

    return np.array(numbers) if len(numbers) > 1 else numbers[0]


def _show(title: str, result: Any, html: Path | None, made: dict[str, Any], json: bool) -> None:
    """Print the report, write its page, and exit with the verdict's code."""
    if html is not None:
        from harness.pages.report_page import page, report_sections

        headline = str(result).partition("\n")[0]
        options.write_text(html, page(title, result.verdict, headline, report_sections(result), made))
    show(result.to_dict(), result, json)
    raise typer.Exit(EXIT_CODES[result.verdict])
