"""Faults of Traefik's Service, pods, static configuration and rights."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults.gallery import DEGRADED, FROM_OUTSIDE, TRAEFIK_SERVICE, Expect, fault
from hopcheck.lab.topology import GATEWAY, TRAEFIK, TRAEFIK_PODS, traefik_rules

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab
    from hopcheck.lab.traefik import TraefikProcess

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


@fault("tsvc-no-nodeport", TRAEFIK_SERVICE, _service("SVC003"))
async def no_node_port(lab: Lab) -> None:
    """The Service is a LoadBalancer without nodePorts, and the targets are instances."""

    def edit(service: Obj) -> None:
        service["spec"]["type"] = "LoadBalancer"
        service["spec"]["allocateLoadBalancerNodePorts"] = False
        for port in service["spec"]["ports"]:
            port.pop("nodePort", None)

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)


@fault("tsvc-no-port", TRAEFIK_SERVICE, _service("SVC014"), exit_code=DEGRADED)
async def no_port(lab: Lab) -> None:
    """The Service lost its port websecure."""

    def edit(service: Obj) -> None:
        ports = service["spec"]["ports"]
        ports[:] = [port for port in ports if port["name"] != "websecure"]

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)


@fault("tsvc-targetport-swapped", TRAEFIK_SERVICE, _service("SVC005"), exit_code=DEGRADED)
async def target_port_swapped(lab: Lab) -> None:
    """The Service's port websecure leads to entryPoint web."""
    lab.store.patch(
        "services", GATEWAY, TRAEFIK, lambda o: _set_port(o, "websecure", targetPort="web")
    )


@fault("tsvc-etp-local-no-pod", TRAEFIK_SERVICE, _service("SVC006"))
async def local_no_pod(lab: Lab) -> None:
    """The externalTrafficPolicy is Local, and no target is a node with a Traefik pod."""

    def edit(service: Obj) -> None:
        service["spec"]["externalTrafficPolicy"] = "Local"

    lab.store.patch("services", GATEWAY, TRAEFIK, edit)
    serving = {pod.node.instance for pod in lab.plan.traefik}
    for group in lab.cloud.target_groups.values():
        group.targets = [one for one in group.targets if one.id not in serving]


async def _down(lab: Lab, change: Callable[[Obj], None]) -> None:
    for name in TRAEFIK_PODS:
        await lab.take_down(GATEWAY, name, lambda pod: change(pod["status"]))


def _waiting(status: Obj, reason: str, message: str, phase: str = "Pending") -> None:
    """A container that waits for `reason`, in the words of the kubelet."""
    one = status["containerStatuses"][0]
    one |= {"ready": False, "started": False, "lastState": {}}
    one["state"] = {"waiting": {"reason": reason, "message": message}}
    status["phase"] = phase
    for condition in status["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition |= {"status": "False", "reason": "ContainersNotReady"}
            condition["message"] = "containers with unready status: [traefik]"


def _unscheduled(status: Obj) -> None:
    message = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available"
    status.clear()
    status |= {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
        ],
    }


@fault("tpod-pending", TRAEFIK_SERVICE, _deployment("SVC007"))
async def pending(lab: Lab) -> None:
    """Traefik's pods find no node: Unschedulable."""
    await _down(lab, _unscheduled)


@fault("tpod-image", TRAEFIK_SERVICE, _deployment("SVC007"))
async def image(lab: Lab) -> None:
    """The image of Traefik's pods cannot be pulled."""
    words = 'Back-off pulling image "docker.io/traefik:v3.7.155": not found'
    await _down(lab, lambda status: _waiting(status, "ImagePullBackOff", words))


@fault("tpod-crash", TRAEFIK_SERVICE, _deployment("SVC007"))
async def crash(lab: Lab) -> None:
    """Traefik's pods are killed for want of memory, again and again."""

    def change(status: Obj) -> None:
        _waiting(status, "CrashLoopBackOff", "back-off 5m0s restarting failed container", "Running")
        ended = {"exitCode": 137, "reason": "OOMKilled"}
        status["containerStatuses"][0]["lastState"] = {"terminated": ended}

    await _down(lab, change)


@fault("tpod-bind", TRAEFIK_SERVICE, _deployment("SVC008"))
async def bind(lab: Lab) -> None:
    """Two entryPoints have the same address: Traefik ends at once."""

    def change(args: list[str]) -> list[str]:
        web = next(one for one in args if one.startswith("--entryPoints.web.address="))
        return [*args, web.replace(".web.", ".websecondary.")]

    await lab.set_traefik_args(change)


@fault("tpod-notready", TRAEFIK_SERVICE, _deployment("SVC010"))
async def not_ready(lab: Lab) -> None:
    """The readiness probe asks for /ping, and --ping is missing."""
    await lab.set_traefik_args(lambda args: [one for one in args if one != "--ping=true"])


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


async def _without(lab: Lab, resource: str) -> None:
    """Take one resource out of the rules of Traefik's ClusterRole."""
    rules = [
        rule | {"resources": [one for one in rule["resources"] if one != resource]}
        for rule in traefik_rules(lab.version)
    ]
    await lab.set_traefik_rules([rule for rule in rules if rule["resources"]])


@fault("tpod-rbac-secrets", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac_secrets(lab: Lab) -> None:
    """Traefik's ClusterRole lacks secrets."""
    await _without(lab, "secrets")


@fault("tpod-rbac-ingressclasses", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac_classes(lab: Lab) -> None:
    """Traefik's ClusterRole lacks ingressclasses."""
    await _without(lab, "ingressclasses")


@fault("tpod-rbac-ingresses", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac_ingresses(lab: Lab) -> None:
    """Traefik's ClusterRole lacks ingresses."""
    await _without(lab, "ingresses")


@fault("tpod-rbac-services", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac_services(lab: Lab) -> None:
    """Traefik's ClusterRole lacks services."""
    await _without(lab, "services")


@fault("tpod-rbac-nodes", TRAEFIK_SERVICE, _deployment("SVC011"))
async def rbac_nodes(lab: Lab) -> None:
    """Traefik's ClusterRole lacks nodes, which its NodePort look-ups need."""
    await _without(lab, "nodes")


@fault("tpod-provider-off", TRAEFIK_SERVICE, _deployment("SVC012"))
async def provider_off(lab: Lab) -> None:
    """The provider for Ingresses is not enabled."""
    await lab.set_traefik_args(lambda args: [one for one in args if "kubernetesingress" not in one])


@fault("tpod-token", TRAEFIK_SERVICE, _deployment("SVC011"))
async def token_expired(lab: Lab) -> None:
    """The token with which Traefik asks the API server has expired: Unauthorized."""
    expired = lab.directory / "expired.token"
    expired.write_text("expired")
    paths = {str(lab.directory / f"{pod}.token") for pod in TRAEFIK_PODS}

    def change(args: list[str]) -> list[str]:
        parts = [one.partition("=") for one in args]
        return [f"{k}={expired}" if v in paths else f"{k}{e}{v}" for k, e, v in parts]

    await lab.set_traefik_args(change)


@fault(
    "tpod-entrypoint-loopback",
    TRAEFIK_SERVICE,
    _deployment("SVC005"),
    exit_code=DEGRADED,
    asked=FROM_OUTSIDE,
)
async def entrypoint_loopback(lab: Lab) -> None:
    """EntryPoint websecure listens on the loopback address of its pod alone."""
    declared = "--entryPoints.websecure.address="

    def change(address: str, args: list[str]) -> list[str]:
        return [re.sub(f"^({declared})[^:]+", rf"\g<1>{address}", one) for one in args]

    for pod in TRAEFIK_PODS:

        def edit(obj: Obj) -> None:
            container = obj["spec"]["containers"][0]
            container["args"] = change("127.0.0.1", container["args"])

        lab.store.patch("pods", GATEWAY, pod, edit)
    # The pods' own addresses are loopback addresses here: others that nobody asks stand for it.
    elsewhere = {pod.address: lab.address(88 + n) for n, pod in enumerate(lab.plan.traefik)}

    def bind(process: TraefikProcess) -> None:
        process.args = change(elsewhere[process.address], process.args)

    await lab.set_traefik_process(bind)


@fault("tpod-scaled-down", TRAEFIK_SERVICE, _deployment("SVC015"))
async def scaled_down(lab: Lab) -> None:
    """Traefik's Deployment is scaled to zero."""

    def edit(deployment: Obj) -> None:
        deployment["spec"]["replicas"] = 0

    lab.store.patch("deployments", GATEWAY, TRAEFIK, edit)
    for pod in TRAEFIK_PODS:
        await lab.stop_traefik(pod)


@fault("tpod-entrypoint-typo", TRAEFIK_SERVICE, _deployment("SVC008"))
async def entrypoint_typo(lab: Lab) -> None:
    """The argument that defines entryPoint websecure is misspelled: Traefik does not start."""
    right, wrong = "--entryPoints.websecure.address", "--entryPoint.websecure.address"
    await lab.set_traefik_args(lambda args: [one.replace(right, wrong) for one in args])


@fault(
    "np-closes-traefik",
    TRAEFIK_SERVICE,
    Expect("SVC016", "NetworkPolicy", "default-deny", GATEWAY),
)
async def policy_closes(lab: Lab) -> None:
    """A NetworkPolicy of Traefik's namespace admits nobody: what comes by the nodes is dropped."""
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "default-deny", "namespace": GATEWAY},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }
    )
    lab.nodes.dark.update(node.address for node in lab.plan.nodes)
