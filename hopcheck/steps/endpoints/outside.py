"""Services that are but a name for a host outside (ExternalName)."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.catalogue.catalogue import listing, make
from hopcheck.model import Finding
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import outcomes
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.endpoints.judged import State, judged, of_interest, traefik_statuses
from hopcheck.steps.names import route_refs, traefik_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule


def provider_that_forbids(scene: Scene) -> str | None:
    """The provider of the route, where Traefik's settings allow it no ExternalName."""
    routing = routing_of(scene)
    static = routing.view.static
    crd = routing.winner is not None and routing.winner.kind != "Ingress"
    allowed = (static.crd if crd else static.ingress).allow_external_name
    if not static.known or allowed:
        return None
    return "kubernetescrd" if crd else "kubernetesingress"


def outside_alone(scene: Scene) -> list[Upstream]:
    """The ExternalNames that Traefik takes, where nothing else is behind the route."""
    routing = routing_of(scene)
    found = [one for one in of_interest(scene) if one.external]
    backends = routing.backends(routing.winner)[0] if routing.winner is not None else []
    alone = len(found) == len(backends) and provider_that_forbids(scene) is None
    return found if alone else []


def unanswered(scene: Scene) -> list[int]:
    """Statuses by which Traefik itself says that what is behind it does not answer."""
    return sorted(traefik_statuses(scene) & {502, 504})


@rule(reads=("kube",), uses=BESIDE_KUBE)
def external_names_are_allowed(scene: Scene) -> Iterator[Finding]:
    """Traefik's settings allow the ExternalName Services behind the route."""
    flag = provider_that_forbids(scene)
    for one in judged(scene, State.EXTERNAL) if flag else ():
        yield make(
            "END007",
            one.ref,
            flag=flag,
            provider=flag,
            external=spec(one.service).get("externalName"),
            related=traefik_refs(scene),
            share=one.share,
            **one.words,
        )


@rule(reads=("kube", "http"), uses=BESIDE_KUBE, silent_when="any_succeeded")
def outside_hosts_answer(scene: Scene) -> Iterator[Finding]:
    """The hosts outside that ExternalName Services name answer Traefik."""
    outside, answers = outside_alone(scene), unanswered(scene)
    if outside and answers:
        names = listing(str(spec(one.service).get("externalName")) for one in outside)
        yield gap_to(scene, outside[0], answers, external=names, variant="external")


def gap_to(
    scene: Scene,
    one: Upstream,
    answers: list[int],
    external: str = "",
    variant: str | None = None,
) -> Finding:
    """Traefik answers with `answers` itself, though what is behind it should be reached."""
    instance = scene.instance
    pods = instance.pods if instance else ()
    return make(
        "END014",
        one.ref,
        variant=variant,
        external=external,
        answer=listing(answers),
        traefik_ns=instance.namespace if instance else "",
        pod=meta(pods[0]).get("name", "") if pods else "",
        related=route_refs(routing_of(scene)),
        **one.words,
    )


def serves_outside(scene: Scene) -> bool:
    """Whether hosts outside are all there is behind the route, and nothing shows them silent."""
    works = outcomes(scene.snapshot).succeeded > 0
    return bool(outside_alone(scene)) and (works or not unanswered(scene))
