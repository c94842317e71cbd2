"""Several Traefiks, and one that is being replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hopcheck.lab.setups.gallery import Obj, edit_ingress, flags, get, put, setup
from hopcheck.lab.topology import ENTRYPOINTS, GATEWAY, TRAEFIK, TRAEFIK_PODS, Pod

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab


FAMILY = "instances"


@setup(FAMILY, "roll-out")
async def roll_out(lab: Lab) -> None:
    """Traefik is being replaced: an old pod terminates, a new one starts, a job's is done."""
    found = get(lab, "pods", GATEWAY, TRAEFIK_PODS[0])

    def clone(name: str, hash_: str, **status: object) -> Obj:
        labels = found["metadata"]["labels"] | {"pod-template-hash": hash_}
        owner = [found["metadata"]["ownerReferences"][0] | {"name": f"traefik-{hash_}"}]
        meta = {"name": f"traefik-{hash_}-{name}", "namespace": GATEWAY, "labels": labels}
        return found | {"metadata": meta | {"ownerReferences": owner}, "status": status}

    starting = {
        "name": TRAEFIK,
        "ready": False,
        "state": {"waiting": {"reason": "ContainerCreating"}},
    }
    not_ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    lab.store.put(
        clone(
            "bxr4d",
            "66d5c8f9b7",
            phase="Pending",
            containerStatuses=[starting],
            conditions=[not_ready],
        )
    )
    lab.store.put(clone("k2lsq", "5f6b7c8d9e", phase="Succeeded", podIP=lab.address(58)))
    leaving = clone("t7wnv", "5f6b7c8d9e", phase="Running", podIP=lab.address(59),
                    conditions=[not_ready])  # fmt: skip
    leaving["metadata"]["deletionTimestamp"] = "2026-01-12T01:15:00Z"
    lab.store.put(leaving)


async def second_traefik(
    lab: Lab, name: str, change: Callable[[list[str]], list[str]], host: int = 52
) -> None:
    """Start another installation in the same namespace: its Deployment, pod and Service."""
    place = Pod(f"{name}-6c5d7f8b9-p4x2q", lab.address(host), lab.plan.nodes[2],
                {entry: ports[0] for entry, ports in ENTRYPOINTS.items()})  # fmt: skip
    found = get(lab, "pods", GATEWAY, TRAEFIK_PODS[0])
    labels = {"app": name, "pod-template-hash": "6c5d7f8b9"}
    owner = [found["metadata"]["ownerReferences"][0] | {"name": f"{name}-6c5d7f8b9"}]
    meta = {"name": place.name, "namespace": GATEWAY, "labels": labels, "ownerReferences": owner}
    spec = found["spec"] | {"nodeName": place.node.name}
    status = {"phase": "Running", "podIP": place.address, "hostIP": place.node.address}
    lab.store.put(found | {"metadata": meta, "spec": spec, "status": status})
    args = await lab.add_traefik(place, change)
    lab.store.patch(
        "pods", GATEWAY, place.name, lambda obj: obj["spec"]["containers"][0].update(args=args)
    )
    ports = (
        "ports: [{name: web, port: 80, targetPort: web, nodePort: 31080},"
        " {name: websecure, port: 443, targetPort: websecure, nodePort: 31443}]"
    )
    put(lab, "Service", name, f"{{type: NodePort, selector: {{app: {name}}}, {ports}}}", GATEWAY)


@setup(FAMILY, "two-instances")
async def two_instances(lab: Lab) -> None:
    """Another Traefik of another class, with broken Ingresses of its own; its name sorts first."""
    for name in ("internal", "edge"):
        put(lab, "IngressClass", name, "controller: traefik.io/ingress-controller")
    edit_ingress(lab, lambda obj: obj["spec"].update(ingressClassName="edge"))
    put(
        lab,
        "Ingress",
        "intranet",
        "{ingressClassName: internal, rules: [{host: wiki.example.com, http: {paths: [{path: /,"
        " pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]}",
    )
    await flags(lab, "--providers.kubernetesingress.ingressclass=edge")
    await second_traefik(
        lab,
        "a-traefik-internal",
        lambda a: [*a, "--providers.kubernetesingress.ingressclass=internal"],
    )


@setup(FAMILY, "second-instance-down")
async def second_down(lab: Lab) -> None:
    """Another Traefik cannot start at all: it serves other hosts."""
    await second_traefik(lab, "a-traefik-canary", lambda args: [*args, "--providers.nomad2=true"])


async def behind_the_same_service(lab: Lab, change: Callable[[list[str]], list[str]]) -> None:
    """Start a Deployment of Traefik beside the old one, both behind the same Service."""
    await second_traefik(lab, "a-traefik-next", change)

    def relabel(obj: Obj) -> None:
        obj["metadata"]["labels"]["app"] = "traefik"

    lab.store.patch("pods", GATEWAY, "a-traefik-next-6c5d7f8b9-p4x2q", relabel)
    lab.store.delete("services", GATEWAY, "a-traefik-next")


@setup(FAMILY, "two-deployments")
async def two_deployments(lab: Lab) -> None:
    """A new Deployment of Traefik beside the old one, both behind the same Service."""
    await behind_the_same_service(lab, lambda args: args)
