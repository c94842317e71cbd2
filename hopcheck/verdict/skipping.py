"""--skip CODE[=object]: findings left out on purpose, and shown as such (pure).

What follows from such a finding alone goes with it, but never what the requests themselves showed:
a step is not made green that failed before our eyes. Nor does a consequence become a root cause by
its cause being left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hopcheck.model import Finding, Step
from hopcheck.verdict.cause import last_resorts


def matches(finding: Finding, rules: Sequence[str]) -> bool:
    """Whether a rule "CODE" or "CODE=object" means the finding.

    The object is NAME, NAMESPACE/NAME or "Kind NAMESPACE/NAME"; * and ? stand for any characters.
    """
    ref = finding.object
    full = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    for rule in rules:
        code, _, pattern = rule.partition("=")
        if code.upper() == finding.code and (
            not pattern or any(fnmatchcase(name, pattern) for name in (ref.name, full, str(ref)))
        ):
            return True
    return False


def leave_out(
    findings: Sequence[Finding], rules: Sequence[str]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """(kept, left out) of findings whose causes are attributed; the order stays."""
    hidden = {finding.id for finding in findings if matches(finding, rules)}
    if not hidden:
        return tuple(findings), ()
    while True:
        following = {
            finding.id
            for finding in findings
            if finding.id not in hidden
            and finding.step is not Step.REQUEST
            and finding.caused_by
            and set(finding.caused_by) <= hidden
        }
        if not following:
            break
        hidden |= following
    kept = [finding for finding in findings if finding.id not in hidden]
    left_out = tuple(finding for finding in findings if finding.id in hidden)
    return last_resorts(kept), left_out
