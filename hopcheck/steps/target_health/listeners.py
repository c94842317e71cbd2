"""The listener: is there one, does it end TLS where it should, and does its rule lead on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from hopcheck.behaviour.aws.loadbalancer import chosen_rule
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import NOT_SELECTED, ErrorKind, Finding, Hop, ObjectRef, Severity, Words
from hopcheck.model.aws import Action, Listener, ListenerRule, LoadBalancer
from hopcheck.scene.chain import Chain, GroupLink, TraefikPort
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import (
    Producer,
    certificate_problem,
    producer,
    requests_made,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, standard_port
from hopcheck.steps import middlewares
from hopcheck.steps.names import traefik_refs
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health.front import (
    BEHIND,
    SHOWN,
    WAY,
    balancer_of,
    lb_ref,
    listener_ref,
    of_listener,
    service_refs,
    way_of,
)
from hopcheck.verdict.contradicted import Claim

Mixup = Literal["entry", "redirect", "told", "tls", "plain"]


@rule(
    reads=("dns", "aws"),
    uses=BEHIND,
    claims=Claim.STOPS_EVERYTHING,
    otherwise=Severity.WARNING,
)
def the_load_balancer_is_active(scene: Scene) -> Iterator[Finding]:
    """AWS says that the load balancer is active.

    One that serves all the same is no outage: a new one is ready before AWS says so.
    """
    balancer = balancer_of(scene)
    code = balancer.state.code if balancer is not None else ""
    if balancer is None or code in ("", "active"):
        return
    impaired = code == "active_impaired"
    yield make(
        "TGT001",
        lb_ref(balancer),
        variant="impaired" if impaired else None,
        severity=Severity.WARNING if impaired else None,
        lb=balancer.load_balancer_name,
        state=code,
        reason=f" ({balancer.state.reason})" if balancer.state.reason else "",
    )


@rule(reads=("dns", "aws"), uses=BEHIND)
def a_listener_takes_the_port(scene: Scene) -> Iterator[Finding]:
    """A listener for streams takes the port of the URL, and of where requests are redirected."""
    balancer = balancer_of(scene)
    if balancer is None or not _listeners(scene, balancer):
        return
    if way_of(scene) is None:
        yield _no_listener(scene, balancer, scene.target.port, scene.target.scheme)
        return
    for collected in scene.snapshot.http.requests:
        exchanges = collected.get().exchanges if collected.seen else ()
        last = exchanges[-1] if len(exchanges) > 1 else None
        if last is None or last.status is not None or last.port in (None, scene.target.port):
            continue
        scheme = urlsplit(last.url).scheme
        if last.port == standard_port(scheme) and scene.listener(balancer, last.port) is None:
            yield _no_listener(scene, balancer, last.port, scheme)
            return


def _listeners(scene: Scene, balancer: LoadBalancer) -> tuple[Listener, ...] | None:
    """The listeners; None where they could not be read."""
    found = scene.aws.listeners.get(balancer.load_balancer_arn, NOT_SELECTED)
    return found.get() if found.seen else None


def _no_listener(scene: Scene, balancer: LoadBalancer, port: int, scheme: str) -> Finding:
    listeners = _listeners(scene, balancer) or ()
    common: Words = {
        "lb": balancer.load_balancer_name,
        "lb_arn": balancer.load_balancer_arn,
        "port": port,
        "related": (lb_ref(balancer),),
    }
    datagrams = [one for one in listeners if one.port == port]
    if datagrams:
        return make(
            "TGT003",
            listener_ref(balancer, port),
            protocol=datagrams[0].protocol,
            scheme=scheme,
            wanted=text("said", "tcp_or_tls"),
            **common,
        )
    entry = scene.wanted_port(scheme)
    return make(
        "TGT002",
        listener_ref(balancer, port),
        ports=listing(sorted(one.port for one in listeners)),
        entry=(entry.name or entry.port) if entry else scheme,
        **common,
    )


# --- what is spoken on both sides


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def the_listener_leads_to_the_entrypoint_of_its_scheme(scene: Scene) -> Iterator[Finding]:
    """What the listener passes on arrives at the entryPoint for the scheme of the URL."""
    for way, group, number, port in _mixed_up(scene, "entry"):
        meant = _meant(scene, way, group, number, port)
        if meant is None:
            continue
        nodes = group.kind_at(number) == "node"
        yield of_listener(
            "TGT004",
            way,
            variant=None if nodes and port.nodes is None else "own_port",
            tg=group.name,
            tg_arn=group.arn,
            target_port=number,
            scheme=scene.target.scheme,
            wanted=meant[0].name or meant[0].port,
            wanted_port=meant[1],
            related=(group.ref, lb_ref(way.balancer), *service_refs(scene)),
            entry=_entry(port),
        )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def nothing_redirects_to_https_behind_ended_tls(scene: Scene) -> Iterator[Finding]:
    """Behind a listener that ends TLS nothing redirects to https what came by https."""
    for way, group, _, port in _mixed_up(scene, "redirect", "told"):
        redirect = port.entry_point.redirect_to if port.entry_point is not None else None
        yield of_listener(
            "TGT006",
            way,
            variant=None if redirect is not None else "told",
            redirect=redirect if redirect is not None else scene.target.url,
            host=scene.target.host,
            path=scene.target.path,
            related=(group.ref, *traefik_refs(scene)),
            entry=_entry(port),
        )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def both_ends_speak_tls_or_neither(scene: Scene) -> Iterator[Finding]:
    """What the target group speaks is what the entryPoint behind it expects."""
    for way, group, number, port in _mixed_up(scene, "tls", "plain"):
        yield of_listener(
            "TGT005",
            way,
            variant="plain" if _mixup(scene, way, group, number, port) == "plain" else None,
            tg=group.name,
            tg_protocol=group.protocol,
            target_port=number,
            related=(group.ref,),
            entry=_entry(port),
        )


_Link = tuple[Chain, GroupLink, int, TraefikPort]


def _entry(port: TraefikPort) -> str:
    return port.entry_point.name if port.entry_point is not None else ""


def _mixed_up(scene: Scene, *kinds: Mixup) -> Iterator[_Link]:
    """The links at whose ends different things are spoken, in one of these ways."""
    way = way_of(scene)
    for group in way.groups if way is not None else ():
        for number in group.numbers:
            port = group.leads(number)
            if way is None or port is None or port.entry_point is None:
                continue
            if _mixup(scene, way, group, number, port) in kinds:
                yield way, group, number, port


def _mixup(
    scene: Scene, way: Chain, group: GroupLink, number: int, port: TraefikPort
) -> Mixup | None:
    """What is wrong first: the entryPoint, the redirect, or TLS at one end alone.

    A TCP listener passes on what the client speaks.
    """
    if _meant(scene, way, group, number, port) is not None:
        return "entry"
    if way.ends_tls and port.entry_point is not None and port.entry_point.redirect_to is not None:
        return "redirect"
    if way.ends_tls and _told_http(scene):
        return "told"
    if way.listener.protocol == "TCP":
        return None
    tls = _speaks_tls(scene, port)
    if group.protocol in ("TLS", "HTTPS") and not tls:
        return "plain"
    return "tls" if group.sends_plain and tls and way.ends_tls else None


def _speaks_tls(scene: Scene, port: TraefikPort) -> bool:
    if port.entry_point is not None and port.entry_point.tls:
        return True
    return port.same_entry(scene.wanted_port("https"))


def _meant(
    scene: Scene, way: Chain, group: GroupLink, number: int, port: TraefikPort
) -> tuple[TraefikPort, int] | None:
    """The port that the listener should reach and its number for such targets.

    None where it does reach it, or something in between changes the scheme.
    """
    usual = scene.target.port == standard_port(scene.target.scheme)
    if not usual or way.ends_tls or way.listener.protocol == "HTTP":
        return None
    wanted = scene.wanted_port(scene.target.scheme)
    other = scene.wanted_port("http" if scene.target.scheme == "https" else "https")
    if wanted is None or port.same_entry(wanted):
        return None
    internal = port.entry_point is not None and port.entry_point.name in ("traefik", "metrics")
    if not port.same_entry(other) and not internal:
        return None
    kind = group.kind_at(number)
    every = (wanted, *(one for one in scene.own_ports if one.same_entry(wanted)))
    return next(((wanted, n) for one in every if (n := one.number(kind))), None)


def _told_http(scene: Scene) -> bool:
    """Whether the application redirects endlessly what it serves once it is told https.

    So its pods, asked directly, were told; no middleware of the route redirects.
    """
    made = requests_made(scene.snapshot)
    loops = [p for p in made if p.exchanges[-1].error is ErrorKind.TOO_MANY_REDIRECTS]
    pods = [p.exchanges[-1].status for p in probes_at(scene, Hop.POD)]
    served = pods and all(status is not None and status < 300 for status in pods)
    routing = routing_of(scene)
    route = routing.winner
    if not loops or len(loops) < len(made) or not served or route is None:
        return False
    if route.middlewares and not scene.kube.list("middlewares").seen:
        return False
    return middlewares.sound(scene, route)


# --- its certificate and its rules


@rule(reads=("dns", "aws"), uses=BEHIND)
def the_listeners_certificate_is_the_hosts(scene: Scene) -> Iterator[Finding]:
    """A listener that ends TLS presents a certificate that is valid for the host."""
    way = way_of(scene)
    if way is None or not way.ends_tls:
        return
    for collected in scene.snapshot.http.requests:
        for exchange in collected.get().exchanges if collected.seen else ():
            if exchange.tls is None or not exchange.tls.chain or exchange.port is None:
                continue
            problem = certificate_problem(exchange.tls, scene.target.host, scene.snapshot.taken_at)
            if problem is None or problem.value in ("untrusted", "default"):
                continue
            leaf = exchange.tls.chain[0]
            yield of_listener(
                "TGT008",
                way,
                host=scene.target.host,
                problem=text(
                    "certificate",
                    problem.value,
                    not_after=leaf.not_after,
                    not_before=leaf.not_before,
                    names=listing(leaf.names),
                ),
                actual=leaf.subject,
                listener_arn=way.listener.listener_arn,
                related=tuple(
                    ObjectRef("Certificate", c.certificate_arn) for c in way.listener.certificates
                ),
            )
            return


@rule(reads=("dns", "aws"), uses=BEHIND, unless=(a_listener_takes_the_port,))
def the_listeners_rule_forwards(scene: Scene) -> Iterator[Finding]:
    """The rule of the listener for the host and path leads to a target group."""
    way = way_of(scene)
    rules = _rules(scene, way) if way is not None else ()
    if way is None or not rules:
        return
    chosen = chosen_rule(rules, scene.target.host, scene.target.path)
    actions = chosen.actions if chosen is not None else ()
    last = actions[-1] if actions else Action()
    kind = last.type or "forward"
    probes = [c.get() for c in scene.snapshot.http.requests if c.seen]
    own = [p for p in probes if p.exchanges and producer(p.exchanges[-1]) is Producer.ALB]
    loops = [p for p in own if p.exchanges[-1].error is ErrorKind.TOO_MANY_REDIRECTS]
    astray = [
        p
        for p in probes
        if len(p.exchanges) > 1
        and producer(p.exchanges[0]) is Producer.ALB
        and p.exchanges[-1].status is None
    ]
    if kind == "fixed-response" and (own or not probes):
        fixed = last.fixed_response_config
        action = text("action", "fixed", status=fixed.status_code if fixed else "").strip()
    elif kind == "redirect" and loops:
        action = text("action", "redirect", location=loops[0].exchanges[-1].header("location"))
    elif kind == "redirect" and astray:
        action = text("action", "redirect_dead", location=astray[0].exchanges[-1].url)
    else:
        return
    yield led_elsewhere(scene, way, action, related=(lb_ref(way.balancer),))


def _rules(scene: Scene, way: Chain) -> tuple[ListenerRule, ...]:
    found = scene.aws.rules.get(way.listener.listener_arn, NOT_SELECTED)
    return tuple(found.or_else(()) or ())


def led_elsewhere(scene: Scene, way: Chain, action: str, **more: Any) -> Finding:
    """The rule for the host and path does something else than lead to this cluster."""
    chosen = chosen_rule(_rules(scene, way), scene.target.host, scene.target.path)
    return of_listener(
        "TGT009",
        way,
        host=scene.target.host,
        path=scene.target.path,
        rule=chosen.priority if chosen is not None else "default",
        action=action,
        listener_arn=way.listener.listener_arn,
        **more,
    )
