"""Check the gradient of anybody's own function, with nothing but its values, and JAX where a JAX cost is given.

No bound can be derived for formulas that nobody shows, so error bars are measured: the noise of the cost
(`harness.checks.functions.cost_noise`), and the truncation of a difference from differences at other widths. What looks
wrong at one step is tried again with smaller ones, so that neither a kink nor a strong curvature within one stencil
raises an alarm. What an error has to be small against is the largest derivative in its block, at θ or one step away,
and never the cost: beside a large constant nothing is decided that the constant hides.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.tolerances import (
    ALL_COORDINATES,
    ENTRIES_MOVED,
    GRADIENT_ROUNDINGS,
    GROUPED,
    GROUPS,
    MEANINGLESS,
    NEGLIGIBLE,
    SINGLED_OUT,
)
from harness.checks.functions.cost_differences import CALLS_A_LINE, Differences, Group
from harness.checks.functions.cost_noise import KEPT, Answers, Measuring, ask_again, ask_twice, holds_float32, steps_for
from harness.checks.functions.cost_probe import Budget, Probes
from harness.checks.functions.function_subject import FunctionGradient
from harness.checks.functions.step_sizes import size_of
from harness.checks.functions.user_function import UsersFunction, gradient_function, with_arguments
from harness.progress import Progress, bar_after
from harness.sources.process_state import KeptSettings
from harness.verdict.comparison import Answer, Block, Pair, compare
from harness.verdict.consensus import Consensus, find_consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from harness.wording import first_few
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

YOURS, DIFFERENCES, REFERENCE, ALONG = "fun", "finite-difference", "jax", "random directions"

PATIENCE = 2.0
"""Seconds until a terminal shows how far the check is."""

LOST_DIGITS = 1e-6
"""A derivative that scatters by more than this share of itself has lost digits, which is worth a note."""


def check_gradient(
    fun: Callable[..., Any],
    theta: Any,
    reference: Callable[..., Any] | None = None,
    *,
    gradient: Callable[..., Any] | None = None,
    jac: Callable[..., Any] | bool | None = None,
    args: Any = (),
    has_aux: bool = False,
    budget: int | float | None = None,
) -> Report:
    """Is the gradient that `fun` answers the derivative of the cost that it answers?

    Parameters
    ----------
    fun : callable
        ``fun(theta) -> (cost, gradient)``, the gradient laid out like θ. Every call gets a fresh θ. The cost alone,
        where the gradient is given apart, or is to be autograd's of PyTorch: where θ is a module, or tensors that
        require a gradient.
    theta : array, number or tree
        NumPy, JAX or torch arrays of any shape in float64, float32 or float16; any nesting of dicts, lists, tuples,
        NamedTuples and dataclasses with such arrays as leaves; a `torch.nn.Module`. Names, functions, masks and frozen
        parameters among the leaves are held as they are. A module, and each `torch.nn.Parameter`, is set in place for a
        call and put back after it.
    reference : callable, optional
        ``reference(theta) -> cost``, traceable by JAX: a second opinion on cost and gradient.
    gradient : callable, optional
        ``gradient(theta) -> gradient``: then differences of the cost call `fun` alone.
    jac : callable or True, optional
        As for `scipy.optimize.minimize`: another name for `gradient`, or True where `fun` answers both.
    args : tuple, optional
        More arguments of `fun`, `gradient` and `reference`.
    has_aux : bool
        `fun` answers ``((cost, aux), gradient)``, as JAX has it, or ``(cost, gradient, aux)``; where the gradient is
        apart, ``(cost, aux)``, and `gradient` may answer ``(gradient, aux)``.
    budget : int or float, optional
        What the check may take: so many calls of `fun` (an int), or so many seconds (a float). With less, coordinates
        are taken together in larger groups, and errors have to be larger to be seen; the report says how large.

    Returns
    -------
    Report
        The source "fun" is yours. "inconclusive" where differences cannot tell: at a kink, or where the cost is noise.

    Raises
    ------
    ValueError, TypeError
        When `theta` or what `fun` answers has no proper shape, or holds something else than real numbers. What `fun`
        raises at θ is handed on; what it raises beside θ is taken for the edge of its domain, unless it is of the kind
        that only bugs raise, such as TypeError.
    """
    started = time.perf_counter()
    allowance, args = Budget(budget), args if isinstance(args, tuple) else (args,)
    cost_of_reference = with_arguments(reference, args)
    users = UsersFunction(fun, theta, gradient_function(gradient, jac), args, has_aux)
    with KeptSettings() as settings:
        answers = ask_twice(users)
        if changed := settings.so_far():  # by fun alone, for nothing of the harness has been imported meanwhile
            answers = answers._replace(note=f"changes {first_few(changed, shown=3)}; put back after the check")
        if not answers.repeats:
            return _not_repeatable(users, answers, started)
        with bar_after(PATIENCE) as progress:
            return _Check(users, answers, allowance, progress).report(cost_of_reference, started)


def _not_repeatable(users: UsersFunction, answers: Answers, started: float) -> Report:
    """Nothing can be said of a gradient that is another every time, and nothing more is asked."""
    zeros = np.zeros_like(answers.gradient)
    told = {"misconduct": answers.misconduct, "notes": answers.note}
    yours = Answer(YOURS, YOURS, answers.cost, 0.0, answers.gradient, zeros, **told)
    subject = FunctionGradient(users.layout, users.theta, {}, 0, yours, zeros)
    report = judge(subject, [yours], [], [], Consensus((YOURS,), (), tie=False), started=started)
    return replace(report, reasons=tuple(f"{YOURS} {what}" for what in answers.misconduct))  # more sources are no help


class _Check:
    """One check: what was measured, what differences found, and what follows.

    Parameters
    ----------
    users, answers : the function, and what it answered at θ
    budget : what the check may take
    progress : told of the lines looked at
    """

    def __init__(self, users: UsersFunction, answers: Answers, budget: Budget, progress: Progress):
        self.users, self.layout = users, users.layout
        self.probes = Probes(users, answers.cost, budget, progress)
        self.measuring = Measuring(users, self.probes)
        self.noise = self.measuring.noise(answers.cost)
        if self.probes.unit > UNIT_ROUNDOFF["float64"] and (wide := self.probes.in_float64()):
            self.probes = wide
            self.noise = Measuring(users, wide).noise(wide.base)
        gradient = answers.gradient
        self.scatter = self.measuring.gradient_scatter(gradient)
        error = self.measuring.gradient_error(self.measuring.gradient, gradient, self.scatter)
        misconduct = answers.misconduct
        if kept := ask_again(users, answers, self.measuring.away()):
            misconduct = (*misconduct, kept)
        near = self.noise.near
        precision = "float32" if self.measuring.is_float32(self.measuring.gradient, gradient) else users.precision
        told = {"misconduct": misconduct, "notes": answers.note}
        self.yours = Answer(YOURS, YOURS, answers.cost, near, gradient, error, precision, **told)
        self.differences = Differences(self.probes, self.noise, self.yours, steps_for(self.probes.unit))

    def report(self, reference: Callable | None, started: float) -> Report:
        groups = self._look()
        others = [] if reference is None else [self._second_opinion(reference)]
        for other in others:
            self._single_out_rivals(other)
        scale, differenced = self._scale(), self._differenced()
        if self._sits_on_ties(compare(self.yours, differenced, self.layout.blocks)):
            differenced = self._differenced()  # now as kinks
        pairs = [self._with_groups(self._compared(self.yours, differenced, scale), groups, scale)]
        for other in others:
            rivals = ((self._but_for_kinks(self.yours), self._but_for_kinks(other)), (differenced, other))
            pairs += [self._compared(*pair, self._claimed_scale(other, scale)) for pair in rivals]
        ends = self._ends(groups, pairs[0])
        if not any(pair.disagrees for pair in (*pairs, *ends)) and self.measuring.keeps_its_gradient(
            self.yours.gradient
        ):
            self.yours = replace(self.yours, misconduct=(*self.yours.misconduct, KEPT))
        answers = [self.yours, differenced, *others]
        subject = self._subject(groups, pairs[0])
        return judge(subject, answers, pairs, ends, _consensus(answers, pairs, ends), started=started)

    # -- what is looked at ---------------------------------------------------------------------------------------------

    def _look(self) -> list[Group]:
        """Difference every coordinate, by itself or in a group; single out what is at odds in a group."""
        size, differences = self.layout.size, self.differences
        lines = self.probes.budget.calls_left() / CALLS_A_LINE
        if size <= min(ALL_COORDINATES, lines):
            differences.one_by_one(np.arange(size))
            return []
        count = int(max(min(GROUPS, max(ENTRIES_MOVED / size, 50.0), 0.5 * lines, 0.5 * size), 1.0))
        groups = differences.in_groups(list(differences.parts(count)))
        wrong = [group for group in groups if group.is_wrong]
        if wrong:
            differences.single_out(wrong)
        differences.one_by_one(differences.largest_of_blocks()[:count])
        return groups

    def _differenced(self) -> Answer:
        derivatives, errors = np.full(self.layout.size, np.nan), np.full(self.layout.size, np.inf)
        for i, found in self.differences.found.items():
            derivatives[i], errors[i] = found.derivative, found.error
        cost, near = self.yours.cost, self.noise.near
        return Answer(DIFFERENCES, DIFFERENCES, cost, near, derivatives, errors, self.users.precision, oracle=True)

    def _second_opinion(self, reference: Callable) -> Answer:
        import jax
        import jax.numpy as jnp

        from reference.jax_settings import fixed_settings

        users = self.users
        with fixed_settings():
            program = jax.jit(jax.value_and_grad(lambda flat: reference(users.layout.rebuild_with(jnp.asarray, flat))))
            cost, gradient = program(jnp.asarray(users.theta))
            error = self.measuring.gradient_error(
                lambda flat: np.asarray(program(jnp.asarray(flat))[1]), np.asarray(gradient)
            )
            cost_error = self.noise.near + GRADIENT_ROUNDINGS * users.unit * abs(float(cost))
            return Answer(REFERENCE, REFERENCE, float(cost), cost_error, np.asarray(gradient), error)

    def _single_out_rivals(self, other: Answer) -> None:
        """Look at coordinates in which a second opinion is at odds with yours by themselves: it may be a kink."""
        rivals = np.flatnonzero(compare(self.yours, other, self.layout.blocks).at_odds)
        self.differences.one_by_one(np.random.default_rng(0).permutation(rivals)[:SINGLED_OUT])

    def _but_for_kinks(self, answer: Answer) -> Answer:
        """The answer beside another: at a kink, each may be that of either side."""
        error = answer.error.copy()
        for i, found in self.differences.found.items():
            if np.isfinite(found.slopes).all():
                error[i] += 0.5 * abs(found.slopes[1] - found.slopes[0])
        return replace(answer, error=error)

    def _sits_on_ties(self, pair: Pair) -> bool:
        """Whether something at odds is a convention, since the cost has partial derivatives there, and no gradient."""
        if not pair.at_odds.any() or self.differences.is_differentiable():
            return False
        return self.differences.open_between(np.flatnonzero(pair.at_odds), *self.measuring.range_nearby())

    # -- what it says --------------------------------------------------------------------------------------------------

    def _scale(self) -> np.ndarray:
        """What errors have to be small against: the largest derivative of the block, at θ or one step away.

        A block whose derivatives are all far below the largest elsewhere is compared with that. Where every cost that
        was asked for is the same to the last bit, 1 takes its place, since there is nothing else.
        """
        sizes = np.zeros(self.layout.size)
        for block in self.layout.blocks:
            found = [self.differences.found[i] for i in block.indices.tolist() if i in self.differences.found]
            sizes[block.indices] = size_of(found)
        largest = float(sizes.max(initial=0.0))
        return np.maximum(sizes, NEGLIGIBLE * largest) if largest > 0.0 or not self._is_flat() else np.ones_like(sizes)

    def _compared(self, a: Answer, b: Answer, scale: np.ndarray) -> Pair:
        pair = compare(a, b, self.layout.blocks, self.measuring.ordinary, scale)
        if b.name == DIFFERENCES:  # which have their costs from you
            return replace(pair, cost_at_odds=False, cost_decided=bool(np.isfinite(a.cost)))
        return pair

    def _is_flat(self) -> bool:
        return all(each.derivative == 0.0 for each in self.differences.found.values())

    def _claimed_scale(self, other: Answer, scale: np.ndarray) -> np.ndarray:
        claimed = [self.layout.largest_in_block(answer.gradient) for answer in (self.yours, other)]
        return np.maximum(scale, np.minimum(*claimed))

    @np.errstate(all="ignore")
    def _with_groups(self, pair: Pair, groups: Sequence[Group], scale: np.ndarray) -> Pair:
        """The pair, with what groups say of coordinates that were not looked at by themselves.

        An error in one coordinate of a group that is not at odds would have to be below what the group allows.
        """
        decided, applies = pair.decided.copy(), pair.applies.copy()
        difference, allowed = pair.difference.copy(), pair.allowed.copy()
        enough = max(GROUPED, MEANINGLESS[self.yours.precision])
        for group in groups:
            alone = np.array([i not in self.differences.found for i in group.indices.tolist()])
            if group.is_wrong or not np.isfinite(group.allowed) or not alone.any():
                continue
            i, moves = group.indices[alone], np.abs(group.direction[alone])
            difference[i], allowed[i] = group.off / moves, group.allowed / moves
            decided[i], applies[i] = allowed[i] <= enough * scale[i], True
        return replace(pair, decided=decided, applies=applies, difference=difference, allowed=allowed)

    def _ends(self, groups: Sequence[Group], pair: Pair) -> list[Pair]:
        """The groups at odds in which no coordinate was found to be."""
        left = [group for group in groups if group.is_wrong and not pair.at_odds[group.indices].any()]
        if not left:
            return []
        slopes, errors = (np.array(column) for column in zip(*((g.slope, g.error) for g in left)))
        found, theirs = (np.array(column) for column in zip(*((g.found.derivative, g.found.error) for g in left)))
        claimed = replace(self.yours, gradient=slopes, error=errors)
        ends = Answer(ALONG, DIFFERENCES, self.yours.cost, self.noise.near, found, theirs)
        return [compare(claimed, ends, [Block("directions", np.arange(len(left)))])]

    def _subject(self, groups: Sequence[Group], pair: Pair) -> FunctionGradient:
        alone = len(self.differences.found)
        covered = np.zeros(self.layout.size, bool)
        covered[list(self.differences.found)] = True
        for group in groups:
            covered[group.indices] = True
        notes = list(self.users.notes)
        if alone < covered.sum():
            notes.append(f"differenced one by one: {alone:,} of the coordinates, the others in {len(groups):,} groups")
        if not covered.all():
            left = np.flatnonzero(~covered)
            where = first_few(left.tolist(), 3, name=self.layout.label)
            notes.append(f"left unexamined when the budget of {self.probes.budget} was spent: {where}")
        coarse = self.yours.precision == "float32" and self.layout.unit_roundoff <= UNIT_ROUNDOFF["float64"]
        if coarse and holds_float32(self.yours.gradient):
            notes.append(
                "the gradient holds float32 numbers, so that errors below a few of their roundings do not show"
            )
        if self.probes.unit > UNIT_ROUNDOFF["float64"] and not pair.decided.all():
            notes.append(
                "the cost was differenced in float32, which shows little: let fun compute in float64 (module.double())"
            )
        if self.probes.raised:
            kinds = ", ".join(f"{kind} {count} times" for kind, count in self.probes.raised.items())
            notes.append(f"beside θ, fun raised {kinds}: those points lie beyond the edge of its domain")
        lost = (self.scatter > LOST_DIGITS * np.abs(self.yours.gradient)) & (self.scatter > 8.0 * self.yours.error)
        lost &= pair.decided & ~pair.at_odds & (self.yours.gradient != 0.0)
        if lost.any() and not self.yours.misconduct:
            where = first_few(np.flatnonzero(lost).tolist(), 3, name=self.layout.label)
            notes.append(f"the gradient loses digits in {where}: it scatters when θ moves by a rounding")
        return FunctionGradient(
            self.layout,
            self.users.theta,
            self.differences.found,
            int(covered.sum()),
            self.yours,
            self.scatter,
            notes,
            np.where(pair.applies & pair.decided & ~pair.at_odds, pair.allowed, np.nan),
        )


def _consensus(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Differences of your own cost are the measure of your gradient; a reference is one more voice.

    A reference with another cost is a reference for something else: then nobody can be named.
    """
    names = tuple(answer.name for answer in answers)
    if not any(pair.disagrees for pair in (*pairs, *ends)):
        return Consensus(names, (), tie=False)
    if REFERENCE not in names:
        return Consensus((DIFFERENCES,), (YOURS,), tie=False)
    if any(pair.cost_at_odds for pair in pairs):
        return Consensus((), (), tie=True)
    if not any(REFERENCE in (pair.first, pair.second) and pair.disagrees for pair in pairs):  # as at a kink
        return Consensus((DIFFERENCES, REFERENCE), (YOURS,), tie=False)
    return find_consensus({name: name for name in names} | {ALONG: DIFFERENCES}, [*pairs, *ends])
