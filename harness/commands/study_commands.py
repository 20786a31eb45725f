"""harness study and audit: how well this and other checkers detect bugs, and how exact libraries' rules are."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import show
from harness.commands.process_start import start_jax
from harness.files import write_whole
from harness.progress import progress_bar

NETWORKS = "How many correct random networks; 10,000 unless given, or --quick."
ACTIVATIONS = "Instead, right and wrong records of activations, shown to the same checkers."
DIAGNOSIS = "Instead, how often the diagnosis names the right bug, for single bugs and for pairs."
GRADIENTS = "Instead, functions with gradients by hand, right and wrong, shown to check_gradient and its peers."
DERIVATIVES = (
    "Instead, functions that JAX traces, with rules right and wrong, shown to check_derivatives and its peers."
)
OPERATORS = "Instead, every differentiable operator of PyTorch, shown to the drop-in and to gradcheck."
LIBRARIES = "Instead, functions of libraries that are built on JAX, and rules planted in them, beside check_grads."
STORE = "With --operators or --libraries: keep each result in this file, and go on with what is there."
WHICH = "Only these of jax, optax, torch and scipy. Can be repeated."
ONLY = "Only these functions, such as sinc. Can be repeated."


STUDIES = {
    "": ("zoo_study", ("--seed", "--networks", "--figure", "--html")),
    "--diagnosis": ("diagnosis_study", ("--seed",)),
    "--activations": ("activation_study", ("--seed",)),
    "--gradients": ("gradient_study", ()),
    "--derivatives": ("rule_study", ()),
    "--operators": ("operator_study", ("--store",)),
    "--libraries": ("library_study", ("--store",)),
}
"""By option, the module of a study and the options that it takes beside --quick and --json."""


def study(
    quick: Annotated[bool, typer.Option(help="One problem of each kind, and few random networks.")] = False,
    seed: options.Seed = 0,
    networks: Annotated[int | None, options.value("N", NETWORKS, min=1)] = None,
    figure: Annotated[Path | None, options.file_to_write("Write the figure (PNG).")] = None,
    diagnosis: Annotated[bool, options.flag("--diagnosis", DIAGNOSIS)] = False,
    activations: Annotated[bool, options.flag("--activations", ACTIVATIONS)] = False,
    gradients: Annotated[bool, options.flag("--gradients", GRADIENTS)] = False,
    derivatives: Annotated[bool, options.flag("--derivatives", DERIVATIVES)] = False,
    operators: Annotated[bool, options.flag("--operators", OPERATORS)] = False,
    libraries: Annotated[bool, options.flag("--libraries", LIBRARIES)] = False,
    store: Annotated[Path | None, options.file_to_write(STORE)] = None,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Detection power of this and other gradient checkers over the bug zoo."""
    chosen = {
        "--diagnosis": diagnosis, "--activations": activations, "--gradients": gradients,
        "--derivatives": derivatives, "--operators": operators, "--libraries": libraries,
    }  # fmt: skip
    name, *more = [option for option, is_chosen in chosen.items() if is_chosen] or [""]
    given = {"--seed": seed, "--networks": networks, "--figure": figure, "--html": html, "--store": store}
    given = {option: value for option, value in given.items() if value}
    module, takes = STUDIES[name]
    if unused := [*more, *(option for option in given if option not in takes)]:
        which = f"{name} is a study of its own: it" if name else "the study of the bug zoo"
        usual = ", ".join(("--quick", *takes))
        raise ValueError(f"{which} takes {usual} and --json, but not {', '.join(unused)}")
    start_jax()
    from harness.figure_style import png
    from harness.study.detection_figure import detection_power
    from harness.study.study_tables import trial_table
    from harness.study.trials import trial_document

    chosen_study = import_module(f"harness.study.{module}")
    size = dict(chosen_study.QUICK) if quick else {}
    size |= {option[2:]: value for option, value in given.items() if option not in ("--figure", "--html")}
    if operators:
        size["checkers"] = _operator_checkers()
    with progress_bar() as progress:
        found = chosen_study.run_study(progress=progress, **size)
    document = getattr(chosen_study, "document_of", trial_document)(found)
    if figure is not None:
        write_whole(figure, png(detection_power(document)))
    if html is not None:
        from harness.pages.command_pages import study_page

        options.write_text(html, study_page(found, size))
    show(document, getattr(chosen_study, "table_of", trial_table)(found), json)


def _operator_checkers() -> dict[str, Any]:
    """The drop-in for PyTorch and the original."""
    from torch.autograd import gradcheck, gradgradcheck  # pyright: ignore[reportMissingImports]

    from harness.drop_in import torch as drop_in
    from harness.study.checkers import HARNESS
    from harness.study.operator_study import OperatorChecker

    ours = OperatorChecker(drop_in.gradcheck, drop_in.gradgradcheck)
    return {HARNESS: ours, "torch gradcheck": OperatorChecker(gradcheck, gradgradcheck)}


def audit(
    library: Annotated[list[str] | None, options.value("NAME", WHICH)] = None,
    only: Annotated[list[str] | None, options.value("NAME", ONLY)] = None,
    markdown: Annotated[Path | None, options.file_to_write("Write the result as a page of Markdown.")] = None,
    json: options.Json = False,
) -> None:
    """True errors of the derivative rules that the installed JAX, optax, PyTorch and SciPy ship, worst first."""
    from harness.audit.rule_audit import LIBRARIES, as_page, audit_rules

    start_jax()
    with progress_bar() as progress:
        found = audit_rules(library or LIBRARIES, only or (), progress)
    if markdown is not None:
        options.write_text(markdown, as_page(found))
    show(found.to_dict(), found, json)
    raise typer.Exit(0)
