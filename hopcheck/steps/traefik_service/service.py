"""Traefik's Service: does it pick Traefik's pods, and do its ports lead to their entryPoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hopcheck.behaviour.kubernetes.graph import selects, workload_of
from hopcheck.behaviour.kubernetes.objects import named_port, node_ports_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Exchange, Finding, Hop, ObjectRef, Severity, Words
from hopcheck.model.kubernetes import Middleware, Pod, Service
from hopcheck.scene.chain import TraefikPort, listens_on
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.probes import knocks_at, probes_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.strangers import holder
from hopcheck.steps import fixing
from hopcheck.steps.bounds import between_nodes_and_pods
from hopcheck.steps.names import labels_as_text, ref_of, traefik_refs
from hopcheck.steps.network_policies import closed_entrance, may_turn_away
from hopcheck.steps.rule import SHOWN, WAY, rule
from hopcheck.verdict.contradicted import Claim, Claimed

_SILENT = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.RESET)


def in_sight(scene: Scene) -> bool:
    """Whether Services could be read at all."""
    return scene.kube.list("services").seen or bool(scene.services)


def service_of(scene: Scene) -> Service | None:
    """Traefik's Service, where Services could be read."""
    return scene.traefik_service if in_sight(scene) else None


def pods_of(scene: Scene) -> tuple[Pod, ...]:
    """The pods of the host's Traefik, where Services could be read."""
    return scene.instance.pods if scene.instance is not None and in_sight(scene) else ()


def workload_ref(pod: Pod) -> ObjectRef:
    """The report's name of the pod's workload; the pod's own where nothing owns it."""
    return ObjectRef(*workload_of(pod), pod.namespace)


def full_name(service: Service) -> str:
    """The Service as "namespace/name"."""
    return f"{service.namespace}/{service.name}"


def of_service(code: str, service: Service, field: str, **params: Any) -> Finding:
    """A finding about a field of Traefik's Service."""
    selector = labels_as_text(service.spec.selector)
    words: Words = {"service": full_name(service), "ns": service.namespace, "svc": service.name}
    return make(code, ref_of(service, field), selector=selector, **words, **params)


def _own_labels(pod: Pod) -> str:
    """A pod's labels but those of its roll-out and its number, as a selector would have them."""
    own = pod.metadata.labels.items()
    passing = ("-hash", "-generation", "/pod-name", "/pod-index")
    return labels_as_text({key: value for key, value in own if not key.endswith(passing)})


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def traefik_has_a_service_where_it_needs_one(scene: Scene) -> Iterator[Finding]:
    """A Service leads to Traefik's pods, or the targets reach them without one."""
    instance = scene.instance
    if instance is None or not in_sight(scene) or scene.traefik_service is not None:
        return
    if scene.host_ports or scene.reached:
        return
    wanted = scene.way.numbers if scene.way is not None else set()
    # A pod that no workload owns is named by its application.
    labels = instance.pods[0].metadata.labels
    own = labels.get("app.kubernetes.io/name") or labels.get("app")
    yield make(
        "SVC001",
        ObjectRef(
            "Service", own if instance.kind == "Pod" and own else instance.name, instance.namespace
        ),
        pods=listing((pod.name for pod in instance.pods), 2),
        labels=_own_labels(instance.pods[0]),
        ns=instance.namespace,
        detail=text("searched", "targets", ports=listing(sorted(wanted))) if wanted else "",
        related=traefik_refs(scene),
    )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_A_PART)
def the_selector_picks_traefiks_pods(scene: Scene) -> Iterator[Finding]:
    """The selector of Traefik's Service picks Traefik's pods."""
    service, pods = service_of(scene), pods_of(scene)
    if service is None or not pods or not service.spec.selector:
        return
    if any(selects(service, pod) for pod in pods):
        return
    shown, names = _own_labels(pods[0]), listing((pod.name for pod in pods), 2)
    yield of_service(
        "SVC002",
        service,
        "spec.selector",
        near=text("near", "pods", count=len(pods), labels=shown, names=names),
        labels=shown,
        related=traefik_refs(scene),
        **fixing.selecting(scene, service, pods),
    )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_A_PART)
def no_other_service_holds_its_addresses(scene: Scene) -> Iterator[Finding]:
    """Traefik's Service has the host's addresses, and no other Service holds them on its port."""
    service, other = service_of(scene), holder(scene) if in_sight(scene) else None
    if service is None or other is None or scene.own_balancers:
        return
    yield of_service(
        "SVC017",
        service,
        "status.loadBalancer",
        other=full_name(other),
        port=scene.target.port,
        host=scene.target.host,
        addresses=listing(scene.addresses),
        related=(ref_of(other),),
    )


_PICKED = (the_selector_picks_traefiks_pods,)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING, unless=_PICKED)
def nodes_that_are_targets_have_a_port_for_it(scene: Scene) -> Iterator[Finding]:
    """Where targets are nodes, the Service has a nodePort, or the pods have hostPorts."""
    service, wanted = service_of(scene), scene.wanted_port(scene.target.scheme)
    if service is None or wanted is None or wanted.node_port is not None or scene.host_ports:
        return
    if scene.way is None or not scene.way.feeds_nodes:
        return
    yield of_service(
        "SVC003",
        service,
        "spec.type",
        type=service.spec.type or "ClusterIP",
        entry=wanted.name or wanted.port,
        related=_groups(scene),
        **_opened(scene, service, wanted),
    )


def _opened(scene: Scene, service: Service, wanted: TraefikPort) -> Words:
    """The edit that opens the nodePort to which the target group sends, if it is nobody else's."""
    number = _free(scene)
    places = [at for at, port in enumerate(service.spec.ports) if port.name == wanted.name]
    if number is None or len(places) != 1:
        return {}
    kept = service.spec.type == "LoadBalancer"
    port = {f"spec.ports[{places[0]}].nodePort": number}
    return fixing.patch(service, port if kept else {"spec.type": "NodePort", **port})


def _free(scene: Scene) -> int | None:
    """The one nodePort to which the target groups send, where no Service has it."""
    numbers = scene.way.numbers if scene.way is not None and scene.way.feeds_nodes else set()
    taken = any(numbers & node_ports_of(other) for other in scene.services)
    return min(numbers) if len(numbers) == 1 and not taken else None


def _groups(scene: Scene) -> tuple[ObjectRef, ...]:
    groups = scene.way.groups if scene.way else ()
    return tuple(group.ref for group in groups if group.obj.target_group_arn)


_BEFORE_THE_PORT = (*_PICKED, nodes_that_are_targets_have_a_port_for_it)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING, unless=_BEFORE_THE_PORT)
def the_service_has_a_port_for_the_scheme(scene: Scene) -> Iterator[Finding]:
    """The Service has a port for the scheme of the URL."""
    service, target = service_of(scene), scene.target
    if service is None or scene.used_port is not None or not scene.ports:
        return
    wanted = "websecure" if target.scheme == "https" else "web"
    yield of_service(
        "SVC014",
        service,
        "spec.ports",
        scheme=target.scheme,
        ports=listing(f"{p.name or '-'} {p.port}" for p in scene.ports),
        port=target.port,
        wanted=wanted,
        **_with_port(scene, service, wanted),
    )


def _with_port(scene: Scene, service: Service, wanted: str) -> Words:
    """The edit that adds the port for an entryPoint, on the nodePort of the target group."""
    entry, number = scene.static.entry_points.get(wanted), _free(scene)
    if entry is None or not entry.port or number is None:
        return {}
    port = {"name": wanted, "port": scene.target.port, "targetPort": entry.port}
    return fixing.patch(service, {"spec.ports[-]": port | {"nodePort": number}})


def _used(scene: Scene) -> TraefikPort | None:
    """The Service's port that requests take; None where they take another way."""
    used = scene.used_port
    return used if used is not None and used.service is not None else None


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_A_PART, unless=_BEFORE_THE_PORT)
def the_target_port_is_a_port_of_the_pods(scene: Scene) -> Iterator[Finding]:
    """A targetPort that is a name is the name of a port of the pods."""
    service, used, pods = service_of(scene), _used(scene), pods_of(scene)
    if service is None or used is None or used.container_port is not None or not pods:
        return
    if used.protocol != "TCP":
        return
    ports = (p for pod in pods for c in pod.spec.containers for p in c.ports)
    names = sorted({p.name for p in ports if p.name})
    words: Words = {"port": used.port, "target": used.target, "names": listing(names)}
    meant = [used.name] if used.name in names else names
    words |= fixing.target_port(service, used, fixing.only(used.target, meant))
    yield of_service("SVC004", service, "spec.ports", **words, related=traefik_refs(scene))


_TO_A_PORT = (*_BEFORE_THE_PORT, the_target_port_is_a_port_of_the_pods)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING, unless=_TO_A_PORT)
def the_port_leads_to_its_entrypoint(scene: Scene) -> Iterator[Finding]:
    """The port leads to an entryPoint, and to that of its name or number."""
    service, used = service_of(scene), _used(scene)
    if service is None or used is None or not scene.static.known:
        return
    entries = scene.static.entry_points
    wanted = _meant(scene, used)
    found = ""
    if used.protocol != "TCP":
        found = text("leads", "protocol", protocol=used.protocol)
    elif used.entry_point is None:
        found = text("leads", "nowhere")
    elif wanted is not None and used.entry_point.name != wanted:
        found = text("leads", "elsewhere", name=used.entry_point.name)
    if found:
        yield of_service(
            "SVC005",
            service,
            "spec.ports",
            **_OF_ALL,
            port=used.port,
            target=used.container_port or used.target,
            found=found,
            wanted=wanted or "websecure",
            entry_points=listing(f"{name} {entry.address}" for name, entry in entries.items()),
            related=traefik_refs(scene),
            **fixing.target_port(
                service, used, entries[wanted].port if wanted in entries else None
            ),
        )


# What only the variant of some pods tells.
_OF_ALL: Final[Words] = dict.fromkeys(("count", "total", "pods", "pod", "workload"), "")


def _meant(scene: Scene, used: TraefikPort) -> str | None:
    """The entryPoint that a Service port means by its name; by its number where that is usual."""
    entries = scene.static.entry_points
    if used.name in entries:
        return used.name
    usual = {80: ("web", "http"), 443: ("websecure", "https")}.get(used.port, ())
    return next((name for name in usual if name in entries), None)


@rule(reads=WAY, uses=SHOWN, unless=_BEFORE_THE_PORT)
def every_pod_listens_on_the_port(scene: Scene) -> Iterator[Claimed]:
    """Every pod behind the port that requests take listens on it.

    By its configuration, or since it refuses where others answer: which of several a request
    meets is a draw, so that no number of good answers says that all is well.
    """
    used = scene.used_port if in_sight(scene) else None
    pods = [pod for pod in (used.pods if used is not None else ()) if pod.ready]
    if used is None or used.protocol != "TCP":
        return
    told = probes_at if may_turn_away(scene, pods) else knocks_at
    answers = {p.name: p.exchanges[-1] for p in told(scene, Hop.TRAEFIK_POD)}
    deaf = [p for p in pods if _is_deaf(scene, used, p, answers.get(p.name))]
    # Of all it counts where each refuses, though an entryPoint is declared there.
    whole = len(deaf) == len(pods)
    if not deaf or (
        whole and (used.entry_point is None or not {p.name for p in pods} <= {*answers})
    ):
        return
    entries = scene.static_of(deaf[0]).entry_points
    ref = workload_ref(deaf[0])
    if any(workload_ref(pod) == ref for pod in pods if pod not in deaf):
        ref = ref_of(deaf[0])
    behind = (ref_of(used.service),) if used.service else ()
    found = make(
        "SVC005",
        ref,
        variant="all" if whole else "part",
        port=used.port,
        target=used.container_port or used.target,
        found=listing(f"{entry} {one.address}" for entry, one in entries.items()),
        wanted=used.entry_point.name if used.entry_point is not None else used.name,
        entry_points="",
        selector="",
        count=len(deaf),
        total=len(pods),
        pods=listing(pod.name for pod in deaf),
        pod=deaf[0].name,
        workload=str(ref),
        share=None if whole else len(deaf) / len(pods),
        related=(*behind, *map(ref_of, deaf[:3])),
        service=full_name(used.service) if used.service else "",
        svc=used.service.name if used.service else "",
        ns=ref.namespace,
    )
    yield Claimed(Claim.STOPS_EVERYTHING if whole else Claim.STOPS_NOTHING_NOW, found)


def _is_deaf(scene: Scene, used: TraefikPort, pod: Pod, seen: Exchange | None) -> bool:
    if seen is not None and seen.error in (None, ErrorKind.REFUSED):
        return seen.error is not None
    named = used.service is not None and not used.target.isdigit()
    number = named_port(pod, used.target) if named else used.container_port
    static = scene.static_of(pod)
    return static.known and listens_on(static, number) is None


_OF_THE_PORT = (
    *_TO_A_PORT,
    the_service_has_a_port_for_the_scheme,
    the_port_leads_to_its_entrypoint,
)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_A_PART, unless=_OF_THE_PORT)
def a_target_has_a_pod_under_policy_local(scene: Scene) -> Iterator[Finding]:
    """Under externalTrafficPolicy Local a node that is a target has a ready Traefik pod."""
    service = service_of(scene)
    if service is None or service.spec.external_traffic_policy != "Local":
        return
    targets = scene.way.targets if scene.way is not None else ()
    nodes = dict.fromkeys(t.node_name for t in targets if t.node_name is not None)
    serving = {pod.spec.node_name for pod in pods_of(scene) if pod.ready}
    if not nodes or not serving or serving & set(nodes):
        return
    yield of_service(
        "SVC006",
        service,
        "spec.externalTrafficPolicy",
        severity=Severity.ERROR,
        pod_nodes=listing(sorted(serving)),
        target_nodes=listing(nodes),
        related=(*traefik_refs(scene), *_groups(scene)),
        **_without_local(scene, service),
    )


def _without_local(scene: Scene, service: Service) -> Words:
    """The edit of the policy; not where somebody judges clients by addresses: nodes' they are then.

    A list of allowed ones would keep everybody out, or let everybody in.
    """
    listed = scene.kube.of(Middleware)
    judged = any(one.kinds & {"ipAllowList", "ipWhiteList"} for one in listed.or_else(()) or ())
    known = listed.seen and not judged and not service.spec.load_balancer_source_ranges
    return fixing.patch(service, {"spec.externalTrafficPolicy": "Cluster"} if known else {})


OF_THE_SERVICE = (*_OF_THE_PORT, a_target_has_a_pod_under_policy_local)


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_A_PART, unless=OF_THE_SERVICE)
def network_policies_admit_the_nodes(scene: Scene) -> Iterator[Finding]:
    """No NetworkPolicy on Traefik's pods keeps out what comes through the nodes."""
    made, used, service = requests_made(scene.snapshot), scene.used_port, service_of(scene)
    silent = [p for p in made if p.exchanges[-1].error in _SILENT]
    if not made or len(silent) < len(made) or used is None or used.container_port is None:
        return
    if _passes(scene):  # the network plugin does not enforce policies
        return
    policy = closed_entrance(scene, used.container_port)
    if policy is None or service is None:
        return
    name, ns = policy.name, policy.namespace
    words = listing(p.address for p in silent)
    checks = {target.check_port for target in (scene.way.targets if scene.way else ())} - {0}
    checked = (p for p in scene.own_ports if {p.node_port, p.container_port} & checks)
    way = (used, scene.wanted_port("http"), scene.wanted_port("https"), *checked)
    ports = {one.container_port for one in way if one is not None and one.container_port}
    yield make(
        "SVC016",
        ObjectRef("NetworkPolicy", name, ns),
        variant="policy",
        policy=f"{ns}/{name}",
        port=listing(sorted(port for port in ports if closed_entrance(scene, port) == policy)),
        works="",
        fails=words,
        actual=words,
        ns=ns,
        name=name,
        related=(ref_of(service),),
    )


def _passes(scene: Scene) -> bool:
    """Whether nodes answer what they are asked, or the load balancer's health checks succeed."""
    if any(p.exchanges[-1].status is not None for p in probes_at(scene, Hop.NODE)):
        return True
    return any(target.state == "healthy" for target in (scene.way.targets if scene.way else ()))


@rule(
    reads=WAY,
    uses=SHOWN,
    unless=(*OF_THE_SERVICE, network_policies_admit_the_nodes, every_pod_listens_on_the_port),
)
def nodes_pass_on_what_pods_answer(scene: Scene) -> list[Claimed]:
    """Where Traefik's pods answer, the nodes' ports answer as well."""
    service = service_of(scene)
    return between_nodes_and_pods(scene, service) if service is not None else []
