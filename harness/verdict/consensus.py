"""Which of several answers is the odd one out, by a policy: who is certain, who votes, who is blamed in a tie."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from harness.verdict.comparison import Pair


class Consensus(NamedTuple):
    """The answers with the most independent support, and those that contradict them."""

    members: tuple[str, ...]
    outliers: tuple[str, ...]
    tie: bool


class Vote(Enum):
    """When the answers that no judge refutes vote on who is right."""

    ALWAYS = "always"
    UNLESS_REFUTED = "only where no judge refutes anybody"
    NEVER = "never: a disagreement without a judge is a tie"


@dataclass(frozen=True)
class Policy:
    """How a kind of check settles a disagreement."""

    # Answers that are certain wherever they have a derivative. Whoever contradicts one is an outlier, and no vote
    # changes that. A judge need not be among the voters.
    judges: Sequence[str] = ()
    vote: Vote = Vote.ALWAYS
    # the outlier where a vote ends in a tie and this answer is part of a disagreement: that which is being checked
    blamed_in_tie: str = ""


MAJORITY = Policy()  # nobody is certain: the largest number of families decides, and a tie names nobody


def find_consensus(
    # The family of each answer, in order. Answers of one family share their author's mistakes, and one vote.
    families: Mapping[str, str],
    pairs: Sequence[Pair],  # answers compared, with each other and with judges
    policy: Policy = MAJORITY,
) -> Consensus:
    """Who stands and who is the odd one out."""
    disagreeing = [pair for pair in pairs if pair.disagrees]
    # judges come first: whoever contradicts one is refuted, and has no vote among those that still stand
    contradict_judge = {pair.other(judge) for pair in disagreeing for judge in policy.judges} - {"", *policy.judges}
    refuted = tuple(name for name in families if name in contradict_judge)
    standing = {name: family for name, family in families.items() if name not in contradict_judge}
    disputes = [pair for pair in disagreeing if pair.first in standing and pair.second in standing]
    compared = {name for pair in pairs for name in (pair.first, pair.second)}
    judges_without_vote = [judge for judge in policy.judges if judge in compared and judge not in families]
    if not disputes or (refuted and policy.vote != Vote.ALWAYS):
        return Consensus((*standing, *judges_without_vote), refuted, tie=False)
    if policy.vote == Vote.NEVER:
        return Consensus((), (), tie=True)
    found = _majority(standing, disputes)
    # two against two: what is being checked has to be right by more than its own word
    if found.tie and any(pair.other(policy.blamed_in_tie) for pair in disputes):
        blamed = policy.blamed_in_tie
        found = Consensus(tuple(name for name in standing if name != blamed), (blamed,), tie=False)
    return Consensus((*found.members, *judges_without_vote), (*found.outliers, *refuted), found.tie)


def in_question(names: Set[str], consensus: Consensus, pairs: Sequence[Pair]) -> set[str]:
    """Of these answers, those by which a disagreement is settled: accused, part of a tie, or alone against an outlier.

    The names are of answers that did not come from what a caller runs. Those in question have to be computed again as a
    caller would, for nobody is accused on other evidence.
    """
    disagreeing = [pair for pair in pairs if pair.disagrees]
    found = {name for name in names for pair in disagreeing if pair.other(name) and consensus.tie}
    for outlier in consensus.outliers:
        against = {pair.other(outlier) for pair in disagreeing} - {""}
        found |= {outlier} & names | (against if against <= names else set())
    return found


def _majority(families: Mapping[str, str], disagreeing: Iterable[Pair]) -> Consensus:
    """The largest group without a disagreement in it, counted in families; several such groups are a tie.

    A family with a member that contradicts a group has no vote for it. Suppose that loop contradicts vectorized (of its
    own family), jax and differences. Then {vectorized, jax, differences} has two votes, and none from vectorized.
    """
    rivals: dict[str, set[str]] = {name: set() for name in families}
    for pair in disagreeing:
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
