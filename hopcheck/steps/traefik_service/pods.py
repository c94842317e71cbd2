"""Traefik's pods themselves: do they run, with a configuration that they accept, and rights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from hopcheck.behaviour.aws.loadbalancer import instance_of_node
from hopcheck.behaviour.aws.security_groups import open_to_all
from hopcheck.behaviour.kubernetes import pod_state as pod_states
from hopcheck.behaviour.traefik.discovery import traefik_container
from hopcheck.behaviour.traefik.logs import (
    BAD_LEVELS,
    after_last_reload,
    excerpt,
    forbidden_resources,
    mistyped,
    mistyped_kinds,
    moment,
    overtaken,
    unauthenticated_kinds,
    unserved_kinds,
)
from hopcheck.behaviour.traefik.route import Excluded, Route
from hopcheck.behaviour.traefik.static import INTERNAL_SERVICES
from hopcheck.behaviour.traefik.subjects import Subject, subject
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence, Finding, LogLine, ObjectRef, Replica, Severity, Words
from hopcheck.model.kubernetes import KINDS, Container, ContainerProbe, Node, Pod
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.middlewares import by_reference, names_of
from hopcheck.scene.outcome import Producer, producer, requests_made
from hopcheck.scene.scene import Scene
from hopcheck.steps.loaded import Loaded, loaded
from hopcheck.steps.names import ref_of, route_ref, shows_default_certificate
from hopcheck.steps.rule import BESIDE_KUBE, WAY, rule
from hopcheck.steps.traefik_service.service import of_service, pods_of, workload_ref
from hopcheck.verdict.contradicted import Claim, Claimed

# Words of a Traefik that ends at start (seen on 3.7.15; v2 says "Error while building …").
_STATIC = re.compile(
    r"(field not found, node:|failed to decode configuration|"
    r"command traefik error|unknown flag|cannot unmarshal|invalid value)",
    re.IGNORECASE,
)
_NODE = re.compile(r"node: ([\w.\[\]-]+)")
_BIND = re.compile(
    r"(?:entrypoint|entryPoint) (?P<entry>[\w-]+).*?(?:address already in use|permission denied|"
    r"cannot assign requested address)",
    re.IGNORECASE,
)
# A list that is refused is tried again within a minute (client-go's reflector; the provider's own
# retries within a minute and a half), and refused in the log each time.
_REPEATS_S = 180.0


def _replica(scene: Scene, pod: str) -> Replica | None:
    return next((r for r in scene.snapshot.traefik.replicas if r.pod == pod), None)


def _lines(replica: Replica) -> list[LogLine]:
    return [*(replica.previous_log.or_else(()) or ()), *(replica.log.or_else(()) or ())]


def _of_workload(code: str, pod: Pod, *, at: ObjectRef | None = None, **params: Any) -> Finding:
    """A finding about the workload of a pod that shows it, or another object `at` fault."""
    ref = workload_ref(pod)
    words: Words = {"workload": f"{ref.namespace}/{ref.name}", "pod": pod.name, "ns": ref.namespace}
    return make(code, at or ref, **words, **params)


def _troubled(scene: Scene) -> tuple[list[tuple[Pod, pod_states.PodState]], int]:
    """The pods that do not run or are not ready for longer than a start takes; of how many."""
    pods = [p for p in pods_of(scene) if not pod_states.terminal(p) and not pod_states.leaving(p)]
    found = pod_states.lasting(pods, scene.snapshot.taken_at)
    # The one that is down speaks first: what it says is why.
    return sorted(found, key=lambda one: not one[1].down), len(pods)


def _first_of_all(scene: Scene) -> tuple[Pod, pod_states.PodState] | None:
    """The pod that tells why, where no pod serves."""
    troubled, total = _troubled(scene)
    return troubled[0] if troubled and len(troubled) == total else None


def _standing(scene: Scene) -> tuple[Pod, ...]:
    """The pods of the host's Traefik, where one at least serves."""
    return pods_of(scene) if _first_of_all(scene) is None else ()


@rule(reads=("kube", "traefik"), uses=("dns", "aws", "http"))
def traefik_takes_its_static_configuration(scene: Scene) -> Iterator[Finding]:
    """Traefik starts with its arguments, and can open its entryPoints' ports."""
    first = _first_of_all(scene)
    if first is None:
        return
    # The words with which Traefik left, from the log of its last attempt.
    pod, replica = first[0], _replica(scene, first[0].name)
    lines = _lines(replica) if replica is not None else []
    for line in reversed(lines):
        words = line.fields.get("error") or line.message or line.raw
        bind, static = _BIND.search(line.raw), _STATIC.search(line.raw)
        if bind is not None:
            flag = f"--entryPoints.{bind['entry']}.address"
        elif static is not None:
            removed = _removed(lines) if "incompatible deprecated" in words else ""
            words, node = removed or words, _NODE.search(line.raw)
            flag = _flag(pod, removed.partition(" ")[0] or (node[1] if node else ""))
        else:
            continue
        yield _of_workload(
            "SVC008",
            pod,
            variant="bind" if bind is not None else None,
            flag=flag,
            error=words,
            evidence=(Evidence(text("source", "log", pod=pod.name), *excerpt(lines, [line])),),
            related=(ref_of(pod),),
        )
        return


@rule(reads=("kube",), uses=BESIDE_KUBE)
def what_the_readiness_probe_asks_is_on(scene: Scene) -> Iterator[Finding]:
    """Where the readiness probe asks /ping, ping is on."""
    first = _first_of_all(scene)
    if first is None or first[1].down:
        return
    pod = first[0]
    container = traefik_container(pod) or Container()
    probe = container.readiness_probe or ContainerProbe()
    path = probe.http_get.path if probe.http_get is not None else ""
    static = scene.static_of(pod)
    if static.known and not static.ping and path.endswith("/ping"):
        yield _of_workload("SVC010", pod, path=path)


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def what_is_https_meets_no_redirect_to_https(scene: Scene) -> Iterator[Finding]:
    """An entryPoint that redirects to https is not asked for what is https already."""
    made, entry = requests_made(scene.snapshot), scene.entry_point
    last = [probe.exchanges[-1] for probe in made]
    met = [e for e in last if e.status == 418 and producer(e) is Producer.TRAEFIK]
    if met and scene.lead is not None and entry is not None and entry.redirect_to is not None:
        share = len(met) / len(made) if len(met) < len(made) else None
        words: Words = {"url": scene.target.url, "entry": entry.name, "redirect": entry.redirect_to}
        yield _of_workload("SVC040", scene.lead, share=share, **words)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def traefiks_pods_are_ready(scene: Scene) -> Iterator[Finding]:
    """Every pod of Traefik on the way runs and is ready."""
    troubled, total = _troubled(scene)
    if not troubled:
        return
    pod, state = troubled[0]
    share = len(troubled) / total
    yield _of_workload(
        "SVC007",
        pod,
        severity=None if share == 1 else Severity.WARNING,
        count=len(troubled),
        total=total,
        reason=state.words,
        advice=state.advice,
        share=share,
        related=(ref_of(pod),),
    )


def _removed(lines: list[LogLine]) -> str:
    """What Traefik says of a setting that v3 removed, before it leaves (pkg/cli/deprecation.go)."""
    said = [line.message for line in lines if "for Traefik to start" in line.message]
    return said[-1].partition("For more information")[0].strip().rstrip(".") if said else ""


def _flag(pod: Pod, node: str) -> str:
    """The argument that the error names; the error's own word where no argument holds it."""
    if not node:
        return text("said", "error_names")
    arguments = (traefik_container(pod) or Container()).args
    wanted = node.lower().rpartition(".")[2]
    return next((a for a in arguments if wanted in re.split(r"[.=]", a.lower().lstrip("-"))), node)


# What reads a resource that not every provider reads: the beginning of its plural or kind.
_READERS = {
    "kubernetescrd": ("ingressroute", "middleware", "tls", "traefikservice", "serverstransport"),
    "kubernetesgateway": ("gateway", "httproute", "grpcroute", "tcproute", "tlsroute", "reference"),
    "kubernetes": ("ingress",),
}


def _reader(resource: str) -> str:
    """The provider that reads the resource, by its plural or its kind; "kubernetes…" for each."""
    name = resource.lower()
    own = (reader for reader, kinds in _READERS.items() if name.startswith(kinds))
    return next(own, "kubernetes…")


def _delivered(scene: Scene, replica: Replica, resource: str) -> bool | None:
    """Whether what waits for the resource has delivered, or is not this host's, by the API.

    None: not known. A provider delivers nothing before all that it reads was listed.
    """
    reader, route = _reader(resource), routing_of(scene).winner
    if route is not None and reader[-1] != "…":
        names = (*names_of(scene, route).values(), route.tls_options or "")
        if reader not in {route.provider, *(name.rpartition("@")[2] for name in names)}:
            return True
    if not replica.routers.seen:
        return None
    delivered = {router.provider for router in replica.routers.get()}
    if route is None or reader[-1] == "…":
        return any(name.startswith("kubernetes") for name in delivered)
    return reader in delivered


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


# Variant of the finding, what such a line says, and the resources that it names.
_REFUSED: tuple[tuple[str | None, str, Callable[[Iterable[LogLine]], set[str]]], ...] = (
    (None, "forbidden", forbidden_resources),
    ("unauthenticated", "failed to list", unauthenticated_kinds),
    ("unserved", "could not find the requested resource", unserved_kinds),
    ("mistyped", "cannot unmarshal", mistyped_kinds),
)
_JSON = {bool: "bool", str: "string", int: "number", float: "number", dict: "object", list: "array",
         tuple: "array"}  # fmt: skip


def _holds(value: Any, path: Sequence[str], given: str) -> bool:
    """Whether a value of that JSON type stands at the path, in whichever item of its lists."""
    if isinstance(value, list | tuple) and (path or given != "array"):
        return any(_holds(one, path, given) for one in value)
    if not path:
        return _JSON.get(type(value)) == given
    return isinstance(value, dict) and path[0] in value and _holds(value[path[0]], path[1:], given)


def _misfit(scene: Scene, proof: Sequence[LogLine]) -> Words:
    """The field of the wrong type that a line tells, and the objects that have it so."""
    kind, given, path, wanted = next(filter(None, map(mistyped, proof)), ("", "", (), ""))
    shape = next((one for one in KINDS.values() if one.__name__ == kind), None)
    every = scene.kube.every(shape) if shape is not None and path else []
    found = [ref_of(obj) for obj in every if _holds(msgspec.to_builtins(obj), path, given)]
    words: Words = {"field": ".".join(path) or "-", "given": given, "wanted": wanted}
    words["holder"] = text("near", "holder", names=listing(found)) if found else ""
    return {**words, "at": replace(found[0], field=words["field"]) if found else None}


@rule(reads=(*WAY, "traefik"), uses=("http",))
def traefik_may_read_what_it_needs(scene: Scene) -> Iterator[Finding | Claimed]:
    """The API server lets Traefik list what its providers read.

    Forbidden lists count where the provider delivers nothing, or requests fail, now.
    """
    asked = [(pod, _replica(scene, pod.name)) for pod in _standing(scene)]
    known = [(pod, replica) for pod, replica in asked if replica is not None]
    # Of which it is known that nothing was delivered is told first: no answer contradicts that.
    for pod, replica in sorted(known, key=lambda one: not one[1].routers.seen):
        lines = _repeated(scene, replica)
        for variant, said, told in _REFUSED:  # noqa: B007 - the first that tells
            resources = [r for r in sorted(told(lines)) if not _delivered(scene, replica, r)]
            if resources:
                break
        else:
            continue
        account = pod.spec.service_account_name or "default"
        proof = [line for line in lines if said in line.raw][-1:]
        source = text("source", "log", pod=replica.pod)
        unsure = not replica.routers.seen
        claim = Claim.STOPS_EVERYTHING if unsure else Claim.STOPS_NOTHING_NOW
        service_account = ObjectRef("ServiceAccount", account, pod.namespace)
        found = _of_workload(
            "SVC011",
            pod,
            **_misfit(scene, proof),
            variant=variant,
            account=f"{pod.namespace}/{account}",
            account_ns=pod.namespace,
            account_name=account,
            resources=listing(resources),
            first=resources[0],
            version=str(scene.version or "?"),
            evidence=(Evidence(source, *excerpt(lines, proof)),) if proof else (),
            related=(workload_ref(pod) if variant == "mistyped" else service_account,),
        )
        yield Claimed(claim, found)
        return


@rule(reads=(*WAY, "traefik"), uses=("http",))
def the_routes_provider_is_on(scene: Scene) -> Iterator[Finding | Claimed]:
    """The provider that reads the kind of the host's route is on, in every pod on the way.

    Off in all of them counts where no request succeeds; in some, whatever was drawn.
    """
    routing, pods = routing_of(scene), _standing(scene)
    winner, lead = routing.selection.winner, scene.lead
    if winner is not None:
        off = [pod for pod in pods if pod.ready and _lacks_provider(scene, pod, winner)]
        if off and len(off) < len(pods):
            yield _provider_off(scene, off[0], winner, len(off) / len(pods))
    elif lead is not None and pods:
        for route in routing.selection.excluded if scene.static.known else ():
            if {why.reason for why in route.excluded} == {Excluded.PROVIDER_DISABLED}:
                yield Claimed(Claim.STOPS_EVERYTHING, _provider_off(scene, lead, route, None))
                return


def _lacks_provider(scene: Scene, pod: Pod, route: Route) -> bool:
    static, replica = scene.static_of(pod), _replica(scene, pod.name)
    if not static.known:
        return False
    if replica is not None and loaded(scene, routing_of(scene), replica) is Loaded.YES:
        return False
    return not (static.ingress if route.kind == "Ingress" else static.crd).enabled


def _provider_off(scene: Scene, pod: Pod, route: Route, share: float | None) -> Finding:
    flag = "kubernetesingress" if route.kind == "Ingress" else "kubernetescrd"
    static = scene.static_of(pod)
    providers = (
        ("kubernetesingress", static.ingress.enabled),
        ("kubernetescrd", static.crd.enabled),
        ("kubernetesgateway", static.gateway),
        ("file", static.file_provider),
    )
    return _of_workload(
        "SVC012",
        pod,
        provider=flag,
        flag=flag,
        kind=route.kind,
        route=f"{route.namespace}/{route.name}",
        enabled=listing(name for name, on in providers if on),
        share=share,
        related=(route_ref(route),),
    )


@rule(reads=(*WAY, "traefik"), uses=("http",), claims=Claim.STOPS_EVERYTHING)
def what_the_route_needs_of_traefik_is_on(scene: Scene) -> Iterator[Finding]:
    """What the route names and Traefik itself brings is switched on in its arguments."""
    route, pod, static = routing_of(scene).winner, scene.lead, scene.static
    if route is None or pod is None or not static.known or not _standing(scene):
        return
    own = (b.name.partition("@")[0] for b in route.backends if b.name.endswith("@internal"))
    for name in own:
        if name in INTERNAL_SERVICES and name not in static.internal_services:
            yield _needs(pod, route, f"{name}@internal", INTERNAL_SERVICES[name])
    known = by_reference(scene)
    for name in names_of(scene, route).values():
        if name in known and not static.crd.enabled:
            yield _needs(pod, route, name, "providers.kubernetescrd", ref_of(known[name]))


def _needs(pod: Pod, route: Route, name: str, flag: str, *more: ObjectRef) -> Finding:
    return _of_workload(
        "SVC030",
        pod,
        needed=name,
        flag=flag,
        route=str(route_ref(route)),
        related=(route_ref(route), *more),
    )


@rule(reads=(*WAY, "traefik"), uses=("http",), claims=Claim.STOPS_EVERYTHING)
def traefik_goes_without_nothing_that_the_route_needs(scene: Scene) -> Iterator[Finding]:
    """Traefik could make what its arguments define and the route needs: resolver, plugins."""
    route = routing_of(scene).winner
    if route is None:
        return
    for pod in _standing(scene):
        replica = _replica(scene, pod.name)
        log = (replica.log.or_else(()) or ()) if replica is not None else ()
        for line in log:
            about = subject(line) if line.level in BAD_LEVELS else None
            if about is None or not _needed(scene, route, about):
                continue
            yield _of_workload(
                "SVC031",
                pod,
                variant="plugin" if about.kind == "Plugin" else None,
                part=about.name or text("said", "some"),
                error=line.fields.get("error") or line.message or line.raw,
                route=str(route_ref(route)),
                evidence=(Evidence(text("source", "log", pod=pod.name), *excerpt(log, [line])),),
                related=(route_ref(route), ref_of(pod)),
            )
            return


def _needed(scene: Scene, route: Route, about: Subject) -> bool:
    """Whether the route needs the resolver, where no certificate is there, or a plugin."""
    if about.kind == "Resolver":
        return about.name == route.cert_resolver and shows_default_certificate(scene)
    known, names = by_reference(scene), names_of(scene, route).values()
    return about.kind == "Plugin" and any("plugin" in known[n].spec for n in names if n in known)


@rule(reads=(*WAY, "traefik"), uses=("http",))
def the_api_is_not_open_to_everybody(scene: Scene) -> Iterator[Finding]:
    """The dashboard or API without authentication is on no port that is exposed."""
    static, service = scene.static, scene.traefik_service
    if not _standing(scene) or not static.known or not static.api_insecure or service is None:
        return
    own = (p for p in scene.ports if p.entry_point is not None and p.entry_point.name == "traefik")
    number = next((port.node_port for port in own if port.node_port), None)
    told = _exposure(scene, number) if number is not None else None
    if told is not None:
        exposed, severity = told
        words = {"what": text("exposed", "api"), "port": number, "exposed": exposed}
        yield of_service("SVC013", service, "spec.ports", severity=severity, **words)


def _exposure(scene: Scene, port: int) -> tuple[str, Severity | None] | None:
    """By what a nodePort is open to everybody, in words, and how grave that is."""
    if port in _fed_ports(scene):
        return text("exposed", "balancer"), None
    public = [
        node
        for node in scene.kube.of(Node).or_else(()) or ()
        if any(a.type == "ExternalIP" for a in node.status.addresses)
    ]
    ids = [instance for node in public if (instance := instance_of_node(node)) is not None]
    admitted = open_to_all(scene.aws, ids, port) if public else False
    if admitted is False:
        return None
    # A firewall that was not seen may stand before them.
    return text("exposed", "nodes", count=len(public)), None if admitted else Severity.INFO


def _fed_ports(scene: Scene) -> set[int]:
    """Every port that a listener of the host's load balancer leads to."""
    balancer = scene.meant or scene.balancer
    if balancer is None:
        return set()
    chains = (scene.chain_from(balancer, one) for one in scene.listeners(balancer))
    return {number for chain in chains for number in chain.numbers}
