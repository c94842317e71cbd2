"""Broken things in the same cluster that have nothing to do with the host; the one who looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab.setups.gallery import put, setup
from hopcheck.lab.topology import APP, GATEWAY, HOST, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

FAMILY = "surroundings"
_BROKEN: tuple[tuple[str, str, dict[str, str], str | None], ...] = (
    # class, service, annotations, tls Secret
    ("traefik", "gone", {}, None),
    ("no-such-class", SERVICE, {}, None),
    ("traefik", SERVICE, {}, "gone-tls"),
    ("traefik", SERVICE, {"router.middlewares": "default-gone@kubernetescrd"}, None),
    ("traefik", SERVICE, {"router.entrypoints": "https"}, None),
    ("traefik", SERVICE, {"router.priority": "high"}, None),
    ("traefik", "nobody", {"router.tls.options": "default-gone@kubernetescrd"}, None),
)


@setup(FAMILY, "fifty-broken-ingresses")
async def fifty(lab: Lab) -> None:
    """Fifty broken Ingresses of other hosts: Services, classes, Secrets, middlewares, conflicts."""
    put(lab, "Service", "nobody", "{selector: {app: nobody}, ports: [{port: 80}]}")
    for number in range(50):
        kind, service, notes, secret = _BROKEN[number % len(_BROKEN)]
        # Hosts that read like ours, and every tenth twice with the same rule.
        host = f"myapp{number // 2 if number % 10 < 2 else number}.example.com"
        namespace = (APP, GATEWAY, "shop")[number % 3]
        tls = f"tls: [{{hosts: [{host}], secretName: {secret}}}]," if secret else ""
        put(
            lab, "Ingress", f"a-broken-{number}",
            f"{{ingressClassName: {kind}, {tls} rules: [{{host: {host}, http: {{paths: [{{path: /,"
            f" pathType: Prefix, backend: {{service: {{name: {service}, port:"
            " {number: 80}}}}]}}]}",
            namespace,
            annotations={f"traefik.ingress.kubernetes.io/{k}": v for k, v in notes.items()},
        )  # fmt: skip


@setup(FAMILY, "broken-routes")
async def broken_routes(lab: Lab) -> None:
    """Broken IngressRoutes, middlewares, TraefikServices and TLS options of other hosts."""
    put(lab, "Middleware", "a-broken", "basicAuth: {secret: gone}")
    put(lab, "Middleware", "a-plugin", "plugin: {no-such-plugin: {x: 1}}")
    put(lab, "TLSOption", "a-broken", "{minVersion: VersionTLS99, clientAuth: {secretNames: [x]}}")
    put(
        lab,
        "TraefikService",
        "a-loop",
        "weighted: {services: [{name: a-loop, kind: TraefikService}]}",
    )
    for number, match in enumerate(
        ("Host(`a.example.com`", "Host(`b.example.com`)", "Path(`/[`)", "Hostt(`c.example.com`)")
    ):
        put(
            lab, "IngressRoute", f"a-broken-{number}",
            f"{{entryPoints: [websecure], routes: [{{kind: Rule, match: '{match}', middlewares:"
            " [{name: a-broken}, {name: a-plugin}], services: [{name: a-loop, kind:"
            " TraefikService}]}], tls: {secretName: gone}}",
        )  # fmt: skip


@setup(FAMILY, "crashing-neighbours")
async def crashing(lab: Lab) -> None:
    """Sixty Services and two hundred pods of other namespaces, crashing, pending, evicted."""
    states = (
        ("Running", {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}),
        ("Pending", {"waiting": {"reason": "ImagePullBackOff"}}),
        ("Failed", {"terminated": {"reason": "Evicted", "exitCode": 137}}),
    )
    for number in range(200):
        space, (phase, state) = f"team-{number % 20}", states[number % 3]
        if number < 60:
            ports = "ports: [{name: websecure, port: 443}]"
            kind = ("ClusterIP", "NodePort")[number % 2]
            put(lab, "Service", "web", f"{{type: {kind}, selector: {{app: x}}, {ports}}}", space)
        container = {"name": "x", "ready": False, "restartCount": 99, "state": state}
        put(
            lab, "Pod", f"x-{number}", "containers: [{name: x, image: 'example/x:1'}]", space,
            labels={"app": "x"},
            status={"phase": phase, "containerStatuses": [container],
                    "conditions": [{"type": "Ready", "status": "False"}]},
        )  # fmt: skip


@setup(FAMILY, "sick-nodes")
async def sick_nodes(lab: Lab) -> None:
    """A cordoned node, one that is not ready, a Fargate node and a Windows node: no targets."""
    for number, (name, provider, ready) in enumerate(
        (
            ("fargate-ip-10-0-9-9", "aws:///ap-northeast-2a/5f0c-fargate-ip-10-0-9-9", "True"),
            ("windows-1", "aws:///ap-northeast-2c/i-0cccccccccccc0001", "True"),
            ("not-ready-1", "aws:///ap-northeast-2c/i-0cccccccccccc0002", "False"),
        )
    ):
        put(
            lab, "Node", name, f"{{providerID: '{provider}', unschedulable: true}}",
            status={"addresses": [{"type": "InternalIP", "address": lab.address(80 + number)}],
                    "conditions": [{"type": "Ready", "status": ready}]},
        )  # fmt: skip


@setup(FAMILY, "other-gateways")
async def other_gateways(lab: Lab) -> None:
    """The Gateway API is used as well, for other hosts; its controller has not accepted them."""
    put(lab, "GatewayClass", "other", "controllerName: example.com/gateway")
    put(
        lab, "Gateway", "other",
        "{gatewayClassName: other, listeners: [{name: web, port: 80, protocol: HTTP}]}",
    )  # fmt: skip
    put(
        lab, "HTTPRoute", "other",
        "{parentRefs: [{name: other}], hostnames: [other.example.com],"
        " rules: [{backendRefs: [{name: gone, port: 80}]}]}",
    )  # fmt: skip


@setup(FAMILY, "look-alikes")
async def look_alikes(lab: Lab) -> None:
    """Things that carry Traefik's name and are none: a forward-auth, a mesh, an old Deployment."""
    for name, image in (
        ("traefik-forward-auth", "thomseddon/traefik-forward-auth:2"),
        ("a-traefik-certs-dumper", "ldez/traefik-certs-dumper:v2.10.0"),
        ("a-whoami", "traefik/whoami:v1.11"),
    ):
        put(
            lab,
            "Service",
            name,
            f"{{selector: {{app: {name}}}, ports: [{{name: web, port: 80}}]}}",
            GATEWAY,
        )
        put(
            lab, "Pod", name, f"containers: [{{name: x, image: '{image}'}}]", GATEWAY,
            labels={"app": name},
            status={"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
        )  # fmt: skip
    labels = "{app: traefik-v2}"
    put(
        lab, "Deployment", "traefik-v2",
        f"{{replicas: 0, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels:"
        f" {labels}}}, spec: {{containers: [{{name: traefik, image: 'traefik:v2.11'}}]}}}}}}",
        GATEWAY,
    )  # fmt: skip
    put(
        lab,
        "Service",
        "traefik-v2",
        "{type: NodePort, selector: {app: traefik-v2}, ports: [{name: websecure, port: 443}]}",
        GATEWAY,
    )


@setup(FAMILY, "outsider", without="direct")
async def outsider(_lab: Lab) -> None:
    """The healthy lab from a notebook: nothing behind the load balancer can be reached."""


@setup(
    FAMILY,
    "nothing-but-dns",
    "puuuuup",
    without="aws direct",
    options=("--kubeconfig", "/dev/null"),
)
async def nothing_else(_lab: Lab) -> None:
    """Neither a cluster nor AWS: names and requests only."""


@setup(FAMILY, "one-namespace", "ppuupup", options=("--namespace", APP), without="direct")
async def one_namespace(_lab: Lab) -> None:
    """No right to list in all namespaces, and Traefik lives in another one."""


_TOLD = ("--namespace", APP, "--traefik-service", f"{GATEWAY}/traefik")


@setup(FAMILY, "two-namespaces", options=_TOLD, without="direct")
async def two_namespaces(_lab: Lab) -> None:
    """The same, and Traefik's Service is named by an option."""


@setup(FAMILY, "traefik-service-option", options=("--traefik-service", f"{GATEWAY}/traefik"))
async def named_service(_lab: Lab) -> None:
    """Traefik's Service is named by an option."""


@setup(FAMILY, "upper-case", target=f"HTTPS://{HOST.upper()}./")
async def upper_case(_lab: Lab) -> None:
    """The host is written in capitals and with a trailing dot."""


@setup(FAMILY, "late-parties")
async def late(lab: Lab) -> None:
    """Every party answers four tenths of a second late."""
    lab.set_delay(0.4)


@setup(FAMILY, "traefik-outside", "ppuupup")
async def traefik_outside(lab: Lab) -> None:
    """Traefik does not run in the cluster: the load balancer leads to machines of its own."""
    from hopcheck.lab.setups.load_balancers import to_pods

    to_pods(lab)
    for resource, name in (("deployments", "traefik"), ("services", "traefik"),
                           ("replicasets", "traefik-7d9f8b6c5d")):  # fmt: skip
        lab.store.delete(resource, GATEWAY, name)
    for pod in lab.plan.traefik:
        lab.store.delete("pods", GATEWAY, pod.name)


@setup(FAMILY, "public-nodes")
async def public_nodes(lab: Lab) -> None:
    """The nodes have public addresses, as in public subnets; their security group admits no one."""
    from hopcheck.lab.cloud import admit, security_group
    from hopcheck.lab.settings import BALANCER_GROUP, NODE_GROUP

    for number, node in enumerate(lab.plan.nodes):
        address = {"type": "ExternalIP", "address": f"203.0.113.{number + 10}"}

        def add(obj: dict[str, Any], own: dict[str, str] = address) -> None:
            obj["status"]["addresses"].append(own)

        lab.store.patch("nodes", None, node.name, add)
    allowed = [admit((30000, 30001), cidrs=["0.0.0.0/0"]), admit(30900, groups=[BALANCER_GROUP])]
    lab.cloud.security_groups[1] = security_group(NODE_GROUP, "workers", allowed)


@setup(FAMILY, "fargate-node")
async def fargate_node(lab: Lab) -> None:
    """A Fargate node is ready, is no target, and forwards no nodePort."""
    put(
        lab, "Node", "fargate-ip-10-0-9-9", "{providerID: 'aws:///ap-northeast-2a/5f0c/fargate-9'}",
        labels={"eks.amazonaws.com/compute-type": "fargate"},
        status={"addresses": [{"type": "InternalIP", "address": lab.address(85)}],
                "conditions": [{"type": "Ready", "status": "True"}]},
    )  # fmt: skip


@setup(FAMILY, "three-hundred-ingresses")
async def three_hundred(lab: Lab) -> None:
    """Three hundred Ingresses of other hosts, and ours names no host."""
    from hopcheck.lab.setups.gallery import ingress_only

    ingress_only(lab, ("", "/", SERVICE))
    for number in range(300):
        put(
            lab, "Ingress", f"site-{number}",
            f"{{ingressClassName: traefik, rules: [{{host: s-{number}.example.com, http: {{paths:"
            " [{path: /, pathType: Prefix, backend: {service: {name: web, port:"
            " {number: 80}}}}]}}]}",
            f"team-{number % 20}",
        )  # fmt: skip
