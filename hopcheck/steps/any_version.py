"""Traefik's version is not known: what all versions agree on is said, the rest is unknown.

Image tags such as "latest" or "v3.6", a digest, a fork's own counting, and an API that is off leave
it open. Then the rules are asked once for each behaviour that Traefik had from 2.11 to 3.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hopcheck.behaviour.traefik.version import possible_versions
from hopcheck.model import Finding, Gap, Judgement, ObjectRef, Severity, Step, Why
from hopcheck.scene.scene import Scene

# The steps whose rules read the route: the others have the same rules for every version.
DEPENDENT = frozenset({Step.TRAEFIK_SERVICE, Step.INGRESS, Step.ENDPOINTS, Step.TRAEFIK_LOGS})


def agreed(step: Step, scene: Scene, function: Callable[[Scene], Judgement]) -> Judgement:
    """What `function` says of the scene under every version that may be installed."""
    judged = function(scene)
    if step not in DEPENDENT:
        return judged
    versions = possible_versions(scene.version, scene.target.path)
    others = [function(scene.assuming(version)) for version in versions]
    if all(_alike(judged, other) for other in others):
        return judged
    common = _keys(judged.findings).intersection(*(_keys(other.findings) for other in others))
    return msgspec.structs.replace(
        judged,
        findings=tuple(f for f in judged.findings if (f.code, f.object) in common),
        gaps=(*judged.gaps, Gap("version", Why.NOT_NEEDED)),
        not_applicable=None,
    )


def _keys(findings: Iterable[Finding]) -> set[tuple[str, ObjectRef]]:
    return {(finding.code, finding.object) for finding in findings}


def _alike(one: Judgement, other: Judgement) -> bool:
    """Whether two judgements make the step the same: information may differ."""
    return (
        _keys(_grave(one)) == _keys(_grave(other))
        and one.seen == other.seen
        and (one.not_applicable is None) == (other.not_applicable is None)
        and [gap.what for gap in one.gaps if gap.required]
        == [gap.what for gap in other.gaps if gap.required]
    )


def _grave(judgement: Judgement) -> list[Finding]:
    return [f for f in judgement.findings if f.severity is not Severity.INFO]
