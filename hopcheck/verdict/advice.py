"""What a fix changes, and where: who keeps the object, and commands for this cluster alone."""

from __future__ import annotations

import shlex

from msgspec.structs import replace

from hopcheck.behaviour.kubernetes.managed import keepers
from hopcheck.catalogue.catalogue import text
from hopcheck.model import Finding, Snapshot


def advised(finding: Finding, snapshot: Snapshot) -> Finding:
    """The finding, and with its fix who keeps the object that it changes.

    What a controller makes, it makes anew: there its owner is named, and no command is given.
    """
    if not (finding.root_cause or finding.fix_commands):
        return finding
    told = list(keepers(snapshot, finding.params.get("edits", finding.object)))
    said = [
        text("managed", one.key, object=one.object, name=one.name, namespace=one.namespace)
        for one in told
    ]
    lasting = () if told and told[0].makes else finding.fix_commands
    return replace(
        finding,
        fix=" ".join([finding.fix, *said]),
        fix_commands=tuple(_there(line, snapshot) for line in lasting),
    )


def _there(line: str, snapshot: Snapshot) -> str:
    """A command for the cluster and region that were looked at: elsewhere it may hit a namesake."""
    tool, _, rest = line.partition(" ")
    kubectl, seen = tool == "kubectl", snapshot.vantage
    value = seen.kube_context if kubectl else seen.aws_region
    option = "--context" if kubectl else "--region"
    return f"{tool} {option} {shlex.quote(value)} {rest}" if value else line
