"""What is said of the application behind the host: whose answer it is, whether it waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Evidence, Exchange, Finding, Hop, ObjectRef, Probe, Words
from hopcheck.model.kubernetes import EndpointSlice, Middleware, NetworkPolicy, Pod
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.outcome import origin_answered, requests_made, says_tls, succeeded
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps.middlewares import may_answer
from hopcheck.steps.names import failure, labels_as_text, workloads_of
from hopcheck.steps.rule import Party, rule

# Whose answer it was, what stands behind the host.
USES: tuple[Party, ...] = ("aws", "kube", "traefik")


def share_of(part: int, total: int) -> float | None:
    """The part of the addresses concerned; None where it is all of them."""
    return part / total if part < total else None


def of_host(code: str, scene: Scene, at: ObjectRef | None = None, /, **more: Any) -> Finding:
    """A finding about the host, or about another object `at` fault."""
    target = scene.target
    words: Words = {"host": target.host, "port": target.port, "url": target.url}
    return make(code, at or host_ref(scene), **(words | {"expect": target.expect_status} | more))


def host_ref(scene: Scene) -> ObjectRef:
    """The host itself, where nothing more precise is known."""
    return ObjectRef("Host", scene.target.host)


def proof_of(probe: Probe) -> tuple[Evidence, ...]:
    """The last exchanges of a probe, as evidence."""
    found = []
    for exchange in probe.exchanges[-2:]:
        words = str(exchange.status) if exchange.status else failure(exchange)
        body = exchange.body.strip().splitlines()[:1]
        found.append(
            Evidence(
                f"GET {exchange.url} @{exchange.address}",
                f"{words} {exchange.error_text} {body[0] if body else ''}".strip(),
            )
        )
    return tuple(found)


def possible(scene: Scene, last: Exchange) -> list[Upstream]:
    """The Services behind the host that may have given this answer.

    Of several, those of which an endpoint answers the same when it is asked directly; else all.
    """
    found = {(one.namespace, one.name): one for one in upstreams(scene) if one.backend.weight != 0}
    if len(found) < 2:
        return list(found.values()) or upstreams(scene)[:1]
    said = (last.status, last.error)
    same = [
        one
        for one in found.values()
        if any((p.exchanges[-1].status, p.exchanges[-1].error) == said for p in one.probes)
    ]
    return same or list(found.values())


def service_of(scene: Scene, last: Exchange) -> tuple[str, str, str]:
    """(namespace, name, selector) of the Service that answered, for objects and commands."""
    for one in possible(scene, last):
        return one.namespace, one.name, labels_as_text(one.selector)
    return "", scene.target.host, ""


def application_of(scene: Scene, last: Exchange) -> tuple[ObjectRef, tuple[ObjectRef, ...]]:
    """The application that answered, and what it runs as; the host where several may have."""
    found = possible(scene, last)
    if not found:
        return ObjectRef("Application", scene.target.host), ()
    related = [
        ref for one in found for ref in (one.ref, *workloads_of(scene, one.namespace, one.name))
    ]
    return found[0].application if len(found) == 1 else host_ref(scene), tuple(related)


def _pods(scene: Scene) -> list[Exchange]:
    """The last exchange with each of the application's pods that was asked directly."""
    return [probe.exchanges[-1] for probe in probes_at(scene, Hop.POD)]


def waits(scene: Scene, namespace: str) -> bool:
    """Whether it is the application that keeps the request waiting, and not the way to it.

    Its pods, asked directly, wait too; or nothing else is left: no policy is in between.
    """
    if answers := _pods(scene):
        return all(answer.error is ErrorKind.READ_TIMEOUT for answer in answers)
    kube, instance = scene.kube, scene.instance
    if instance is None:  # what holds for Traefik's own pods is not known
        return False
    spaces = {namespace, instance.namespace}
    policies = [kube.of(NetworkPolicy, space) for space in spaces]
    if not namespace or not all(one.seen for one in policies):
        return False
    # Whom a policy selects is told by the pods: one that blocks is named then.
    pods = kube.of(Pod, namespace).seen and kube.of(EndpointSlice, namespace).seen
    return pods or not any(one.get() for one in policies)


def _nobodys(scene: Scene, last: Exchange) -> bool:
    """Whether it cannot be told who wrote the answer: a TLS server, an authentication service.

    A 500 with nothing in it may be a forwardAuth's, as long as the middlewares are not seen.
    """
    if says_tls(last):
        return True
    seen = routing_of(scene).winner is not None and scene.kube.of(Middleware).seen
    if last.status != 500 or last.body.strip() or seen:
        return False
    return not any((answer.status or 0) >= 500 for answer in _pods(scene))


def _by_middleware(scene: Scene, last: Exchange) -> bool:
    """Whether a middleware of the route answered, by the access log, or may have.

    It may as long as neither the log nor the pods' own answers tell; so may any where the
    middlewares are not seen.
    """
    status = last.status or 0
    told = origin_answered(scene.snapshot, status)
    if told is not None or _pods(scene):
        return told is False
    route = routing_of(scene).winner
    if route is None or not route.middlewares:
        return False
    return not scene.kube.of(Middleware).seen or may_answer(scene, route, status)


def redirects(scene: Scene) -> bool:
    """Whether the redirects may be the application's: its pods redirect, or nobody else does."""
    answers = [answer.status for answer in _pods(scene) if answer.status]
    if answers:
        return any(300 <= status < 400 for status in answers)
    route = routing_of(scene).winner
    if route is not None and route.middlewares:
        seen = scene.kube.of(Middleware).seen
        if not seen or may_answer(scene, route, 301):
            return False
    return not any(entry.redirect_to for entry in scene.static.entry_points.values())


def answered(
    scene: Scene, last: Exchange, ref: ObjectRef, related: tuple[ObjectRef, ...], common: Words
) -> Finding:
    """An answer of the application that is not what was expected."""
    namespace, _, selector = service_of(scene, last)
    found = possible(scene, last)
    status = last.status or 0
    if len(found) == 1 and common.get("share") is None:
        common = common | {"share": found[0].share}
    ref = host_ref(scene) if _nobodys(scene, last) else ref
    if status == 500 and not last.body.strip() and _forward_auth(scene):
        return of_host(
            "REQ009",
            scene,
            status=status,
            related=related,
            answer=text("said", "empty", status=status),
            hops="",
            meaning=text("traefik_answer", "500"),
            **common,
        )
    if _by_middleware(scene, last):
        return of_host("REQ014", scene, status=status, services="", **common)
    if status >= 500:
        line = next(iter(last.body.strip().splitlines()), "")
        sample = f" ({line[:80]})" if line else ""
        common = common | {"ns": namespace or "default", "selector": selector, "sample": sample}
    code = "REQ001" if status >= 500 else "REQ002" if status == 404 else "REQ014"
    several = "several" if len(found) > 1 else None
    common = common | {"variant": several, "services": listing(one.full for one in found)}
    return of_host(code, scene, ref, status=status, related=related, **common)


def _forward_auth(scene: Scene) -> bool:
    route = routing_of(scene).winner
    named = " ".join(route.middlewares) if route is not None else ""
    middlewares = scene.kube.every(Middleware)
    return any("forwardAuth" in obj.kinds and obj.name in named for obj in middlewares)


def good_requests(scene: Scene) -> list[Probe]:
    """The requests that a client would call a success."""
    made = requests_made(scene.snapshot)
    return [probe for probe in made if succeeded(scene.snapshot, probe, scene.target)]


@rule(reads=("dns", "http"), uses=USES)
def the_default_path_has_something(scene: Scene) -> Iterator[Finding]:
    """The application has something at the path, though nobody asked for that one."""
    for probe in good_requests(scene):
        last = probe.exchanges[-1]
        if last.status == 404 and probe.redirected_to is None:
            ref, related = application_of(scene, last)
            yield of_host("REQ016", scene, ref, related=related, evidence=proof_of(probe))
            return
