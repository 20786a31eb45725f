"""Which of several answers is the odd one out: the largest group without a disagreement stands, counted in families."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.verdict.comparison import Pair


class Consensus(NamedTuple):
    """The answers that hold together with the most independent support, and those at odds with them."""

    members: tuple[str, ...]
    outliers: tuple[str, ...]
    tie: bool


def find_consensus(families: dict[str, str], pairs: Sequence[Pair]) -> Consensus:
    """The largest group without a disagreement in it, counted in families; two such groups are a tie, and named as one.

    Sources of one family share their author's bugs, so that their agreement is one vote, not two; and a family that
    has a member at odds with a group has no vote for it. Of loop and vectorized (one family), jax and differences, all
    at odds with loop alone, {vectorized, jax, differences} has two votes: that of vectorized is lost, because loop, its
    author's other work, objects.
    """
    rivals: dict[str, set[str]] = {name: set() for name in families}
    for pair in pairs:
        if pair.disagrees:
            rivals[pair.first].add(pair.second)
            rivals[pair.second].add(pair.first)

    def votes(group: frozenset[str]) -> int:
        divided = {families[name] for name in families if rivals[name] & group}
        return len({families[name] for name in group} - divided)

    support = {group: votes(group) for group in _largest_groups(rivals)}
    best = [group for group in support if support[group] == max(support.values())]
    if len(best) > 1:
        return Consensus((), (), tie=True)
    members = tuple(name for name in families if name in best[0])
    return Consensus(members, tuple(name for name in families if name not in members), tie=False)


def settled(
    families: dict[str, str], pairs: Sequence[Pair], judges: Sequence[str], refuted: Sequence[str]
) -> Consensus:
    """The consensus of those whom no judge refutes; a judge is certain, so that votes count for nothing against one."""
    standing = {name: family for name, family in families.items() if name not in refuted}
    among = [pair for pair in pairs if pair.first in standing and pair.second in standing]
    members, outliers, tie = find_consensus(standing, among)
    return Consensus((*members, *judges), (*outliers, *refuted), tie)


def _largest_groups(rivals: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups without rivals in them that nobody could join.

    Found name by name: a newcomer joins what each group is without the newcomer's rivals, and of all groups, the old
    ones included, those that are part of another are dropped.
    """
    groups: set[frozenset[str]] = {frozenset()}
    for name in rivals:
        groups |= {group - rivals[name] | {name} for group in groups}
        groups = {group for group in groups if not any(group < other for other in groups)}
    return groups
