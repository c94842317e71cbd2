"""The middlewares on the route: do they exist, and does Traefik take and run them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from hopcheck.behaviour.aws.loadbalancer import fixed_addresses
from hopcheck.behaviour.kubernetes.references import MIDDLEWARES
from hopcheck.behaviour.traefik.route import HOST_ANNOTATION, Route, keeps_host
from hopcheck.behaviour.traefik.static import EntryPoint, within
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.config.target import is_address
from hopcheck.model import ErrorKind, Evidence, Exchange, Finding, ObjectRef, Words
from hopcheck.model.kubernetes import Middleware
from hopcheck.scene.middlewares import by_reference, names_of
from hopcheck.scene.outcome import asks_for_credentials, client_seen, preserving_group
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import upstreams
from hopcheck.steps import fixing
from hopcheck.steps.bounds import said
from hopcheck.steps.ingress.references import (
    filters_leave_in_what_the_route_names,
    in_former_group,
)
from hopcheck.steps.ingress.standing import route_rule
from hopcheck.steps.middlewares import OWN, Blame, culprits, faults, missing, spoilt
from hopcheck.steps.names import of_route, ref_of, route_ref, traefik_refs


@route_rule()
def middlewares_exist(scene: Scene, route: Route) -> Iterator[Finding]:
    """Every middleware that the route or its entryPoint names exists."""
    known, names = by_reference(scene), names_of(scene, route)
    for written in missing(scene, route):
        name = names[written] if names[written].endswith(OWN) else written
        old = in_former_group(scene, Middleware, name)
        full = fixing.in_full(name, route.namespace, known) or f"{name.partition('@')[0]}{OWN}"
        close = full if full in known else fixing.near(full, known)
        name_meant = full if full in known else fixing.meant(full, known)
        # Where the route does not, Traefik's arguments name it.
        owner = () if written in route.middlewares else traefik_refs(scene)
        yield of_route(
            "ING013",
            scene,
            route,
            at=owner[0] if owner else None,
            variant="former" if old else "entry_point" if owner else None,
            middleware=name,
            near=fixing.near_words(close),
            related=(
                *((route_ref(route),) if owner else ()),
                *((ref_of(known[close]),) if close else ()),
                _meant(route, name),
            ),
            **(_named(scene, route, written, name_meant) if name_meant else {}),
        )


def _named(scene: Scene, route: Route, written: str, reference: str) -> Words:
    """The edit that names in the Ingress's annotation what was meant."""
    listed = ",".join(reference if one == written else one for one in route.middlewares)
    field = f"metadata.annotations[{MIDDLEWARES}]"
    return fixing.of_route(scene, route, {field: listed} if route.kind == "Ingress" else {})


def _meant(route: Route, name: str) -> ObjectRef:
    """The one that is missing, as far as "namespace-name" can be taken apart."""
    bare, prefix = name.partition("@")[0], f"{route.namespace}-"
    if not bare.startswith(prefix):
        return ObjectRef("Middleware", bare)
    return ObjectRef("Middleware", bare.removeprefix(prefix), route.namespace)


def _broken(scene: Scene, route: Route, *keys: str) -> Iterator[Finding]:
    for fault in faults(scene, route):
        if fault.key in keys:
            ref, advice = fault.middleware, fault.key.partition("_")[0]
            yield make(
                "ING014",
                ref,
                middleware=f"{ref.namespace}/{ref.name}",
                route=str(route_ref(route)),
                reason=text("middleware", fault.key, **fault.words),
                advice=text("middleware_advice", advice, **fault.words),
                ns=ref.namespace,
                name=ref.name,
                evidence=fault.evidence,
                related=(*fault.related, route_ref(route)),
            )


@route_rule()
def middlewares_have_what_they_need(scene: Scene, route: Route) -> Iterator[Finding]:
    """What the middlewares name is there: Secrets, plugins, a chain's links, error pages."""
    yield from _broken(
        scene, route, "secret", "chain", "plugin", "pages", "auth_missing", "auth_down"
    )


@route_rule("http")
def redirects_in_front_of_nothing_redirect(scene: Scene, route: Route) -> Iterator[Finding]:
    """A redirect in front of noop@internal, which answers nothing but 418, lets no request pass."""
    yield from _broken(scene, route, "idle", "same")


@route_rule("http")
def application_is_asked_under_its_host(scene: Scene, route: Route) -> Iterator[Finding]:
    """The application hears the host's name, where it answers to no other."""
    url, status = spoilt(scene, route) or ("", None)
    if not url:
        return
    for one in upstreams(scene):
        if keeps_host(route, one.backend, one.service):
            continue
        named = one.backend.pass_host_header is not None
        words: Words = {"service": one.full, "url": url, "status": status, "share": one.share}
        words["setting"] = "passHostHeader" if named else HOST_ANNOTATION
        direct = one.backend in route.backends
        at = one.backend.field if direct else None
        at_service = one.at(f"metadata.annotations[{HOST_ANNOTATION}]")
        related = (one.ref, route_ref(route))
        yield of_route(
            "ING044", scene, route, at=at if named else at_service, related=related, **words
        )


@route_rule(unless=(filters_leave_in_what_the_route_names,))
def middlewares_are_accepted(scene: Scene, route: Route) -> Iterator[Finding]:
    """Traefik accepts the route's middlewares, by its API or its log."""
    yield from _broken(scene, route, "refused", "absent")


@route_rule("http")
def middlewares_let_requests_through(scene: Scene, route: Route) -> Iterator[Finding]:
    """No middleware answers clients badly where the application itself serves."""
    yield from _broken(scene, route, "hosts")
    blame = culprits(scene, route)
    if blame is None:
        return
    refs = [ref_of(obj) for obj in blame.middlewares]
    owner, alone, bad = route_ref(route), len(refs) == 1, blame.answer
    key = "loop" if bad.error is ErrorKind.TOO_MANY_REDIRECTS else "between"
    words: Words = {"status": bad.status, "location": bad.header("location") or ""}
    seen, advice = _judged_by(scene, blame)
    way, entry = scene.way, scene.entry_point
    told = way is not None and way.listener.protocol == "HTTPS"  # an ALB says what came to it
    schemes = all(obj.kinds == {"redirectScheme"} for obj in blame.middlewares)
    fix = "trust" if key == "loop" and told and schemes and entry is not None else key
    words["entry"] = entry.name if entry is not None else ""
    asks = asks_for_credentials(scene, bad)
    yield make(
        "ING041" if asks else "ING040" if blame.refused else "ING014",
        refs[0] if alone else owner,
        variant=None if alone else "several",
        middleware=listing(f"{ref.namespace}/{ref.name}" for ref in refs),
        route=str(owner),
        url=bad.url,
        status=bad.status,
        seen=seen,
        reason=text("middleware", key, **words),
        advice=advice if blame.refused else text("middleware_advice", fix, **words),
        ns=refs[0].namespace or "",
        name=refs[0].name,
        share=blame.share,
        evidence=[Evidence(p.member, said(p)) for p in blame.pods[:3]],
        related=(owner,) if alone else refs,
    )


_BY_ADDRESS = {"ipAllowList", "ipWhiteList", "rateLimit", "inFlightReq"}


def _judged_by(scene: Scene, blame: Blame) -> tuple[str, str]:
    """By whose address the requests were judged, where that is what counts, and what to do."""
    if not all(obj.kinds <= _BY_ADDRESS for obj in blame.middlewares):
        return "", text("judged_advice", "other", status=blame.answer.status)
    forwarded = any("ipStrategy" in str(obj.spec) for obj in blame.middlewares)
    source, words = judged_by(scene, blame.answer, "forwarded" if forwarded else "")
    words["what"] = text("judged", "middleware")
    limited = blame.answer.status == 429
    keys = ("limit",) * limited + (source,) * (not limited or source not in ("client", "other"))
    advice = " ".join(text("judged_advice", key, **words) for key in keys)
    return text("judged_by", "client" if source == "other" else source, **words), advice


def judged_by(scene: Scene, answer: Exchange, source: str = "") -> tuple[str, Words]:
    """By whose address a request of that answer is judged, if not by another `source`; in words."""
    words: Words = {"status": answer.status}
    seen = client_seen(scene.snapshot, answer)
    way, entry, service = scene.way, scene.entry_point, scene.traefik_service
    sends = entry is not None and entry.proxy_protocol and _sent(scene) is not False
    at_pods = way is not None and bool(way.targets) and not way.feeds_nodes
    local = service is None or service.spec.external_traffic_policy == "Local"
    if source:
        seen = ""
    elif way is not None and way.balancer.type == "application":
        source = "alb"
    elif _ignored(scene, entry, seen):
        source = "header"
    elif sends or (seen and not ip_address(seen).is_private and seen not in _ends(scene)):
        source = "client"
    elif at_pods:
        source = "client" if preserving_group(scene) else "nlb"
    else:  # kube-proxy writes the node's address over the client's, unless it stays on the node
        source = "client" if local else "node"
    words["address"] = f" ({seen})" if seen else ""
    words["entry"] = entry.name if entry is not None else "websecure"
    words["service"] = str(ref_of(service)) if service is not None else ""
    # Neither a node nor a load balancer is anybody to be added to a list.
    return "other" if source == "client" and seen in _ends(scene) else source, words


def _sent(scene: Scene) -> bool | None:
    """Whether the load balancer sends the PROXY protocol; None where it cannot be told."""
    told = [group.attributes for group in (scene.way.groups if scene.way else ())]
    if any(one.get("proxy_protocol_v2.enabled") == "true" for one in told):
        return True
    return False if told and all(told) else None


def _ignored(scene: Scene, entry: EntryPoint | None, seen: str | None) -> bool:
    """Whether a PROXY header is sent that Traefik ignores, from an address it does not trust.

    By the address that it saw; else by those of the nodes, which kube-proxy has it see.
    """
    if entry is None or not entry.proxy_protocol or not _sent(scene):
        return False
    service, nodes = scene.traefik_service, filter(is_address, scene.node_ids)
    rewritten = service is not None and service.spec.external_traffic_policy != "Local"
    through = rewritten and scene.way is not None and scene.way.feeds_nodes
    peers = {seen} & _ends(scene) if seen else {*nodes} if through else set()
    return bool(peers) and not any(within(one, entry.proxy_trusted) for one in peers)


def _ends(scene: Scene) -> set[str]:
    """The addresses of the nodes and of the load balancer, as far as they are known."""
    front, interfaces = scene.balancer, scene.aws.network_interfaces.or_else(()) or ()
    return {*scene.node_ids, *(fixed_addresses(front, interfaces) if front is not None else ())}
