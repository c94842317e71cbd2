"""The listener: is there one, does it end TLS where it should, and does its rule lead on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from hopcheck.behaviour.traefik.static import EntryPoint
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import NOT_SELECTED, ErrorKind, Finding, Hop, ObjectRef, Severity
from hopcheck.model.aws import Action, LoadBalancer
from hopcheck.scene.chain import Chain, GroupLink, TraefikPort
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import Producer, certificate_problem, producer, requests_made
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, standard_port
from hopcheck.steps import middlewares
from hopcheck.steps.names import last_exchanges, lb_ref, sent, traefik_refs
from hopcheck.steps.rule import BEHIND, SHOWN, WAY, rule
from hopcheck.steps.target_health.front import balancer_of, of_listener, service_refs, way_of
from hopcheck.verdict.contradicted import Claim

Mixup = Literal["entry", "redirect", "told", "tls", "plain"]


@rule(reads=("dns", "aws"), uses=BEHIND, claims=Claim.STOPS_EVERYTHING, otherwise=Severity.WARNING)
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


@rule(reads=("dns", "aws"), uses=BEHIND, claims=Claim.STOPS_A_PART)
def a_listener_takes_the_port(scene: Scene) -> Iterator[Finding]:
    """A listener for streams takes the port of the URL, and of where requests are redirected."""
    balancer = balancer_of(scene)
    if balancer is None or not scene.listeners(balancer):
        return
    way = way_of(scene)
    if way is None or not way.listener.takes(scene.target.scheme):
        yield _no_listener(scene, balancer, scene.target.port, scene.target.scheme)
        return
    for last in (probe.exchanges[-1] for probe in sent(scene) if len(probe.exchanges) > 1):
        if last.status is not None or last.port in (None, scene.target.port):
            continue
        scheme = urlsplit(last.url).scheme
        there = scene.listener(balancer, last.port) if last.port == standard_port(scheme) else None
        if last.port == standard_port(scheme) and not (there and there.takes(scheme)):
            yield _no_listener(scene, balancer, last.port, scheme, last.url)
            return


def _no_listener(
    scene: Scene, balancer: LoadBalancer, port: int, scheme: str, url: str = ""
) -> Finding:
    listeners = scene.listeners(balancer)
    protocol = next((one.protocol for one in listeners if one.port == port), None)
    entry, alb = scene.wanted_port(scheme), balancer.type == "application"
    variant = "https" if scheme == "https" and alb and protocol is None else None
    if scheme == "http" and any(one.ends_tls for one in listeners):
        variant = "told" if url and scene.target.scheme == "https" else "redirect" if alb else None
    variant = {"HTTP": "plain", "TLS": "tls", "HTTPS": "tls"}.get(
        protocol or "", variant if protocol is None else None
    )
    return of_listener(
        "TGT002" if protocol is None else "TGT003",
        balancer,
        port,
        variant=variant,
        host=scene.target.host,
        protocol=protocol,
        scheme=scheme,
        location=url,
        wanted=text("said", "tcp_or_tls"),
        ports=listing(sorted(one.port for one in listeners)),
        entry=(entry.name or entry.port) if entry else scheme,
        related=(lb_ref(balancer),),
    )


# --- what is spoken on both sides


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def the_listener_leads_to_the_entrypoint_of_its_scheme(scene: Scene) -> Iterator[Finding]:
    """What the listener passes on arrives at the entryPoint for the scheme of the URL."""
    for link in _mixed_up(scene, "entry"):
        group, number, port, _ = link
        meant = _meant(scene, link)
        if meant is None:
            continue
        nodes = group.kind_at(number) == "node"
        yield _between(
            "TGT004",
            link,
            variant=None if nodes and port.nodes is None else "own_port",
            scheme=scene.target.scheme,
            wanted=meant[0].name or meant[0].port,
            wanted_port=meant[1],
            right_arn=_group_on(scene, group, meant[1]),
            related=(group.ref, lb_ref(group.balancer), *service_refs(scene)),
        )


def _group_on(scene: Scene, group: GroupLink, port: int) -> str:
    """The ARN of the one group of the same kind whose targets are all on that port; else ""."""
    kind, lb = (group.protocol, group.obj.target_type), group.balancer.load_balancer_arn
    alike = [
        one.target_group_arn
        for one in scene.aws.target_groups.or_else(()) or ()
        if (one.protocol, one.target_type) == kind and {*one.load_balancer_arns} <= {lb}
    ]
    health = ((arn, scene.aws.target_health.get(arn, NOT_SELECTED).or_else(())) for arn in alike)
    on = [arn for arn, targets in health if {one.target.port for one in targets} == {port}]
    return on[0] if len(on) == 1 and group.balancer.type == "network" else ""


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def nothing_redirects_to_https_behind_ended_tls(scene: Scene) -> Iterator[Finding]:
    """Behind a listener that ends TLS nothing redirects to https what came by https."""
    for link in _mixed_up(scene, "redirect", "told"):
        group, _, _, entry = link
        yield _between(
            "TGT006",
            link,
            variant=None if entry.redirect_to is not None else "told",
            redirect=entry.redirect_to if entry.redirect_to is not None else scene.target.url,
            host=scene.target.host,
            path=scene.target.path,
            related=(group.ref, *traefik_refs(scene)),
        )


@rule(reads=WAY, uses=SHOWN, claims=Claim.STOPS_EVERYTHING)
def both_ends_speak_tls_or_neither(scene: Scene) -> Iterator[Finding]:
    """What the target group speaks is what the entryPoint behind it expects."""
    for link in _mixed_up(scene, "tls", "plain"):
        variant = "plain" if _mixup(scene, link) == "plain" else None
        yield _between("TGT005", link, variant=variant, related=(link[0].ref,))


# A target group, a port of its targets, and the port and entryPoint of Traefik that it leads to.
_Link = tuple[GroupLink, int, TraefikPort, EntryPoint]


def _between(code: str, link: _Link, **params: Any) -> Finding:
    """A finding about what is spoken at the two ends of a link."""
    group, number, _, entry = link
    params |= {"tg": group.name, "tg_arn": group.arn, "tg_protocol": group.protocol}
    params |= {"target_port": number, "entry": entry.name}
    params["listener_arn"] = group.listener.listener_arn
    return of_listener(code, group.balancer, group.listener.port, **params)


def _mixed_up(scene: Scene, *kinds: Mixup) -> Iterator[_Link]:
    """The links at whose ends different things are spoken, in one of these ways."""
    way = way_of(scene)
    for group in way.groups if way is not None else ():
        for number in group.numbers:
            port = group.leads(number)
            if port is not None and port.entry_point is not None:
                link = (group, number, port, port.entry_point)
                if _mixup(scene, link) in kinds:
                    yield link


def _mixup(scene: Scene, link: _Link) -> Mixup | None:
    """What is wrong first: the entryPoint, the redirect, or TLS at one end alone.

    A TCP listener passes on what the client speaks.
    """
    group, _, port, entry = link
    if _meant(scene, link) is not None:
        return "entry"
    passed = any(last.status == 418 for last in last_exchanges(scene))  # no loop: see SVC040
    if group.listener.ends_tls and entry.redirect_to is not None and not passed:
        return "redirect"
    if group.listener.ends_tls and _told_http(scene):
        return "told"
    if group.listener.protocol == "TCP":
        return None
    tls = bool(entry.tls) or port.same_entry(scene.wanted_port("https"))
    if group.protocol in ("TLS", "HTTPS") and not tls:
        return "plain"
    return "tls" if group.sends_plain and tls and group.listener.ends_tls else None


def _meant(scene: Scene, link: _Link) -> tuple[TraefikPort, int] | None:
    """The port that the listener should reach and its number for such targets.

    None where it does reach it, or something in between changes the scheme.
    """
    group, number, port, entry = link
    usual = scene.target.port == standard_port(scene.target.scheme)
    if not usual or group.listener.ends_tls or group.listener.protocol == "HTTP":
        return None
    wanted = scene.wanted_port(scene.target.scheme)
    other = scene.wanted_port("http" if scene.target.scheme == "https" else "https")
    if wanted is None or port.same_entry(wanted):
        return None
    if not port.same_entry(other) and entry.name not in ("traefik", "metrics"):
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
    route = routing_of(scene).winner
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
    if way is None or not way.listener.ends_tls or scene.meant is not None:
        return
    for exchange in (exchange for probe in sent(scene) for exchange in probe.exchanges):
        if exchange.tls is None or not exchange.tls.chain or exchange.port is None:
            continue
        problem = certificate_problem(exchange.tls, scene.snapshot)
        if problem is None or problem.value in ("untrusted", "default"):
            continue
        leaf = exchange.tls.chain[0]
        dates = {"not_after": leaf.not_after, "not_before": leaf.not_before}
        presented = (ObjectRef("Certificate", c.certificate_arn) for c in way.listener.certificates)
        yield of_listener(
            "TGT008",
            way.balancer,
            way.listener.port,
            host=scene.target.host,
            problem=text("certificate", problem.value, **dates, names=listing(leaf.names)),
            actual=leaf.subject,
            listener_arn=way.listener.listener_arn,
            related=tuple(presented),
        )
        return


@rule(reads=("dns", "aws"), uses=BEHIND, unless=(a_listener_takes_the_port,))
def the_listeners_rule_forwards(scene: Scene) -> Iterator[Finding]:
    """The rule of the listener for the host and path leads to a target group."""
    way = way_of(scene)
    chosen = scene.rule(way.listener) if way is not None else None
    if way is None or chosen is None or scene.meant is not None:
        return
    last = chosen.actions[-1] if chosen.actions else Action()
    kind, probes = last.type, sent(scene)
    own = [p for p in probes if producer(p.exchanges[-1]) is Producer.ALB]
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


def led_elsewhere(scene: Scene, at: Chain | GroupLink, action: str, **more: Any) -> Finding:
    """The rule for the host and path does something else than lead to this cluster."""
    chosen = scene.rule(at.listener)
    return of_listener(
        "TGT009",
        at.balancer,
        at.listener.port,
        host=scene.target.host,
        path=scene.target.path,
        rule=chosen.priority if chosen is not None else "default",
        action=action,
        listener_arn=at.listener.listener_arn,
        **({"later": ""} | more),
    )
