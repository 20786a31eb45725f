"""Gradient sources by what people write: a name, module:function, or a function of their own under any name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.named_objects import import_attribute
from harness.sources.source_table import FLOAT32_SOURCES, SOURCES, SPELLINGS, Source
from reference.measured import GradientSource
from reference.problem import Problem
from reference.user_input import did_you_mean, given, listed, printable

SMALL = 1000
"""Parameters up to which JAX's forward mode is a source by default. It computes the cost once more for each of them,
and the other sources decide as much in far less time."""

BUG = "bug:"  # the prefix of a bug's name

Sources = Iterable[str | Source] | Mapping[str, GradientSource] | Mapping[str, str]
"""What checks take: names, sources of the harness, or a mapping from any name to a source or to its name."""


def default_sources(problem: Problem) -> dict[str, Source]:
    """What `cross_check` runs by default: those that decide most, and forward mode for up to `SMALL` parameters."""
    names = ["loop", "vectorized", "jax", "finite-difference"]
    if problem.network.size <= SMALL:
        names.insert(3, "jax-forward")
    return {name: as_source(name, SOURCES[name]) for name in names}


def find_source(name: str) -> Source:
    """The gradient source that a name stands for.

    It is one of `SOURCES` or `FLOAT32_SOURCES`, ``bug:NAME`` for one of the bug zoo, or ``module:function`` for
    anybody's own; modules of the current folder are found, too. Raises ValueError or TypeError when there is no such
    source, or it cannot be called.
    """
    known = SOURCES | FLOAT32_SOURCES
    if not isinstance(name, str) or (name not in known and ":" not in name):
        if isinstance(name, str) and Path(name).suffix == ".py":
            raise ValueError(f"{given(name)} names a file; say which of its functions, as in {name}:backprop")
        close = did_you_mean(name, known)
        raise ValueError(f"unknown source {given(name)}; there are {SPELLINGS}{close}")
    if not name.startswith(BUG):
        return as_source(name, known[name] if name in known else import_attribute(name))
    from harness.sources.bug_zoo import BUGS

    bug = name.removeprefix(BUG)
    if bug not in BUGS:
        close = did_you_mean(bug, BUGS)
        raise ValueError(
            f"unknown source {given(name)}: there is no bug named {given(bug)}; `harness bugs` lists them{close}"
        )
    return BUGS[bug].source


def as_source(name: str, source: Any) -> Source:
    """A source, or the one of that name, under the name that somebody gives it.

    A function that is not the harness's has a family of its own, whatever its name. Raises ValueError or TypeError when
    there is no such source, or it cannot be called.
    """
    name = printable(name)
    if isinstance(source, str):
        source = find_source(source)
    if isinstance(source, Source):
        return source if source.name == name else replace(source, name=name)
    if not callable(source):
        raise TypeError(f"source {given(name)} must be callable as source(problem, theta), not {type(source).__name__}")
    # `SOURCES` is public, and may hold a plain function that somebody put there
    known = [record for record in (SOURCES | FLOAT32_SOURCES).values() if isinstance(record, Source)]
    for record in known:
        if record.runs(source):
            return replace(record, name=name)
    # a function that its author calls "jax" must not vote with the harness's JAX
    taken = name in {record.family for record in known}
    return Source(name, f"{name} of your own" if taken else name, source, needs_jax=True)  # it may


def named_sources(sources: Sources) -> dict[str, Source]:
    """The sources by name; one function under two names keeps the vote of the first.

    Raises ValueError or TypeError for a name that stands for no source, what cannot be called, or no name at all.
    """
    chosen: dict[str, Source] = {}
    if isinstance(sources, Mapping):
        if unnamed := [name for name in sources if not isinstance(name, str)]:
            raise TypeError(f"a source's name must be a string, not {given(unnamed[0])}")
        named = [as_source(str(name), source) for name, source in sources.items()]
        chosen = {source.name: source for source in named}
    elif isinstance(sources, str):
        chosen = {sources: find_source(sources)}
    else:
        each = listed("sources", sources, "names, or a mapping from name to source")
        found = [source if isinstance(source, Source) else find_source(source) for source in each]
        chosen = {source.name: source for source in found}
    if not chosen:
        raise ValueError(f"no sources were given; choose from {', '.join(SOURCES)}, or leave the choice to the harness")
    # one function under two names would be two families, and outvote another one
    for name, source in chosen.items():
        twin = next(other for other in chosen.values() if other.function == source.function)
        if twin.family != source.family:
            chosen[name] = replace(source, family=twin.family)
    return chosen


def may_need_jax(names: Iterable[str]) -> bool:
    """Whether JAX is to be started for sources of these names, none of which is looked up."""
    known = SOURCES | FLOAT32_SOURCES
    return any(name not in known or known[name].needs_jax for name in names)
