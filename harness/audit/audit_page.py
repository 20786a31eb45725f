"""An audit as a page of Markdown."""

from harness.audit.derivative_errors import ABSOLUTE, MET
from harness.audit.rule_audit import DERIVATIVES, REGIONS, Audit, Audited, Finding
from harness.wording import distinct_digits

HEAD = """# Audit of derivative rules

Made by `harness audit --markdown docs/audit.md` on {date} with
{versions}.

Each derivative is compared with the true one, as balls of arbitrary precision enclose it, at ordinary arguments and at
the edges of its domain, in float64; JAX's are compiled, and mapped over the arguments.
*Not finite*: NaN or infinity where the true derivative is finite. *Wrong*: off by more than {absolute:g} times
max(1, |derivative|). *No correct digit*, *half the digits lost*: within that, but of a derivative that float64 could
hold with all its digits. For each kind, the argument nearest to 1 in size is listed. Functions of matrices are
weighted sums of what they return, differentiated by each entry.

What is listed first does most harm. Many of these are known limits of a formula, and no more than a reminder.
"""

TABLE = """
## {title}

| library | derivative | harm | argument | answered | true |
|---|---|---|---|---|---|
"""

TITLES = {
    True: f"At 0, and from 1e-{MET:g} to 1e{MET:g} in size",
    False: "Further out",
}

REST = """
## True errors in ulps, the largest of each region

*Near 0* is |z| < 0.001, *ordinary* up to 3, *far out* beyond. A dash: the function has no such argument.

| library | derivative | near 0 | ordinary | far out |
|---|---|---|---|---|
"""


def as_page(audit: Audit) -> str:
    """The findings, most harmful first, and the errors of all rules."""
    versions = ", ".join(f"{name} {version}" for name, version in audit.versions.items())
    lines = [HEAD.format(date=audit.date, versions=versions, absolute=ABSOLUTE)]
    for is_met, title in TITLES.items():
        lines += [TABLE.format(title=title)]
        lines += [_finding(finding) for finding in audit.findings if finding.error.is_met == is_met]
    elementwise = sorted((rule for rule in audit.rules if "matrix" not in rule.function), key=_name)
    lines += [REST, *(_errors(rule) for rule in elementwise)]
    if audit.lacking:
        lines.append(f"\nNot there: {'; '.join(audit.lacking)}.\n")
    return "".join(lines)


def _name(rule: Audited) -> tuple[str, int, str]:
    return rule.function, rule.order, rule.library


def _derivative(rule: Audited) -> str:
    return f"{DERIVATIVES[rule.order]} of {rule.function}".replace("|", "\\|")


def _finding(finding: Finding) -> str:
    rule, error = finding.rule, finding.error
    numbers = " | ".join((finding.where, *distinct_digits(error.answered, error.true)))
    return f"| {rule.library} | {_derivative(rule)} | {error.harm} | {numbers} |\n"


def _errors(rule: Audited) -> str:
    ulps = (rule.ulps(region) for region in REGIONS)
    return f"| {rule.library} | {_derivative(rule)} | {' | '.join('–' if u is None else f'{u:.2g}' for u in ulps)} |\n"
