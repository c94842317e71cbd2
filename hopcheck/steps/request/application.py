"""The application behind the host: whose answer it is, whether it waits, what its pods say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import ErrorKind, Evidence, Exchange, Finding, ObjectRef, Probe, Severity, Words
from hopcheck.model.kubernetes import EndpointSlice, Middleware, NetworkPolicy, Pod
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.middlewares import acting, answers, may_answer, passes, taken_off
from hopcheck.scene.outcome import (
    TRAEFIK_BODIES,
    Producer,
    application_404,
    astray,
    by_pods,
    origin_answered,
    outcome_of,
    producer,
    requests_made,
    says_tls,
)
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream, upstreams
from hopcheck.steps.bounds import apart, requests_reach_pods, works
from hopcheck.steps.names import failure, labels_as_text, ref_of, route_ref, workload_refs
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
        words = f"{exchange.status or failure(exchange)} {exchange.error_text} {_line(exchange)}"
        found.append(Evidence(f"GET {exchange.url} @{exchange.address}", words.strip()))
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


class Author(Struct, frozen=True):
    """The application that gave an answer; the host where it may have been one of several."""

    services: list[Upstream]
    ref: ObjectRef
    related: tuple[ObjectRef, ...]  # what it runs as
    namespace: str  # "" where no Service is in sight
    words: Words  # for commands


def author_of(scene: Scene, last: Exchange) -> Author:
    """Whose answer this is: behind a redirect, of the route that serves there."""
    # A stranger's, and not its own, where another load balancer was meant.
    found = possible(scene.at(last.url), last) if scene.meant is None else []
    if not found:
        kind = "Application" if scene.meant is None else "Host"
        ref = ObjectRef(kind, scene.target.host)
        return Author(found, ref, (), "", {"ns": "default", "selector": ""})
    first, ref = found[0], found[0].application if len(found) == 1 else host_ref(scene)
    related = (r for one in found for r in (one.ref, *workload_refs(one.selected, one.namespace)))
    words = {"ns": first.namespace, "selector": labels_as_text(first.selector)}
    return Author(found, ref, tuple(related), first.namespace, words)


def waits(scene: Scene, namespace: str, pods: Sequence[Pod]) -> bool:
    """Whether it is the application that keeps the request waiting, and not the way to it.

    Its pods, asked directly, wait too; or nothing else is left: no policy is in between, and the
    way does not lead over the network between nodes alone.
    """
    if answers := by_pods(scene.snapshot):
        return all(answer.error is ErrorKind.READ_TIMEOUT for answer in answers)
    kube, instance = scene.kube, scene.instance
    # Without an instance it is not known what holds for Traefik's own pods.
    if instance is None or apart(scene, pods):
        return False
    spaces = {namespace, instance.namespace}
    policies = [kube.of(NetworkPolicy, space) for space in spaces]
    if not namespace or not all(one.seen for one in policies):
        return False
    # Whom a policy selects is told by the pods: one that blocks is named then.
    listed = kube.of(Pod, namespace).seen and kube.of(EndpointSlice, namespace).seen
    return listed or not any(one.get() for one in policies)


def _nobodys(scene: Scene, last: Exchange) -> bool:
    """Whether it cannot be told who wrote the answer: a TLS server, an authentication service.

    A 500 with nothing in it may be a forwardAuth's, as long as the middlewares are not seen.
    """
    if says_tls(last):
        return True
    seen = routing_of(scene).winner is not None and scene.kube.of(Middleware).seen
    if last.status != 500 or last.body.strip() or seen:
        return False
    return not any((answer.status or 0) >= 500 for answer in by_pods(scene.snapshot))


def _by_middleware(scene: Scene, last: Exchange) -> bool:
    """Whether a middleware answered; or may have, where neither log nor pods' answers tell."""
    status = last.status or 0
    told = origin_answered(scene.snapshot, last)
    if told is not None or by_pods(scene.snapshot):
        return told is False
    return may_answer(scene, status)


def redirects(scene: Scene) -> bool:
    """Whether the redirects may be the application's: its pods redirect, or nobody else does."""
    answers = [answer.status for answer in by_pods(scene.snapshot) if answer.status]
    if answers:
        return any(300 <= status < 400 for status in answers)
    at_entry = any(entry.redirect_to for entry in scene.static.entry_points.values())
    return not at_entry and not may_answer(scene, 301)


def by_traefik(scene: Scene, status: int, answer: str, /, **more: Any) -> Finding:
    """An answer of Traefik's own."""
    key, route = str(status) if status in TRAEFIK_BODIES or status == 421 else "other", ""
    if (first := routing_of(scene).selection.winner) and first.internal and status == 404:
        key, route = "internal", str(route_ref(first))
    words = {"hops": "", "meaning": text("traefik_answer", key, route=route)}
    return of_host("REQ009", scene, status=status, answer=answer, **(words | more))


def answered(scene: Scene, last: Exchange, author: Author, common: Words) -> Finding:
    """An answer of the application that is not what was expected."""
    found, status = author.services, last.status or 0
    if len(found) == 1 and common.get("share") is None:
        common = common | {"share": found[0].share}
    related = author.related
    if status == 500 and not last.body.strip() and passes(scene, "forwardAuth"):
        answer = text("said", "empty", status=status)
        return by_traefik(scene, status, answer, related=related, **common)
    if _by_middleware(scene, last):
        return of_host("REQ014", scene, status=status, services="", **common)
    if status >= 500:
        common = common | author.words | {"sample": _sample(last)}
    code = "REQ001" if status >= 500 else "REQ002" if status == 404 else "REQ014"
    variant = "several" if len(found) > 1 else None
    ref = host_ref(scene) if _nobodys(scene, last) else author.ref
    good = scene.target.expect_status
    # What a pod answered to Traefik is its own, whatever it says to others.
    own = status >= 500 and origin_answered(scene.snapshot, last)
    if not own and found and all(one.serves(good) for one in found):
        code, variant, ref = "REQ014", "between", host_ref(scene)  # not what it is asked for
    common = common | {"variant": variant, "services": listing(one.full for one in found)}
    return of_host(code, scene, ref, status=status, related=related, **common)


def _line(last: Exchange) -> str:
    """The first line of what was answered."""
    return next(iter(last.body.strip().splitlines()), "")


def _sample(last: Exchange) -> str:
    return f" ({_line(last)[:80]})" if _line(last) else ""


@rule(reads=("dns", "http"), uses=USES)
def redirects_lead_to_where_a_route_serves(scene: Scene) -> Iterator[Finding]:
    """A redirect on the same host leads to a path that is routed, prefix and all."""
    made = requests_made(scene.snapshot)
    lost = [p for p in made if astray(p) and p.exchanges[-1].status == 404]
    route = routing_of(scene).winner
    if not lost or route is None:
        return
    first, last = lost[0].exchanges[0], lost[0].exchanges[-1]
    acts, owner = acting(scene, route), route_ref(route)
    before, after = urlsplit(first.url).path, urlsplit(last.url).path
    lost_by = [(ref_of(obj), p) for obj in acts for p in taken_off(obj, before)]
    taken = {ref: prefix for ref, prefix in lost_by if not after.startswith(prefix)}
    own_404 = producer(last) is not Producer.TRAEFIK or application_404(scene.snapshot, last)
    if own_404 and not taken:
        return  # the application has no such page
    own, variant, middlewares = author_of(scene, first), "prefix" if taken else None, [*taken]
    ref = own.ref if own.services else None
    told = origin_answered(scene.snapshot, first)
    by = [ref_of(obj) for obj in acts if answers(obj, first.status or 0)]
    if by and (told is False or not (told or taken or redirects(scene))):
        ref, variant, middlewares = by[0] if len(by) == 1 else owner, "middleware", by
    elif not taken and before == "/":
        ref, variant = owner, "uncovered"  # the application's root is its own
    words: Words = {"asked": first.url, "url": last.url, "status": last.status, "route": str(owner)}
    words |= {"middleware": listing(map(str, middlewares)), "prefix": listing(taken.values())}
    words |= {"share": share_of(len(lost), len(made)), "evidence": proof_of(lost[0])}
    related = (*own.related, owner, *middlewares)
    yield of_host("REQ030", scene, ref, variant=variant, related=related, **words)


@rule(reads=("dns", "http"), uses=USES)
def the_default_path_has_something(scene: Scene) -> Iterator[Finding]:
    """The application has something at the path, though nobody asked for that one."""
    for probe in works(scene, requests_made(scene.snapshot)):
        last = probe.exchanges[-1]
        if last.status == 404 and probe.redirected_to is None:
            own = author_of(scene, last)
            yield of_host("REQ016", scene, own.ref, related=own.related, evidence=proof_of(probe))
            return


@rule(reads=("dns", "http"), uses=USES)
def pods_serve_when_asked_directly(scene: Scene) -> Iterator[Finding]:
    """The pods serve when they are asked directly, where no request of a client gets as far.

    Else it is a fault of the application that another, nearer to the client, keeps from showing.
    Said only where every pod of a Service errs (a status of 500 and above, or silence), and where
    nothing shows that requests reach pods at all; or where it is one of several Services, and all
    requests had the luck to be sent to others. It is a warning where what Traefik would have
    added could have changed the answer, and where a pod only took longer than a probe may.
    """
    reach = requests_reach_pods(scene)
    lucky = 0 < outcome_of(scene).made == outcome_of(scene).succeeded
    if reach and not lucky:
        return
    route = routing_of(scene).winner
    altered = Severity.WARNING if route is not None and route.middlewares else None
    for one in upstreams(scene):
        probes = one.asked(one.endpoints)
        last = [probe.exchanges[-1] for probe in probes]
        if not probes or len(probes) < len(one.endpoints):
            continue
        if reach and (one.alone or one.backend.weight == 0):
            continue
        silent = all(e.error is ErrorKind.READ_TIMEOUT for e in last)
        if silent and reach:
            continue  # the step before says so
        if not silent and not all((e.status or 0) >= 500 for e in last):
            continue
        yield make(
            "REQ003" if silent else "REQ001",
            one.application,
            variant="unmet" if reach else "direct",
            share=one.share if reach else None,
            severity=Severity.WARNING if silent else altered,
            url=f"{probes[0].scheme}://{probes[0].address}:{probes[0].port}{scene.target.path}",
            status=last[0].status,
            expect=scene.target.expect_status,
            sample=_sample(last[0]),
            services=one.full,
            tls="",
            seconds=round(last[0].timing.total, 1),
            ns=one.namespace,
            selector=labels_as_text(one.selector),
            related=(one.ref, *workload_refs(one.selected, one.namespace)),
        )
