"""harness study."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import progress_bar, show, start_jax
from harness.commands.options import Json, ReportFile, Seed, file_to_write, option, write_page

NETWORKS = "How many correct random networks; 10,000 unless given, or --quick."
ACTIVATIONS = "Instead, right and wrong records of activations, shown to the same checkers."
DIAGNOSIS = "Instead, how often the diagnosis names the right bug, of single ones and of pairs."

OWN = "Instead, functions as engineers write them, right and wrong, shown to check_gradient and its peers."
FUNCTIONS = "Instead, functions that JAX traces, with rules right and wrong, shown to check_derivatives and its peers."


def study(
    quick: Annotated[bool, typer.Option(help="One problem of each kind, and few random networks.")] = False,
    seed: Seed = 0,
    networks: Annotated[int | None, option("N", NETWORKS, min=1)] = None,
    figure: Annotated[Path | None, file_to_write("Where to save the figure (PNG).")] = None,
    diagnosis: Annotated[bool, typer.Option("--diagnosis", help=DIAGNOSIS)] = False,
    activations: Annotated[bool, typer.Option("--activations", help=ACTIVATIONS)] = False,
    own: Annotated[bool, typer.Option("--own", help=OWN)] = False,
    functions: Annotated[bool, typer.Option("--functions", help=FUNCTIONS)] = False,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """Detection power of this and other gradient checkers over the bug zoo."""
    from harness.figure_style import png
    from harness.files import write_whole
    from harness.study.detection_figure import detection_power
    from harness.study.study_tables import zoo_table
    from harness.study.zoo_study import QUICK, run_study, zoo_document

    asked = {"--diagnosis": diagnosis, "--activations": activations, "--own": own, "--functions": functions}
    given = {"--seed": seed, "--networks": networks, "--figure": figure, "--report": report}
    if chosen := [name for name, value in asked.items() if value]:
        _study_of_its_own(chosen, quick, {name: value for name, value in given.items() if value}, json)
        return
    size: dict[str, Any] = dict(QUICK) if quick else {}
    if networks is not None:
        size["networks"] = networks
    start_jax()
    with progress_bar() as progress:
        found = run_study(seed=seed, progress=progress, **size)
    if figure is not None:
        write_whole(figure, png(detection_power(found)))
    if report is not None:
        from harness.reports.commands import study_page

        write_page(report, study_page(found, size))
    show(zoo_document(found), zoo_table(found), json)


def _study_of_its_own(chosen: list[str], quick: bool, given: dict[str, Any], json: bool) -> None:
    """Run the study that is asked for; refuse a second one, and options that would change nothing."""
    (name, *more), seed = chosen, given.pop("--seed", 0)
    takes = "--quick, --seed and --json" if name in SEEDED else "--quick and --json"
    unused = [*more, *given, *(["--seed"] if seed and name not in SEEDED else [])]
    if unused:
        raise ValueError(f"{name} is a study of its own: it takes {takes}, but not {', '.join(unused)}")
    if name in SEEDED:
        SEEDED[name](quick, seed, json)
    else:
        OTHERS[name](quick, json)


def _study_diagnosis(quick: bool, seed: int, json: bool) -> None:
    from harness.study.diagnosis_study import QUICK, diagnosis_document, run_diagnosis_study
    from harness.study.study_tables import diagnosis_table

    start_jax()
    with progress_bar() as progress:
        found = run_diagnosis_study(seed=seed, progress=progress, **(QUICK if quick else {}))
    show(diagnosis_document(found), diagnosis_table(found), json)


def _study_activations(quick: bool, seed: int, json: bool) -> None:
    from harness.study.activation_study import QUICK, activation_document, run_activation_study
    from harness.study.study_tables import activation_table

    start_jax()
    with progress_bar() as progress:
        found = run_activation_study(**(QUICK if quick else {}), seed=seed, progress=progress)
    show(activation_document(found), activation_table(found), json)


def _study_own(quick: bool, json: bool) -> None:
    from harness.study.gradient_study import QUICK_STEP, STEP, run_gradient_study
    from harness.study.study_tables import gradient_table
    from harness.study.trials import trial_document

    start_jax()
    with progress_bar() as progress:
        found = run_gradient_study(progress, step=QUICK_STEP if quick else STEP, peers=() if quick else None)
    show(trial_document(found, "diagnosis"), gradient_table(found), json)


def _study_functions(quick: bool, json: bool) -> None:
    from harness.study.rule_study import QUICK_STEP, run_rule_study
    from harness.study.study_tables import rule_table
    from harness.study.trials import trial_document

    start_jax()
    with progress_bar() as progress:
        found = run_rule_study(progress, step=QUICK_STEP if quick else 1, peers=() if quick else None)
    show(trial_document(found, "named"), rule_table(found), json)


SEEDED = {"--diagnosis": _study_diagnosis, "--activations": _study_activations}
OTHERS = {"--own": _study_own, "--functions": _study_functions}
