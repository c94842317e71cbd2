"""Traefik's pods themselves: do they run, with a configuration that they accept, and rights."""

from __future__ import annotations

import re
from typing import Any

from hopcheck.behaviour.aws.loadbalancer import instance_of_node
from hopcheck.behaviour.aws.security_groups import open_to_all
from hopcheck.behaviour.kubernetes import pod_state as pod_states
from hopcheck.behaviour.traefik.discovery import Instance, traefik_container
from hopcheck.behaviour.traefik.logs import (
    after_last_reload,
    excerpt,
    forbidden_resources,
    moment,
    overtaken,
    unauthenticated_kinds,
)
from hopcheck.behaviour.traefik.route import Excluded
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence, Finding, LogLine, Obj, ObjectRef, Replica, Severity
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import outcome_of
from hopcheck.scene.scene import Scene, meta, spec

# Words of a Traefik that ends at start (seen on 3.7.15; v2 says "Error while building …").
_STATIC = re.compile(
    r"(field not found, node:|failed to decode configuration|"
    r"command traefik error|unknown flag|cannot unmarshal|invalid value)",
    re.IGNORECASE,
)
_BIND = re.compile(
    r"(?:entrypoint|entryPoint) (?P<entry>[\w-]+).*?(?:address already in use|permission denied|"
    r"cannot assign requested address)",
    re.IGNORECASE,
)
# A list that is refused is tried again within a minute (client-go's reflector; the provider's own
# retries within a minute and a half), and refused in the log each time.
_REPEATS_S = 180.0


def judge(scene: Scene, instance: Instance) -> list[Finding]:
    """Pods, static configuration, provider and rights of one installation."""
    found = _pods(scene, instance)
    if any(finding.code in ("SVC008", "SVC007") and finding.share == 1 for finding in found):
        return found
    return [*found, *_rights(scene, instance), *_provider(scene, instance), *_exposed(scene)]


def _replica(scene: Scene, pod: str) -> Replica | None:
    return next((r for r in scene.snapshot.traefik.replicas if r.pod == pod), None)


def _ref(instance: Instance) -> ObjectRef:
    return ObjectRef(instance.kind, instance.name, instance.namespace)


def _lines(replica: Replica | None) -> list[LogLine]:
    if replica is None:
        return []
    return [*(replica.previous_log.or_else(()) or ()), *(replica.log.or_else(()) or ())]


def _pods(scene: Scene, instance: Instance) -> list[Finding]:
    current = [p for p in instance.pods if not pod_states.terminal(p) and not pod_states.leaving(p)]
    troubled = pod_states.lasting(current, scene.snapshot.taken_at)
    if not troubled:
        return []
    pod, first = next(((p, s) for p, s in troubled if s.down), troubled[0])
    share = len(troubled) / len(current)
    severity = None if share == 1 else Severity.WARNING
    ns, name = instance.namespace, first.name
    found: list[Finding] = []
    refused = _refused(scene, instance, name)
    if refused is not None and share == 1:
        found.append(refused)
    ping = _ping(scene, instance, pod, first)
    if ping is not None and share == 1:
        found.append(ping)
    found.append(
        make(
            "SVC007",
            _ref(instance),
            severity=severity,
            count=len(troubled),
            total=len(current),
            reason=first.words,
            pod=name,
            advice=first.advice,
            ns=ns,
            share=share,
            related=(ObjectRef("Pod", name, ns),),
        )
    )
    return found


def _refused(scene: Scene, instance: Instance, pod: str) -> Finding | None:
    """The words with which Traefik left, from the log of its last attempt."""
    lines = _lines(_replica(scene, pod))
    for line in reversed(lines):
        words = line.fields.get("error") or line.message or line.raw
        bind, static = _BIND.search(line.raw), _STATIC.search(line.raw)
        common: dict[str, Any] = {
            "error": words,
            "workload": f"{instance.namespace}/{instance.name}",
            "pod": pod,
            "ns": instance.namespace,
            "evidence": (Evidence(text("source", "log", pod=pod), *excerpt(lines, [line])),),
            "related": (ObjectRef("Pod", pod, instance.namespace),),
        }
        if bind is not None:
            return make(
                "SVC008",
                _ref(instance),
                variant="bind",
                flag=f"--entryPoints.{bind['entry']}.address",
                **common,
            )
        if static is not None:
            removed = _removed(lines) if "incompatible deprecated" in words else ""
            common["error"] = removed or words
            flag = _flag(scene, pod, removed.partition(" ")[0] or _node(line.raw))
            return make("SVC008", _ref(instance), flag=flag, **common)
    return None


def _removed(lines: list[LogLine]) -> str:
    """What Traefik says of a setting that v3 removed, before it leaves (pkg/cli/deprecation.go)."""
    said = [line.message for line in lines if "for Traefik to start" in line.message]
    return said[-1].partition("For more information")[0].strip().rstrip(".") if said else ""


_NODE = re.compile(r"node: ([\w.\[\]-]+)")


def _node(words: str) -> str:
    found = _NODE.search(words)
    return found[1] if found else ""


def _flag(scene: Scene, name: str, node: str) -> str:
    """The argument that the error names; the error's own word where no argument holds it."""
    if not node:
        return text("said", "error_names")
    pod: Obj = next((p for p in scene.pods if meta(p).get("name") == name), {})
    arguments = [str(a) for a in (traefik_container(pod) or {}).get("args") or ()]
    wanted = node.lower().rpartition(".")[2]
    return next((a for a in arguments if wanted in re.split(r"[.=]", a.lower().lstrip("-"))), node)


def _ping(scene: Scene, instance: Instance, pod: Obj, state: pod_states.PodState) -> Finding | None:
    if state.down:
        return None
    container = traefik_container(pod) or {}
    get = (container.get("readinessProbe") or {}).get("httpGet") or {}
    static = scene.static_of(pod)
    if not static.known or static.ping or not str(get.get("path", "")).endswith("/ping"):
        return None
    return make(
        "SVC010",
        _ref(instance),
        workload=f"{instance.namespace}/{instance.name}",
        path=get.get("path"),
        pod=state.name,
        ns=instance.namespace,
    )


def _delivered(replica: Replica) -> bool | None:
    """Whether a Kubernetes provider has delivered any router, by the API; None: not known."""
    if not replica.routers.seen:
        return None
    return any(str(r.get("provider", "")).startswith("kubernetes") for r in replica.routers.get())


def _repeated(scene: Scene, replica: Replica) -> list[LogLine]:
    """The lines that may still hold: an API server that has just started forbids everything.

    Past is what was not said again while the log went on, or before a configuration was applied.
    """
    log = replica.log.or_else(()) or ()
    metrics = replica.metrics.or_else({}) or {}
    times = [time for line in log if (time := moment(line.time or "")) is not None]
    end = max(times, default=None)
    kept = []
    for line in scene.shared.once(("now", replica.pod), lambda: after_last_reload(log)):
        written = moment(line.time or "")
        past = end is not None and written is not None and end - written > _REPEATS_S
        if not past and not overtaken(line, metrics, scene.static.throttle_s):
            kept.append(line)
    return kept


def _rights(scene: Scene, instance: Instance) -> list[Finding]:
    """Forbidden lists count where the provider delivers nothing, or requests fail, now."""
    for pod in instance.pods:
        replica = _replica(scene, str(meta(pod).get("name")))
        if replica is None:
            continue
        lines = _repeated(scene, replica)
        resources = sorted(forbidden_resources(lines))
        unknown = not resources
        resources = resources or sorted(unauthenticated_kinds(lines))
        if not resources or _delivered(replica):
            continue
        if _delivered(replica) is None and outcome_of(scene).succeeded:
            continue
        account = str(spec(pod).get("serviceAccountName") or "default")
        said = "failed to list" if unknown else "forbidden"
        proof = [line for line in lines if said in line.raw][-1:]
        return [
            make(
                "SVC011",
                _ref(instance),
                variant="unauthenticated" if unknown else None,
                account=f"{instance.namespace}/{account}",
                account_ns=instance.namespace,
                account_name=account,
                resources=listing(resources),
                first=resources[0],
                version=str(scene.version or "?"),
                pod=replica.pod,
                ns=instance.namespace,
                evidence=(Evidence(text("source", "log", pod=replica.pod), *excerpt(lines, proof)),)
                if proof
                else (),
                related=(ObjectRef("ServiceAccount", account, instance.namespace),),
            )
        ]
    return []


def _provider(scene: Scene, instance: Instance) -> list[Finding]:
    routing = routing_of(scene)
    static = routing.view.static
    if not static.known or routing.selection.winner is not None:
        return []
    for route in routing.selection.excluded:
        if any(why.reason is Excluded.PROVIDER_DISABLED for why in route.excluded):
            flag = "kubernetesingress" if route.kind == "Ingress" else "kubernetescrd"
            names = [
                name
                for name, on in (
                    ("kubernetesingress", static.ingress.enabled),
                    ("kubernetescrd", static.crd.enabled),
                    ("kubernetesgateway", static.gateway),
                    ("file", static.file_provider),
                )
                if on
            ]
            if len(route.excluded) > 1 or outcome_of(scene).succeeded:
                continue
            return [
                make(
                    "SVC012",
                    _ref(instance),
                    provider=flag,
                    flag=flag,
                    kind=route.kind,
                    route=f"{route.namespace}/{route.name}",
                    enabled=listing(names),
                    pod=str(meta(instance.pods[0])["name"]),
                    ns=instance.namespace,
                    related=(ObjectRef(route.kind, route.name, route.namespace),),
                )
            ]
    return []


def _exposed(scene: Scene) -> list[Finding]:
    """The dashboard or API without authentication on a nodePort that is exposed."""
    static, service = scene.static, scene.traefik_service
    if not static.known or not static.api_insecure or service is None:
        return []
    port = next(
        (
            p
            for p in scene.ports
            if p.entry_point is not None and p.entry_point.name == "traefik" and p.node_port
        ),
        None,
    )
    if port is None:
        return []
    severity = None
    public = [
        node
        for node in scene.kube.list("nodes").or_else(()) or ()
        if any(
            a.get("type") == "ExternalIP" for a in (node.get("status") or {}).get("addresses") or ()
        )
    ]
    if port.node_port in _fed_ports(scene):
        exposed = text("exposed", "balancer")
    elif public:
        ids = [instance for node in public if (instance := instance_of_node(node)) is not None]
        admitted = open_to_all(scene.aws, ids, int(port.node_port or 0))
        if admitted is False:
            return []
        exposed = text("exposed", "nodes", count=len(public))
        # A firewall that was not seen may stand before them.
        severity = None if admitted else Severity.INFO
    else:
        return []
    name, ns = str(meta(service)["name"]), meta(service).get("namespace")
    return [
        make(
            "SVC013",
            ObjectRef("Service", name, ns, "spec.ports"),
            severity=severity,
            what=text("exposed", "api"),
            port=port.node_port,
            exposed=exposed,
            ns=ns,
            svc=name,
        )
    ]


def _fed_ports(scene: Scene) -> set[int]:
    """Every port that a listener of the host's load balancer leads to."""
    if scene.balancer is None:
        return set()
    listeners = scene.aws.listeners.get(scene.balancer["LoadBalancerArn"])
    found: set[int] = set()
    for listener in (listeners.or_else(()) or ()) if listeners is not None else ():
        for forward in scene.forwards(listener):
            for described in scene.health(forward.target_group_arn).or_else(()) or ():
                port = (described.get("Target") or {}).get("Port")
                found |= {int(port)} if port else set()
    return found
