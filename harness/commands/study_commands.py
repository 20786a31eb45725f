"""harness study and audit: how well this and other checkers detect bugs, and how exact libraries' rules are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import show
from harness.commands.process_start import start_jax
from harness.progress import Progress, progress_bar

NETWORKS = "How many correct random networks; 10,000 unless given, or --quick."
ACTIVATIONS = "Instead, right and wrong records of activations, shown to the same checkers."
DIAGNOSIS = "Instead, how often the diagnosis names the right bug, for single bugs and for pairs."
OWN = "Instead, functions as engineers write them, right and wrong, shown to check_gradient and its peers."
FUNCTIONS = "Instead, functions that JAX traces, with rules right and wrong, shown to check_derivatives and its peers."
OPERATORS = "Instead, every differentiable operator of PyTorch, shown to the drop-in and to gradcheck."
LIBRARIES = "Instead, functions of libraries that are built on JAX, and rules planted in them, beside check_grads."
STORE = "With --operators or --libraries: keep each result in this file, and go on with what is there."
WHICH = "Only these of jax, optax, torch and scipy. Can be repeated."
ONLY = "Only these functions, such as sinc. Can be repeated."


def study(
    quick: Annotated[bool, typer.Option(help="One problem of each kind, and few random networks.")] = False,
    seed: options.Seed = 0,
    networks: Annotated[int | None, options.value("N", NETWORKS, min=1)] = None,
    figure: Annotated[Path | None, options.file_to_write("Write the figure (PNG).")] = None,
    diagnosis: Annotated[bool, options.flag("--diagnosis", DIAGNOSIS)] = False,
    activations: Annotated[bool, options.flag("--activations", ACTIVATIONS)] = False,
    own: Annotated[bool, options.flag("--own", OWN)] = False,
    functions: Annotated[bool, options.flag("--functions", FUNCTIONS)] = False,
    operators: Annotated[bool, options.flag("--operators", OPERATORS)] = False,
    libraries: Annotated[bool, options.flag("--libraries", LIBRARIES)] = False,
    store: Annotated[Path | None, options.file_to_write(STORE)] = None,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Detection power of this and other gradient checkers over the bug zoo."""
    from harness.figure_style import png
    from harness.files import write_whole
    from harness.study.detection_figure import detection_power
    from harness.study.study_tables import zoo_table
    from harness.study.zoo_study import QUICK, run_study, zoo_document

    if operators or libraries:
        others = [operators and libraries, diagnosis, activations, own, functions, figure, html, networks, seed]
        if any(others):
            name = "--operators" if operators else "--libraries"
            raise ValueError(f"{name} is a study of its own: it takes --quick, --store and --json")
        (_run_operators if operators else _run_libraries)(quick, store, json)
        return
    studies = {"--diagnosis": diagnosis, "--activations": activations, "--own": own, "--functions": functions}
    given = {"--seed": seed, "--networks": networks, "--figure": figure, "--html": html}
    if chosen := [name for name, is_chosen in studies.items() if is_chosen]:
        _run_other_study(chosen, quick, {name: value for name, value in given.items() if value}, json)
        return
    size: dict[str, Any] = dict(QUICK) if quick else {}
    if networks is not None:
        size["networks"] = networks
    start_jax()
    with progress_bar() as progress:
        found = run_study(seed=seed, progress=progress, **size)
    if figure is not None:
        write_whole(figure, png(detection_power(found)))
    if html is not None:
        from harness.pages.command_pages import study_page

        options.write_text(html, study_page(found, size))
    show(zoo_document(found), zoo_table(found), json)


def _measure_diagnosis(quick: bool, seed: int, progress: Progress) -> tuple[dict[str, Any], str]:
    from harness.study.diagnosis_study import QUICK, diagnosis_document, run_diagnosis_study
    from harness.study.study_tables import diagnosis_table

    found = run_diagnosis_study(seed=seed, progress=progress, **(QUICK if quick else {}))
    return diagnosis_document(found), diagnosis_table(found)


def _measure_activations(quick: bool, seed: int, progress: Progress) -> tuple[dict[str, Any], str]:
    from harness.study.activation_study import QUICK, activation_document, run_activation_study
    from harness.study.study_tables import activation_table

    found = run_activation_study(**(QUICK if quick else {}), seed=seed, progress=progress)
    return activation_document(found), activation_table(found)


def _measure_own(quick: bool, _: int, progress: Progress) -> tuple[dict[str, Any], str]:
    from harness.study.gradient_study import QUICK_STEP, STEP, run_gradient_study
    from harness.study.study_tables import gradient_table
    from harness.study.trials import trial_document

    found = run_gradient_study(progress, step=QUICK_STEP if quick else STEP, peers=() if quick else None)
    return trial_document(found, "diagnosis"), gradient_table(found)


def _measure_functions(quick: bool, _: int, progress: Progress) -> tuple[dict[str, Any], str]:
    from harness.study.rule_study import QUICK_STEP, run_rule_study
    from harness.study.study_tables import rule_table
    from harness.study.trials import trial_document

    found = run_rule_study(progress, step=QUICK_STEP if quick else 1, peers=() if quick else None)
    return trial_document(found, "named"), rule_table(found)


def _run_libraries(quick: bool, store: Path | None, json: bool) -> None:
    """The study of libraries that are built on JAX."""
    start_jax()
    from harness.study.library_study import QUICK_STEP, run_library_study
    from harness.study.study_tables import library_table
    from harness.study.trials import trial_document

    with progress_bar() as progress:
        found = run_library_study(progress, step=QUICK_STEP if quick else 1, store=store)
    show(trial_document(found, "named"), library_table(found), json)


def _run_operators(quick: bool, store: Path | None, json: bool) -> None:
    """The study of PyTorch's operators."""
    from torch.autograd import gradcheck, gradgradcheck  # pyright: ignore[reportMissingImports]

    from harness.drop_in import torch
    from harness.study.checkers import HARNESS
    from harness.study.operator_study import QUICK_SAMPLES, QUICK_STEP, OperatorChecker, run_operator_study
    from harness.study.study_tables import operator_table
    from harness.study.trials import trial_document

    checkers = {
        HARNESS: OperatorChecker(torch.gradcheck, torch.gradgradcheck),
        "torch gradcheck": OperatorChecker(gradcheck, gradgradcheck),
    }
    size = {"step": QUICK_STEP, "samples": QUICK_SAMPLES} if quick else {}
    with progress_bar() as progress:
        found = run_operator_study(checkers, progress, store=store, **size)
    show(trial_document(found, "decided"), operator_table(found), json)


SEEDED = {"--diagnosis": _measure_diagnosis, "--activations": _measure_activations}
OTHERS = SEEDED | {"--own": _measure_own, "--functions": _measure_functions}
"""The other studies by option: each returns its document, and its table as text."""


def _run_other_study(chosen: list[str], quick: bool, given: dict[str, Any], json: bool) -> None:
    """Run another study than the main one. A second study, and options that would change nothing, are refused."""
    name, *more = chosen
    takes = "--quick, --seed and --json" if name in SEEDED else "--quick and --json"
    unused = [*more, *(other for other in given if other != "--seed" or name not in SEEDED)]
    if unused:
        raise ValueError(f"{name} is a study of its own: it takes {takes}, but not {', '.join(unused)}")
    start_jax()
    with progress_bar() as progress:
        document, text = OTHERS[name](quick, given.get("--seed", 0), progress)
    show(document, text, json)


def audit(
    library: Annotated[list[str] | None, options.value("NAME", WHICH)] = None,
    only: Annotated[list[str] | None, options.value("NAME", ONLY)] = None,
    markdown: Annotated[Path | None, options.file_to_write("Write the result as a page of Markdown.")] = None,
    json: options.Json = False,
) -> None:
    """True errors of the derivative rules that the installed JAX, optax, PyTorch and SciPy ship, worst first."""
    from harness.audit.audit_page import as_page
    from harness.audit.rule_audit import LIBRARIES, audit_rules

    start_jax()
    with progress_bar() as progress:
        found = audit_rules(library or LIBRARIES, only or (), progress)
    if markdown is not None:
        options.write_text(markdown, as_page(found))
    show(found.to_dict(), found, json)
    raise typer.Exit(0)
