"""The certificate as presented: of the right name, in date, trusted, and for how long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from hopcheck.behaviour.kubernetes.hosts import hosts_of
from hopcheck.behaviour.traefik.logs import BAD_LEVELS, unusable_certificate
from hopcheck.behaviour.traefik.route import Route
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Certificate, Evidence, Finding, ObjectRef, Severity, TlsInfo, Words
from hopcheck.model.kubernetes import Ingress, IngressRoute, Secret
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import (
    CertificateProblem,
    certificate_problem,
    name_matches,
    requests_made,
)
from hopcheck.scene.scene import Scene
from hopcheck.scene.strangers import stranger
from hopcheck.steps.names import ref_of, route_ref, traefik_refs
from hopcheck.steps.request.application import USES, of_host, share_of
from hopcheck.steps.rule import rule

_SOON_DAYS = 14
_ALT_NAMES = "cert-manager.io/alt-names"


def _presented(scene: Scene) -> tuple[dict[CertificateProblem, list[TlsInfo]], list[TlsInfo]]:
    """The TLS sessions by the problem of their certificate, and those where it is fine."""
    by_problem: dict[CertificateProblem, list[TlsInfo]] = {}
    fine: list[TlsInfo] = []
    for probe in requests_made(scene.snapshot):
        if stranger(scene, probe.exchanges[-1]):
            continue  # of whom the answers speak
        for exchange in probe.exchanges:
            if exchange.tls is None or not exchange.tls.chain:
                continue
            problem = certificate_problem(exchange.tls, scene.snapshot)
            if problem is None:
                fine.append(exchange.tls)
            else:
                by_problem.setdefault(problem, []).append(exchange.tls)
                break
    return by_problem, fine


@rule(reads=("dns", "http"), uses=USES)
def the_certificate_is_valid(scene: Scene) -> Iterator[Finding]:
    """The certificate is the host's, in date and trusted, at every address."""
    total = len(requests_made(scene.snapshot))
    for problem, sessions in _presented(scene)[0].items():
        related = _secrets(scene, sessions[0].chain[0])
        common: Words = {"share": share_of(len(sessions), total), "related": related}
        yield _certificate(scene, problem, sessions[0], common)


def _certificate(scene: Scene, problem: CertificateProblem, tls: TlsInfo, common: Words) -> Finding:
    leaf, ref = tls.chain[0], ObjectRef("Certificate", scene.target.host)
    if problem is CertificateProblem.DEFAULT:
        return _default(scene, **common)
    kept = [one for one in common["related"] if one.kind == "Secret"]
    full = listing(f"{one.namespace}/{one.name}" for one in kept)
    route = routing_of(scene).winner
    space = (kept[0].namespace if kept else route.namespace if route is not None else "") or "-"
    if problem.value in ("authority", "incomplete", "untrusted", "temporary"):
        common |= {"secret": full or "-", "ns": space}
        if problem is not CertificateProblem.UNTRUSTED:
            common |= {"variant": problem.value, "severity": Severity.ERROR}
            ref = kept[0] if len(kept) == 1 else ref
        error = tls.verify_error or text("certificate", "unknown")
        return of_host("REQ006", scene, ref, issuer=leaf.issuer, error=error, **common)
    shown = {"subject": leaf.subject, "names": listing(leaf.names), "not_after": leaf.not_after}
    one, own = len(kept) == 1, route is None or not kept or kept == _own(route)
    return of_host(
        "REQ005",
        scene,
        kept[0] if one and not own else ref,
        variant=None if own else "elsewhere" if one else "several",
        secret=full,
        holder=listing(str(one) for one in common["related"][1:] if one.kind != "Secret"),
        ns=space,
        name=kept[0].name if kept else "-",
        problem=text("certificate", problem.value, not_before=leaf.not_before, **shown),
        issuer=leaf.issuer,
        actual=text("certificate", "presented", **shown),
        advice=text("certificate_advice", problem.value),
        **common,
    )


def _default(scene: Scene, share: float | None, related: tuple[ObjectRef, ...]) -> Finding:
    """Traefik's own certificate: none is named, or what the Secrets hold is not the host's."""
    secrets = [ref for ref in related if ref.kind == "Secret"]
    wait = scene.static.throttle_s
    told = (
        unusable_certificate(r.log.or_else(()) or (), r.metrics.or_else({}) or {}, wait)
        for r in scene.snapshot.traefik.replicas
    )
    refused = next(filter(None, told), "")
    variant, at = ("unusable" if refused else "other") if secrets else None, None
    log, resolver = text("source", "log", pod="Traefik"), "" if secrets else _resolver(scene)
    pods = [pod.name for pod in scene.instance.pods] if scene.instance is not None else []
    complaints = _complaints(scene, resolver)
    proof = (Evidence(log, refused),) if variant == "unusable" else (*complaints.values(),)
    if variant == "unusable":
        at = secrets[0] if len(secrets) == 1 else None
        variant = "key" if "private key does not match" in refused else variant
    elif resolver:
        variant = "replicas" if share and len(pods) > 1 else "resolver"
        at = next(iter(traefik_refs(scene)), None)
    return of_host(
        "REQ007",
        scene,
        at,
        variant=variant,
        share=share,
        related=related,
        evidence=proof,
        resolver=resolver,
        traefik_ns=at.namespace if at is not None else "",
        pod=next(iter((*complaints, *pods)), ""),
        secrets=listing(f"{ref.namespace}/{ref.name}" for ref in secrets),
        words=refused,
        ns=secrets[0].namespace if secrets else "",
        secret=secrets[0].name if secrets else "",
    )


def _resolver(scene: Scene) -> str:
    """The certificate resolver that the route, else its entryPoint, names, and that is defined."""
    routing, static = routing_of(scene), scene.static
    route, entry = routing.winner, static.entry_points.get(routing.entry_point)
    wanted = (route.cert_resolver or "") if route is not None else ""
    if not wanted and entry is not None and route is not None and not route.tls:
        wanted = entry.cert_resolver  # of routers without TLS settings of their own (applyModel)
    return wanted if wanted in static.cert_resolvers else ""


def _complaints(scene: Scene, resolver: str) -> dict[str, Evidence]:
    """The newest complaint about the resolver in each replica's log, by its pod."""
    found = {}
    for replica in scene.snapshot.traefik.replicas:
        for line in replica.log.or_else(()) or () if resolver else ():
            own = (line.fields.get("providerName"), line.fields.get("resolver"))
            if line.level in BAD_LEVELS and (f"{resolver}.acme" == own[0] or resolver == own[1]):
                found[replica.pod] = Evidence(text("source", "log", pod=replica.pod), line.raw)
    return found


def _own(route: Route) -> list[ObjectRef]:
    """The Secrets that the route itself names."""
    parts = (secret.rpartition("/") for secret in route.tls_secrets)
    return [ObjectRef("Secret", name, space or route.namespace) for space, _, name in parts]


def _secrets(scene: Scene, leaf: Certificate) -> tuple[ObjectRef, ...]:
    """The route, and the Secrets where the certificate is likely kept: its own, or others.

    Traefik has one store for the certificates of all namespaces. Others are told by the names:
    more of those in the certificate are asked for where they are named than at the route.
    """
    route = routing_of(scene).winner
    if route is None:
        return ()
    own = _own(route)
    if scene.way is not None and scene.way.listener.ends_tls:
        return (route_ref(route), *own)
    asked = _asked(scene, leaf)
    mine = max((many for secret, many, _ in asked if secret in own), default=0)
    best = max((many for _, many, _ in asked), default=0)
    others = {s: at for s, many, at in asked if many == best and s not in own}
    if best == mine < len(leaf.names) or not best:
        others = {}
    return (route_ref(route), *(own if best == mine else ()), *others, *others.values())


def _asked(scene: Scene, leaf: Certificate) -> list[tuple[ObjectRef, int, ObjectRef]]:
    """Secrets that Traefik is named, for how many of the certificate's names, and by what.

    Those that are named for another host are left out: the certificate would name that too.
    """
    loaded = {(r.kind, r.namespace, r.name) for r in routing_of(scene).routes if r.loaded}
    named: list[tuple[Ingress | IngressRoute, str, tuple[str, ...]]] = []
    for ingress in scene.kube.every(Ingress):
        named += [(ingress, each.secret_name, each.hosts) for each in ingress.spec.tls]
    for own in scene.kube.every(IngressRoute):
        named += [(own, own.spec.tls.secret_name, ())] if own.spec.tls is not None else []
    found = []
    for obj, name, listed in named:
        # Of a Secret that was read cert-manager tells the names.
        read = scene.kube.find(Secret, obj.namespace, name)
        noted = read.get().metadata.annotations.get(_ALT_NAMES, "") if read.seen else ""
        hosts = {*(noted.split(",") if noted else listed or hosts_of(obj))}
        fits = all(any(name_matches(one, host) for one in leaf.names) for host in hosts)
        if name and fits and (type(obj).__name__, *obj.key) in loaded:
            many = len(hosts.intersection(leaf.names))
            found.append((ObjectRef("Secret", name, obj.namespace), many, ref_of(obj)))
    return found


def _when(stamp: str) -> dt.datetime:
    return dt.datetime.fromisoformat(stamp.replace("Z", "+00:00"))


@rule(reads=("dns", "http"), uses=USES)
def the_certificate_is_valid_for_long_enough(scene: Scene) -> Iterator[Finding]:
    """The certificate does not expire soon."""
    by_problem, fine = _presented(scene)
    if by_problem or not fine:
        return
    first = min((tls.chain[0] for tls in fine), key=lambda leaf: leaf.not_after)
    try:
        left = _when(first.not_after) - _when(scene.snapshot.taken_at)
        whole = _when(first.not_after) - _when(first.not_before)
    except ValueError:
        return
    asked = scene.target.certificate_days
    threshold = _SOON_DAYS if asked is None else asked
    # Short-lived certificates (hours, days) are renewed late by design.
    if left.days >= threshold or (asked is None and left > whole / 4):
        return
    yield of_host(
        "REQ013",
        scene,
        ObjectRef("Certificate", scene.target.host),
        not_after=first.not_after,
        days=left.days,
        threshold=threshold,
        related=_secrets(scene, first),
    )
