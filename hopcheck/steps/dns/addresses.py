"""Whose addresses they are: the load balancer's that leads to this cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hopcheck.behaviour.kubernetes.objects import outside_names
from hopcheck.catalogue.catalogue import Raw, listing
from hopcheck.model import Collected, ErrorKind, Finding, Severity
from hopcheck.model.aws import LoadBalancer, Target, TargetHealth
from hopcheck.scene.scene import Scene
from hopcheck.scene.strangers import holder
from hopcheck.steps.dns.records import (
    answers_of,
    dig_server,
    dns_proof,
    of_host,
    one_side_fails,
    serving_addresses,
)
from hopcheck.steps.names import cluster_address, last_exchanges, lb_ref
from hopcheck.steps.rule import Party, rule
from hopcheck.verdict.contradicted import Claim, Claimed

_ANY: tuple[Party, ...] = ("aws", "kube", "traefik", "http")


def _named(scene: Scene) -> bool:
    """Whether there are addresses to speak of, the same for all resolvers or all good."""
    return any(answer.addresses for answer in answers_of(scene)) and not one_side_fails(scene)


def _server(scene: Scene) -> Raw:
    return dig_server(next(a.resolver for a in answers_of(scene) if a.addresses))


@rule(reads=("dns",), uses=_ANY)
def addresses_are_its_load_balancers(scene: Scene) -> Iterator[Finding | Claimed]:
    """The addresses are its load balancer's own.

    Addresses that serve are another load balancer of the same site, whoever owns it.
    """
    if not _named(scene):
        return
    match, balancer = scene.match, scene.balancer
    if balancer is None:
        yield from _strangers(scene)
        return
    serving = serving_addresses(scene)
    foreign = [address for address in match.foreign if not serving.get(address, False)]
    if foreign:
        own = scene.snapshot.dns.names.get(match.name or "", Collected(value=())).or_else(())
        share = len(foreign) / max(1, len(scene.addresses))
        yield _not_its_own(scene, balancer, foreign, own or ("?",), share=share)


def _strangers(scene: Scene) -> Iterator[Claimed]:
    """Addresses of no load balancer: a fault only where this cluster's own one is elsewhere."""
    if not scene.aws.load_balancers.seen or not scene.feeding or len(scene.chain) > 1:
        return
    if cluster_address(scene) and not (holder(scene) or _past_its_balancer(scene)):
        return
    feeding = scene.feeding[0]
    own = scene.snapshot.dns.names.get(feeding.dns_name.lower())
    if own is None or not own.seen or set(own.get()) & set(scene.addresses):
        return
    found = _not_its_own(scene, feeding, scene.addresses, own.get())
    yield Claimed(Claim.STOPS_EVERYTHING, found)


def _past_its_balancer(scene: Scene) -> bool:
    """Whether they are nodes or pods where no Traefik takes the port, past its load balancer."""
    asked = (TargetHealth(Target(a, scene.target.port)) for a in scene.addresses)
    links = [scene.ends.link(one) for one in asked]
    named = {name for service in scene.services for name in outside_names(service)}
    inside = bool(scene.own_balancers) and named.isdisjoint(scene.addresses)
    return inside and all(link.kind is not None and link.leads is None for link in links)


def _not_its_own(
    scene: Scene, balancer: LoadBalancer, wrong: Sequence[str], right: Sequence[str], **more: Any
) -> Finding:
    return of_host(
        "DNS005",
        scene,
        wrong=listing(wrong),
        members=wrong,
        right=listing(right),
        lb=balancer.load_balancer_name,
        lb_dns=balancer.dns_name,
        dig_server=_server(scene),
        related=(lb_ref(balancer),),
        evidence=dns_proof(answers_of(scene)),
        **more,
    )


@rule(reads=("dns",), uses=_ANY, claims=Claim.STOPS_EVERYTHING)
def the_load_balancer_leads_to_this_cluster(scene: Scene) -> Iterator[Finding]:
    """The load balancer that the name leads to sends to this cluster."""
    balancer, other = scene.balancer, scene.meant
    if balancer is None or other is None or not _its_own(scene):
        return
    yield of_host(
        "DNS006",
        scene,
        lb=balancer.load_balancer_name,
        lb_dns=balancer.dns_name,
        other=other.load_balancer_name,
        other_dns=other.dns_name,
        dig_server=_server(scene),
        related=(lb_ref(balancer), lb_ref(other)),
    )


def _its_own(scene: Scene) -> bool:
    """Whether every address is the load balancer's, as far as the rule above can tell."""
    return _named(scene) and not addresses_are_its_load_balancers(scene)


@rule(reads=("dns",), uses=_ANY, unless=(the_load_balancer_leads_to_this_cluster,))
def its_load_balancer_can_be_reached_from_here(scene: Scene) -> Iterator[Finding]:
    """The load balancer is not an internal one that nobody here can reach."""
    balancer = scene.balancer
    if balancer is None or balancer.scheme != "internal" or not _its_own(scene):
        return
    if scene.snapshot.vantage.in_cluster:
        return
    silent = (ErrorKind.CONNECT_TIMEOUT, ErrorKind.UNREACHABLE)
    waits = [last.error in silent for last in last_exchanges(scene)]
    if waits and all(waits):
        name, addresses = balancer.load_balancer_name, listing(scene.addresses)
        related = (lb_ref(balancer),)
        yield of_host("DNS008", scene, lb=name, addresses=addresses, related=related)


@rule(reads=("dns",), uses=("aws",))
def addresses_of_both_families_are_named(scene: Scene) -> Iterator[Finding]:
    """A load balancer that has IPv4 addresses is named by them too: either family suffices."""
    answers = answers_of(scene)
    own = scene.snapshot.dns.names.get(scene.match.name or "")
    if not any(a.addresses for a in answers) or own is None or not own.seen:
        return
    lacking = [address for address in own.get() if ":" not in address]
    if lacking and all(":" in address for address in scene.addresses):
        first = next(a for a in answers if a.addresses)
        yield of_host(
            "DNS003",
            scene,
            variant="family",
            severity=Severity.INFO,
            resolver=first.resolver,
            has="AAAA",
            lacks="A",
            right=listing(lacking),
            dig_server=dig_server(first.resolver),
            evidence=dns_proof(answers),
        )


@rule(reads=("dns",))
def this_machine_resolves_it_alike(scene: Scene) -> Iterator[Finding]:
    """What this machine resolves the name to is what DNS says (no hosts file, no VPN)."""
    answers, local = answers_of(scene), scene.snapshot.dns.getaddrinfo
    if not any(a.addresses for a in answers) or not local.seen or not local.get():
        return
    if set(local.get()) & set(scene.addresses):
        return
    yield of_host(
        "DNS009",
        scene,
        local=listing(local.get()),
        dns=listing(scene.addresses),
        dig_server=dig_server(answers[0].resolver),
    )
