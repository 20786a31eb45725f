"""harness study, audit, museum and explain: how well checkers detect bugs, how exact rules are, what messages mean."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.facts import message_table
from harness.facts.kinds import Kind
from harness.files import write_whole
from harness.progress import progress_bar
from reference.user_input import did_you_mean

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
    from harness.study.study_display import detection_power, trial_table
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
    options.write_page(html, lambda pages: pages.study_page(found, size))
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


# -- harness explain and museum ----------------------------------------------------------------------------------------

KIND = "A kind, as a message has it in brackets, such as kink; without it, all kinds are listed."
KINDS_PAGE = "Write a page (Markdown) of all kinds."
EXHIBIT = "An exhibit to visit; without it, all are listed."
MUSEUM_PAGE = "Visit all exhibits, and write one HTML page."


def explain(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help=KIND)] = None,
    markdown: Annotated[Path | None, options.file_to_write(KINDS_PAGE)] = None,
    json: options.Json = False,
) -> None:
    """What a message means, a common cause, an example, and what to do: for the kind in the message's brackets."""
    if markdown is not None:
        options.write_text(markdown, message_table.page())
    if kind is not None:
        found = _find_kind(kind)
        show({"kind": found} | message_table.explanations()[found]._asdict(), message_table.explain(found), json)
    elif markdown is None or json:
        show({"kinds": {kind: entry.meaning for kind, entry in message_table.explanations().items()}}, _listing(), json)


def _find_kind(name: str) -> Kind:
    """The kind of a name, also in brackets.

    Raises ValueError when there is no such kind.
    """
    name = name.strip("[]")
    if name not in [*Kind]:
        close = did_you_mean(name, map(str, Kind))
        raise ValueError(f"there is no kind {name!r}; `harness explain` lists all kinds{close}")
    return Kind(name)


def _listing() -> str:
    """All kinds by what they are about, each with its meaning."""
    width = max(map(len, Kind))
    parts = []
    for title, entries in message_table.sections().items():
        lines = [f"  {kind:{width}}  {entry.meaning}" for kind, entry in entries.items()]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts)


def museum(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=EXHIBIT)] = None,
    html: Annotated[Path | None, options.file_to_write(MUSEUM_PAGE)] = None,
    json: options.Json = False,
) -> None:
    """Wrong derivatives that libraries have shipped: what was wrong, and which checkers see it."""
    from harness.museum.exhibits import EXHIBITS
    from harness.museum.museum_tour import SCHEMA, is_installed, museum_page, visit, visit_text

    if name is None and html is None:
        listing = {exhibit: f"{what.project} {what.version}: {what.mistake}" for exhibit, what in EXHIBITS.items()}
        width = max(map(len, listing))
        text = "\n".join(f"{exhibit:{width}}  {what}" for exhibit, what in listing.items())
        show({"schema": SCHEMA, "exhibits": listing}, text, json)
        return
    if name is not None and name not in EXHIBITS:
        raise ValueError(f"there is no exhibit {name!r}; `harness museum` lists them{did_you_mean(name, EXHIBITS)}")
    names = [name] if name is not None else [each for each, what in EXHIBITS.items() if is_installed(what)]
    start_jax()
    visits: list[Any] = []
    with progress_bar() as progress, output_on_stderr():
        for number, each in enumerate(names):
            progress("exhibits", number, len(names))
            visits.append(visit(each))
    if html is not None:
        options.write_text(html, museum_page(visits))
        complain(f"The page is {html}.")
    text = "\n\n".join(map(visit_text, visits))
    show({"schema": SCHEMA, "visits": [each.to_dict() for each in visits]}, text, json)
