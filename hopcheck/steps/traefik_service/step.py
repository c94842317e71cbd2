"""Step 3: Traefik's Service, its pods, static configuration, providers and rights."""

from __future__ import annotations

from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes import pod_state as pod_states
from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import containers
from hopcheck.behaviour.traefik.discovery import Instance
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Gap, Judgement, Obj, ObjectRef, Severity, Step, Why
from hopcheck.scene.outcome import Producer, outcome_of, producer
from hopcheck.scene.scene import Scene, ServicePort, meta, pod_ready, spec
from hopcheck.steps.bounds import between_nodes_and_pods
from hopcheck.steps.rule import rule
from hopcheck.steps.traefik_service import entrance
from hopcheck.steps.traefik_service import pods as traefik_state


def judge(scene: Scene) -> Judgement:
    """Judge the Traefik installation that the host's requests reach."""
    listed = scene.kube.list("services")
    if not listed.seen and not scene.services:
        gap = Gap(
            "services",
            listed.why or Why.NOT_SELECTED,
            listed.detail,
            params={"party": "kubernetes"},
        )
        return Judgement(Step.TRAEFIK_SERVICE, gaps=(gap,))
    instance, service = scene.instance, scene.traefik_service
    if instance is None and service is None:
        return _nothing(scene)
    gaps: list[Gap] = []
    findings: list[Finding] = []
    if instance is None:
        gaps += _pods_unseen(scene, service)
    if service is None and instance is not None:
        findings += _no_service(scene, instance)
    if service is not None:
        findings += _service(scene, instance, service)
    if instance is not None:
        findings += traefik_state.judge(scene, instance)
    if instance is None and not gaps and service is not None and not findings:
        findings += _no_pods(scene, service)
    return Judgement(
        Step.TRAEFIK_SERVICE,
        tuple(findings),
        tuple(gaps),
        seen=True,
        facts=_facts(scene, instance, service),
    )


def service_ref(service: Obj, field: str | None = None) -> ObjectRef:
    """The report's name of a Service."""
    return ObjectRef("Service", str(meta(service)["name"]), meta(service).get("namespace"), field)


def instance_ref(instance: Instance) -> ObjectRef:
    """The report's name of a Traefik workload."""
    return ObjectRef(instance.kind, instance.name, instance.namespace)


def _full(service: Obj) -> str:
    return f"{meta(service).get('namespace')}/{meta(service).get('name')}"


def _pods_unseen(scene: Scene, service: Obj | None) -> list[Gap]:
    """A gap where pods could not be listed in the Service's namespace, or nowhere at all."""
    namespace = meta(service).get("namespace") if service is not None else None
    listed = scene.kube.list("pods", namespace)
    if service is None and any(
        key.partition("@")[0] == "pods" and one.seen for key, one in scene.kube.lists.items()
    ):
        return []
    if listed.seen:
        return []
    return [
        Gap(
            "traefik_pods",
            listed.why or Why.NOT_SELECTED,
            listed.detail,
            params={"party": "kubernetes"},
        )
    ]


def _nothing(scene: Scene) -> Judgement:
    """Neither pods nor Service: said as a fault only where everything could be seen."""
    everywhere = scene.kube.lists.get("pods")
    complete = everywhere is not None and everywhere.seen and not everywhere.truncated
    answered_by_traefik = any(
        c.seen and c.get().exchanges and producer(c.get().exchanges[-1]) is Producer.TRAEFIK
        for c in scene.snapshot.http.requests
    )
    if scene.kube.namespace is not None or not complete or answered_by_traefik:
        gap = Gap("traefik_not_found", Why.NOT_FOUND)
        return Judgement(Step.TRAEFIK_SERVICE, gaps=(gap,))
    if outcome_of(scene).succeeded:
        gap = Gap("traefik_not_found", Why.NOT_FOUND)
        return Judgement(Step.TRAEFIK_SERVICE, gaps=(gap,))
    detail = ""
    workloads = _empty_workloads(scene)
    ref = workloads[0] if workloads else ObjectRef("Deployment", "traefik")
    if workloads:
        detail = text("searched", "no_pod", what=ref)
    finding = make("SVC015", ref, searched=text("searched", "cluster"), detail=detail)
    return Judgement(Step.TRAEFIK_SERVICE, (finding,), seen=True)


def _empty_workloads(scene: Scene) -> list[ObjectRef]:
    found: list[ObjectRef] = []
    for key, listed in scene.kube.lists.items():
        kind = {"deployments": "Deployment", "daemonsets": "DaemonSet"}.get(key.partition("@")[0])
        if kind is None:
            continue
        found += [
            ObjectRef(kind, str(meta(obj)["name"]), meta(obj).get("namespace"))
            for obj in listed.or_else(()) or ()
            if "traefik" in str(meta(obj).get("name"))
        ]
    return found


def _no_pods(scene: Scene, service: Obj) -> list[Finding]:
    """The Service is there, pods could be listed, and none is Traefik's."""
    workloads = _empty_workloads(scene)
    ref = workloads[0] if workloads else service_ref(service)
    zero = text("searched", "zero", workload=ref) if _scaled_down(scene, ref) else ""
    return [
        make(
            "SVC015",
            ref,
            variant="no_pod",
            searched=text("searched", "namespace", name=meta(service).get("namespace")),
            detail=text("searched", "none_behind", service=_full(service)) + zero,
            related=(service_ref(service),),
        )
    ]


def _scaled_down(scene: Scene, ref: ObjectRef) -> bool:
    listed = scene.kube.list(f"{ref.kind.lower()}s", ref.namespace).or_else(()) or ()
    return any(meta(o).get("name") == ref.name and spec(o).get("replicas") == 0 for o in listed)


def _numbers(port: ServicePort) -> str:
    """As kubectl writes it, and where it leads: "443:30001 → websecure"."""
    return f"{port.port}" + (f":{port.node_port}" if port.node_port else "") + f" → {port.target}"


def _where(pod: Obj) -> str:
    """The pod's address and node, as far as it has them yet."""
    address, node = (pod.get("status") or {}).get("podIP"), spec(pod).get("nodeName")
    if address and node:
        return text("found", "pod", address=address, node=node)
    return str(address or node or "")


def _facts(scene: Scene, instance: Instance | None, service: Obj | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if service is not None:
        wanted = scene.wanted_port(scene.target.scheme)
        kind = str(spec(service).get("type") or "ClusterIP")
        facts |= {
            "traefik-service.label": _full(service),
            "traefik-service.detail": f"{kind}, {_numbers(wanted)}" if wanted else kind,
            "ports": [
                f"{port.name or port.port} {_numbers(port)}"
                + (
                    f" ({port.entry_point.name} {port.entry_point.address})"
                    if port.entry_point
                    else ""
                )
                for port in scene.ports
            ],
            "externalTrafficPolicy": spec(service).get("externalTrafficPolicy"),
        }
    elif instance is not None and scene.host_ports:
        facts |= {"traefik-service.label": "hostPort", "traefik-service.na": True}
    if instance is not None:
        ready = [pod for pod in instance.pods if pod_ready(pod)]
        facts |= {
            "traefik-pod.label": f"{instance.kind} {instance.namespace}/{instance.name}",
            "traefik-pod.detail": text("found", "pods", ok=len(ready), total=len(instance.pods))
            + (f", Traefik {scene.version}" if scene.version else ""),
            "traefik-pod.members": [
                {
                    "name": str(meta(pod).get("name")),
                    "state": pod_states.state_of(pod).reason or "ready",
                    "detail": _where(pod),
                }
                for pod in instance.pods
            ],
            "entryPoints": {
                name: entry.address for name, entry in scene.static.entry_points.items()
            },
        }
    return facts


# --- the Service


def _no_service(scene: Scene, instance: Instance) -> list[Finding]:
    if scene.host_ports or outcome_of(scene).succeeded:
        return []
    names = listing((str(meta(pod)["name"]) for pod in instance.pods), 2)
    wanted = scene.target_ports
    detail = text("searched", "targets", ports=listing(sorted(wanted))) if wanted else ""
    ref = ObjectRef("Service", instance.name, instance.namespace)
    return [
        make(
            "SVC001",
            ref,
            pods=names,
            ns=instance.namespace,
            detail=detail,
            related=(instance_ref(instance),),
        )
    ]


def _service(scene: Scene, instance: Instance | None, service: Obj) -> list[Finding]:
    pods = list(instance.pods) if instance is not None else []
    selector = spec(service).get("selector")
    made = outcome_of(scene)
    if made.made and made.succeeded == made.made:
        # Whatever its ports and labels are, every request arrives, by it or past it.
        return between_nodes_and_pods(scene, service)
    if pods and selector and not any(selects(service, pod) for pod in pods):
        return [_selector(service, selector, pods, instance)]
    found = _type(scene, service)
    if found:
        return found
    found = _ports(scene, service)
    if not found:
        found = _local(scene, instance, service)
    return (
        found
        or entrance.judge(scene, service, _used_port(scene))
        or between_nodes_and_pods(scene, service)
    )


def _selector(
    service: Obj, selector: dict[str, Any], pods: list[Obj], instance: Instance | None
) -> Finding:
    labels = sorted((meta(pods[0]).get("labels") or {}).items())
    shown = ",".join(f"{k}={v}" for k, v in labels if not k.endswith("-hash"))
    return make(
        "SVC002",
        service_ref(service, "spec.selector"),
        service=_full(service),
        selector=",".join(f"{k}={v}" for k, v in sorted(selector.items())),
        near=text(
            "near",
            "pods",
            count=len(pods),
            labels=shown,
            names=listing((meta(p)["name"] for p in pods), 2),
        ),
        labels=shown,
        ns=meta(service).get("namespace"),
        svc=meta(service)["name"],
        related=(instance_ref(instance),) if instance else (),
    )


def _targets_are_nodes(scene: Scene) -> bool:
    """Whether the host's target groups hold nodes, so that a nodePort is needed."""
    if scene.balancer is None:
        return False
    listener = scene.listener(scene.balancer, scene.target.port)
    for forward in scene.forwards(listener) if listener else ():
        for described in scene.health(forward.target_group_arn).or_else(()) or ():
            ident = str((described.get("Target") or {}).get("Id"))
            if ident.startswith("i-") or ident in scene.node_ids:
                return True
    return False


def _type(scene: Scene, service: Obj) -> list[Finding]:
    kind = spec(service).get("type") or "ClusterIP"
    wanted = scene.wanted_port(scene.target.scheme)
    lacking = wanted is not None and wanted.node_port is None
    if scene.host_ports or not lacking or outcome_of(scene).succeeded:
        return []
    if not _targets_are_nodes(scene):
        return []
    return [
        make(
            "SVC003",
            service_ref(service, "spec.type"),
            service=_full(service),
            type=kind,
            entry=(wanted.name or wanted.port) if wanted else "",
            ns=meta(service).get("namespace"),
            svc=meta(service)["name"],
            related=_groups(scene),
        )
    ]


def _groups(scene: Scene) -> tuple[ObjectRef, ...]:
    if scene.balancer is None:
        return ()
    listener = scene.listener(scene.balancer, scene.target.port)
    names = [
        scene.group(f.target_group_arn).get("TargetGroupName")
        for f in (scene.forwards(listener) if listener else ())
    ]
    return tuple(ObjectRef("TargetGroup", str(name)) for name in names if name)


def _used_port(scene: Scene) -> ServicePort | None:
    """The Service port that requests take: by the targets' port, else by the scheme."""
    for port in scene.ports:
        if port.node_port in scene.target_ports:
            return port
    return scene.wanted_port(scene.target.scheme)


def _ports(scene: Scene, service: Obj) -> list[Finding]:
    ns, svc = meta(service).get("namespace"), meta(service)["name"]
    selector = ",".join(
        f"{k}={v}" for k, v in sorted((spec(service).get("selector") or {}).items())
    )
    used = _used_port(scene)
    target = scene.target
    related = (instance_ref(scene.instance),) if scene.instance else ()
    if used is None:
        if outcome_of(scene).succeeded or not scene.ports:
            return []
        shown = listing(f"{p.name or '-'} {p.port}" for p in scene.ports)
        return [
            make(
                "SVC014",
                service_ref(service, "spec.ports"),
                service=_full(service),
                scheme=target.scheme,
                ports=shown,
                port=target.port,
                wanted="websecure" if target.scheme == "https" else "web",
                ns=ns,
                svc=svc,
            )
        ]
    pods = list(scene.instance.pods) if scene.instance else []
    if used.container_port is None and used.protocol == "TCP" and pods:
        names = listing(
            sorted(
                {
                    str(p.get("name"))
                    for pod in pods
                    for c in containers(pod)
                    for p in c.get("ports") or ()
                    if p.get("name")
                }
            )
        )
        return [
            make(
                "SVC004",
                service_ref(service, "spec.ports"),
                service=_full(service),
                port=used.port,
                target=used.target,
                names=names,
                ns=ns,
                svc=svc,
                selector=selector,
                related=related,
            )
        ]
    if not scene.static.known or outcome_of(scene).succeeded:
        return []
    return _entry_point(scene, service, used, selector, related)


def _entry_point(
    scene: Scene, service: Obj, used: ServicePort, selector: str, related: tuple[ObjectRef, ...]
) -> list[Finding]:
    """The port must be an entryPoint's, and that of the scheme, as names and numbers tell."""
    entries = scene.static.entry_points
    shown = listing(f"{name} {entry.address}" for name, entry in entries.items())
    wanted = _meant(scene, used)
    found = ""
    if used.protocol != "TCP":
        found = text("leads", "protocol", protocol=used.protocol)
    elif used.entry_point is None:
        found = text("leads", "nowhere")
    elif wanted is not None and used.entry_point.name != wanted:
        found = text("leads", "elsewhere", name=used.entry_point.name)
    if not found:
        return []
    return [
        make(
            "SVC005",
            service_ref(service, "spec.ports"),
            service=_full(service),
            port=used.port,
            target=used.container_port or used.target,
            found=found,
            wanted=wanted or "websecure",
            entry_points=shown,
            ns=meta(service).get("namespace"),
            svc=meta(service)["name"],
            selector=selector,
            related=related,
        )
    ]


def _meant(scene: Scene, used: ServicePort) -> str | None:
    """The entryPoint that a Service port means by its name; by its number where that is usual."""
    entries = scene.static.entry_points
    if used.name in entries:
        return used.name
    usual = {80: ("web", "http"), 443: ("websecure", "https")}.get(used.port, ())
    return next((name for name in usual if name in entries), None)


def _local(scene: Scene, instance: Instance | None, service: Obj) -> list[Finding]:
    if spec(service).get("externalTrafficPolicy") != "Local" or instance is None:
        return []
    if scene.balancer is None:
        return []
    listener = scene.listener(scene.balancer, scene.target.port)
    nodes: dict[str, None] = {}
    for forward in scene.forwards(listener) if listener else ():
        for described in scene.health(forward.target_group_arn).or_else(()) or ():
            node = scene.node_ids.get(str((described.get("Target") or {}).get("Id")))
            if node is not None:
                nodes[str(meta(node).get("name"))] = None
    ready = [pod for pod in instance.pods if pod_ready(pod)]
    serving = {str(spec(pod).get("nodeName")) for pod in ready}
    if not nodes or not ready or serving & set(nodes):
        return []
    selector = ",".join(
        f"{k}={v}" for k, v in sorted((spec(service).get("selector") or {}).items())
    )
    return [
        make(
            "SVC006",
            service_ref(service, "spec.externalTrafficPolicy"),
            severity=Severity.ERROR,
            service=_full(service),
            pod_nodes=listing(sorted(serving)),
            target_nodes=listing(nodes),
            ns=meta(service).get("namespace"),
            svc=meta(service)["name"],
            selector=selector,
            related=(instance_ref(instance), *_groups(scene)),
        )
    ]


def _judged(scene: Scene) -> Judgement:
    return scene.once(Step.TRAEFIK_SERVICE, lambda: judge(scene))


def sight(scene: Scene) -> Judgement:
    """What was seen of the step."""
    return msgspec.structs.replace(_judged(scene), findings=())


@rule(reads=("dns", "aws", "kube", "traefik"), uses=("http",))
def the_service_leads_to_ready_pods(scene: Scene) -> tuple[Finding, ...]:
    """Traefik's Service leads to ready pods whose entryPoints listen where it sends."""
    return _judged(scene).findings


RULES = (the_service_leads_to_ready_pods,)
