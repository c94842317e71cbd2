"""Targets of one group that lead to different entryPoints: a share of the requests goes astray."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import Finding, ObjectRef
from hopcheck.scene.scene import Scene, ServicePort, meta

if TYPE_CHECKING:
    from hopcheck.steps.target_health.groups import Group


def all_ports(scene: Scene) -> list[ServicePort]:
    """The ports of every Service of the host's Traefik."""
    return scene.ports_of(scene.instance) if scene.instance is not None else scene.ports


def judge(scene: Scene, group: Group) -> list[Finding]:
    """Targets of one group that lead to another entryPoint than the group's others."""
    service, wanted = scene.traefik_service, scene.wanted_port(scene.target.scheme)
    entries = {
        p.node_port: p.entry_point.name for p in all_ports(scene) if p.node_port and p.entry_point
    }
    ports = [int((d.get("Target") or {}).get("Port") or 0) for d in group.described]
    known = [(port, entries[port]) for port in ports if port in entries]
    if service is None or wanted is None or wanted.entry_point is None:
        return []
    right = [port for port, entry in known if entry == wanted.entry_point.name]
    others = sorted({port for port, entry in known if entry != wanted.entry_point.name})
    if not right:
        return []  # all of them: the listener's fault, or another scheme's group
    namespace, name = meta(service).get("namespace"), meta(service).get("name")
    return [
        make(
            "TGT014",
            group.ref,
            variant="entry",
            tg=group.name,
            tg_arn=group.arn,
            target_port=port,
            service=f"{namespace}/{name}",
            node_ports=listing(sorted(set(right))),
            wanted=wanted.entry_point.name,
            wanted_port=right[0],
            ns=namespace,
            svc=name,
            count=ports.count(port),
            total=len(ports),
            share=group.share * ports.count(port) / len(ports),
            related=(
                *(
                    ObjectRef("Target", f"{d['Target'].get('Id')}:{port}")
                    for d in group.described
                    if (d.get("Target") or {}).get("Port") == port
                ),
                ObjectRef("Service", str(name), namespace),
            ),
        )
        for port in others
    ]
