"""Faults of Traefik's Service, pods, static configuration and rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults.gallery import DEGRADED, TRAEFIK_SERVICE, Expect, fault
from hopcheck.lab.topology import GATEWAY, TRAEFIK, traefik_rules

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]


def _service(code: str) -> Expect:
    return Expect(code, "Service", TRAEFIK, GATEWAY)


def _deployment(code: str) -> Expect:
    return Expect(code, "Deployment", TRAEFIK, GATEWAY)


def _set_port(service: Obj, name: str, **values: object) -> None:
    for port in service["spec"]["ports"]:
        if port["name"] == name:
            port.update(values)


@fault("tsvc-missing", TRAEFIK_SERVICE, _service("SVC001"))
async def missing(lab: Lab) -> None:
    """Traefik's Service is deleted."""
    lab.store.delete("services", GATEWAY, TRAEFIK)


@fault("tsvc-selector", TRAEFIK_SERVICE, _service("SVC002"))
async def selector(lab: Lab) -> None:
    """The selector of Traefik's Service matches no pod."""

    def edit(service: Obj) -> None:
        service["spec"]["selector"] = {"app": "traefik-ingress"}

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)


@fault("tsvc-clusterip", TRAEFIK_SERVICE, _service("SVC003"))
async def cluster_ip(lab: Lab) -> None:
    """Traefik's Service is of type ClusterIP: there are no nodePorts."""

    def edit(service: Obj) -> None:
        service["spec"]["type"] = "ClusterIP"
        service["spec"].pop("externalTrafficPolicy", None)
        for port in service["spec"]["ports"]:
            port.pop("nodePort", None)

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)


@fault("tsvc-targetport-name", TRAEFIK_SERVICE, _service("SVC004"), exit_code=DEGRADED)
async def target_port_name(lab: Lab) -> None:
    """The Service's port websecure names a container port that does not exist."""
    lab.store.patch(
        "services", GATEWAY, TRAEFIK, lambda o: _set_port(o, "websecure", targetPort="https")
    )


@fault("tsvc-targetport-num", TRAEFIK_SERVICE, _service("SVC005"), exit_code=DEGRADED)
async def target_port_number(lab: Lab) -> None:
    """The Service's port websecure leads to a port that is no entryPoint's."""
    lab.store.patch(
        "services", GATEWAY, TRAEFIK, lambda o: _set_port(o, "websecure", targetPort=8444)
    )


@fault("tpod-static-bad", TRAEFIK_SERVICE, _deployment("SVC008"))
async def static_bad(lab: Lab) -> None:
    """An argument that Traefik does not know: it ends at once, CrashLoopBackOff."""
    await lab.set_traefik_args(lambda args: [*args, "--providers.kubernetesingres=true"])


@fault("tpod-rbac", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac(lab: Lab) -> None:
    """Traefik's ClusterRole lacks endpointslices, as one written for v3.0 does."""
    endpoints = (["endpointslices"], ["endpoints"])  # whichever this version reads
    rules = [rule for rule in traefik_rules(lab.version) if rule["resources"] not in endpoints]
    await lab.set_traefik_rules(rules)


@fault("tpod-provider-off", TRAEFIK_SERVICE, _deployment("SVC012"))
async def provider_off(lab: Lab) -> None:
    """The provider for Ingresses is not enabled."""
    await lab.set_traefik_args(lambda args: [one for one in args if "kubernetesingress" not in one])
